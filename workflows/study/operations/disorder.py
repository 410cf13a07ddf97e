"""Operation on disorder that networks learn from, beside fluids of a study's own."""

from pathlib import Path
from typing import Any

from study.flow.jobs import ON_CPU, TRAJECTORY, Condition, every, has, kind, of_kind, operation
from study.flow.studies import HELD_OUT

#: Of the disorder of each kind, every so many systems are held out.
_EVERY = 8

#: Condition: all disorder is made.
has_disorder = every("disorder", has(TRAJECTORY))


def has_disorder_for(*parts: str) -> Condition:
    """Condition: the disorder is made, for samples of the parts of the data that it is in."""
    return lambda job: job.sp.part not in parts or has_disorder(job)


def disorder_of(job: Any, role: str) -> list[tuple[str, Path]]:
    """Kinds and trajectories of the study's disorder that is learned from, or held out."""
    return [
        (other.sp["of"], Path(other.fn(TRAJECTORY)))
        for other in of_kind(job, "disorder")
        if (other.sp.seed % _EVERY == 0) == (role == HELD_OUT)
    ]


@operation(kind("disorder"), post=has(TRAJECTORY), directives=ON_CPU)
def make_disorder(job: Any) -> None:
    """Make a fluid, a glass, a packing or the like with an interaction of its own."""
    import torch

    from study.training import disorder

    # runs are many and small: one on each core
    torch.set_num_threads(1)
    disorder.write(Path(job.fn(TRAJECTORY)), job.sp["of"], job.sp.seed)
