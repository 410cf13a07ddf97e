"""Operations on the shipped model that names compounds."""

from pathlib import Path
from typing import Any

from study.flow.jobs import ON_CPU, every, has, kind, of_kind, operation, published, threads
from study.flow.studies import HELD_OUT, LEARNED
from study.operations.disorder import disorder_of, has_disorder_for
from study.operations.trainings import files_of, provenance, timed
from study.training.names import (
    COMPOUNDS,
    COMPOUNDS_CARD,
    COMPOUNDS_MEANS,
    COMPOUNDS_TABLE,
    COMPOUNDS_TEXT,
    DECORATIONS,
    OTHERS,
    SAMPLES,
    SITES,
)


@operation(kind("compounds_model"), post=has(DECORATIONS, OTHERS), directives=ON_CPU)
def find_decorations(job: Any) -> None:
    """Compare the environments of all unit cells by their types, and search for random cells."""
    from study.training import decorations
    from study.training.kinds import write_random_cells

    write_random_cells(Path(job.fn(OTHERS)), job.sp.n_random, job.sp.seed)
    found = decorations.find_decorations(list(job.sp.lattices), list(job.sp.left_out))
    decorations.write_decorations(Path(job.fn(DECORATIONS)), found)


#: Condition: it is known what is sampled.
has_decorations = every("compounds_model", has(DECORATIONS, OTHERS))


@operation(
    kind("compounds_samples"),
    has_decorations,
    has_disorder_for("pieces", "disordered"),
    post=has(SAMPLES),
    directives=ON_CPU,
)
def sample_compounds(job: Any) -> None:
    """Make a part of the samples that the model learns from, or that are held out."""
    import numpy as np

    from study.training import compounds, samples
    from study.training.decorations import read_decorations
    from study.training.kinds import read_cells

    (model,) = of_kind(job, "compounds_model")
    plan = compounds.Plan(
        read_decorations(Path(model.fn(DECORATIONS))),
        list(model.sp.lattices),
        list(model.sp.common),
        dict(model.sp.noise),
        read_cells(Path(model.fn(OTHERS))),
        disorder_of(job, job.sp.role),
    )
    parts, roles = list(compounds.PARTS), [LEARNED, HELD_OUT]
    seeds = [model.sp.seed, parts.index(job.sp.part), roles.index(job.sp.role)]
    made = compounds.PARTS[job.sp.part](plan, job.sp.n, np.random.default_rng(seeds))
    samples.write(Path(job.fn(SAMPLES)), made, f"sample {job.sp.part}, {job.sp.role}")


@operation(kind("compounds_model"), every("compounds_samples", has(SAMPLES)), post=has(SITES))
def train_names(job: Any) -> None:
    """Train the network that names single environments."""
    import torch

    from study.training import compounds

    torch.set_num_threads(threads(job))
    with timed(job, "train_names"):
        files = files_of(job, "compounds_samples", LEARNED)
        compounds.learn_names(Path(job.path), job.sp, files)


@operation(kind("compounds_model"), has(SITES), post=has(COMPOUNDS))
def train_compounds(job: Any) -> None:
    """Train the network that names compounds from an environment and those around it."""
    import torch

    from study.training import compounds

    torch.set_num_threads(threads(job))
    files = (
        list(files_of(job, "compounds_samples", role).values()) for role in (LEARNED, HELD_OUT)
    )
    with timed(job, "train_compounds"):
        compounds.learn_compounds(Path(job.path), job.sp, *files)


@operation(
    kind("compounds_model"),
    has(COMPOUNDS),
    post=has(COMPOUNDS_TABLE, COMPOUNDS_MEANS, COMPOUNDS_CARD),
    publishes=published(
        COMPOUNDS, COMPOUNDS_TABLE, COMPOUNDS_MEANS, COMPOUNDS_CARD, COMPOUNDS_TEXT
    ),
)
def measure_compounds(job: Any) -> None:
    """Measure what is named, on crystals made and simulated otherwise, and write the card."""
    import torch

    from study.reports import compounds

    torch.set_num_threads(threads(job))
    data = {
        "crystals": "AFLOW prototypes from pyriodic-aflow (GPL-3) with their types, some with "
        "antisites; lattices of one type or with types at random; strained by up to 6 % along "
        "three axes, displaced independently or by random springs, from zero, with vacancies, "
        "surfaces, grains, and beside their melt; without a name, random cells with types at "
        "random, and prototypes of which one type is divided into two",
        "displacements / shortest distance": dict(job.sp.noise),
        "left out": list(job.sp.left_out),
        "disordered": "fluids, glasses, networks, salts, chains, packings, points, gases of "
        "clusters, each with an interaction of its own, with their types or with others",
        "start": f"the shipped model {job.sp.start}, as to positions",
    }
    compounds.publish(Path(job.path), provenance(job, data))
