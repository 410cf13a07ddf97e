"""Colors of structures: OVITO's where it has one, the same everywhere."""

import colorsys
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

#: What particles whose structure a model does not know are called.
UNKNOWN_NAME = "unknown"

#: Red, green and blue in [0, 1]. The first seven are those of polyhedral template matching in
#: OVITO: FCC, HCP, BCC, simple cubic, cubic and hexagonal diamond, other.
COLORS = {
    "cF4-Cu": (0.4, 1.0, 0.4),
    "hP2-Mg": (1.0, 0.4, 0.4),
    "cI2-W": (0.4, 0.4, 1.0),
    "cP1-Po": (0.63, 0.08, 1.0),
    "cF8-C": (0.08, 0.63, 1.0),
    "hP4-C.3": (1.0, 0.54, 0.0),
    "disordered": (0.95, 0.95, 0.95),
    "cP8-Cr3Si": (1.0, 0.4, 1.0),
    "tP30-CrFe": (0.8, 1.0, 0.7),
    UNKNOWN_NAME: (0.55, 0.55, 0.55),
}

#: Particle types in the order in which OVITO, which colors types of a GSD file by their number,
#: gives them about the colors above: white, red, blue, yellow, magenta, green, pale green, purple,
#: cyan, white.
OVITO_TYPE_ORDER = (
    "disordered",
    "hP2-Mg",
    "cI2-W",
    "hP4-C.3",
    "cP8-Cr3Si",
    "cF4-Cu",
    "tP30-CrFe",
    "cP1-Po",
    "cF8-C",
    UNKNOWN_NAME,
)


def structure_color(name: str) -> tuple[float, float, float]:
    """Color of a structure; one that has none of its own gets one from its name."""
    if name in COLORS:
        return COLORS[name]
    number = zlib.crc32(name.encode())
    # strong enough to stand out from white and grey on black as on white
    return colorsys.hsv_to_rgb(
        number % 360 / 360, 0.55 + 0.1 * (number // 360 % 4), 0.75 + 0.1 * (number // 1440 % 3)
    )


def label_colors(label: NDArray[np.int32], class_names: Sequence[str]) -> NDArray[np.float32]:
    """Color of every particle.

    Parameters
    ----------
    label : (N,) int
        Indices into ``class_names``, -1 for unknown.
    class_names : sequence of str
        Names of the classes.

    Returns
    -------
    (N, 3) float32
    """
    # -1 picks the last one
    palette = [structure_color(name) for name in (*class_names, UNKNOWN_NAME)]
    return np.array(palette, np.float32)[label]
