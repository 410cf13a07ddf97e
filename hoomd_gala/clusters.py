"""Clusters: nuclei and grains, as particles in a structure that neighbors connect."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import InputError
from .neighbors.boundaries import vacuum_box
from .neighbors.environments import PeriodicTree
from .results import UNKNOWN, Clusters, class_indices, no_clusters
from .selection import (
    Choice,
    among_neighbors,
    bodies_once,
    choose,
    fill,
    frame_centers,
    over_bodies,
)
from .systems import System, as_system

__all__ = ["Clusters", "find_clusters"]

#: Neighbors that may connect a particle: more than any first shell that holds a crystal together.
_N_NEIGHBORS = 14

#: Nearest neighbors whose mean distance stands for the first shell, the smallest of which has four,
#: and how much farther than that mean a connection reaches: not to a second shell, the nearest of
#: which, in sc and fcc, is 1.41 times as far.
_N_SHELL, _REACH = 4, 1.35

#: Particles searched at a time; bounds the memory.
_CHUNK = 8192


def check_reach(r_max: float) -> None:
    """Refuse a largest distance of connected particles that is none."""
    if not r_max > 0:
        raise InputError(f"r_max is {r_max}; give a positive distance.")


def find_clusters(
    system: Any,
    label: NDArray[np.int32],
    class_names: Sequence[str],
    structure: str | Sequence[str] | None = None,
    r_max: float | None = None,
    workers: int = 1,
    neighbors: Any = None,
) -> Clusters:
    """Find clusters of particles in a structure, in any of several, or in anything solid.

    Two particles are connected if one is among the 14 nearest neighbors of the other, not farther
    than ``r_max``. Clusters of equal size are in the order of their first particles.

    Parameters
    ----------
    system
        N particles, in any form that :func:`~hoomd_gala.systems.as_system` takes: a ``System``,
        (box, points) as in freud, a GSD frame, an OVITO ``DataCollection``, ASE ``Atoms``.
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
    neighbors : optional
        Particles that may be neighbors, as :meth:`hoomd_gala.Analyzer.analyze` takes them; others
        are in no cluster. If not given, all but constituents of rigid bodies, which are where their
        body is; sizes are numbers of the others.

    Raises
    ------
    InputError
        If there is no class of that name, ``r_max`` is not positive, or the labels do not fit the
        system or the classes.
    """
    if r_max is not None:
        check_reach(r_max)
    centers = frame_centers(system) if neighbors is None else None
    system = as_system(system)
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
    around = (
        bodies_once(centers) if neighbors is None else choose(system, None, neighbors).neighbors
    )
    if around is None:
        return _clusters(system, inside, r_max, workers)
    part, _ = among_neighbors(system, Choice(None, around))
    found = _clusters(part, inside[around], r_max, workers)
    ids = over_bodies(fill(found.ids, around, total, -1), around, centers)
    return found._replace(ids=ids)


def _clusters(
    system: System, inside: NDArray[np.bool_], r_max: float | None, workers: int
) -> Clusters:
    """Clusters of those particles that are inside."""
    found = no_clusters(len(inside))
    if not inside.any():
        return found
    first = _first_particles(system, inside, r_max, workers)[inside]
    # components are numbered by their first particles, and a stable sort keeps that order
    _, component, sizes = np.unique(first, return_inverse=True, return_counts=True)
    by_size = np.argsort(-sizes, kind="stable")
    rank = np.empty(len(sizes), np.int32)
    rank[by_size] = np.arange(len(sizes), dtype=np.int32)
    found.ids[inside] = rank[component]
    return found._replace(sizes=sizes[by_size])


def _first_particles(
    system: System, inside: NDArray[np.bool_], r_max: float | None, workers: int
) -> NDArray[np.int32]:
    """(N,) int32: the first particle of the cluster of each particle that is inside."""
    from .neighbors import unions  # loads numba

    total = len(inside)
    # without images there are no more neighbors than other particles
    n = _N_NEIGHBORS if any(system.periodic) else max(1, min(_N_NEIGHBORS, total - 1))
    tree = PeriodicTree.build(system.positions, vacuum_box(system, n), n)
    first = np.arange(total, dtype=np.int32)
    # particles near each other come together: they have neighbors in common
    members = tree.order[inside[tree.order]]
    for particles in np.split(members, range(_CHUNK, len(members), _CHUNK)):
        found = tree.nearest(particles, n, workers)
        reaches = (float(r_max or 0), _REACH, _N_SHELL)
        unions.join(particles, found.bonds, found.neighbors, inside, reaches, first)
    unions.firsts(first)
    return first
