"""The sums over pairs of an attention layer, and whole networks from environments to embeddings.

One interface, :func:`pair_sums` and :func:`around` with their backward passes and
:func:`embedder`, and behind it

===================  ==============================================================
:mod:`.reference`    plain torch, on any device and in any precision
:mod:`.cpu`          compiled by numba, for float32 on the CPU
:mod:`.triton`       compiled by Triton, for float32 on NVIDIA GPUs
===================  ==============================================================

:mod:`.choice` picks one by the device and the precision of the weights. The environment variable
``HOOMD_GALA_KERNELS``, or :func:`use` in a ``with`` statement, overrules it: ``auto`` takes
compiled kernels where they work, ``reference`` takes plain torch, and ``fused`` takes compiled
kernels and raises an error where ``auto`` would fall back on plain torch.

Compiled kernels are compared with the reference when they are first used on a device
(:mod:`.verification`). Where they differ or fail, there is one warning, and the reference is used.
"""

from typing import Any

import torch
from torch import Tensor

from ..algebra import Pairs
from . import reference
from .choice import BACKENDS, CHOICES, VARIABLE, compiled, takes_compiled, use
from .verification import around_error, pair_sums_error
from .weights import (
    BlockWeights,
    LayerWeights,
    NetworkWeights,
    PairWeights,
    Perceptron,
    pair_weights,
)

__all__ = [
    "CHOICES",
    "VARIABLE",
    "BlockWeights",
    "LayerWeights",
    "NetworkWeights",
    "PairWeights",
    "Perceptron",
    "around",
    "embedder",
    "pair_sums",
    "pair_weights",
    "surroundings",
    "use",
]


def pair_sums(
    pairs: Pairs,
    own: Tensor,
    other: Tensor,
    values: Tensor,
    first: Tensor,
    middle: Tensor,
    last: Tensor,
    bias: Tensor,
) -> Tensor:
    """Sum over the second members of pairs, with the softmax of the first head as weights.

    Parameters
    ----------
    pairs : Pairs
        Of (B, n, 3) vectors.
    own, other : (B, n, heads·H)
        What the members of a pair add to the hidden units of the heads.
    values : (B, n, width)
        Values of the points.
    first : (h, 5)
        From invariants and a constant 1 to the hidden units of V.
    middle : (heads·H, h)
        From these to those of the heads.
    last, bias : (heads, H) and (heads,)
        From these to the heads' outputs.

    Returns
    -------
    (B, n, 1 + h + width [+ 4])
        The logarithm of the sum over j of exp(score); averages over j of the hidden units of V,
        of the values and, if there is a second head α, of α and α r_j.
    """
    device, inputs = own.device, (pairs.vectors, own, other, values, first, middle, last, bias)
    training = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs)
    if takes_compiled(
        device,
        own.dtype,
        "gradients" if training else "sums",
        lambda: pair_sums_error(compiled(device).PairSums.apply, device, training),
    ):
        sums: Tensor = compiled(device).PairSums.apply(*inputs)
        return sums
    return reference.pair_sums(pairs, own, other, values, first, middle, last, bias)


def embedder(weights: NetworkWeights) -> Any:
    """Make the compiled function from environments to embeddings, on the device of the weights.

    It takes ``(bonds, types, neighbor_types, length_scale)``, arrays, on the CPU and
    ``(scaled_bonds, types, neighbor_types)``, tensors, on a GPU, and returns (B, width) embeddings.
    Its reference is the network itself on plain torch: see :mod:`hoomd_gala.networks.inference`.
    """
    return compiled(weights.table.device, "embed").Embedder(weights)


def surroundings(own: Any, other: Any, neighbors: Any, device: torch.device) -> Any:
    """Average over neighbors relu(own + other), compiled.

    Parameters
    ----------
    own, other : (m, size) and (N, size)
        Arrays on the CPU, tensors on a GPU.
    neighbors : (m, n) int32
        Rows of ``other``.
    device : torch.device
        Where they are.

    Returns
    -------
    (m, size)
    """
    return compiled(device, "embed").surroundings(own, other, neighbors)


def around(own: Tensor, other: Tensor, neighbors: Tensor) -> Tensor:
    """Average over neighbors relu(own + other), so that gradients can be had.

    Compiled on the CPU; on a GPU it is plain torch, which is fast enough there.

    Parameters
    ----------
    own, other : (N, size)
        What particles add for themselves, and as neighbors of others.
    neighbors : (N, n) int64
        Rows of ``other``.

    Returns
    -------
    (N, size)
    """
    device = own.device
    if "around" in BACKENDS.get(device.type, {}) and takes_compiled(
        device, own.dtype, "around", lambda: around_error(compiled(device, "around").Around.apply)
    ):
        units: Tensor = compiled(device, "around").Around.apply(own, other, neighbors)
        return units
    return reference.around(own, other, neighbors)
