"""Slices of polycrystals, colored by the grains that methods find."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np

from study.reports.canvas import WIDTH, plt, save_figure
from study.solids.grains import WITHIN_GRAIN
from study.solids.orientations import Oriented
from study.solids.polycrystals import Polycrystal, misorientation, symmetry

#: Methods that are drawn, and their names there.
_SHOWN = {
    "frames": "frame of each\nparticle",
    "frames around": "frames of a\nneighborhood",
    "bonds around": "bonds of a\nneighborhood",
    "PTM": "template\nmatching",
}

#: Grays of particles whose orientation is that of no grain, and of those that have none.
_OTHER, _NONE = "0.35", "0.87"


def draw(
    path: Path, samples: Sequence[tuple[Polycrystal, Mapping[str, Oriented]]], title: str
) -> None:
    """Draw a slice of each polycrystal: its grains, and the orientations that methods find."""
    columns = 1 + len(_SHOWN)
    figure, axes = plt.subplots(
        len(samples),
        columns,
        figsize=(WIDTH, 2.1 * len(samples) + 0.7),
        layout="constrained",
        squeeze=False,
    )
    for parts, (sample, found) in zip(axes, samples, strict=True):
        group = symmetry(sample.cell).group
        every = np.arange(len(sample.site))
        palette = plt.get_cmap("tab10")(np.arange(len(sample.orientation)) % 10)
        shown = {f"{sample.cell}:\ngrains": Oriented(every, sample.truth)}
        shown |= {_SHOWN[method]: found[method] for method in _SHOWN if method in found}
        layer = abs(sample.system.positions[:, 2]) < 0.8
        points = sample.system.positions[layer, :2]
        for part in parts[len(shown) :]:
            part.set_axis_off()
            part.text(0.5, 0.5, "no template", ha="center", transform=part.transAxes)
        for part, (name, (rows, rotation)) in zip(parts, shown.items(), strict=False):
            colors = np.full((len(every), 4), matplotlib.colors.to_rgba(_NONE))
            colors[rows] = matplotlib.colors.to_rgba(_OTHER)
            for number, color in enumerate(palette):
                truth = sample.orientation[np.full(len(rows), number)]
                colors[rows[misorientation(rotation, truth, group) < WITHIN_GRAIN]] = color
            part.scatter(*points.T, s=14, c=colors[layer], linewidths=0)
            part.set(aspect="equal", xticks=[], yticks=[])
            part.set_title(name, fontsize=9)
    figure.suptitle(
        f"{title}\ncolored by the grain whose orientation is found within {WITHIN_GRAIN:g} degrees",
        fontsize=9,
    )
    handles = [
        plt.Line2D([], [], marker="o", ls="", color=color, label=label)
        for color, label in ((_OTHER, "another orientation"), (_NONE, "none"))
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False)
    save_figure(path, figure)
