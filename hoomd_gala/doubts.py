"""Warnings of systems that can be labeled, and whose labels hardly have a meaning."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Largest gap between the numbers that coordinates can be, in units of the mean distance of
#: particles, that does not blur environments.
_BLUR = 0.05

#: From how many particles on they are no unit cell, and the spread along the normal of a plane,
#: in units of the thickness of the box, below which all of them are in it.
_MANY, _THIN = 20, 1e-4

#: From which gap to its images on a layer is alone, in units of the distance between its particles.
#: It is a layer up to a thickness of one.
_ALONE = 3


def warn_of_blur(points: Array, extents: Array, spacing: float, dtype: Any) -> None:
    """Warn where coordinates are so large that their digits do not tell particles apart.

    Parameters
    ----------
    points : (N, 3)
    extents : (3,)
        Of all of them together; for many, finding these takes longer than all else here.
    spacing : float
        Mean distance of particles in the box; they may be closer in a part of it.
    dtype : dtype or None
        Type of the numbers that were given.
    """
    if len(points) > 1 and not extents.any():
        warnings.warn(
            f"all {len(points)} particles are in one place, so that none has a structure.",
            stacklevel=3,
        )
    extent = float((extents / max(len(points), 1) ** (1 / 3)).prod() ** (1 / 3))
    distance = min(spacing, extent)
    floating = isinstance(dtype, np.dtype) and dtype.kind == "f"
    kind = np.dtype(dtype if floating else np.float64)
    eps = float(np.finfo(kind).eps)
    farthest = float(np.abs(points).max(initial=0))
    if eps * farthest > _BLUR * distance > 0:
        blurred = int((eps * np.abs(points).max(axis=1) > _BLUR * distance).sum())
        warnings.warn(
            f"positions reach {farthest:.2g}, where numbers of {kind} are {eps * farthest:.2g} "
            f"apart and particles about {distance:.2g}, so that labels may be wrong, those of "
            f"{blurred} of {len(points)} particles at least; subtract the center before positions "
            "lose their digits.",
            stacklevel=3,
        )


def warn_of_plane(points: Array, extents: Array, vectors: Array, periodic: Sequence[bool]) -> None:
    """Warn where all particles are in one plane of the box, as in two dimensions, or in one layer.

    Parameters
    ----------
    points : (N, 3)
    extents : (3,)
        Of all of them together.
    vectors : (3, 3)
        Lattice vectors as rows.
    periodic : three of bool
        Whether the system goes on along each of them. The length of the box means nothing along
        those that are open, and the largest extent of the system stands for it.
    """
    if len(points) < _MANY:
        return
    inverse = np.linalg.inv(vectors)
    spacings = 1 / np.linalg.norm(inverse, axis=0)
    extent = extents.max()
    if not extent:
        return  # in one place
    thickness = np.where(periodic, spacings, extent)
    # some are enough to see that most systems are in no plane
    for some in (points[:: -(-len(points) // _MANY)], points):
        steps = (some - points[0]) @ inverse
        steps -= np.where(periodic, np.round(steps), 0)
        extents = np.ptp(steps, axis=0) * spacings
        flat = extents < _THIN * thickness
        # of a few, the sides of the layer are not known, but that they are not longer than the box
        sides = extents if some is points else thickness
        one, other = sides[[1, 2, 0]], sides[[2, 0, 1]]
        # in a layer, or in a row
        distance = np.sqrt(one * other / len(points))
        distance = np.maximum(distance, np.maximum(one, other) / len(points))
        alone = ~np.array(periodic) | (spacings - extents > _ALONE * distance)
        layer = extents < np.where(alone | (some is not points), distance, 0)
        if not (flat | layer).any():
            return
    why = (
        "plane; if the system is two-dimensional, its labels mean nothing."
        if flat.any()
        else "layer; names are of structures in three dimensions, and those of a single layer mean "
        "nothing."
    )
    # of one place, so that Python says it once of all frames and all who read
    warnings.warn(f"all particles are in one {why}", stacklevel=1)
