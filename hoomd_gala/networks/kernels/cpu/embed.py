"""Embeddings on the CPU without a detour through tensors.

The weights of a network are brought once into the form in which :func:`~.passes.embed` takes them;
environments then pass through all layers in blocks that stay in the cache.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from ....threads import share_out
from ...algebra import LONGEST
from ..weights import BlockWeights, LayerWeights, NetworkWeights
from .pair_sums import announced

Array = NDArray[np.float32]


def _array(tensor: torch.Tensor) -> Array:
    return np.ascontiguousarray(tensor.detach().numpy(), dtype=np.float32)


def _rows(array: Array, multiple: int) -> Array:
    """With rows of zeros up to a multiple."""
    return np.pad(array, [(0, -len(array) % multiple)] + [(0, 0)] * (array.ndim - 1))


def _columns(array: Array, multiple: int) -> Array:
    return np.pad(array, [(0, 0), (0, -array.shape[1] % multiple)])


def _packed(weights: Array) -> Array:
    """Weights in the order in which products take them."""
    kernels = announced("embed")
    packed: Array = kernels.pack(kernels.SETTINGS, weights)
    return packed


def _stacked(groups: list[tuple[Array, ...]]) -> tuple[Array, ...]:
    """Arrays of several layers with a first axis for the layer."""
    return tuple(np.ascontiguousarray(np.stack(group)) for group in zip(*groups, strict=True))


def _layer(layer: LayerWeights) -> tuple[Array, ...]:
    """Weights of a layer.

    Returns
    -------
    first (h, 5), members, more (heads·H,), middle, last (heads, H), bias (heads,), value,
    value_bias (width,), covariants (3,)
        See :mod:`~.passes`; members are the maps from the values to u and u', more is added to u,
        and value is the last map of V. The three maps are packed for products.
    """
    first = np.concatenate([_rows(_array(head.up), 16) for head in layer.heads])
    bias = np.concatenate([_rows(_array(head.up_bias), 16) for head in layer.heads])
    value, value_bias = _array(layer.value.down), _array(layer.value.down_bias)
    columns = np.concatenate((_array(layer.value.up), _array(layer.value.up_bias)[:, None]), 1)
    return (
        _rows(columns, 4),
        _packed(np.concatenate((0.25 * first, 0.25 * first))),
        np.asarray(bias + 0.5 * first @ value_bias, np.float32),
        _packed(_columns(np.float32(0.5) * first @ value, 4)),
        np.concatenate([_columns(_array(head.down), 16) for head in layer.heads]),
        np.concatenate([_array(head.down_bias) for head in layer.heads]),
        _packed(_columns(np.float32(0.5) * value, 4)),
        np.asarray(0.5 * value_bias, np.float32),
        np.zeros(3, np.float32) if layer.covariants is None else _array(layer.covariants),
    )


def _perceptron(block: BlockWeights) -> tuple[Array, ...]:
    mlp = block.mlp
    return (
        _array(block.norm),
        _array(block.norm_bias),
        _packed(_rows(_array(mlp.up), 4)),
        _rows(_array(mlp.up_bias), 4),
        _packed(_columns(_array(mlp.down), 4)),
        _array(mlp.down_bias),
    )


class Embedder:
    """Embeds environments with the weights that a network has now.

    Parameters
    ----------
    weights : NetworkWeights
        On the CPU, in float32, with values of even width.
    """

    def __init__(self, weights: NetworkWeights) -> None:
        # all blocks have the same layers: one for vectors and values, or one for each
        first, *second = zip(*(block.layers for block in weights.blocks), strict=True)
        vector = _stacked([_layer(layer) for layer in first])
        none = tuple(array[:0] for array in vector)
        invariant = _stacked([_layer(layer) for layer in second[0]]) if second else none
        pool, head = (
            none if layer is None else _stacked([_layer(layer)])
            for layer in (weights.pool, weights.head)
        )
        norm = np.stack((_array(weights.norm), _array(weights.norm_bias)))
        perceptrons = _stacked([_perceptron(block) for block in weights.blocks])
        table = _array(weights.table)
        self._arrays = (table, vector, invariant, perceptrons, pool, norm, head)
        self._max_types = weights.max_types
        self.width = table.shape[1]

    def __call__(
        self,
        bonds: NDArray[np.float64],
        types: NDArray[np.int64],
        neighbor_types: NDArray[np.int64],
        length_scale: float | None,
    ) -> Array:
        """(B, width) embeddings of environments: bonds (B, n, 3), types (B,) and (B, n)."""
        out = np.empty((len(bonds), self.width), np.float32)
        nothing = np.empty((0, *bonds.shape[1:]), np.float32)
        self._run(bonds, types, neighbor_types, length_scale, out, nothing)
        return out

    def corrections(
        self,
        bonds: NDArray[np.float64],
        types: NDArray[np.int64],
        neighbor_types: NDArray[np.int64],
        length_scale: float | None,
    ) -> Array:
        """(B, n, 3) corrections by the head, in units of scaled bonds, of environments as above."""
        found = np.empty(bonds.shape, np.float32)
        nothing = np.empty((0, self.width), np.float32)
        self._run(bonds, types, neighbor_types, length_scale, nothing, found)
        return found

    def _run(
        self,
        bonds: NDArray[np.float64],
        types: NDArray[np.int64],
        neighbor_types: NDArray[np.int64],
        length_scale: float | None,
        out: Array,
        corrections: Array,
    ) -> None:
        kernels = announced("embed")
        codes = np.zeros((0, 0), np.int32)
        if self._max_types > 1:
            codes = (types[:, None] * self._max_types + neighbor_types).astype(np.int32)
        share_out(
            lambda blocks: kernels.embed(
                kernels.SETTINGS,
                bonds,
                float(length_scale or 0),
                LONGEST,
                codes,
                *self._arrays,
                out,
                corrections,
                blocks,
            ),
            -(-len(bonds) // kernels.LANES),
            torch.get_num_threads(),
        )


def surroundings(own: Array, other: Array, neighbors: NDArray[np.int32]) -> Array:
    """Mean over neighbors of relu(own + other): (m, size), (N, size) and (m, n) make (m, size)."""
    kernels = announced("embed")
    out = np.empty_like(own)
    share_out(
        lambda some: kernels.surroundings(kernels.SETTINGS, own, other, neighbors, out, some),
        len(own),
        torch.get_num_threads(),
    )
    return out
