"""Environments of a rank's particles, with the halo of other ranks' particles that these need.

A rank knows its own particles. It asks the others for those within some distance of the region
that its particles are in, images among them, and searches; a particle whose last neighbor is not
farther than all is known has its environment, and for the rest the rank asks again, of a region
that is as small as they allow and a distance that is longer. Embeddings of neighbors that other
ranks have are fetched from there: embedding a particle takes far longer than sending 128 bytes.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from ...neighbors.environments import N_NEIGHBORS, PeriodicTree, shortest_distance
from ...systems import Array, System, lattice_vectors, plane_spacings
from .ranks import Shipment, by_rank, ship, together

Integers = NDArray[np.int64]

#: Particles searched at a time; bounds the memory.
_CHUNK = 65_536

#: How much longer the distance becomes at each turn.
_GROWTH = 1.5

#: A particle or an image of it, as sent to another rank: its number is that on its own rank.
_IMAGE = np.dtype([("position", np.float64, 3), ("type", np.int64), ("number", np.int64)])


def images_within(fractional: Array, low: Array, high: Array) -> tuple[Integers, Integers]:
    """Particles, with the images of them, in a part of space that is bounded by lattice planes.

    Parameters
    ----------
    fractional : (N, 3)
        Coordinates in units of the lattice vectors.
    low, high : (3,)
        Bounds of the part in the same units.

    Returns
    -------
    (m,) int64, (m, 3) int64
        Indices of the particles, and the lattice vectors to add to each.
    """
    owners = np.arange(len(fractional))
    shifts = np.zeros((len(fractional), 3), np.int64)
    for axis in range(3):
        along = fractional[owners, axis]
        first = np.ceil(low[axis] - along).astype(np.int64)
        counts = np.maximum(np.floor(high[axis] - along).astype(np.int64) - first + 1, 0)
        sources = np.repeat(np.arange(len(owners)), counts)
        nth = np.arange(len(sources)) - np.repeat(np.cumsum(counts) - counts, counts)
        owners, shifts = owners[sources], shifts[sources]
        shifts[:, axis] = first[sources] + nth
    return owners, shifts


class _Images(NamedTuple):
    """Particles of other ranks, and images of any: (n,) ranks that have them, and the rest."""

    ranks: Integers
    images: NDArray[Any]


class Halo:
    """A rank's particles and their neighbors, which may be on any rank.

    Every rank has to make one and to call its methods, in the same order.

    Parameters
    ----------
    ours : mpi4py.MPI.Comm
        The ranks.
    system : System
        This rank's particles that may be neighbors, which may be none.

    Attributes
    ----------
    total : int
        Particles on all ranks.
    neighbors : (N, n) int32
        For particles that have been searched for, the indices of their neighbors: below N this
        rank's particles, from there on images in the order in which they were found.
    """

    def __init__(self, ours: Any, system: System) -> None:
        self._ours = ours
        self._system = system
        self._lattice = lattice_vectors(system.box)
        self._fractional = system.positions @ np.linalg.inv(self._lattice)
        self._images: list[_Images] = []
        self._searched = np.zeros(len(system.positions), bool)
        self.neighbors = np.full((len(system.positions), N_NEIGHBORS), -1, np.int32)
        self.total = ours.allreduce(len(system.positions))

    def search(self, particles: Integers) -> None:
        """Find the neighbors of some of this rank's particles."""
        pending = particles[~self._searched[particles]]
        self._searched[pending] = True
        distance = 0.0
        while self._ours.allreduce(len(pending)):
            distance = together(
                self._ours,
                lambda: _GROWTH * distance or self._first_distance(),  # noqa: B023
            )
            low, high = self._region(pending)
            halo = self._fetch(low, high, distance, len(pending) > 0)
            pending = together(
                self._ours,
                lambda: self._search_among(halo, pending, low, high, distance),  # noqa: B023
            )

    def _region(self, particles: Integers) -> tuple[Array, Array]:
        """Bounds of the region that particles are in."""
        if not len(particles):
            return np.zeros(3), np.zeros(3)
        inside = self._fractional[particles]
        return inside.min(axis=0), inside.max(axis=0)

    def _first_distance(self) -> float:
        """Where the search starts: the reach of one among this rank's particles alone."""
        if not len(self._fractional):
            return 0.0
        low, high = self._region(np.arange(len(self._fractional)))
        mean = (np.linalg.det(self._lattice) / self.total) ** (1 / 3)
        box = self._box(high - low + mean / plane_spacings(self._lattice))
        return PeriodicTree.build(self._system.positions, box).reach

    def _box(self, extents: Array) -> Array:
        """Box of (3,) extents in units of the lattice vectors."""
        box = self._system.box.copy()
        box[:3] *= extents
        return box

    def _fetch(self, low: Array, high: Array, distance: float, asks: bool) -> _Images:
        """Images within a distance of a region, without this rank's particles themselves."""
        ours = self._ours
        margins = distance / plane_spacings(self._lattice)
        regions = ours.allgather((asks, low - margins, high + margins))
        lowest, highest = self._region(np.arange(len(self._fractional)))
        counts = np.zeros(ours.size, np.int64)
        sent = [np.empty(0, _IMAGE)]
        for rank, (asked, start, end) in enumerate(regions):
            # whether any image of the region that this rank's particles are in meets it
            near = (np.ceil(start - highest) <= np.floor(end - lowest)).all()
            if asked and near and len(self._fractional):
                owners, shifts = images_within(self._fractional, start, end)
                if rank == ours.rank:
                    moved = shifts.any(axis=1)
                    owners, shifts = owners[moved], shifts[moved]
                rows = np.empty(len(owners), _IMAGE)
                rows["position"] = self._system.positions[owners] + shifts @ self._lattice
                rows["type"] = self._system.types[owners]
                rows["number"] = owners
                sent.append(rows)
                counts[rank] = len(rows)
        found = ship(ours, Shipment(np.concatenate(sent), counts))
        return _Images(np.repeat(np.arange(ours.size), found.counts), found.rows)

    def _search_among(
        self, halo: _Images, particles: Integers, low: Array, high: Array, distance: float
    ) -> Integers:
        """Search for neighbors among own particles and a halo; return those without all."""
        if not len(particles):
            return particles
        spacings = plane_spacings(self._lattice)
        margins = distance / spacings
        lowest, highest = self._region(np.arange(len(self._fractional)))
        # images across the faces of this box are no neighbors, and beyond what is known
        extents = np.maximum(highest, high + margins) - np.minimum(lowest, low - margins)
        own, total = len(self._fractional), self._n_points
        points = np.concatenate((self._system.positions, halo.images["position"]))
        tree = PeriodicTree.build(points, self._box(extents))
        rest = []
        for start in range(0, len(particles), _CHUNK):
            some = particles[start : start + _CHUNK]
            bonds, neighbors = tree.nearest(some, workers=torch.get_num_threads())
            inside = self._fractional[some]
            # how far from each particle everything is known
            known = distance + (np.minimum(inside - low, high - inside) * spacings).min(axis=1)
            complete = np.linalg.norm(bonds[:, -1], axis=-1) < known
            self.neighbors[some[complete]] = neighbors[complete]
            rest.append(some[~complete])
        left = np.concatenate(rest)
        done = np.setdiff1d(particles, left)
        # of the halo, keep what is a neighbor
        found = self.neighbors[done]
        used, places = np.unique(found[found >= own], return_inverse=True)
        found[found >= own] = total + places
        self.neighbors[done] = found
        self._images.append(_Images(halo.ranks[used - own], halo.images[used - own]))
        return left

    @property
    def _n_points(self) -> int:
        return len(self._fractional) + sum(len(some.ranks) for some in self._images)

    def _all_images(self) -> _Images:
        none = np.zeros(0, np.int64), np.zeros(0, _IMAGE)
        ranks, images = zip(none, *self._images, strict=True)
        return _Images(np.concatenate(ranks), np.concatenate(images))

    def points(self) -> tuple[Array, Integers]:
        """Positions (n, 3) and types (n,) of all that neighbors are indices of."""
        _, images = self._all_images()
        return (
            np.concatenate((self._system.positions, images["position"])),
            np.concatenate((self._system.types, images["type"])),
        )

    def shortest_distance(self) -> float:
        """:func:`~hoomd_gala.neighbors.shortest_distance` of all particles on all ranks."""
        self.search(np.arange(len(self._fractional)))
        positions, _ = self.points()
        lengths = np.empty(self.neighbors.shape, np.float32)
        for start in range(0, len(lengths), _CHUNK):
            some = slice(start, start + _CHUNK)
            centers = self._system.positions[some]
            lengths[some] = np.linalg.norm(
                positions[self.neighbors[some]] - centers[:, None], axis=-1
            )
        return shortest_distance(lengths, self._ours.allreduce)

    def wanted_by_any(self, particles: Integers) -> "Wanted":
        """Particles of this rank that are among some rank's particles or their neighbors.

        Parameters
        ----------
        particles : (m,) int64
            Those that this rank needs something of, and of their neighbors.
        """
        own = len(self._fractional)
        near = np.unique(self.neighbors[particles])
        ranks, images = self._all_images()
        images_near = (near[near >= own] - own).astype(np.int64)
        # several images of a particle have one embedding
        pairs = np.stack((ranks[images_near], images["number"][images_near]), axis=1)
        distinct, place = np.unique(pairs, axis=0, return_inverse=True)
        asked = ship(self._ours, by_rank(distinct[:, 0], distinct[:, 1], self._ours.size))
        needed = np.unique(np.concatenate((particles, near[near < own], asked.rows)))
        return Wanted(self._ours, needed, asked, own + images_near, place.reshape(-1))


class Wanted(NamedTuple):
    """Particles of a rank that something is to be computed of, and who else needs it.

    Attributes
    ----------
    particles : (m,) int64
        Indices on this rank, ascending.
    """

    ours: Any
    particles: Integers
    #: Those asked for by other ranks.
    asked: Shipment
    #: Images that this rank asked for, and where among what it gets that of each is.
    images: Integers
    places: Integers

    def exchange(self, values: NDArray[np.float32], total: int) -> NDArray[np.float32]:
        """Values (total, D) of all points that are needed, from those of ``particles``."""
        rows = values[np.searchsorted(self.particles, self.asked.rows)]
        fetched = ship(self.ours, Shipment(rows, self.asked.counts))
        everyone = np.zeros((total, values.shape[1]), np.float32)
        everyone[self.particles] = values
        everyone[self.images] = fetched.rows[self.places]
        return everyone
