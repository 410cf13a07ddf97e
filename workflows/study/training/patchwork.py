"""Boxes of several pieces: grains, crystals in their melt, droplets and slabs in vacuum, pores.

A piece fills the Voronoi polyhedron of one of a few random points. Where pieces meet, or a piece
meets an image of itself, particles that are too close are removed. A particle keeps the label of
its crystal while enough of its neighbors are left.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

from hoomd_gala.neighbors.environments import PeriodicTree
from hoomd_gala.systems import Array, System, lattice_vectors, make_system, plane_spacings

#: Of particles of different pieces that are closer than this, one is removed.
TOO_CLOSE = 0.8
#: Share of the nearest neighbors of a crystal's particle that must be left for it to keep its
#: label, and below which it is disordered.
INTACT, BROKEN = 0.9, 0.6


class Piece(NamedTuple):
    """What fills a part of the box.

    Attributes
    ----------
    system : System
        Periodic, with labels for types; the shortest distance is about 1.
    coordination : int
        How many of the nearest neighbors make up an environment; 0 for what has none.
    """

    system: System
    coordination: int


def _filled(piece: Piece, edge: float, rng: np.random.Generator) -> tuple[Array, NDArray[np.int64]]:
    """Positions in a cube around the origin, rotated at random, and indices into the system."""
    system = piece.system
    lattice = lattice_vectors(system.box)
    reach = np.sqrt(3) / 2 * edge
    counts = np.ceil(reach / plane_spacings(lattice)).astype(int) + 1
    steps = [np.arange(-count, count + 1) for count in counts]
    shifts = np.stack(np.meshgrid(*steps, indexing="ij"), -1).reshape(-1, 3) @ lattice
    # images of the cell that cannot reach the cube are not made
    radius = np.linalg.norm(np.abs(lattice).sum(axis=0)) + reach
    shifts = shifts[np.linalg.norm(shifts, axis=1) < radius]
    positions = system.positions + rng.uniform(-1, 1, 3)
    points = (positions + shifts[:, None]).reshape(-1, 3)
    indices = np.tile(np.arange(len(positions)), len(shifts))
    points = Rotation.random(rng=rng).apply(points)
    inside = (np.abs(points) < edge / 2).all(axis=1)
    return points[inside], indices[inside]


class Filled(NamedTuple):
    """A box of several pieces.

    Attributes
    ----------
    system : System
        With labels for types.
    piece, within : (N,) int64
        Which piece each particle is of, and which particle of its system.
    """

    system: System
    piece: NDArray[np.int64]
    within: NDArray[np.int64]


def fill(
    pieces: Sequence[Piece | None],
    centers: Array,
    edge: float,
    ignored: int,
    disordered: int,
    rng: np.random.Generator,
) -> Filled:
    """Fill a periodic cube with pieces, and say where each particle is from.

    Parameters
    ----------
    pieces : sequence of Piece or None
        What fills the polyhedron of each center; None for vacuum.
    centers : (n, 3)
        Points in the cube.
    edge : float
        Of the cube.
    ignored, disordered : int
        Labels of particles whose environment is no longer whole, and of those that have lost it.
    rng : numpy.random.Generator
        Of orientations and offsets.
    """
    tree = KDTree(centers, boxsize=edge)
    parts = []
    for index, piece in enumerate(pieces):
        if piece is None:
            continue
        points, indices = _filled(piece, edge, rng)
        own = tree.query(np.mod(points + centers[index], edge))[1] == index
        points, indices = points[own], indices[own]
        parts.append(
            _Particles(points, np.full(len(points), index), indices, piece.system.types[indices])
        )
    everyone = _Particles(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    positions = np.mod(everyone.local + centers[everyone.piece], edge)
    close = KDTree(positions, boxsize=edge).query_pairs(TOO_CLOSE, output_type="ndarray")
    close = close[~_in_one_piece(everyone, close[:, 0], close[:, 1], TOO_CLOSE)]
    kept = np.setdiff1d(np.arange(len(positions)), close[:, 1])
    everyone = _Particles(*(column[kept] for column in everyone))
    box = [edge, edge, edge, 0, 0, 0]
    result = make_system(positions[kept] - edge / 2, box, everyone.label)
    labels = everyone.label.copy()
    for index, piece in enumerate(pieces):
        rows = np.flatnonzero(everyone.piece == index)
        if piece is not None and piece.coordination and len(rows):
            intact = _intact(result, piece, rows, everyone)
            whole = np.where(intact >= INTACT, everyone.label[rows], ignored)
            labels[rows] = np.where(intact < BROKEN, disordered, whole)
    return Filled(result._replace(types=labels), everyone.piece, everyone.within)


class _Particles(NamedTuple):
    """Particles of all pieces: positions relative to the center of the piece, and what they are."""

    local: Array
    piece: NDArray[np.int64]
    #: Which particle of the piece's system each is.
    within: NDArray[np.int64]
    label: NDArray[np.int64]


def _in_one_piece(
    everyone: _Particles, first: NDArray[np.int64], second: NDArray[np.int64], reach: float
) -> NDArray[np.bool_]:
    """Whether pairs are of one piece and within reach there, and not of two images of it."""
    apart = np.linalg.norm(everyone.local[first] - everyone.local[second], axis=-1)
    inside: NDArray[np.bool_] = (everyone.piece[first] == everyone.piece[second]) & (apart < reach)
    return inside


def _intact(
    result: System, piece: Piece, rows: NDArray[np.int64], everyone: _Particles
) -> NDArray[np.float64]:
    """Share of the neighbors of a crystal's particles, given as rows, that are left."""
    n = piece.coordination
    perfect = PeriodicTree.build(piece.system.positions, piece.system.box).nearest(n=n).bonds
    reach = np.linalg.norm(perfect, axis=-1).max(axis=1)[everyone.within[rows]] * 1.05
    found = PeriodicTree.build(result.positions, result.box).nearest(rows, n=n)
    near = np.linalg.norm(found.bonds, axis=-1) < reach[:, None]
    same = _in_one_piece(everyone, found.neighbors, rows[:, None], reach.max() + 1e-6)
    share: NDArray[np.float64] = (near & same).mean(axis=1)
    return share
