"""Sums over pairs and their gradients by the compiled :mod:`~.passes`."""

import functools
import sys
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ....threads import share_out
from . import passes


@functools.cache
def announced(name: str) -> ModuleType:
    """Return the passes, of which one is about to run, and say so if it must be compiled first."""
    if not passes.are_cached(name):
        print(
            f"hoomd-gala: compiling ({name}), once on this machine: this may take a minute",
            file=sys.stderr,
        )
    return passes


class PairSums(torch.autograd.Function):
    """:func:`~hoomd_gala.networks.kernels.pair_sums` on the CPU.

    ``apply`` takes the vectors in place of the pairs. Gradients of the weights are summed in the
    order of the threads, so that results are the same from run to run.
    """

    @staticmethod
    def forward(ctx: Any, *inputs: Tensor) -> Tensor:
        """Compute the sums, and keep inputs, scores and sums."""
        kernels = announced("forward")
        arrays = [tensor.detach().contiguous().numpy() for tensor in inputs]
        vectors, _, _, values, first, _, last, _ = arrays
        clouds, n, _ = vectors.shape
        blocks = -(-clouds // kernels.LANES)
        wide = kernels.padded(n * kernels.LANES)
        scores = torch.empty(blocks, n, len(last), wide)
        moments = 4 if len(last) > 1 else 0
        sums = torch.empty(clouds, n, 1 + len(first) + values.shape[-1] + moments)
        share_out(
            lambda part: kernels.forward(
                kernels.SETTINGS, *arrays, part, scores.numpy(), sums.numpy()
            ),
            blocks,
            torch.get_num_threads(),
        )
        ctx.save_for_backward(*inputs, scores, sums)
        return sums

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        """Compute gradients of the inputs."""
        kernels = announced("backward")
        *inputs, scores, sums = ctx.saved_tensors
        arrays = [tensor.detach().contiguous().numpy() for tensor in inputs]
        taken = (scores.numpy(), sums.numpy(), grad.contiguous().numpy())
        members = [torch.empty(tensor.shape) for tensor in inputs[:4]]
        written = [tensor.numpy() for tensor in members]

        def work(part: tuple[int, int]) -> list[Tensor]:
            weights = [torch.zeros(tensor.shape) for tensor in inputs[4:]]
            added = [tensor.numpy() for tensor in weights]
            kernels.backward(kernels.SETTINGS, *arrays[:-1], part, *taken, *written, *added)
            return weights

        parts = share_out(work, len(scores), torch.get_num_threads())
        return *members, *(sum(part[1:], part[0]) for part in zip(*parts, strict=True))
