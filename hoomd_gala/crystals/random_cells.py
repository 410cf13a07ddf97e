"""Crystals without a name, by random structure searching: random cells, relaxed.

A classifier learns to recognize unknown structures from examples. Prototypes without a name are few
and often molecular; single-component particles with isotropic interactions form other structures.
Random structure searching (Pickard and Needs, J. Phys.: Condens. Matter 23, 053201 (2011)) with the
pair potentials of :mod:`~hoomd_gala.crystals.potentials` yields any number of these.
"""

import itertools
from collections.abc import Iterator

import numpy as np
from scipy.optimize import minimize
from tqdm.auto import tqdm

from ..errors import InputError
from ..neighbors.environments import nearest_neighbors
from ..systems import Array, System, box_from_lattice, lattice_vectors, make_system, plane_spacings
from . import potentials
from .prototypes import UnitCell, crystal

#: Range of the number of particles in a cell, and largest elements of the strain of a cube.
_SIZES, _TILT = (3, 18), 0.35

#: Range of the volume per particle before relaxation, in units of the potential's length cubed.
_VOLUMES = (0.7, 1.4)

#: Ranges of the parameters of random potentials: k and φ, ε and r0.
_OPP, _LJG = ((5.0, 10.0), (0.0, 1.0)), ((0.3, 2.0), (1.2, 1.9))

#: Largest number of relaxation steps, and points at which a potential is tabulated.
_ITERATIONS, _TABLE_WIDTH = 120, 3000

#: Shortest distance allowed in a relaxed cell; below it, particles have collapsed.
_SHORTEST = 0.7
#: Largest distance of 20th neighbors allowed, in units of the shortest distance.
_FARTHEST = 3.0


def random_potential(rng: np.random.Generator) -> potentials.PairPotential:
    """Return a random potential of either family."""
    while True:
        try:
            if rng.random() < 0.5:
                k, phi = (float(rng.uniform(*bounds)) for bounds in _OPP)
                return potentials.opp(round(k, 2), round(phi, 2))
            epsilon, r0 = (float(rng.uniform(*bounds)) for bounds in _LJG)
            return potentials.ljg(round(epsilon, 2), round(r0, 2))
        except ValueError:  # no second well, after which it could be truncated
            continue


def _random_cell(rng: np.random.Generator) -> tuple[Array, Array]:
    """Fractional coordinates (n, 3) and lattice vectors (3, 3) as rows."""
    n = int(rng.integers(*_SIZES, endpoint=True))
    lattice = np.eye(3) + rng.uniform(-_TILT, _TILT, (3, 3))
    volume = n * rng.uniform(*_VOLUMES)
    return rng.random((n, 3)), lattice * np.cbrt(volume / np.linalg.det(lattice))


def relax(
    fractional: Array, lattice: Array, potential: potentials.PairPotential
) -> tuple[Array, Array]:
    """Relax a cell towards a minimum of the energy at zero pressure.

    It may not get there: the number of steps is limited, and only images of the cell that were
    near at the beginning interact.

    Parameters
    ----------
    fractional : (n, 3)
        Fractional coordinates.
    lattice : (3, 3)
        Lattice vectors, as rows.
    potential : PairPotential
        Interaction of the particles.

    Returns
    -------
    (n, 3) float64, (3, 3) float64
        Fractional coordinates and lattice vectors.
    """
    r_table, energies, forces = potential.table(_TABLE_WIDTH)
    # extrapolated linearly below the table, so that overlaps are repelled by a finite force
    spacings = plane_spacings(lattice)
    reach = np.ceil(potential.r_cut / spacings).astype(int)
    images = np.array(list(itertools.product(*(range(-m, m + 1) for m in reach))))
    n = len(fractional)
    own = (images == 0).all(axis=1)

    def energy(x: Array) -> tuple[float, Array]:
        f, cell = x[: 3 * n].reshape(n, 3), x[3 * n :].reshape(3, 3)
        apart = f[None, :, None] - f[:, None, None] + images
        vectors = apart @ cell
        r = np.linalg.norm(vectors, axis=-1)
        r[:, :, own] += np.where(np.eye(n, dtype=bool), np.inf, 0)[..., None]
        near = r < potential.r_cut
        distance, steps, ways = r[near], apart[near], vectors[near]
        short = np.minimum(distance - potentials.R_MIN, 0)
        pull = np.interp(distance, r_table, forces)
        total = np.interp(distance, r_table, energies - energies[-1]) - pull * short
        slope = (-pull / np.maximum(distance, 1e-9))[:, None] * ways
        first, second, _ = np.nonzero(near)
        gradient = np.zeros((n, 3))
        for axis in range(3):
            gradient[:, axis] += np.bincount(second, slope[:, axis], minlength=n)
            gradient[:, axis] -= np.bincount(first, slope[:, axis], minlength=n)
        return 0.5 * total.sum(), 0.5 * np.concatenate(
            ((gradient @ cell.T).ravel(), (steps.T @ slope).ravel())
        )

    start = np.concatenate((fractional.ravel(), lattice.ravel()))
    options = {"maxiter": _ITERATIONS}
    x = minimize(energy, start, jac=True, method="L-BFGS-B", options=options).x
    return x[: 3 * n].reshape(n, 3), x[3 * n :].reshape(3, 3)


def _as_system(fractional: Array, lattice: Array) -> System:
    """Return a cell in HOOMD's orientation."""
    if np.linalg.det(lattice) < 0:
        lattice, fractional = lattice[[1, 0, 2]], fractional[:, [1, 0, 2]]
    box = box_from_lattice(lattice)
    return make_system(fractional @ lattice_vectors(box), box)


def random_crystals(n: int, rng: np.random.Generator) -> Iterator[UnitCell]:
    """Yield n relaxed random cells, named ``random-0`` and so on."""
    found = 0
    with tqdm(total=n, desc="random crystals", unit="cell") as bar:
        while found < n:
            fractional, lattice = relax(*_random_cell(rng), random_potential(rng))
            cell = UnitCell(f"random-{found}", 1, _as_system(fractional, lattice))
            if not _is_sound(cell):
                continue
            yield cell
            found += 1
            bar.update()


def _is_sound(cell: UnitCell) -> bool:
    """Whether neither the particles nor the cell have collapsed."""
    try:
        grown = crystal(cell, 512)
        nearest = nearest_neighbors(grown.positions, grown.box).bonds
    except InputError:  # a box without volume, or thinner than an environment
        return False
    # the crystal's unit of length is its shortest distance, the cell's is the potential's
    scale = np.cbrt(np.prod(grown.box[:3]) / len(grown.positions))
    scale /= np.cbrt(np.prod(cell.system.box[:3]) / len(cell.system.positions))
    return bool(1 / scale > _SHORTEST and np.linalg.norm(nearest, axis=-1).max() < _FARTHEST)
