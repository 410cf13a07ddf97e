"""From embeddings to labels: the classifier's head and the decision rule."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from .embedding import CHUNK, Embedded
from .files.models import ModelInfo
from .networks import Context, FrameClassifier
from .networks.inference import CHUNK as DEVICE_CHUNK
from .networks.inference import device_surroundings
from .networks.inference import surroundings as host_surroundings
from .results import UNKNOWN


def decide(logits: Tensor, info: ModelInfo) -> tuple[Tensor, Tensor]:
    """Labels and confidences from a model's logits.

    Parameters
    ----------
    logits : (B, n_classes) or (B, n_classes + 1)
        One more than there are classes if the model has an output for unknown structures.
    info : ModelInfo
        Gives the temperature, the confidence that a label requires, and the classes that are
        withheld, which count as unknown.

    Returns
    -------
    (B,) int64, (B,)
        Index of the most likely class, -1 where none is likely enough, and its probability. Where
        the logits are not finite, as those of weights beyond all measure are, the label is -1 and
        the probability 0.
    """
    known = torch.softmax(logits / info.temperature, dim=-1)[:, : len(info.class_names)]
    if info.withheld:
        named = [name not in info.withheld for name in info.class_names]
        known = known * torch.tensor(named, device=known.device)
    confidence, label = known.max(dim=-1)
    broken = confidence.isnan()
    confidence = confidence.masked_fill(broken, 0)
    unknown = broken | (confidence < info.unknown_below)
    if info.knows_unknown:
        unknown |= 1 - known.sum(dim=-1) > confidence
    return torch.where(unknown, UNKNOWN, label), confidence


@torch.inference_mode()
def surround(
    context: Context, own: Tensor, everyone: Tensor, neighbors: Tensor, compiled: bool = False
) -> Tensor:
    """Summarize what surrounds particles in one ring.

    Parameters
    ----------
    context : Context
        Of the ring.
    own : (m, width) float32
        Embeddings of the particles or, for the second ring, the first ring around them.
    everyone : (k, width) float32
        The same of those that are neighbors.
    neighbors : (m, n) int32
        Rows of ``everyone``.
    compiled : bool
        Whether compiled kernels may replace the context on the CPU.

    Returns
    -------
    (m, size) float32
    """
    if own.is_cuda:
        return device_surroundings(context, own, everyone, neighbors)
    around = own.new_empty(len(own), context.own.out_features)
    other = context.other(everyone).numpy() if compiled else None
    for rows in _pieces(own):
        near = neighbors[rows]
        if other is None:
            around[rows] = context(own[rows], everyone[near.long()])
        else:
            found = host_surroundings(context, own[rows].numpy(), other, near.numpy())
            around[rows] = torch.from_numpy(found)
    return around


def surround_embedded(
    rings: Sequence[Context], embedded: Embedded, compiled: bool = False
) -> list[Tensor]:
    """(m, size) hidden units of each ring around m embedded particles, from the inside out."""
    values, neighbors, own = embedded.everyone, embedded.neighbors, slice(embedded.asked)
    found = []
    for context in rings:
        # the inner of two rings is that of all who are neighbors in the outer one
        values = surround(context, values[: len(neighbors)], values, neighbors, compiled)
        found.append(values[own])
        neighbors = neighbors[own]
    return found


@torch.inference_mode()
def label_embeddings(
    network: FrameClassifier, info: ModelInfo, own: Tensor, rings: Sequence[Tensor]
) -> tuple[Tensor, Tensor]:
    """Labels and confidences of embedded particles.

    Parameters
    ----------
    network : FrameClassifier
        Where the embeddings are.
    info : ModelInfo
        Of the network.
    own : (m, D) float32
        Embeddings of the particles.
    rings : sequence of (m, size) float32
        What surrounds them, for each of the network's rings.

    Returns
    -------
    (m,) int32, (m,) float32
    """
    label = torch.empty(len(own), dtype=torch.int32, device=own.device)
    confidence = torch.empty(len(own), device=own.device)
    for rows in _pieces(own):
        logits = network.name(own[rows], *(ring[rows] for ring in rings))
        label[rows], confidence[rows] = decide(logits, info)
    return label, confidence


def _pieces(rows: Tensor) -> Iterator[slice]:
    """Slices of some rows at a time."""
    chunk = DEVICE_CHUNK if rows.is_cuda else CHUNK
    return (slice(start, start + chunk) for start in range(0, len(rows), chunk))
