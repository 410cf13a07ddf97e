"""How the shipped model ``structures`` learns.

First an environment's network learns to tell all kinds of sites apart, starting from the core of a
network that learned a self-supervised task. Kinds that it confuses become one class. Then, with
that network fixed, a second small one learns to name the class from an environment's embedding and
those of its neighbors, on whole samples.
"""

import dataclasses
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import gsd.hoomd
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from tqdm.auto import tqdm

from hoomd_gala.analyzer import Analyzer
from hoomd_gala.crystals.prototypes import UnitCell, crystal, displace, unit_cell
from hoomd_gala.crystals.random_cells import random_crystals
from hoomd_gala.files.atomic import read_table, replacing, write_table
from hoomd_gala.files.cards import write_card
from hoomd_gala.files.models import Model, ModelInfo, load_model, save_model
from hoomd_gala.files.trajectories import make_frame, open_trajectory
from hoomd_gala.learning.calibration import best_temperature
from hoomd_gala.learning.datasets import Data, Frames, join, to_tensors
from hoomd_gala.learning.tasks import frame_classification as task
from hoomd_gala.learning.training import Loss, TrainingConfig, split, train
from hoomd_gala.networks import CoreConfig, Familiarity, FrameClassifier, inherit
from hoomd_gala.plotting.plots import draw_curve
from hoomd_gala.results import UNKNOWN_BELOW
from hoomd_gala.systems import System, as_system
from study.training import samples
from study.training.samples import IGNORED, Kinds

#: Size of the network; the shipped models of the other tasks have the same.
CORE = CoreConfig(width=32, hidden=32, blocks=2, tied=True)
#: Hidden units through which neighbors' embeddings reach the label.
CONTEXT = 64

#: What the operations leave for each other: kinds of sites, unit cells without a name, and the
#: network that tells sites apart.
KINDS, OTHERS, SITES = "kinds.json", "others.gsd", "sites.safetensors"

#: Displacement at which the confusion of kinds is measured, and the confusion that makes two kinds
#: one class: 0.5 would be a coin's.
MERGE_NOISE, MERGE_ABOVE = 0.04, 0.25


#: Share of held-out particles with a name that are nearer to a class than the limit of familiarity.
FAMILIAR = 0.99

#: Crystals of each unit cell that is not of the database, to tell sites from.
OTHER_SAMPLES = 3

#: Environments of each frame of a fluid that sites are told from.
N_PER_FRAME = 220


def named_cells(common: Sequence[str], others: Sequence[str]) -> list[str]:
    """Unit cells with names, the common ones first, then from small to large.

    All cells of one element are among them. The order decides what a kind of site that several
    cells have is called.
    """
    rest = list(dict.fromkeys([*samples.one_element_cells(), *others]))
    rest.sort(key=lambda name: len(unit_cell(name).system.positions))
    return [*common, *(name for name in rest if name not in common)]


class Plan(NamedTuple):
    """What is sampled, from a job's state point.

    Attributes
    ----------
    kinds : Kinds
        What the particles of all unit cells are called.
    common : sequence of str
        Unit cells to be told apart when hottest.
    noise : dict of str to float
        Highest displacement, by the group of the cell.
    fluids : sequence of Path
        Trajectories whose particles are all disordered.
    others : sequence of UnitCell
        Unit cells that are not of the database.
    """

    kinds: Kinds
    common: Sequence[str]
    noise: dict[str, float]
    fluids: Sequence[Path]
    others: Sequence[UnitCell]


def site_frames(
    plan: Plan,
    counts: dict[str, int],
    per_kind: dict[str, int],
    n_per_frame: int,
    n_stacks: int,
    rng: np.random.Generator,
) -> Frames:
    """Environments labelled by their kind of site, OTHER or DISORDERED."""
    kinds = plan.kinds
    crystals = samples.crystal_plan(kinds, plan.common, counts, plan.noise, rng)
    parts = [samples.environments(crystals, kinds, per_kind, plan.common, rng)]
    for sample in samples.stacks(kinds, n_stacks, plan.noise["common"], rng):
        parts.append(samples.take_each(sample, 16, rng))
    for _ in range(OTHER_SAMPLES):
        for sample in samples.others(plan.others, kinds, plan.noise["other"], rng):
            parts.append(samples.take_each(sample, per_kind["other"], rng))
    for sample in samples.fluids(plan.fluids, kinds, rng):
        parts.append(samples.take_each(sample, n_per_frame, rng))
    return join(parts)


def measure_confusion(model: Model, frames: Frames, n_outputs: int) -> NDArray[np.float64]:
    """Share of each label's environments that the network gives each of its outputs, as rows."""
    data = to_tensors(frames, 1, None)
    predicted = []
    with torch.inference_mode():
        for start in range(0, len(data["labels"]), 64):
            logits, _ = model.network(
                data["bonds"][start : start + 64], data["types"][start : start + 64]
            )
            predicted.append(logits.argmax(-1))
    counts = np.zeros((n_outputs, n_outputs))
    np.add.at(counts, (frames.labels, torch.cat(predicted).numpy()), 1)
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def merge(confusion: NDArray[np.float64], above: float) -> NDArray[np.int64]:
    """Merge what is confused, the worst pair first, until no pair is confused by more.

    The confusion of two kinds is the share of wrong answers when only these two are asked and
    answered; of two groups, that of their sums.

    Parameters
    ----------
    confusion : (K, K)
        Share of each kind that is called each kind, as rows.
    above : float
        Pairs of lower confusion stay apart.

    Returns
    -------
    (K,) int64
        For each kind, the lowest number in its group.
    """
    table = confusion.copy()
    group = np.arange(len(table))
    while True:
        own = np.diag(table)
        wrong = table + table.T
        share = wrong / np.maximum(wrong + own[:, None] + own[None, :], 1e-12)
        np.fill_diagonal(share, 0)
        first, second = sorted(np.unravel_index(share.argmax(), share.shape))
        if share[first, second] <= above:
            return group
        group[group == second] = first
        # rows and columns add up; the emptied ones are never chosen again
        table[first] += table[second]
        table[:, first] += table[:, second]
        table[second], table[:, second] = 0, 0


class Classes(NamedTuple):
    """The classes that kinds of sites make.

    Attributes
    ----------
    names : tuple of str
        Name of each class, "disordered" last.
    of_label : (K + 2,) int64
        Class of each kind, of OTHER (one more than there are names) and of DISORDERED.
    members : dict
        For each class that several unit cells share, these cells.
    """

    names: tuple[str, ...]
    of_label: NDArray[np.int64]
    members: dict[str, list[str]]

    @property
    def unknown(self) -> int:
        """Output for structures without a name."""
        return len(self.names)


def make_classes(kinds: Kinds, group: NDArray[np.int64]) -> Classes:
    """Name groups of kinds for the first cell that has one of them."""
    titles = [kinds.cells[representative] for representative in group]
    names = (*dict.fromkeys(titles), "disordered")
    index = [names.index(title) for title in titles]
    of_label = np.array([*index, len(names), len(names) - 1])
    members: dict[str, list[str]] = {}
    for cell in kinds.labels:
        own = {titles[kind] for kind in kinds.labels[cell] if 0 <= kind < len(kinds.cells)}
        for title in own:
            members.setdefault(title, []).append(cell)
    shared = {title: cells for title, cells in members.items() if cells != [title]}
    return Classes(names, of_label, shared)


def whole_samples(
    plan: Plan,
    counts: dict[str, int],
    n_stacks: int,
    rng: np.random.Generator,
) -> Iterator[System]:
    """Crystals, stackings and every other frame of the fluids."""
    kinds = plan.kinds
    for name, noise, surface in samples.crystal_plan(kinds, plan.common, counts, plan.noise, rng):
        yield samples.hot_crystal(name, kinds, noise, surface, rng)
    yield from samples.stacks(kinds, n_stacks, plan.noise["common"], rng)
    yield from samples.others(plan.others, kinds, plan.noise["other"], rng)
    fluids = samples.fluids(plan.fluids, kinds, rng)
    yield from itertools.islice(fluids, int(rng.integers(2)), None, 2)


class Surroundings(NamedTuple):
    """Embeddings of whole samples, who is next to whom, and what each is to be called.

    Attributes
    ----------
    embedding : (M, width) float32
    neighbors : (M, n) int32
        Rows of the neighbors.
    labels : (M,) int64
        Kind of site, OTHER, DISORDERED or IGNORED.
    """

    embedding: NDArray[np.float32]
    neighbors: NDArray[np.int32]
    labels: NDArray[np.int64]


def surroundings(analyzers: Sequence[Analyzer], systems: Iterable[System]) -> list[Surroundings]:
    """Embed whole samples by each of some networks."""
    parts: list[list[Surroundings]] = [[] for _ in analyzers]
    start = 0
    for system in tqdm(systems, desc="embed samples", unit="sample"):
        for analyzer, own in zip(analyzers, parts, strict=True):
            embedding, neighbors = analyzer.embed_system(system)
            own.append(Surroundings(embedding, neighbors + np.int32(start), system.types))
        start += len(system.types)
    return [
        Surroundings(*(np.concatenate(column) for column in zip(*own, strict=True)))
        for own in parts
    ]


def soft_cross_entropy(logits: Tensor, batch: Data) -> Tensor:
    """Cross-entropy of the labels, and where there is a teacher, as much of what it says."""
    hard = cross_entropy(logits, batch["labels"])
    if "teacher" not in batch:
        return hard
    return 0.5 * (hard + cross_entropy(logits, torch.softmax(batch["teacher"].float(), dim=-1)))


def context_loss(around: Surroundings) -> Loss:
    """Loss of a batch of rows, and the accuracy: for :func:`~.train`."""
    embedding = torch.as_tensor(around.embedding)
    neighbors = torch.as_tensor(around.neighbors)

    def loss(network: nn.Module, batch: Data) -> tuple[Tensor, dict[str, Tensor]]:
        assert isinstance(network, FrameClassifier)
        rows = batch["rows"]
        logits = network.name(embedding[rows], embedding[neighbors[rows]])
        accuracy = (logits.argmax(-1) == batch["labels"]).float().mean()
        return soft_cross_entropy(logits, batch), {"accuracy": accuracy}

    return loss


def hidden_units(
    network: FrameClassifier, around: Surroundings, classes: Classes
) -> tuple[Tensor, Tensor]:
    """Hidden units of the head, and classes, of all particles that have one."""
    rows = np.flatnonzero(around.labels != IGNORED)
    with torch.inference_mode():
        parts = [
            network.hidden(
                torch.as_tensor(around.embedding[chunk]),
                torch.as_tensor(around.embedding[around.neighbors[chunk]]),
            )
            for chunk in np.array_split(rows, len(rows) // 4096 + 1)
        ]
    return torch.cat(parts), torch.as_tensor(classes.of_label[around.labels[rows]])


def learn_familiarity(
    familiarity: Familiarity | None,
    learned: tuple[Tensor, Tensor],
    held_out: tuple[Tensor, Tensor],
) -> None:
    """Where the classes lie among the hidden units, and how far from them is unfamiliar."""
    assert familiarity is not None
    n_classes = len(familiarity.centers)
    hidden, labels = learned
    familiarity.fit(hidden[labels < n_classes], labels[labels < n_classes])
    hidden, labels = held_out
    distances = familiarity.distance(hidden[labels < n_classes])
    # torch.quantile takes no more than 16 million numbers; NumPy's has no limit
    familiarity.limit.fill_(float(np.quantile(distances.numpy(), FAMILIAR)))


def train_sites(
    network: FrameClassifier,
    data: Data,
    config: TrainingConfig,
    checkpoint: Path,
    loss: Loss = task.loss,
) -> list[dict[str, float]]:
    """First stage: tell kinds of sites apart, one environment at a time."""
    training, validation = split(data, config.validation_fraction, config.seed)
    curve, _, _ = train(network, loss, training, validation, config, checkpoint, "train on sites")
    network.eval().requires_grad_(False)
    return curve


def train_context(
    sites: Model,
    around: Surroundings,
    classes: Classes,
    context: int,
    config: TrainingConfig,
    checkpoint: Path,
    teacher: Tensor | None = None,
) -> tuple[FrameClassifier, list[dict[str, float]]]:
    """Second stage: name classes from embeddings and those of the neighbors.

    ``teacher`` holds logits of another network for all particles, to be learned from as well.
    """
    torch.manual_seed(config.seed)
    network = FrameClassifier(sites.info.core, len(classes.names) + 1, context, len(classes.names))
    learned = {
        key: value
        for key, value in sites.network.state_dict().items()
        if not key.startswith("classify")
    }
    network.load_state_dict(learned, strict=False)
    for part in (network.core, network.pool, network.norm):
        part.requires_grad_(False)
    rows = np.flatnonzero(around.labels != IGNORED)
    data = {
        "rows": torch.as_tensor(rows),
        "labels": torch.as_tensor(classes.of_label[around.labels[rows]]),
    }
    if teacher is not None:
        data["teacher"] = teacher[rows]
    training, validation = split(data, config.validation_fraction, config.seed)
    curve, _, _ = train(
        network,
        context_loss(around),
        training,
        validation,
        config,
        checkpoint,
        "train on surroundings",
    )
    return network.requires_grad_(False), curve


# ---- the two stages, as operations of a job ----


def write_kinds(path: Path, kinds: Kinds) -> None:
    """Keep the kinds of sites as JSON."""
    content = {
        "cells": kinds.cells,
        "labels": {name: row.tolist() for name, row in kinds.labels.items()},
        "left_out": kinds.left_out,
    }
    with replacing(path) as part:
        part.write_text(json.dumps(content))


def read_kinds(path: Path) -> Kinds:
    """What :func:`write_kinds` wrote."""
    content = json.loads(path.read_text())
    labels = {name: np.array(row) for name, row in content["labels"].items()}
    return Kinds(tuple(content["cells"]), labels, tuple(content["left_out"]))


def write_curve(path: Path, curve: list[dict[str, float]]) -> None:
    """Learning curve as CSV and PNG."""
    write_table(path.with_suffix(".csv"), curve)
    draw_curve(path.with_suffix(".png"), path.name.replace("_", " "), curve)


def write_confusion(path: Path, kinds: Kinds, confusion: NDArray[np.float64]) -> None:
    """What each kind of site is taken for, above one percent."""
    names = [*kinds.cells, "other", "disordered"]
    rows = [
        {"kind": a, "cell": names[a], "taken for": b, "of cell": names[b], "share": round(share, 4)}
        for a, row in enumerate(confusion.tolist())
        for b, share in enumerate(row)
        if share > 0.01
    ]
    write_table(path, rows)


def write_cells(path: Path, cells: Iterable[UnitCell]) -> None:
    """Keep unit cells as frames of a GSD file."""
    with replacing(path) as part, gsd.hoomd.open(part, "w") as file:
        for step, cell in enumerate(cells):
            file.append(make_frame(cell.system, step))


def read_cells(path: Path) -> list[UnitCell]:
    """What :func:`write_cells` wrote; the names are numbers."""
    with open_trajectory(path) as frames:
        return [UnitCell(str(i), 1, as_system(frame)) for i, frame in enumerate(frames)]


def read_plan(folder: Path, parameters: Mapping[str, Any], fluids: Sequence[Path]) -> Plan:
    """What is sampled, from a job's state point and the files of its first operation."""
    return Plan(
        read_kinds(folder / KINDS),
        list(parameters["common"]),
        dict(parameters["noise"]),
        fluids,
        read_cells(folder / OTHERS),
    )


def learn_sites(folder: Path, parameters: Mapping[str, Any], fluids: Sequence[Path]) -> None:
    """Find the kinds of sites and train the network that tells them apart.

    Parameters
    ----------
    folder : Path
        Where ``kinds.json``, ``sites.safetensors``, checkpoint and learning curve go.
    parameters : mapping
        State point of the job.
    fluids : sequence of Path
        Trajectories whose environments are all disordered.
    """
    seed = parameters["seed"]
    rng = np.random.default_rng([seed, 1])
    names = named_cells(parameters["common"], parameters["named"])
    kinds = samples.find_kinds(names, parameters["n_left_out"], rng)
    write_kinds(folder / KINDS, kinds)
    write_cells(folder / OTHERS, random_crystals(parameters["n_others"], rng))
    plan = read_plan(folder, parameters, fluids)
    frames = sample_sites(plan, parameters, rng)
    torch.manual_seed(seed)
    network = FrameClassifier(CORE, len(kinds.cells) + 2)
    if parameters["source"] != "random":
        inherit(network, load_model(parameters["source"]).network)
    config = site_config(parameters)
    curve = train_sites(
        network, to_tensors(frames, 1, None), config, folder / "sites_checkpoint.pt"
    )
    write_curve(folder / "sites_learning_curve", curve)
    save_model(folder / SITES, Model(network, ModelInfo(CORE, site_names(kinds))))


def site_config(parameters: Mapping[str, Any]) -> TrainingConfig:
    """How the first stage is trained."""
    return TrainingConfig(
        epochs=parameters["site_epochs"],
        batch_size=128,
        validation_fraction=0.1,
        seed=parameters["seed"],
    )


def site_names(kinds: Kinds) -> tuple[str, ...]:
    """Names of the outputs of a network that tells sites apart."""
    numbered = [f"{cell} {kind}" for kind, cell in enumerate(kinds.cells)]
    return (*numbered, "other", "disordered")


def sample_sites(plan: Plan, parameters: Mapping[str, Any], rng: np.random.Generator) -> Frames:
    """What the first stage learns from, from a job's state point."""
    return site_frames(
        plan,
        dict(parameters["site_samples"]),
        dict(parameters["site_environments"]),
        N_PER_FRAME,
        parameters["n_stacks"],
        rng,
    )


def learn_labels(folder: Path, parameters: Mapping[str, Any], fluids: Sequence[Path]) -> None:
    """Merge what is confused, and train the network that names classes from surroundings.

    Writes ``structures.safetensors``, whose card :func:`publish` completes.
    """
    rng = np.random.default_rng([parameters["seed"], 2])
    plan = read_plan(folder, parameters, fluids)
    sites = load_model(folder / SITES)
    classes, confusion = find_classes(sites, plan.kinds, rng)
    write_confusion(folder / "confusion.csv", plan.kinds, confusion)
    learned, held_out = sample_surroundings([Analyzer(sites)], plan, parameters, rng)
    network, curve = train_context(
        sites,
        learned[0],
        classes,
        CONTEXT,
        label_config(parameters),
        folder / "labels_checkpoint.pt",
    )
    write_curve(folder / "labels_learning_curve", curve)
    model = finish(network, CORE, CONTEXT, classes, learned[0], held_out[0])
    model.info.card["left out"] = plan.kinds.left_out
    model.info.card["kinds of sites"] = len(plan.kinds.cells)
    save_model(folder / "structures.safetensors", model)


def find_classes(
    sites: Model, kinds: Kinds, rng: np.random.Generator
) -> tuple[Classes, NDArray[np.float64]]:
    """Classes by what the network of the first stage confuses, and this confusion."""
    crystals = [(name, MERGE_NOISE, False) for name in dict.fromkeys(kinds.cells) for _ in range(2)]
    warm = samples.environments(crystals, kinds, {"named": 40}, (), rng)
    confusion = measure_confusion(sites, warm, len(kinds.cells) + 2)
    n_kinds = len(kinds.cells)
    group = merge(confusion[:n_kinds, :n_kinds], MERGE_ABOVE)
    return make_classes(kinds, group), confusion


def sample_surroundings(
    analyzers: Sequence[Analyzer],
    plan: Plan,
    parameters: Mapping[str, Any],
    rng: np.random.Generator,
) -> tuple[list[Surroundings], list[Surroundings]]:
    """What the second stage learns from, as each of some networks sees it, and what is held out.

    Temperature and familiarity come from samples that nothing is learned from.
    """
    counts = dict(parameters["label_samples"])
    shares = (counts, {group: max(1, n // 5) for group, n in counts.items()})
    learned, held_out = (
        surroundings(analyzers, whole_samples(plan, share, parameters["n_stacks"], rng))
        for share in shares
    )
    return learned, held_out


def label_config(parameters: Mapping[str, Any]) -> TrainingConfig:
    """How the second stage is trained."""
    return TrainingConfig(
        epochs=parameters["label_epochs"],
        batch_size=512,
        learning_rate=4e-3,
        validation_fraction=0.1,
        seed=parameters["seed"],
    )


def finish(
    network: FrameClassifier,
    core: CoreConfig,
    context: int,
    classes: Classes,
    learned: Surroundings,
    held_out: Surroundings,
) -> Model:
    """What is familiar to a trained network, its temperature, and its description."""
    hidden, labels = hidden_units(network, held_out, classes)
    learn_familiarity(
        network.familiarity, hidden_units(network, learned, classes), (hidden, labels)
    )
    logits = network.classify[-1](hidden)
    card = {
        "merged": classes.members,
        "environments": len(learned.labels),
        "held out": {
            "particles": len(labels),
            "accuracy": float((logits.argmax(-1) == labels).float().mean()),
        },
    }
    info = ModelInfo(
        core,
        classes.names,
        temperature=best_temperature(logits, labels),
        unknown_below=UNKNOWN_BELOW,
        card=card,
        context=context,
        knows_unknown=True,
    )
    return Model(network, info)


# ---- what is never learned from, and the card ----


def write_left_out(path: Path, kinds: Kinds, seed: int) -> None:
    """A frame of each unit cell that was left out, displaced by 0.02 to 0.08."""
    rng = np.random.default_rng([seed, 3])
    with replacing(path) as part, gsd.hoomd.open(part, "w") as file:
        for step, name in enumerate(kinds.left_out):
            hot = displace(crystal(unit_cell(name), samples.N_BULK), rng.uniform(0.02, 0.08), rng)
            blind = hot._replace(types=np.zeros_like(hot.types))
            file.append(make_frame(blind, step))


def copy_last_frames(path: Path, trajectory: Path, n: int) -> None:
    """Copy the last frames of a trajectory."""
    with (
        open_trajectory(trajectory) as frames,
        replacing(path) as part,
        gsd.hoomd.open(part, "w") as file,
    ):
        for frame in frames[len(frames) - n :]:
            file.append(frame)


def measured(folder: Path, name: str) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """What the tables of :mod:`quality` say of a model, and of the methods beside it."""

    def read(table: str) -> list[dict[str, str]]:
        return read_table(folder / f"{table}.csv")

    means = read("mean_accuracy")
    columns = [key for key in means[0] if key not in ("kind", "level", "rms")]
    methods = [key for key in columns if not key.endswith(": of known")]
    numbers: dict[str, dict[str, float]] = {method: {} for method in methods}
    for row in means:
        if row["level"] in ("0.08", "0.1"):
            for method, own in numbers.items():
                own[f"accuracy, {row['kind']} {row['level']}"] = float(row[method])
    liquids = read("liquids")
    for method, own in numbers.items():
        shares = [float(row[method]) for row in liquids]
        own["liquid called crystalline"] = round(sum(shares) / len(shares), 5)
    for row in read("calibration"):
        error = float(row["expected calibration error"])
        numbers[row["model"]]["expected calibration error"] = error
    for row in read("unknown"):
        area = float(row["area under ROC"])
        numbers[row["model"]][f"area under ROC, {Path(row['file']).stem}"] = area
    own = numbers.pop(name)
    return own, numbers


def publish(target: Path, source: Path, folder: Path, about: Mapping[str, Any]) -> None:
    """Write the model with everything that was measured on its card."""
    model = load_model(source)
    metrics, baselines = measured(folder, source.stem)
    card = dict(about) | {"metrics": metrics, "baselines": baselines} | model.info.card
    save_model(target, Model(model.network, dataclasses.replace(model.info, card=card)))
    write_card(target.with_suffix(".json"), target)
