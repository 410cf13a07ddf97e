"""What operations of all studies share: the project, conditions, directives, and places."""

import functools
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import signac
from filelock import FileLock, Timeout
from flow import FlowProject

from hoomd_gala.files.atomic import replacing
from hoomd_gala.threads import cores, spare_threads
from study.flow import running, studies

#: Folder of the project, with ``project.py``, ``studies``, ``templates``, ``workspace`` and
#: ``summary``.
FOLDER = Path(__file__).resolve().parents[2]

TRAJECTORY = "trajectory.gsd"
#: A copy of it in which structures are particle types, as OVITO shows these when it opens a file.
VIEW = "trajectory-view.gsd"


class Study(FlowProject):  # type: ignore[misc]
    """The project; all its data lie in ``workspace``, in :data:`FOLDER`.

    Attributes
    ----------
    screen : Screen or None
        Where ``run`` shows its steps; without it, flow runs them.
    steps : int or None
        How many steps a run has, if that is known.
    describe : callable
        What a job is of, for people.
    """

    screen: running.Screen | None = None
    steps: int | None = None
    describe: Callable[[Any], str] = staticmethod(lambda job: str(job.id))
    _begun = 0

    def _run_operations(
        self,
        operations: Sequence[Any],
        pretend: bool = False,
        np: int | None = None,
        timeout: float | None = None,
        progress: bool = False,
    ) -> None:
        """Run operations that do not depend on each other; flow calls this again and again."""
        if self.screen is None or pretend or timeout is not None:
            super()._run_operations(operations, pretend, np, timeout, progress)
            return
        steps = []
        for one in operations:
            (job,) = one._jobs
            steps.append(
                running.Step(
                    f"{one.name.replace('_', ' ')}: {self.describe(job)}",
                    functools.partial(carry_out, str(self.path), one.name, job.id),
                    Path(job.fn(f".{one.name}.log")),
                )
            )
        at_once = cores() if np is None or np < 0 else np
        running.carry_out(steps, at_once, self.screen, self._begun + 1, self.steps)
        self._begun += len(steps)


def carry_out(folder: str, name: str, job_id: str) -> None:
    """Carry out an operation on a job of the project in a folder."""
    project = Study.get_project(folder)
    project.operations[name](project.open_job(id=job_id))


# ---- jobs of a study ----


@functools.lru_cache(maxsize=16)
def _ids(folder: str, study: str, changed: int) -> frozenset[str]:
    """Ids of the jobs that a study's file has, which was last changed at some time."""
    project = signac.get_project(folder)
    return frozenset(project.open_job(point).id for point in studies.state_points(study))


def is_current(job: Any) -> bool:
    """Condition: the job's study, as its file is now, has this job.

    If there is no such file any more, all jobs of the study are what it had.
    """
    path = studies.path_of(job.sp.study)
    if not path.is_file():
        return True
    return job.id in _ids(str(job.project.path), str(job.sp.study), path.stat().st_mtime_ns)


def of_kind(job: Any, name: str) -> list[Any]:
    """Jobs of a kind in a job's study, in a fixed order."""
    jobs = job.project.find_jobs({"study": job.sp.study, "kind": name})
    return sorted(filter(is_current, jobs), key=lambda other: other.id)


def siblings(job: Any) -> list[Any]:
    """Jobs of the same kind in the same study."""
    return of_kind(job, job.sp.kind)


def study_jobs(job: Any) -> list[Any]:
    """All jobs of a job's study."""
    jobs = job.project.find_jobs({"study": job.sp.study})
    return sorted(filter(is_current, jobs), key=lambda other: (other.sp.kind, other.id))


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


class Registered(NamedTuple):
    """An operation of the workflow.

    Attributes
    ----------
    name, about : str
        What it is called, and what it does in a sentence.
    whose, done : callable
        Whose work it is, and when it is done.
    """

    name: str
    about: str
    whose: Condition
    done: Condition


#: All operations, in the order of their modules.
OPERATIONS: list[Registered] = []


#: Key of a job's document with the jobs that its results were put together from.
_MADE_OF = "made of"


def _names(jobs: list[Any]) -> list[str]:
    return sorted(job.id for job in jobs)


def _is_made_of(job: Any, operation: str, jobs: list[Any]) -> bool:
    """Whether an operation's results are of these jobs, in as far as that was noted."""
    noted = job.doc.get(_MADE_OF, {}).get(operation)
    return noted is None or list(noted) == _names(jobs)


def _is_copied(files: tuple[Path, Path]) -> bool:
    """Whether a file has a copy that is not older."""
    source, target = files
    if not (source.is_file() and target.is_file()):
        return False
    return target.stat().st_mtime_ns >= source.stat().st_mtime_ns


#: Files of a job and where they are copied to.
Published = Callable[[Any], list[tuple[Path, Path]]]


def operation(
    whose: Condition,
    *pre: Condition,
    post: Condition,
    directives: dict[str, Any] = DIRECTIVES,
    publishes: Published | None = None,
    of: Callable[[Any], list[Any]] | None = None,
) -> Callable[[Operation], Operation]:
    """Register an operation of the workflow.

    Parameters
    ----------
    whose : callable
        Condition of the jobs that the operation is for, whatever their state. It is not asked of
        jobs that their study no longer has.
    *pre : callable
        Conditions of a job for the operation to run, looked at in this order.
    post : callable
        Condition that holds when it is done; it does not run again then.
    directives : dict
        What it needs of the machine.
    publishes : callable, optional
        Which files go where in the summary. Copies that are missing, or older than what they are
        of, are made without the work that they are the result of.
    of : callable, optional
        Jobs whose results it puts together. It is done again if these have become others.
    """

    def decorate(function: Operation) -> Operation:
        name = function.__name__

        def made(job: Any) -> bool:
            return post(job) and (of is None or _is_made_of(job, name, of(job)))

        def done(job: Any) -> bool:
            return made(job) and (publishes is None or all(map(_is_copied, publishes(job))))

        @functools.wraps(function)
        def work(job: Any) -> None:
            files = [] if publishes is None else publishes(job)
            if not made(job) or not all(source.is_file() for source, _ in files):
                function(job)
                if of is not None:
                    job.doc[_MADE_OF] = dict(job.doc.get(_MADE_OF, {})) | {name: _names(of(job))}
            for source, target in [] if publishes is None else publishes(job):
                target.parent.mkdir(parents=True, exist_ok=True)
                copy(source, target)

        registered: Operation = Study.operation(directives=directives)(alone(done)(work))
        Study.post(done)(registered)
        # flow puts each before those that it has, as it expects decorators
        for condition in reversed((is_current, whose, *pre)):
            Study.pre(condition)(registered)
        about = (function.__doc__ or "").strip().partition("\n")[0]
        OPERATIONS.append(Registered(name, about, whose, done))
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


def published(*names: str, under: Callable[[Any], str] | None = None) -> Published:
    """Files that go to the folder of the study's summary, or to one in it.

    Results of one system of several go under its name.
    """

    def files(job: Any) -> list[tuple[Path, Path]]:
        folder = summary_folder(job)
        if under is not None:
            folder /= under(job).replace(" ", "_")
        return [(Path(job.fn(name)), folder / name) for name in names]

    return files
