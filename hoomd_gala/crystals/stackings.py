"""Close-packed layers in random stacking, of spheres and of diamond."""

import numpy as np
from numpy.typing import NDArray

from ..systems import System, make_system
from .prototypes import scaled

#: Layers of a stacking sequence, and particles along each side of a layer.
_LAYERS, _SIDE = 12, 10


def _sequence(rng: np.random.Generator) -> NDArray[np.int64]:
    """Random close-packed sequence: position 0, 1 or 2 of each layer."""
    while True:
        fault = rng.uniform(0.1, 0.6)
        steps = np.cumprod(np.where(rng.random(_LAYERS) < fault, -1, 1))
        if steps.sum() % 3 == 0:  # the sequence closes on itself across the periodic boundary
            break
    return np.concatenate(([0], np.cumsum(steps)[:-1])) % 3


def is_cubic(stacking: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether the layers above and below each layer of a periodic sequence differ, (n,)."""
    cubic: NDArray[np.bool_] = np.roll(stacking, 1) != np.roll(stacking, -1)
    return cubic


def stack(stacking: NDArray[np.int64], side: int, diamond: bool) -> System:
    """Close-packed layers, of spheres or of diamond, with a shortest distance of 1.

    Parameters
    ----------
    stacking : (n,) int
        Position of each layer, 0, 1 or 2.
    side : int
        Particles along each side of a layer.
    diamond : bool
        Put the two particles of the diamond structure on each site, one above the other.

    Returns
    -------
    System
        Its ``types`` are the numbers of the layers.
    """
    a1, a2 = np.array([1.0, 0, 0]), np.array([0.5, np.sqrt(3) / 2, 0])
    spacing = np.sqrt(2 / 3)
    i, j = np.meshgrid(np.arange(side), np.arange(side), indexing="ij")
    layer = i.reshape(-1, 1) * a1 + j.reshape(-1, 1) * a2
    shift = (a1 + a2) / 3
    points = np.concatenate(
        [layer + s * shift + [0, 0, k * spacing] for k, s in enumerate(stacking)]
    )
    layers = np.repeat(np.arange(len(stacking)), len(layer))
    if diamond:
        points = np.concatenate((points, points + np.array([0, 0, spacing * 0.75])))
        layers = np.concatenate((layers, layers))
    box = [side, side * np.sqrt(3) / 2, len(stacking) * spacing, 1 / np.sqrt(3), 0, 0]
    system = make_system(points, box, layers)
    # the shortest distance becomes 1
    return scaled(system, float(np.sqrt(8 / 3)) if diamond else 1.0)


def random_stacking(
    cubic: int, hexagonal: int, diamond: bool, rng: np.random.Generator, side: int = _SIDE
) -> System:
    """Layers in random cubic and hexagonal stacking, of spheres or of diamond.

    A layer is cubic if the layers above and below it differ, else hexagonal, as template matching
    and common neighbor analysis classify twins and stacking faults. The shortest distance is 1.

    Parameters
    ----------
    cubic, hexagonal : int
        Labels of particles in cubic and in hexagonal layers.
    diamond : bool
        Put the two particles of the diamond structure on each site, one above the other.
    rng : numpy.random.Generator
        Of the sequence.
    side : int
        Particles along each side of a layer.

    Returns
    -------
    System
        Its ``types`` are the labels.
    """
    stacking = _sequence(rng)
    system = stack(stacking, side, diamond)
    labels = np.where(is_cubic(stacking), cubic, hexagonal)
    return system._replace(types=labels[system.types])
