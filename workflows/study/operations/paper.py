"""Operations that make the figures and tables of the paper, from assemblies and unit cells."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hoomd_gala.errors import InputError
from hoomd_gala.files.atomic import read_table, write_table
from study.flow.jobs import (
    DIRECTIVES,
    ON_CPU,
    TRAJECTORY,
    Study,
    alone,
    every,
    has,
    kind,
    of_kind,
    publish,
    run_simulation,
    simulated,
    threads,
    title,
)
from study.operations.assemblies import assemblies, solid_states
from study.operations.frames import FRAME_MODEL, HISTOGRAM, write_histogram, write_phases

# ---- a trajectory that the network has never seen ----


def named(job: Any, name: str) -> Any:
    """The study's assembly of a name; InputError if there is none."""
    for other in assemblies(job):
        if other.sp.get("name") == name:
            return other
    raise InputError(f"study {job.sp.study} has no assembly named {name!r}.")


def can_predict_unseen(job: Any) -> bool:
    """Condition: the network is trained and the trajectory that it has not seen is there."""
    return bool(named(job, job.sp.learned).isfile(FRAME_MODEL)) and simulated(
        named(job, job.sp.trajectory)
    )


@Study.pre(kind("unseen"))
@Study.pre(can_predict_unseen)
@Study.post(has("unseen.csv", "unseen.png"))
@Study.operation(directives=ON_CPU)
@alone(has("unseen.csv", "unseen.png"))
def predict_unseen(job: Any) -> None:
    """Phases of a trajectory by the network of another one, of another potential."""
    import torch

    torch.set_num_threads(threads(job))
    shown = named(job, job.sp.trajectory)
    write_histogram(Path(job.fn(HISTOGRAM)), named(job, job.sp.learned), shown)
    write_phases(job, shown, "unseen")
    publish(job, "unseen.csv", "unseen.png")


# ---- figure 3b: liquids ----


@Study.pre(kind("liquid"))
@Study.post(simulated)
@Study.operation(directives=DIRECTIVES)
@alone(simulated)
def simulate_liquid(job: Any) -> None:
    """Simulate a liquid above the temperature at which it freezes."""
    run_simulation(job, model=None)


@Study.pre(kind("liquid_comparison"))
@Study.pre(every("liquid", simulated))
@Study.post(has("liquids.csv", "liquids.png"))
@Study.operation(directives=ON_CPU)
@alone(has("liquids.csv", "liquids.png"))
def compare_liquids(job: Any) -> None:
    """Tell liquids apart by embeddings and by Steinhardt's order parameters."""
    import numpy as np
    import torch

    from hoomd_gala import Analyzer
    from study.comparison import descriptors, liquids

    torch.set_num_threads(threads(job))
    rng = np.random.default_rng(job.sp.seed)
    samples, runs = [], []
    for liquid in of_kind(job, "liquid"):
        runs.append(liquids.check(Path(liquid.fn(TRAJECTORY)), liquid.sp.structure, liquid.sp.seed))
        samples += liquids.read_samples(
            Path(liquid.fn(TRAJECTORY)),
            liquid.sp.structure,
            liquid.sp.seed,
            job.sp.n_frames,
            job.sp.n_particles,
            rng,
        )
    comparison = liquids.compare(
        samples,
        {
            "embedding": descriptors.embedding(Analyzer(job.sp.model)),
            "Steinhardt": descriptors.steinhardt,
            "Steinhardt, averaged": descriptors.averaged_steinhardt,
            "SOAP-like": descriptors.power_spectrum,
            "distances": descriptors.neighbor_distances,
        },
    )
    liquids.draw(Path(job.fn("liquids.png")), comparison)
    write_table(Path(job.fn("liquid_runs.csv")), runs)
    write_table(Path(job.fn("liquids.csv")), comparison.rows)
    publish(job, "liquids.csv", "liquid_runs.csv", "liquids.png")


# ---- figure 3a: map of embeddings ----


@Study.pre(kind("embedding_map"))
@Study.pre(every("assembly", has("evidence.json")))
@Study.post(has("embedding_map.csv", "embedding_map.png"))
@Study.operation(directives=ON_CPU)
@alone(has("embedding_map.csv", "embedding_map.png"))
def map_embeddings(job: Any) -> None:
    """Draw what a model of unit cells makes of simulated solids, and score it."""
    import numpy as np
    import torch

    from hoomd_gala import Analyzer
    from study.comparison import descriptors
    from study.figures import embedding_map
    from study.solids import evidence

    torch.set_num_threads(threads(job))
    solids = []
    for assembly in assemblies(job):
        verdict = evidence.read(Path(assembly.fn("evidence.json")))["verdict"]
        name = title(assembly) if verdict == evidence.NOT_IDENTIFIED else verdict
        solids.append(embedding_map.solid(*solid_states(assembly), name))
    points = embedding_map.collect(
        solids,
        {
            "embedding": descriptors.embedding(Analyzer(job.sp.model)),
            "Steinhardt": descriptors.steinhardt,
            "Steinhardt, averaged": descriptors.averaged_steinhardt,
            "SOAP-like": descriptors.power_spectrum,
        },
        job.sp.n_bulk,
        job.sp.n_surface,
        np.random.default_rng(job.sp.seed),
    )
    rows = embedding_map.draw(Path(job.fn("embedding_map.png")), points, "embedding")
    write_table(Path(job.fn("points.csv")), rows)
    write_table(Path(job.fn("embedding_map.csv")), embedding_map.scores(points))
    publish(job, "embedding_map.csv", "embedding_map.png")


# ---- figure 4: transfer ----


@Study.pre(kind("transfer_source"))
@Study.post(has("source.safetensors"))
@Study.operation(directives=DIRECTIVES)
@alone(has("source.safetensors"))
def learn_source(job: Any) -> None:
    """Learn one of the tasks from all data."""
    import torch

    from hoomd_gala.files.models import save_model
    from hoomd_gala.learning.tasks import TASKS
    from hoomd_gala.plotting.plots import draw_curve
    from study.comparison import transfer

    torch.set_num_threads(threads(job))
    model, curve = transfer.learn_source(job.sp.task, job.sp, Path(job.fn("checkpoint.pt")))
    write_table(Path(job.fn("learning_curve.csv")), curve)
    draw_curve(job.fn("learning_curve.png"), job.sp.task, curve, TASKS[job.sp.task].LOSS)
    save_model(job.fn("source.safetensors"), model)


def source_model(job: Any) -> Path | None:
    """Model that a transfer starts from; None of direct training."""
    for other in of_kind(job, "transfer_source"):
        if other.sp.task == job.sp.source:
            return Path(other.fn("source.safetensors"))
    return None


def has_source(job: Any) -> bool:
    """Condition: what a transfer starts from is learned, if it starts from anything."""
    path = source_model(job)
    return job.sp.source == "" or (path is not None and path.is_file())


def transferred(job: Any) -> bool:
    """Condition: all trainings of a transfer are done."""
    if job.sp.kind != "transfer" or not job.isfile("transfer.csv"):
        return False
    # counted here, as status asks for it and had to import torch otherwise
    modes = 1 if job.sp.source == "" else 2
    expected = modes * len(job.sp.amounts) * job.sp.replicas
    with open(job.fn("transfer.csv")) as file:
        return sum(1 for _ in file) - 1 == expected


@Study.pre(kind("transfer"))
@Study.pre(has_source)
@Study.post(transferred)
@Study.operation(directives=DIRECTIVES)
@alone(transferred)
def learn_targets(job: Any) -> None:
    """Learn a target task from several amounts of data, several times."""
    import torch
    from tqdm.auto import tqdm

    from study.comparison import transfer

    torch.set_num_threads(threads(job))
    trials = transfer.plan(job.sp.source or None, job.sp)
    description = f"{job.sp.source or 'direct'} → {job.sp.target}"
    done = transfer.learn_all(
        Path(job.fn("transfer.csv")), job.sp.target, job.sp.source, source_model(job), job.sp
    )
    for _ in tqdm(done, desc=description, total=len(trials), unit="training"):
        pass


@Study.pre(kind("transfer_table"))
@Study.pre(every("transfer", transferred))
@Study.post(has("transfer.md", "transfer.csv", "transfer.png"))
@Study.operation(directives=ON_CPU)
@alone(has("transfer.md", "transfer.csv", "transfer.png"))
def tabulate_transfers(job: Any) -> None:
    """Means and standard errors of all transfers, as the paper's grid and as tables."""
    from hoomd_gala.files.atomic import replacing
    from study.comparison import transfer

    rows = [
        row for other in of_kind(job, "transfer") for row in read_table(other.fn("transfer.csv"))
    ]
    table = transfer.means(rows)
    write_table(Path(job.fn("transfer.csv")), table)
    transfer.draw(Path(job.fn("transfer.png")), table)
    found = transfer.gains(rows)
    write_table(Path(job.fn("gains.csv")), found)
    with replacing(job.fn("transfer.md")) as part:
        part.write_text(transfer.summary(found, max(row["replicas"] for row in table)) + "\n")
    publish(job, "transfer.csv", "transfer.png", "gains.csv", "transfer.md")


# ---- grains by orientation ----


@Study.pre(kind("grains"))
@Study.post(has("grains.csv", "grains.png"))
@Study.operation(directives=ON_CPU)
@alone(has("grains.csv", "grains.png"))
def map_grains(job: Any) -> None:
    """Orientations in polycrystals by the autoencoder's frames and by template matching."""
    import torch
    from tqdm.auto import tqdm

    from hoomd_gala.files.models import load_model
    from study.solids import grains, orientations, polycrystals

    torch.set_num_threads(threads(job))
    if not set(job.sp.drawn) <= set(job.sp.cells) or job.sp.drawn_noise not in job.sp.noise_levels:
        raise InputError(
            f"grains of {', '.join(job.sp.drawn)} at noise {job.sp.drawn_noise:g} are to be drawn; "
            "name them under cells and noise_levels, too."
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
    grains.draw(Path(job.fn("grains.png")), drawn, title)
    write_table(Path(job.fn("grains.csv")), rows)
    publish(job, "grains.csv", "grains.png")


# ---- when all operations on a job are done ----


#: By the kind of job.
FINISHED: dict[str, Callable[[Any], bool]] = {
    "unseen": has("unseen.csv"),
    "liquid": simulated,
    "liquid_comparison": has("liquids.csv"),
    "embedding_map": has("embedding_map.csv"),
    "grains": has("grains.csv"),
    "transfer_source": has("source.safetensors"),
    "transfer": transferred,
    "transfer_table": has("transfer.md"),
}
