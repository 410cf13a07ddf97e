"""What operations of all studies share: the project, conditions, directives, and simulations."""

import fcntl
import functools
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flow import FlowProject

from hoomd_gala.errors import InputError
from hoomd_gala.files.atomic import replacing
from hoomd_gala.threads import cores, spare_threads, wait_passively
from study.flow import studies

# before an operation imports torch
wait_passively()

FOLDER = Path(__file__).resolve().parents[2]

TRAJECTORY = "trajectory.gsd"
#: A copy of it that shows structures in OVITO as soon as it is opened.
VIEW = "trajectory-view.gsd"


class Study(FlowProject):
    """The project; all its data lie in ``workspace`` beside this file."""


# ---- what an operation may use, and that it runs alone ----


def of_kind(job: Any, name: str) -> list[Any]:
    """Jobs of a kind in a job's study, in a fixed order."""
    jobs = job.project.find_jobs({"study": job.sp.study, "kind": name})
    return sorted(jobs, key=lambda other: other.id)


def siblings(job: Any) -> list[Any]:
    """Jobs of the same kind in the same study."""
    return of_kind(job, job.sp.kind)


def threads(job: Any) -> int:
    """Threads for an operation that runs for all jobs of a kind at once, of cores that are idle."""
    return spare_threads(cores() // len(siblings(job)))


def cluster(key: str) -> Callable[[Any], Any]:
    """A directive that stands in the study's file under ``[cluster]``."""
    return lambda job: studies.load(job.sp.study)["cluster"][key]


#: Of operations that need no GPU.
ON_CPU = {
    "walltime": cluster("walltime_hours"),
    # every operation in a process of its own, with its own threads
    "fork": True,
}

#: Of simulations and trainings.
DIRECTIVES = ON_CPU | {"ngpu": cluster("gpus")}


def alone(done: Callable[[Any], bool]) -> Callable[[Callable[[Any], None]], Callable[[Any], None]]:
    """Let one process at a time work on an operation of a job.

    When a run is killed, operations that it started may live on; a new run waits for them and then
    finds the work done.
    """

    def decorate(operation: Callable[[Any], None]) -> Callable[[Any], None]:
        @functools.wraps(operation)
        def locked(job: Any) -> None:
            with open(job.fn(f".{operation.__name__}.lock"), "w") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    print(f"{operation.__name__} of {job}: another process is at it; waiting")
                    fcntl.flock(lock, fcntl.LOCK_EX)
                if not done(job):
                    operation(job)

        return locked

    return decorate


def kind(name: str) -> Callable[[Any], bool]:
    """Condition: the job is of a kind."""
    return lambda job: job.sp.kind == name


def has(*filenames: str) -> Callable[[Any], bool]:
    """Condition: the job has these files."""
    return lambda job: all(map(job.isfile, filenames))


def every(wanted: str, done: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Condition: something holds of all of the study's jobs of a kind."""
    return lambda job: all(map(done, of_kind(job, wanted)))


def find_file(job: Any, wanted: str, filename: str) -> Path | None:
    """Path of a file that one of the study's jobs of a kind has, or None while none has it."""
    for other in of_kind(job, wanted):
        if other.isfile(filename):
            return Path(other.fn(filename))
    return None


def simulated(job: Any) -> bool:
    """Condition: the job's simulation has come to its end."""
    return "simulation" in job.doc


def study_jobs(job: Any) -> list[Any]:
    """All jobs of a job's study."""
    jobs = job.project.find_jobs({"study": job.sp.study})
    return sorted(jobs, key=lambda other: (other.sp.kind, other.id))


def summary_folder(job: Any) -> Path:
    """Where the summary of a job's study goes."""
    return FOLDER / "summary" / str(job.sp.study)


def copy(source: str | os.PathLike[str], target: Path) -> None:
    """Copy a file, as a whole or not at all."""
    with replacing(target) as part:
        shutil.copyfile(source, part)


def publish(job: Any, *names: str, under: str = "") -> None:
    """Copy results to where the study's summary lies, or into a folder there.

    Results of one system of several go under its name.
    """
    folder = summary_folder(job) / under.replace(" ", "_")
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        copy(job.fn(name), folder / name)


def title(job: Any) -> str:
    """Name of a simulated system, for people."""
    from study.simulation import protocol

    return protocol.pair_potential(job.sp).name


def run_simulation(job: Any, model: Path | None) -> None:
    """Carry a job's simulation to its end and note what ran it."""
    import torch
    from tqdm.auto import tqdm

    from study.simulation import engines, protocol

    torch.set_num_threads(threads(job))
    steps, potential = protocol.Protocol.of(job.sp), protocol.pair_potential(job.sp)
    protocol.check_box(steps, potential)
    started = time.monotonic()
    with tqdm(
        total=steps.total_steps,
        desc=f"{job.sp.kind} {title(job)}",
        unit="step",
        position=siblings(job).index(job) if sys.stderr.isatty() else 0,
        mininterval=0.5 if sys.stderr.isatty() else 20,
    ) as bar:
        try:
            ran = engines.pick().run(steps, potential, Path(job.path), model, threads(job), bar)
        except RuntimeError as error:
            raise InputError(
                f"{title(job)} came to grief after timestep {bar.n} ({error}); if particles flew "
                "apart, take a smaller dt."
            ) from error
    job.doc.simulation = ran | {"seconds": round(time.monotonic() - started, 1)}
