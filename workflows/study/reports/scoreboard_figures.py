"""Figures of how methods compare on the systems of a group."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from study.comparison.scores import DISORDER, LEFT_OUT, Row
from study.reports.canvas import method_colors, plt, save_figure

#: Systems in a figure at most. Where a group has more, those that are made in the same way are
#: averaged.
_MOST = 40

_MARKERS = "^vs<>PDX*"

#: What a right label says, by group.
_RIGHT = {
    DISORDER: "called disordered (methods without that: not named)",
    LEFT_OUT: "called unknown",
}


def draw_group(
    path: Path, group: str, rows: Sequence[Row], methods: Sequence[str], models: Sequence[str]
) -> None:
    """Draw the share of right labels of each system, by each method, as dots on a line.

    Parameters
    ----------
    path : path
        PNG file to write.
    group : str
        Name of the group.
    rows : sequence of Row
        Its samples.
    methods, models : sequence of str
        Methods to show, and which of them are models.
    """
    systems = list(dict.fromkeys(row.system for row in rows))
    by_system = len(systems) <= _MOST
    names = systems if by_system else list(dict.fromkeys(row.sample for row in rows))
    figure, axes = plt.subplots(figsize=(8, 1.6 + 0.24 * len(names)), layout="constrained")
    palette, lowest = method_colors(methods), 100.0
    for index, method in enumerate(methods):
        shares, heights = [], []
        for height, name in enumerate(names):
            own = [row for row in rows if (row.system if by_system else row.sample) == name]
            known = [row.scores[method].right for row in own if method in row.scores]
            if known:
                shares.append(100 * float(np.mean(known)))
                heights.append(height)
        lowest = min([lowest, *shares])
        # models are filled, each smaller than the one before it, and what they are compared with is
        # hollow and smaller still, so that all show where they agree
        style = {"ms": 5, "mfc": "none"}
        if method in models:
            style = {"ms": max(6, 9 - 2 * models.index(method))}
        marker = "o" if method in models else _MARKERS[index % len(_MARKERS)]
        axes.plot(shares, heights, marker, color=palette[method], label=method, zorder=2, **style)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    # so that what is nearly right can be told apart
    axes.set(ylim=(len(names) - 0.5, -0.5), xlim=(10 * (lowest // 10) - 1, 101))
    axes.set_xlabel(f"particles {_RIGHT.get(group, 'labeled rightly')} / %")
    axes.grid(alpha=0.3)
    axes.set_axisbelow(True)
    axes.set_title(group if by_system else f"{group}: each method's mean over those that it knows")
    figure.legend(loc="outside right upper", frameon=False, fontsize=8)
    save_figure(path, figure)
