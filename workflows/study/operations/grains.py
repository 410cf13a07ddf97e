"""The operation on polycrystals: orientations and grains."""

from pathlib import Path
from typing import Any

from hoomd_gala.files.atomic import write_table
from study.flow.jobs import ON_CPU, has, kind, operation, published, threads


@operation(
    kind("grains"),
    post=has("grains.csv", "grains.png"),
    directives=ON_CPU,
    publishes=published("grains.csv", "grains.png"),
)
def map_grains(job: Any) -> None:
    """Find orientations in polycrystals by the autoencoder's frames and by template matching."""
    import torch
    from tqdm.auto import tqdm

    from hoomd_gala.files.models import load_model
    from study.comparison import grains
    from study.reports import grains as report
    from study.solids import orientations, polycrystals

    torch.set_num_threads(threads(job))
    model = load_model(job.sp.model)
    rows: list[dict[str, Any]] = []
    drawn = []
    trials = [(cell, noise) for cell in job.sp.cells for noise in job.sp.noise_levels]
    for cell, noise in tqdm(trials, desc="grains", unit="polycrystal"):
        sample = polycrystals.polycrystal(cell, job.sp.n_grains, job.sp.edge, noise, job.sp.seed)
        found = orientations.orientations(sample, model, noise, job.sp.around, job.sp.seed)
        rows += grains.scores(sample, noise, found, job.sp.seed)
        if cell in job.sp.drawn and noise == job.sp.drawn_noise:
            drawn.append((sample, found))
    title = f"slices of polycrystals, displacements of {job.sp.drawn_noise:g} shortest distances"
    report.draw(Path(job.fn("grains.png")), drawn, title)
    write_table(Path(job.fn("grains.csv")), rows)
