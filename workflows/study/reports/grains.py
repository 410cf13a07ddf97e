"""Slices of polycrystals, colored by the grains that methods find."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np

from study.reports.canvas import plt, save_figure
from study.solids.grains import WITHIN_GRAIN
from study.solids.orientations import Oriented
from study.solids.polycrystals import Polycrystal, misorientation, symmetry

#: Methods that are drawn, and their names there.
_SHOWN = {
    "frames": "frame of each particle",
    "frames around": "frames of a neighborhood",
    "bonds around": "bonds of a neighborhood",
    "PTM": "template matching",
}


def draw(
    path: Path, samples: Sequence[tuple[Polycrystal, Mapping[str, Oriented]]], title: str
) -> None:
    """Draw a slice of each polycrystal: its grains, and the orientations that methods find."""
    columns = 1 + len(_SHOWN)
    figure, axes = plt.subplots(
        len(samples),
        columns,
        figsize=(3.6 * columns, 3.9 * len(samples)),
        layout="constrained",
        squeeze=False,
    )
    for parts, (sample, found) in zip(axes, samples, strict=True):
        group = symmetry(sample.cell).group
        every = np.arange(len(sample.site))
        palette = plt.get_cmap("tab10")(np.arange(len(sample.orientation)) % 10)
        shown = {f"{sample.cell}: grains": Oriented(every, sample.truth)}
        shown |= {_SHOWN[method]: found[method] for method in _SHOWN if method in found}
        layer = abs(sample.system.positions[:, 2]) < 0.8
        points = sample.system.positions[layer, :2]
        for part in parts[len(shown) :]:
            part.set_axis_off()
            part.text(0.5, 0.5, "no template", ha="center", transform=part.transAxes)
        for part, (name, (rows, rotation)) in zip(parts, shown.items(), strict=False):
            colors = np.full((len(every), 4), matplotlib.colors.to_rgba("0.87"))
            colors[rows] = matplotlib.colors.to_rgba("0.35")
            for number, color in enumerate(palette):
                truth = sample.orientation[np.full(len(rows), number)]
                colors[rows[misorientation(rotation, truth, group) < WITHIN_GRAIN]] = color
            part.scatter(*points.T, s=22, c=colors[layer], linewidths=0)
            part.set(aspect="equal", xticks=[], yticks=[], title=name)
    figure.suptitle(
        f"{title}\ncolored by the grain whose orientation is found within {WITHIN_GRAIN:g} "
        "degrees; dark gray: another orientation; light gray: none"
    )
    save_figure(path, figure)
