"""What operations that train the shipped models share: samples, and where a model is from."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from study.flow.jobs import of_kind
from study.training.names import SAMPLES


def files_of(job: Any, kind: str, role: str | None = None) -> dict[str, Path]:
    """Files of samples of one kind of jobs, of a role if they have any, by the part of the data."""
    jobs = sorted(of_kind(job, kind), key=lambda other: str(other.sp.part))
    wanted = (other for other in jobs if role is None or other.sp.role == role)
    return {other.sp.part: Path(other.fn(SAMPLES)) for other in wanted}


@contextmanager
def timed(job: Any, operation: str) -> Iterator[None]:
    """Note how long a part of the work took, and where, for the model's card."""
    from hoomd_gala.files.models import pick_device
    from hoomd_gala.learning.fitting import machine

    started = time.monotonic()
    yield
    seconds, machines = dict(job.doc.get("seconds", {})), dict(job.doc.get("machines", {}))
    job.doc.seconds = seconds | {operation: round(time.monotonic() - started)}
    job.doc.machines = machines | {operation: machine(pick_device("auto"))}


def provenance(job: Any, data: Mapping[str, Any]) -> dict[str, Any]:
    """Say how a model was made and from which data, for its card."""
    return {
        "command": f"python workflows/project.py run --study {job.sp.study}",
        "data": dict(data),
        "seed": job.sp.seed,
        "seconds": dict(job.doc.get("seconds", {})),
        "machine": "; ".join(sorted(set(job.doc.get("machines", {}).values()))),
    }
