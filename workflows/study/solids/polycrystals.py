"""Polycrystals of known grains, and the rotational symmetry of their crystals."""

from typing import NamedTuple

import numpy as np
import spglib
from numpy.typing import NDArray
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

from hoomd_gala.crystals.prototypes import crystal, displace, unit_cell
from hoomd_gala.errors import InputError
from hoomd_gala.systems import Array, System, lattice_vectors, plane_spacings

Integers = NDArray[np.int64]

#: Of particles of different grains that are closer than this, one is removed.
_TOO_CLOSE = 0.75

#: Tolerance for positions, in units of the cube root of the volume per particle: coordinates in
#: the database are rounded.
_TOLERANCE = 0.03


# ---- symmetry ----


class Symmetry(NamedTuple):
    """Proper rotations of a unit cell, types ignored.

    Attributes
    ----------
    group : Rotation
        Rotations of the crystal's point group.
    kinds : (n,) int64
        For each particle of the cell, which of the inequivalent sites it is on, from 0.
    freedom : tuple of int
        For each inequivalent site, dimensions of what an equivariant vector can be there: 3, 1
        or 0.
    """

    group: Rotation
    kinds: Integers
    freedom: tuple[int, ...]


def symmetry(cell: str) -> Symmetry:
    """Find the proper operations of a unit cell's space group, by spglib.

    Sites are equivalent here if proper operations map them onto each other, which are fewer than
    spglib calls equivalent.
    """
    positions, box = unit_cell(cell).system[:2]
    lattice = lattice_vectors(box)
    inverse = np.linalg.inv(lattice)
    fractional = positions @ inverse
    size = np.cbrt(np.linalg.det(lattice) / len(positions))
    cell_without_types = (lattice.tolist(), fractional.tolist(), [0] * len(positions))
    found = spglib.get_symmetry(cell_without_types, symprec=_TOLERANCE * size)
    assert found is not None
    proper = np.linalg.det(found["rotations"]) > 0
    rotations, shifts = found["rotations"][proper], found["translations"][proper]
    images = fractional @ rotations.transpose(0, 2, 1) + shifts[:, None]
    apart = images[:, :, None] - fractional
    targets = np.linalg.norm((apart - np.round(apart)) @ lattice, axis=-1).argmin(axis=-1)
    matrices = lattice.T @ rotations @ inverse.T
    _, first, kinds = np.unique(targets.min(axis=0), return_index=True, return_inverse=True)
    fixed = [matrices[targets[:, site] == site].mean(axis=0) for site in first]
    # translations make the same rotation appear several times
    _, distinct = np.unique(rotations, axis=0, return_index=True)
    return Symmetry(
        Rotation.from_matrix(matrices[distinct]),
        kinds.astype(np.int64),
        tuple(int(np.linalg.matrix_rank(matrix, tol=0.1)) for matrix in fixed),
    )


def misorientation(first: Rotation, second: Rotation, group: Rotation) -> Array:
    """Smallest angle in degrees between orientations, over a crystal's rotations.

    Parameters
    ----------
    first, second : Rotation
        Orientations, which take the crystal's axes to the laboratory's; m of them each.
    group : Rotation
        Rotations of the crystal's point group.

    Returns
    -------
    (m,) float64
    """
    between = (first.inv() * second).reduce(left=group)
    return np.asarray(np.rad2deg(between.magnitude()))


# ---- the sample ----


class Polycrystal(NamedTuple):
    """A crystal of several grains.

    Attributes
    ----------
    cell : str
        Unit cell.
    system : System
        Particles, the shortest distance about 1.
    site : (N,) int64
        Particle of the unit cell that each is a copy of.
    grain : (N,) int64
        Grain of each.
    orientation : Rotation
        Orientation of each grain: rotates the unit cell's axes to the grain's.
    """

    cell: str
    system: System
    site: Integers
    grain: Integers
    orientation: Rotation

    @property
    def truth(self) -> Rotation:
        """Orientation of each particle."""
        return self.orientation[self.grain]


def single_crystal(cell: str, n_particles: int, noise: float, seed: int) -> Polycrystal:
    """Return a polycrystal of one grain in the orientation of the unit cell."""
    system = crystal(unit_cell(cell), n_particles)
    total = len(system.positions)
    site = np.arange(total) % len(unit_cell(cell).system.positions)
    noisy = displace(system, noise, np.random.default_rng(seed))
    return Polycrystal(cell, noisy, site, np.zeros(total, np.int64), Rotation.identity(1))


def polycrystal(cell: str, n_grains: int, edge: float, noise: float, seed: int) -> Polycrystal:
    """Fill a periodic cube with grains of random orientation, around random points.

    Parameters
    ----------
    cell : str
        Unit cell.
    n_grains : int
        Number of grains, the Voronoi polyhedra of random points.
    edge : float
        Edge of the cube, in units of the crystal's shortest distance.
    noise : float
        Standard deviation of the displacement in each direction, in the same units.
    seed : int
        Of points, orientations and displacements.

    Raises
    ------
    InputError
        If the edge or the number of grains is not positive.
    """
    if n_grains < 1 or not edge > 0:
        raise InputError(
            f"a polycrystal needs a positive edge and number of grains, not {edge:g} and "
            f"{n_grains}."
        )
    rng = np.random.default_rng(seed)
    centers = rng.uniform(0, edge, (n_grains, 3))
    orientation = Rotation.random(n_grains, rng=rng)
    # enough of a crystal to fill the cube in any orientation
    block = single_crystal(cell, 1, 0.0, 0)
    lattice = lattice_vectors(block.system.box)
    reach = np.sqrt(3) / 2 * edge
    counts = np.ceil(reach / plane_spacings(lattice)).astype(int) + 1
    steps = [np.arange(-count, count + 1) for count in counts]
    shifts = np.stack(np.meshgrid(*steps, indexing="ij"), -1).reshape(-1, 3) @ lattice
    points = (block.system.positions + shifts[:, None]).reshape(-1, 3)
    sites = np.tile(block.site, len(shifts))
    # distances to the centers, periodic like the cube
    tree = KDTree(centers, boxsize=edge)
    positions, site, grain = [], [], []
    for index in range(n_grains):
        own = orientation[index].apply(points)
        inside = np.flatnonzero((abs(own) < edge / 2).all(axis=1))
        own = np.mod(own[inside] + centers[index], edge)
        nearest = tree.query(own)[1] == index
        positions.append(own[nearest])
        site.append(sites[inside[nearest]])
        grain.append(np.full(nearest.sum(), index))
    together = np.concatenate(positions)
    close = KDTree(together, boxsize=edge).query_pairs(_TOO_CLOSE, output_type="ndarray")
    kept = np.setdiff1d(np.arange(len(together)), close[:, 1])
    box = np.array([edge, edge, edge, 0, 0, 0])
    system = System(together[kept] - edge / 2, box, np.zeros(len(kept), np.int64))
    return Polycrystal(
        cell,
        displace(system, noise, rng),
        np.concatenate(site)[kept],
        np.concatenate(grain)[kept],
        orientation,
    )
