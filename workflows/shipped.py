"""How the shipped model ``structures`` learns.

First an environment's network learns to tell all kinds of sites apart, starting from the core of a
network that learned a self-supervised task. Kinds that it confuses become one class. Then, with
that network fixed, a second small one learns to name the class from an environment's embedding and
those of its neighbors, on whole samples.
"""

import csv
import dataclasses
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import gsd.hoomd
import numpy as np
import samples
import torch
from numpy.typing import NDArray
from samples import IGNORED, Kinds
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from tqdm.auto import tqdm

from hoomd_gala.analyzer import Analyzer
from hoomd_gala.datasets import Data, Frames, join, to_tensors
from hoomd_gala.files import replacing, write_table
from hoomd_gala.models import Model, ModelInfo, load_model, save_model, write_card
from hoomd_gala.networks import CoreConfig, Familiarity, FrameClassifier, inherit
from hoomd_gala.plots import draw_curve
from hoomd_gala.structures import crystal, displace, unit_cell
from hoomd_gala.systems import System
from hoomd_gala.tasks import frame_classification as task
from hoomd_gala.training import TrainingConfig, split, train
from hoomd_gala.trajectories import make_frame, open_trajectory

#: Size of the network; the shipped models of the other tasks have the same.
CORE = CoreConfig(width=32, hidden=32, blocks=2, tied=True)
#: Hidden units through which neighbors' embeddings reach the label.
CONTEXT = 64

#: Displacement at which the confusion of kinds is measured, and the confusion that makes two kinds
#: one class: 0.5 would be a coin's.
MERGE_NOISE, MERGE_ABOVE = 0.04, 0.25

#: Confidence below which a particle's structure is called unknown.
UNKNOWN_BELOW = 0.5

#: Share of held-out particles with a name that are nearer to a class than the limit of familiarity.
FAMILIAR = 0.99

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
    """What is sampled, from a job's state point."""

    kinds: Kinds
    common: Sequence[str]
    noise: dict[str, float]


def site_frames(
    plan: Plan,
    counts: dict[str, int],
    per_kind: dict[str, int],
    fluids: Sequence[Path],
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
    for sample in samples.fluids(fluids, kinds, rng):
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
    fluids: Sequence[Path],
    rng: np.random.Generator,
) -> Iterator[System]:
    """Crystals, stackings and every other frame of the fluids."""
    kinds = plan.kinds
    for name, noise, surface in samples.crystal_plan(kinds, plan.common, counts, plan.noise, rng):
        yield samples.hot_crystal(name, kinds, noise, surface, rng)
    yield from samples.stacks(kinds, n_stacks, plan.noise["common"], rng)
    yield from itertools.islice(samples.fluids(fluids, kinds, rng), int(rng.integers(2)), None, 2)


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


def surroundings(analyzer: Analyzer, systems: Iterable[System]) -> Surroundings:
    """Embed whole samples."""
    parts, start = [], 0
    for system in tqdm(systems, desc="embed samples", unit="sample"):
        labels = system.types
        embedding, neighbors = analyzer.embed_system(system)
        parts.append(Surroundings(embedding, neighbors + np.int32(start), labels))
        start += len(labels)
    return Surroundings(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def context_loss(around: Surroundings) -> Any:
    """Loss of a batch of rows, and the accuracy: for :func:`~hoomd_gala.training.train`."""
    embedding = torch.as_tensor(around.embedding)
    neighbors = torch.as_tensor(around.neighbors)

    def loss(network: nn.Module, batch: Data) -> tuple[Tensor, dict[str, Tensor]]:
        assert isinstance(network, FrameClassifier)
        rows = batch["rows"]
        logits = network.name(embedding[rows], embedding[neighbors[rows]])
        accuracy = (logits.argmax(-1) == batch["labels"]).float().mean()
        return cross_entropy(logits, batch["labels"]), {"accuracy": accuracy}

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
    names: tuple[str, ...],
    frames: Frames,
    config: TrainingConfig,
    checkpoint: Path,
) -> tuple[Model, list[dict[str, float]]]:
    """First stage: tell kinds of sites apart, one environment at a time."""
    data = to_tensors(frames, 1, None)
    training, validation = split(data, config.validation_fraction, config.seed)
    curve, _, _ = train(
        network, task.loss, training, validation, config, checkpoint, "train on sites"
    )
    network.requires_grad_(False)
    return Model(network, ModelInfo(CORE, names)), curve


def train_context(
    sites: Model,
    around: Surroundings,
    classes: Classes,
    config: TrainingConfig,
    checkpoint: Path,
) -> tuple[FrameClassifier, list[dict[str, float]]]:
    """Second stage: name classes from embeddings and those of the neighbors."""
    torch.manual_seed(config.seed)
    network = FrameClassifier(CORE, len(classes.names) + 1, CONTEXT, len(classes.names))
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


def make_plan(kinds: Kinds, parameters: Mapping[str, Any]) -> Plan:
    """What is sampled, from a job's state point."""
    return Plan(kinds, list(parameters["common"]), dict(parameters["noise"]))


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
    write_kinds(folder / "kinds.json", kinds)
    frames = site_frames(
        make_plan(kinds, parameters),
        dict(parameters["site_samples"]),
        dict(parameters["site_environments"]),
        fluids,
        N_PER_FRAME,
        parameters["n_stacks"],
        rng,
    )
    torch.manual_seed(seed)
    n_outputs = len(kinds.cells) + 2
    network = FrameClassifier(CORE, n_outputs)
    if parameters["source"] != "random":
        inherit(network, load_model(parameters["source"]).network)
    config = TrainingConfig(
        epochs=parameters["site_epochs"], batch_size=128, validation_fraction=0.1, seed=seed
    )
    numbered = [f"{cell} {kind}" for kind, cell in enumerate(kinds.cells)]
    model, curve = train_sites(
        network, (*numbered, "other", "disordered"), frames, config, folder / "sites_checkpoint.pt"
    )
    write_curve(folder / "sites_learning_curve", curve)
    save_model(folder / "sites.safetensors", model)


def learn_labels(folder: Path, parameters: Mapping[str, Any], fluids: Sequence[Path]) -> None:
    """Merge what is confused, and train the network that names classes from surroundings.

    Writes ``structures.safetensors``, whose card :func:`publish` completes.
    """
    seed = parameters["seed"]
    rng = np.random.default_rng([seed, 2])
    kinds = read_kinds(folder / "kinds.json")
    plan = make_plan(kinds, parameters)
    sites = load_model(folder / "sites.safetensors")
    n_outputs = len(kinds.cells) + 2
    crystals = [(name, MERGE_NOISE, False) for name in dict.fromkeys(kinds.cells) for _ in range(2)]
    warm = samples.environments(crystals, kinds, {"named": 40}, (), rng)
    confusion = measure_confusion(sites, warm, n_outputs)
    n_kinds = len(kinds.cells)
    group = merge(confusion[:n_kinds, :n_kinds], MERGE_ABOVE)
    classes = make_classes(kinds, group)
    write_confusion(folder / "confusion.csv", kinds, confusion)

    counts = dict(parameters["label_samples"])
    analyzer = Analyzer(sites)
    # what the temperature is chosen on comes from samples that nothing is learned from
    learned, held_out = (
        surroundings(analyzer, whole_samples(plan, share, parameters["n_stacks"], fluids, rng))
        for share in (counts, {group: max(1, n // 5) for group, n in counts.items()})
    )
    config = TrainingConfig(
        epochs=parameters["label_epochs"],
        batch_size=512,
        learning_rate=4e-3,
        validation_fraction=0.1,
        seed=seed,
    )
    network, curve = train_context(sites, learned, classes, config, folder / "labels_checkpoint.pt")
    write_curve(folder / "labels_learning_curve", curve)
    hidden, labels = hidden_units(network, held_out, classes)
    learn_familiarity(
        network.familiarity, hidden_units(network, learned, classes), (hidden, labels)
    )
    logits = network.classify[-1](hidden)
    card = {
        "merged": classes.members,
        "left out": kinds.left_out,
        "kinds of sites": len(kinds.cells),
        "environments": len(learned.labels),
        "held out": {
            "particles": len(labels),
            "accuracy": float((logits.argmax(-1) == labels).float().mean()),
        },
    }
    info = ModelInfo(
        CORE,
        classes.names,
        temperature=task.best_temperature(logits, labels),
        unknown_below=UNKNOWN_BELOW,
        card=card,
        context=CONTEXT,
        knows_unknown=True,
    )
    save_model(folder / "structures.safetensors", Model(network, info))


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
        with open(folder / f"{table}.csv", newline="") as file:
            return list(csv.DictReader(file))

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
