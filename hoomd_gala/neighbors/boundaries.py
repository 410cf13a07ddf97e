"""Boxes for systems that are open in some directions: as periodic ones with vacuum around.

Both searches for neighbors take periodic boxes. An open direction becomes one whose box is so long
that no image across it is among the nearest neighbors.
"""

import numpy as np

from ..systems import Array, System, lattice_vectors, plane_spacings
from .environments import N_NEIGHBORS


def _farthest(points: Array, n: int) -> float:
    """Distance that no particle's n-th neighbor is beyond, without images.

    Of particles sorted along an axis, n others are within n places of each.
    """
    extents = np.ptp(points, axis=0)
    bounds = [np.linalg.norm(extents)]
    for axis in range(3) if len(points) > n else ():
        along = np.sort(points[:, axis])
        window = (along[n:] - along[:-n]).max()
        bounds.append(np.linalg.norm([window, *np.delete(extents, axis)]))
    return float(min(bounds))


def vacuum_box(system: System, n: int = N_NEIGHBORS) -> Array:
    """Box in which the images across open directions are beyond the n nearest neighbors.

    Lattice vectors along open directions become longer or shorter and keep their direction, so that
    bonds are what they are; the box of a periodic system is returned as it is.

    Parameters
    ----------
    system : System
        In the host's memory.
    n : int
        Number of neighbors.

    Returns
    -------
    (6,) float64
        ``[Lx, Ly, Lz, xy, xz, yz]``. It is as long as the sample and the vacuum, and positions may
        be outside of it.
    """
    periodic = np.array(system.periodic)
    if periodic.all():
        return system.box
    lattice = lattice_vectors(system.box)
    fractional = system.positions @ np.linalg.inv(lattice)
    fractional[:, periodic] -= np.floor(fractional[:, periodic])
    vacuum = _farthest(fractional @ lattice, n)
    if periodic.any():
        # images along a periodic direction, on both sides, are neighbors at the latest there
        images = n * float(np.linalg.norm(lattice[periodic], axis=1).min())
        vacuum = min(vacuum, images) if len(fractional) > n else images
    extents = np.ptp(fractional, axis=0) * plane_spacings(lattice)
    # a sample of one point has any vacuum around it
    return _of_heights(system, extents + 1.001 * (vacuum or 1.0))


def holding_box(system: System) -> Array:
    """:func:`vacuum_box` that holds the positions as they are, its center at the origin.

    As a periodic system, it has the same environments, so that files need not say what is open.
    """
    periodic = np.array(system.periodic)
    if periodic.all() or not len(system.positions):
        return system.box
    lattice = lattice_vectors(system.box)
    farthest = np.abs(system.positions @ np.linalg.inv(lattice)).max(axis=0)
    # with a margin for the single precision of files
    held = (2 + 1e-5) * farthest * plane_spacings(lattice)
    return _of_heights(
        system, np.maximum(held, plane_spacings(lattice_vectors(vacuum_box(system))))
    )


def _of_heights(system: System, heights: Array) -> Array:
    """Box whose faces along open directions are (3,) distances apart."""
    open_directions = ~np.array(system.periodic)
    box = system.box.copy()
    # the distance between the faces that a lattice vector joins grows with that vector alone
    factors = heights / plane_spacings(lattice_vectors(box))
    box[:3][open_directions] *= factors[open_directions]
    return box
