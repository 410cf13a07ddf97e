"""Freeze a Lennard-Jones liquid in HOOMD-blue, and draw how a crystal grows in it.

``freezing.py`` writes ``freezing.gsd``, unless it is there, and draws ``freezing.png``: frames over
time, rendered by OVITO, above the fractions of structures. It takes some five minutes on one core.
"""

from collections import Counter
from pathlib import Path

import hoomd
import matplotlib.image
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from ovito.io import import_file
from ovito.vis import TachyonRenderer, Viewport

import hoomd_gala
from hoomd_gala.colors import OTHERS_COLOR, structure_color
from hoomd_gala.files import frame_labels, open_trajectory
from hoomd_gala.names import title

#: Particles along an edge, particles in a cube of the potential's minimum, and kT.
EDGE, DENSITY, KT = 14, 1.4, 0.55

#: Structures that are shown by name, from below in the plot; all other ones are "other".
SHOWN = ("cF4-Cu", "hP2-Mg", "cI2-W", "other", "unknown", "disordered")

#: Parts of the particles that are solid in the frames that are shown.
MOMENTS = (0.0, 0.06, 0.3, 0.7, 1.0)

#: Timesteps between frames, and of the whole run at most.
PERIOD, LAST = 250, 40_000


def simulate(path: Path) -> None:
    """Melt a lattice, cool it at once, and label it until nearly everything is solid."""
    length = (EDGE**3 / DENSITY) ** (1 / 3)
    edge = (np.arange(EDGE) + 0.5) * length / EDGE - length / 2
    simulation = hoomd.Simulation(hoomd.device.auto_select(), seed=1)
    snapshot = hoomd.Snapshot()
    snapshot.configuration.box = [length, length, length, 0, 0, 0]
    snapshot.particles.N = EDGE**3
    snapshot.particles.types = ["A"]
    snapshot.particles.position[:] = np.stack(np.meshgrid(edge, edge, edge), -1).reshape(-1, 3)
    simulation.create_state_from_snapshot(snapshot)
    lj = hoomd.md.pair.LJ(hoomd.md.nlist.Cell(buffer=0.4), default_r_cut=2.2)
    lj.params[("A", "A")] = {"epsilon": 1.0, "sigma": 2 ** (-1 / 6)}
    langevin = hoomd.md.methods.Langevin(hoomd.filter.All(), kT=3.0, default_gamma=0.1)
    integrator = hoomd.md.Integrator(dt=0.004, methods=[langevin], forces=[lj])
    simulation.operations.integrator = integrator
    simulation.state.thermalize_particle_momenta(hoomd.filter.All(), kT=3.0)
    simulation.run(1000)

    langevin.kT, integrator.dt = KT, 0.012
    classifier = hoomd_gala.Classifier(model="structures", filename=path)
    simulation.operations.writers.append(
        hoomd.write.CustomWriter(action=classifier, trigger=PERIOD)
    )
    solid = 0.0
    while solid < 0.95 and simulation.timestep < LAST:
        simulation.run(1000)
        solid = classifier.solid_fraction
        found = Counter(classifier.result.names.tolist()).most_common(4)
        print(f"timestep {simulation.timestep}: {solid:.1%} solid, {found}", flush=True)


def color(name: str) -> tuple[float, float, float]:
    """Color of a structure that is shown."""
    return OTHERS_COLOR if name == "other" else structure_color(name)


def read(path: Path) -> tuple[np.ndarray, list[np.ndarray]]:
    """Timesteps, and for each an index into ``SHOWN`` for every particle."""
    steps, shown = [], []
    with open_trajectory(path) as trajectory:
        for frame in trajectory:
            label, class_names = frame_labels(frame)
            index = [
                SHOWN.index(name if name in SHOWN else "other")
                for name in (*class_names, "unknown")
            ]
            steps.append(frame.configuration.step)
            shown.append(np.array(index)[label])
    return np.array(steps), shown


def render(path: Path, frame: int, shown: np.ndarray) -> np.ndarray:
    """Picture of a frame; what is not crystalline is small, so that one sees what is."""
    pipeline = import_file(str(path))
    pipeline.source.data.cell_.vis.line_width = 0.06
    pipeline.source.data.cell_.vis.rendering_color = (0.6, 0.6, 0.6)
    loose = np.array([SHOWN.index("unknown"), SHOWN.index("disordered")])

    def paint(_frame: int, data) -> None:
        palette = np.array([color(name) for name in SHOWN])
        palette[loose] = [(0.5, 0.5, 0.5), (0.82, 0.82, 0.82)]
        data.particles_.create_property("Color", data=palette[shown])
        radius = np.where(np.isin(shown, loose), 0.11, 0.5)
        data.particles_.create_property("Radius", data=radius)

    pipeline.modifiers.append(paint)
    pipeline.add_to_scene()
    view = Viewport(type=Viewport.Type.Perspective, camera_dir=(-0.5, 1, -0.4))
    view.zoom_all(size=(700, 700))
    picture = f"freezing-{frame}.png"
    view.render_image(
        size=(700, 700),
        filename=picture,
        frame=frame,
        background=(1, 1, 1),
        renderer=TachyonRenderer(antialiasing_samples=5, ambient_occlusion_samples=5),
    )
    pipeline.remove_from_scene()
    pixels = matplotlib.image.imread(picture)[..., :3]
    Path(picture).unlink()
    ink = np.argwhere((pixels < 0.98).any(axis=-1))
    (top, left), (bottom, right) = ink.min(axis=0), ink.max(axis=0) + 1
    return pixels[top:bottom, left:right]


def draw(path: Path, picture: str) -> None:
    """Draw frames above the fractions of structures."""
    steps, shown = read(path)
    shares = np.array([np.bincount(one, minlength=len(SHOWN)) / len(one) for one in shown])
    solid = 1 - shares[:, SHOWN.index("disordered")] - shares[:, SHOWN.index("unknown")]
    chosen = [int(np.argmax(solid >= moment * solid.max())) for moment in MOMENTS]
    chosen[0] = chosen[1] // 2

    figure = Figure(figsize=(9, 4.9), layout="constrained")
    rows = figure.subfigures(2, 1, height_ratios=(1, 1.35))
    for axes, frame in zip(rows[0].subplots(1, len(chosen)), chosen, strict=True):
        axes.imshow(render(path, frame, shown[frame]))
        axes.set_axis_off()
        axes.set_title(f"timestep {steps[frame]}", fontsize=12, pad=2)
    axes = rows[1].subplots()
    axes.stackplot(
        steps / 1000,
        shares.T,
        colors=[color(name) for name in SHOWN],
        edgecolor="0.3",
        linewidth=0.4,
    )
    for frame in chosen:
        axes.axvline(steps[frame] / 1000, color="k", lw=1, ls=":")
    axes.set(xlim=(steps[0] / 1000, steps[-1] / 1000), ylim=(0, 1), yticks=(0, 0.5, 1))
    axes.set_xlabel("timestep / 1000", fontsize=13)
    axes.set_ylabel("fraction of particles", fontsize=13)
    axes.tick_params(labelsize=12)
    handles = [
        Line2D([], [], marker="o", ls="", ms=11, color=color(name), mec="0.3", label=title(name))
        for name in SHOWN
        if shares[:, SHOWN.index(name)].max() > 0.01  # as can be seen
    ]
    rows[1].legend(
        handles=handles[::-1],
        loc="outside right center",
        frameon=False,
        fontsize=13,
        handletextpad=0.2,
    )
    figure.savefig(picture, dpi=200)


path = Path("freezing.gsd")
if not path.is_file():
    simulate(path)
draw(path, "freezing.png")
print("wrote freezing.png")
