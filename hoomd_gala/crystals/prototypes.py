"""Crystal structures: the AFLOW prototypes, replicated, displaced, strained, or cut to droplets.

The unit cells are those of the AFLOW library of crystallographic prototypes (Mehl et al., Comp.
Mat. Sci. 136, S1 (2017)) as packaged in pyriodic-aflow, named by Pearson symbol and formula. Some
are wrong there; :mod:`hoomd_gala.crystals.corrections` says which, and what they are here.
"""

import functools
import json
from collections import defaultdict
from collections.abc import Mapping
from importlib import resources
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..errors import InputError
from ..names import find_class
from ..neighbors.environments import nearest_neighbors
from ..systems import (
    Array,
    System,
    box_from_lattice,
    lattice_vectors,
    make_system,
    plane_spacings,
)
from .corrections import CORRECTIONS, LEFT_OUT, Correction


class UnitCell(NamedTuple):
    """A unit cell of the database.

    Attributes
    ----------
    name : str
        Pearson symbol and formula, such as ``cI2-W``.
    space_group : int
        Number of the space group.
    system : System
        One cell's particles in its box, in Å.
    """

    name: str
    space_group: int
    system: System


#: Names whose cells are in the order of descending space groups: models know them so.
_DESCENDING = ("mP12-H2S", "mC16-ClH3")


def _variant(entry: Mapping[str, Any]) -> tuple[int, float]:
    """Order of an entry of the database among those of the same name."""
    group, volume = entry["space_group"], np.prod(entry["box"][:3])
    sign = -1 if entry["name"] in _DESCENDING else 1
    return sign * group, -volume / len(entry["positions"])


def _corrected(system: System, correction: Correction) -> System:
    lattice = lattice_vectors(system.box)
    if correction.lengths is not None:
        box = np.concatenate((correction.lengths, system.box[3:]))
        fractional = system.positions @ np.linalg.inv(lattice)
        lattice = lattice_vectors(box)
        system = make_system(fractional @ lattice, box, system.types)
    for index, site in correction.sites.items():
        system.positions[index] = np.asarray(site) @ lattice
    return system


@functools.cache
def unit_cells() -> dict[str, UnitCell]:
    """All unit cells by name, without those that are left out.

    Of cells with the same Pearson symbol and formula, the first keeps the name and the second has
    ``.2`` appended, in the order of their space groups and, of the same one, from the most open
    structure to the densest, whatever their order in the database.

    Raises
    ------
    InputError
        If pyriodic-aflow is not installed.
    """
    try:
        source = resources.files("pyriodic_aflow") / "unit_cells" / "aflow_db.json"
    except ModuleNotFoundError:
        raise InputError(
            'unit cells come with the package pyriodic-aflow: pip install "hoomd-gala[train]".'
        ) from None
    entries = json.loads(source.read_text())
    variants: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for entry in entries:
        variants[entry["name"]].append(entry)
    for alike in variants.values():
        alike.sort(key=_variant)
    cells: dict[str, UnitCell] = {}
    for entry in entries:
        count = 1 + next(i for i, one in enumerate(variants[entry["name"]]) if one is entry)
        name = entry["name"] if count == 1 else f"{entry['name']}.{count}"
        if name in LEFT_OUT:
            continue
        system = make_system(entry["positions"], entry["box"], np.asarray(entry["types"]))
        if name in CORRECTIONS:
            system = _corrected(system, CORRECTIONS[name])
        cells[name] = UnitCell(name, entry["space_group"], system)
    return cells


def unit_cell(name: str) -> UnitCell:
    """Return a unit cell, by the name of its class or a common name such as ``"fcc"``.

    Raises
    ------
    InputError
        If there is none of this name, in which case the message has similar names, or the cell is
        left out because it is wrong in the database.
    """
    cells = unit_cells()
    if not isinstance(name, str):
        raise InputError(f"unit cells are given by name, such as 'fcc' or 'cF4-Cu', not {name!r}.")
    for wrong, reason in LEFT_OUT.items():
        if wrong.casefold() == name.casefold():
            raise InputError(f"{wrong} is wrong in pyriodic-aflow, and left out ({reason}).")
    found = find_class(name, list(cells))
    if found is None:
        prefix = name.split("-")[0]
        similar = [other for other in cells if other.split("-")[0] == prefix]
        hint = f"; of Pearson symbol {prefix} there are {', '.join(similar)}" if similar else ""
        raise InputError(f"no unit cell is named {name!r}{hint}.")
    return cells[found]


def crystal(cell: UnitCell, n_particles: int = 4096) -> System:
    """Repeat a unit cell to a perfect crystal whose shortest distance is 1.

    The cell is repeated along the direction in which the crystal is thinnest until there are
    enough particles, so that the box is about as wide as it is long.

    Parameters
    ----------
    cell : UnitCell
        What is repeated.
    n_particles : int
        Fewest particles of the crystal, which has more than 20 in any case.
    """
    positions, box, types = cell.system[:3]
    lattice = lattice_vectors(box)
    spacings = plane_spacings(lattice)
    repeats = np.ones(3, dtype=int)
    while repeats.prod() * len(positions) < n_particles or (repeats.prod() * len(positions) <= 20):
        repeats[(repeats * spacings).argmin()] += 1
    shifts = np.stack(np.meshgrid(*map(np.arange, repeats), indexing="ij"), -1).reshape(-1, 3)
    points = (positions[None] + (shifts @ lattice)[:, None]).reshape(-1, 3)
    lx, ly, lz, xy, xz, yz = box
    nx, ny, nz = repeats
    grown = np.array([lx * nx, ly * ny, lz * nz, xy, xz, yz])
    scale = 1 / np.linalg.norm(nearest_neighbors(points, grown, n=1).bonds, axis=-1).min()
    grown[:3] *= scale
    return System(points * scale, grown, np.tile(types, len(shifts)))


def displace(system: System, noise: float, rng: np.random.Generator) -> System:
    """Displace particles by Gaussian noise.

    Parameters
    ----------
    system : System
        The particles.
    noise : float
        Standard deviation in each direction, in the unit of the positions.
    rng : numpy.random.Generator
        Of the displacements.
    """
    shifted = system.positions + rng.normal(scale=noise, size=system.positions.shape)
    return system._replace(positions=shifted)


def strain(system: System, size: float, rng: np.random.Generator) -> System:
    """Affine deformation whose six independent strains are Gaussian with deviation ``size``.

    Box lengths and tilts change; fractional coordinates stay.
    """
    lengths = rng.normal(scale=size, size=3)
    tilts = rng.normal(scale=size, size=3)
    old = lattice_vectors(system.box)
    box = system.box.copy()
    box[:3] *= 1 + lengths
    box[3:] += tilts
    fractional = system.positions @ np.linalg.inv(old)
    return system._replace(positions=fractional @ lattice_vectors(box), box=box)


def scaled(system: System, factor: float) -> System:
    """Multiply all lengths of a system."""
    box = system.box.copy()
    box[:3] *= factor
    return system._replace(positions=system.positions * factor, box=box)


def deform(system: System, gradient: ArrayLike) -> System:
    """Deform a system: positions x become ``gradient`` @ x, then rotated as boxes have to be.

    Parameters
    ----------
    system : System
        Periodic.
    gradient : (3, 3)
        Of the deformation.
    """
    old = lattice_vectors(system.box)
    box = box_from_lattice(old @ np.asarray(gradient).T)
    fractional = system.positions @ np.linalg.inv(old)
    return system._replace(positions=fractional @ lattice_vectors(box), box=box)


class Droplet(NamedTuple):
    """A ball cut out of a crystal, and how much of each particle's environment is left.

    Attributes
    ----------
    system : System
        The ball, in the crystal's box.
    intact : (N,) float64
        Fraction of each particle's nearest neighbors in the crystal that the ball still holds.
    """

    system: System
    intact: Array


def droplet(crystal: System, radius: float) -> Droplet:
    """Cut a spherical droplet out of a crystal.

    Parameters
    ----------
    crystal : System
        Perfect or not.
    radius : float
        Of the ball, in units of half the smallest plane spacing of the box.

    Raises
    ------
    InputError
        If the droplet has fewer than 21 particles.
    """
    lattice = lattice_vectors(crystal.box)
    inverse = np.linalg.inv(lattice)
    spacings = plane_spacings(lattice)
    fractional = crystal.positions @ inverse
    centered = (fractional - np.floor(fractional) - 0.5) @ lattice
    inside = np.linalg.norm(centered, axis=1) < radius * spacings.min() / 2
    if inside.sum() <= 20:
        raise InputError(f"a droplet of radius {radius} holds {inside.sum()} particles; 21 needed.")
    neighbors = nearest_neighbors(crystal.positions, crystal.box).neighbors
    intact = inside[neighbors].mean(axis=1)
    kept = System(centered[inside], crystal.box, crystal.types[inside])
    return Droplet(kept, intact[inside])
