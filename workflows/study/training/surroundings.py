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
from hoomd_gala.systems import System
from study.training import samples
from study.training.classes import Classes
from study.training.kinds import IGNORED

#: A sample, and the labels (N,) of its particles.
Labeled = tuple[System, NDArray[np.int64]]


class Surroundings(NamedTuple):
    """Embeddings, neighbors and labels of all particles of whole samples, on a network's device.

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

    embedding: Tensor
    neighbors: Tensor
    labels: Tensor
    counts: NDArray[np.int64]


def labeled(files: Iterable[Path]) -> Iterator[Labeled]:
    """Yield the samples in files, whose types are their labels."""
    for path in files:
        for system in tqdm(samples.read(path), f"embed {path.parent.name}", unit="sample"):
            yield system, system.types


def surroundings(analyzers: Sequence[Analyzer], labeled: Iterable[Labeled]) -> list[Surroundings]:
    """Embed all of some samples by each of some networks."""
    embedded: list[list[tuple[Tensor, Tensor]]] = [[] for _ in analyzers]
    labels = []
    for system, own_labels in labeled:
        labels.append(torch.as_tensor(own_labels))
        for analyzer, own in zip(analyzers, embedded, strict=True):
            found = analyzer.embedder.embed(system)
            own.append((found.everyone, found.neighbors))
    counts = np.array([len(own) for own in labels])
    result = []
    for analyzer, own in zip(analyzers, embedded, strict=True):
        embedding, neighbors = map(torch.cat, zip(*own, strict=True))
        result.append(
            Surroundings(embedding, neighbors, torch.cat(labels).to(analyzer.device), counts)
        )
    return result


def _rows(around: Surroundings, chosen: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Rows (B,) of some samples, and their neighbors (B, n) as indices into these."""
    ends = np.cumsum(around.counts)
    device = around.neighbors.device
    rows, neighbors, start = [], [], 0
    for sample in chosen:
        end, count = int(ends[sample]), int(around.counts[sample])
        rows.append(torch.arange(end - count, end, device=device))
        neighbors.append(around.neighbors[end - count : end].long() + start)
        start += count
    return torch.cat(rows), torch.cat(neighbors)


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
    class_of = torch.as_tensor(classes.of_label, device=around.labels.device)

    def loss(network: nn.Module, batch: Data) -> tuple[Tensor, dict[str, Tensor]]:
        assert isinstance(network, FrameClassifier)
        rows, neighbors = _rows(around, batch["samples"].tolist())
        embedding = around.embedding[rows]
        rings = network.surround(embedding, neighbors)
        judged = around.labels[rows] != IGNORED
        labels = class_of[around.labels[rows[judged]]]
        logits = network.name(embedding[judged], *(ring[judged] for ring in rings))
        taught = None if teacher is None else teacher[rows[judged]]
        accuracy = (logits.argmax(-1) == labels).float().mean()
        return soft_cross_entropy(logits, labels, taught), {"accuracy": accuracy}

    return loss


def _each(around: Surroundings) -> Iterator[tuple[slice, Tensor]]:
    """Rows of each sample, and the neighbors (B, n) of its particles."""
    for end, count in zip(np.cumsum(around.counts), around.counts, strict=True):
        rows = slice(end - count, end)
        yield rows, around.neighbors[rows].long()


@torch.inference_mode()
def label_logits(network: FrameClassifier, around: Surroundings) -> Tensor:
    """(M, K) float16 logits of a network for all particles of whole samples."""
    parts = []
    for rows, neighbors in _each(around):
        embedding = around.embedding[rows]
        parts.append(network.name(embedding, *network.surround(embedding, neighbors)).half())
    return torch.cat(parts)


@torch.inference_mode()
def judged_logits(
    network: FrameClassifier, around: Surroundings, classes: Classes
) -> tuple[Tensor, Tensor]:
    """Logits (M, K) and classes (M,) of all particles that have one."""
    class_of = torch.as_tensor(classes.of_label, device=around.labels.device)
    logits, labels = [], []
    for rows, neighbors in _each(around):
        embedding = around.embedding[rows]
        own = around.labels[rows] != IGNORED
        found = network.name(embedding, *network.surround(embedding, neighbors))
        logits.append(found[own])
        labels.append(class_of[around.labels[rows][own]])
    return torch.cat(logits), torch.cat(labels)
