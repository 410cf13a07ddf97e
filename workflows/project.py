"""Simulate, label while it runs, train, and plot: the workflow as a signac-flow project.

``python project.py run`` on a fresh checkout creates the default study and carries it out;
``--study NAME`` picks another. ``init``, ``status`` and ``submit`` are available as well, and
everything else that signac-flow offers. An interrupted run continues where it stopped.
"""

import json
import signal
import sys
import time
from collections.abc import Callable

import signac
from flow.errors import NoSchedulerError, SubmitError
from study.flow import (
    clusters,  # noqa: F401  (flow finds environments by their definition)
    studies,
)
from study.flow.jobs import FOLDER, Study, is_current
from study.flow.running import Screen, StepError, duration
from study.operations import plan  # with the modules of all operations
from study.operations.points import check_job

from hoomd_gala.errors import InputError
from hoomd_gala.threads import cores


def init(study: str) -> Study:
    """Make the project and the jobs of a study; those that exist stay as they are."""
    points = studies.state_points(study, check_job)
    signac.init_project(FOLDER)
    project: Study = Study.get_project(FOLDER)
    for point in points:
        project.open_job(point).init()
    return project


#: Arguments of ``run`` that select some of the steps, or how they are run.
SELECTION = {"-o", "--operation", "-j", "--job-id", "-f", "--filter", "-n", "--num", "--pretend"}


def run(project: Study, names: list[str], flow: Callable[[], None], whole: bool) -> None:
    """Say what a run will do, let flow do it, and say where the results are.

    Parameters
    ----------
    project : Study
        Has the jobs.
    names : list of str
        Studies to run.
    flow : callable
        Runs what can be run.
    whole : bool
        Whether all steps are to be run.
    """
    began = time.monotonic()
    jobs = {name: plan.jobs_of(project, name) for name in names}
    for name in names:
        print(plan.plan(name, jobs[name]), flush=True)
    project.screen = Screen(sys.stdout)
    project.describe = plan.describe
    if whole:
        project.steps = sum(plan.left(own)[0].total() for own in jobs.values())
    flow()
    for name in names:
        if not plan.left(jobs[name])[0]:
            took = f", in {duration(time.monotonic() - began)}" if project.steps else ""
            print(f"\nStudy {name} is finished{took}.\n{plan.results(jobs[name])}", flush=True)


def list_left_over(project: Study) -> None:
    """Print which jobs count for nothing, as the files of their studies have changed."""
    left = sorted(job.id for job in project if not is_current(job))
    if left:
        print(
            f"left over: {len(left)} of {len(project)} jobs, which their studies no longer have "
            f"and which count for nothing: {', '.join(left)}; remove them with signac rm.",
            flush=True,
        )


def take_study(arguments: list[str]) -> tuple[str | None, list[str]]:
    """Split ``--study NAME`` off the arguments; the rest is signac-flow's.

    Raises
    ------
    InputError
        If the name is missing.
    """
    rest, study = [], None
    iterator = iter(arguments)
    for argument in iterator:
        if argument == "--study":
            study = next(iterator, None)
            if study is None:
                raise InputError(f"--study takes a name; there are {', '.join(studies.names())}.")
        elif argument.startswith("--study="):
            study = argument.removeprefix("--study=")
        else:
            rest.append(argument)
    return study, rest


def main() -> None:
    """Run the command line: ``init`` and ``--study`` here, everything else by signac-flow.

    Raises
    ------
    InputError
        If there is no such study, or none that the command can work on.
    """
    study, rest = take_study(sys.argv[1:])
    command = rest[0] if rest else None
    if command in (None, "-h", "--help"):
        print(__doc__)
        print("usage: project.py {init,run,status,submit,next,exec} [--study NAME] [options]")
        print(f"studies: {', '.join(studies.names())}")
        return
    fresh = not (FOLDER / ".signac").is_dir()
    if fresh and command not in ("init", "run", "submit"):
        raise InputError("there is no study yet; project.py init [--study NAME] creates one.")
    if study is not None or fresh or command == "init":
        study = study or "default"
        project = init(study)
    else:
        project = Study.get_project(FOLDER)
    if command == "init":
        print(f"{len(project)} jobs in {FOLDER / 'workspace'}")
        return
    if command == "exec":
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if command == "run" and not {"-p", "--parallel", "--pretend"} & set(rest):
        rest += ["--parallel", str(cores())]
    if command in ("run", "status"):
        list_left_over(project)
    whole = SELECTION.isdisjoint(rest)
    if study is not None and not {"-f", "--filter", "-j", "--job-id"} & set(rest):
        # as JSON: what signac takes other filters for, it prints
        rest += ["--filter", json.dumps({"study": study})]
    sys.argv[1:] = rest
    if command == "run" and "--pretend" not in rest:
        names = [study] if study else sorted({job.sp.study for job in project})
        run(project, names, project.main, whole)
    else:
        project.main()


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except StepError:
        print("error: a step failed; the others keep what they had done.", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        if "exec" not in sys.argv[1:2]:
            print("\ninterrupted; the next run continues from here.", file=sys.stderr)
        sys.exit(130)
    except (NoSchedulerError, SubmitError) as error:
        reason = str(error).rstrip(" .,")
        print(
            f"error: jobs cannot be submitted from here ({reason}); a scheduler such as SLURM is "
            "needed.",
            file=sys.stderr,
        )
        sys.exit(2)
