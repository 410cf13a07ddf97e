"""Embeddings on a GPU, with nothing but a few passes through its memory between the layers.

The counterpart of :mod:`~.inference`: a network's weights are brought once into the form
in which :mod:`~.triton` take them, and each layer is then two launches, one for
the pairs and one for the points.
"""

from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .attention import PairAttention, PairWeights, gpu_kernels, linear_maps
from .core import Network, compress, encode_types
from .frame_classifier import Context, FrameClassifier

#: Environments embedded at a time; bounds the memory, and is enough to keep a large GPU busy.
CHUNK = 32_768


class _Layer(NamedTuple):
    """A layer with what follows it, as the kernels take them."""

    pairs: PairWeights
    change: tuple[Tensor, ...]
    of_vectors: bool
    of_values: bool
    epsilon: float


def _value_map(layer: PairAttention, units: int) -> tuple[Tensor, Tensor]:
    """The last map of V, with columns for hidden units that were added, and its bias."""
    _, to_value = linear_maps(layer.value)
    missing = units - to_value.in_features
    weight = nn.functional.pad(to_value.weight, (0, missing))
    return weight.contiguous(), to_value.bias


def _layer(layer: PairAttention, block: Any, of_vectors: bool, of_values: bool) -> _Layer:
    pairs = PairWeights(*(weight.contiguous() for weight in layer.pair_weights()))
    up, down = linear_maps(block.mlp)
    norm = block.norm
    covariants = getattr(layer, "covariant_weights", up.bias)  # else not looked at
    change = (
        covariants,
        *_value_map(layer, len(pairs.first)),
        norm.weight,
        norm.bias,
        up.weight,
        up.bias,
        down.weight,
        down.bias,
    )
    return _Layer(pairs, change, of_vectors, of_values, norm.eps)


def _layers(network: Network) -> list[_Layer]:
    layers = []
    blocks: list[Any] = list(network.core.blocks)
    for block in blocks:
        if hasattr(block, "tied"):
            layers.append(_layer(block.tied, block, True, True))
        else:
            layers.append(_layer(block.vector, block, True, False))
            layers.append(_layer(block.invariant, block, False, True))
    return layers


class DeviceEmbedder:
    """Embeds environments with the weights that a network has now.

    Parameters
    ----------
    network : Network
        On a GPU, in float32.
    max_types : int
        Types that it tells apart.
    kernels : module
        :mod:`~hoomd_gala.networks.kernels.triton`.
    """

    def __init__(self, network: Network, max_types: int, kernels: ModuleType) -> None:
        self._kernels = kernels
        self._max_types = max_types
        with torch.no_grad():
            self._layers = _layers(network)
            types = torch.arange(max_types)
            pairs = encode_types(
                types.repeat_interleave(max_types), types.repeat(max_types)[:, None], max_types
            )
            embed = network.core.embed_types
            self._table = embed(pairs[:, 0].to(embed.weight))
            self._pool = self._pool_weights = None
            if isinstance(network, FrameClassifier):
                pool = network.pool
                self._pool_weights = PairWeights(*(w.contiguous() for w in pool.pair_weights()))
                self._pool = (pool, network.norm, _value_map(pool, len(self._pool_weights.first)))

    def __call__(self, bonds: Tensor, types: Tensor, neighbor_types: Tensor) -> Tensor:
        """(B, width) embeddings of environments: scaled bonds (B, n, 3), types (B,) and (B, n)."""
        kernels, table = self._kernels, self._table
        clouds, n, _ = bonds.shape
        vectors = compress(bonds).contiguous()
        if self._max_types > 1:
            values = table[types[:, None] * self._max_types + neighbor_types]
        else:
            values = table[0].expand(clouds, n, -1).contiguous()
        passes = [layer.pairs for layer in self._layers]
        if self._pool_weights is not None:
            passes.append(self._pool_weights)
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
        if self._pool is None:
            return values.mean(-2)
        _, norm, (to_value, bias) = self._pool
        pairs = passes[-1]
        units = len(pairs.first)
        sums = room(1 + units + width)
        kernels.forward((vectors, own, other, parts, *pairs[2:]), sums)
        weights = torch.softmax(sums[..., :1], dim=-2).mT
        pooled = (weights @ sums).squeeze(-2)
        members = pooled[:, 1 + units :] + (weights @ values).squeeze(-2)
        value = torch.addmm(bias, pooled[:, 1 : 1 + units], to_value.T)
        return norm(0.5 * value + 0.25 * members)


def surroundings(context: Context, everybody: Tensor, neighbors: Tensor) -> Tensor:
    """What a context makes of all particles, (N, size), from their embeddings (N, width) and who
    their neighbors are, (N, n) int32."""
    kernels = gpu_kernels(everybody.device, False) if everybody.is_cuda else None
    if kernels is None:
        return torch.cat(
            [
                context(own, everybody[near.long()])
                for own, near in zip(everybody.split(CHUNK), neighbors.split(CHUNK), strict=True)
            ]
        )
    around: Tensor = kernels.around(context.own(everybody), context.other(everybody), neighbors)
    return around


def device_embedder(network: nn.Module, max_types: int) -> DeviceEmbedder | None:
    """A :class:`DeviceEmbedder` if one can stand for a network's own function where it is."""
    weight = next(network.parameters())
    if (
        weight.device.type != "cuda"
        or weight.dtype != torch.float32
        or not isinstance(network, Network)
        or type(network).embed not in (Network.embed, FrameClassifier.embed)
    ):
        return None
    kernels = gpu_kernels(weight.device, False)
    return None if kernels is None else DeviceEmbedder(network, max_types, kernels)
