"""Gas, liquid and solid along a cooling run, from predicted frames and from independent measures.

A network trained to distinguish the frames of a trajectory confuses frames of the same phase and no
others (figure 5 of arXiv 2411.14680): phases change where the histogram of its predictions changes.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from hoomd_gala.analyzer import Analyzer
from hoomd_gala.crystals.prototypes import scaled
from hoomd_gala.files.trajectories import open_trajectory
from hoomd_gala.systems import as_system
from study.solids import references
from study.solids.changes import change_points, course_changes

#: Least rise of the crystalline fraction on freezing.
RISE = 0.1


def crystalline(trajectory: Path) -> NDArray[np.float64]:
    """Fraction of particles that template matching finds crystalline, (frames,)."""
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
        Of a model trained to distinguish frames, of this trajectory or another.
    scale : float
        Factor for all lengths.

    Returns
    -------
    list of int, (frames, classes) float64
        Timestep of each frame, and the distribution, rows summing to 1.
    """
    times, rows = [], []
    with open_trajectory(trajectory) as frames:
        for frame in tqdm(frames, desc="predict frames", unit="frame"):
            system = scaled(as_system(frame), scale)
            rows.append(np.asarray(analyzer.analyze_system(system).fractions)[:-1])
            times.append(int(frame.configuration.step))
    return times, np.array(rows)


class Changes(NamedTuple):
    """Where the phases change by a measure.

    Attributes
    ----------
    measure : str
        Its name.
    condensation : int or None
        First frame of the liquid; None for a measure that does not distinguish it from the gas.
    freezing : int or None
        First frame of the solid; None if template matching finds that nothing froze.
    """

    measure: str
    condensation: int | None
    freezing: int | None


def phase_changes(
    histogram: NDArray[np.float64],
    course: Sequence[dict[str, float]],
    solid: NDArray[np.float64],
) -> list[Changes]:
    """Find changes of phase by each measure, that of predicted frames first.

    Parameters
    ----------
    histogram : (frames, classes)
        Distribution of predicted frames in each frame.
    course : sequence of dict
        See :func:`study.solids.cooling.course`.
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
    """Tabulate changes, with timesteps and temperatures."""
    table = []
    for measure, condensation, freezing in changes:
        row: dict[str, Any] = {"measure": measure}
        for name, frame in (("condensation", condensation), ("freezing", freezing)):
            row[f"{name}, timestep"] = "" if frame is None else int(course[frame]["timestep"])
            row[f"{name}, kT"] = "" if frame is None else round(course[frame]["kT"], 4)
        table.append(row)
    return table


def middles(change: Changes, n_frames: int) -> list[int]:
    """Return the frame in the middle of each phase."""
    bounds = [0, change.condensation or 0, change.freezing or n_frames, n_frames]
    return [(start + end) // 2 for start, end in itertools.pairwise(bounds)]
