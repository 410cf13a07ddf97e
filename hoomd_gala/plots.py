"""Figures; Matplotlib is imported when one is drawn."""

import os
from collections.abc import Sequence
from typing import Any

from .errors import InputError
from .files import replacing


def new_figure(**options: Any) -> Any:
    """A Matplotlib figure that needs no screen; InputError if there is no Matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise InputError(
            "figures are drawn with Matplotlib, which is not installed; pip install matplotlib."
        ) from None
    return Figure(layout="constrained", **options)


def save_figure(path: str | os.PathLike[str], figure: Any) -> None:
    """Write a figure as PNG."""
    with replacing(path) as part:
        figure.savefig(part, format="png", dpi=150)


def draw_curve(
    path: str | os.PathLike[str],
    title: str,
    curve: Sequence[dict[str, float]],
    loss: str = "cross-entropy",
) -> None:
    """Learning curve: losses on a logarithmic axis, and the accuracy if there is one."""
    figure = new_figure(figsize=(5, 3.5))
    axes = figure.add_subplot()
    epochs = [row["epoch"] for row in curve]
    axes.semilogy(epochs, [row["training_loss"] for row in curve], "o-", label="training loss")
    axes.semilogy(epochs, [row["validation_loss"] for row in curve], "s-", label="validation loss")
    axes.set_xlabel("epoch")
    axes.set_ylabel(loss, wrap=True)
    axes.set_title(title)
    handles = axes.get_legend_handles_labels()[0]
    if "validation_accuracy" in curve[0]:
        twin = axes.twinx()
        twin.plot(epochs, [row["validation_accuracy"] for row in curve], "k^--", label="accuracy")
        twin.set(ylabel="validation accuracy", ylim=(0, 1))
        handles += twin.get_legend_handles_labels()[0]
    axes.legend(handles=handles, loc="center right", frameon=False)
    save_figure(path, figure)
