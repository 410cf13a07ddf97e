"""Descriptors of environments without training, which embeddings are compared with."""

from collections.abc import Callable

import freud
import numpy as np
from numpy.typing import NDArray

from hoomd_gala.analyzer import Analyzer
from hoomd_gala.crystals import sites
from hoomd_gala.crystals.prototypes import scaled
from hoomd_gala.neighbors.environments import N_NEIGHBORS, PeriodicTree, scale_bonds
from hoomd_gala.systems import System
from study.solids.order import nearest_distance

#: Takes a system and m of its particles, returns (m, D) numbers.
Descriptor = Callable[[System, NDArray[np.int64]], NDArray[np.floating]]

#: Degrees of Steinhardt's order parameters.
DEGREES = tuple(range(2, 13))


def steinhardt(
    system: System, particles: NDArray[np.int64], average: bool = False
) -> NDArray[np.floating]:
    """Steinhardt's Q_l, l = 2 … 12, of the 20 nearest neighbors, by freud, (m, 11).

    Parameters
    ----------
    average : bool
        Average the harmonics over a particle and its neighbors first (Lechner and Dellago, J. Chem.
        Phys. 129, 114707 (2008)), which looks twice as far.
    """
    order = freud.order.Steinhardt(list(DEGREES), average=average)
    box = freud.box.Box(*system.box)
    order.compute((box, system.positions), {"num_neighbors": N_NEIGHBORS, "exclude_ii": True})
    return np.asarray(order.particle_order)[particles]


def averaged_steinhardt(system: System, particles: NDArray[np.int64]) -> NDArray[np.floating]:
    """Steinhardt's order averaged over neighbors; see :func:`steinhardt`."""
    return steinhardt(system, particles, average=True)


def power_spectrum(system: System, particles: NDArray[np.int64]) -> NDArray[np.floating]:
    """SOAP-like power spectrum; see :func:`hoomd_gala.crystals.sites.descriptors`."""
    return sites.descriptors(system, particles)


def neighbor_distances(system: System, particles: NDArray[np.int64]) -> NDArray[np.floating]:
    """Distances of the 20 nearest neighbors, in units of twice their mean, (m, 20).

    A baseline without angles.
    """
    bonds = PeriodicTree.build(system.positions, system.box).nearest(particles).bonds
    return np.asarray(np.linalg.norm(scale_bonds(bonds), axis=-1))


def embedding(analyzer: Analyzer) -> Descriptor:
    """Embeddings of a model, of systems in units of their nearest-neighbor distance."""

    def describe(system: System, particles: NDArray[np.int64]) -> NDArray[np.floating]:
        unit = scaled(system, 1 / nearest_distance(system))
        return analyzer.analyze_system(unit).embedding[particles]

    return describe
