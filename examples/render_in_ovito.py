"""Render structures in OVITO: ``render_in_ovito.py [RUN.gsd [FRAME ...]]``.

Frames of a trajectory, labeled or not, become pictures ``RUN-FRAME.png`` with a legend of names
and colors. Without arguments, the sample is a droplet of cF4-Cu in a gas. The first picture shows
the whole, the second one (``-cut.png``) the inside.
"""

import sys
from pathlib import Path

import gsd.hoomd
import numpy as np
from ovito.io import import_file
from ovito.modifiers import SliceModifier
from ovito.qt_compat import QtCore
from ovito.vis import ColorLegendOverlay, TachyonRenderer, Viewport

from hoomd_gala.crystals import crystal, displace, droplet, unit_cell
from hoomd_gala.files import make_frame
from hoomd_gala.integrations.ovito import ClassifierModifier
from hoomd_gala.systems import make_system

#: Pixels of a picture.
SIZE = (900, 700)


def write_sample(path: Path) -> None:
    """A warm droplet in a gas."""
    rng = np.random.default_rng(1)
    ball = displace(droplet(crystal(unit_cell("cF4-Cu"), 1500), 0.8).system, 0.05, rng)
    box = ball.box * [1.4, 1.4, 1.4, 1, 1, 1]
    gas = (rng.random((500, 3)) - 0.5) * box[:3]
    gas = gas[np.linalg.norm(gas, axis=1) > np.linalg.norm(ball.positions, axis=1).max() + 1]
    with gsd.hoomd.open(path, "w") as trajectory:
        trajectory.append(make_frame(make_system(np.concatenate((ball.positions, gas)), box), 0))


path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("droplet.gsd")
if len(sys.argv) == 1:
    write_sample(path)

pipeline = import_file(str(path))
pipeline.source.data.cell_.vis.line_width = 0.03
pipeline.source.data.particles_.vis.radius = 0.5
# labels that the file holds, or else those of the model "structures"
pipeline.modifiers.append(ClassifierModifier())
# the half in front
slice_ = SliceModifier(normal=(0, 1, 0), inverse=True, enabled=False)
pipeline.modifiers.append(slice_)
pipeline.add_to_scene()

view = Viewport(type=Viewport.Type.Perspective, camera_dir=(-0.45, 1, -0.35))
legend = ColorLegendOverlay(
    property="structures/Structure Type",  # of those that occur
    title=" ",
    orientation=QtCore.Qt.Orientation.Vertical,
    alignment=QtCore.Qt.AlignmentFlag.AlignRight | QtCore.Qt.AlignmentFlag.AlignTop,
    legend_size=0.32,
    font_size=0.16,
    offset_x=-0.01,
)
view.overlays.append(legend)
for frame in [int(text) for text in sys.argv[2:]] or [pipeline.source.num_frames - 1]:
    view.zoom_all(size=SIZE)
    for cut, suffix in ((False, ""), (True, "-cut")):
        slice_.enabled = cut
        picture = f"{path.stem}-{frame}{suffix}.png"
        view.render_image(
            size=SIZE,
            filename=picture,
            frame=frame,
            background=(1, 1, 1),
            renderer=TachyonRenderer(antialiasing_samples=5, ambient_occlusion_samples=5),
        )
        print(picture)
