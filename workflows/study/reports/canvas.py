"""Matplotlib without a display, and how figures are written."""

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib

from hoomd_gala.colors import structure_color
from hoomd_gala.files.atomic import replacing
from hoomd_gala.names import title

matplotlib.use("Agg")
import matplotlib.pyplot as plt

__all__ = ["WIDTH", "method_colors", "plt", "save_figure", "structure_handle"]

#: Width in inches of a figure that is as wide as a page, of the manual or of a paper: what is wider
#: is shrunk there, and its letters with it. 9 points are 11.5 pixels in the manual.
WIDTH = 8.0
plt.rcParams["font.size"] = 9

#: Colors of what is compared, the same in all figures.
_METHODS = {
    "structures": "tab:blue",
    "structures-fast": "tab:orange",
    "embedding": "tab:red",
    "PTM": "tab:green",
    "PTM, 0.10": "tab:green",
    "PTM, 0.15": "tab:olive",
    "PTM, best cutoff": "tab:purple",
    "CNA": "tab:brown",
    "diamond": "tab:pink",
    "CHILL+": "tab:gray",
    "SOAP": "tab:green",
    "Steinhardt": "tab:purple",
    "Steinhardt, averaged": "tab:brown",
}

#: Those of what has none, such as models of one's own, as long as there are any left.
_OTHERS = ("tab:red", "tab:cyan", "black", "gold", "navy", "magenta")


def method_colors(names: Iterable[str]) -> dict[str, str]:
    """Color of each of some methods, by name."""
    others = itertools.cycle(_OTHERS)
    return {name: _METHODS.get(name) or next(others) for name in names}


def structure_handle(name: str) -> Any:
    """Entry of a legend for particles of a structure, by its common name."""
    return plt.Line2D(
        [], [], marker="o", ls="", ms=9, color=structure_color(name), mec="0.35", label=title(name)
    )


def save_figure(path: Path, figure: Any) -> None:
    """Write a figure as PNG and close it."""
    with replacing(path) as part:
        figure.savefig(part, format="png", dpi=150)
    plt.close(figure)
