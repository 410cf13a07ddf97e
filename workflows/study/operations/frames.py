"""Operations on networks that tell a trajectory's own frames apart, and the phases they show."""

from pathlib import Path
from typing import Any

from hoomd_gala.files.atomic import write_table
from hoomd_gala.threads import cores, spare_threads
from study.flow.jobs import (
    DIRECTIVES,
    ON_CPU,
    TRAJECTORY,
    Study,
    alone,
    has,
    publish,
    simulated,
    title,
)

FRAME_MODEL = "frames.safetensors"

#: Distribution of predicted frames, a row for each frame.
HISTOGRAM = "predicted_frames.csv"


def learns_frames(job: Any) -> bool:
    """Condition: a network is to learn the job's own trajectory."""
    return job.sp.get("trajectory_epochs", 0) > 0


@Study.pre(learns_frames)
@Study.pre(simulated)
@Study.post(has(FRAME_MODEL))
@Study.operation(directives=DIRECTIVES | {"np": 2})
@alone(has(FRAME_MODEL))
def train_frames(job: Any) -> None:
    """Train a network to tell the frames of the job's own trajectory apart."""
    import torch

    from study.training import learning

    torch.set_num_threads(spare_threads(cores()))
    folder, path = Path(job.path), Path(job.fn(TRAJECTORY))
    learning.frame_model(folder, path, job.sp.trajectory_epochs, job.sp.seed)


def write_histogram(path: Path, learned: Any, shown: Any) -> None:
    """Tabulate which frames of one job's trajectory the particles of another's seem to be from.

    Both may be the same. Where they are not, lengths are brought to those that the network knows by
    the nearest distances of the last frames.
    """
    from hoomd_gala import Analyzer
    from hoomd_gala.files.trajectories import last_system
    from study.solids import order, phases

    analyzer = Analyzer(learned.fn(FRAME_MODEL))
    known, own = (
        order.nearest_distance(last_system(job.fn(TRAJECTORY))) for job in (learned, shown)
    )
    times, histogram = phases.predicted_frames(Path(shown.fn(TRAJECTORY)), analyzer, known / own)
    rows = [
        {"timestep": time} | dict(zip(analyzer.class_names, shares, strict=True))
        for time, shares in zip(times, histogram.tolist(), strict=True)
    ]
    write_table(path, rows)


def write_phases(target: Any, shown: Any, name: str) -> Any:
    """Phases of one job's trajectory, from the histogram that lies with another; returns them.

    Both may be the same. A table and a figure of this name are written.
    """
    import numpy as np

    from study.simulation import cooling, protocol
    from study.solids import phases

    trajectory = Path(shown.fn(TRAJECTORY))
    with open(target.fn(HISTOGRAM)) as file:
        learned = np.array(file.readline().split(",")[1:], int)
    histogram = np.loadtxt(target.fn(HISTOGRAM), delimiter=",", skiprows=1)[:, 1:]
    course = cooling.course(trajectory, protocol.Protocol.of(shown.sp))
    solid = phases.crystalline(trajectory)
    changes = phases.phase_changes(histogram, course, solid)
    phases.draw(
        Path(target.fn(f"{name}.png")), title(shown), histogram, learned, course, solid, changes
    )
    write_table(Path(target.fn(f"{name}.csv")), phases.rows(changes, course))
    return changes


@Study.pre(has(FRAME_MODEL))
@Study.post(has(HISTOGRAM))
@Study.operation(directives=ON_CPU)
@alone(has(HISTOGRAM))
def predict_frames(job: Any) -> None:
    """Tabulate which frames the particles of each frame seem to be from."""
    import torch

    torch.set_num_threads(spare_threads(cores()))
    write_histogram(Path(job.fn(HISTOGRAM)), job, job)


@Study.pre(learns_frames)
@Study.pre(has(HISTOGRAM))
@Study.post(has("snapshots.png", "phases.csv", "phases.png"))
@Study.operation(directives=ON_CPU)
@alone(has("snapshots.png", "phases.csv", "phases.png"))
def find_phases(job: Any) -> None:
    """Find gas, liquid and solid from predicted frames, and compare with independent measures."""
    from hoomd_gala import Analyzer
    from study.solids import phases

    changes = write_phases(job, job, "phases")
    trajectory = Path(job.fn(TRAJECTORY))
    analyzer = Analyzer(job.fn(FRAME_MODEL))
    chosen = phases.middles(changes[0], len(analyzer.class_names))
    phases.draw_snapshots(Path(job.fn("snapshots.png")), trajectory, analyzer, chosen)
    publish(job, "phases.csv", "phases.png", "snapshots.png", under=title(job))
