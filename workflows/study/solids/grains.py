"""Grains of a polycrystal from the orientations of its particles."""

import numpy as np
from scipy.sparse import csr_array
from scipy.spatial.transform import Rotation
from sklearn.cluster import DBSCAN

from study.solids.orientations import Oriented
from study.solids.polycrystals import Integers, misorientation

#: Degrees that orientations of the same grain differ by at most.
SAME = 10.0

#: Of 20 neighbors, those that have to agree with a particle for it to pass its grain on to them.
_AGREEING = 12


def segment(found: Oriented, neighbors: Integers, group: Rotation) -> Integers:
    """Number of the grain that each particle is in, (N,): neighbors of one orientation share it.

    A density-based clustering, so that a chance agreement does not join two grains. Particles in
    none are grains of their own.
    """
    total = len(neighbors)
    place = np.full(total, -1)
    place[found.rows] = np.arange(len(found.rows))
    first, second = np.repeat(np.arange(total), neighbors.shape[1]), neighbors.ravel()
    known = (place[first] >= 0) & (place[second] >= 0)
    first, second = first[known], second[known]
    apart = misorientation(found.turned[place[first]], found.turned[place[second]], group)
    graph = csr_array((apart, (first, second)), shape=(total, total))
    clusters = DBSCAN(eps=SAME, min_samples=_AGREEING, metric="precomputed").fit_predict(graph)
    return np.where(clusters >= 0, clusters, total + np.arange(total))
