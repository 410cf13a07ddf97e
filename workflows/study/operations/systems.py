"""Operations on systems that are cooled from gas to solid and labeled while they run."""

from pathlib import Path
from typing import Any

from hoomd_gala.files.atomic import write_table
from study.flow.jobs import (
    ON_CPU,
    TRAJECTORY,
    VIEW,
    has,
    kind,
    operation,
    published,
    simulated,
)
from study.operations.simulations import name_of, run_simulation, title
from study.operations.structure_model import has_structure_model, structure_model


@operation(kind("system"), has_structure_model, post=simulated)
def simulate(job: Any) -> None:
    """Cool a system from gas to solid, its structures labeled while it runs."""
    run_simulation(job, model=structure_model(job))


@operation(
    kind("system"),
    simulated,
    post=has("structures.csv", "structures.png", "checks.csv"),
    directives=ON_CPU,
    publishes=published("structures.csv", "structures.png", "checks.csv", under=name_of),
)
def analyze(job: Any) -> None:
    """Structures against time, and the labels against independent methods."""
    from study.comparison import checks
    from study.reports import trajectory as pictures
    from study.simulation import protocol

    steps = protocol.Protocol.of(job.sp)
    trajectory = Path(job.fn(TRAJECTORY))
    names, rows = checks.fractions(trajectory, steps)
    write_table(Path(job.fn("structures.csv")), rows)
    pictures.draw_fractions(Path(job.fn("structures.png")), title(job), names, rows, steps)
    write_table(Path(job.fn("checks.csv")), checks.checks(trajectory, steps))


@operation(
    kind("system"),
    simulated,
    post=has("last_frame.png", VIEW),
    directives=ON_CPU,
    publishes=published("last_frame.png", VIEW, under=name_of),
)
def render(job: Any) -> None:
    """Picture of the last frame by OVITO, colored by structure, and a trajectory for viewing."""
    from hoomd_gala.labeling import view_trajectory
    from study.reports import trajectory as pictures

    pictures.draw_frame(Path(job.fn("last_frame.png")), Path(job.fn(TRAJECTORY)), -1)
    Path(job.fn(VIEW)).unlink(missing_ok=True)
    view_trajectory(job.fn(TRAJECTORY), job.fn(VIEW))
