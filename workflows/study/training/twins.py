"""Particles with fivefold twins: icosahedra and decahedra of close-packed tetrahedra."""

import functools

import numpy as np
from ase.cluster import Decahedron, Icosahedron
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from hoomd_gala.systems import System, make_system
from study.solids.references import adaptive_common_neighbors
from study.training.kinds import IGNORED

#: Kinds of particles, sizes as ASE counts them, and empty space around a particle.
_KINDS, _SIZES, _VACUUM = 2, (4, 5, 6), 6.0

#: Neighbors of particles inside at least, and of those at the surface that are disordered at most.
_INSIDE, _CORNER = 11, 7


@functools.lru_cache(maxsize=_KINDS * len(_SIZES))
def _perfect(kind: int, size: int) -> tuple[System, NDArray[np.str_], NDArray[np.int64]]:
    """Particle in units of the shortest distance, structures by CNA, and numbers of neighbors."""
    made = Icosahedron("Cu", size, 3.61) if kind == 0 else Decahedron("Cu", size, size, 1, 3.61)
    positions = made.positions - made.positions.mean(axis=0)
    tree = cKDTree(positions)
    shortest = tree.query(positions, k=2)[0][:, 1].min()
    tree = cKDTree(positions / shortest)
    counts = tree.query_ball_point(tree.data, 1.2, return_length=True) - 1
    edge = 2 * np.abs(tree.data).max() + _VACUUM
    system = make_system(tree.data, [edge, edge, edge, 0, 0, 0])
    return system, np.asarray(adaptive_common_neighbors(system)), counts


def twinned_particle(
    cubic: int, hexagonal: int, other: int, disordered: int, rng: np.random.Generator
) -> System:
    """Return an icosahedron or a decahedron in vacuum.

    Particles inside its tetrahedra are cubic, those of twin boundaries hexagonal, and those of
    fivefold axes something else, as common neighbor analysis classifies them.

    Parameters
    ----------
    cubic, hexagonal, other, disordered : int
        Labels; the last one is that of particles at edges and corners. Those of faces are left out.
    rng : numpy.random.Generator
        Of the kind and the size.
    """
    size = _SIZES[rng.integers(len(_SIZES))]
    system, structure, counts = _perfect(int(rng.integers(_KINDS)), size)
    inside = np.select([structure == "cF4-Cu", structure == "hP2-Mg"], [cubic, hexagonal], other)
    outside = np.where(counts <= _CORNER, disordered, IGNORED)
    return system._replace(types=np.where(counts >= _INSIDE, inside, outside))
