"""Operations on the shipped model whose purpose is its embedding, and on the table of others."""

from pathlib import Path
from typing import Any

from study.flow.jobs import (
    ON_CPU,
    TRAJECTORY,
    every,
    has,
    kind,
    of_kind,
    operation,
    threads,
)
from study.flow.studies import LEARNED
from study.operations.disorder import has_disorder
from study.operations.shipped_model import disorder_of, timed
from study.operations.simulations import fluids, has_fluids
from study.training.names import EMBEDDING, EMBEDDING_SITES, OTHERS, SAMPLES


@operation(kind("embedding_model"), post=has(OTHERS), directives=ON_CPU)
def search_random_cells(job: Any) -> None:
    """Search for random cells, crystals that no database has."""
    import numpy as np

    from hoomd_gala.crystals.random_cells import random_crystals
    from study.training.kinds import write_cells

    rng = np.random.default_rng([job.sp.seed, 1])
    write_cells(Path(job.fn(OTHERS)), random_crystals(job.sp.n_random, rng))


def has_what_it_is_of(job: Any) -> bool:
    """Condition: what a part of the samples is made of is there."""
    if job.sp.part == "random":
        return every("embedding_model", has(OTHERS))(job)
    return job.sp.part != "disordered" or (has_disorder(job) and has_fluids(job))


@operation(kind("embedding_samples"), has_what_it_is_of, post=has(SAMPLES), directives=ON_CPU)
def sample_frames(job: Any) -> None:
    """Make a part of the samples, whose particles know which frame they are of."""
    from study.training import embedding, samples
    from study.training.kinds import read_cells

    (model,) = of_kind(job, "embedding_model")
    part = job.sp.part
    plan = embedding.Plan(
        model.sp.noise,
        list(model.sp.left_out),
        read_cells(Path(model.fn(OTHERS))) if part == "random" else [],
        [path for _, path in disorder_of(job, LEARNED)]
        + [Path(fluid.fn(TRAJECTORY)) for fluid in fluids(job)],
    )
    seed = 10 * model.sp.seed + list(embedding.PARTS).index(part)
    made = embedding.PARTS[part](plan, job.sp.n, seed)
    samples.write(Path(job.fn(SAMPLES)), made, f"sample {part}")


def sample_files(job: Any) -> dict[str, Path]:
    """Files of samples by the part of the data that they are of."""
    jobs = sorted(of_kind(job, "embedding_samples"), key=lambda other: str(other.sp.part))
    return {other.sp.part: Path(other.fn(SAMPLES)) for other in jobs}


@operation(
    kind("embedding_model"), every("embedding_samples", has(SAMPLES)), post=has(EMBEDDING_SITES)
)
def train_environments(job: Any) -> None:
    """Train core and pooling layer to tell frames apart by single environments."""
    import torch

    from study.training import embedding

    torch.set_num_threads(threads(job))
    with timed(job, "train_environments"):
        embedding.learn_sites(Path(job.path), job.sp, sample_files(job))


@operation(kind("embedding_model"), has(EMBEDDING_SITES), post=has(EMBEDDING))
def train_rings(job: Any) -> None:
    """Train the rings of neighbors to tell frames apart in whole samples."""
    import torch

    from study.training import embedding

    torch.set_num_threads(threads(job))
    with timed(job, "train_rings"):
        embedding.learn_rings(Path(job.path), job.sp, sample_files(job))
