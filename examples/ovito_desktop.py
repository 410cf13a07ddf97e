"""What a few clicks in OVITO show of a labeled file: ``ovito_desktop.py LABELED.gsd [FRAME]``.

Draws ``ovito-desktop.png``: the session that ``hoomd-gala view`` writes, with its legend; one
structure alone; a slice; and all that is crystalline. The modifiers are those that one adds in the
program. Without arguments, the file is ``freezing.gsd``, which ``freezing.py`` writes.
"""

import sys
from pathlib import Path

import matplotlib.image
import numpy as np
import ovito
from matplotlib.figure import Figure
from ovito.modifiers import (
    DeleteSelectedModifier,
    InvertSelectionModifier,
    SelectTypeModifier,
    SliceModifier,
)
from ovito.vis import TachyonRenderer, Viewport

from hoomd_gala.cli import main

#: Pixels of a panel; there is a legend at the right of those on the left.
HEIGHT, WIDTHS = 700, (1000, 700)

#: Pixels cut off at the left of the picture with the legend, which needs room at the right.
MARGIN = 320

#: What is done in the program, and the modifiers that it adds.
PANELS = {
    "the session that\nhoomd-gala view writes": [],
    "Select type: fcc, Invert selection,\nDelete selected": [
        SelectTypeModifier(types={"fcc (cF4-Cu)"}),
        InvertSelectionModifier(),
        DeleteSelectedModifier(),
    ],
    "Slice\n": [SliceModifier(normal=(0, 1, 0), inverse=True)],
    "Select type: disordered, unknown,\nDelete selected": [
        SelectTypeModifier(types={"disordered", "unknown"}),
        DeleteSelectedModifier(),
    ],
}


def render(frame: int, modifiers: list, width: int, named: bool) -> np.ndarray:
    """Picture of the session that is open with these modifiers, with its legend or without."""
    size = (width + MARGIN * named, HEIGHT)
    pipeline = ovito.scene.pipelines[0]
    pipeline.source.data.cell_.vis.line_width = 0.05
    pipeline.modifiers.extend(modifiers)
    saved = ovito.scene.viewports.active_vp
    view = Viewport(type=Viewport.Type.Perspective, camera_dir=(-0.45, 1, -0.35))
    view.zoom_all(size=size)
    if named:
        legend = saved.overlays[0]
        legend.legend_size, legend.font_size = 0.85, 0.08
        saved.overlays.remove(legend)
        view.overlays.append(legend)
    picture = Path("ovito-panel.png")
    view.render_image(
        size=size,
        filename=str(picture),
        frame=frame,
        background=(1, 1, 1),
        renderer=TachyonRenderer(antialiasing_samples=5, ambient_occlusion_samples=5),
    )
    for modifier in modifiers:
        pipeline.modifiers.remove(modifier)
    pixels = matplotlib.image.imread(picture)[..., :3]
    picture.unlink()
    return pixels[:, MARGIN * named :]


path = Path(sys.argv[1] if len(sys.argv) > 1 else "freezing.gsd")
frame = int(sys.argv[2]) if len(sys.argv) > 2 else -1
Path("freezing.ovito").unlink(missing_ok=True)  # of an earlier run: nothing is overwritten
main(["view", str(path), "freezing.ovito"])
ovito.scene.load("freezing.ovito")
index = frame % ovito.scene.pipelines[0].source.num_frames

figure = Figure(figsize=(9, 8.8), layout="constrained")
grid = figure.subplots(2, 2, width_ratios=WIDTHS).flat
for k, (axes, (title, modifiers)) in enumerate(zip(grid, PANELS.items(), strict=True)):
    axes.imshow(render(index, modifiers, WIDTHS[k % 2], named=k == 0))
    axes.set_axis_off()
    axes.set_title(title, fontsize=13)
figure.savefig("ovito-desktop.png", dpi=150)
print("wrote ovito-desktop.png")
