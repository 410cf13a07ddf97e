"""Fractions of structures over time, from any labeled GSD file."""

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from ..colors import OTHERS_COLOR, structure_color
from ..errors import InputError
from ..files.labels import frame_labels
from ..files.trajectories import open_trajectory
from ..names import title as titled
from ..results import DISORDERED, UNKNOWN_NAME, Fractions
from ..schema import FRACTIONS, LARGEST_CLUSTER, NAMES, decode_strings
from .plots import new_figure, save_figure

#: Structures that never reach this fraction are drawn together, unless there are so few.
_RARE, _FEW = 0.01, 8

#: Name of those.
_OTHERS = "other structures"


class Course(NamedTuple):
    """What a labeled trajectory is made of, frame by frame.

    Attributes
    ----------
    steps : (F,) int64
        Timesteps.
    fractions : dict of str to (F,) float64
        Of every structure that occurs, by class: solids, the largest fraction first, then
        ``"disordered"`` and ``"unknown"``. They are of the particles that were labeled.
    largest_cluster : (F,) int64 or None
        Particles in the largest cluster, if every frame has that.
    """

    steps: NDArray[np.int64]
    fractions: dict[str, NDArray[np.float64]]
    largest_cluster: NDArray[np.int64] | None

    def rows(self) -> list[dict[str, float]]:
        """Rows of a table, one a frame: frame, timestep, fractions by class, largest cluster."""
        columns: dict[str, NDArray[Any]] = {
            "frame": np.arange(len(self.steps)),
            "timestep": self.steps,
            **self.fractions,
        }
        if self.largest_cluster is not None:
            columns["largest_cluster"] = self.largest_cluster
        values = zip(*(column.tolist() for column in columns.values()), strict=True)
        return [dict(zip(columns, row, strict=True)) for row in values]


def read_course(path: str | os.PathLike[str]) -> Course:
    """Read fractions of structures from a GSD file that holds labels, or fractions alone.

    Raises
    ------
    InputError
        If it cannot be read, has no frames, or one of them holds neither.
    """
    steps, frames, clusters = [], [], []
    with open_trajectory(path) as trajectory:
        if not len(trajectory):
            raise InputError(f"{path} has no frames.")
        for index, frame in enumerate(tqdm(trajectory, desc="read", unit="frame", leave=False)):
            try:
                frames.append(frame_fractions(frame))
            except InputError as error:
                raise InputError(f"frame {index} of {path} {error}") from None
            steps.append(int(frame.configuration.step))
            largest = frame.log.get(LARGEST_CLUSTER)
            if largest is not None:
                clusters.append(int(np.ravel(largest)[0]))
    # of models with other classes as well, if the frames are of several
    most: dict[str, float] = {}
    for one in frames:
        for name, share in one.items():
            if share > 0:
                most[name] = max(share, most.get(name, 0))
    last = (DISORDERED, UNKNOWN_NAME)
    ordered = sorted(most.keys() - set(last), key=lambda name: (-most[name], name))
    names = [*ordered, *(name for name in last if name in most)]
    return Course(
        np.array(steps, np.int64),
        {name: np.array([dict.get(one, name, 0.0) for one in frames]) for name in names},
        np.array(clusters, np.int64) if len(clusters) == len(frames) else None,
    )


def frame_fractions(frame: Any) -> Fractions:
    """Fractions in a frame, of the particles that were labeled.

    Raises
    ------
    InputError
        If there are none, with what is wrong with it and not which one it is.
    """
    names, shares = frame.log.get(NAMES), frame.log.get(FRACTIONS)
    labels = frame_labels(frame)
    if names is not None and not len(names):
        raise InputError("was labeled by a model that names no structures.")
    if names is not None and shares is not None:
        class_names = decode_strings(names)
        if np.shape(shares) != (len(class_names) + 1,):
            raise InputError(
                f"has {np.size(shares)} fractions in log/{FRACTIONS}, and there are "
                f"{len(class_names)} names in log/{NAMES}, and the unknown ones."
            )
        return Fractions.from_array(class_names, np.asarray(shares, np.float64))
    if labels is None:
        raise InputError("holds no labels; hoomd-gala label adds them.")
    return Fractions.of_labels(labels[1], labels[0])


def draw_course(path: str | os.PathLike[str], title: str, course: Course) -> None:
    """Draw fractions of structures against time, and the largest cluster where it is known.

    Where timesteps do not increase from frame to frame, as after several runs in one file, time is
    the number of the frame.

    Parameters
    ----------
    path : str or path
        Picture to write; its ending is one of :data:`~hoomd_gala.plotting.plots.FORMATS`.
    title : str
        Of the figure.
    course : Course
        What to draw.

    Raises
    ------
    InputError
        If Matplotlib is not installed, or there are no fractions.
    """
    if not course.fractions:
        raise InputError("no particle was labeled in any frame; there is nothing to draw.")
    has_clusters = course.largest_cluster is not None
    figure = new_figure(figsize=(7, 5 if has_clusters else 3.8))
    panels = figure.subplots(
        1 + has_clusters, 1, sharex=True, squeeze=False, height_ratios=[2, 1][: 1 + has_clusters]
    )[:, 0]
    is_time = len(course.steps) == 1 or bool((np.diff(course.steps) > 0).all())
    time = course.steps if is_time else np.arange(len(course.steps))
    shares = _grouped(course.fractions)
    columns = np.array([*shares.values()]).reshape(len(shares), len(time))
    if len(time) == 1:  # a line of one point would be nothing
        time, columns = time[0] + np.array([-0.5, 0.5]), np.repeat(columns, 2, axis=1)
        panels[-1].set_xticks(course.steps)
    colors = [OTHERS_COLOR if name == _OTHERS else structure_color(name) for name in shares]
    # disordered is nearly white: its outline shows it
    panels[0].stackplot(
        time, columns, labels=map(titled, shares), colors=colors, edgecolor="0.35", linewidth=0.3
    )
    panels[0].set(ylabel="fraction of particles", ylim=(0, 1), title=title)
    if course.largest_cluster is not None:
        largest = np.resize(course.largest_cluster, len(time))
        panels[1].plot(time, largest, "k.-")
        panels[1].set(ylabel="particles in the\nlargest cluster")
        panels[1].set_ylim(bottom=0)
    panels[-1].set(xlim=(time[0], time[-1]), xlabel="frame")
    if is_time:
        # ticks of six digits and more would run into each other
        thousands = 1000 ** max(0, int(np.log10(max(abs(time[-1]), 1)) - 1) // 3)
        panels[-1].set_xlabel("timestep" if thousands == 1 else f"timestep / {thousands}")
        panels[-1].xaxis.set_major_formatter(lambda step, _: f"{step / thousands:g}")
    figure.legend(loc="outside right upper", frameon=False, reverse=True)
    save_figure(path, figure)


def _grouped(fractions: dict[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
    """Put structures of which there is never much together, if there are many."""
    rare = [
        name
        for name, shares in fractions.items()
        if shares.max() < _RARE and name not in (DISORDERED, UNKNOWN_NAME)
    ]
    if len(fractions) <= _FEW or len(rare) < 2:
        return fractions
    kept = {name: shares for name, shares in fractions.items() if name not in rare}
    solids = {name: kept.pop(name) for name in [*kept] if name not in (DISORDERED, UNKNOWN_NAME)}
    return {**solids, _OTHERS: np.sum([fractions[name] for name in rare], axis=0), **kept}


def default_picture(source: Path) -> Path:
    """Where the fractions of a trajectory are drawn unless something else is said."""
    return source.with_name(f"{source.stem}-fractions.png")
