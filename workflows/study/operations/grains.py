"""The operation on polycrystals: orientations and grains."""

from pathlib import Path
from typing import Any

from hoomd_gala.errors import InputError
from hoomd_gala.files.atomic import write_table
from study.flow.jobs import ON_CPU, Condition, has, kind, operation, publish, threads


@operation(kind("grains"), post=has("grains.csv", "grains.png"), directives=ON_CPU)
def map_grains(job: Any) -> None:
    """Find orientations in polycrystals by the autoencoder's frames and by template matching.

    Raises
    ------
    InputError
        If polycrystals are to be drawn that are not computed.
    """
    import torch
    from tqdm.auto import tqdm

    from hoomd_gala.files.models import load_model
    from study.comparison import grains
    from study.reports import grains as report
    from study.solids import orientations, polycrystals

    torch.set_num_threads(threads(job))
    if not set(job.sp.drawn) <= set(job.sp.cells) or job.sp.drawn_noise not in job.sp.noise_levels:
        raise InputError(
            f"grains of {', '.join(job.sp.drawn)} at noise {job.sp.drawn_noise:g} are to be drawn "
            "but not computed; list them under cells and noise_levels as well."
        )
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
    publish(job, "grains.csv", "grains.png")


#: When all operations on a job of a kind are done.
FINISHED: dict[str, Condition] = {"grains": has("grains.csv")}
