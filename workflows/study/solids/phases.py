"""Gas, liquid and solid along a cooling run, from predicted frames and from independent measures.

A network that has learned to tell the frames of a trajectory apart confuses frames of the same
phase and no others (figure 5 of arXiv 2411.14680): the changes of phase are where the histogram of
its predictions changes.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from tqdm.auto import tqdm

from hoomd_gala.analyzer import Analyzer
from hoomd_gala.files.trajectories import open_trajectory
from hoomd_gala.systems import System, as_system
from study.figures.analysis import centered, plt, render_particles, save_figure
from study.figures.evidence_figures import bond_diagram, draw_diagram
from study.solids import references
from study.solids.changes import PHASES, change_points, course_changes
from study.solids.order import condensed, nearest_distance, rescaled, shells

#: Rise of the crystalline fraction below which nothing has frozen.
RISE = 0.1

#: Colors of the measures in figures.
_COLORS = {"predicted frames": "tab:red", "energy and density": "tab:blue", "PTM": "tab:green"}


def crystalline(trajectory: Path) -> NDArray[np.float64]:
    """Fraction of particles that template matching finds crystalline, frame by frame."""
    with open_trajectory(trajectory) as frames:
        shares = [
            references.crystalline(as_system(frame))
            for frame in tqdm(frames, desc="template matching", unit="frame")
        ]
    return np.array(shares)


def predicted_frames(
    trajectory: Path, analyzer: Analyzer, scale: float = 1.0
) -> tuple[list[int], NDArray[np.float64]]:
    """Distribution of predicted frames in each frame.

    Parameters
    ----------
    trajectory : Path
        GSD file.
    analyzer : Analyzer
        Has learned to tell frames apart, of this trajectory or another.
    scale : float
        Multiplies all lengths first.

    Returns
    -------
    list of int, (frames, classes) float64
        Timestep of each frame, and the distribution, rows summing to 1.
    """
    times, rows = [], []
    with open_trajectory(trajectory) as frames:
        for frame in tqdm(frames, desc="predict frames", unit="frame"):
            system = rescaled(as_system(frame), scale)
            rows.append(np.asarray(analyzer.analyze_system(system).fractions)[:-1])
            times.append(int(frame.configuration.step))
    return times, np.array(rows)


class Changes(NamedTuple):
    """Where a measure sees the phases change.

    Attributes
    ----------
    measure : str
        What is looked at.
    condensation : int or None
        First frame of the liquid; None of a measure that does not tell liquid from gas.
    freezing : int or None
        First frame of the solid; None where template matching finds that nothing froze.
    """

    measure: str
    condensation: int | None
    freezing: int | None


def phase_changes(
    histogram: NDArray[np.float64],
    course: Sequence[dict[str, float]],
    solid: NDArray[np.float64],
) -> list[Changes]:
    """Changes of phase by each measure, that of predicted frames first.

    Parameters
    ----------
    histogram : (frames, classes)
        Distribution of predicted frames in each frame.
    course : sequence of dict
        See :func:`cooling.course`.
    solid : (frames,)
        Fraction that template matching finds crystalline.
    """
    # square roots of a distribution are of unit length: their distance is Hellinger's
    first, second = change_points(np.sqrt(histogram), 2)
    condensation, freezing = course_changes(course)
    rise = change_points(solid, 1)[0]
    froze = solid[rise:].mean() - solid[:rise].mean() > RISE
    return [
        Changes("predicted frames", first, second),
        Changes("energy and density", condensation, freezing),
        Changes("PTM", None, rise if froze else None),
    ]


def rows(changes: Sequence[Changes], course: Sequence[dict[str, float]]) -> list[dict[str, Any]]:
    """Changes as rows of a table, with timesteps and temperatures."""
    table = []
    for measure, condensation, freezing in changes:
        row: dict[str, Any] = {"measure": measure}
        for name, frame in (("condensation", condensation), ("freezing", freezing)):
            row[f"{name}, timestep"] = "" if frame is None else int(course[frame]["timestep"])
            row[f"{name}, kT"] = "" if frame is None else round(course[frame]["kT"], 4)
        table.append(row)
    return table


def draw(
    path: Path,
    title: str,
    histogram: NDArray[np.float64],
    learned: NDArray[np.int64],
    course: Sequence[dict[str, float]],
    solid: NDArray[np.float64],
    changes: Sequence[Changes],
) -> None:
    """Histogram of predicted frames, independent measures, and the changes that each sees.

    ``learned`` are the timesteps of the frames that the network tells apart.
    """
    time = np.array([row["timestep"] for row in course]) / 1000
    figure, (top, bottom) = plt.subplots(
        2, 1, figsize=(7, 8), sharex=True, height_ratios=[3, 2], layout="constrained"
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
    top.set_ylabel("predicted timestep / 1000")
    top.set_title(title, pad=20)
    figure.colorbar(image, ax=top, label="log₁₀ fraction of particles")
    bounds = [time[0] - half, *(time[i] - half for i in changes[0][1:] if i), time[-1] + half]
    for phase, start, end in zip(PHASES, bounds[:-1], bounds[1:], strict=True):
        top.text((start + end) / 2, high + margin, phase, ha="center", va="bottom")
    for label, key in (("energy per particle", "energy"), ("median density", "density")):
        values = np.array([row[key] for row in course])
        scaled = (values - values.min()) / np.ptp(values)
        line = "-" if key == "energy" else "--"
        bottom.plot(time, scaled, line, color="tab:blue", label=label)
    bottom.plot(time, solid, color="tab:green", label="crystalline by PTM")
    bottom.set(xlabel="timestep / 1000", ylabel="fraction, or scaled to 0 … 1")
    bottom.legend(loc="center right", bbox_to_anchor=(1.0, 0.3), frameon=False, fontsize=8)
    for i, change in enumerate(changes):
        for frame in (change.condensation, change.freezing):
            if frame is not None:
                for axes in (top, bottom):
                    axes.axvline(
                        time[frame] - half, color=_COLORS[change.measure], ls=":", lw=1.5 + i
                    )
    save_figure(path, figure)


def middles(change: Changes, n_frames: int) -> list[int]:
    """The frame in the middle of each phase."""
    bounds = [0, change.condensation or 0, change.freezing or n_frames, n_frames]
    return [(start + end) // 2 for start, end in itertools.pairwise(bounds)]


def draw_snapshots(path: Path, trajectory: Path, analyzer: Analyzer, chosen: Sequence[int]) -> None:
    """A snapshot and a bond-orientational order diagram of each phase.

    Particles are colored by the frame that they are predicted to be from.
    """
    figure, axes = plt.subplots(2, len(chosen), figsize=(4 * len(chosen), 8), layout="constrained")
    total = len(analyzer.class_names)
    for column, (phase, index) in enumerate(zip(PHASES, chosen, strict=True)):
        with open_trajectory(trajectory) as frames:
            frame = frames[index]
        system = as_system(frame)
        label = analyzer.analyze_system(system).label
        rgb = np.asarray(colormaps["viridis"](label / max(total - 1, 1)))[:, :3]
        radius = 0.5 * nearest_distance(system)
        points = centered(system.positions, system.box[:3])
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
    """Directions of first-shell bonds of all that has condensed; in a gas, of everything."""
    inside = condensed(system)
    if inside.mean() < 0.5:
        inside = np.full(len(inside), True)
    radius = shells(system, inside).radius
    return bond_diagram(system, inside, radius, Rotation.identity())
