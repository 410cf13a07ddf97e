"""Take the heat out of a crystal, and see its defects: ``denoise_positions.py``.

The sample is fcc with two twin boundaries and ten vacancies, so hot that template matching finds
next to nothing in it. ``denoised.png`` shows it before and after, colored by template matching:
fcc green, hcp red, and what is neither white.
"""

from pathlib import Path

import gsd.hoomd
import matplotlib.image
import numpy as np
from matplotlib.figure import Figure
from ovito.io import import_file
from ovito.modifiers import PolyhedralTemplateMatchingModifier
from ovito.vis import TachyonRenderer, Viewport

from hoomd_gala.crystals import displace
from hoomd_gala.crystals.stackings import stack
from hoomd_gala.files import make_frame
from hoomd_gala.integrations.ovito import DenoiseModifier
from hoomd_gala.systems import make_system

#: Pixels of a panel.
SIZE = (900, 620)


def write_sample(path: Path) -> None:
    """Close-packed layers A, B and C, whose order turns around twice, displaced by 10 %."""
    rng = np.random.default_rng(1)
    layers = ["ABC".index(letter) for letter in "ABCABCABCBACBACB"]
    whole = stack(np.array(layers), 14, diamond=False)
    left = rng.permutation(len(whole.positions))[10:]
    # no layer lies in a face of the box
    positions = whole.positions[left] + [0, 0, 0.4]
    hot = displace(make_system(positions, whole.box), 0.1, rng)
    with gsd.hoomd.open(path, "w") as trajectory:
        trajectory.append(make_frame(hot, 0))


sample = Path("hot.gsd")
write_sample(sample)

figure = Figure(figsize=(9, 3.5), layout="constrained")
panels = figure.subplots(1, 2)
for axes, when, modifiers in (
    (panels[0], "before", []),
    (panels[1], "after", [DenoiseModifier()]),
):
    pipeline = import_file(str(sample))
    pipeline.modifiers.extend([*modifiers, PolyhedralTemplateMatchingModifier(rmsd_cutoff=0.1)])
    data = pipeline.compute()
    found = data.attributes
    fcc, hcp, other = (
        found[f"PolyhedralTemplateMatching.counts.{name}"] for name in ("FCC", "HCP", "OTHER")
    )
    print(f"{when}: fcc {fcc}, hcp {hcp}, neither {other}")

    pipeline.source.data.cell_.vis.line_width = 0.05
    pipeline.source.data.particles_.vis.radius = 0.4
    pipeline.add_to_scene()
    view = Viewport(type=Viewport.Type.Ortho, camera_dir=(0, 1, 0))  # along the layers
    view.zoom_all(size=SIZE)
    picture = Path("denoised-panel.png")
    view.render_image(
        size=SIZE,
        filename=str(picture),
        background=(1, 1, 1),
        renderer=TachyonRenderer(antialiasing_samples=5, ambient_occlusion_samples=5),
    )
    pipeline.remove_from_scene()
    axes.imshow(matplotlib.image.imread(picture))
    picture.unlink()
    axes.set_axis_off()
    axes.set_title(f"{when}: fcc {fcc}, hcp {hcp}, neither {other}", fontsize=12)
figure.savefig("denoised.png", dpi=150)
print("wrote denoised.png")
