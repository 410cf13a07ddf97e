"""The second stage of the shipped models: the names of particles, from all that surrounds them.

Environments that the first network confuses become one class. Then, with that network frozen, a
second small one learns to predict the class from an environment's embedding and those around it, on
whole samples. The smaller model learns half from the labels and half from the output of the larger
one (Hinton, Vinyals and Dean, arXiv 1503.02531).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm.auto import tqdm

from hoomd_gala.analyzer import Analyzer
from hoomd_gala.files.atomic import write_table
from hoomd_gala.files.models import Model, ModelInfo, load_model, pick_device, save_model
from hoomd_gala.learning.calibration import best_temperature
from hoomd_gala.learning.config import TrainingConfig
from hoomd_gala.learning.datasets import Data, join
from hoomd_gala.networks import FrameClassifier
from hoomd_gala.results import DISORDERED, UNKNOWN_BELOW, UNKNOWN_NAME
from study.training import samples
from study.training.classes import (
    Classes,
    make_classes,
    measure_confusion,
    merge,
    whole_cells,
)
from study.training.curves import train_in
from study.training.kinds import Kinds, read_kinds
from study.training.names import KINDS
from study.training.shipped import FAST, STRUCTURES, SampleFiles, Size
from study.training.surroundings import (
    Surroundings,
    context_loss,
    judged_logits,
    label_logits,
    labeled,
    surroundings,
)

#: Rings of neighbors that a label depends on.
RINGS = 2

#: What is added to outputs after training, as logarithms of odds. The data have about as many
#: particles of each structure; of what is simulated, most is fcc, hcp or bcc. There are more
#: structures without a name than the data have, and those that are like none of the data look more
#: like disorder than they should.
PRIOR = {"cF4-Cu": 2.0, "hP2-Mg": 2.0, "cI2-W": 2.0, UNKNOWN_NAME: 0.7, DISORDERED: -0.5}

#: Displacement at which confusion is measured, and the confusion above which two environments are
#: one class; guessing gives 0.5.
MERGE_NOISE, MERGE_ABOVE = 0.04, 0.25


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
    group = whole_cells(merge(confusion[:n_kinds, :n_kinds], MERGE_ABOVE), kinds)
    return make_classes(kinds, group), confusion


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


def train_labels(
    folder: Path,
    parameters: Mapping[str, Any],
    size: Size,
    sites: Model,
    around: Surroundings,
    classes: Classes,
    teacher: Tensor | None = None,
) -> FrameClassifier:
    """Predict classes from embeddings and those of two rings of neighbors.

    Parameters
    ----------
    folder : Path
        Where checkpoint and learning curve go.
    parameters : mapping
        State point of the job.
    size : Size
        Of the model.
    sites : Model
        The network of the first stage, whose core and pooling layer are taken.
    around : Surroundings
        Embeddings and labels of M particles.
    classes : Classes
        Class of each local environment.
    teacher : (M, K), optional
        Logits of another network for all particles, to learn from as well.
    """
    config = TrainingConfig(
        epochs=parameters["label_epochs"],
        batch_size=8,  # whole samples
        learning_rate=4e-3,
        validation_fraction=0.05,
        seed=parameters["seed"],
    )
    torch.manual_seed(config.seed)
    network = FrameClassifier(
        size.core,
        len(classes.names) + 1,
        size.context,
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
    loss = context_loss(around, classes, teacher)
    prefix = f"{size.prefix}labels_"
    train_in(folder, "surroundings", network, loss, data, config, prefix=prefix)
    return network.requires_grad_(False)


@torch.no_grad()
def add_prior(network: FrameClassifier, names: Sequence[str], prior: Mapping[str, float]) -> None:
    """Add logarithms of odds to the outputs of classes and, after these, of the unknown."""
    last = network.classify[-1]
    assert isinstance(last, nn.Linear)
    outputs = [*names, UNKNOWN_NAME]
    for name, odds in prior.items():
        if name in outputs:
            last.bias[outputs.index(name)] += odds


def finish(
    network: FrameClassifier,
    size: Size,
    classes: Classes,
    learned: int,
    held_out: Surroundings,
    prior: Mapping[str, float] | None = None,
) -> Model:
    """Fit the temperature of a network that learned from so many particles, and describe it.

    A prior is added after that, as what is held out is composed like the data and not like what is
    simulated: see :func:`add_prior`.
    """
    logits, labels = judged_logits(network, held_out, classes)
    temperature = best_temperature(logits, labels)
    if prior:
        add_prior(network, classes.names, prior)
        logits, labels = judged_logits(network, held_out, classes)
    card = {
        "merged": classes.members,
        "environments": learned,
        "held out": {
            "particles": len(labels),
            "accuracy": float((logits.argmax(-1) == labels).float().mean()),
        },
    }
    if prior:
        card["logarithms of odds added"] = dict(prior)
    info = ModelInfo(
        size.core,
        classes.names,
        temperature=temperature,
        unknown_below=UNKNOWN_BELOW,
        card=card,
        context=size.context,
        knows_unknown=True,
        rings=RINGS,
        asks_order=True,
    )
    return Model(network.cpu(), info)


def learn_labels(
    folder: Path, parameters: Mapping[str, Any], files: SampleFiles, held_out: SampleFiles
) -> None:
    """Name environments, and train the networks that predict classes.

    Writes ``structures.safetensors`` and ``structures-fast.safetensors``, whose cards
    :func:`study.reports.card.publish` completes.

    Parameters
    ----------
    folder : Path
        Where the networks of the first stage are.
    parameters : mapping
        State point of the job.
    files, held_out : mapping of str to Path
        Samples to learn from, and those that confidence is calibrated on.
    """
    kinds = read_kinds(folder / KINDS)
    sites, fast_sites = (load_model(folder / size.sites) for size in (STRUCTURES, FAST))
    # the classes of both are those of the larger network
    classes, confusion = find_classes(sites, kinds, parameters["seed"])
    write_confusion(folder / "confusion.csv", kinds, confusion)
    analyzers = [Analyzer(sites), Analyzer(fast_sites)]
    learned, fast_learned = surroundings(analyzers, labeled(files.values()))
    unseen, fast_unseen = surroundings(analyzers, labeled(held_out.values()))
    total = len(learned.labels)

    network = train_labels(folder, parameters, STRUCTURES, sites, learned, classes)
    teacher = label_logits(network, learned)
    model = finish(network, STRUCTURES, classes, total, unseen, PRIOR)
    model.info.card["left out"] = kinds.left_out
    model.info.card["kinds of sites"] = len(kinds.cells)
    save_model(folder / STRUCTURES.model, model)

    del learned
    network = train_labels(folder, parameters, FAST, fast_sites, fast_learned, classes, teacher)
    model = finish(network, FAST, classes, total, fast_unseen, PRIOR)
    model.info.card["learned from"] = "the labels of its data and, as much, those of structures"
    save_model(folder / FAST.model, model)
