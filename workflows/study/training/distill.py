"""How the shipped model ``structures-fast`` learns: from the same data, and from ``structures``.

A smaller network learns half from the labels and half from the output of the larger network
(Hinton, Vinyals and Dean, arXiv 1503.02531), in the same two stages.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hoomd_gala.analyzer import Analyzer
from hoomd_gala.files.models import Model, ModelInfo, load_model, save_model
from hoomd_gala.learning.datasets import Data, to_tensors
from hoomd_gala.networks import CoreConfig, FrameClassifier
from study.training import shipped
from study.training.curves import write_curve
from study.training.names import CHECKPOINT, CURVE, FAST_MODEL, FAST_SITES, MODEL, SITES
from study.training.surroundings import Surroundings, soft_cross_entropy

#: Size of the network: with half the hidden units, every pair takes a third of the work.
CORE = CoreConfig(width=32, hidden=16, blocks=2, tied=True)
#: Hidden units through which neighbors' embeddings reach the label.
CONTEXT = 32

#: Factor on the larger network's number of epochs: a small network takes longer to learn.
EPOCHS = 2

#: Environments in a network at a time.
_CHUNK = 4096


def site_logits(teacher: Model, data: Data) -> Tensor:
    """(M, K) float16 logits of the larger network's first stage."""
    with torch.inference_mode():
        parts = [
            teacher.network(
                data["bonds"][start : start + _CHUNK], data["types"][start : start + _CHUNK]
            )[0].half()
            for start in range(0, len(data["bonds"]), _CHUNK)
        ]
    return torch.cat(parts)


def label_logits(teacher: Model, around: Surroundings) -> Tensor:
    """(M, K) float16 logits of the larger network for all particles of whole samples."""
    assert isinstance(teacher.network, FrameClassifier)
    embedding = torch.as_tensor(around.embedding)
    neighbors = torch.as_tensor(around.neighbors)
    with torch.inference_mode():
        parts = [
            teacher.network.name(embedding[rows], embedding[neighbors[rows]]).half()
            for rows in torch.split(torch.arange(len(embedding)), _CHUNK)
        ]
    return torch.cat(parts)


def site_loss(network: nn.Module, batch: Data) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss of a batch of environments, and the accuracy: for :func:`~.train`."""
    logits, _ = network(batch["bonds"], batch["types"])
    accuracy = (logits.argmax(-1) == batch["labels"]).float().mean()
    return soft_cross_entropy(logits, batch), {"accuracy": accuracy}


def learn_sites(folder: Path, parameters: Mapping[str, Any], fluids: Sequence[Path]) -> None:
    """First stage, in the folder where ``structures`` was trained.

    Writes ``fast-sites.safetensors``, checkpoint and learning curve.
    """
    seed = parameters["seed"]
    plan = shipped.read_plan(folder, parameters, fluids)
    frames = shipped.sample_sites(plan, parameters, np.random.default_rng([seed, 4]))
    data = to_tensors(frames, 1, None)
    data["teacher"] = site_logits(load_model(folder / SITES), data)
    torch.manual_seed(seed)
    network = FrameClassifier(CORE, len(plan.kinds.cells) + 2)
    config = shipped.site_config(parameters)
    config = dataclasses.replace(config, epochs=EPOCHS * config.epochs)
    checkpoint = folder / f"fast_sites_{CHECKPOINT}"
    curve = shipped.train_sites(network, data, config, checkpoint, site_loss)
    write_curve(folder / f"fast_sites_{CURVE}", "fast sites learning curve", curve)
    info = ModelInfo(CORE, shipped.site_names(plan.kinds))
    save_model(folder / FAST_SITES, Model(network, info))


def learn_labels(folder: Path, parameters: Mapping[str, Any], fluids: Sequence[Path]) -> None:
    """Second stage; writes ``structures-fast.safetensors``."""
    seed = parameters["seed"]
    plan = shipped.read_plan(folder, parameters, fluids)
    # the classes are those of the larger network
    rng = np.random.default_rng([seed, 2])
    classes, _ = shipped.find_classes(load_model(folder / SITES), plan.kinds, rng)
    teacher = load_model(folder / MODEL)
    sites = load_model(folder / FAST_SITES)
    learned, held_out = shipped.sample_surroundings(
        [Analyzer(sites), Analyzer(teacher)], plan, parameters, np.random.default_rng([seed, 5])
    )
    config = shipped.label_config(parameters)
    network, curve = shipped.train_context(
        sites,
        learned[0],
        classes,
        CONTEXT,
        dataclasses.replace(config, epochs=EPOCHS * config.epochs),
        folder / f"fast_labels_{CHECKPOINT}",
        label_logits(teacher, learned[1]),
    )
    write_curve(folder / f"fast_labels_{CURVE}", "fast labels learning curve", curve)
    model = shipped.finish(network, CORE, CONTEXT, classes, learned[0], held_out[0])
    model.info.card["learned from"] = "the labels of its data and, as much, those of structures"
    save_model(folder / FAST_MODEL, model)
