"""Embeddings of whole samples and of the particles around each, to learn labels from."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from tqdm.auto import tqdm

from hoomd_gala.analyzer import Analyzer
from hoomd_gala.learning.datasets import Data
from hoomd_gala.learning.training import Loss
from hoomd_gala.networks import Familiarity, FrameClassifier
from hoomd_gala.systems import System
from study.training.classes import Classes
from study.training.kinds import IGNORED

#: Share of held-out particles with a name that are within the limit of familiarity of a class.
FAMILIAR = 0.99


class Surroundings(NamedTuple):
    """Embeddings, neighbors and labels of all particles of whole samples.

    Attributes
    ----------
    embedding : (M, width) float32
        Of each particle.
    neighbors : (M, n) int32
        Rows of the neighbors.
    labels : (M,) int64
        Local environment, OTHER, DISORDERED or IGNORED.
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
    """Cross-entropy of (B, K) logits with the labels or, if there is a teacher, half with each."""
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
    """Hidden units of the head, (M, size), and classes, (M,), of all particles that have one."""
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
    """Fit the classes in the space of hidden units, and the distance beyond which is unfamiliar.

    Parameters
    ----------
    familiarity : Familiarity
        Fitted in place.
    learned, held_out : ((M, size) Tensor, (M,) Tensor)
        Hidden units and classes: those that the classes are fitted to, and those that the distance
        is.
    """
    assert familiarity is not None
    n_classes = len(familiarity.centers)
    hidden, labels = learned
    familiarity.fit(hidden[labels < n_classes], labels[labels < n_classes])
    hidden, labels = held_out
    distances = familiarity.distance(hidden[labels < n_classes])
    # torch.quantile takes no more than 16 million numbers; NumPy's has no limit
    familiarity.limit.fill_(float(np.quantile(distances.numpy(), FAMILIAR)))
