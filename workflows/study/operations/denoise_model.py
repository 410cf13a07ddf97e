"""Operations on the shipped model that takes thermal displacements out of positions."""

from pathlib import Path
from typing import Any

from study.flow.jobs import ON_CPU, every, has, kind, of_kind, operation, published, threads
from study.flow.studies import LEARNED
from study.operations.disorder import has_disorder
from study.operations.shipped_model import disorder_of, timed
from study.training.names import (
    DENOISE_TABLE,
    DENOISER,
    DENOISER_CARD,
    DENOISER_TEXT,
    OTHERS,
    SAMPLES,
)

#: Parts of the data that simulated disorder is in.
_WITH_DISORDER = ("pieces", "disordered")


@operation(kind("denoise_model"), post=has(OTHERS), directives=ON_CPU)
def search_cells(job: Any) -> None:
    """Search for random cells, crystals that no database has."""
    import numpy as np

    from hoomd_gala.crystals.random_cells import random_crystals
    from study.training.kinds import write_cells

    rng = np.random.default_rng([job.sp.seed, 1])
    write_cells(Path(job.fn(OTHERS)), random_crystals(job.sp.n_random, rng))


#: Condition: the random cells are there.
has_cells = every("denoise_model", has(OTHERS))


def has_what_it_holds(job: Any) -> bool:
    """Condition: the disorder is made that a part of the samples is of."""
    return job.sp.part not in _WITH_DISORDER or has_disorder(job)


@operation(
    kind("denoise_samples"), has_cells, has_what_it_holds, post=has(SAMPLES), directives=ON_CPU
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
    files = {other.sp.part: Path(other.fn(SAMPLES)) for other in of_kind(job, "denoise_samples")}
    with timed(job, "train_denoiser"):
        denoising.learn(Path(job.path), job.sp, dict(sorted(files.items())))


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
    about = {
        "command": f"python workflows/project.py run --study {job.sp.study}",
        "data": {
            "crystals": "AFLOW prototypes from pyriodic-aflow (GPL-3), random cells and random "
            "stackings, strained by up to 8 % along three axes, bent, displaced independently or "
            "by random springs, from zero, with vacancies and interstitials, with surfaces, in "
            "grains and beside their melt",
            "displacements / shortest distance": dict(job.sp.noise),
            "left out": list(job.sp.left_out),
            "disordered": "fluids, glasses, networks, salts, chains, packings, points, which are "
            "to stay as they are",
        },
        "seed": job.sp.seed,
        "seconds": dict(job.doc.get("seconds", {})),
        "machine": "; ".join(sorted(set(job.doc.get("machines", {}).values()))),
    }
    denoising.publish(Path(job.path), list(job.sp.measured), list(job.sp.left_out), about)
