"""Frank–Kasper phases of square–triangle tilings, most of which have no name.

Squares and triangles of columns of particles tile a plane (Frank and Kasper, Acta Cryst. 12, 483
(1959)): squares alone make cP8-Cr3Si (A15), triangles alone the Z phase, and both together
tP30-CrFe (σ) and any number of other structures. Those with the tiles in rows are made here.
"""

from collections.abc import Sequence

import numpy as np

from ..systems import Array, box_from_lattice, lattice_vectors, make_system
from .prototypes import UnitCell

#: Height of a row of triangles; edges, and the period along the columns, are 1.
_HEIGHT = np.sqrt(3) / 2

#: Particles of each row, without those of the row above it.
_COLUMN = [[0, 0, 0.25], [0, 0, 0.75], [0.5, 0, 0.5]]
_SQUARE = np.array(
    [
        *_COLUMN,
        [0, 0.5, 0],
        [0.25, 0.5, 0.5],
        [0.75, 0.5, 0.5],
        [0.5, 0.25, 0],
        [0.5, 0.75, 0],
    ]
)
_TRIANGLES = np.array(
    [
        *_COLUMN,
        [0.25, _HEIGHT / 2, 0.5],
        [0.75, _HEIGHT / 2, 0.5],
        [0.5, _HEIGHT / 3, 0],
        [0, _HEIGHT * 2 / 3, 0],
    ]
)


def rows_of_tiles(squares: Sequence[bool], name: str) -> UnitCell:
    """Make a unit cell of rows of squares and of triangles.

    Parameters
    ----------
    squares : sequence of bool
        For each row, whether it is of squares.
    name : str
        Of the cell.
    """
    corner = np.zeros(3)
    parts: list[Array] = []
    for square in squares:
        parts.append((_SQUARE if square else _TRIANGLES) + corner)
        corner = corner + ([0, 1, 0] if square else [0.5, _HEIGHT, 0])
    lattice = np.array([[1, 0, 0], corner, [0, 0, 1]])
    # half a period along a column is the shortest distance
    box = box_from_lattice(2 * lattice)
    fractional = np.concatenate(parts) @ np.linalg.inv(lattice)
    return UnitCell(name, 1, make_system(fractional @ lattice_vectors(box), box))


def random_rows(n: int, rng: np.random.Generator) -> list[UnitCell]:
    """N cells of three to eight rows in random order, with squares and triangles in each."""
    cells: list[UnitCell] = []
    while len(cells) < n:
        squares = rng.random(rng.integers(3, 9)) < rng.uniform(0.1, 0.9)
        if 0 < squares.sum() < len(squares):
            cells.append(rows_of_tiles(squares.tolist(), f"tiles-{len(cells)}"))
    return cells
