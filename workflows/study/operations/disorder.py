"""Operation on disorder that networks learn from, beside fluids of a study's own."""

from pathlib import Path
from typing import Any

from study.flow.jobs import ON_CPU, TRAJECTORY, Condition, every, has, kind, operation

#: Condition: all disorder is made.
has_disorder = every("disorder", has(TRAJECTORY))


def has_disorder_for(*parts: str) -> Condition:
    """Condition: the disorder is made, for samples of the parts of the data that it is in."""
    return lambda job: job.sp.part not in parts or has_disorder(job)


@operation(kind("disorder"), post=has(TRAJECTORY), directives=ON_CPU)
def make_disorder(job: Any) -> None:
    """Make a fluid, a glass, a packing or the like with an interaction of its own."""
    import torch

    from study.training import disorder

    # runs are many and small: one on each core
    torch.set_num_threads(1)
    disorder.write(Path(job.fn(TRAJECTORY)), job.sp["of"], job.sp.seed)
