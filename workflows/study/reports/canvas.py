"""Matplotlib without a display, and how figures are written."""

from pathlib import Path
from typing import Any

import matplotlib

from hoomd_gala.files.atomic import replacing

matplotlib.use("Agg")
import matplotlib.pyplot as plt

__all__ = ["plt", "save_figure"]


def save_figure(path: Path, figure: Any) -> None:
    """Write a figure as PNG and close it."""
    with replacing(path) as part:
        figure.savefig(part, format="png", dpi=150)
    plt.close(figure)
