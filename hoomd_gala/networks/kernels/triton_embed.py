"""Embeddings on a GPU, with only a few passes through its memory between the layers.

The counterpart of :mod:`.cpu.embed`: the weights of a network are brought once into the form in
which :mod:`.triton` takes them. Each layer is then two launches, one for the pairs and one for the
points.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..algebra import compress
from . import triton as kernels
from .weights import BlockWeights, LayerWeights, NetworkWeights, PairWeights, pair_weights


class _Layer(NamedTuple):
    """A layer with what follows it, as the kernels take them."""

    pairs: PairWeights
    change: tuple[Tensor, ...]
    of_vectors: bool
    of_values: bool
    epsilon: float


def _contiguous(layer: LayerWeights) -> PairWeights:
    return PairWeights(*(weight.contiguous() for weight in pair_weights(layer)))


def _value_map(layer: LayerWeights, units: int) -> tuple[Tensor, Tensor]:
    """Return the last map of V, with columns for hidden units that were added, and its bias."""
    weight = layer.value.down
    missing = units - weight.shape[1]
    return nn.functional.pad(weight, (0, missing)).contiguous(), layer.value.down_bias


def _layer(layer: LayerWeights, block: BlockWeights, of_values: bool) -> _Layer:
    pairs, mlp = _contiguous(layer), block.mlp
    change = (
        mlp.up_bias if layer.covariants is None else layer.covariants,  # the former is not read
        *_value_map(layer, len(pairs.first)),
        block.norm,
        block.norm_bias,
        *mlp,
    )
    return _Layer(pairs, change, layer.covariants is not None, of_values, block.epsilon)


class Embedder:
    """Embeds environments with the weights that a network has now.

    Parameters
    ----------
    weights : NetworkWeights
        On a GPU, in float32.
    """

    def __init__(self, weights: NetworkWeights) -> None:
        with torch.no_grad():
            self._layers = [
                _layer(layer, block, of_values=layer is block.layers[-1])
                for block in weights.blocks
                for layer in block.layers
            ]
            self._table, self._max_types = weights.table, weights.max_types
            self._norm = weights.norm, weights.norm_bias
            self._pool, self._pool_map = None, None
            if weights.pool is not None:
                self._pool = _contiguous(weights.pool)
                self._pool_map = _value_map(weights.pool, len(self._pool.first))

    def __call__(self, bonds: Tensor, types: Tensor, neighbor_types: Tensor) -> Tensor:
        """(B, width) embeddings of environments: scaled bonds (B, n, 3), types (B,) and (B, n)."""
        table = self._table
        clouds, n, _ = bonds.shape
        vectors = compress(bonds).contiguous()
        if self._max_types > 1:
            values = table[types[:, None] * self._max_types + neighbor_types]
        else:
            values = table[0].expand(clouds, n, -1).contiguous()
        passes = [layer.pairs for layer in self._layers]
        if self._pool is not None:
            passes.append(self._pool)
        width = values.shape[-1]

        def room(size: int) -> Tensor:
            return vectors.new_empty(clouds, n, size)

        first = nn.functional.linear(values, passes[0].members)
        own, other, parts = first + passes[0].own, kernels.split(first), kernels.split(values)
        for layer, following in zip(self._layers, [*passes[1:], None], strict=False):
            pairs = layer.pairs
            sums = room(1 + len(pairs.first) + width + (4 if layer.of_vectors else 0))
            kernels.forward((vectors, own, other, parts, *pairs[2:]), sums, pooled=layer.of_values)
            members = (pairs.members[:0], pairs.own) if following is None else following[:2]
            own = room(len(members[0]))
            other = own.new_empty(2, *own.shape, dtype=torch.float16)
            kernels.update(
                sums,
                vectors,
                values,
                layer.change,
                members,
                own,
                other,
                parts,
                of_vectors=layer.of_vectors,
                of_values=layer.of_values,
                epsilon=layer.epsilon,
            )
        if self._pool is None or self._pool_map is None:
            return values.mean(-2)
        to_value, bias = self._pool_map
        units = len(self._pool.first)
        sums = room(1 + units + width)
        kernels.forward((vectors, own, other, parts, *self._pool[2:]), sums)
        weights = torch.softmax(sums[..., :1], dim=-2).mT
        pooled = (weights @ sums).squeeze(-2)
        members_of = pooled[:, 1 + units :] + (weights @ values).squeeze(-2)
        value = torch.addmm(bias, pooled[:, 1 : 1 + units], to_value.T)
        return nn.functional.layer_norm(0.5 * value + 0.25 * members_of, (width,), *self._norm)


#: Mean over neighbors of relu(own + other): (m, size), (N, size) and (m, n) make (m, size).
surroundings = kernels.around
