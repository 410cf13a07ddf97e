"""Particle environments: the bonds to the nearest neighbors under periodic boundary conditions."""

import itertools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import KDTree

from .errors import InputError
from .systems import Array, lattice_vectors, make_system

#: Nearest neighbors in an environment (figure 1d of arXiv 2411.14680).
N_NEIGHBORS = 20


class Environments(NamedTuple):
    """Environments of m particles.

    Attributes
    ----------
    bonds : (m, n, 3) float64
        Vectors to the n nearest neighbors, nearest first.
    neighbors : (m, n) int64
        Indices of these neighbors.
    """

    bonds: Array
    neighbors: NDArray[np.int64]


@dataclass
class PeriodicTree:
    """A k-d tree over the particles of a periodic box and the images around it.

    Images are laid out as far as neighbors have been looked for: the tree grows when a query
    reaches further, so that a dense system needs few and a gas is still searched exactly.
    """

    fractional: Array
    lattice: Array
    reach: float
    tree: KDTree
    owners: NDArray[np.int64]

    @classmethod
    def build(cls, positions: ArrayLike, box: ArrayLike) -> "PeriodicTree":
        """Tree over (N, 3) positions in any triclinic periodic box; checks both."""
        system = make_system(positions, box)
        total = len(system.positions)
        if total <= N_NEIGHBORS:
            raise InputError(
                f"there are {total} particles; an environment of {N_NEIGHBORS} neighbors needs at "
                f"least {N_NEIGHBORS + 1}."
            )
        lattice = lattice_vectors(system.box)
        fractional = system.positions @ np.linalg.inv(lattice)
        fractional -= np.floor(fractional)
        # sphere that holds the neighbors at the mean density, with a margin for fluctuations
        volume = np.linalg.det(lattice) / total * (N_NEIGHBORS + 1)
        reach = 1.3 * (volume * 3 / (4 * np.pi)) ** (1 / 3)
        return cls(fractional, lattice, reach, *_images(fractional, lattice, reach))

    def nearest(
        self, particles: ArrayLike | None = None, n: int = N_NEIGHBORS, workers: int = 1
    ) -> Environments:
        """Environments of some particles.

        Parameters
        ----------
        particles : (m,) int, optional
            Indices of the particles; all if not given.
        n : int
            Number of neighbors.
        workers : int
            Threads.

        Raises
        ------
        InputError
            If the box is so thin that a particle's own image is among its neighbors.
        """
        total = len(self.fractional)
        ids = np.arange(total) if particles is None else np.asarray(particles, dtype=np.int64)
        centers = self.fractional[ids] @ self.lattice
        bonds = np.empty((len(ids), n, 3))
        neighbors = np.empty((len(ids), n), dtype=np.int64)
        pending = np.arange(len(ids))
        while True:
            # one more than asked for: the particle itself comes along at distance zero
            _, index = self.tree.query(centers[pending], k=n + 1, workers=workers)
            itself = index == ids[pending, None]
            # more than n particles in one place: any of them may be left out
            itself[~itself.any(axis=1), -1] = True
            index = index[~itself].reshape(-1, n)
            bonds[pending] = self.tree.data[index] - centers[pending, None, :]
            neighbors[pending] = self.owners[index]
            # the images laid out so far may have missed a neighbor beyond their reach
            pending = pending[np.linalg.norm(bonds[pending, -1], axis=-1) > self.reach]
            if not len(pending):
                break
            self.reach *= 1.5
            self.tree, self.owners = _images(self.fractional, self.lattice, self.reach)
        own = (neighbors == ids[:, None]).any(axis=1)
        if own.any():
            raise InputError(
                f"the box is too thin for {n} neighbors: {own.sum()} of {len(ids)} particles have "
                "their own periodic image among them; replicate the system."
            )
        return Environments(bonds, neighbors)


def _images(fractional: Array, lattice: Array, reach: float) -> tuple[KDTree, NDArray[np.int64]]:
    """Tree over the box and all images within ``reach`` of it, and the particle behind each."""
    # distance between opposite faces = 1 / length of the reciprocal vector
    margins = reach * np.linalg.norm(np.linalg.inv(lattice), axis=0)
    points = fractional
    owners = np.arange(len(fractional))
    for axis, margin in enumerate(margins):
        layers, members = [points], [owners]
        for shift in itertools.chain.from_iterable((s, -s) for s in range(1, int(margin) + 2)):
            coordinate = points[:, axis] + shift
            near = (coordinate >= -margin) & (coordinate < 1 + margin)
            layer = points[near]
            layer[:, axis] += shift
            layers.append(layer)
            members.append(owners[near])
        points, owners = np.concatenate(layers), np.concatenate(members)
    return KDTree(points @ lattice, balanced_tree=False, compact_nodes=False), owners


def nearest_neighbors(positions: ArrayLike, box: ArrayLike, n: int = N_NEIGHBORS) -> Environments:
    """Environments of all particles of a periodic box.

    Parameters
    ----------
    positions : (N, 3)
        Positions, inside the box or not.
    box : (6,)
        ``[Lx, Ly, Lz, xy, xz, yz]`` as HOOMD and GSD have it.
    n : int
        Number of neighbors.

    Raises
    ------
    InputError
        For positions or a box that no environments can be had of.
    """
    return PeriodicTree.build(positions, box).nearest(n=n)


def mean_bond_length(bonds: Array) -> float:
    """Mean length of all bonds of a set of environments."""
    return float(np.linalg.norm(bonds, axis=-1).mean())


def scale_bonds(bonds: Array, length_scale: float | None = None) -> Array:
    """Bonds as networks take them: in units of twice a length.

    Parameters
    ----------
    bonds : (m, n, 3)
        Bond vectors.
    length_scale : float, optional
        That length; each environment's own mean bond length if not given.
    """
    if length_scale is None:
        lengths = np.linalg.norm(bonds, axis=-1).mean(axis=-1)
        return bonds / (2 * np.maximum(lengths, np.finfo(float).tiny)[:, None, None])
    return bonds / (2 * length_scale)
