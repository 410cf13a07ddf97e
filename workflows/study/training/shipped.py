"""How the shipped model ``structures`` learns.

First a network of single environments learns to distinguish all local environments, starting from
the core of a network that learned a self-supervised task. Environments that it confuses become one
class. Then, with that network frozen, a second small one learns to predict the class from an
environment's embedding and those of its neighbors, on whole samples.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hoomd_gala.analyzer import Analyzer
from hoomd_gala.crystals.prototypes import UnitCell
from hoomd_gala.crystals.random_cells import random_crystals
from hoomd_gala.files.atomic import write_table
from hoomd_gala.files.models import Model, ModelInfo, load_model, save_model
from hoomd_gala.learning.calibration import best_temperature
from hoomd_gala.learning.config import TrainingConfig
from hoomd_gala.learning.datasets import Data, Frames, join, to_tensors
from hoomd_gala.learning.tasks import frame_classification as task
from hoomd_gala.learning.training import Loss, split, train
from hoomd_gala.networks import CoreConfig, FrameClassifier, inherit
from hoomd_gala.results import DISORDERED, UNKNOWN_BELOW
from hoomd_gala.systems import System
from study.training import samples
from study.training.classes import Classes, make_classes, measure_confusion, merge
from study.training.curves import write_curve
from study.training.kinds import (
    IGNORED,
    Kinds,
    find_kinds,
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
    hidden_units,
    learn_familiarity,
    surroundings,
)

#: Size of the network; the shipped models of the other tasks have the same.
CORE = CoreConfig(width=32, hidden=32, blocks=2, tied=True)

#: Hidden units through which neighbors' embeddings reach the label.
CONTEXT = 64

#: Displacement at which confusion is measured, and the confusion above which two environments are
#: one class; guessing gives 0.5.
MERGE_NOISE, MERGE_ABOVE = 0.04, 0.25


#: Crystals of each unit cell that is not from the database, for the first stage.
OTHER_SAMPLES = 3

#: Environments of each frame of a fluid, for the first stage.
N_PER_FRAME = 220


class Plan(NamedTuple):
    """What is sampled for training.

    Attributes
    ----------
    kinds : Kinds
        Labels of the particles of all unit cells.
    common : sequence of str
        Unit cells to be distinguished at the highest temperature.
    noise : dict of str to float
        Highest displacement, by the group of the cell.
    fluids : sequence of Path
        Trajectories whose particles are all disordered.
    others : sequence of UnitCell
        Unit cells that are not from the database.
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
    """Environments with labels, for the first stage."""
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


def train_sites(
    network: FrameClassifier,
    data: Data,
    config: TrainingConfig,
    checkpoint: Path,
    loss: Loss = task.loss,
) -> list[dict[str, float]]:
    """First stage: distinguish local environments, one at a time."""
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
    """Second stage: predict classes from embeddings and those of the neighbors.

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
        How to train.
    checkpoint : Path
        Where an interrupted training continues.
    teacher : (M, K), optional
        Logits of another network for all particles, to learn from as well.
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


def read_plan(folder: Path, parameters: Mapping[str, Any], fluids: Sequence[Path]) -> Plan:
    """Plan of what is sampled, from a job's state point and the files of its first operation."""
    return Plan(
        read_kinds(folder / KINDS),
        list(parameters["common"]),
        dict(parameters["noise"]),
        fluids,
        read_cells(folder / OTHERS),
    )


def learn_sites(folder: Path, parameters: Mapping[str, Any], fluids: Sequence[Path]) -> None:
    """Find the local environments and train the network that distinguishes them.

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
    kinds = find_kinds(names, parameters["n_left_out"], rng)
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
        network, to_tensors(frames, 1, None), config, folder / f"sites_{CHECKPOINT}"
    )
    write_curve(folder / f"sites_{CURVE}", "sites learning curve", curve)
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
    """Names of the outputs of a network that distinguishes local environments."""
    numbered = [f"{cell} {kind}" for kind, cell in enumerate(kinds.cells)]
    return (*numbered, "other", DISORDERED)


def sample_sites(plan: Plan, parameters: Mapping[str, Any], rng: np.random.Generator) -> Frames:
    """Environments that the first stage learns from, by a job's state point."""
    return site_frames(
        plan,
        dict(parameters["site_samples"]),
        dict(parameters["site_environments"]),
        N_PER_FRAME,
        parameters["n_stacks"],
        rng,
    )


def learn_labels(folder: Path, parameters: Mapping[str, Any], fluids: Sequence[Path]) -> None:
    """Merge environments that are confused, and train the network that predicts classes.

    Writes ``structures.safetensors``, whose card :func:`study.reports.card.publish` completes.
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
        folder / f"labels_{CHECKPOINT}",
    )
    write_curve(folder / f"labels_{CURVE}", "labels learning curve", curve)
    model = finish(network, CORE, CONTEXT, classes, learned[0], held_out[0])
    model.info.card["left out"] = plan.kinds.left_out
    model.info.card["kinds of sites"] = len(plan.kinds.cells)
    save_model(folder / MODEL, model)


def find_classes(
    sites: Model, kinds: Kinds, rng: np.random.Generator
) -> tuple[Classes, NDArray[np.float64]]:
    """Classes of environments that the first network confuses, and the (K, K) confusion matrix."""
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
    """Return samples for the second stage, and held-out ones, embedded by some networks.

    Temperature and familiarity are fitted to the held-out samples.
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
    """Fit familiarity and temperature of a trained network, and describe it."""
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
