"""The operation on a trajectory that the network has never seen (figure 5)."""

from pathlib import Path
from typing import Any

from hoomd_gala.errors import InputError
from study.flow.jobs import ON_CPU, has, kind, operation, published, simulated, threads
from study.operations.assemblies import assemblies
from study.operations.frames import HISTOGRAM, write_histogram, write_phases
from study.training.names import FRAME_MODEL


def named(job: Any, name: str) -> Any:
    """Return the study's assembly with this name; InputError if there is none."""
    for other in assemblies(job):
        if other.sp.get("name") == name:
            return other
    raise InputError(f"study {job.sp.study} has no assembly named {name!r}.")


def can_predict_unseen(job: Any) -> bool:
    """Condition: the network is trained and the trajectory that it has not seen is there."""
    return bool(named(job, job.sp.learned).isfile(FRAME_MODEL)) and simulated(
        named(job, job.sp.trajectory)
    )


@operation(
    kind("unseen"),
    can_predict_unseen,
    post=has("unseen.csv", "unseen.png"),
    directives=ON_CPU,
    publishes=published("unseen.csv", "unseen.png"),
)
def predict_unseen(job: Any) -> None:
    """Find phases of a trajectory with the network of another one, of another potential."""
    import torch

    torch.set_num_threads(threads(job))
    shown = named(job, job.sp.trajectory)
    write_histogram(Path(job.fn(HISTOGRAM)), named(job, job.sp.learned), shown)
    write_phases(job, shown, "unseen")
