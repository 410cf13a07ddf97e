"""Simulate, label while it runs, train, look: the workflow as a signac-flow project.

``python project.py run`` on a fresh checkout creates the default study and carries it to the end;
``--study NAME`` picks another. ``init``, ``status`` and ``submit`` are there as well, and what else
signac-flow offers. An interrupted run goes on where it stopped.
"""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import signac
from flow.errors import NoSchedulerError, SubmitError
from study.flow import (
    clusters,  # noqa: F401  (flow finds environments by their definition)
    studies,
)
from study.flow.jobs import (
    DIRECTIVES,
    FOLDER,
    ON_CPU,
    TRAJECTORY,
    VIEW,
    Study,
    alone,
    copy,
    every,
    find_file,
    has,
    kind,
    of_kind,
    run_simulation,
    siblings,
    simulated,
    study_jobs,
    summary_folder,
    threads,
    title,
)
from study.operations import assemblies as assembly_operations
from study.operations import paper as paper_operations
from study.operations.frames import learns_frames

from hoomd_gala.errors import InputError
from hoomd_gala.files.atomic import replacing, write_table
from hoomd_gala.threads import cores, spare_threads

MODEL = "structures.safetensors"
MODEL_CARD = "structures.json"


def structure_model(job: Any) -> Path | None:
    """Path of the study's structure model, or None while it is not trained."""
    return find_file(job, "structure_model", MODEL)


def has_structure_model(job: Any) -> bool:
    """Condition: the study's structure model is trained."""
    return structure_model(job) is not None


def fluids(job: Any) -> list[Any]:
    """The study's disordered simulations."""
    return of_kind(job, "fluid")


#: Condition: all of the study's disordered simulations have come to their end.
has_fluids = every("fluid", simulated)


# ---- simulations ----


@Study.pre(kind("fluid"))
@Study.post(simulated)
@Study.operation(directives=DIRECTIVES)
@alone(simulated)
def simulate_fluid(job):
    """Quench a gas or liquid too fast to freeze: examples of disorder."""
    run_simulation(job, model=None)


@Study.pre(kind("system"))
@Study.pre(has_structure_model)
@Study.post(simulated)
@Study.operation(directives=DIRECTIVES)
@alone(simulated)
def simulate(job):
    """Cool a system from gas to solid, its structures labelled while it runs."""
    run_simulation(job, model=structure_model(job))


# ---- networks ----


@Study.pre(kind("structure_model"))
@Study.pre(has_fluids)
@Study.post(has(MODEL, MODEL_CARD))
@Study.operation(directives=DIRECTIVES | {"np": 2})
@alone(has(MODEL, MODEL_CARD))
def train_structures(job):
    """Train the network that names structures, on unit cells and simulated disorder."""
    import torch
    from study.training import learning

    torch.set_num_threads(spare_threads(cores()))
    data = {
        "crystals": "AFLOW prototypes from pyriodic-aflow (GPL-3), replicated, strained by 1 %, "
        "displaced, with and without surfaces",
        "noise_levels": list(job.sp.noise_levels),
        "disordered": [
            f"{title(fluid)} at number density {fluid.sp.number_density}, quenched from kT = "
            f"{fluid.sp.gas_kT} to {fluid.sp.end_kT} on {fluid.doc.simulation['engine']} "
            f"{fluid.doc.simulation['version']}"
            for fluid in fluids(job)
        ],
    }
    paths = [Path(fluid.fn(TRAJECTORY)) for fluid in fluids(job)]
    learning.structure_model(Path(job.path), job.sp, paths, data)


# ---- the shipped model ----

SITES = "sites.safetensors"
FAST_SITES, FAST_MODEL = "fast-sites.safetensors", "structures-fast.safetensors"


def learned_fluids(job: Any) -> list[Any]:
    """The study's simulations that its shipped model learns disorder from."""
    return [fluid for fluid in fluids(job) if fluid.sp.role == "training"]


def training_fluids(job: Any) -> list[Path]:
    """Their trajectories."""
    return [Path(fluid.fn(TRAJECTORY)) for fluid in learned_fluids(job)]


def has_training_fluids(job: Any) -> bool:
    """Condition: all that the shipped model learns disorder from is simulated."""
    return all(map(simulated, learned_fluids(job)))


@contextmanager
def timed(job: Any, operation: str) -> Iterator[None]:
    """Note how long a part of the work took, for the model's card."""
    started = time.monotonic()
    yield
    seconds = dict(job.doc.get("seconds", {}))
    job.doc.seconds = seconds | {operation: round(time.monotonic() - started)}


@Study.pre(kind("shipped_model"))
@Study.pre(has_training_fluids)
@Study.post(has(SITES))
@Study.operation(directives=DIRECTIVES)
@alone(has(SITES))
def train_sites(job):
    """Train the network that tells all kinds of sites of all unit cells apart."""
    import torch
    from study.training import shipped

    torch.set_num_threads(threads(job))
    with timed(job, "train_sites"):
        shipped.learn_sites(Path(job.path), job.sp, training_fluids(job))


@Study.pre(kind("shipped_model"))
@Study.pre(has(SITES))
@Study.post(has(MODEL))
@Study.operation(directives=DIRECTIVES)
@alone(has(MODEL))
def train_labels(job):
    """Train the network that names structures from an environment and those around it."""
    import torch
    from study.training import shipped

    torch.set_num_threads(threads(job))
    with timed(job, "train_labels"):
        shipped.learn_labels(Path(job.path), job.sp, training_fluids(job))


#: Condition: the shipped model is trained from all of its starts.
all_models = every("shipped_model", has(MODEL))


def ships(job: Any) -> bool:
    """Condition: the job's model is the one to ship, and not one that it is compared with."""
    return bool(job.sp.source == studies.load(job.sp.study)["shipped_model"]["sources"][0])


@Study.pre(kind("shipped_model"))
@Study.pre(ships)
@Study.pre(has(MODEL))
@Study.post(has(FAST_SITES))
@Study.operation(directives=DIRECTIVES)
@alone(has(FAST_SITES))
def distill_sites(job):
    """Train a smaller network to tell sites apart, after the larger one."""
    import torch
    from study.training import distill

    torch.set_num_threads(threads(job))
    with timed(job, "distill_sites"):
        distill.learn_sites(Path(job.path), job.sp, training_fluids(job))


@Study.pre(kind("shipped_model"))
@Study.pre(has(FAST_SITES))
@Study.post(has(FAST_MODEL))
@Study.operation(directives=DIRECTIVES)
@alone(has(FAST_MODEL))
def distill_labels(job):
    """Train the smaller network to name structures, after the larger one."""
    import torch
    from study.training import distill

    torch.set_num_threads(threads(job))
    with timed(job, "distill_labels"):
        distill.learn_labels(Path(job.path), job.sp, training_fluids(job))


@Study.pre(kind("shipped_model"))
@Study.pre(ships)
@Study.pre(all_models)
@Study.pre(has(FAST_MODEL))
@Study.pre(has_fluids)
@Study.post(has(MODEL_CARD))
@Study.operation(directives=DIRECTIVES)
@alone(has(MODEL_CARD))
def measure(job):
    """Accuracy on hot crystals, calibration, and what is said of the unknown; then the card."""
    import torch
    from study.comparison import quality
    from study.training import shipped

    from hoomd_gala.learning import fitting

    torch.set_num_threads(spare_threads(cores()))
    folder = summary_folder(job) / "quality"
    inputs = folder / "inputs"
    inputs.mkdir(parents=True, exist_ok=True)
    models = []
    for other in siblings(job):
        name = "structures" if ships(other) else f"core_from_{other.sp.source}"
        models.append(inputs / f"{name}.safetensors")
        copy(other.fn(MODEL), models[-1])
    models.append(inputs / FAST_MODEL)
    copy(job.fn(FAST_MODEL), models[-1])
    kinds = shipped.read_kinds(Path(job.fn("kinds.json")))
    shipped.write_left_out(inputs / "left out.gsd", kinds, job.sp.seed)
    liquids, unknowns = [], [inputs / "left out.gsd"]
    for fluid in fluids(job):
        path = inputs / f"{fluid.sp.role} {title(fluid)}.gsd"
        if fluid.sp.role == "liquid":
            copy(fluid.fn(TRAJECTORY), path)
            liquids.append(path)
        elif fluid.sp.role == "icosahedral":
            shipped.copy_last_frames(path, Path(fluid.fn(TRAJECTORY)), 3)
            unknowns.append(path)
    print(quality.run(folder, list(map(str, models)), liquids, unknowns))
    about = {
        "command": f"python workflows/project.py run --study {job.sp.study}",
        "data": {
            "crystals": "AFLOW prototypes from pyriodic-aflow, replicated, strained by 1.5 %, "
            "displaced independently or by random springs, with and without surfaces; random "
            "stackings of spheres and of diamond; crystals without a name from random cells",
            "displacements / shortest distance": dict(job.sp.noise),
            "disordered": [
                f"{title(fluid)} at number density {fluid.sp.number_density}, kT from "
                f"{fluid.sp.gas_kT} to {fluid.sp.end_kT}, on {fluid.doc.simulation['engine']} "
                f"{fluid.doc.simulation['version']}"
                for fluid in fluids(job)
                if fluid.sp.role == "training"
            ],
            "licence": "pyriodic-aflow is under the GPL-3",
        },
        "seed": job.sp.seed,
        "seconds": dict(job.doc.seconds),
        "machine": fitting.machine(torch.device("cpu")),
    }
    for name in (FAST_MODEL, MODEL):
        shipped.publish(summary_folder(job) / name, inputs / name, folder, about)
    target = summary_folder(job) / MODEL_CARD
    copy(target, Path(job.fn(MODEL_CARD)))


# ---- figures and tables ----


@Study.pre(kind("system"))
@Study.pre(simulated)
@Study.post(has("structures.csv", "structures.png", "checks.csv"))
@Study.operation(directives=ON_CPU)
@alone(has("structures.csv", "structures.png", "checks.csv"))
def analyze(job):
    """Structures against time, and the labels against independent methods."""
    from study.figures import analysis
    from study.simulation import protocol

    steps = protocol.Protocol.of(job.sp)
    trajectory = Path(job.fn(TRAJECTORY))
    names, rows = analysis.fractions(trajectory, steps)
    write_table(Path(job.fn("structures.csv")), rows)
    analysis.draw_fractions(Path(job.fn("structures.png")), title(job), names, rows, steps)
    write_table(Path(job.fn("checks.csv")), analysis.checks(trajectory, steps))


@Study.pre(kind("system"))
@Study.pre(simulated)
@Study.post(has("last_frame.png", VIEW))
@Study.operation(directives=ON_CPU)
@alone(has("last_frame.png", VIEW))
def render(job):
    """Picture of the last frame by OVITO, colored by structure, and the trajectory to look at."""
    from study.figures import analysis

    from hoomd_gala.labeling import view_trajectory

    analysis.render(Path(job.fn("last_frame.png")), Path(job.fn(TRAJECTORY)), -1)
    Path(job.fn(VIEW)).unlink(missing_ok=True)
    view_trajectory(job.fn(TRAJECTORY), job.fn(VIEW))


#: Of kinds whose operations stand in modules of their own: when all of them are done.
FINISHED = assembly_operations.FINISHED | paper_operations.FINISHED


def finished(job: Any) -> bool:
    """Condition: everything but the summary is there."""
    if job.sp.kind == "fluid":
        return simulated(job)
    if job.sp.kind in FINISHED:
        return bool(FINISHED[job.sp.kind](job))
    if job.sp.kind == "shipped_model" and not ships(job):
        return bool(job.isfile(MODEL))
    if job.sp.kind in ("structure_model", "shipped_model"):
        return bool(job.isfile(MODEL_CARD))
    files = ["checks.csv", "structures.png", "last_frame.png", VIEW]
    files += ["phases.csv"] if learns_frames(job) else []
    return all(map(job.isfile, files))


def study_finished(job: Any) -> bool:
    """Condition: everything in the study but its summary is there."""
    return all(map(finished, study_jobs(job)))


def summarized(job: Any) -> bool:
    """Condition: the study's summary is written."""
    return (summary_folder(job) / "summary.md").is_file()


@Study.pre(kind("structure_model"))
@Study.pre(study_finished)
@Study.post(summarized)
@Study.operation(directives=ON_CPU)
@alone(summarized)
def summarize(job):
    """What ran, what came of it, and where everything lies."""
    from study.flow import summary

    folder = summary_folder(job)
    folder.mkdir(parents=True, exist_ok=True)
    text = summary.write(study_jobs(job), folder, title)
    with replacing(folder / "summary.md") as part:
        part.write_text(text)
    print(f"\n{text}\nThis summary: {os.path.relpath(folder / 'summary.md')}", flush=True)


# ---- command line ----


def init(study: str) -> Study:
    """Make the project and the jobs of a study; those that exist stay as they are."""
    points = studies.state_points(study)
    signac.init_project(FOLDER)
    project = Study.get_project(FOLDER)
    for point in points:
        project.open_job(point).init()
    return project


def announce(project: Study, study: str) -> None:
    """Say what a run is about to do and how long it will take."""
    jobs = project.find_jobs({"study": study})
    done = sum(map(finished, jobs))
    minutes = studies.load(study)["minutes"]
    print(
        f"Study {study}: {len(jobs)} jobs, {done} finished. From start to end it takes about "
        f"{minutes} minutes on two cores; interrupt it whenever you like and run it again.",
        flush=True,
    )


def take_study(arguments: list[str]) -> tuple[str | None, list[str]]:
    """Split ``--study NAME`` off the arguments; the rest is signac-flow's."""
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
    """Run the command line: ``init`` and ``--study`` here, everything else by signac-flow."""
    study, rest = take_study(sys.argv[1:])
    command = rest[0] if rest else None
    if command in (None, "-h", "--help"):
        print(__doc__)
        print("usage: project.py {init,run,status,submit,next,exec} [--study NAME] [options]")
        print(f"studies: {', '.join(studies.names())}")
        return
    fresh = not (FOLDER / ".signac").is_dir()
    if fresh and command not in ("init", "run", "submit"):
        raise InputError("there is no study yet; project.py init [--study NAME] makes one.")
    if study is not None or fresh or command == "init":
        study = study or "default"
        project = init(study)
    else:
        project = Study.get_project(FOLDER)
    if command == "init":
        print(f"{len(project)} jobs in {FOLDER / 'workspace'}")
        return
    # Ctrl-C reaches every process: the one that the user started answers, the operations stop, and
    # flow's workers between these, whose traceback nobody could catch, wait for their operations
    if command == "exec":
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if command == "run":
        os.register_at_fork(after_in_child=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
        for name in [study] if study else sorted({job.sp.study for job in project}):
            announce(project, name)
        if not {"-p", "--parallel", "--pretend"} & set(rest):
            rest += ["--parallel", str(cores())]
    if study is not None and not {"-f", "--filter", "-j", "--job-id"} & set(rest):
        rest += ["--filter", "study", study]
    sys.argv[1:] = rest
    project.main()


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        if "exec" not in sys.argv[1:2]:
            print("\ninterrupted; the next run goes on from here.", file=sys.stderr)
        sys.exit(130)
    except (NoSchedulerError, SubmitError) as error:
        reason = str(error).rstrip(" .,")
        print(
            f"error: jobs cannot be submitted from here ({reason}); a scheduler such as SLURM has "
            "to be at hand.",
            file=sys.stderr,
        )
        sys.exit(2)
