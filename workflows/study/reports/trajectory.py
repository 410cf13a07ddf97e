"""Figures of a labeled trajectory: fractions of structures, and a frame."""

from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from hoomd_gala.colors import structure_color
from hoomd_gala.files import decode_strings, open_trajectory
from hoomd_gala.names import title as titled
from hoomd_gala.neighbors import nearest_distance
from hoomd_gala.plotting.frames import centered, without_margins
from hoomd_gala.results import UNKNOWN_NAME
from hoomd_gala.schema import LABEL, NAMES
from study.reports.canvas import WIDTH, plt, save_figure, structure_handle
from study.reports.particles import render_particles
from study.simulation.protocol import Protocol


def draw_fractions(
    path: Path, title: str, names: list[str], rows: list[dict[str, float]], protocol: Protocol
) -> None:
    """Draw fractions of structures, potential energy and temperature against time."""
    time = np.array([row["timestep"] for row in rows]) / 1000
    figure, (top, bottom) = plt.subplots(
        2, 1, figsize=(7, 5), sharex=True, height_ratios=[2, 1], layout="constrained"
    )
    occurring = [name for name in names if max(row[name] for row in rows) > 0]
    shares = [[row[name] for row in rows] for name in occurring]
    colors = [structure_color(name) for name in occurring]
    titles = [titled(name) for name in occurring]
    # disordered is nearly white: its outline shows it
    top.stackplot(time, shares, labels=titles, colors=colors, edgecolor="0.35", linewidth=0.3)
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


def draw_frame(path: Path, trajectory: Path, frame: int) -> None:
    """Draw a frame, whole and cut open, particles colored by structure.

    OVITO renders it where it finds the graphics driver that it needs (which works without a GPU:
    Debian's libvulkan1 and mesa-vulkan-drivers); otherwise Matplotlib does.
    """
    with open_trajectory(trajectory) as frames:
        shown = frames[frame]
    names = [*decode_strings(shown.log[NAMES]), UNKNOWN_NAME]
    label = shown.log[LABEL] % len(names)  # -1 is the last: unknown
    rgb = np.array([structure_color(name) for name in names])
    box = shown.configuration.box
    positions = centered(shown.particles.position, box)
    radius = 0.52 * nearest_distance(positions, box)
    images = []
    parts = (np.full(len(label), True), positions[:, 1] > 0)
    for visible in tqdm(parts, desc="render", unit="picture"):
        image = render_particles(positions[visible], rgb[label[visible]], radius, box)
        images.append(without_margins(image))
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 3.4), layout="constrained")
    for part, image, title in zip(axes, images, ("whole", "cut open"), strict=True):
        part.imshow(image)
        part.set_axis_off()
        part.set_title(title)
    handles = [structure_handle(names[i]) for i in np.unique(label)]
    figure.legend(handles=handles, loc="outside right center", frameon=False)
    save_figure(path, figure)
