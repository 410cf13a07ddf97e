"""What is read off a finished, labelled trajectory: numbers first, then pictures of them."""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from numpy.typing import NDArray

from hoomd_gala.colors import structure_color
from hoomd_gala.files import decode_strings, open_trajectory
from hoomd_gala.files.atomic import replacing
from hoomd_gala.neighbors.environments import nearest_neighbors
from hoomd_gala.schema import NAMESPACE
from study.simulation.protocol import Protocol
from study.solids.references import HOT_CUTOFF

matplotlib.use("Agg")
import matplotlib.pyplot as plt

#: Structures that OVITO's polyhedral template matching knows, by the names of ours.
PTM_STRUCTURES = {"cF4-Cu": "FCC", "hP2-Mg": "HCP", "cI2-W": "BCC"}

#: Temperature above which nothing is solid.
FLUID_KT = 0.8


def fractions(trajectory: Path, protocol: Protocol) -> tuple[list[str], list[dict[str, float]]]:
    """Timestep, temperature, energy and fraction of each structure, frame by frame."""
    rows = []
    with open_trajectory(trajectory) as frames:
        names = [*decode_strings(frames[0].log[f"{NAMESPACE}/names"]), "unknown"]
        for frame in frames:
            step = int(frame.configuration.step)
            energy = float(frame.log["md/compute/ThermodynamicQuantities/potential_energy"][0])
            shares = frame.log[f"{NAMESPACE}/fractions"].tolist()
            rows.append(
                {"timestep": step, "kT": protocol.kT(step), "energy": energy / frame.particles.N}
                | dict(zip(names, shares, strict=True))
            )
    return names, rows


def save_figure(path: Path, figure: Any) -> None:
    """Write a figure as PNG and close it."""
    with replacing(path) as part:
        figure.savefig(part, format="png", dpi=150)
    plt.close(figure)


def draw_fractions(
    path: Path, title: str, names: list[str], rows: list[dict[str, float]], protocol: Protocol
) -> None:
    """Fractions of structures, potential energy and temperature against time."""
    time = np.array([row["timestep"] for row in rows]) / 1000
    figure, (top, bottom) = plt.subplots(
        2, 1, figsize=(7, 5), sharex=True, height_ratios=[2, 1], layout="constrained"
    )
    shares = [[row[name] for row in rows] for name in names]
    colors = [structure_color(name) for name in names]
    # what is disordered is nearly white, and shows by its outline
    top.stackplot(time, shares, labels=names, colors=colors, edgecolor="0.35", linewidth=0.3)
    top.set(ylabel="fraction of particles", ylim=(0, 1), xlim=(time[0], time[-1]), title=title)
    top.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, reverse=True)
    bottom.plot(time, [row["energy"] for row in rows], "k-")
    bottom.set(xlabel="timestep / 1000", ylabel="potential energy\nper particle")
    twin = bottom.twinx()
    twin.plot(time, [row["kT"] for row in rows], color="tab:red")
    twin.set_ylabel("kT", color="tab:red")
    twin.set_ylim(bottom=0)
    for axes in (top, bottom):
        axes.axvline(protocol.gas_steps / 1000, color="k", lw=0.8, ls=":")
    save_figure(path, figure)


def template_matching(trajectory: Path, frame: int) -> NDArray[np.str_]:
    """Structure of each particle by OVITO's polyhedral template matching, by OVITO's names."""
    from ovito.io import import_file
    from ovito.modifiers import PolyhedralTemplateMatchingModifier

    pipeline = import_file(str(trajectory))
    modifier = PolyhedralTemplateMatchingModifier(rmsd_cutoff=HOT_CUTOFF)
    pipeline.modifiers.append(modifier)
    data = pipeline.compute(frame)
    kinds: Any = data.particles["Structure Type"]
    names = {kind.id: kind.name for kind in kinds.types}
    return np.array([names[i] for i in kinds.array])


def checks(trajectory: Path, protocol: Protocol) -> list[dict[str, Any]]:
    """Labels against template matching at the end, and against the temperature before.

    Returns
    -------
    list of dict
        For each check, what it is of, how many particles it covers and the fraction that agrees.
    """
    with open_trajectory(trajectory) as frames:
        names = decode_strings(frames[0].log[f"{NAMESPACE}/names"])
        steps = [int(frame.configuration.step) for frame in frames]
        labels = [frame.log[f"particles/{NAMESPACE}/label"] for frame in frames]
    reference = template_matching(trajectory, len(steps) - 1)
    rows = []
    for name, structure in PTM_STRUCTURES.items():
        chosen = reference == structure
        if name in names and chosen.any():
            agree = float((labels[-1][chosen] == names.index(name)).mean())
            what = f"{structure} by PTM labelled {name}, last frame"
            rows.append({"check": what, "particles": int(chosen.sum()), "agreement": agree})
    fluid = [
        label for step, label in zip(steps, labels, strict=True) if protocol.kT(step) > FLUID_KT
    ]
    if fluid and "disordered" in names:
        flat = np.concatenate(fluid)
        agree = float((flat == names.index("disordered")).mean())
        what = f"frames above kT = {FLUID_KT} labelled disordered"
        rows.append({"check": what, "particles": len(flat), "agreement": agree})
    return rows


def render(path: Path, trajectory: Path, frame: int) -> None:
    """Picture of a frame, whole and cut open, particles colored by structure.

    OVITO renders it where it finds the graphics driver it needs (it works without a GPU: Debian's
    libvulkan1 and mesa-vulkan-drivers); otherwise it is drawn with Matplotlib.
    """
    with open_trajectory(trajectory) as frames:
        shown = frames[frame]
    names = [*decode_strings(shown.log[f"{NAMESPACE}/names"]), "unknown"]
    label = shown.log[f"particles/{NAMESPACE}/label"] % len(names)  # -1 is the last: unknown
    rgb = np.array([structure_color(name) for name in names])
    box = shown.configuration.box
    positions = centered(shown.particles.position, box[:3])
    nearest = nearest_neighbors(positions, box, n=1).bonds
    radius = 0.52 * float(np.median(np.linalg.norm(nearest, axis=-1)))
    images = []
    for visible in (np.full(len(label), True), positions[:, 1] > 0):
        images.append(render_particles(positions[visible], rgb[label[visible]], radius, box))
    figure, axes = plt.subplots(1, 2, figsize=(12, 5.5), layout="constrained")
    for part, image, title in zip(axes, images, ("whole", "cut open"), strict=True):
        part.imshow(image)
        part.set_axis_off()
        part.set_title(title)
    handles = [
        plt.Line2D([], [], marker="o", ls="", ms=12, color=rgb[i], mec="0.35", label=names[i])
        for i in np.unique(label)
    ]
    figure.legend(handles=handles, loc="outside right center", frameon=False)
    save_figure(path, figure)


def centered(positions: NDArray[np.floating], edges: NDArray[np.floating]) -> NDArray[np.float64]:
    """Positions in an orthorhombic box, shifted so that what has condensed lies in the middle."""
    angles = 2 * np.pi * positions / edges
    middle = np.angle(np.exp(1j * angles).mean(axis=0)) / (2 * np.pi)
    fractional = positions / edges - middle
    return (fractional - np.round(fractional)) * edges


def render_particles(
    positions: NDArray[np.float64],
    rgb: NDArray[np.float64],
    radius: float,
    box: NDArray[np.floating],
) -> NDArray[np.uint8]:
    """Picture of particles of given (N, 3) colors in an orthorhombic box, (rows, columns, 3).

    By OVITO where it finds the graphics driver it needs, otherwise by Matplotlib.
    """
    try:
        return _render_ovito(positions, rgb, radius, box)
    except RuntimeError as error:
        print(f"OVITO cannot render here, so Matplotlib draws: {str(error).splitlines()[0]}")
        return render_discs(positions, rgb, radius)


def _render_ovito(
    positions: NDArray[np.float64],
    rgb: NDArray[np.float64],
    radius: float,
    box: NDArray[np.floating],
) -> NDArray[np.uint8]:
    from ovito.data import DataCollection, Particles, SimulationCell
    from ovito.pipeline import Pipeline, StaticSource
    from ovito.vis import TachyonRenderer, Viewport

    data = DataCollection()
    cell = SimulationCell(pbc=(True, True, True))
    cell[:, :3] = np.diag(box[:3])
    cell[:, 3] = -box[:3] / 2
    cell.vis.line_width = 0.04
    particles = Particles()
    particles.create_property("Position", data=positions)
    particles.create_property("Color", data=rgb)
    particles.vis.radius = radius
    data.objects.append(cell)
    data.objects.append(particles)
    pipeline = Pipeline(source=StaticSource(data=data))
    pipeline.add_to_scene()
    try:
        view = Viewport(type=Viewport.Type.Perspective, camera_dir=(-0.45, 1, -0.35))
        view.zoom_all(size=(900, 900))
        image = view.render_image(size=(900, 900), background=(1, 1, 1), renderer=TachyonRenderer())
    finally:
        pipeline.remove_from_scene()
    image = image.convertToFormat(image.Format.Format_RGB888)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3).copy()


def render_discs(
    positions: NDArray[np.float64], rgb: NDArray[np.float64], radius: float
) -> NDArray[np.uint8]:
    """Discs along one axis of the box, the nearest on top and brightest."""
    depth = positions[:, 1]
    order = np.argsort(-depth)
    light = np.interp(depth, (depth.min(), depth.max()), (1.0, 0.5))[order, None]
    figure, axes = plt.subplots(figsize=(6, 6), dpi=150)
    span = np.ptp(positions[:, [0, 2]], axis=0).max() + 2 * radius
    size = (2 * radius / span * 0.77 * 6 * 72) ** 2  # square points of area
    axes.scatter(
        positions[order, 0], positions[order, 2], s=size, c=rgb[order] * light, ec="k", lw=0.3
    )
    seen = positions[:, [0, 2]]
    middle = (seen.min(axis=0) + seen.max(axis=0)) / 2
    axes.set(xlim=middle[0] + span * np.array([-0.5, 0.5]), aspect="equal")
    axes.set(ylim=middle[1] + span * np.array([-0.5, 0.5]))
    axes.set_axis_off()
    figure.canvas.draw()
    pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()  # type: ignore[attr-defined]
    plt.close(figure)
    return pixels
