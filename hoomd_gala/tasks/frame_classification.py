"""Frame classification: which frame was this environment taken from?

A frame is a unit cell at some noise level, a disordered sample, or a frame of a trajectory. No one
labels particles by hand: the label of an environment is where it came from.
"""

import dataclasses
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ..environments import PeriodicTree, scale_bonds
from ..models import Model, ModelInfo
from ..networks import CoreConfig, FrameClassifier, encode_types
from ..structures import crystal, displace, droplet, strain, unit_cell
from ..systems import System
from ..training import Data, TrainingConfig, split, train


class Frames(NamedTuple):
    """Environments and the frames they were taken from.

    Attributes
    ----------
    bonds : (M, n, 3) float64
        Bond vectors.
    types : (M,) int64
        Type of the particle in the middle.
    neighbor_types : (M, n) int64
        Types of its neighbors.
    labels : (M,) int64
        Frame of each environment.
    """

    bonds: NDArray[np.float64]
    types: NDArray[np.int64]
    neighbor_types: NDArray[np.int64]
    labels: NDArray[np.int64]


def join(parts: Sequence[Frames]) -> Frames:
    """Put several sets of environments together."""
    return Frames(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def take(
    system: System,
    label: int,
    n: int,
    rng: np.random.Generator,
    among: NDArray[np.int64] | None = None,
) -> Frames:
    """At most ``n`` random environments of a system, all with the same label.

    ``among`` restricts the choice to some particles.
    """
    candidates = np.arange(len(system.positions)) if among is None else np.asarray(among)
    chosen = rng.permutation(candidates)[:n]
    environments = PeriodicTree.build(system.positions, system.box).nearest(chosen)
    return Frames(
        environments.bonds,
        system.types[chosen],
        system.types[environments.neighbors],
        np.full(len(chosen), label),
    )


#: Share of a particle's neighbors that a surface must leave for it to count as crystalline, and
#: the share below which it counts as disordered; what lies between is not shown to the network.
INTACT, BROKEN = 0.9, 0.7


def crystal_frames(
    names: Sequence[str],
    noise_levels: Sequence[float],
    n: int,
    disordered: int | None,
    rng: np.random.Generator,
    n_particles: int = 4096,
) -> Frames:
    """Environments of displaced, slightly strained crystals with and without a surface.

    Parameters
    ----------
    names : sequence of str
        Unit cells; the index of the name is the label.
    noise_levels : sequence of float
        Gaussian displacements, in units of the shortest distance.
    n : int
        Environments of each crystal at each noise level, a quarter of them from a droplet.
    disordered : int, optional
        Label of particles at a droplet's surface that have lost their crystalline surroundings;
        they are left out if not given.
    """
    parts = []
    for label, name in enumerate(names):
        perfect = crystal(unit_cell(name), n_particles)
        for noise in noise_levels:
            bulk = displace(strain(perfect, 0.01, rng), noise, rng)
            parts.append(take(bulk, label, n - n // 4, rng))
            ball, intact = droplet(strain(perfect, 0.01, rng), rng.uniform(0.6, 0.9))
            ball = displace(ball, noise, rng)
            parts.append(take(ball, label, n // 4, rng, np.flatnonzero(intact >= INTACT)))
            if disordered is not None:
                surface = np.flatnonzero(intact <= BROKEN)
                parts.append(take(ball, disordered, n // 16, rng, surface))
    return join(parts)


def to_tensors(frames: Frames, max_types: int, length_scale: float | None) -> Data:
    """What the network sees of the environments, with their labels."""
    bonds = scale_bonds(frames.bonds, length_scale)
    types, neighbor_types = map(torch.as_tensor, (frames.types, frames.neighbor_types))
    return {
        "bonds": torch.as_tensor(bonds, dtype=torch.float32),
        "types": encode_types(types, neighbor_types, max_types),
        "labels": torch.as_tensor(frames.labels),
    }


def loss(network: nn.Module, batch: Data) -> tuple[Tensor, dict[str, Tensor]]:
    """Cross-entropy of the frame, and the accuracy."""
    logits, _ = network(batch["bonds"], batch["types"])
    accuracy = (logits.argmax(-1) == batch["labels"]).float().mean()
    return cross_entropy(logits, batch["labels"]), {"accuracy": accuracy}


def calibrate(network: nn.Module, validation: Data, batch_size: int = 512) -> float:
    """Temperature that makes confidences match accuracies on the validation data.

    Temperature scaling: one positive number that divides all logits, chosen for the least
    cross-entropy (Guo et al., arXiv 1706.04599).
    """
    device = next(network.parameters()).device
    total = len(validation["labels"])
    with torch.inference_mode():
        logits = torch.cat(
            [
                network(
                    validation["bonds"][start : start + batch_size].to(device),
                    validation["types"][start : start + batch_size].to(device),
                )[0].cpu()
                for start in range(0, total, batch_size)
            ]
        ).double()
    temperatures = torch.logspace(-1, 1, 201, dtype=torch.float64)
    losses = [float(cross_entropy(logits / t, validation["labels"])) for t in temperatures]
    return float(temperatures[int(np.argmin(losses))])


def train_classifier(
    frames: Frames,
    class_names: Sequence[str],
    core: CoreConfig,
    config: TrainingConfig,
    length_scale: float | None = None,
    unknown_below: float = 0.0,
    device: str | torch.device = "cpu",
    checkpoint: str | os.PathLike[str] | None = None,
    description: str = "training",
    card: dict[str, Any] | None = None,
) -> tuple[Model, list[dict[str, float]]]:
    """Train a network to name the frame of an environment.

    Parameters
    ----------
    frames : Frames
        What to learn from; a part of it is held out for validation.
    class_names : sequence of str
        Name of each label.
    core : CoreConfig
        Size of the network.
    config : TrainingConfig
        How to train.
    length_scale : float, optional
        See :func:`~hoomd_gala.environments.scale_bonds`.
    unknown_below : float
        Confidence below which a particle is called unknown.
    device : str or torch.device
        Where to train.
    checkpoint : path, optional
        Where an interrupted training continues.
    description : str
        For the progress bar.
    card : dict, optional
        What the model's card is to say beside its metrics.

    Returns
    -------
    Model
        On the CPU, its confidence calibrated on the validation data.
    list of dict
        Learning curve.
    """
    data = to_tensors(frames, core.max_types, length_scale)
    training, validation = split(data, config.validation_fraction, config.seed)
    torch.manual_seed(config.seed)
    network = FrameClassifier(core, len(class_names)).to(device)
    curve = train(network, loss, training, validation, config, checkpoint, description)
    temperature = calibrate(network, validation)
    info = ModelInfo(
        core,
        tuple(class_names),
        length_scale,
        temperature,
        unknown_below,
        {"task": "frame classification", "environments": len(frames.labels)}
        | {"training": dataclasses.asdict(config), "metrics": curve[-1]}
        | (card or {}),
    )
    return Model(network.cpu().requires_grad_(False), info), curve
