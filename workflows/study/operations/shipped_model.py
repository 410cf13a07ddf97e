"""Operations on the shipped models: training in two stages, distillation, accuracy, and cards."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hoomd_gala.threads import cores, spare_threads
from study.flow import studies
from study.flow.jobs import (
    TRAJECTORY,
    Condition,
    copy,
    every,
    has,
    kind,
    operation,
    siblings,
    simulated,
    summary_folder,
    threads,
)
from study.operations.simulations import fluids, has_fluids, title
from study.training.names import FAST_MODEL, FAST_SITES, KINDS, MODEL, MODEL_CARD, SITES


def learned_fluids(job: Any) -> list[Any]:
    """Return the study's simulations that its shipped model learns disorder from."""
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


@operation(kind("shipped_model"), has_training_fluids, post=has(SITES))
def train_sites(job: Any) -> None:
    """Train the network that distinguishes the local environments of all unit cells."""
    import torch

    from study.training import shipped

    torch.set_num_threads(threads(job))
    with timed(job, "train_sites"):
        shipped.learn_sites(Path(job.path), job.sp, training_fluids(job))


@operation(kind("shipped_model"), has(SITES), post=has(MODEL))
def train_labels(job: Any) -> None:
    """Train the network that names structures from an environment and those around it."""
    import torch

    from study.training import shipped

    torch.set_num_threads(threads(job))
    with timed(job, "train_labels"):
        shipped.learn_labels(Path(job.path), job.sp, training_fluids(job))


#: Condition: the shipped model is trained from all of its starting points.
all_models = every("shipped_model", has(MODEL))


def ships(job: Any) -> bool:
    """Condition: the job's model is the one to ship, and not one that it is compared with."""
    return bool(job.sp.source == studies.load(job.sp.study)["shipped_model"]["sources"][0])


@operation(kind("shipped_model"), ships, has(MODEL), post=has(FAST_SITES))
def distill_sites(job: Any) -> None:
    """Train a smaller network to distinguish local environments, with the larger as teacher."""
    import torch

    from study.training import distill

    torch.set_num_threads(threads(job))
    with timed(job, "distill_sites"):
        distill.learn_sites(Path(job.path), job.sp, training_fluids(job))


@operation(kind("shipped_model"), has(FAST_SITES), post=has(FAST_MODEL))
def distill_labels(job: Any) -> None:
    """Train the smaller network to name structures, with the larger as teacher."""
    import torch

    from study.training import distill

    torch.set_num_threads(threads(job))
    with timed(job, "distill_labels"):
        distill.learn_labels(Path(job.path), job.sp, training_fluids(job))


def gather_inputs(job: Any, inputs: Path) -> tuple[list[Path], list[Path], list[Path]]:
    """Copy what accuracies are measured on into a folder.

    Returns
    -------
    models, liquids, unknowns : list of Path
        Models to compare, trajectories of liquids, and those of structures that no model knows.
    """
    from study.training import held_out, kinds

    inputs.mkdir(parents=True, exist_ok=True)
    models = []
    for other in siblings(job):
        name = "structures" if ships(other) else f"core_from_{other.sp.source}"
        models.append(inputs / f"{name}.safetensors")
        copy(other.fn(MODEL), models[-1])
    models.append(inputs / FAST_MODEL)
    copy(job.fn(FAST_MODEL), models[-1])
    liquids, unknowns = [], [inputs / "left out.gsd"]
    held_out.write_left_out(unknowns[0], kinds.read_kinds(Path(job.fn(KINDS))), job.sp.seed)
    for fluid in fluids(job):
        path = inputs / f"{fluid.sp.role} {title(fluid)}.gsd"
        if fluid.sp.role == "liquid":
            copy(fluid.fn(TRAJECTORY), path)
            liquids.append(path)
        elif fluid.sp.role == "icosahedral":
            held_out.copy_last_frames(path, Path(fluid.fn(TRAJECTORY)), 3)
            unknowns.append(path)
    return models, liquids, unknowns


def describe(job: Any) -> dict[str, Any]:
    """Describe the training, for the model's card."""
    import torch

    from hoomd_gala.learning import fitting

    return {
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
                for fluid in learned_fluids(job)
            ],
            "licence": "pyriodic-aflow is under the GPL-3",
        },
        "seed": job.sp.seed,
        "seconds": dict(job.doc.seconds),
        "machine": fitting.machine(torch.device("cpu")),
    }


@operation(
    kind("shipped_model"), ships, all_models, has(FAST_MODEL), has_fluids, post=has(MODEL_CARD)
)
def measure(job: Any) -> None:
    """Accuracy on hot crystals, calibration, and treatment of the unknown; then the card."""
    import torch

    from study.reports import card, quality

    torch.set_num_threads(spare_threads(cores()))
    folder = summary_folder(job) / "quality"
    inputs = folder / "inputs"
    models, liquids, unknowns = gather_inputs(job, inputs)
    print(quality.run(folder, list(map(str, models)), liquids, unknowns))
    about = describe(job)
    for name in (FAST_MODEL, MODEL):
        card.publish(summary_folder(job) / name, inputs / name, folder, about)
    copy(summary_folder(job) / MODEL_CARD, Path(job.fn(MODEL_CARD)))


def measured(job: Any) -> bool:
    """Condition: a model that ships has its card; one that it is compared with is trained."""
    return bool(job.isfile(MODEL_CARD if ships(job) else MODEL))


#: When all operations on a job of a kind are done.
FINISHED: dict[str, Condition] = {"shipped_model": measured}
