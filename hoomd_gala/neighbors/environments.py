"""Particle environments: the bonds to the nearest neighbors under periodic boundary conditions."""

import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import KDTree

from ..errors import InputError, NoEnvironmentsError
from ..systems import Array, System, make_system, plane_spacings, short_lattice
from ..threads import share_out

#: Nearest neighbors in an environment (figure 1d of arXiv 2411.14680).
N_NEIGHBORS = 20


#: Unit of the bonds that networks see: each environment's own mean bond length, the shortest
#: distance of the structure, or a length in the unit of the positions.
LENGTH_CONVENTIONS = ("mean", "shortest", "absolute")

#: Share of particles that are nearer to a neighbor than where the search for the shortest distance
#: starts, and how much longer than the shortest distance bonds of the first shell are at most.
_NEAREST_SHARE, _SHELL = 0.1, 1.12

Integers = NDArray[np.int64]

#: Sums a number or an array over processes.
Total = Callable[[Any], Any]

#: Arrays or tensors: whatever comes in goes out.
Bonds = TypeVar("Bonds", bound=Any)


@functools.cache
def _kernels() -> ModuleType:
    """Import the compiled search when it first runs: numba takes a while to load."""
    from . import grid as neighbor_kernels

    return neighbor_kernels


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


def check_number(system: System, n: int = N_NEIGHBORS) -> None:
    """Refuse fewer particles than have n neighbors each.

    Raises
    ------
    NoEnvironmentsError
        If there are none, or too few in a system without images.
    """
    total = len(system.positions)
    if not total:
        raise NoEnvironmentsError("there are no particles.")
    if total <= n and not any(system.periodic):
        raise NoEnvironmentsError(
            f"there are {total} particles without periodic boundaries; an environment of {n} "
            f"neighbors needs at least {n + 1}."
        )


def periodic_system(positions: ArrayLike, box: Any) -> System:
    """:func:`~hoomd_gala.systems.make_system` of what a search takes.

    Raises
    ------
    InputError
        As there, if there are no particles, and for a box that is open somewhere.
    """
    system = make_system(positions, box)
    if not all(system.periodic):
        raise InputError(
            f"the box is open (periodic is {system.periodic}), and the search takes periodic ones; "
            "give it the hoomd_gala.neighbors.vacuum_box of the system."
        )
    check_number(system)
    return system


class _Grid(NamedTuple):
    """Particles sorted by the cells of a grid, for searches as far as a reach.

    Attributes
    ----------
    reach : float
        Distance that is searched.
    shape, layers : (3,) int64
        Cells along each lattice vector, and how many of them the reach extends over.
    order, cells : (N,) int64
        Particles, cell by cell, the last axis the fastest; and the cell of each particle.
    starts : (cells + 1,) int64
        Where in ``order`` each cell begins.
    points : (N, 3) float64
        Positions in the order of the cells.
    """

    reach: float
    shape: Integers
    layers: Integers
    order: Integers
    cells: Integers
    starts: Integers
    points: Array

    @property
    def crowding(self) -> float:
        """Other particles in a particle's own cell, on average."""
        counts = np.diff(self.starts)
        return float((counts * counts).sum() / len(self.cells)) - 1


#: How much farther than the mean distance of the last neighbor a search reaches, and by how much
#: it reaches farther from one try to the next.
MARGIN, GROWTH = 1.2, 1.5

#: Particles in a cell, on average over particles, that are too many to look through.
_CROWDED = 400


@dataclass
class PeriodicTree:
    """The particles of a periodic box, sorted for the search for their neighbors.

    A search looks at the cells around a particle as far as a reach, which follows from the density
    where most particles are. What has fewer neighbors within it, the vapor around a droplet, is
    searched for in larger cells, as often as needed. Where most particles are in so small a part
    of the box that cells would be too many, a k-d tree is searched.

    Images are neighbors like any other particle, those of a particle itself among them, so that a
    box may be as small as a primitive cell.
    """

    fractional: Array
    lattice: Array
    grids: list[_Grid]
    tree: "_Tree | None" = None

    @classmethod
    def build(cls, positions: ArrayLike, box: ArrayLike, n: int = N_NEIGHBORS) -> "PeriodicTree":
        """Sorted (N, 3) positions in any triclinic periodic box; checks both.

        Searches for about n neighbors are the fastest.
        """
        system = periodic_system(positions, box)
        total = len(system.positions)
        lattice = short_lattice(system.box)
        fractional = system.positions @ np.linalg.inv(lattice)
        fractional -= np.floor(fractional)
        tree = cls(fractional, lattice, [])
        volume = np.linalg.det(lattice) / total
        # the images along the shortest lattice vector are neighbors at the latest
        most = N_NEIGHBORS * float(np.linalg.norm(lattice, axis=1).min())
        grid = tree._grid(min(reach(volume, n), most))
        for _ in range(20):
            # the volume of a particle where most particles are
            cell = np.linalg.det(lattice) / grid.shape.prod()
            crowded = cell / max(grid.crowding, 1)
            if crowded > volume / 2:
                break
            volume = crowded
            finer = tree._grid(min(reach(volume, n), most))
            if (finer.shape == grid.shape).all():
                break
            grid = finer
        tree.grids.append(grid)
        if grid.crowding > _CROWDED:
            tree.tree = _Tree.build(fractional, lattice)
        return tree

    @property
    def order(self) -> Integers:
        """(N,) particles, such that those near to each other in the box are so in the list."""
        return self.grids[0].order

    @property
    def reach(self) -> float:
        """Distance that is searched first, which follows from the density."""
        return self.grids[0].reach

    def _grid(self, reach: float) -> _Grid:
        # distance between opposite faces = 1 / length of the reciprocal vector
        spacings = plane_spacings(self.lattice)
        # cells as high as the reach, or half of it where that leaves few of them
        coarse, fine = np.maximum(spacings // reach, 1), np.maximum(2 * spacings // reach, 1)
        shape = np.where(3 / coarse > 1.3 * 5 / fine, fine, coarse)
        # not many more cells than particles
        most = 4 * len(self.fractional) + 64
        shrink = min(1, (most / shape.prod()) ** (1 / 3))
        shape = np.maximum(np.floor(shape * shrink), 1).astype(np.int64)
        layers = np.ceil(reach * shape / spacings * (1 + 1e-9)).astype(np.int64)
        # a coordinate just below 1 may be rounded up
        index = np.minimum((self.fractional * shape).astype(np.int64), shape - 1)
        cells = (index[:, 0] * shape[1] + index[:, 1]) * shape[2] + index[:, 2]
        order = np.argsort(cells, kind="stable")
        counts = np.bincount(cells, minlength=shape.prod())
        starts = np.concatenate(([0], np.cumsum(counts)))
        points = (self.fractional @ self.lattice)[order]
        return _Grid(reach, shape, layers, order, cells, starts, points)

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
        """
        total = len(self.fractional)
        ids = np.arange(total) if particles is None else np.asarray(particles, dtype=np.int64)
        bonds = np.empty((len(ids), n, 3))
        neighbors = np.empty((len(ids), n), dtype=np.int64)
        if self.tree is not None:
            self.tree.search(ids, bonds, neighbors, workers)
        else:
            self._search(ids, bonds, neighbors, workers)
        return Environments(bonds, neighbors)

    def shortest_distance(self, workers: int = 1) -> float:
        """:func:`shortest_distance` of all particles."""
        lengths = np.empty((len(self.fractional), N_NEIGHBORS), np.float32)
        for rows in np.array_split(self.order, -(-len(self.order) // 8192)):
            bonds = self.nearest(rows, workers=workers).bonds
            lengths[rows] = np.linalg.norm(bonds, axis=-1)
        return shortest_distance(lengths)

    def _search(self, ids: Integers, bonds: Array, neighbors: Integers, workers: int) -> None:
        kernels = _kernels()
        pending = np.arange(len(ids))
        level = 0
        while len(pending):
            if level == len(self.grids):
                self.grids.append(self._grid(GROWTH * self.grids[-1].reach))
            grid = self.grids[level]
            # particles of a cell next to each other: they have the same candidates
            pending = pending[np.argsort(grid.cells[ids[pending]], kind="stable")]
            found = np.empty(len(pending), bool)

            search = functools.partial(
                kernels.nearest_in_cells,
                ids,
                pending,
                *(grid.cells, grid.shape, grid.starts, grid.points, grid.order),
                *(self.lattice, grid.layers, grid.reach),
                *(bonds, neighbors, found),
            )
            share_out(search, len(pending), workers)
            pending = pending[~found]
            level += 1


def reach(volume: float, n: int = N_NEIGHBORS) -> float:
    """Radius that holds n neighbors at some volume per particle, with a margin for fluctuations."""
    radius: float = MARGIN * ((n + 1) * volume * 3 / (4 * np.pi)) ** (1 / 3)
    return radius


@dataclass
class _Tree:
    """A k-d tree over the particles of a periodic box and the images around it.

    Images are laid out as far as neighbors have been looked for: the tree grows when a query
    reaches further.
    """

    fractional: Array
    lattice: Array
    reach: float
    tree: KDTree
    owners: Integers

    @classmethod
    def build(cls, fractional: Array, lattice: Array) -> "_Tree":
        radius = reach(np.linalg.det(lattice) / len(fractional))
        return cls(fractional, lattice, radius, *_images(fractional, lattice, radius))

    def search(self, ids: Integers, bonds: Array, neighbors: Integers, workers: int) -> None:
        """Write the environments of some particles."""
        n = neighbors.shape[1]
        centers = self.fractional[ids] @ self.lattice
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
            self.reach *= GROWTH
            self.tree, self.owners = _images(self.fractional, self.lattice, self.reach)


def _images(fractional: Array, lattice: Array, reach: float) -> tuple[KDTree, Integers]:
    """Tree over the box and all images within ``reach`` of it, and the particle behind each."""
    # distance between opposite faces = 1 / length of the reciprocal vector
    margins = reach / plane_spacings(lattice)
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
        For positions or a box without environments.
    """
    return PeriodicTree.build(positions, box).nearest(n=n)


def nearest_distance(positions: ArrayLike, box: ArrayLike) -> float:
    """Median distance of the particles of a periodic box to their nearest neighbors.

    Parameters
    ----------
    positions, box
        As :func:`nearest_neighbors` takes them.

    Raises
    ------
    InputError
        As :func:`nearest_neighbors` does.
    """
    bonds = nearest_neighbors(positions, box, n=1).bonds
    return float(np.median(np.linalg.norm(bonds, axis=-1)))


def mean_bond_length(bonds: Array) -> float:
    """Mean length of all bonds of a set of environments."""
    return float(np.linalg.norm(bonds, axis=-1).mean())


#: Share of the median distance to a neighbor below which two particles are one, stored twice.
_SAME_PLACE = 1e-3


def _quantile_of_all(values: NDArray[np.float32], share: float, total: Total) -> float:
    """Quantile of the values, which are not negative, that several processes have.

    The bits of such numbers are in the order of the numbers, so that halving their range finds the
    one that so many do not exceed.
    """
    place = share * (total(values.size) - 1)
    ranks = np.floor(place) + np.array([1, 1 + (place % 1 > 0)])
    ordered = np.sort(values, axis=None)
    low = np.zeros(2, np.int64)
    high = np.full(2, np.float32(np.inf).view(np.int32), np.int64)
    while (low < high).any():
        middle = (low + high) // 2
        counts = total(np.searchsorted(ordered, middle.astype(np.int32).view(np.float32), "right"))
        low, high = np.where(counts < ranks, (middle + 1, high), (low, middle))
    first, second = high.astype(np.int32).view(np.float32).tolist()
    return float(first + (place % 1) * (second - first))


def shortest_distance(lengths: NDArray[Any], total: Total | None = None) -> float:
    """Shortest distance of the structure that displaced particles are in.

    The mean length of the first shell, that is of all bonds up to 1.12 times as long, found by
    lengthening the lower decile of the distances to the nearest neighbors until it is that.

    Models that learn from unit cells see bonds in units of the shortest distance before particles
    are displaced. The least distance afterwards says little of it: in cells displaced by 0.1 it is
    0.56, and 0.91 is the median distance to the nearest neighbor, which is the nearest of several.
    Averaged over the shell, displacements cancel. Over a quarter of the AFLOW prototypes and
    displacements of 0.01, 0.05 and 0.1, this is within 6 % of the truth (root mean square; too long
    by up to 15 % where the first shell is wide, as in σ). It changes the embeddings of the model
    ``denoising`` by 3.8, 4.7 and 8.0 % against those in true units, where the lower decile itself
    makes that 2.3, 13 and 29 %, the median nearest distance 3.1, 6.2 and 12.5 %, and each
    environment's own shortest bond 7.9, 12.5 and 21.5 %. Extrapolation from the lowest percents of
    nearest distances is as near to the truth but fluctuates five times as much from frame to frame.
    In a run that cools a gas to a solid (OPP, k = 6.25), it goes from 1.31 to 1.35, and the mean
    bond length from 2.2 to 1.7.

    Parameters
    ----------
    lengths : (N, n)
        Distances to the nearest neighbors of each particle, nearest first, in any unit.
    total : callable, optional
        Sums a number or an array over the processes that have a part of the particles each, which
        then have float32 lengths; if not given, these are all.

    Returns
    -------
    float
        In the same unit.
    """
    # particles in the same place, but for rounding, say nothing
    median = np.median(lengths) if total is None else _quantile_of_all(lengths, 0.5, total)
    positive = np.where(lengths > _SAME_PLACE * median, lengths, np.inf)
    nearest = positive.min(axis=1)
    nearest = nearest[np.isfinite(nearest)]
    if not (len(nearest) if total is None else total(len(nearest))):
        return 1.0  # any is as good
    bonds = np.sort(positive, axis=None)
    sums = np.concatenate(([0.0], np.cumsum(bonds, dtype=np.float64)))
    if total is None:
        shortest = float(np.quantile(nearest, _NEAREST_SHARE))
    else:
        shortest = _quantile_of_all(nearest.astype(np.float32), _NEAREST_SHARE, total)
    while True:
        count = int(np.searchsorted(bonds, _SHELL * shortest, side="right"))
        shell = np.array([count, sums[count]])
        count, length = (shell if total is None else total(shell)).tolist()
        longer = length / count
        if longer <= shortest * (1 + 1e-6):
            return shortest
        shortest = longer


def bond_units(bonds: Any, length_scale: float | None = None) -> Any:
    """Units of the bonds that networks see: twice a length.

    Parameters
    ----------
    bonds : (m, n, 3)
        Bond vectors, an array or a tensor on any device.
    length_scale : float, optional
        That length; each environment's own mean bond length if not given.

    Returns
    -------
    float, or (m, 1, 1) of what the bonds are
    """
    if length_scale is None:
        # what arrays and tensors have in common
        lengths = ((bonds * bonds).sum(-1) ** 0.5).mean(-1)
        return 2 * lengths.clip(float(np.finfo(float).tiny))[:, None, None]
    return 2 * length_scale


def scale_bonds(bonds: Bonds, length_scale: float | None = None) -> Bonds:
    """Bonds as networks take them, in double precision; see :func:`bond_units`."""
    scaled: Bonds = bonds / bond_units(bonds, length_scale)
    return scaled
