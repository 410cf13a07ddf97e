"""What operations of all studies share: the project, conditions, directives, and places."""

import functools
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from flow import FlowProject

from hoomd_gala.files.atomic import replacing
from hoomd_gala.threads import cores, spare_threads
from study.flow import studies

#: Folder of the project, with ``project.py``, ``studies``, ``templates``, ``workspace`` and
#: ``summary``.
FOLDER = Path(__file__).resolve().parents[2]

TRAJECTORY = "trajectory.gsd"
#: A copy of it in which structures are particle types, as OVITO shows these when it opens a file.
VIEW = "trajectory-view.gsd"


class Study(FlowProject):  # type: ignore[misc]
    """The project; all its data lie in ``workspace``, in :data:`FOLDER`."""


# ---- jobs of a study ----


def of_kind(job: Any, name: str) -> list[Any]:
    """Jobs of a kind in a job's study, in a fixed order."""
    jobs = job.project.find_jobs({"study": job.sp.study, "kind": name})
    return sorted(jobs, key=lambda other: other.id)


def siblings(job: Any) -> list[Any]:
    """Jobs of the same kind in the same study."""
    return of_kind(job, job.sp.kind)


def study_jobs(job: Any) -> list[Any]:
    """All jobs of a job's study."""
    jobs = job.project.find_jobs({"study": job.sp.study})
    return sorted(jobs, key=lambda other: (other.sp.kind, other.id))


def find_file(job: Any, wanted: str, filename: str) -> Path | None:
    """Path of a file that one of the study's jobs of a kind has, or None while none has it."""
    for other in of_kind(job, wanted):
        if other.isfile(filename):
            return Path(other.fn(filename))
    return None


# ---- conditions ----

Condition = Callable[[Any], bool]


def kind(name: str) -> Condition:
    """Condition: the job is of a kind."""
    return lambda job: job.sp.kind == name


def has(*filenames: str) -> Condition:
    """Condition: the job has these files."""
    return lambda job: all(map(job.isfile, filenames))


def every(wanted: str, done: Condition) -> Condition:
    """Condition: something holds for all of the study's jobs of a kind."""
    return lambda job: all(map(done, of_kind(job, wanted)))


def simulated(job: Any) -> bool:
    """Condition: the job's simulation is complete."""
    return "simulation" in job.doc


# ---- what an operation may use, and that it runs alone ----


def threads(job: Any) -> int:
    """Threads for an operation that runs for all jobs of a kind at once, of cores that are idle."""
    return spare_threads(cores() // len(siblings(job)))


def cluster(key: str) -> Callable[[Any], Any]:
    """Return a directive given in the study's file under ``[cluster]``."""
    return lambda job: studies.load(job.sp.study)["cluster"][key]


#: Directives of operations that need no GPU.
ON_CPU = {
    "walltime": cluster("walltime_hours"),
    # every operation in a process of its own, with its own threads
    "fork": True,
}

#: Directives of simulations and trainings.
DIRECTIVES = ON_CPU | {"ngpu": cluster("gpus")}

Operation = Callable[[Any], None]


def alone(done: Condition) -> Callable[[Operation], Operation]:
    """Let one process at a time work on an operation of a job.

    When a run is killed, operations that it started may live on. A new run waits for them and then
    finds the work done. The system releases the lock of a process that dies.
    """

    def decorate(operation: Operation) -> Operation:
        @functools.wraps(operation)
        def locked(job: Any) -> None:
            lock = FileLock(job.fn(f".{operation.__name__}.lock"))
            try:
                held = lock.acquire(blocking=False)
            except Timeout:
                # seen now, also where the output goes to a file
                waiting = f"{operation.__name__} of {job}: waiting for the process that works on it"
                print(waiting, flush=True)
                held = lock.acquire()
            with held:
                if not done(job):
                    operation(job)

        return locked

    return decorate


def operation(
    *pre: Condition, post: Condition, directives: dict[str, Any] = DIRECTIVES
) -> Callable[[Operation], Operation]:
    """Register an operation of the workflow.

    Parameters
    ----------
    *pre : callable
        Conditions of a job for the operation to run, looked at in this order.
    post : callable
        Condition that holds when it is done; it does not run again then.
    directives : dict
        What it needs of the machine.
    """

    def decorate(function: Operation) -> Operation:
        registered: Operation = Study.operation(directives=directives)(alone(post)(function))
        Study.post(post)(registered)
        # flow puts each before those that it has, as it expects decorators
        for condition in reversed(pre):
            Study.pre(condition)(registered)
        return registered

    return decorate


# ---- results of a whole study ----


def summary_folder(job: Any) -> Path:
    """Where the summary of a job's study goes."""
    return FOLDER / "summary" / str(job.sp.study)


def copy(source: str | os.PathLike[str], target: Path) -> None:
    """Copy a file, whole or not at all."""
    with replacing(target) as part:
        shutil.copyfile(source, part)


def publish(job: Any, *names: str, under: str = "") -> None:
    """Copy results to the folder of the study's summary, or to a folder in it.

    Results of one system of several go under its name.
    """
    folder = summary_folder(job) / under.replace(" ", "_")
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        copy(job.fn(name), folder / name)
