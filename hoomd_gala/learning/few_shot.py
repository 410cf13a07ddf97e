"""Naming structures after a few labeled particles of each.

A model's embeddings, of a particle and of its neighbors on average, distinguish structures that it
has never been trained to name. Only a linear map from these to the names is learned, by multinomial
logistic regression with a strong penalty on its weights; it is then written as the head of a
:class:`~hoomd_gala.networks.FrameClassifier`, so that the result is a model like any other.

On crystals of five structures without a name in the model ``structures``, displaced by 0.06 and
learned from 20 particles each of crystals displaced by 0.03, the average over the neighbors raised
the accuracy from 0.88 to 0.99. In the last frames of cooling droplets it changed the agreement with
that model by less than 0.01 in either direction. The hidden units of a model with a context of its
own were no better than the average. Those of the model ``embedding`` are made to tell structures
apart that have no name: with it, features are the whole embedding.
"""

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ..crystals.prototypes import displace
from ..decision import surround_embedded
from ..embedding import SystemEmbedder
from ..errors import InputError
from ..files.models import Model, ModelInfo
from ..neighbors.environments import PeriodicTree, mean_bond_length
from ..networks import FrameClassifier, MultiscaleEmbedder, inherit
from ..results import DISORDERED, UNKNOWN_BELOW
from ..systems import System
from .calibration import few_temperature

#: Copies of every labeled particle among displaced neighbors, so that names do not depend on the
#: exact positions of these, and the displacement in units of the mean bond length.
COPIES, DISPLACEMENT = 4, 0.02

#: Weight of the squared weights in the loss.
PENALTY = 0.1

#: What people call particles without order. Everything is solid that has another name than
#: "disordered".
UNORDERED = {
    "amorphous",
    "disorder",
    "fluid",
    "gas",
    "glass",
    "liquid",
    "melt",
    "random",
    "vapor",
}

#: Folds of the cross-validation.
FOLDS = 5


class Labeled(NamedTuple):
    """Some particles of a system and what each is.

    Attributes
    ----------
    system : System
    particles : (m,) int64
        Indices.
    labels : (m,) int64
        Their classes.
    """

    system: System
    particles: NDArray[np.int64]
    labels: NDArray[np.int64]


class LinearMap(NamedTuple):
    """Logits of features: ``features @ weight + bias``.

    Attributes
    ----------
    weight : (F, n_classes) float64
    bias : (n_classes,) float64
    """

    weight: Tensor
    bias: Tensor


def fit_logistic(features: Tensor, labels: Tensor) -> LinearMap:
    """Multinomial logistic regression of standardized features with penalized weights.

    All classes have the same weight: how many particles a person labels does not depend on how
    frequent a structure is.

    Parameters
    ----------
    features : (m, F) float64
    labels : (m,) int64
        0 to n_classes - 1, at least one of each.
    """
    mean, spread = features.mean(0), features.std(0) + 1e-3
    standard = (features - mean) / spread
    shares = 1 / torch.bincount(labels).double()
    weight = torch.zeros(features.shape[1], len(shares), dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(len(shares), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> float:
        optimizer.zero_grad()
        value = cross_entropy(standard @ weight + bias, labels, shares)
        value = value + PENALTY * weight.square().sum()
        torch.autograd.backward(value)
        return float(value.detach())

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    weight = weight.detach() / spread.unsqueeze(-1)
    return LinearMap(weight, bias.detach() - mean @ weight)


def held_out_logits(features: Tensor, labels: Tensor, seed: int) -> Tensor:
    """Logits of each particle by a map that was fitted to particles of other folds.

    Parameters
    ----------
    features : (copies, m, F) float64
        The first copy is of the particles as they are.
    labels : (m,) int64
        At least two of each class.

    Returns
    -------
    (m, n_classes)
    """
    copies, total, _ = features.shape
    rng = np.random.default_rng(seed)
    order = rng.permutation(total)
    # deal the particles of one class after the other, so that no fold takes all of a class
    fold = np.empty(total, np.int64)
    fold[order[np.argsort(labels.numpy()[order], kind="stable")]] = np.arange(total) % FOLDS
    logits = torch.empty(total, int(labels.max()) + 1, dtype=torch.float64)
    for part in np.unique(fold):
        rest = torch.as_tensor(fold != part)
        weight, bias = fit_logistic(features[:, rest].flatten(0, 1), labels[rest].repeat(copies))
        logits[~rest] = features[0, ~rest] @ weight + bias
    return logits


def has_rings_to_keep(source: Model) -> bool:
    """Whether a model's own rings are features, and not the average over the neighbors.

    The hidden units of the head pass all features on, so that there must be as many.
    """
    core = source.info.core
    return isinstance(source.network, MultiscaleEmbedder) and core.hidden >= core.width


def _classifier(source: Model, n_classes: int, seed: int) -> FrameClassifier:
    """Make a classifier whose context is the source's or the average of neighbors' embeddings.

    Core and pool are the source's, the head has random weights. A source without a pool, made for
    another task, gets one with random weights.
    """
    torch.manual_seed(seed)
    info = source.info
    if has_rings_to_keep(source):
        network = FrameClassifier(info.core, n_classes, info.context, info.rings)
        network.load_state_dict(
            network.state_dict()
            | {k: v for k, v in source.network.state_dict().items() if k in network.state_dict()}
        )
        return network.requires_grad_(False)
    width = info.core.width
    network = FrameClassifier(info.core, n_classes, context=width)
    inherit(network, source.network)
    context = network.context
    assert context is not None
    with torch.no_grad():
        for layer in (context.own, context.other):
            layer.weight.zero_()
            layer.bias.zero_()
        context.other.weight.copy_(torch.eye(width))
        context.other.bias.fill_(_shift(network))
    return network.requires_grad_(False)


def _shift(network: FrameClassifier) -> float:
    """Return a shift that makes every component of all embeddings positive for the rectifier."""
    scale, offset = network.norm.weight, network.norm.bias
    return float((scale.abs() * len(scale) ** 0.5 + offset.abs()).max()) + 1


def set_head(network: FrameClassifier, linear: LinearMap, averages: bool = True) -> None:
    """Make a classifier of :func:`few_shot` compute the logits of a linear map.

    Its hidden units pass the features on, all of which are positive: the embedding is shifted, and
    so is an average over neighbors; rings of a model's own are positive as they are.

    Parameters
    ----------
    network : FrameClassifier
        Of :func:`few_shot`.
    linear : LinearMap
        Of embeddings and what surrounds them.
    averages : bool
        Whether that is the average over neighbors, which the context has shifted.
    """
    first, last = network.classify[0], network.classify[-1]
    assert isinstance(first, nn.Linear)
    assert isinstance(last, nn.Linear)
    n_features, width = len(linear.weight), len(network.norm.weight)
    shift = _shift(network)
    shifted = n_features if averages else width
    with torch.no_grad():
        for layer in (first, last):
            layer.weight.zero_()
            layer.bias.zero_()
        first.weight[:n_features] = torch.eye(n_features)
        first.bias[:width] = shift  # the context is shifted already
        last.weight[:, :n_features] = linear.weight.T
        last.bias.copy_(linear.bias - shift * linear.weight[:shifted].sum(0))


def _features(
    embedder: SystemEmbedder, labeled: Iterable[Labeled], averages: bool, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Embed labeled particles and what surrounds them, the average or rings: (copies, m, F)."""
    columns = []
    for system, particles, _ in labeled:
        bonds = PeriodicTree.build(system.positions, system.box).nearest(particles).bonds
        noise = DISPLACEMENT * mean_bond_length(bonds)
        rows = []
        for shown in [system, *(displace(system, noise, rng) for _ in range(COPIES))]:
            if averages:
                own, around = embedder.embed_particles(shown, particles)
                rows.append(np.concatenate((own, around.mean(axis=1)), axis=-1))
            else:
                found = embedder.embed(shown, particles)
                rings = surround_embedded(embedder.rings, found, embedder.is_compiled)
                rows.append(torch.cat((found.own, *rings), dim=-1).numpy())
        columns.append(np.stack(rows))
    return np.concatenate(columns, axis=1)


def few_shot(source: Model, labeled: Sequence[Labeled], names: Sequence[str], seed: int) -> Model:
    """Make a model that names structures after a few labeled particles.

    Parameters
    ----------
    source : Model
        Of any task, with or without context; its core and pool stay as they are, and the rings of
        one made for its embedding.
    labeled : sequence of Labeled
        At least two particles of each class.
    names : sequence of str
        Of the classes.
    seed : int
        Of displacements and folds.

    Returns
    -------
    Model
        On the CPU. Its card has the metrics of a cross-validation over the labeled particles.

    Raises
    ------
    InputError
        If the source gives embeddings that are not finite, or a system has no environments.

    Warns
    -----
    UserWarning
        If the name of a class is that of something without order, which will count as solid.
    """
    if unordered := [name for name in names if name.casefold() in UNORDERED]:
        warnings.warn(
            f"particles labeled {' and '.join(unordered)} will count as solid; name what has no "
            f'order "{DISORDERED}".',
            stacklevel=2,
        )
    rng = np.random.default_rng(seed)
    length_scale = source.info.length_scale
    if source.info.length_convention == "absolute":
        # a length of other data, in their unit: bonds must be as long as those of the training
        bonds = [
            PeriodicTree.build(system.positions, system.box).nearest(particles).bonds
            for system, particles, _ in labeled
        ]
        length_scale = mean_bond_length(np.concatenate(bonds))
    network, averages = _classifier(source, len(names), seed), not has_rings_to_keep(source)
    info = ModelInfo(
        source.info.core,
        tuple(names),
        length_scale,
        unknown_below=UNKNOWN_BELOW,
        context=source.info.core.width if averages else source.info.context,
        rings=len(network.rings),
        length_convention=source.info.length_convention,
    )
    embedder = SystemEmbedder(Model(network, info), torch.device("cpu"))
    features = torch.as_tensor(_features(embedder, labeled, averages, rng))
    features = features.double()
    labels = torch.as_tensor(np.concatenate([part.labels for part in labeled]))
    if not features.isfinite().all():
        raise InputError("the model gives embeddings that are not finite; use another one.")
    logits = held_out_logits(features, labels, seed)
    temperature = few_temperature(logits, labels)
    linear = fit_logistic(features.flatten(0, 1), labels.repeat(len(features)))
    set_head(network, linear, averages)
    metrics = {
        "validation_loss": float(cross_entropy(logits / temperature, labels)),
        "validation_accuracy": float((logits.argmax(-1) == labels).double().mean()),
    }
    counts = torch.bincount(labels)
    chance = {"accuracy": float(counts.max() / counts.sum())}
    card = {
        "labelled particles": dict(zip(names, counts.tolist(), strict=True)),
        "validation": f"each of {FOLDS} parts of the labeled particles, learned from the others",
        "metrics": metrics,
        "baselines": {"most frequent name": chance},
        "frozen": True,
    }
    return Model(network, replace(info, temperature=temperature, card=card))
