"""Operations on networks that distinguish a trajectory's frames, and the phases they show."""

from pathlib import Path
from typing import Any

from hoomd_gala.files.atomic import write_table
from hoomd_gala.threads import cores, spare_threads
from study.flow.jobs import DIRECTIVES, ON_CPU, TRAJECTORY, has, operation, published, simulated
from study.operations.simulations import name_of, title
from study.training.names import FRAME_CURVE, FRAME_MODEL

#: Distribution of predicted frames, a row for each frame.
HISTOGRAM = "predicted_frames.csv"


def learns_frames(job: Any) -> bool:
    """Condition: a network is to learn the job's own trajectory."""
    return bool(job.sp.get("trajectory_epochs", 0) > 0)


@operation(
    learns_frames,
    simulated,
    post=has(FRAME_MODEL),
    directives=DIRECTIVES | {"np": 2},
    publishes=published(Path(FRAME_CURVE).with_suffix(".png").name, under=name_of),
)
def train_frames(job: Any) -> None:
    """Train a network to distinguish the frames of the job's own trajectory."""
    import torch

    from study.training import learning

    torch.set_num_threads(spare_threads(cores()))
    folder, path = Path(job.path), Path(job.fn(TRAJECTORY))
    learning.frame_model(folder, path, job.sp.trajectory_epochs, job.sp.seed)


def write_histogram(path: Path, learned: Any, shown: Any) -> None:
    """Tabulate which frames of one job's trajectory the particles of another resemble.

    Both may be the same. Otherwise lengths are rescaled to those that the network knows, by the
    nearest-neighbor distances of the last frames.
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
    """Write a table and a figure of the phases of one job's trajectory; returns the phases.

    They are found in the histogram of predicted frames of the target, which may be the same job.
    """
    import numpy as np

    from study.reports import phases as report
    from study.simulation import protocol
    from study.solids import cooling, phases

    trajectory = Path(shown.fn(TRAJECTORY))
    with open(target.fn(HISTOGRAM)) as file:
        learned = np.array(file.readline().split(",")[1:], int)
    histogram = np.loadtxt(target.fn(HISTOGRAM), delimiter=",", skiprows=1)[:, 1:]
    course = cooling.course(trajectory, protocol.Protocol.of(shown.sp))
    solid = phases.crystalline(trajectory)
    changes = phases.phase_changes(histogram, course, solid)
    report.draw(
        Path(target.fn(f"{name}.png")), title(shown), histogram, learned, course, solid, changes
    )
    write_table(Path(target.fn(f"{name}.csv")), phases.rows(changes, course))
    return changes


@operation(learns_frames, has(FRAME_MODEL), post=has(HISTOGRAM), directives=ON_CPU)
def predict_frames(job: Any) -> None:
    """Tabulate which frames the particles of each frame are predicted to be from."""
    import torch

    torch.set_num_threads(spare_threads(cores()))
    write_histogram(Path(job.fn(HISTOGRAM)), job, job)


@operation(
    learns_frames,
    has(HISTOGRAM),
    post=has("snapshots.png", "phases.csv", "phases.png"),
    directives=ON_CPU,
    publishes=published("phases.csv", "phases.png", "snapshots.png", under=name_of),
)
def find_phases(job: Any) -> None:
    """Find gas, liquid and solid from predicted frames, and compare with independent measures."""
    from hoomd_gala import Analyzer
    from study.reports import phases as report
    from study.solids import phases

    changes = write_phases(job, job, "phases")
    trajectory = Path(job.fn(TRAJECTORY))
    analyzer = Analyzer(job.fn(FRAME_MODEL))
    chosen = phases.middles(changes[0], len(analyzer.class_names))
    report.draw_snapshots(Path(job.fn("snapshots.png")), trajectory, analyzer, chosen)
