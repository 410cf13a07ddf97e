"""The pass over the pairs in plain torch: what compiled kernels are compared with.

Runs on any device and in any precision.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..algebra import Pairs


class PairPass(torch.autograd.Function):
    r"""Everything that a layer does for every pair.

    .. math::

        h &= \mathrm{relu}(q W^T), &
        g &= \mathrm{relu}(h M^T + u_i + u'_j), &
        (s, \ldots) &= g L^T, &
        a &= \mathrm{softmax}_j(s), &
        p &= \sum_j a h

    ``apply(q, u, u', W, M, L)`` takes invariants (B, n, n, 5), member terms (B, n, H) and
    the weights (h, 5), (H, h) and (k, H), and returns a (B, n, n), the remaining heads
    (B, n, n, k - 1), p (B, n, h), and the logarithm of the sum of exp(s), (B, n, 1).

    Only the inputs and a are kept for the backward pass, which computes h and g again: cheaper
    than a trip through memory, and the memory does not grow with the hidden units.
    """

    @staticmethod
    def _units(
        q: Tensor, own: Tensor, other: Tensor, w: Tensor, m: Tensor
    ) -> tuple[Tensor, Tensor]:
        features = (q.flatten(0, -2) @ w.T).relu_()
        hidden = (own.unsqueeze(-2) + other.unsqueeze(-3)).flatten(0, -2)
        return features, hidden.addmm_(features, m.T).relu_()

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, own: Tensor, other: Tensor, w: Tensor, m: Tensor, last: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Compute the pass, and keep inputs and weights."""
        pairs = q.shape[:3]
        features, hidden = PairPass._units(q, own, other, w, m)
        heads = (hidden @ last.T).view(*pairs, len(last))
        scores = heads[..., 0]
        total = scores.logsumexp(-1, keepdim=True)
        weights = torch.exp(scores - total)
        pooled = (weights.unsqueeze(-2) @ features.view(*pairs, len(w))).squeeze(-2)
        ctx.save_for_backward(q, own, other, w, m, last, weights)
        return weights, heads[..., 1:].clone(), pooled, total

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_weights: Tensor, grad_heads: Tensor, grad_pooled: Tensor, grad_total: Tensor
    ) -> tuple[Tensor, ...]:
        """Compute gradients of the inputs."""
        q, own, other, w, m, last, weights = ctx.saved_tensors
        features, hidden = PairPass._units(q, own, other, w, m)
        by_pair = features.view(*q.shape[:3], len(w))
        # through the weighted sum and the softmax to the scores
        grad_a = grad_weights + (by_pair @ grad_pooled.unsqueeze(-1)).squeeze(-1)
        grad_a = weights * (grad_a - (weights * grad_a).sum(-1, keepdim=True) + grad_total)
        grad_out = torch.cat((grad_a.unsqueeze(-1), grad_heads), dim=-1).flatten(0, -2)
        grad_last = grad_out.T @ hidden
        grad_hidden = (grad_out @ last).mul_(hidden.sign_())
        grad_m = grad_hidden.T @ features
        grad_features = (grad_hidden @ m).view_as(by_pair)
        grad_features += weights.unsqueeze(-1) * grad_pooled.unsqueeze(-2)
        grad_features = grad_features.mul_(by_pair.sign_()).flatten(0, -2)
        grad_w = grad_features.T @ q.flatten(0, -2)
        grad_q = (grad_features @ w).view_as(q)
        grad_hidden = grad_hidden.view(*q.shape[:3], len(m))
        return grad_q, grad_hidden.sum(2), grad_hidden.sum(1), grad_w, grad_m, grad_last


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
    """See :func:`hoomd_gala.networks.kernels.pair_sums`."""
    to_heads: Tensor = torch.block_diag(*last)  # type: ignore[no-untyped-call]
    weights, heads, pooled, total = PairPass.apply(  # type: ignore[no-untyped-call]
        pairs.invariants, own, other, first, middle, to_heads
    )
    sums = [total + bias[0], pooled, weights @ values]
    if len(last) > 1:
        scaled = weights * (heads[..., 0] + bias[1])
        sums += [scaled.sum(-1, keepdim=True), scaled @ pairs.vectors]
    return torch.cat(sums, dim=-1)


def around(own: Tensor, other: Tensor, neighbors: Tensor) -> Tensor:
    """See :func:`hoomd_gala.networks.kernels.around`."""
    units = torch.nn.functional.embedding(neighbors, other)
    # in place, as reading and writing memory takes most of the time
    units += own.unsqueeze(-2)
    return units.relu_().mean(-2)
