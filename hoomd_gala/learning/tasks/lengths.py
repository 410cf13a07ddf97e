"""Lengths in the tasks.

Amplitudes of noise and errors of vectors are in units of the data's length scale: the shortest
distance of a unit cell, the mean bond length of a trajectory. Networks see bonds in units of twice
that length (:func:`~hoomd_gala.neighbors.scale_bonds`).
"""

from torch import Tensor

#: One length scale in the units that networks see.
UNIT = 0.5


def mean_squared_error(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean squared error of a component of (…, 3) vectors, in units of the length scale squared."""
    return (predicted - target).square().mean() / UNIT**2
