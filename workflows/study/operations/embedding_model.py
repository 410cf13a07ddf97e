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
    published,
    simulated,
    threads,
)
from study.flow.studies import LEARNED
from study.operations.assemblies import assemblies, solid_states
from study.operations.disorder import disorder_of, has_disorder
from study.operations.liquids import liquids
from study.operations.simulations import fluids, has_fluids, title
from study.operations.trainings import files_of, provenance, timed
from study.training.names import (
    EMBEDDING,
    EMBEDDING_CARD,
    EMBEDDING_TEXT,
    OTHERS,
    REPRESENTATIONS,
    REPRESENTATIONS_FIGURE,
    REPRESENTATIONS_TEXT,
    SAMPLES,
)

#: The table of representations, in words, and as a figure.
_COMPARED = (REPRESENTATIONS, REPRESENTATIONS_TEXT, REPRESENTATIONS_FIGURE)


@operation(kind("embedding_model"), post=has(OTHERS), directives=ON_CPU)
def search_random_cells(job: Any) -> None:
    """Search for random cells, crystals that no database has."""
    from study.training.kinds import write_random_cells

    write_random_cells(Path(job.fn(OTHERS)), job.sp.n_random, job.sp.seed)


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


@operation(kind("embedding_model"), every("embedding_samples", has(SAMPLES)), post=has(EMBEDDING))
def train_embedding(job: Any) -> None:
    """Train the rings of neighbors to tell frames apart in whole samples."""
    import torch

    from study.training import embedding

    torch.set_num_threads(threads(job))
    with timed(job, "train_embedding"):
        embedding.learn(Path(job.path), job.sp, files_of(job, "embedding_samples"))


def _tuning_data(job: Any) -> tuple[list[str], list[Any]]:
    """Return unit cells and samples of liquids that were learned from, to tune SOAP on."""
    import numpy as np

    from hoomd_gala.crystals.prototypes import unit_cell, unit_cells
    from hoomd_gala.files.trajectories import open_trajectory
    from hoomd_gala.systems import as_system
    from study.comparison.liquids import Sample

    (model,) = of_kind(job, "embedding_model")
    known = [name for name in unit_cells() if name not in model.sp.left_out]
    known.sort(key=lambda name: len(unit_cell(name).system.positions))
    rng = np.random.default_rng(job.sp.seed)
    samples = []
    for fluid in fluids(job):
        with open_trajectory(Path(fluid.fn(TRAJECTORY))) as frames:
            for run, frame in enumerate((frames[-4], frames[-1])):
                system = as_system(frame)
                chosen = rng.permutation(len(system.positions))[:40]
                samples.append(Sample(system, chosen, title(fluid), run))
    return known[: 3 * job.sp.n_cells : 3], samples


def _data(job: Any) -> Any:
    """Collect what representations are compared on."""
    import numpy as np

    from hoomd_gala.crystals.prototypes import unit_cell
    from study.comparison import embedding_map, representations
    from study.comparison import liquids as measures
    from study.solids import evidence

    (model,) = of_kind(job, "embedding_model")
    solids = []
    for assembly in assemblies(job):
        verdict = evidence.read(Path(assembly.fn("evidence.json")))["verdict"]
        name = title(assembly) if verdict == evidence.NOT_IDENTIFIED else verdict
        solids.append(embedding_map.solid(*solid_states(assembly), name))
    rng = np.random.default_rng(job.sp.seed)
    samples = []
    for liquid in liquids(job):
        path, structure = Path(liquid.fn(TRAJECTORY)), liquid.sp.structure
        measures.check(path, structure, liquid.sp.seed)
        samples += measures.read_samples(
            path, structure, liquid.sp.seed, job.sp.n_frames, job.sp.n_particles, rng
        )
    cells = sorted(model.sp.left_out, key=lambda name: len(unit_cell(name).system.positions))
    return representations.Data(
        solids,
        samples,
        cells[: job.sp.n_cells],
        list(job.sp.levels),
        list(job.sp.shots),
        job.sp.n_bulk,
        job.sp.seed,
    )


def _about(job: Any) -> dict[str, Any]:
    """Say how a model was made, for its card."""
    from hoomd_gala.files.cards import source_card
    from hoomd_gala.files.models import read_info

    source = job.sp.source
    started = source_card(source, read_info(source)) | {
        "what": "core and pooling layer are its own; they have learned names of unit cells"
    }
    data = {
        "frames": "sites of AFLOW prototypes from pyriodic-aflow (GPL-3) and of random cells, "
        "strained by up to 5 % along three axes, displaced independently or by random springs, "
        "with vacancies; liquids, glasses and random points, at different times",
        "displacement / shortest distance": job.sp.noise,
        "left out": list(job.sp.left_out),
        "liquids": [title(fluid) for fluid in fluids(job)],
    }
    return provenance(job, data) | {"started from": started}


def _model_and_table(job: Any) -> list[tuple[Path, Path]]:
    """Files that go to the summary."""
    (model,) = of_kind(job, "embedding_model")
    shipped = published(EMBEDDING, EMBEDDING_CARD, EMBEDDING_TEXT)(model)
    return published(*_COMPARED)(job) + shipped


@operation(
    kind("representations"),
    every("embedding_model", has(EMBEDDING)),
    every("assembly", has("evidence.json")),
    every("liquid", simulated),
    post=has(*_COMPARED),
    directives=ON_CPU,
    publishes=_model_and_table,
    of=lambda job: [*assemblies(job), *liquids(job)],
)
def compare_representations(job: Any) -> None:
    """Compare the embedding with other representations of the same particles."""
    import freud
    import torch

    from hoomd_gala import Analyzer
    from study.comparison import representations as comparison
    from study.reports import representations as report

    (model,) = of_kind(job, "embedding_model")
    cells, samples = _tuning_data(job)
    best, tried = comparison.tune(cells, samples)
    others = {name: Analyzer(name, "cpu") for name in job.sp.models}
    compared = comparison.standard(Analyzer(model.fn(EMBEDDING), "cpu"), others, best)
    # costs are of one core
    torch.set_num_threads(1)
    freud.parallel.set_num_threads(1)
    rows = comparison.compare(compared, _data(job), lambda what: print(what, flush=True))
    report.write(Path(job.path), _COMPARED, rows, tried, best)
    report.publish(Path(model.path), rows, _about(model))
