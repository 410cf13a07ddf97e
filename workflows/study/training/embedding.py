"""How the shipped model ``embedding`` learns what is alike.

It learns frame classification, one of the six tasks, without a name from anybody: which of
thousands of frames a particle is from. A frame is a site of a unit cell or of a random crystal, at
any displacement and strain and with vacancies around, or a simulated liquid or glass at different
times. What tells frames apart in spite of displacements is what a representation should keep.

Core and pooling layer are those of the model that names structures. What is trained are the rings
of neighbors, on whole samples that have been embedded before. The layers that name the frames are
then left out, as those of contrastive learning are (Chen et al., arXiv 2002.05709): the
representation is what comes before them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hoomd_gala.analyzer import Analyzer
from hoomd_gala.crystals.prototypes import UnitCell, crystal, deform, unit_cell, unit_cells
from hoomd_gala.crystals.sites import sites_of
from hoomd_gala.files.models import Model, ModelInfo, load_model, save_model
from hoomd_gala.learning.config import TrainingConfig
from hoomd_gala.learning.datasets import Data
from hoomd_gala.networks import FrameClassifier, MultiscaleEmbedder, inherit
from hoomd_gala.systems import System
from study.training import disorder, samples
from study.training.classes import Classes
from study.training.curves import train_in
from study.training.kinds import IGNORED
from study.training.names import EMBEDDING
from study.training.surroundings import Surroundings, context_loss, labeled, surroundings

#: Particles of a crystal, and the largest strain along each of three axes.
N_BULK, STRAIN = 160, 0.05

#: Share of crystals with vacancies.
DEFECTS = 0.2

#: Rings of neighbors that an embedding has numbers of.
RINGS = 2

#: Share of the particles that are asked which frame they are of: to compute thousands of answers
#: takes longer than the embedding, and neighbors have much of it in common.
ASKED = 0.3

#: Samples whose embeddings are made to have mean 0 and variance 1.
_STANDARD = 1000


class Plan(NamedTuple):
    """What is sampled for training.

    Attributes
    ----------
    noise : float
        Highest displacement in each direction, in units of the shortest distance.
    left_out : sequence of str
        Unit cells that nothing is learned from.
    others : sequence of UnitCell
        Random cells.
    disorder : sequence of Path
        Trajectories, of a liquid, a glass or the like each.
    """

    noise: float
    left_out: Sequence[str]
    others: Sequence[UnitCell]
    disorder: Sequence[Path]


# ---- samples, whose types are the numbers of frames ----


def _frames_of(cell: UnitCell) -> tuple[NDArray[np.int64], int]:
    """Which site each particle of a unit cell is on, (n,), and the number of sites."""
    number = np.empty(len(cell.system.positions), np.int64)
    found = sites_of(cell)
    for i, site in enumerate(found):
        number[list(site.members)] = i
    return number, len(found)


def crystals(cells: Sequence[UnitCell], noise: float, n: int, seed: int) -> Iterator[System]:
    """Yield n crystals of each cell, strained and displaced, some with vacancies.

    Parameters
    ----------
    cells : sequence of UnitCell
        Their sites are numbered one after the other.
    noise : float
        Highest displacement in each direction, in units of the shortest distance.
    n : int
        Samples of each.
    seed : int
        Of everything.
    """
    rng = np.random.default_rng(seed)
    first = 0
    for cell in cells:
        number, count = _frames_of(cell)
        perfect = crystal(cell, N_BULK)
        perfect = perfect._replace(types=first + np.resize(number, len(perfect.positions)))
        first += count
        for _ in range(n):
            sample = deform(perfect, samples.random_stretch(STRAIN, rng))
            if rng.random() < DEFECTS:
                sample = samples.with_vacancies(sample, rng)
            yield samples.roughen(samples.heat(sample, samples.random_amount(noise, rng), rng), rng)


def prototypes(plan: Plan, n: int, seed: int) -> Iterator[System]:
    """Yield all crystals of the database but those left out."""
    names = [name for name in unit_cells() if name not in plan.left_out]
    return crystals([unit_cell(name) for name in names], plan.noise, n, seed)


def random_cells(plan: Plan, n: int, seed: int) -> Iterator[System]:
    """Yield crystals that are not in the database."""
    return crystals(plan.others, plan.noise, n, seed)


def disordered(plan: Plan, n: int, seed: int) -> Iterator[System]:
    """Yield the last n frames of each liquid or glass; what has crystallized is of no frame."""
    rng = np.random.default_rng(seed)
    for number, path in enumerate(plan.disorder):
        for system in disorder.read(path)[-n:]:
            types = np.where(system.types == 1, number, IGNORED)
            yield samples.roughen(system._replace(types=types), rng)


#: Parts of the data by name.
PARTS: dict[str, Callable[[Plan, int, int], Iterator[System]]] = {
    "cells": prototypes,
    "random": random_cells,
    "disordered": disordered,
}


# ---- learning ----


def offsets(files: Mapping[str, Path]) -> tuple[dict[str, int], int]:
    """Find the number of the first frame of each part, and the number of all frames."""
    first, total = {}, 0
    for part, path in files.items():
        first[part] = total
        total += 1 + max(int(sample.types.max()) for sample in samples.read(path))
    return first, total


def learn(folder: Path, parameters: Mapping[str, Any], files: Mapping[str, Path]) -> None:
    """Train the rings of neighbors on whole samples, and write the model.

    Parameters
    ----------
    folder : Path
        Where the model, checkpoint and learning curve go.
    parameters : mapping
        State point of the job.
    files : mapping of str to Path
        Samples by the part of the data that they are of.
    """
    source = load_model(parameters["source"])
    around, total = _embedded(Analyzer(source), files, parameters["seed"])
    config = TrainingConfig(
        epochs=parameters["epochs"],
        batch_size=8,  # whole samples
        learning_rate=4e-3,
        validation_fraction=0.03,
        seed=parameters["seed"],
    )
    torch.manual_seed(config.seed)
    network = FrameClassifier(source.info.core, total, parameters["context"], RINGS)
    for part in inherit(network, source.network):
        part.requires_grad_(False)
    network.to(around.embedding.device)
    data: Data = {"samples": torch.arange(len(around.counts))}
    # each frame is a class of its own
    loss = context_loss(around, Classes((), np.arange(total), {}))
    learned = train_in(folder, "surroundings", network, loss, data, config, chance=1 / total)
    network.requires_grad_(False)
    model = MultiscaleEmbedder(source.info.core, parameters["context"], RINGS)
    weights = network.state_dict()
    model.load_state_dict({key: weights.get(key, own) for key, own in model.state_dict().items()})
    model.standardize(_features(network, around, config.seed).cpu())
    info = ModelInfo(
        source.info.core,
        (),
        card={
            "frames": total,
            "particles": len(around.labels),
            "metrics": learned,
            "baselines": {"chance": {"accuracy": 1 / total}},
        },
        task="embedding",
        context=parameters["context"],
        rings=RINGS,
    )
    save_model(folder / EMBEDDING, Model(model.requires_grad_(False), info))


def _embedded(analyzer: Analyzer, files: Mapping[str, Path], seed: int) -> tuple[Surroundings, int]:
    """Embed all samples; number the frames of all parts, and count them."""
    first, total = offsets(files)
    parts = [surroundings([analyzer], labeled([path]))[0] for path in files.values()]
    generator = torch.Generator().manual_seed(seed)
    labels = []
    for part, start in zip(parts, first.values(), strict=True):
        asked = torch.rand(len(part.labels), generator=generator).to(part.labels.device) < ASKED
        labels.append(torch.where(asked & (part.labels != IGNORED), part.labels + start, IGNORED))
    around = Surroundings(
        torch.cat([part.embedding for part in parts]),
        torch.cat([part.neighbors for part in parts]),
        torch.cat(labels),
        np.concatenate([part.counts for part in parts]),
    )
    return around, total


@torch.inference_mode()
def _features(network: FrameClassifier, around: Surroundings, seed: int) -> Tensor:
    """Embeddings and rings of the particles of some samples side by side, (M, size)."""
    ends = np.cumsum(around.counts)
    chosen = np.random.default_rng(seed).permutation(len(ends))[:_STANDARD]
    found = []
    for end, count in zip(ends[chosen], around.counts[chosen], strict=True):
        rows = slice(end - count, end)
        embedding = around.embedding[rows]
        rings = network.surround(embedding, around.neighbors[rows].long())
        found.append(torch.cat((embedding, *rings), dim=-1))
    return torch.cat(found)
