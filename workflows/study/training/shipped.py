"""How the shipped model ``structures`` learns.

First a network of single environments learns to distinguish all local environments. Environments
that it confuses become one class. Then, with that network frozen, a second small one learns to
predict the class from an environment's embedding and those around it, on whole samples.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm.auto import tqdm

from hoomd_gala.analyzer import Analyzer
from hoomd_gala.crystals.random_cells import random_crystals
from hoomd_gala.crystals.tilings import random_rows
from hoomd_gala.files.atomic import write_table
from hoomd_gala.files.models import Model, ModelInfo, load_model, pick_device, save_model
from hoomd_gala.learning.calibration import best_temperature
from hoomd_gala.learning.config import TrainingConfig
from hoomd_gala.learning.datasets import Data, Frames, join, to_tensors
from hoomd_gala.learning.tasks import frame_classification as task
from hoomd_gala.learning.training import split, train
from hoomd_gala.networks import CoreConfig, FrameClassifier
from hoomd_gala.results import DISORDERED, UNKNOWN_BELOW
from study.training import samples
from study.training.classes import Classes, make_classes, measure_confusion, merge
from study.training.curves import write_curve
from study.training.kinds import (
    Kinds,
    find_kinds,
    known_lattices,
    known_sites,
    label_sites,
    named_cells,
    read_cells,
    read_kinds,
    write_cells,
    write_kinds,
)
from study.training.names import CHECKPOINT, CURVE, KINDS, MODEL, OTHERS, SITES
from study.training.surroundings import (
    Surroundings,
    context_loss,
    judged_logits,
    surroundings,
)

#: Size of the network; the shipped models of the other tasks have the same.
CORE = CoreConfig(width=32, hidden=32, blocks=2, tied=True)

#: Hidden units through which the embeddings of each ring around a particle reach its label, and
#: rings.
CONTEXT, RINGS = 64, 2

#: Displacement at which confusion is measured, and the confusion above which two environments are
#: one class; guessing gives 0.5.
MERGE_NOISE, MERGE_ABOVE = 0.04, 0.25

#: Files of samples by the part of the data that they are of.
SampleFiles = Mapping[str, Path]


def write_cells_to_learn(folder: Path, parameters: Mapping[str, Any]) -> None:
    """Find the local environments, and make crystals without a name.

    Writes ``kinds.json`` and ``others.gsd``.

    Parameters
    ----------
    folder : Path
        Of the job.
    parameters : mapping
        Its state point.
    """
    names = named_cells(parameters["common"], parameters["named"])
    kinds = find_kinds(names, parameters["left_out"])
    known, lattices = known_sites(kinds), known_lattices(kinds)
    rng = np.random.default_rng([parameters["seed"], 1])
    # most random cells turn out to be well-known crystals, of which there are examples enough
    others = [
        cell
        for cell in random_crystals(parameters["n_random"], rng)
        if kinds.other in label_sites(cell, kinds, known, lattices)
    ]
    write_cells(folder / OTHERS, others)
    write_kinds(folder / KINDS, kinds)


def read_plan(
    folder: Path, parameters: Mapping[str, Any], disorder: Sequence[tuple[str, Path]]
) -> samples.Plan:
    """Plan of what is sampled, from a job's state point and the files of its first operation."""
    return samples.Plan(
        read_kinds(folder / KINDS),
        list(parameters["common"]),
        dict(parameters["noise"]),
        read_cells(folder / OTHERS),
        random_rows(parameters["n_tiles"], np.random.default_rng([parameters["seed"], 4])),
        disorder,
    )


# ---- first stage: environments, one at a time ----


def site_environments(files: SampleFiles, parameters: Mapping[str, Any]) -> Frames:
    """Environments of every label from each sample."""
    rng = np.random.default_rng([parameters["seed"], 2])
    return join(
        [
            samples.take_each(sample, parameters["site_environments"][part], rng)
            for part, path in files.items()
            for sample in tqdm(samples.read(path), f"take from {part}", unit="sample")
        ]
    )


def train_sites(
    core: CoreConfig,
    kinds: Kinds,
    files: SampleFiles,
    parameters: Mapping[str, Any],
    epochs: int,
    checkpoint: Path,
) -> tuple[Model, list[dict[str, float]]]:
    """Train a network to distinguish local environments, and return its learning curve too."""
    data = to_tensors(site_environments(files, parameters), 1, None)
    config = TrainingConfig(
        epochs=epochs, batch_size=128, validation_fraction=0.05, seed=parameters["seed"]
    )
    torch.manual_seed(config.seed)
    names = site_names(kinds)
    network = FrameClassifier(core, len(names)).to(pick_device("auto"))
    training, validation = split(data, config.validation_fraction, config.seed)
    curve, _, _ = train(
        network,
        task.loss,
        training,
        validation,
        config,
        checkpoint,
        "train on sites",
        cuda_graph=True,
    )
    return Model(network.cpu().requires_grad_(False), ModelInfo(core, names)), curve


def learn_sites(folder: Path, parameters: Mapping[str, Any], files: SampleFiles) -> None:
    """Train the network that distinguishes local environments.

    Parameters
    ----------
    folder : Path
        Where ``sites.safetensors``, checkpoint and learning curve go.
    parameters : mapping
        State point of the job.
    files : mapping of str to Path
        Samples to learn from.
    """
    kinds = read_kinds(folder / KINDS)
    checkpoint = folder / f"sites_{CHECKPOINT}"
    model, curve = train_sites(
        CORE, kinds, files, parameters, parameters["site_epochs"], checkpoint
    )
    write_curve(folder / f"sites_{CURVE}", "sites learning curve", curve)
    save_model(folder / SITES, model)


def site_names(kinds: Kinds) -> tuple[str, ...]:
    """Names of the outputs of a network that distinguishes local environments."""
    numbered = [f"{cell} {kind}" for kind, cell in enumerate(kinds.cells)]
    return (*numbered, "other", DISORDERED)


# ---- second stage: particles and what surrounds them ----


def train_context(
    sites: Model,
    around: Surroundings,
    classes: Classes,
    context: int,
    config: TrainingConfig,
    checkpoint: Path,
    teacher: Tensor | None = None,
) -> tuple[FrameClassifier, list[dict[str, float]]]:
    """Predict classes from embeddings and those of two rings of neighbors.

    Parameters
    ----------
    sites : Model
        The network of the first stage, whose core and pooling layer are taken.
    around : Surroundings
        Embeddings and labels of M particles.
    classes : Classes
        Class of each local environment.
    context : int
        Hidden units through which neighbors' embeddings reach the label.
    config : TrainingConfig
        How to train; a batch is of whole samples.
    checkpoint : Path
        Where an interrupted training continues.
    teacher : (M, K), optional
        Logits of another network for all particles, to learn from as well.
    """
    torch.manual_seed(config.seed)
    n_classes = len(classes.names)
    network = FrameClassifier(
        sites.info.core,
        n_classes + 1,
        context,
        RINGS,
        disordered=classes.names.index(DISORDERED),
    )
    learned = {
        key: value
        for key, value in sites.network.state_dict().items()
        if not key.startswith("classify")
    }
    network.load_state_dict(learned, strict=False)
    network.to(around.embedding.device)
    for part in (network.core, network.pool, network.norm):
        part.requires_grad_(False)
    data: Data = {"samples": torch.arange(len(around.counts))}
    training, validation = split(data, config.validation_fraction, config.seed)
    curve, _, _ = train(
        network,
        context_loss(around, classes, teacher),
        training,
        validation,
        config,
        checkpoint,
        "train on surroundings",
    )
    return network.requires_grad_(False), curve


def write_confusion(path: Path, kinds: Kinds, confusion: NDArray[np.float64]) -> None:
    """Write the entries of a (K, K) confusion matrix above one percent."""
    names = [*kinds.cells, "other", DISORDERED]
    rows = [
        {"kind": a, "cell": names[a], "taken for": b, "of cell": names[b], "share": round(share, 4)}
        for a, row in enumerate(confusion.tolist())
        for b, share in enumerate(row)
        if share > 0.01
    ]
    write_table(path, rows)


def learn_labels(
    folder: Path, parameters: Mapping[str, Any], files: SampleFiles, held_out: SampleFiles
) -> None:
    """Merge environments that are confused, and train the network that predicts classes.

    Writes ``structures.safetensors``, whose card :func:`study.reports.card.publish` completes.
    """
    kinds, sites = read_kinds(folder / KINDS), load_model(folder / SITES)
    classes, confusion = find_classes(sites, kinds, parameters["seed"])
    write_confusion(folder / "confusion.csv", kinds, confusion)
    (learned,) = surroundings([Analyzer(sites)], files.values())
    network, curve = train_context(
        sites,
        learned,
        classes,
        CONTEXT,
        label_config(parameters),
        folder / f"labels_{CHECKPOINT}",
    )
    write_curve(folder / f"labels_{CURVE}", "labels learning curve", curve)
    (unseen,) = surroundings([Analyzer(sites)], held_out.values())
    model = finish(network, CORE, CONTEXT, classes, learned, unseen)
    model.info.card["left out"] = kinds.left_out
    model.info.card["kinds of sites"] = len(kinds.cells)
    save_model(folder / MODEL, model)


def find_classes(sites: Model, kinds: Kinds, seed: int) -> tuple[Classes, NDArray[np.float64]]:
    """Classes of environments that the first network confuses, and the (K, K) confusion matrix."""
    sites.network.to(pick_device("auto"))
    rng = np.random.default_rng([seed, 3])
    warm = []
    for name in tqdm([*dict.fromkeys(kinds.cells)] * 2, "sample warm crystals", unit="crystal"):
        sample = samples.hot_crystal(
            name, kinds, MERGE_NOISE, samples.STRAIN["other"], rng, defects=0
        )
        warm.append(samples.take_each(sample, 40, rng))
    confusion = measure_confusion(sites, join(warm), len(kinds.cells) + 2)
    n_kinds = len(kinds.cells)
    group = merge(confusion[:n_kinds, :n_kinds], MERGE_ABOVE)
    return make_classes(kinds, group), confusion


def label_config(parameters: Mapping[str, Any], factor: int = 1) -> TrainingConfig:
    """How the second stage is trained, for the study's number of epochs or some times as many."""
    return TrainingConfig(
        epochs=factor * parameters["label_epochs"],
        batch_size=8,
        learning_rate=4e-3,
        validation_fraction=0.05,
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
    """Fit the temperature of a trained network, and describe it."""
    logits, labels = judged_logits(network, held_out, classes)
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
        rings=RINGS,
        asks_order=True,
    )
    return Model(network.cpu(), info)
