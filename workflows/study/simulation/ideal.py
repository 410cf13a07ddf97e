"""Crystals from unit cells: displaced, strained, with other axial ratios.

Lengths are in units of the shortest distance of the perfect crystal.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from ase.spacegroup import crystal as symmetric_cell
from scipy.sparse import coo_array
from scipy.sparse.linalg import cg

from hoomd_gala.crystals.prototypes import UnitCell, crystal, deform, displace, unit_cell
from hoomd_gala.neighbors.environments import nearest_neighbors
from hoomd_gala.systems import Array, System, as_system
from study.simulation.samples import Sample, uniform

#: Neighbors that are bonded at least, and the range up to which all are, in shortest distances.
#: All springs have the same stiffness along the bond and none across it, as those of
#: :mod:`study.simulation.thermal`: models learn from springs whose stiffness falls with the
#: distance.
_N_SPRINGS, _RANGE = 14, 1.7

#: Stiffness of a spring to the site, in units of the others: some crystals are floppy without.
_ON_SITE = 0.01

#: Structures that the database does not have, or had wrong: space group, cell (Å, degrees), and
#: fractional coordinates of the sites.
_CELLS = {
    # clathrate sII, Si34 (Gryko et al., Phys. Rev. B 62, R7707 (2000))
    "sII": (227, 2, 14.63, 14.63, 90, [(1 / 8,) * 3, (0.2177,) * 3, (0.1823, 0.1823, 0.3705)]),
    # Z phase, Zr4Al3 (Wilson et al., Acta Cryst. 13, 56 (1960))
    "Zr4Al3": (191, 1, 5.433, 5.390, 120, [(1 / 2, 0, 0), (1 / 3, 2 / 3, 1 / 2), (0, 0, 1 / 4)]),
    # ω phase of titanium
    "omega-Ti": (191, 1, 4.60, 2.82, 120, [(0, 0, 0), (1 / 3, 2 / 3, 1 / 2)]),
}


def cell_of(name: str) -> UnitCell:
    """Return a unit cell of the database or one of those that it does not have.

    Raises
    ------
    InputError
        If there is none of this name.
    """
    if name not in _CELLS:
        return unit_cell(name)
    group, setting, a, c, gamma, sites = _CELLS[name]
    atoms = symmetric_cell(
        ["Si"] * len(sites),
        sites,
        spacegroup=group,
        setting=setting,
        cellpar=[a, a, c, 90, 90, gamma],
    )
    return UnitCell(name, group, as_system(atoms))


def perfect(structure: str, n_particles: int) -> System:
    """Return a perfect crystal of one type whose shortest distance is 1."""
    made = crystal(cell_of(structure), n_particles)
    return made._replace(types=np.zeros_like(made.types))


def displace_by_springs(system: System, level: float, rng: np.random.Generator) -> System:
    """Displace a crystal as an elastic network does in the limit of small displacements.

    Displacements u of a network with stiffness matrix K are Gaussian with covariance K⁻¹: solutions
    of K u = f for random forces f of covariance K, one number for each spring.

    Parameters
    ----------
    system : System
        A perfect crystal of shortest distance about 1.
    level : float
        Root-mean-square displacement in each direction.
    rng : numpy.random.Generator
        Of the displacements.
    """
    n = len(system.positions)
    bonds, neighbors = nearest_neighbors(system.positions, system.box, n=min(50, 4 * n))
    lengths = np.linalg.norm(bonds, axis=-1)
    near = (lengths < _RANGE) | (np.arange(bonds.shape[1]) < _N_SPRINGS)
    first, column = np.nonzero(near)
    second, along = neighbors[first, column], bonds[first, column] / lengths[first, column, None]
    rows = np.repeat(np.arange(len(first)), 3)
    axes = np.tile(np.arange(3), len(first))
    stretch = coo_array(
        (along.ravel(), (rows, 3 * np.repeat(second, 3) + axes)), (len(first), 3 * n)
    ) - coo_array((along.ravel(), (rows, 3 * np.repeat(first, 3) + axes)), (len(first), 3 * n))
    stretch = stretch.tocsr()
    on_site = coo_array((np.full(3 * n, _ON_SITE), (np.arange(3 * n),) * 2)).tocsr()
    force = stretch.T @ rng.normal(size=len(first)) + _ON_SITE**0.5 * rng.normal(size=3 * n)
    shifts = cg(stretch.T @ stretch + on_site, force, rtol=1e-3, maxiter=1000)[0].reshape(-1, 3)
    shifts -= shifts.mean(axis=0)
    shifts *= level / np.sqrt((shifts**2).mean())
    return system._replace(positions=system.positions + shifts)


#: How particles are displaced.
DISPLACEMENTS = {"independent": displace, "elastic": displace_by_springs}


def displaced(
    structure: str, levels: Sequence[float], n_particles: int, seed: int, truth: str = ""
) -> Iterator[Sample]:
    """Yield a crystal without displacements and with both kinds, at each level.

    Parameters
    ----------
    structure : str
        Unit cell.
    levels : sequence of float
        Root-mean-square displacements in each direction.
    n_particles : int
        Fewest particles.
    seed : int
        Of the displacements.
    truth : str
        What the structure is called if types are ignored, if not the name of the cell.
    """
    rng = np.random.default_rng(seed)
    still = perfect(structure, n_particles)
    for level in levels:
        for kind, move in DISPLACEMENTS.items():
            if level:
                name = f"{kind} {100 * level:g} %"
                yield uniform(name, move(still, level, rng), truth or structure)
        if not level:
            yield uniform("perfect", still, truth or structure)


def left_out(
    structures: Sequence[str], levels: Sequence[float], n_particles: int, seed: int
) -> Iterator[Sample]:
    """Yield crystals of several structures, displaced independently, at each level."""
    rng = np.random.default_rng(seed)
    for structure in structures:
        for level in levels:
            moved = displace(perfect(structure, n_particles), level, rng)
            yield uniform(f"{structure}, {100 * level:g} %", moved, structure)


# ---- strain ----


def _strains(sizes: Sequence[float], shears: Sequence[float]) -> Iterator[tuple[str, Array]]:
    """Names and deformation gradients of all strains."""
    for size in sizes:
        for axis in ([1, 0, 0], [1, 1, 0], [1, 1, 1]):
            unit = np.array(axis) / np.linalg.norm(axis)
            name = f"[{''.join(map(str, axis))}] {100 * size:+g} %"
            yield name, np.eye(3) + size * np.outer(unit, unit)
        yield f"isotropic {100 * size:+g} %", (1 + size) * np.eye(3)
    for shear in shears:
        gradient = np.eye(3)
        gradient[0, 1] = shear
        yield f"shear {100 * shear:g} %", gradient


def strained(
    structure: str,
    sizes: Sequence[float],
    shears: Sequence[float],
    levels: Sequence[float],
    n_particles: int,
    seed: int,
) -> Iterator[Sample]:
    """Yield a crystal strained along axes, isotropically, and sheared.

    Parameters
    ----------
    structure : str
        Unit cell.
    sizes : sequence of float
        Uniaxial and isotropic strains; the other directions stay what they are.
    shears : sequence of float
        Simple shears of planes normal to y along x.
    levels : sequence of float
        Root-mean-square independent displacements.
    n_particles : int
        Fewest particles.
    seed : int
        Of the displacements.
    """
    rng = np.random.default_rng(seed)
    still = perfect(structure, n_particles)
    for name, gradient in _strains(sizes, shears):
        for level in levels:
            moved = displace(deform(still, gradient), level, rng)
            yield uniform(f"{name}, displaced {100 * level:g} %", moved, structure)


def axial_crystal(structure: str, ratio: float, n_particles: int) -> System:
    """Return a hexagonal crystal with the axial ratio c/a, at the a of its unit cell."""
    box = cell_of(structure).system.box
    stretch = np.diag([1, 1, ratio * box[0] / box[2]])
    return deform(perfect(structure, n_particles), stretch)


def axial(
    structure: str, ratios: Sequence[float], levels: Sequence[float], n_particles: int, seed: int
) -> Iterator[Sample]:
    """Yield a hexagonal crystal with several axial ratios; takes what :func:`strained` takes."""
    rng = np.random.default_rng(seed)
    for ratio in ratios:
        still = axial_crystal(structure, ratio, n_particles)
        shortest = np.linalg.norm(
            nearest_neighbors(still.positions, still.box, n=1).bonds, axis=-1
        ).min()
        for level in levels:
            moved = displace(still, level * shortest, rng)
            yield uniform(f"c/a {ratio:.3f}, displaced {100 * level:g} %", moved, structure)
