"""Identification of a simulated solid by the local environments of unit cells, and by templates.

No network takes part: labels are checked against what is found here.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from hoomd_gala.crystals.potentials import PairPotential
from hoomd_gala.crystals.prototypes import UnitCell, unit_cell, unit_cells
from hoomd_gala.crystals.sites import descriptors, sites_of
from hoomd_gala.files.atomic import replacing
from hoomd_gala.neighbors.environments import PeriodicTree
from hoomd_gala.systems import Array, System, make_system
from study.simulation import engines
from study.solids import references
from study.solids.order import Mask

#: Timesteps at kT = 0 that bring a solid to the nearest minimum of its energy.
QUENCH_STEPS = 3000

#: Largest unit cell whose local environments are compared.
MAX_PARTICLES = 60

#: Largest cell that is compared at other axial ratios as well, and these ratios.
MAX_STRETCHED, AXIAL_RATIOS = 4, np.exp(np.arange(np.log(0.5), np.log(2.0), 0.025))

#: Between the name of a cell and its axial ratio where that is another.
_RATIO = " c/a="

#: Weight of off-stoichiometry, as a distance of descriptors.
_PROPORTIONS = 0.2

#: Difference of scores within which two cells explain a solid equally well.
_ALIKE = 0.01


def quench(system: System, potential: PairPotential, seed: int) -> System:
    """Quench a solid to its inherent structure, which keeps its defects."""
    still = engines.pick().solid(system, potential, seed)
    return make_system(still(0.0, QUENCH_STEPS), system.box)


def energies(system: System, potential: PairPotential) -> Array:
    """Potential energy of each particle, (N,): half the energy of its pairs."""
    tree = PeriodicTree.build(system.positions, system.box)
    n = 60
    while True:
        bonds = tree.nearest(n=n).bonds
        r = np.linalg.norm(bonds, axis=-1)
        if r[:, -1].min() >= potential.r_cut:
            break
        n *= 2
    return np.asarray(potential.energy(r).sum(axis=1) / 2)


class KnownSites(NamedTuple):
    """The local environments of unit cells.

    Attributes
    ----------
    cell : (S,) str
        Unit cell of each environment.
    share : (S,) float64
        Share of the cell's particles that have it.
    descriptor : (S, D) float64
        See :func:`hoomd_gala.crystals.sites.descriptors`.
    """

    cell: NDArray[np.str_]
    share: Array
    descriptor: Array


def reference_cell(name: str) -> UnitCell:
    """Return a unit cell of the database, perhaps at another axial ratio: ``hP2-Mg c/a=0.64``."""
    known, at, ratio = name.partition(_RATIO)
    cell = unit_cell(known)
    if not at:
        return cell
    positions, box, types = cell.system[:3]
    stretch = np.array([1, 1, float(ratio) * box[0] / box[2]])
    box = np.concatenate([box[:3] * stretch, box[3:]])
    return UnitCell(name, cell.space_group, System(positions * stretch, box, types))


def prototype(name: str) -> str:
    """Name in the database of a cell of :func:`reference_cell`."""
    return name.partition(_RATIO)[0]


def stretched(name: str) -> list[str]:
    """Names of a cell at other axial ratios, if it is hexagonal, trigonal or tetragonal.

    These keep its symmetry; isotropic particles often prefer another ratio than the element.
    Only small cells of one element are stretched.
    """
    cell = unit_cell(name)
    small = len(cell.system.positions) <= MAX_STRETCHED and len(set(cell.system.types)) == 1
    if not small or not 75 <= cell.space_group <= 194:
        return []
    return [f"{name}{_RATIO}{ratio:.2f}" for ratio in AXIAL_RATIOS]


def collect_sites(names: Sequence[str] | None = None) -> KnownSites:
    """Local environments of some unit cells, or of all that are not too large, types ignored."""
    chosen = names or [
        name for name, it in unit_cells().items() if len(it.system.positions) <= MAX_PARTICLES
    ]
    everything = [each for name in chosen for each in (name, *stretched(name))]
    cells, shares, rows = [], [], []
    for name in tqdm(everything, desc="sites of unit cells", unit="cell"):
        cell = reference_cell(name)
        for site in sites_of(cell):
            cells.append(name)
            shares.append(len(site.members) / len(cell.system.positions))
            rows.append(site.descriptor)
    return KnownSites(np.array(cells), np.array(shares), np.array(rows))


def write_sites(path: Path, known: KnownSites) -> None:
    """Write local environments as a NumPy archive."""
    with replacing(path) as part, open(part, "wb") as file:
        np.savez(file, **known._asdict())


def read_sites(path: Path) -> KnownSites:
    """Read what :func:`write_sites` wrote."""
    with np.load(path) as archive:
        return KnownSites(*(archive[name] for name in KnownSites._fields))


class CellMatch(NamedTuple):
    """How well a unit cell explains the bulk of a solid.

    Attributes
    ----------
    cell : str
        Name of the unit cell.
    distance : float
        Mean distance of a particle's descriptor from the nearest one of the cell.
    proportions : float
        Off-stoichiometry: share of particles that would have to be on other sites for the cell's
        proportions.
    """

    cell: str
    distance: float
    proportions: float

    @property
    def score(self) -> float:
        """Score that matches are ranked by, the smallest first."""
        return self.distance + _PROPORTIONS * self.proportions


def match_cells(system: System, inside: Mask, known: KnownSites) -> list[CellMatch]:
    """Compare the particles of a mask with all unit cells, the best first."""
    rows = descriptors(system, np.flatnonzero(inside))
    # both are of unit length
    squares = 2 - 2 * rows @ known.descriptor.T
    distance = np.sqrt(np.maximum(squares, 0))
    matches = []
    for cell in dict.fromkeys(known.cell.tolist()):
        own = np.flatnonzero(known.cell == cell)
        nearest = distance[:, own].argmin(axis=1)
        found = np.bincount(nearest, minlength=len(own)) / len(rows)
        wrong = float(abs(found - known.share[own]).sum() / 2)
        matches.append(CellMatch(cell, float(distance[:, own].min(axis=1).mean()), wrong))
    best = min(match.score for match in matches)
    cells = {cell: reference_cell(cell) for cell in set(known.cell.tolist())}
    # of cells that explain it equally well, as they differ in types or a slight strain only, the
    # simplest and most symmetric comes first
    return sorted(
        matches,
        key=lambda it: (
            max(it.score, best + _ALIKE),
            _RATIO in it.cell,
            len(set(cells[it.cell].system.types)),
            -cells[it.cell].space_group,
            len(cells[it.cell].system.positions),
            it.score,
        ),
    )


def templates(system: System, inside: Mask) -> tuple[dict[str, tuple[str, float]], float]:
    """Most frequent structures in the bulk by methods that know a few.

    Polyhedral template matching with OVITO's default cutoff, and common neighbor analysis with its
    variant for diamond.

    Returns
    -------
    dict of str to (str, float), float
        Most frequent answer of each method and its share; and the share that template matching
        finds in close-packed layers, however stacked.
    """
    matched = references.template_matching(system, references.DEFAULT_CUTOFF).label
    methods = {"PTM": matched, "CNA": references.common_neighbor_analysis(system)}
    answers: dict[str, tuple[str, float]] = {}
    for method, names in methods.items():
        name, count = Counter(names[inside].tolist()).most_common(1)[0]
        answers[method] = (name, count / int(inside.sum()))
    return answers, float(np.isin(matched[inside], ("cF4-Cu", "hP2-Mg")).mean())
