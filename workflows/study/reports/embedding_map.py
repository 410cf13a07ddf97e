"""The map of embeddings of simulated solids (figure 3a of the paper)."""

from pathlib import Path
from typing import Any

import numpy as np

from hoomd_gala.colors import structure_color
from hoomd_gala.crystals.prototypes import unit_cells
from hoomd_gala.names import title
from hoomd_gala.plotting.projection import project
from study.comparison.embedding_map import SURFACE, Points
from study.reports.canvas import WIDTH, plt, save_figure


def draw(path: Path, points: Points, first: str) -> list[dict[str, Any]]:
    """Draw a map of the points by one descriptor; returns its rows for a table.

    Bulk of structures that the model has learned on the left; on the right, in color, what was not
    in its training: surfaces, and structures without a unit cell.
    """
    place, method = project(np.asarray(points.features[first], np.float32))
    known = unit_cells()
    names = [name for name in dict.fromkeys(points.group.tolist()) if name != SURFACE]
    color = {name: structure_color(name) for name in names}
    figure, axes = plt.subplots(
        1, 2, figsize=(WIDTH, 4.2), sharex=True, sharey=True, layout="constrained"
    )
    for part, shown in ((axes[0], True), (axes[1], False)):
        part.scatter(*place.T, s=3, color="0.88", linewidths=0)
        for name in names:
            if (name in known) == shown:
                chosen = points.group == name
                part.scatter(
                    *place[chosen].T, s=5, color=color[name], label=title(name), linewidths=0
                )
        part.set(xlabel=f"{method} 1", ylabel=f"{method} 2")
    surface = points.group == SURFACE
    axes[1].scatter(*place[surface].T, s=5, color="0.35", label=SURFACE, linewidths=0)
    axes[0].set_title("bulk of structures in the training data")
    axes[1].set_title("not in the training data")
    for part in axes:
        if part.get_legend_handles_labels()[0]:
            part.legend(frameon=False, markerscale=2.5, fontsize=8)
    save_figure(path, figure)
    return [
        {"x": float(x), "y": float(y), "group": group, "solid": int(solid)}
        for (x, y), group, solid in zip(place, points.group, points.solid, strict=True)
    ]
