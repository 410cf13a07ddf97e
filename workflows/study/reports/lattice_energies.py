"""Map of the unit cells of lowest energy over the parameters of both potentials."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hoomd_gala.colors import structure_color
from study.reports.canvas import WIDTH, plt, save_figure


def draw_grid(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Draw which cell has the lowest energy, over the parameters of either family."""
    names = list(dict.fromkeys(row["cell"] for row in rows))
    # the most frequent ones get a color of their own
    names.sort(key=lambda name: -sum(row["cell"] == name for row in rows))
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 4), layout="constrained")
    labels = {"opp": ("k", "phi", "OPP"), "ljg": ("epsilon", "r0", "LJG")}
    for part, (family, (first, second, title)) in zip(axes, labels.items(), strict=True):
        for i, name in enumerate(names):
            chosen = [row for row in rows if row["potential"] == family and row["cell"] == name]
            part.scatter(
                [row["k or epsilon"] for row in chosen],
                [row["phi or r0"] for row in chosen],
                marker="s",
                s=18,
                color=structure_color(name) if i < 20 else "0.8",
            )
        part.set(xlabel=first, ylabel=second, title=f"{title}: unit cell of lowest energy")
    # depths of the Gaussian well span decades
    depths = sorted({row["k or epsilon"] for row in rows if row["potential"] == "ljg"})
    axes[1].set_xscale("log")
    axes[1].set_xticks(depths, [f"{depth:g}" for depth in depths])
    axes[1].minorticks_off()
    handles = [
        plt.Line2D([], [], marker="s", ls="", color=structure_color(name), label=name)
        for name in names[:20]
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=5, frameon=False)
    save_figure(path, figure)
