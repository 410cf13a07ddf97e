"""Learning curves of trainings, as files."""

from pathlib import Path
from typing import Any

from hoomd_gala.files.atomic import write_table
from hoomd_gala.plotting.plots import draw_curve


def write_curve(path: Path, title: str, curve: list[dict[str, float]], **options: Any) -> None:
    """Write a learning curve as CSV, and as PNG beside it; options are those of ``draw_curve``."""
    write_table(path, curve)
    draw_curve(path.with_suffix(".png"), title, curve, **options)
