"""Operations on the shipped model that takes thermal displacements out of positions."""

from pathlib import Path
from typing import Any

from study.flow.jobs import ON_CPU, every, has, kind, of_kind, operation, published, threads
from study.flow.studies import LEARNED
from study.operations.disorder import disorder_of, has_disorder_for
from study.operations.trainings import files_of, provenance, timed
from study.training.names import (
    DENOISE_TABLE,
    DENOISER,
    DENOISER_CARD,
    DENOISER_TEXT,
    OTHERS,
    SAMPLES,
)


@operation(kind("denoise_model"), post=has(OTHERS), directives=ON_CPU)
def search_cells(job: Any) -> None:
    """Search for random cells, crystals that no database has."""
    from study.training.kinds import write_random_cells

    write_random_cells(Path(job.fn(OTHERS)), job.sp.n_random, job.sp.seed)


#: Condition: the random cells are there.
has_cells = every("denoise_model", has(OTHERS))


@operation(
    kind("denoise_samples"),
    has_cells,
    has_disorder_for("pieces", "disordered"),
    post=has(SAMPLES),
    directives=ON_CPU,
)
def sample_pairs(job: Any) -> None:
    """Make a part of the samples: particles, and where they are to go."""
    import numpy as np

    from study.training import denoising
    from study.training.kinds import read_cells

    (model,) = of_kind(job, "denoise_model")
    plan = denoising.Plan(
        list(model.sp.common),
        dict(model.sp.noise),
        read_cells(Path(model.fn(OTHERS))),
        list(model.sp.left_out),
        disorder_of(job, LEARNED),
    )
    rng = np.random.default_rng([model.sp.seed, list(denoising.PARTS).index(job.sp.part)])
    pairs = denoising.PARTS[job.sp.part](plan, job.sp.n, rng)
    denoising.write(Path(job.fn(SAMPLES)), pairs, f"sample {job.sp.part}")


@operation(kind("denoise_model"), every("denoise_samples", has(SAMPLES)), post=has(DENOISER))
def train_denoiser(job: Any) -> None:
    """Train the network, on what all of a particle's environments together make of it."""
    import torch

    from study.training import denoising

    torch.set_num_threads(threads(job))
    with timed(job, "train_denoiser"):
        denoising.learn(Path(job.path), job.sp, files_of(job, "denoise_samples"))


@operation(
    kind("denoise_model"),
    has(DENOISER),
    post=has(DENOISE_TABLE, DENOISER_CARD),
    publishes=published(DENOISER, DENOISE_TABLE, DENOISER_CARD, DENOISER_TEXT),
)
def measure_denoiser(job: Any) -> None:
    """Measure what template matching finds before and after, and write the card."""
    import torch

    from study.reports import denoising

    torch.set_num_threads(threads(job))
    data = {
        "crystals": "AFLOW prototypes from pyriodic-aflow (GPL-3), random cells and random "
        "stackings, strained by up to 8 % along three axes, bent, displaced independently or "
        "by random springs, from zero, with vacancies and interstitials, with surfaces, in "
        "grains and beside their melt",
        "displacements / shortest distance": dict(job.sp.noise),
        "left out": list(job.sp.left_out),
        "disordered": "fluids, glasses, networks, salts, chains, packings, points, which are "
        "to stay as they are",
    }
    denoising.publish(
        Path(job.path), list(job.sp.measured), list(job.sp.left_out), provenance(job, data)
    )
