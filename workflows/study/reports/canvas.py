"""Matplotlib without a display, and how figures are written."""

from pathlib import Path
from typing import Any

import matplotlib

from hoomd_gala.colors import structure_color
from hoomd_gala.files.atomic import replacing
from hoomd_gala.names import title

matplotlib.use("Agg")
import matplotlib.pyplot as plt

__all__ = ["plt", "save_figure", "structure_handle"]


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
