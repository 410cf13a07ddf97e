"""Figures; Matplotlib is imported when one is drawn."""

import csv
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..colors import OTHERS_COLOR, structure_color
from ..errors import InputError
from ..files.atomic import replacing
from ..names import title as titled
from ..results import UNKNOWN_NAME


def new_figure(**options: Any) -> Any:
    """Make a Matplotlib figure without a display; InputError if Matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise InputError(
            "figures are drawn with Matplotlib, which is not installed: "
            'pip install "hoomd-gala[train]".'
        ) from None
    return Figure(layout="constrained", **options)


def check_matplotlib() -> None:
    """Notice that Matplotlib is missing before there is something to draw, which may take hours.

    Raises
    ------
    InputError
        If it is not installed.
    """
    new_figure()


#: What figures can be written as.
FORMATS = (".png", ".pdf", ".svg")


def save_figure(path: str | os.PathLike[str], figure: Any) -> None:
    """Write a figure in the format that the path's ending, one of :data:`FORMATS`, says."""
    with replacing(path) as part:
        figure.savefig(part, format=Path(path).suffix[1:], dpi=150)


def draw_curve(
    path: str | os.PathLike[str],
    title: str,
    curve: Sequence[dict[str, float]],
    loss: str = "cross-entropy",
    chance: float | None = None,
) -> None:
    """Learning curve: losses, and beneath them the accuracy if there is one.

    Parameters
    ----------
    path : str or path
        File to write.
    title : str
        Of the figure.
    curve : sequence of dict
        Losses and metrics, one row per epoch.
    loss : str
        What the losses are.
    chance : float, optional
        Accuracy of guessing.
    """
    from matplotlib.ticker import MaxNLocator

    accurate = "validation_accuracy" in curve[0]
    figure = new_figure(figsize=(5, 5 if accurate else 3.5))
    panels = figure.subplots(2 if accurate else 1, 1, sharex=True, squeeze=False)[:, 0]
    epochs = [row["epoch"] for row in curve]
    for part, style in (("training", "o--"), ("validation", "o-")):
        losses = [row[f"{part}_loss"] for row in curve]
        panels[0].plot(epochs, losses, style, color="C0", markersize=4, label=part)
    panels[0].set_ylabel(loss, wrap=True)
    # losses of zero or below have no logarithm; those within a decade would have one tick
    losses = [row[f"{part}_loss"] for row in curve for part in ("training", "validation")]
    if min(losses) > 0 and max(losses) > 10 * min(losses):
        panels[0].set_yscale("log")
    panels[0].legend(frameon=False)
    if accurate:
        accuracy = [row["validation_accuracy"] for row in curve]
        panels[1].plot(epochs, accuracy, "o-", color="C1", markersize=4, label="validation")
        if chance is not None:
            panels[1].axhline(chance, color="0.5", ls=":", label=f"guessing ({chance:.2g})")
        panels[1].set(ylabel="accuracy", ylim=(0, 1.02))
        panels[1].legend(frameon=False, loc="center right")
    panels[-1].set_xlabel("epoch")
    panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    figure.suptitle(title, fontsize="large", wrap=True)
    save_figure(path, figure)


#: Structures that a map names at most; the others have one color.
_NAMED = 20

#: Name of those.
_OTHER = "other"

#: A thin line around marks, without which disordered particles would not show on white.
OUTLINE = {"edgecolors": "0.35", "linewidths": 0.25}


def _draw_map(title: str, axis: str, points: NDArray[np.float64], colors: Any) -> tuple[Any, Any]:
    """Draw (M, 2) points in random order, so that no group hides another."""
    figure = new_figure(figsize=(7, 5))
    axes = figure.add_subplot()
    axes.set(title=title, xlabel=f"{axis} 1", ylabel=f"{axis} 2")
    order = np.random.default_rng(1).permutation(len(points))
    size = float(np.clip(9000 / len(points), 4, 20))
    dots = axes.scatter(*points[order].T, s=size, c=np.asarray(colors)[order], **OUTLINE)
    return figure, dots


def draw_names(
    path: str | os.PathLike[str],
    title: str,
    axis: str,
    points: NDArray[np.float64],
    names: Sequence[str],
) -> None:
    """Map of (M, 2) points in the colors of structures; the most frequent are in the legend."""
    from matplotlib.lines import Line2D

    ranked = [
        name for name, _ in Counter(names).most_common() if name not in (_OTHER, UNKNOWN_NAME)
    ]
    colors = {name: structure_color(name) for name in ranked[:_NAMED]}
    colors |= {_OTHER: OTHERS_COLOR, UNKNOWN_NAME: structure_color(UNKNOWN_NAME)}
    groups = [name if name in colors else _OTHER for name in names]
    figure, _ = _draw_map(title, axis, points, [colors[group] for group in groups])
    handles = [
        Line2D(
            [], [], marker="o", linestyle="", color=color, mec="0.35", mew=0.5, label=titled(name)
        )
        for name, color in colors.items()
        if name in groups
    ]
    figure.legend(handles=handles, loc="outside right upper", frameon=False)
    save_figure(path, figure)


def draw_values(
    path: str | os.PathLike[str],
    title: str,
    axis: str,
    points: NDArray[np.float64],
    values: ArrayLike,
    quantity: str,
) -> None:
    """Map of (M, 2) points colored by a number, with a color bar."""
    figure, dots = _draw_map(title, axis, points, values)
    figure.colorbar(dots, label=quantity)
    save_figure(path, figure)


def draw_curves(
    path: str | os.PathLike[str], curves: Mapping[str, Sequence[Mapping[str, float]]]
) -> None:
    """Losses of several trainings, and their accuracies beneath where there are any."""
    accurate = {name: rows for name, rows in curves.items() if "validation_accuracy" in rows[0]}
    figure = new_figure(figsize=(7, 6 if accurate else 3.5))
    panels = figure.subplots(2 if accurate else 1, 1, sharex=True, squeeze=False)[:, 0]
    colors = dict(zip(curves, (f"C{i}" for i in range(len(curves))), strict=True))
    for name, rows in curves.items():
        epochs = [row["epoch"] for row in rows]
        for part, style in (("training", "--"), ("validation", "o-")):
            losses = [row[f"{part}_loss"] for row in rows]
            label = name if part == "validation" else None
            panels[0].plot(epochs, losses, style, color=colors[name], markersize=4, label=label)
        if name in accurate:
            accuracy = [row["validation_accuracy"] for row in rows]
            panels[1].plot(epochs, accuracy, "o-", color=colors[name], markersize=4)
    losses = [row[key] for rows in curves.values() for row in rows for key in row if "loss" in key]
    if min(losses) > 0:
        panels[0].set_yscale("log")
    panels[0].plot([], [], "k--", linewidth=1, label="dashed: training")
    panels[0].set_ylabel("loss")
    if accurate:
        panels[1].set(ylabel="validation accuracy", ylim=(0, 1.02))
    panels[-1].set_xlabel("epoch")
    figure.legend(loc="outside right upper", frameon=False)
    save_figure(path, figure)


def read_curve(path: Path) -> list[dict[str, float]]:
    """Read a learning curve as ``hoomd-gala train`` writes it.

    Raises
    ------
    InputError
        If there is no such file, or it is not a learning curve.
    """
    if not path.is_file():
        raise InputError(f"there is no file {path}.")
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = [
                {key: float(value) for key, value in row.items()} for row in csv.DictReader(file)
            ]
    except (ValueError, TypeError, AttributeError, csv.Error):
        rows = []
    if not rows or not {"epoch", "training_loss", "validation_loss"} <= set(rows[0]):
        raise InputError(f"{path} is not a learning curve that hoomd-gala has written.")
    return rows


def draw_scaling(path: str | os.PathLike[str], rows: Sequence[Mapping[str, float]]) -> None:
    """Time against particles, with a straight line through the largest system.

    Parameters
    ----------
    path : str or path
        PNG file to write.
    rows : sequence of mapping
        As ``hoomd_gala.benchmark.scaling`` gives them.
    """
    figure = new_figure(figsize=(5, 3.5))
    axes = figure.add_subplot()
    n = np.array([row["particles"] for row in rows])
    taken = np.array([row["core_seconds"] for row in rows])
    axes.loglog(n, taken, "o", label="measured")
    axes.loglog(n, taken[-1] * n / n[-1], "k:", label="proportional to the number of particles")
    axes.set(xlabel="number of particles", ylabel="CPU time from positions to labels / s")
    axes.legend(frameon=False)
    save_figure(path, figure)
