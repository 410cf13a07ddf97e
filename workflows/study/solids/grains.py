"""Grains of a polycrystal from the orientations of its particles."""

import numpy as np
from scipy.sparse import csr_array
from scipy.spatial.transform import Rotation
from sklearn.cluster import DBSCAN

from study.solids.orientations import Oriented
from study.solids.polycrystals import Integers, misorientation

#: Largest misorientation within a grain, in degrees.
WITHIN_GRAIN = 10.0

#: Neighbors, of 20, that must agree with a particle for it to pass its grain on to them.
_AGREEING = 12


def segment(found: Oriented, neighbors: Integers, group: Rotation) -> Integers:
    """Segment a polycrystal into grains: neighbors of the same orientation share one.

    Density-based clustering, so that a chance agreement does not join two grains.

    Parameters
    ----------
    found : Oriented
        Orientations of particles.
    neighbors : (N, n) int64
        Neighbors of each particle.
    group : Rotation
        Rotations of the crystal's point group.

    Returns
    -------
    (N,) int64
        Grain of each particle; particles in none are grains of their own.
    """
    total = len(neighbors)
    place = np.full(total, -1)
    place[found.rows] = np.arange(len(found.rows))
    first, second = np.repeat(np.arange(total), neighbors.shape[1]), neighbors.ravel()
    known = (place[first] >= 0) & (place[second] >= 0)
    first, second = first[known], second[known]
    apart = misorientation(found.rotation[place[first]], found.rotation[place[second]], group)
    graph = csr_array((apart, (first, second)), shape=(total, total))
    clusters = DBSCAN(eps=WITHIN_GRAIN, min_samples=_AGREEING, metric="precomputed").fit_predict(
        graph
    )
    return np.where(clusters >= 0, clusters, total + np.arange(total))
