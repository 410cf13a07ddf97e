"""Evidence of what an assembly formed: measurements, rules, and a row of a table."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hoomd_gala.crystals.potentials import PairPotential
from hoomd_gala.crystals.prototypes import crystal, droplet
from hoomd_gala.crystals.sites import SIMILAR
from hoomd_gala.errors import InputError
from hoomd_gala.files.atomic import replacing
from hoomd_gala.systems import System, lattice_vectors, plane_spacings
from study.solids.identification import (
    CellMatch,
    KnownSites,
    energies,
    match_cells,
    prototype,
    quench,
    reference_cell,
    templates,
)
from study.solids.lattice_energies import LatticeEnergy, lowest
from study.solids.order import (
    BondOrder,
    Mask,
    Shells,
    View,
    bond_order,
    bulk,
    condensed,
    nearest_distance,
    shells,
    views,
)

#: Coordination numbers, by Voronoi cells, of tetrahedrally close-packed (Frank-Kasper) structures;
#: the least share of the bulk that must have one of them; and the least share that must have 12
#: neighbors, and more than 12, as no such structure has one coordination number only.
FRANK_KASPER, MOST, EACH = (12, 14, 15, 16), 0.8, 0.15

#: Name of a solid of randomly stacked close-packed layers, which no unit cell describes, and the
#: least share of the bulk that must be close-packed.
CLOSE_PACKED, LAYERED = "close-packed layers", 0.6

#: Name of a solid that fits no rule.
NOT_IDENTIFIED = "not identified"

#: Fewest bulk particles that can be identified.
AT_LEAST = 20

#: Degrees of bond order that icosahedral symmetry allows, and those that it forbids; the least
#: value of the strongest of the first, and the largest share of it that the others may have; least
#: correlation of a tenfold pattern. Droplets of tP30-CrFe and cP8-Cr3Si have shares of 0.3 and 0.4.
ICOSAHEDRAL_DEGREES, OTHER_DEGREES = (6, 10, 12), (2, 4, 8)
ICOSAHEDRAL, FORBIDDEN, TENFOLD = 0.15, 0.15, 0.5

#: Least correlation of a twelvefold pattern, and by how much it may be below the fourfold and the
#: sixfold one. A droplet of tP30-CrFe has 0.76 against 0.97 along its pseudo-twelvefold axis.
TWELVEFOLD, BEHIND = 0.6, 0.1

#: Largest off-stoichiometry: share of particles on the wrong sites for a crystal's proportions.
PROPORTIONS = 0.3


class Measured(NamedTuple):
    """Measurements of a solid's bulk."""

    inside: Mask
    distance: float
    shells: Shells
    order: BondOrder


class Evidence(NamedTuple):
    """What was found, and the same of the most similar ideal crystal."""

    solid: System
    found: Measured
    ideal: Measured
    energy: float
    matches: list[CellMatch]
    templates: dict[str, tuple[str, float]]
    close_packed: float
    views: tuple[View, View]
    lowest: list[LatticeEnergy]


def measure(system: System, inside: Mask) -> Measured:
    """Measure the particles of a mask."""
    around = shells(system, inside)
    order = bond_order(system, inside, around.radius)
    return Measured(inside, nearest_distance(system), around, order)


def ideal_droplet(cell: str, n_particles: int) -> System:
    """Cut a spherical droplet of about ``n_particles`` out of a perfect crystal."""
    perfect = crystal(reference_cell(cell), 4 * n_particles)
    lattice = lattice_vectors(perfect.box)
    spacing = float(plane_spacings(lattice).min())
    volume = n_particles * float(np.linalg.det(lattice)) / len(perfect.positions)
    ball, _ = droplet(perfect, min(1.0, 2 * (3 * volume / (4 * np.pi)) ** (1 / 3) / spacing))
    edge = 2 * spacing
    return ball._replace(box=np.array([edge, edge, edge, 0, 0, 0]))


def gather(
    last: System, potential: PairPotential, known: KnownSites, rng: np.random.Generator
) -> Evidence:
    """Find the inherent structure of the last frame of an assembly and measure it.

    Raises
    ------
    InputError
        If it has too little bulk.
    """
    solid = quench(last, potential, seed=1)
    inside = bulk(solid)
    if inside.sum() < AT_LEAST:
        raise InputError(
            f"only {inside.sum()} of {len(inside)} particles are in the bulk of a condensed phase; "
            "simulate more particles or cool further."
        )
    matches = match_cells(solid, inside, known)
    ideal = ideal_droplet(matches[0].cell, int(condensed(solid).sum()))
    return Evidence(
        solid,
        measure(solid, inside),
        measure(ideal, bulk(ideal)),
        float(energies(solid, potential)[inside].mean()),
        matches,
        *templates(solid, inside),
        views(solid, rng),
        lowest(potential, 3),
    )


def is_icosahedral(order: BondOrder) -> bool:
    """Whether global bond order has only degrees that icosahedral symmetry allows."""
    strongest = max(order.common[degree] for degree in ICOSAHEDRAL_DEGREES)
    others = max(order.common[degree] for degree in OTHER_DEGREES)
    return strongest > ICOSAHEDRAL and others < FORBIDDEN * strongest


def verdict(evidence: Evidence) -> str:
    """Identification of the solid, by rules on the evidence alone."""
    best = evidence.matches[0]
    icosahedral = is_icosahedral(evidence.found.order)
    tenfold = evidence.views[1].symmetry[10] > TENFOLD
    pattern = evidence.views[0].symmetry
    if pattern[12] > max(TWELVEFOLD, pattern[4] - BEHIND, pattern[6] - BEHIND):
        # first, as the local environments are those of tP30-CrFe, of the same squares and triangles
        return "dodecagonal order"
    if best.distance < SIMILAR and best.proportions < PROPORTIONS:
        return best.cell
    if evidence.close_packed > LAYERED:
        # before icosahedral order, which twinned tetrahedra around a common edge have as well
        return CLOSE_PACKED
    if icosahedral and tenfold:
        return "icosahedral quasicrystal"
    if icosahedral:
        return "icosahedral bond order"
    faces = evidence.found.shells.voronoi
    mixed = min((faces == 12).mean(), (faces > 12).mean()) > EACH
    if np.isin(faces, FRANK_KASPER).mean() > MOST and mixed:
        return "tetrahedrally close-packed"
    return NOT_IDENTIFIED


def _shares(counts: NDArray[np.int64]) -> str:
    """Coordination numbers and their shares, the most frequent first."""
    values, numbers = np.unique(counts, return_counts=True)
    order = np.argsort(-numbers)[:4]
    total = len(counts)
    return ", ".join(f"{values[i]}: {100 * numbers[i] / total:.0f} %" for i in order)


def row(evidence: Evidence) -> dict[str, Any]:
    """Tabulate the evidence in numbers: of what was found, and of the ideal crystal."""
    found, ideal = evidence.found, evidence.ideal
    best = evidence.matches[0]
    others = [it for it in evidence.matches if prototype(it.cell) != prototype(best.cell)]
    unlike = next((it for it in others if it.score > best.score + 0.01), None)
    if unlike is None and others:
        unlike = others[-1]
    numbers: dict[str, Any] = {
        "verdict": verdict(evidence),
        "bulk particles": int(found.inside.sum()),
        "nearest cell": best.cell,
        "distance": round(best.distance, 3),
        "proportions": round(best.proportions, 2),
        # of a study that compares with one cell, there is none
        "next cell": unlike.cell if unlike else "",
        "next distance": round(unlike.distance, 3) if unlike else "",
        "next proportions": round(unlike.proportions, 2) if unlike else "",
    }
    for method, (name, share) in evidence.templates.items():
        numbers |= {method: name, f"{method} share": round(share, 3)}
    numbers["PTM, close-packed"] = round(evidence.close_packed, 3)
    numbers |= {
        "first shell": _shares(found.shells.coordination),
        "first shell, ideal": _shares(ideal.shells.coordination),
        "Voronoi": _shares(found.shells.voronoi),
        "Voronoi, ideal": _shares(ideal.shells.voronoi),
    }
    for degree in found.order.common:
        numbers[f"q{degree}"] = round(found.order.local[degree], 3)
        numbers[f"q{degree}, ideal"] = round(ideal.order.local[degree], 3)
    for degree in found.order.common:
        numbers[f"Q{degree}"] = round(found.order.common[degree], 3)
        numbers[f"Q{degree}, ideal"] = round(ideal.order.common[degree], 3)
    bright, ten = evidence.views
    numbers |= {
        "fourfold": round(bright.symmetry[4], 2),
        "sixfold": round(bright.symmetry[6], 2),
        "twelvefold": round(bright.symmetry[12], 2),
        "view": bright.rotation.as_quat().tolist(),
        "intensity": round(bright.intensity, 4),
        "tenfold": round(ten.symmetry[10], 2),
        "energy of the bulk": round(evidence.energy, 3),
        "lowest cells": ", ".join(f"{it.cell} {it.energy:.2f}" for it in evidence.lowest),
    }
    return numbers


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Write a row as JSON."""
    with replacing(path) as part:
        part.write_text(json.dumps(content, indent=2) + "\n")


def read(path: Path) -> dict[str, Any]:
    """Read a row that :func:`write` wrote."""
    content: dict[str, Any] = json.loads(path.read_text())
    return content
