"""Embeddings on the CPU without the detour over tensors.

A network's weights are brought once into the form in which :func:`~.embed` takes
them; environments then pass through all layers in blocks that stay in the cache.
"""

from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ..threads import share_out
from .attention import PairAttention, compiled_kernels, linear_maps
from .core import LONGEST, Network, encode_types
from .frame_classifier import Context, FrameClassifier

Array = NDArray[np.float32]


def _array(tensor: torch.Tensor) -> Array:
    return np.ascontiguousarray(tensor.detach().numpy(), dtype=np.float32)


def _rows(array: Array, multiple: int) -> Array:
    """With rows of zeros up to a multiple."""
    return np.pad(array, [(0, -len(array) % multiple)] + [(0, 0)] * (array.ndim - 1))


def _columns(array: Array, multiple: int) -> Array:
    return np.pad(array, [(0, 0), (0, -array.shape[1] % multiple)])


def _layers(kernels: ModuleType, layers: list[PairAttention], heads: int) -> tuple[Array, ...]:
    """Weights of layers of one kind, each array with a first axis for the layer.

    Returns
    -------
    first (h, 5), members, more (heads·H,), middle, last (heads, H), bias (heads,), value,
    value_bias (width,), covariants (3,)
        See :mod:`~.passes`; members are the maps from the values to u and u', more what
        is added to u, and value the last map of V. The three maps are packed for products.
    """
    made: list[list[Array]] = [[] for _ in range(9)]
    for layer in layers:
        to_hidden, to_value = linear_maps(layer.value)
        nets = [layer.score] if heads == 1 else [layer.score, layer.get_submodule("scale")]
        maps = [linear_maps(net) for net in nets]  # type: ignore[arg-type]
        first = np.concatenate([_rows(_array(a.weight), 16) for a, _ in maps])
        bias = np.concatenate([_rows(_array(a.bias), 16) for a, _ in maps])
        value = _array(to_value.weight)
        members = np.concatenate((0.25 * first, 0.25 * first))
        columns = np.concatenate((_array(to_hidden.weight), _array(to_hidden.bias)[:, None]), 1)
        covariants = getattr(layer, "covariant_weights", torch.zeros(3))
        for group, array in zip(
            made,
            (
                _rows(columns, 4),
                kernels.pack(kernels.SETTINGS, members),
                bias + 0.5 * first @ _array(to_value.bias),
                kernels.pack(kernels.SETTINGS, _columns(np.float32(0.5) * first @ value, 4)),
                np.concatenate([_columns(_array(b.weight), 16) for _, b in maps]),
                np.concatenate([_array(b.bias) for _, b in maps]),
                kernels.pack(kernels.SETTINGS, _columns(np.float32(0.5) * value, 4)),
                0.5 * _array(to_value.bias),
                _array(covariants),
            ),
            strict=True,
        ):
            group.append(array)
    return tuple(np.ascontiguousarray(np.stack(group)) for group in made)


class Embedder:
    """Embeds environments with the weights that a network has now.

    Parameters
    ----------
    network : Network
        On the CPU, in float32, with values of even width.
    max_types : int
        Types that it tells apart.
    """

    def __init__(self, network: Network, max_types: int) -> None:
        kernels = compiled_kernels("embed")
        blocks: list[Any] = list(network.core.blocks)
        tied = hasattr(blocks[0], "tied")
        vector = [block.tied if tied else block.vector for block in blocks]
        vector_layers = _layers(kernels, vector, 2)
        none = tuple(array[:0] for array in vector_layers)
        invariant_layers = (
            none if tied else _layers(kernels, [block.invariant for block in blocks], 1)
        )
        pool, norm = none, np.zeros((2, network.core.embed_types.out_features), np.float32)
        if isinstance(network, FrameClassifier):
            pool = _layers(kernels, [network.pool], 1)
            norm = np.stack((_array(network.norm.weight), _array(network.norm.bias)))
        self._max_types = max_types
        types = torch.arange(max_types)
        pairs = encode_types(
            types.repeat_interleave(max_types), types.repeat(max_types)[:, None], max_types
        )
        with torch.no_grad():
            table = _array(network.core.embed_types(pairs[:, 0]))
        self._arrays = (
            table,
            vector_layers,
            invariant_layers,
            _perceptrons(kernels, blocks),
            pool,
            norm,
        )
        self.width = table.shape[1]

    def __call__(
        self,
        bonds: NDArray[np.float64],
        types: NDArray[np.int64],
        neighbor_types: NDArray[np.int64],
        length_scale: float | None,
    ) -> Array:
        """(B, width) embeddings of environments: bonds (B, n, 3), types (B,) and (B, n)."""
        kernels = compiled_kernels("embed")
        codes = np.zeros((0, 0), np.int32)
        if self._max_types > 1:
            codes = (types[:, None] * self._max_types + neighbor_types).astype(np.int32)
        out = np.empty((len(bonds), self.width), np.float32)
        share_out(
            lambda blocks: kernels.embed(
                kernels.SETTINGS,
                bonds,
                float(length_scale or 0),
                LONGEST,
                codes,
                *self._arrays,
                out,
                blocks,
            ),
            -(-len(bonds) // kernels.LANES),
            torch.get_num_threads(),
        )
        return out


def _perceptrons(kernels: ModuleType, blocks: list[Any]) -> tuple[Array, ...]:
    made: list[list[Array]] = [[] for _ in range(6)]
    for block in blocks:
        up, down = linear_maps(block.mlp)
        hidden = _rows(_array(up.weight), 4)
        for group, array in zip(
            made,
            (
                _array(block.norm.weight),
                _array(block.norm.bias),
                kernels.pack(kernels.SETTINGS, hidden),
                _rows(_array(up.bias), 4),
                kernels.pack(kernels.SETTINGS, _columns(_array(down.weight), 4)),
                _array(down.bias),
            ),
            strict=True,
        ):
            group.append(array)
    return tuple(np.ascontiguousarray(np.stack(group)) for group in made)


def surroundings(
    context: Context, embedding: Array, other: Array, neighbors: NDArray[np.int32]
) -> Array:
    """What a context makes of particles (m, width) and of ``other``, its map of everybody (N,
    size), for neighbors (m, n)."""
    kernels = compiled_kernels("embed")
    with torch.inference_mode():
        own = context.own(torch.as_tensor(embedding)).numpy()
    out = np.empty_like(own)
    share_out(
        lambda some: kernels.surroundings(kernels.SETTINGS, own, other, neighbors, out, some),
        len(own),
        torch.get_num_threads(),
    )
    return out


def embeds(network: nn.Module) -> bool:
    """Whether :class:`Embedder` can stand for a network's own function."""
    weights = list(network.parameters())
    return (
        isinstance(network, Network)
        and all(w.device.type == "cpu" and w.dtype == torch.float32 for w in weights)
        and network.core.embed_types.out_features % 2 == 0
        and type(network).embed in (Network.embed, FrameClassifier.embed)
    )
