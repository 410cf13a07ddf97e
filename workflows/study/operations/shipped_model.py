"""Operations on the shipped models: samples, training in two stages, accuracy, and cards."""

from pathlib import Path
from typing import Any

from hoomd_gala.threads import cores, spare_threads
from study.flow import studies
from study.flow.jobs import (
    ON_CPU,
    TRAJECTORY,
    copy,
    every,
    has,
    kind,
    of_kind,
    operation,
    summary_folder,
    threads,
)
from study.flow.studies import HELD_OUT, LEARNED
from study.operations.disorder import disorder_of, has_disorder_for
from study.operations.simulations import fluids, has_fluids, title
from study.operations.trainings import files_of, provenance, timed
from study.training.names import (
    FAST_MODEL,
    FAST_SITES,
    KINDS,
    MODEL,
    MODEL_CARD,
    OTHERS,
    SAMPLES,
    SITES,
)


@operation(kind("shipped_model"), post=has(KINDS, OTHERS), directives=ON_CPU)
def find_kinds(job: Any) -> None:
    """Compare the local environments of all unit cells, and search for cells without a name."""
    from study.training import shipped

    shipped.write_cells_to_learn(Path(job.path), job.sp)


#: Condition: it is known what is sampled.
has_kinds = every("shipped_model", has(KINDS, OTHERS))


@operation(
    kind("samples"),
    has_kinds,
    has_disorder_for("patchworks", "disordered"),
    post=has(SAMPLES),
    directives=ON_CPU,
)
def sample(job: Any) -> None:
    """Make a part of the samples that the shipped models learn from, or that are held out."""
    import numpy as np

    from study.training import samples, shipped

    (model,) = of_kind(job, "shipped_model")
    parts = list(samples.PARTS)
    rng = np.random.default_rng(
        [model.sp.seed, parts.index(job.sp.part), [LEARNED, HELD_OUT].index(job.sp.role)]
    )
    plan = shipped.read_plan(Path(model.path), model.sp, disorder_of(job, job.sp.role))
    made = samples.PARTS[job.sp.part](plan, job.sp.n, rng)
    samples.write(Path(job.fn(SAMPLES)), made, f"sample {job.sp.part}, {job.sp.role}")


#: Condition: all samples are made.
has_samples = every("samples", has(SAMPLES))


def half(job: Any) -> int:
    """Threads of each of two trainings that run at the same time."""
    return max(1, threads(job) // 2)


@operation(kind("shipped_model"), has_samples, post=has(SITES))
def train_sites(job: Any) -> None:
    """Train the network that distinguishes the local environments of all unit cells."""
    import torch

    from study.training import shipped

    torch.set_num_threads(half(job))
    with timed(job, "train_sites"):
        shipped.learn_sites(Path(job.path), job.sp, files_of(job, "samples", LEARNED))


@operation(kind("shipped_model"), has_samples, post=has(FAST_SITES))
def train_fast_sites(job: Any) -> None:
    """Train a smaller network to distinguish local environments."""
    import torch

    from study.training import shipped

    torch.set_num_threads(half(job))
    with timed(job, "train_fast_sites"):
        shipped.learn_sites(Path(job.path), job.sp, files_of(job, "samples", LEARNED), shipped.FAST)


@operation(kind("shipped_model"), has(SITES, FAST_SITES), post=has(MODEL, FAST_MODEL))
def train_labels(job: Any) -> None:
    """Train the networks that name structures from an environment and those around it."""
    import torch

    from study.training import labels

    torch.set_num_threads(threads(job))
    with timed(job, "train_labels"):
        labels.learn_labels(
            Path(job.path),
            job.sp,
            files_of(job, "samples", LEARNED),
            files_of(job, "samples", HELD_OUT),
        )


def gather_inputs(job: Any, inputs: Path) -> tuple[list[Path], list[Path], list[Path]]:
    """Copy what accuracies are measured on into a folder.

    Returns
    -------
    models, liquids, unknowns : list of Path
        The models, trajectories of liquids, and those of structures that no model knows.
    """
    from study.training import held_out, kinds

    inputs.mkdir(parents=True, exist_ok=True)
    models = [inputs / MODEL, inputs / FAST_MODEL]
    for path in models:
        copy(job.fn(path.name), path)
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
    study = studies.load(job.sp.study)
    data = {
        "crystals": "AFLOW prototypes from pyriodic-aflow, replicated, strained by up to "
        "11 % along three axes, displaced independently or by random springs, from zero, with "
        "vacancies and interstitials, in polycrystals, beside their melt and vacuum; random "
        "stackings of spheres and of diamond; icosahedra and decahedra; without a name, "
        "random cells and Frank-Kasper phases of square-triangle tilings",
        "displacements / shortest distance": dict(job.sp.noise),
        "disordered": "fluids, glasses, networks, salts, chains, packings, points, gases of "
        "clusters, each with an interaction of its own: "
        + ", ".join(f"{n} of {name}" for name, n in study["disorder"].items()),
        "licence": "pyriodic-aflow is under the GPL-3",
    }
    return provenance(job, data)


def measured(job: Any) -> bool:
    """Condition: the models and their cards are in the study's summary."""
    in_summary = (summary_folder(job) / name for name in (MODEL, FAST_MODEL, MODEL_CARD))
    return job.isfile(MODEL_CARD) and all(path.is_file() for path in in_summary)


@operation(
    kind("shipped_model"),
    has(MODEL, FAST_MODEL),
    has_fluids,
    post=measured,
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
