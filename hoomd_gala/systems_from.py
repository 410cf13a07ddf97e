"""Positions, cell and types of what other packages hold, which need not be installed for it."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


class Sample(NamedTuple):
    """Particles and the cell that they are in, in any orientation.

    Attributes
    ----------
    positions : (N, 3) float64
    vectors : (3, 3) float64
        Lattice vectors as rows; zeros where there is no cell.
    periodic : (3,) bool
        Whether the cell is repeated along each of its vectors.
    types : (N,) int64
        Type of each particle.
    type_names : tuple of str
        Names of the types; empty if they have none.
    """

    positions: Array
    vectors: Array
    periodic: NDArray[np.bool_]
    types: NDArray[np.int64]
    type_names: tuple[str, ...] = ()


def lattice_from_angles(lengths: ArrayLike, degrees: ArrayLike) -> Array:
    """Lattice vectors as rows, a along x and b in the xy plane.

    Parameters
    ----------
    lengths : (3,)
        Of a, b and c.
    degrees : (3,)
        Angles between b and c, a and c, a and b.
    """
    a, b, c = np.asarray(lengths, dtype=np.float64)
    cosines = np.cos(np.radians(np.asarray(degrees, dtype=np.float64)))
    # right angles are to be exact
    alpha, beta, gamma = np.where(np.abs(cosines) < 1e-15, 0, cosines)
    height = np.sqrt(1 - gamma**2)
    c_y = (alpha - beta * gamma) / height
    c_z = np.sqrt(1 - beta**2 - c_y**2)
    return np.array([[a, 0, 0], [b * gamma, b * height, 0], [c * beta, c * c_y, c * c_z]])


def is_mdanalysis(thing: Any) -> bool:
    """Whether something looks like an MDAnalysis ``AtomGroup`` or ``Universe``."""
    atoms = getattr(thing, "atoms", None)
    return all(hasattr(atoms, name) for name in ("universe", "dimensions", "positions"))


def from_mdanalysis(thing: Any) -> Sample:
    """Atoms of an MDAnalysis ``AtomGroup``, or all of a ``Universe``, in its current frame.

    The box is that of the frame. Types are those of the topology in the order of their names,
    numbers before words.
    """
    atoms = thing.atoms
    box = atoms.dimensions
    has_cell = box is not None and bool((np.asarray(box)[:3] > 0).all())
    vectors = lattice_from_angles(box[:3], box[3:]) if has_cell else np.zeros((3, 3))
    positions = np.asarray(atoms.positions, dtype=np.float64)
    names = getattr(atoms, "types", None)
    if names is None:
        return Sample(positions, vectors, np.full(3, has_cell), np.zeros(len(positions), np.int64))
    kinds, types = np.unique(np.asarray(names, dtype=str), return_inverse=True)
    order = sorted(range(len(kinds)), key=lambda k: _numbers_first(str(kinds[k])))
    ranks = np.argsort(order)[types]
    ordered = tuple(str(kinds[k]) for k in order)
    return Sample(positions, vectors, np.full(3, has_cell), ranks, ordered)


def _numbers_first(name: str) -> tuple[bool, int, str]:
    return (False, int(name), name) if name.isdecimal() else (True, 0, name)


def is_pymatgen(thing: Any) -> bool:
    """Whether something looks like a pymatgen ``Structure``."""
    return all(hasattr(thing, name) for name in ("lattice", "cart_coords", "species_and_occu"))


def from_pymatgen(structure: Any) -> Sample:
    """Sites of a pymatgen ``Structure``.

    Types are the species, or mixtures of species, in the order of their atomic numbers.
    """
    lattice = structure.lattice
    occupied = structure.species_and_occu
    # of a mixture, the lightest counts first
    numbers = {str(site): (sorted(e.Z for e in site), str(site)) for site in occupied}
    order = sorted(numbers, key=numbers.__getitem__)
    rank = {name: k for k, name in enumerate(order)}
    # of one that has a site for itself, "Na" or "Na+", without the share of 1 behind it
    titles = {
        str(site): str(next(iter(site))) if list(site.values()) == [1] else str(site)
        for site in occupied
    }
    return Sample(
        np.asarray(structure.cart_coords, dtype=np.float64),
        np.asarray(lattice.matrix, dtype=np.float64),
        np.asarray(getattr(lattice, "pbc", (True, True, True)), dtype=bool),
        np.array([rank[str(site)] for site in occupied], np.int64),
        tuple(titles[name] for name in order),
    )


def held_sample(thing: Any) -> Sample | None:
    """Positions and cell of what may hold one of any orientation; None of all else.

    Types are left out.
    """
    if is_mdanalysis(thing):
        return from_mdanalysis(thing)
    if is_pymatgen(thing):
        return from_pymatgen(thing)
    if hasattr(thing, "cell") and hasattr(thing, "particles"):  # of OVITO
        positions, cell = thing.particles.positions, thing.cell
        vectors = np.zeros((3, 3)) if cell is None else np.asarray(cell[:3, :3]).T
        periodic = (False, False, False) if cell is None else cell.pbc
    elif hasattr(thing, "cell") and hasattr(thing, "numbers"):  # of ASE
        positions, vectors, periodic = thing.positions, thing.cell, thing.pbc
    else:
        return None
    points = np.array(positions, np.float64)
    return Sample(
        points,
        np.array(vectors, np.float64),
        np.array(periodic, dtype=bool),
        np.zeros(len(points), np.int64),
    )
