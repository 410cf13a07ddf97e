"""Search for nearest neighbors in a grid of cells, compiled for the CPU.

Particles are sorted by cell. All particles of a cell look through the same candidates, those of
the cells around it and their periodic images as far as a reach; what lies within the reach is
ranked by distance. A particle with fewer neighbors within the reach than it should have is left
to a further search, so that the result is exact.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..compiling import cached

Array = NDArray[np.float64]
Integers = NDArray[np.int64]


_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}


def _compiled(function: Callable[..., Any]) -> Any:
    return cached(function, _OPTIONS)


def _part(function: Callable[..., Any]) -> Any:
    """Compile a function as a part of others."""
    return njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, **_OPTIONS)(function)


@_part
def _gather(
    cell: int,
    shape: Integers,
    starts: Integers,
    points: Array,
    owners: Integers,
    lattice: Array,
    layers: Integers,
    out: Array,
    who: Integers,
) -> int:
    """Write the candidates of a cell: positions (3, room) and particles.

    Returns how many there are, whether there is room for them or not.
    """
    nx, ny, nz = shape
    x, y, z = cell // (ny * nz), cell // nz % ny, cell % nz
    count, room = 0, out.shape[1]
    for dx in range(-layers[0], layers[0] + 1):
        u, cx = (x + dx) // nx, (x + dx) % nx
        for dy in range(-layers[1], layers[1] + 1):
            v, cy = (y + dy) // ny, (y + dy) % ny
            row = (cx * ny + cy) * nz
            # cells along the last axis follow each other until they leave the box
            first, stop = z - layers[2], z + layers[2] + 1
            while first < stop:
                w, cz = first // nz, first % nz
                run = min(nz - cz, stop - first)
                a, b = starts[row + cz], starts[row + cz + run]
                if count + b - a <= room:
                    sx = u * lattice[0, 0] + v * lattice[1, 0] + w * lattice[2, 0]
                    sy = u * lattice[0, 1] + v * lattice[1, 1] + w * lattice[2, 1]
                    sz = u * lattice[0, 2] + v * lattice[1, 2] + w * lattice[2, 2]
                    for k in range(a, b):
                        out[0, count + k - a] = points[k, 0] + sx
                        out[1, count + k - a] = points[k, 1] + sy
                        out[2, count + k - a] = points[k, 2] + sz
                        who[count + k - a] = owners[k]
                count += b - a
                first += run
    return count


@_part
def _keep_nearest(distances: Array, inside: Integers, m: int, n: int) -> None:
    """Bring the n nearest of m to the front (Hoare's selection)."""
    low, high = 0, m - 1
    while low < high:
        pivot = distances[(low + high) // 2]
        a, b = low, high
        while a <= b:
            while distances[a] < pivot:
                a += 1
            while distances[b] > pivot:
                b -= 1
            if a <= b:
                distances[a], distances[b] = distances[b], distances[a]
                inside[a], inside[b] = inside[b], inside[a]
                a += 1
                b -= 1
        if n - 1 <= b:
            high = b
        elif n - 1 >= a:
            low = a
        else:
            return


@_compiled
def nearest_in_cells(
    wanted: Integers,
    rows: Integers,
    cells: Integers,
    shape: Integers,
    starts: Integers,
    points: Array,
    owners: Integers,
    lattice: Array,
    layers: Integers,
    reach: float,
    bonds: Array,
    neighbors: Integers,
    found: Any,
    some: tuple[int, int],
) -> None:
    """Nearest neighbors of some particles within a reach.

    Parameters
    ----------
    wanted : (m,)
        Particles.
    rows : (r,)
        Which of them to do, those of a cell next to each other.
    cells : (N,)
        Cell of each particle, (x·ny + y)·nz + z.
    shape : (3,)
        Cells along each lattice vector.
    starts : (cells + 1,)
        Where the particles of each cell begin among all, sorted by cell.
    points, owners : (N, 3) and (N,)
        Positions and particles in the order of the cells.
    lattice : (3, 3)
        Lattice vectors as rows.
    layers : (3,)
        Cells that the reach extends over in each direction.
    reach : float
        Distance.
    bonds, neighbors : (m, n, 3) and (m, n)
        Written, nearest first, where enough are found; others stay what they were.
    found : (r,) bool
        Written: whether.
    some : (int, int)
        Which of the rows to do, from the first to before the second.
    """
    n = neighbors.shape[1]
    limit = reach * reach
    room = 512
    near, who = np.empty((3, room)), np.empty(room, np.int64)
    distances, near_distances = np.empty(room), np.empty(room)
    inside = np.empty(room, np.int64)
    current, count = np.int64(-1), 0
    for pending in range(some[0], some[1]):
        row = rows[pending]
        i = wanted[row]
        if cells[i] != current:
            current = cells[i]
            count = _gather(current, shape, starts, points, owners, lattice, layers, near, who)
            if count > room:
                room = 2 * count
                near, who = np.empty((3, room)), np.empty(room, np.int64)
                distances, near_distances = np.empty(room), np.empty(room)
                inside = np.empty(room, np.int64)
                _gather(current, shape, starts, points, owners, lattice, layers, near, who)
        for k in range(starts[current], starts[current + 1]):
            if owners[k] == i:
                x, y, z = points[k, 0], points[k, 1], points[k, 2]
        xs, ys, zs = near[0], near[1], near[2]
        for k in range(count):
            a, b, c = xs[k] - x, ys[k] - y, zs[k] - z
            distances[k] = a * a + b * b + c * c
        m = 0
        itself = -1
        for k in range(count):
            inside[m] = k
            near_distances[m] = distances[k]
            m += distances[k] <= limit
        # the particle itself is the one of its images that lies where it is
        for k in range(m):
            if who[inside[k]] == i and near_distances[k] == 0:
                itself = k
        if itself >= 0:
            m -= 1
            inside[itself], near_distances[itself] = inside[m], near_distances[m]
        found[pending] = m >= n
        if m < n:
            continue
        if m > 3 * n:
            _keep_nearest(near_distances, inside, m, n)
            m = n
        for k in range(m):
            # how many are nearer; of equals, those that come first
            d, rank = near_distances[k], 0
            for other in range(k):
                rank += near_distances[other] <= d
            for other in range(k + 1, m):
                rank += near_distances[other] < d
            if rank < n:
                at = inside[k]
                bonds[row, rank, 0] = xs[at] - x
                bonds[row, rank, 1] = ys[at] - y
                bonds[row, rank, 2] = zs[at] - z
                neighbors[row, rank] = who[at]
