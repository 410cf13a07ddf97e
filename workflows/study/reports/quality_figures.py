"""Figures of the accuracy of methods, and of the calibration of models."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from study.comparison import measures
from study.reports.canvas import method_colors, plt, save_figure
from study.simulation.thermal import STRUCTURES


def draw_accuracy(
    path: Path,
    rows: Sequence[dict[str, Any]],
    means: Sequence[dict[str, Any]],
    names: Sequence[str],
) -> None:
    """Draw accuracy against displacement: a panel for each structure, and one for their mean.

    A method has a line for each kind of displacement, all of one color: how far these differ
    matters, and not which is which.
    """
    structures = list(dict.fromkeys(row["structure"] for row in rows))
    panels = [[row for row in rows if row["structure"] == structure] for structure in structures]
    titles = [f"{structure}, {STRUCTURES[structure]}" for structure in structures]
    columns = 3
    figure, axes = plt.subplots(
        -(-(len(panels) + 1) // columns),
        columns,
        figsize=(10, 3.1 * -(-(len(panels) + 1) // columns) + 0.6),
        sharex=True,
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    shown = [*zip(titles, panels, strict=True), ("mean, 0 outside the repertoire", list(means))]
    palette = method_colors(names)
    for part, (title, panel) in zip(axes.flat, shown, strict=False):
        for name in names:
            known = [row for row in panel if name not in _outside(row)]
            for kind in dict.fromkeys(row["kind"] for row in known):
                series = sorted(
                    (100 * row["rms"], 100 * row[name]) for row in known if row["kind"] == kind
                )
                part.plot(*zip(*series, strict=True), "o-", color=palette[name], ms=3, lw=1.3)
        missing = [name for name in names if all(name in _outside(row) for row in panel)]
        if missing:
            text = "not in the repertoire of\n" + "\n".join(missing)
            part.text(0.05, 0.06, text, fontsize=9, transform=part.transAxes)
        part.set_title(title, fontsize=10)
        part.set(xlim=(0, 13.5), ylim=(-3, 103))
        part.grid(alpha=0.3)
    for part in axes.flat[len(shown) :]:
        part.set_axis_off()
    figure.supxlabel("rms displacement per direction / % of the neighbor distance")
    figure.supylabel("correctly labeled particles / %")
    handles = [plt.Line2D([], [], color=palette[name], lw=2, label=name) for name in names]
    title = "one line for each\nkind of displacement"
    figure.legend(handles=handles, title=title, loc="outside right center", frameon=False)
    save_figure(path, figure)


def _outside(row: Mapping[str, Any]) -> list[str]:
    """Methods without a row's structure in their repertoire; none for a mean."""
    return str(row.get("not in repertoire", "")).split("; ")


def draw_reliability(
    path: Path, judgments: Mapping[str, tuple[NDArray[np.floating], NDArray[np.bool_]]]
) -> None:
    """Draw accuracy against confidence, and the distribution of confidence."""
    figure, (top, bottom) = plt.subplots(
        2, 1, figsize=(5, 5.5), sharex=True, height_ratios=[3, 1], layout="constrained"
    )
    top.plot([0, 1], [0, 1], color="0.6", lw=1, label="perfect")
    edges, palette = np.linspace(0, 1, measures.N_BINS + 1), method_colors(judgments)
    for name, (confidence, right) in judgments.items():
        mean, accuracy, counts = measures.reliability(confidence, right)
        error = measures.calibration_error(confidence, right)
        filled = counts > 0
        color, label = palette[name], f"{name}, error {error:.3f}"
        top.plot(mean[filled], accuracy[filled], "o-", color=color, label=label)
        bottom.stairs(counts / counts.sum(), edges, lw=1.5, color=color)
    top.set(ylabel="accuracy", ylim=(0, 1.02), title="reliability")
    top.legend(frameon=False)
    bottom.set(xlabel="confidence", ylabel="fraction of\nparticles", xlim=(0, 1), yscale="log")
    save_figure(path, figure)
