"""Operations on liquids above freezing, and their comparison (figure 3b of the paper)."""

from pathlib import Path
from typing import Any

from hoomd_gala.files.atomic import write_table
from study.flow.jobs import (
    ON_CPU,
    TRAJECTORY,
    every,
    has,
    kind,
    of_kind,
    operation,
    published,
    simulated,
    threads,
)
from study.operations.simulations import run_simulation


def liquids(job: Any) -> list[Any]:
    """Return the study's liquids."""
    return of_kind(job, "liquid")


@operation(kind("liquid"), post=simulated)
def simulate_liquid(job: Any) -> None:
    """Simulate a liquid above its freezing temperature."""
    run_simulation(job, model=None)


@operation(
    kind("liquid_comparison"),
    every("liquid", simulated),
    post=has("liquids.csv", "liquids.png"),
    directives=ON_CPU,
    publishes=published("liquids.csv", "liquid_runs.csv", "liquids.png"),
    of=liquids,
)
def compare_liquids(job: Any) -> None:
    """Distinguish liquids by embeddings and by Steinhardt order parameters."""
    import numpy as np
    import torch

    from hoomd_gala import Analyzer
    from study.comparison import descriptors
    from study.comparison import liquids as measures
    from study.reports import liquids as report

    torch.set_num_threads(threads(job))
    rng = np.random.default_rng(job.sp.seed)
    samples, runs = [], []
    for liquid in liquids(job):
        runs.append(
            measures.check(Path(liquid.fn(TRAJECTORY)), liquid.sp.structure, liquid.sp.seed)
        )
        samples += measures.read_samples(
            Path(liquid.fn(TRAJECTORY)),
            liquid.sp.structure,
            liquid.sp.seed,
            job.sp.n_frames,
            job.sp.n_particles,
            rng,
        )
    comparison = measures.compare(
        samples,
        {
            "embedding": descriptors.embedding(Analyzer(job.sp.model)),
            "Steinhardt": descriptors.steinhardt,
            "Steinhardt, averaged": descriptors.averaged_steinhardt,
            "SOAP-like": descriptors.power_spectrum,
            "distances": descriptors.neighbor_distances,
        },
    )
    report.draw(Path(job.fn("liquids.png")), comparison)
    write_table(Path(job.fn("liquid_runs.csv")), runs)
    write_table(Path(job.fn("liquids.csv")), comparison.rows)
