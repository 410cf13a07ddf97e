"""Geometric algebra attention over the pairs of a point cloud.

Every layer forms the value of a pair from its invariants :math:`q_{ij}` and the values of its two
members, scores it, and sums over pairs with softmax weights (Spellings, arXiv 2110.02393, with
means for the joining and merging functions)

.. math::

    v_{ij} &= \\tfrac12 V(q_{ij}) + \\tfrac14 (v_i + v_j) \\\\
    a_{ij} &= \\operatorname{softmax}(S(v_{ij})) \\\\
    y_i &= \\sum_j a_{ij} v_{ij}, \\qquad
    r'_i = \\sum_j a_{ij} \\, \\alpha(v_{ij}) \\,
        (w_0 \\, r_i \\times r_j + w_1 r_i + w_2 r_j).

A layer that keeps the points (``reduce=False``) normalizes and sums over j; one that reduces the
cloud to a single value (``reduce=True``) does so over all pairs.

The pair values themselves are never formed. With :math:`V(q) = V_2 h + b` and
:math:`h = \\mathrm{relu}(V_1 q + c)`, the first linear map of S or α applied to a pair splits into
:math:`\\tfrac12 S_1 V_2 h_{ij}` and one term for each member, and :math:`V_2` commutes with the
weighted sum. What is left to do for every pair is :class:`PairPass`.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear

from .algebra import N_INVARIANTS, Pairs

#: Point clouds that a pass works on at a time on the CPU, so that its tensors stay in the cache.
BLOCK = 8


class PairPass(torch.autograd.Function):
    """Everything that a layer does for every pair, a few point clouds at a time.

    .. math::

        h &= \\mathrm{relu}(q W^T), &
        g &= \\mathrm{relu}(h M^T + u_i + u'_j), &
        (s, \\ldots) &= g L^T, &
        a &= \\mathrm{softmax}(s), &
        p &= \\sum a h

    ``apply(q, u, u', W, M, L, reduce)`` takes invariants (B, n, n, 5), member terms (B, n, H) and
    the weights (h, 5), (H, h) and (k, H), and returns a (B, n, n), the remaining heads
    (B, n, n, k - 1) and p, which is (B, n, h), or (B, h) when reducing.

    Only the inputs and a are kept for the backward pass, which computes h and g again: cheaper
    than a trip through memory, and the memory does not grow with the hidden units.
    """

    @staticmethod
    def _block(
        q: Tensor, own: Tensor, other: Tensor, w: Tensor, m: Tensor
    ) -> tuple[Tensor, Tensor]:
        features = (q.flatten(0, -2) @ w.T).relu_()
        hidden = (own.unsqueeze(-2) + other.unsqueeze(-3)).flatten(0, -2)
        return features, hidden.addmm_(features, m.T).relu_()

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        q: Tensor,
        own: Tensor,
        other: Tensor,
        w: Tensor,
        m: Tensor,
        last: Tensor,
        reduce: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        clouds, n = q.shape[:2]
        group = n * n if reduce else n
        block = BLOCK if q.device.type == "cpu" else clouds
        parts = []
        for start in range(0, clouds, block):
            rows = slice(start, start + block)
            features, hidden = PairPass._block(q[rows], own[rows], other[rows], w, m)
            heads = hidden @ last.T
            weights = torch.softmax(heads[:, 0].view(-1, group), dim=-1)
            pooled = weights.unsqueeze(1) @ features.view(-1, group, features.shape[-1])
            parts.append((weights, heads[:, 1:], pooled.squeeze(1)))
        weights, heads, pooled = (torch.cat(part) for part in zip(*parts, strict=True))
        weights = weights.view(clouds, n, n)
        ctx.save_for_backward(q, own, other, w, m, last, weights)
        ctx.group = group
        pooled = pooled if reduce else pooled.view(clouds, n, -1)
        return weights, heads.view(clouds, n, n, -1), pooled

    @staticmethod
    @once_differentiable
    def backward(  # type: ignore[override]
        ctx: Any, grad_weights: Tensor, grad_heads: Tensor, grad_pooled: Tensor
    ) -> tuple[Tensor | None, ...]:
        q, own, other, w, m, last, weights = ctx.saved_tensors
        clouds, n = q.shape[:2]
        group, size = ctx.group, w.shape[0]
        grad_q = torch.empty_like(q)
        grad_own, grad_other = torch.empty_like(own), torch.empty_like(other)
        grad_w, grad_m, grad_last = (torch.zeros_like(x) for x in (w, m, last))
        block = BLOCK if q.device.type == "cpu" else clouds
        for start in range(0, clouds, block):
            rows = slice(start, start + block)
            features, hidden = PairPass._block(q[rows], own[rows], other[rows], w, m)
            grouped = features.view(-1, group, size)
            a = weights[rows].reshape(-1, group)
            pooled = grad_pooled[rows].reshape(-1, size, 1)
            # through the weighted sum and the softmax to the scores
            grad_a = grad_weights[rows].reshape(-1, group) + (grouped @ pooled).squeeze(-1)
            grad_a = a * (grad_a - (a * grad_a).sum(-1, keepdim=True))
            grad_out = torch.cat(
                (grad_a.view(-1, 1), grad_heads[rows].reshape(grad_a.numel(), -1)), dim=-1
            )
            grad_last.addmm_(grad_out.T, hidden)
            grad_hidden = (grad_out @ last).mul_(hidden.sign_())
            grad_m.addmm_(grad_hidden.T, features)
            by_pair = grad_hidden.view(-1, n, n, m.shape[0])
            grad_own[rows] = by_pair.sum(2)
            grad_other[rows] = by_pair.sum(1)
            grad_features = grad_hidden @ m
            grad_features.view(-1, group, size).baddbmm_(a.unsqueeze(-1), pooled.transpose(1, 2))
            grad_features.mul_(features.sign_())
            grad_w.addmm_(grad_features.T, q[rows].flatten(0, -2))
            grad_q[rows] = (grad_features @ w).view_as(q[rows])
        return grad_q, grad_own, grad_other, grad_w, grad_m, grad_last, None


def mlp(n_in: int, hidden: int, n_out: int) -> nn.Sequential:
    """A two-layer perceptron with rectified hidden units."""
    return nn.Sequential(nn.Linear(n_in, hidden), nn.ReLU(), nn.Linear(hidden, n_out))


def _linears(network: nn.Sequential) -> tuple[nn.Linear, nn.Linear]:
    first, last = network[0], network[-1]
    assert isinstance(first, nn.Linear)
    assert isinstance(last, nn.Linear)
    return first, last


class PairAttention(nn.Module):
    """What all layers share: pair values, their scores, and sums over pairs.

    Parameters
    ----------
    width : int
        Length of the per-point values.
    hidden : int
        Hidden units of each MLP.
    reduce : bool
        Sum over all pairs (one result per cloud) instead of over j (one per point).
    """

    def __init__(self, width: int, hidden: int, reduce: bool = False) -> None:
        super().__init__()
        self.reduce = reduce
        self.value = mlp(N_INVARIANTS, hidden, width)
        self.score = mlp(width, hidden, 1)
        self._spread_hinges()

    def _spread_hinges(self) -> None:
        """Let every hidden unit of V bend at some pair of typical bonds.

        Bonds are about half a unit long when they get here (see
        :func:`~hoomd_gala.environments.scale_bonds`), so that invariants differ by some tenths from
        pair to pair. With the usual initial weights V is all but linear over that range, and
        learning to bend takes several times as many steps as the rest of the training.
        """
        to_hidden, _ = _linears(self.value)
        hidden = len(to_hidden.bias)
        first, second = 0.3 + 0.4 * torch.rand(2, hidden)
        angle = torch.pi * torch.rand(hidden)
        size = first * second
        bend = torch.stack((size * angle.cos(), size * angle.sin(), first, second), dim=-1)
        with torch.no_grad():
            to_hidden.weight.normal_(0, 6)
            to_hidden.bias.copy_(-(to_hidden.weight * bend).sum(-1))

    def _attend(
        self, pairs: Pairs, values: Tensor, *heads: nn.Sequential
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Attention weights, further heads on the pair values without their last bias, and the
        weighted sum of the hidden units of V; see :class:`PairPass`."""
        to_hidden, to_value = _linears(self.value)
        firsts, lasts = zip(*(_linears(head) for head in (self.score, *heads)), strict=True)
        first = torch.cat([layer.weight for layer in firsts])
        bias = torch.cat([layer.bias for layer in firsts])
        return PairPass.apply(
            pairs.invariants,
            linear(values, 0.25 * first, bias + 0.5 * first @ to_value.bias),
            linear(values, 0.25 * first),
            torch.cat((to_hidden.weight, to_hidden.bias.unsqueeze(-1)), dim=-1),
            0.5 * first @ to_value.weight,
            torch.block_diag(*(layer.weight for layer in lasts)),
            self.reduce,
        )

    def _invariant_sum(self, weights: Tensor, pooled: Tensor, values: Tensor) -> Tensor:
        _, to_value = _linears(self.value)
        if self.reduce:
            members = ((weights.sum(-1) + weights.sum(-2)).unsqueeze(-2) @ values).squeeze(-2)
        else:
            members = values + weights @ values
        return 0.5 * to_value(pooled) + 0.25 * members


class InvariantAttention(PairAttention):
    """Rotation-invariant values from a cloud of vectors with values.

    ``forward(pairs, values)`` takes the :class:`~hoomd_gala.algebra.Pairs` of (B, n, 3) vectors
    and (B, n, width) values and returns (B, n, width), or (B, width) when reducing. Equals the
    ``VectorAttention`` of geometric-algebra-attention with full invariants.
    """

    def forward(self, pairs: Pairs, values: Tensor) -> Tensor:
        weights, _, pooled = self._attend(pairs, values)
        return self._invariant_sum(weights, pooled, values)


class VectorAttention(PairAttention):
    """Vectors that turn with the sample, from a cloud of vectors with values.

    ``forward(pairs, values)`` returns (B, n, 3), or (B, 3) when reducing. Equals the
    ``Vector2VectorAttention`` of geometric-algebra-attention with full invariants and covariants.
    """

    def __init__(self, width: int, hidden: int, reduce: bool = False) -> None:
        super().__init__(width, hidden, reduce)
        self.scale = mlp(width, hidden, 1)
        #: Weights of r_i × r_j, r_i and r_j.
        self.covariant_weights = nn.Parameter(0.05 * torch.randn(3))

    def _scaled(self, weights: Tensor, heads: Tensor) -> Tensor:
        """Attention weights times α of each pair."""
        _, last = _linears(self.scale)
        return weights * (heads.squeeze(-1) + last.bias)

    def _vector_sum(self, weights: Tensor, pairs: Pairs) -> Tensor:
        dual, first, second = self.covariant_weights
        product = (weights.unsqueeze(-2) @ pairs.dual).squeeze(-2)
        per_point = (
            dual * product
            + first * weights.sum(-1, keepdim=True) * pairs.vectors
            + second * weights @ pairs.vectors
        )
        return per_point.sum(-2) if self.reduce else per_point

    def forward(self, pairs: Pairs, values: Tensor) -> Tensor:
        weights, heads, _ = self._attend(pairs, values, self.scale)
        return self._vector_sum(self._scaled(weights, heads), pairs)


class TiedAttention(VectorAttention):
    """Vectors and invariant values from one pass over the pairs, with the same weights for both.

    ``forward(pairs, values)`` returns the pair of what :class:`VectorAttention` and
    :class:`InvariantAttention` return. Equals the ``TiedVectorAttention`` of
    geometric-algebra-attention.
    """

    def forward(self, pairs: Pairs, values: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        weights, heads, pooled = self._attend(pairs, values, self.scale)
        vectors = self._vector_sum(self._scaled(weights, heads), pairs)
        return vectors, self._invariant_sum(weights, pooled, values)


class LabeledVectorAttention(VectorAttention):
    """One vector for each label, built from a set of reference vectors.

    ``forward(labels, pairs, values)`` takes (B, m, width) labels, the pairs of (B, n, 3) reference
    vectors and their (B, n, width) values, and returns (B, m, 3). The label :math:`c_l` joins the
    pair's value, :math:`v_{l,ij} = \\tfrac13 (c_l + V(q_{ij}) + \\tfrac12 (v_i + v_j))`. Equals the
    reducing ``LabeledVectorAttention`` of geometric-algebra-attention.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__(width, hidden, reduce=True)

    def forward(self, labels: Tensor, pairs: Pairs, values: Tensor) -> Tensor:  # type: ignore[override]
        members = 0.5 * (values.unsqueeze(-2) + values.unsqueeze(-3))
        pair_values = self.value(pairs.invariants[..., :N_INVARIANTS]) + members
        joined = (labels[:, :, None, None, :] + pair_values.unsqueeze(1)) / 3
        scores = self.score(joined)
        weights = torch.softmax(scores.flatten(-3), dim=-1).view_as(scores) * self.scale(joined)
        labeled = Pairs(*(tensor.unsqueeze(1) for tensor in pairs))
        return self._vector_sum(weights.squeeze(-1), labeled)
