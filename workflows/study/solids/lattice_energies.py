"""Which unit cells have the lowest energy under a pair potential.

Cells are scaled as a whole; types are ignored. This is no phase diagram: it shows which structures
are worth looking for where in parameter space.
"""

import functools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree
from tqdm.auto import tqdm

from hoomd_gala.crystals.potentials import PairPotential, ljg, opp
from hoomd_gala.crystals.prototypes import unit_cell, unit_cells
from hoomd_gala.systems import System, lattice_vectors, plane_spacings

#: Largest unit cell compared.
MAX_PARTICLES = 170

#: Largest distance of pairs, in units of the shortest, and width of a bin.
REACH, WIDTH = 4.2, 0.002
#: Edges of the bins; the shortest distance, 1, lies within the first.
_EDGES = np.arange(1 - WIDTH / 2, REACH, WIDTH)

#: Shortest distances to try, in units of the potential's length.
SCALES = np.arange(0.75, 2.3, 0.01)

#: Largest difference of energy per particle of two cells of the same structure.
SAME_ENERGY = 4e-3


class LatticeEnergy(NamedTuple):
    """The lowest energy of a unit cell under a potential.

    Attributes
    ----------
    cell : str
        Name of the unit cell.
    energy : float
        Per particle.
    distance : float
        Shortest distance at which it has this energy.
    number_density : float
        Particles per volume at this distance.
    """

    cell: str
    energy: float
    distance: float
    number_density: float


def pair_distances(cell: System) -> tuple[NDArray[np.float64], float]:
    """Pairs of a unit cell by their distance, in units of the shortest.

    Returns
    -------
    (bins,) float64, float
        Pairs per particle in bins of width WIDTH, each pair counted once, and particles per volume.
    """
    lattice = lattice_vectors(cell.box)
    spacings = plane_spacings(lattice)

    def surroundings(reach: float) -> KDTree:
        sides = [np.arange(-n, n + 1) for n in np.ceil(reach / spacings).astype(int)]
        shifts = np.stack(np.meshgrid(*sides, indexing="ij"), -1).reshape(-1, 3) @ lattice
        return KDTree((cell.positions[None] + shifts[:, None]).reshape(-1, 3))

    # a particle's own image is one lattice vector away at most
    edge = float(np.linalg.norm(lattice, axis=1).min())
    shortest = surroundings(edge).query(cell.positions, k=2)[0][:, 1].min()
    pairs = KDTree(cell.positions).sparse_distance_matrix(
        surroundings(REACH * shortest), REACH * shortest, output_type="ndarray"
    )
    distances = pairs["v"][pairs["v"] > 1e-6 * shortest] / shortest
    total = len(cell.positions)
    density = total * shortest**3 / abs(np.linalg.det(lattice))
    return np.histogram(distances, _EDGES)[0] / (2 * total), float(density)


@functools.cache
def _cells() -> tuple[tuple[str, ...], NDArray[np.float64], NDArray[np.float64]]:
    """Names, pairs per particle (cells, bins), and number densities at shortest distance 1."""
    names = [
        name for name, cell in unit_cells().items() if len(cell.system.positions) <= MAX_PARTICLES
    ]
    pairs, densities = zip(*(pair_distances(unit_cell(name).system) for name in names), strict=True)
    return tuple(names), np.array(pairs), np.array(densities)


def lattice_energies(potential: PairPotential) -> list[LatticeEnergy]:
    """Lowest energies of all unit cells, sorted."""
    names, pairs, densities = _cells()
    middle = (_EDGES[:-1] + _EDGES[1:]) / 2
    # at smaller scales, pairs within the cutoff would be missing
    scales = SCALES[middle[-1] * SCALES >= potential.r_cut]
    energies = potential.energy(scales[:, None] * middle) @ pairs.T
    best = energies.argmin(axis=0)
    found = [
        LatticeEnergy(
            name,
            float(energies[i, column]),
            float(scales[i]),
            float(densities[column] / scales[i] ** 3),
        )
        for column, (name, i) in enumerate(zip(names, best, strict=True))
    ]
    # of cells that differ in types only, the smallest comes first
    size = {name: len(unit_cell(name).system.positions) for name in names}
    kinds = {name: len(set(unit_cell(name).system.types)) for name in names}
    return sorted(found, key=lambda it: (round(it.energy, 3), kinds[it.cell], size[it.cell]))


def lowest(potential: PairPotential, n: int) -> list[LatticeEnergy]:
    """Return the ``n`` structures of lowest energy, one cell for each."""
    kept: list[LatticeEnergy] = []
    for entry in lattice_energies(potential):
        if all(abs(entry.energy - other.energy) > SAME_ENERGY for other in kept):
            kept.append(entry)
        if len(kept) == n:
            break
    return kept


# ---- over a grid of parameters ----


def grid(
    k: Sequence[float], phi: Sequence[float], epsilon: Sequence[float], r0: Sequence[float]
) -> Iterator[tuple[str, float, float, PairPotential]]:
    """Potentials of both families, with the family and its two parameters.

    OPPs without a second attractive minimum are left out.
    """
    for first in k:
        for second in phi:
            try:
                yield "opp", first, second, opp(first, second)
            except ValueError:
                continue
    for first in epsilon:
        for second in r0:
            yield "ljg", first, second, ljg(first, second)


def map_grid(points: Sequence[tuple[str, float, float, PairPotential]]) -> list[dict[str, Any]]:
    """Tabulate the two lowest cells of each potential."""
    rows = []
    for family, first, second, potential in tqdm(points, desc="lattice energies", unit="potential"):
        best, after = lowest(potential, 2)
        rows.append(
            {
                "potential": family,
                "k or epsilon": first,
                "phi or r0": second,
                "cell": best.cell,
                "energy": round(best.energy, 4),
                "number density": round(best.number_density, 4),
                "next cell": after.cell,
                "above": round(after.energy - best.energy, 4),
            }
        )
    return rows
