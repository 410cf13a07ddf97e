"""From embeddings to labels: the classifier's head and the decision rule."""

from collections.abc import Callable

import torch
from torch import Tensor

from .embedding import CHUNK, Embedded
from .files.models import ModelInfo
from .networks import Context, FrameClassifier
from .networks.inference import CHUNK as DEVICE_CHUNK
from .networks.inference import device_surroundings
from .networks.inference import surroundings as host_surroundings
from .results import UNKNOWN


def decide(
    logits: Tensor, info: ModelInfo, familiarity: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Labels and confidences from a model's logits.

    Parameters
    ----------
    logits : (B, n_classes) or (B, n_classes + 1)
        One more than there are classes if the model has an output for unknown structures.
    info : ModelInfo
        Gives the temperature, the confidence that a label requires, and the classes that are
        withheld, which count as unknown.
    familiarity : (B,), optional
        Multiplies the probabilities of the classes; the rest is that of an unknown structure.

    Returns
    -------
    (B,) int64, (B,)
        Index of the most likely class, -1 where none is likely enough, and its probability.
    """
    known = torch.softmax(logits / info.temperature, dim=-1)[:, : len(info.class_names)]
    if familiarity is not None:
        known = known * familiarity.unsqueeze(-1)
    if info.withheld:
        named = [name not in info.withheld for name in info.class_names]
        known = known * torch.tensor(named, device=known.device)
    confidence, label = known.max(dim=-1)
    unknown = confidence < info.unknown_below
    if info.knows_unknown:
        unknown |= 1 - known.sum(dim=-1) > confidence
    return torch.where(unknown, UNKNOWN, label), confidence


@torch.inference_mode()
def label_embeddings(
    network: FrameClassifier, info: ModelInfo, embedded: Embedded, compiled: bool = False
) -> tuple[Tensor, Tensor]:
    """Labels and confidences of embedded particles.

    Parameters
    ----------
    network : FrameClassifier
        Where the embeddings are.
    info : ModelInfo
        Of the network.
    embedded : Embedded
        Of m particles.
    compiled : bool
        Whether compiled kernels may replace the context on the CPU.

    Returns
    -------
    (m,) int32, (m,) float32
    """
    own = embedded.own
    label = torch.empty(len(own), dtype=torch.int32, device=own.device)
    confidence = torch.empty(len(own), device=own.device)
    around = None
    if network.context is not None:
        around = _surroundings(network.context, embedded, compiled)
    chunk = DEVICE_CHUNK if own.is_cuda else CHUNK
    for start in range(0, len(own), chunk):
        rows = slice(start, start + chunk)
        units = own[rows] if around is None else torch.cat((own[rows], around(rows)), dim=-1)
        hidden = network.classify[:-1](units)
        familiarity = None if network.familiarity is None else network.familiarity(hidden)
        logits = network.classify[-1](hidden)
        label[rows], confidence[rows] = decide(logits, info, familiarity)
    return label, confidence


def _surroundings(
    context: Context, embedded: Embedded, compiled: bool
) -> Callable[[slice], Tensor]:
    """Return a function that gives the context's hidden units for rows of particles."""
    own, everyone, neighbors = embedded
    if compiled:
        other = context.other(everyone).numpy()
        return lambda rows: torch.from_numpy(
            host_surroundings(context, own[rows].numpy(), other, neighbors[rows].numpy())
        )
    if own is everyone and own.is_cuda:
        around = device_surroundings(context, everyone, neighbors)
        return lambda rows: around[rows]
    return lambda rows: context(own[rows], everyone[neighbors[rows].long()])
