"""Sets of particles that neighbors connect, compiled for the CPU."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .grid import Array, Integers, _compiled, _part


@_part
def _root(parents: Any, i: int) -> int:
    """First particle of a set; halves the way there for those who come next."""
    while parents[i] != i:
        parents[i] = parents[parents[i]]
        i = parents[i]
    return i


@_compiled
def join(
    particles: Integers,
    bonds: Array,
    neighbors: Integers,
    members: NDArray[np.bool_],
    reaches: tuple[float, float, int],
    parents: NDArray[np.int32],
) -> None:
    """Join the sets of particles and of their neighbors within a reach.

    Parameters
    ----------
    particles : (m,)
        Particles, all of them members.
    bonds, neighbors : (m, n, 3) and (m, n)
        Their environments, nearest first.
    members : (N,) bool
        Neighbors that are not members connect nothing.
    reaches : (float, float, int)
        A distance; if it is not positive, a multiple of the mean distance of a number of nearest
        neighbors.
    parents : (N,)
        For each particle another one of its set, or itself if it is the first one; written.
    """
    r_max, factor, n_shell = reaches
    n = neighbors.shape[1]
    for row in range(len(particles)):
        reach = r_max
        if reach <= 0:
            total, shell = 0.0, min(n, n_shell)
            for k in range(shell):
                x, y, z = bonds[row, k, 0], bonds[row, k, 1], bonds[row, k, 2]
                total += np.sqrt(x * x + y * y + z * z)
            reach = factor * total / shell
        a = _root(parents, particles[row])
        for k in range(n):
            x, y, z = bonds[row, k, 0], bonds[row, k, 1], bonds[row, k, 2]
            if x * x + y * y + z * z > reach * reach:
                break
            if members[neighbors[row, k]]:
                b = _root(parents, neighbors[row, k])
                first, other = min(a, b), max(a, b)
                parents[other] = first
                a = first


@_compiled
def firsts(parents: NDArray[np.int32]) -> None:
    """Replace what :func:`join` has written by the first particle of each one's set."""
    for i in range(len(parents)):
        parents[i] = parents[parents[i]]  # those before i have theirs already
