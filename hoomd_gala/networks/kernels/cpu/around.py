"""What surrounds particles, and its gradients, by the compiled :mod:`~.passes`."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ....threads import share_out
from .embed import surroundings
from .pair_sums import announced


class Around(torch.autograd.Function):
    """:func:`~hoomd_gala.networks.kernels.around` on the CPU.

    Plain torch takes all pairs through memory, and once more for every gradient. Gradients are
    summed in the order of the threads, so that results are the same from run to run.
    """

    @staticmethod
    def forward(ctx: Any, own: Tensor, other: Tensor, neighbors: Tensor) -> Tensor:
        """Compute the average, and keep the inputs."""
        inputs = [tensor.detach().contiguous() for tensor in (own, other, neighbors.int())]
        ctx.save_for_backward(*inputs)
        return torch.from_numpy(surroundings(*(tensor.numpy() for tensor in inputs)))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        """Compute gradients of what the members of a pair add."""
        kernels = announced("surroundings_backward")
        own, other, neighbors = ctx.saved_tensors
        taken = [tensor.numpy() for tensor in (own, other, neighbors, grad.contiguous())]
        grad_own = torch.empty_like(own)
        written = grad_own.numpy()

        def work(some: tuple[int, int]) -> Tensor:
            added = torch.zeros_like(other)
            kernels.surroundings_backward(kernels.SETTINGS, *taken, some, written, added.numpy())
            return added

        parts = share_out(work, len(own), torch.get_num_threads())
        return grad_own, sum(parts[1:], parts[0]), None
