"""Embeddings of whole samples and of the particles around each, to learn labels from."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
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
from hoomd_gala.networks import FrameClassifier
from study.training import samples
from study.training.classes import Classes
from study.training.kinds import IGNORED


class Surroundings(NamedTuple):
    """Embeddings, neighbors and labels of all particles of whole samples.

    Attributes
    ----------
    embedding : (M, width) float32
        Of each particle.
    neighbors : (M, n) int32
        Indices of the neighbors, in their sample.
    labels : (M,) int64
        Local environment, OTHER, DISORDERED or IGNORED.
    counts : (S,) int64
        Particles of each sample.
    """

    embedding: NDArray[np.float32]
    neighbors: NDArray[np.int32]
    labels: NDArray[np.int64]
    counts: NDArray[np.int64]


def surroundings(analyzers: Sequence[Analyzer], files: Iterable[Path]) -> list[Surroundings]:
    """Embed all samples in files by each of some networks."""
    parts: list[list[Surroundings]] = [[] for _ in analyzers]
    for path in files:
        for system in tqdm(samples.read(path), f"embed {path.parent.name}", unit="sample"):
            for analyzer, own in zip(analyzers, parts, strict=True):
                embedding, neighbors = analyzer.embed_system(system)
                count = np.array([len(system.types)])
                own.append(Surroundings(embedding, neighbors, system.types, count))
    return [
        Surroundings(*(np.concatenate(column) for column in zip(*own, strict=True)))
        for own in parts
    ]


def _rows(around: Surroundings, chosen: Sequence[int]) -> tuple[NDArray[np.int64], Tensor]:
    """Rows (B,) of some samples, and their neighbors (B, n) as indices into these."""
    ends = np.cumsum(around.counts)
    rows, neighbors, start = [], [], 0
    for sample in chosen:
        count = int(around.counts[sample])
        own = np.arange(ends[sample] - count, ends[sample])
        rows.append(own)
        neighbors.append(torch.as_tensor(around.neighbors[own]).long() + start)
        start += count
    return np.concatenate(rows), torch.cat(neighbors)


def soft_cross_entropy(logits: Tensor, labels: Tensor, teacher: Tensor | None) -> Tensor:
    """Cross-entropy of (B, K) logits with the labels or, if there is a teacher, half with each."""
    hard = cross_entropy(logits, labels)
    if teacher is None:
        return hard
    return 0.5 * (hard + cross_entropy(logits, torch.softmax(teacher.float(), dim=-1)))


def context_loss(around: Surroundings, classes: Classes, teacher: Tensor | None = None) -> Loss:
    """Loss of a batch of samples, and the accuracy: for :func:`~.train`.

    Parameters
    ----------
    around : Surroundings
        Of all samples.
    classes : Classes
        Class of each local environment.
    teacher : (M, K), optional
        Logits of another network, for all particles.
    """

    def loss(network: nn.Module, batch: Data) -> tuple[Tensor, dict[str, Tensor]]:
        assert isinstance(network, FrameClassifier)
        rows, neighbors = _rows(around, batch["samples"].tolist())
        embedding = torch.as_tensor(around.embedding[rows])
        rings = network.surround(embedding, neighbors)
        labeled = around.labels[rows] != IGNORED
        judged = torch.as_tensor(labeled)
        labels = torch.as_tensor(classes.of_label[around.labels[rows[labeled]]])
        logits = network.name(embedding[judged], *(ring[judged] for ring in rings))
        taught = None if teacher is None else teacher[torch.as_tensor(rows[labeled])]
        accuracy = (logits.argmax(-1) == labels).float().mean()
        return soft_cross_entropy(logits, labels, taught), {"accuracy": accuracy}

    return loss


@torch.inference_mode()
def _logits(
    network: FrameClassifier, around: Surroundings
) -> Iterator[tuple[NDArray[np.int64], Tensor]]:
    """Rows (B,) and logits (B, K) of one sample after the other."""
    for sample in range(len(around.counts)):
        rows, neighbors = _rows(around, [sample])
        embedding = torch.as_tensor(around.embedding[rows])
        yield rows, network.name(embedding, *network.surround(embedding, neighbors))


def label_logits(network: FrameClassifier, around: Surroundings) -> Tensor:
    """(M, K) float16 logits of a network for all particles of whole samples."""
    return torch.cat([logits.half() for _, logits in _logits(network, around)])


def judged_logits(
    network: FrameClassifier, around: Surroundings, classes: Classes
) -> tuple[Tensor, Tensor]:
    """Logits (M, K) and classes (M,) of all particles that have one."""
    judged = around.labels != IGNORED
    own = [logits[torch.as_tensor(judged[rows])] for rows, logits in _logits(network, around)]
    return torch.cat(own), torch.as_tensor(classes.of_label[around.labels[judged]])
