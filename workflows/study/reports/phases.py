"""Phases along a cooling run: the histogram of predicted frames, measures, and snapshots."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from tqdm.auto import tqdm

from hoomd_gala.analyzer import Analyzer
from hoomd_gala.files.trajectories import open_trajectory
from hoomd_gala.plotting.frames import centered
from hoomd_gala.systems import System, as_system
from study.reports.canvas import WIDTH, plt, save_figure
from study.reports.evidence import bond_diagram, draw_diagram
from study.reports.particles import render_particles
from study.solids.changes import PHASES
from study.solids.order import condensed, nearest_distance, shells
from study.solids.phases import Changes

#: Colors of phases, and of what a measure does not distinguish.
_COLORS = {
    "gas": "0.85",
    "liquid": "tab:blue",
    "solid": "tab:orange",
    "not solid": "lightsteelblue",
}


def draw(
    path: Path,
    title: str,
    histogram: NDArray[np.float64],
    learned: NDArray[np.int64],
    course: Sequence[dict[str, float]],
    solid: NDArray[np.float64],
    changes: Sequence[Changes],
) -> None:
    """Draw the histogram of predicted frames, independent measures, and the changes of each.

    Parameters
    ----------
    path : Path
        PNG file to write.
    title : str
        Title of the figure.
    histogram : (frames, classes) float64
        Distribution of predicted frames in each frame.
    learned : (classes,) int64
        Timesteps of the frames that the network distinguishes.
    course : sequence of dict
        See :func:`study.solids.cooling.course`.
    solid : (frames,) float64
        Fraction that template matching finds crystalline.
    changes : sequence of Changes
        Changes of phase by each measure.
    """
    time = np.array([row["timestep"] for row in course]) / 1000
    figure, (top, middle, bottom) = plt.subplots(
        3, 1, figsize=(7, 9), sharex=True, height_ratios=[6, 1.2, 3.5], layout="constrained"
    )
    half = (time[1] - time[0]) / 2
    low, high = learned[[0, -1]] / 1000
    margin = (high - low) / (2 * (len(learned) - 1))
    image = top.imshow(
        np.log10(histogram.T + 1e-3),
        origin="lower",
        extent=(time[0] - half, time[-1] + half, low - margin, high + margin),
        aspect="auto",
        cmap="magma",
    )
    top.set(ylabel="predicted timestep / 1000", title=title)
    figure.colorbar(image, ax=top, label="log₁₀ fraction of particles")
    ends = (time[0] - half, time[-1] + half)
    seen = []
    for row, change in enumerate(changes):
        for phase, first, end in spans(change, len(time)):
            start, stop = (time[i] - half if i < len(time) else ends[1] for i in (first, end))
            middle.broken_barh(
                [(start, stop - start)], (row - 0.4, 0.8), color=_COLORS[phase], lw=0
            )
            seen.append(phase)
    middle.set_yticks(range(len(changes)), [change.measure for change in changes])
    middle.set(ylim=(len(changes) - 0.5, -0.5), xlim=ends)
    for label, key in (("energy per particle", "energy"), ("median density", "density")):
        values = np.array([row[key] for row in course])
        scaled = (values - values.min()) / np.ptp(values)
        line = "-" if key == "energy" else "--"
        bottom.plot(time, scaled, line, color="k", label=label)
    bottom.plot(time, solid, color="tab:green", label="crystalline by PTM")
    bottom.set(xlabel="timestep / 1000", ylabel="fraction, or scaled to [0, 1]")
    handles = bottom.get_legend_handles_labels()[0]
    handles += [
        plt.Rectangle((0, 0), 1, 1, color=color, label=phase)
        for phase, color in _COLORS.items()
        if phase in seen
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False)
    save_figure(path, figure)


def spans(change: Changes, frames: int) -> list[tuple[str, int, int]]:
    """Return the phases that a measure sees: name, first frame, and the frame after the last."""
    freezing = frames if change.freezing is None else change.freezing
    if change.condensation is None:
        found = [("not solid", 0, freezing)]
    else:
        found = [("gas", 0, change.condensation), ("liquid", change.condensation, freezing)]
    return [*found, ("solid", freezing, frames)] if freezing < frames else found


def draw_snapshots(path: Path, trajectory: Path, analyzer: Analyzer, chosen: Sequence[int]) -> None:
    """Draw a snapshot and a bond-orientational order diagram of each phase.

    Particles are colored by their predicted frame.
    """
    figure, axes = plt.subplots(2, len(chosen), figsize=(WIDTH, 5.3), layout="constrained")
    total = len(analyzer.class_names)
    columns = enumerate(zip(PHASES, chosen, strict=True))
    for column, (phase, index) in tqdm(columns, "render", len(PHASES), unit="picture"):
        with open_trajectory(trajectory) as frames:
            frame = frames[index]
        system = as_system(frame)
        label = analyzer.analyze_system(system).label
        rgb = np.asarray(colormaps["viridis"](label / max(total - 1, 1)))[:, :3]
        radius = 0.5 * nearest_distance(system)
        points = centered(system.positions, system.box)
        axes[0, column].imshow(render_particles(points, rgb, radius, system.box))
        axes[0, column].set_axis_off()
        axes[0, column].set_title(f"{phase}, timestep {frame.configuration.step}")
        draw_diagram(axes[1, column], _diagram(system), "bond directions")
    scale = plt.cm.ScalarMappable(cmap="viridis")
    names = [int(name) for name in analyzer.class_names]
    scale.set_clim(names[0], names[-1])
    figure.colorbar(scale, ax=axes[0], label="predicted timestep", shrink=0.7)
    save_figure(path, figure)


def _diagram(system: System) -> NDArray[np.float64]:
    """Bond-orientational order diagram of the condensed phase, or of all particles of a gas."""
    inside = condensed(system)
    if inside.mean() < 0.5:
        inside = np.full(len(inside), True)
    radius = shells(system, inside).radius
    return bond_diagram(system, inside, radius, Rotation.identity())
