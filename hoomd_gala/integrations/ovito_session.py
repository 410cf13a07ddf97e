"""OVITO sessions that open with the names and colors of structures, and a legend of them.

A session holds settings of OVITO's own objects, and no modifier in Python, so that whoever opens it
needs nothing of this package.
"""

from pathlib import Path
from typing import Any

import numpy as np
import ovito
from ovito.data import NearestNeighborFinder
from ovito.io import import_file
from ovito.qt_compat import QtCore
from ovito.vis import ColorLegendOverlay

from ..colors import structure_color
from ..files.atomic import replacing
from ..files.labels import frame_labels
from ..files.trajectories import open_trajectory
from ..names import class_of_title, title
from ..results import UNKNOWN, UNKNOWN_NAME
from ..schema import LABEL, ovito_name


def occurring_structures(path: Path) -> dict[int, str]:
    """Find the structures that occur in any frame of a labeled trajectory.

    Returns
    -------
    dict
        Names by label, -1 for ``"unknown"``.
    """
    found: dict[int, str] = {}
    with open_trajectory(path) as frames:
        for frame in frames:
            labels = frame_labels(frame)
            if labels is not None:
                label, class_names = labels
                names = {UNKNOWN: UNKNOWN_NAME, **dict(enumerate(class_names))}
                found |= {k: names[k] for k in set(label.tolist())}
    return found


def touching_radius(data: Any) -> float | None:
    """Radius of particles that touch their nearest neighbors: half the median distance.

    None if there are not two particles.
    """
    if data.particles is None or data.particles.count < 2:
        return None
    _, vectors = NearestNeighborFinder(1, data).find_all()
    return float(np.median(np.linalg.norm(vectors, axis=-1))) / 2


def write_session(source: Path, target: Path) -> None:
    """Write an OVITO session that shows a trajectory whose particle types are structures.

    The session refers to the trajectory by its place, also relative to the session: the two can be
    moved together.

    Parameters
    ----------
    source : Path
        What :func:`~hoomd_gala.labeling.view_trajectory` wrote.
    target : Path
        Session file to write.
    """
    pipeline = import_file(str(source))
    contents: Any = pipeline.source.data  # type: ignore[union-attr]
    kinds = contents.particles_.particle_types_
    for kind in kinds.types:
        shown = kinds.type_by_id_(kind.id)
        shown.color = structure_color(class_of_title(kind.name))
    # OVITO's own radius is 1.2, whatever the unit of length; a solid is rather at the end of a run
    last: Any = pipeline.source.num_frames - 1  # type: ignore[union-attr]
    radius = touching_radius(pipeline.compute(last))
    if radius is not None:
        contents.particles_.vis.radius = radius
    # particle types are in the file for OVITO's own colors, and not all of them occur: a legend of
    # the labels has those that do
    label = contents.particles_[ovito_name(LABEL) + "_"]
    for number, name in sorted(occurring_structures(source).items()):
        entry = label.add_type_id(number, contents.particles)
        entry.name, entry.color = title(name), structure_color(name)
    scene: Any = ovito.scene
    view = scene.viewports.active_vp
    legend: Any = ColorLegendOverlay(
        property=f"particles/{ovito_name(LABEL)}",
        orientation=QtCore.Qt.Orientation.Vertical,
        alignment=QtCore.Qt.AlignmentFlag.AlignRight | QtCore.Qt.AlignmentFlag.AlignTop,
        legend_size=0.28,
        font_size=0.12,
        offset_x=-0.01,
        # text is black, and viewports are dark
        background_enabled=True,
    )
    # the name of the property; later versions of OVITO call it a caption, and take this as well
    legend.title = " "
    pipeline.add_to_scene()
    view.overlays.append(legend)
    try:
        view.zoom_all()
        with replacing(target) as part:
            scene.save(str(part))
    finally:
        view.overlays.remove(legend)
        pipeline.remove_from_scene()
