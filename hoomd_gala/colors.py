"""Colors of structures, the same everywhere: OVITO's where it has one."""

import colorsys
import itertools
import math
import zlib
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from .errors import InputError
from .names import STRUCTURES, find_class
from .results import DISORDERED, UNKNOWN_NAME

#: Red, green and blue in [0, 1].
Color = tuple[float, float, float]

#: Red, green and blue in [0, 1]. The first seven are those of polyhedral template matching in
#: OVITO: FCC, HCP, BCC, simple cubic, cubic and hexagonal diamond, other.
COLORS = {
    "cF4-Cu": (0.4, 1.0, 0.4),
    "hP2-Mg": (1.0, 0.4, 0.4),
    "cI2-W": (0.4, 0.4, 1.0),
    "cP1-Po": (0.63, 0.08, 1.0),
    "cF8-C": (0.08, 0.63, 1.0),
    "hP4-C.3": (1.0, 0.54, 0.0),
    DISORDERED: (0.95, 0.95, 0.95),
    "cP8-Cr3Si": (1.0, 0.4, 1.0),
    "tP30-CrFe": (0.8, 1.0, 0.7),
    UNKNOWN_NAME: (0.55, 0.55, 0.55),
}

#: Structures that are drawn together, in figures with more than can be told apart.
OTHERS_COLOR: Color = (0.75, 0.65, 0.5)

#: What particles and pictures are in front of.
_BACKGROUNDS: tuple[Color, ...] = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))

#: Euclidean distance in red, green and blue that derived colors keep from those above.
DISTINCT = 0.3

#: Structures in the order that gives them about the colors above in OVITO, which colors the types
#: of a GSD file by number, with nine colors: white, red, blue, yellow, magenta, green, pale green,
#: purple, cyan. There is no gray among these: unknown particles are pale green.
OVITO_TYPE_ORDER = (
    DISORDERED,
    "hP2-Mg",
    "cI2-W",
    "hP4-C.3",
    "cP8-Cr3Si",
    "cF4-Cu",
    UNKNOWN_NAME,
    "cP1-Po",
    "cF8-C",
)

#: Structures whose colors others share only if no other color is left.
_UNMISTAKABLE = {DISORDERED, "hP2-Mg", "cI2-W", "cF4-Cu", UNKNOWN_NAME}


def structure_types(
    earlier: Sequence[str], class_names: Sequence[str], occurring: Sequence[str]
) -> list[str]:
    """Particle types that stand for structures, in an order that OVITO colors well.

    OVITO takes the name of a number from the frame that it read first, so a list may only grow. It
    ends with the last structure that occurs; those before it that do not occur keep the numbers of
    the others fixed. Classes without a number of their own get the numbers of structures that the
    model does not know, and after these the numbers from nine on, where OVITO's colors repeat.

    Parameters
    ----------
    earlier : sequence of str
        The list so far, of earlier frames of the same file.
    class_names : sequence of str
        Names of the model's classes.
    occurring : sequence of str
        Names of structures that have to be in the list.
    """
    types = list(earlier)
    known = {*class_names, DISORDERED, UNKNOWN_NAME}
    others = iter([name for name in class_names if name not in OVITO_TYPE_ORDER])
    first = [name if name in known else next(others, name) for name in OVITO_TYPE_ORDER]
    if types[: len(first)] != first[: len(types)]:
        first = []  # of another model
    for name in occurring:
        if name in first:
            types += first[len(types) : first.index(name) + 1]
        elif name not in types:
            types += first[len(types) :]
            spare = [one for one in class_names if one not in types and one not in occurring]
            while spare and OVITO_TYPE_ORDER[len(types) % len(OVITO_TYPE_ORDER)] in _UNMISTAKABLE:
                types.append(spare.pop())
            types.append(name)
    return types


def structure_color(name: str) -> Color:
    """Red, green and blue of a structure; if it has no color, one is derived from its name.

    Derived colors are at least :data:`DISTINCT` from :data:`COLORS`, white and black: what is rare
    must not look like fcc.
    """
    if name in COLORS:
        return COLORS[name]
    taken = (*COLORS.values(), *_BACKGROUNDS)
    tries = (_hashed(name if i == 0 else f"{name} {i}") for i in itertools.count())
    return next(it for it in tries if min(math.dist(it, one) for one in taken) >= DISTINCT)


def _hashed(text: str) -> Color:
    """Red, green and blue that look random, but are always those of a text."""
    number = zlib.crc32(text.encode())
    # saturated enough to stand out from white and gray on black as on white
    return colorsys.hsv_to_rgb(
        number % 360 / 360, 0.55 + 0.1 * (number // 360 % 4), 0.75 + 0.1 * (number // 1440 % 3)
    )


def structure_colors(names: Sequence[str], chosen: Mapping[str, Color]) -> list[Color]:
    """Colors of structures, some of which somebody has chosen.

    Parameters
    ----------
    names : sequence of str
        Names of classes, and ``"unknown"``.
    chosen : mapping
        Colors by any name that :func:`~hoomd_gala.names.find_class` takes, also of structures that
        are not among ``names``.

    Raises
    ------
    InputError
        For a color outside of [0, 1], or one of something that is not a structure.
    """
    own = {}
    for name, color in chosen.items():
        if not all(0 <= part <= 1 for part in color):
            raise InputError(f"the color of {name} is {color}; give red, green and blue in [0, 1].")
        one = find_class(name, names)
        if one is not None:
            own[one] = color
        elif find_class(name, (*STRUCTURES, DISORDERED, UNKNOWN_NAME)) is None:
            raise InputError(
                f"a color is given for {name!r}, which is no structure; names are those that "
                "hoomd-gala models structures lists."
            )
    return [own.get(name) or structure_color(name) for name in names]


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
