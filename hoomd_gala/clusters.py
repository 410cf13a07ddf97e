"""Clusters: nuclei and grains, as particles in a structure that neighbors connect."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from .errors import InputError
from .neighbors.boundaries import vacuum_box
from .neighbors.environments import PeriodicTree
from .results import UNKNOWN, class_indices
from .systems import System

#: Neighbors that may connect a particle: more than any first shell that holds a crystal together.
_N_NEIGHBORS = 14

#: Nearest neighbors whose mean distance stands for the first shell, the smallest of which has four,
#: and how much farther than that mean a connection reaches: not to a second shell, the nearest of
#: which, in sc and fcc, is 1.41 times as far.
_N_SHELL, _REACH = 4, 1.35

#: Particles searched at a time; bounds the memory.
_CHUNK = 65_536


class Clusters(NamedTuple):
    """Clusters of a system.

    Attributes
    ----------
    ids : (N,) int32
        Cluster of each particle, 0 for the largest; -1 for particles in none.
    sizes : (k,) int64
        Particles in each cluster, in descending order.
    """

    ids: NDArray[np.int32]
    sizes: NDArray[np.int64]

    @property
    def largest(self) -> int:
        """Particles in the largest cluster; 0 if there is none."""
        return int(self.sizes[0]) if len(self.sizes) else 0


def find_clusters(
    system: System,
    label: NDArray[np.int32],
    class_names: Sequence[str],
    structure: str | Sequence[str] | None = None,
    r_max: float | None = None,
    workers: int = 1,
) -> Clusters:
    """Find clusters of particles in a structure, in any of several, or in anything solid.

    Two particles are connected if one is among the 14 nearest neighbors of the other, not farther
    than ``r_max``. Clusters of equal size are in the order of their first particles.

    Parameters
    ----------
    system : System
        N particles.
    label : (N,) int
        Indices into ``class_names``, -1 for unknown.
    class_names : sequence of str
        Names of the classes.
    structure : str or sequence of str, optional
        Names of classes, or ``"unknown"``; if not given, all that are neither disordered nor
        unknown, connected whatever their structures.
    r_max : float, optional
        Largest distance of particles that are connected, in the unit of the positions; if not
        given, 1.35 times the mean distance of the four nearest neighbors of the particle.
    workers : int
        Threads of the search for neighbors.

    Raises
    ------
    InputError
        If there is no class of that name, ``r_max`` is not positive, or the labels do not fit the
        system or the classes.
    """
    if r_max is not None and not r_max > 0:
        raise InputError(f"r_max is {r_max}; give a positive distance.")
    label, total = np.asarray(label), len(system.positions)
    if label.shape != (total,) or label.dtype.kind not in "iu":
        raise InputError(
            f"labels have shape {label.shape} and dtype {label.dtype}; give one integer for each "
            f"of the {total} particles."
        )
    wrong = (label < UNKNOWN) | (label >= len(class_names))
    if wrong.any():
        raise InputError(
            f"label {label[wrong][0]} is none of the {len(class_names)} classes, and not -1."
        )
    chosen = np.zeros(len(class_names) + 1, bool)
    chosen[class_indices(class_names, structure)] = True
    inside = chosen[label]  # -1 picks the last one
    members = np.flatnonzero(inside)
    if not len(members):
        return Clusters(np.full(len(label), -1, np.int32), np.zeros(0, np.int64))
    number = np.cumsum(inside) - 1
    # without images there are no more neighbors than other particles
    n = _N_NEIGHBORS if any(system.periodic) else max(1, min(_N_NEIGHBORS, len(label) - 1))
    tree = PeriodicTree.build(system.positions, vacuum_box(system, n))
    first, second = [], []
    # particles near each other come together: they have neighbors in common
    for some in np.split(tree.order, range(_CHUNK, len(tree.order), _CHUNK)):
        particles = some[inside[some]]
        found = tree.nearest(particles, n, workers)
        lengths = np.linalg.norm(found.bonds, axis=-1)
        reach = r_max or _REACH * lengths[:, :_N_SHELL].mean(axis=1, keepdims=True)
        row, column = np.nonzero((lengths <= reach) & inside[found.neighbors])
        first.append(number[particles[row]].astype(np.int32))
        second.append(number[found.neighbors[row, column]].astype(np.int32))
    edges = np.concatenate(first), np.concatenate(second)
    graph = coo_array((np.ones(len(edges[0]), np.int8), edges), (len(members), len(members)))
    _, component = connected_components(graph, directed=False)
    # components are numbered by their first particles, and a stable sort keeps that order
    sizes = np.bincount(component)
    by_size = np.argsort(-sizes, kind="stable")
    rank = np.empty(len(sizes), np.int32)
    rank[by_size] = np.arange(len(sizes), dtype=np.int32)
    ids = np.full(len(label), -1, np.int32)
    ids[members] = rank[component]
    return Clusters(ids, sizes[by_size])
