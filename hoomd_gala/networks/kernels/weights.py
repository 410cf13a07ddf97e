"""Weights of networks as the kernels take them: plain tensors, without their modules."""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad


class Perceptron(NamedTuple):
    """Two linear maps with rectified hidden units in between.

    Attributes
    ----------
    up, up_bias : (hidden, inputs) and (hidden,)
    down, down_bias : (outputs, hidden) and (outputs,)
    """

    up: Tensor
    up_bias: Tensor
    down: Tensor
    down_bias: Tensor


class LayerWeights(NamedTuple):
    """Weights of an attention layer.

    Attributes
    ----------
    value : Perceptron
        V, from the four invariants of a pair to its value.
    heads : tuple of Perceptron
        S and, for a layer that makes vectors, α; from values to one number.
    covariants : (3,), optional
        Weights of r_i × r_j, r_i and r_j, for a layer that makes vectors.
    """

    value: Perceptron
    heads: tuple[Perceptron, ...]
    covariants: Tensor | None


class BlockWeights(NamedTuple):
    """Weights of a block of a core.

    Attributes
    ----------
    layers : tuple of LayerWeights
        One that updates vectors and values, or one for the vectors and one for the values.
    norm, norm_bias : (width,)
        Of the layer norm in front of the perceptron.
    epsilon : float
        What that norm adds to the variance.
    mlp : Perceptron
        Acts on the values.
    """

    layers: tuple[LayerWeights, ...]
    norm: Tensor
    norm_bias: Tensor
    epsilon: float
    mlp: Perceptron


class NetworkWeights(NamedTuple):
    """All weights of a network from environments to their embeddings.

    Attributes
    ----------
    table : (max_types², width)
        Value that a bond starts from, row ``type · max_types + neighbor type``.
    blocks : tuple of BlockWeights
    pool : LayerWeights, optional
        Of the layer that pools a cloud into its embedding; the mean of the values if there is none.
    norm, norm_bias : (width,)
        Of the layer norm after pooling.
    head : LayerWeights, optional
        Of the layer that makes corrections of bonds, if there is one.
    """

    table: Tensor
    blocks: tuple[BlockWeights, ...]
    pool: LayerWeights | None
    norm: Tensor
    norm_bias: Tensor
    head: LayerWeights | None = None

    @property
    def max_types(self) -> int:
        """Number of particle types that are distinguished."""
        return math.isqrt(len(self.table))


class PairWeights(NamedTuple):
    """Weights of a layer in the form in which a pass over the pairs takes them.

    Attributes
    ----------
    members : (heads·H, width)
        From the values of the points to what they add to the hidden units of the heads.
    own : (heads·H,)
        What the first member of a pair adds to these in addition.
    first, middle, last, bias
        See :func:`~hoomd_gala.networks.kernels.pair_sums`.
    """

    members: Tensor
    own: Tensor
    first: Tensor
    middle: Tensor
    last: Tensor
    bias: Tensor


def _padded(tensor: Tensor, extra: tuple[int, ...]) -> Tensor:
    """Append zeros to a tensor where any are needed."""
    return pad(tensor, extra) if any(extra) else tensor


def pair_weights(layer: LayerWeights) -> PairWeights:
    """Make the weights that :func:`~hoomd_gala.networks.kernels.pair_sums` takes.

    Hidden units are padded with zeros: the kernels take those of V by fours and those of the heads
    by sixteens.
    """
    value, heads = layer.value, layer.heads
    units = len(value.up_bias)
    extra, more = -units % 4, -units % 16
    first = torch.cat([_padded(head.up, (0, 0, 0, more)) for head in heads])
    bias = torch.cat([_padded(head.up_bias, (0, more)) for head in heads])
    return PairWeights(
        0.25 * first,
        bias + 0.5 * first @ value.down_bias,
        _padded(torch.cat((value.up, value.up_bias.unsqueeze(-1)), -1), (0, 0, 0, extra)),
        _padded(0.5 * first @ value.down, (0, extra)),
        _padded(torch.cat([head.down for head in heads]), (0, more)),
        # the softmax does not see a constant added to all scores
        torch.cat([heads[0].down_bias.detach(), *(head.down_bias for head in heads[1:])]),
    )
