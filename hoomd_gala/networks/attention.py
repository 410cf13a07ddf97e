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
weighted sum. Nor are the products :math:`r_i \\times r_j`, which commute with it as well. What is
left to do for every pair are the sums over j of :func:`pair_sums`; from sums over j with softmax
weights and the logarithm of what these were divided by follow sums over all pairs.
"""

import functools
import sys
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear, pad

from ..threads import share_out
from .algebra import N_INVARIANTS, Pairs


class PairPass(torch.autograd.Function):
    """Everything that a layer does for every pair, with torch.

    .. math::

        h &= \\mathrm{relu}(q W^T), &
        g &= \\mathrm{relu}(h M^T + u_i + u'_j), &
        (s, \\ldots) &= g L^T, &
        a &= \\mathrm{softmax}_j(s), &
        p &= \\sum_j a h

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
    def forward(  # type: ignore[override]
        ctx: Any, q: Tensor, own: Tensor, other: Tensor, w: Tensor, m: Tensor, last: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        pairs = q.shape[:3]
        features, hidden = PairPass._units(q, own, other, w, m)
        heads = (hidden @ last.T).view(*pairs, -1)
        scores = heads[..., 0]
        total = scores.logsumexp(-1, keepdim=True)
        weights = torch.exp(scores - total)
        pooled = (weights.unsqueeze(-2) @ features.view(*pairs, -1)).squeeze(-2)
        ctx.save_for_backward(q, own, other, w, m, last, weights)
        return weights, heads[..., 1:].clone(), pooled, total

    @staticmethod
    @once_differentiable
    def backward(  # type: ignore[override]
        ctx: Any, grad_weights: Tensor, grad_heads: Tensor, grad_pooled: Tensor, grad_total: Tensor
    ) -> tuple[Tensor, ...]:
        q, own, other, w, m, last, weights = ctx.saved_tensors
        features, hidden = PairPass._units(q, own, other, w, m)
        by_pair = features.view(*q.shape[:3], -1)
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
        grad_hidden = grad_hidden.view(*q.shape[:3], -1)
        return grad_q, grad_hidden.sum(2), grad_hidden.sum(1), grad_w, grad_m, grad_last


@functools.cache
def compiled_kernels(name: str) -> ModuleType:
    """The compiled kernels, imported when one is about to run: numba takes a while to load."""
    from .kernels.cpu import passes as kernels

    if not kernels.are_cached(name):
        print(f"hoomd-gala: compiling ({name}), once on this machine", file=sys.stderr)
    return kernels


class FusedPairSums(torch.autograd.Function):
    """:func:`pair_sums` by the compiled :mod:`~.passes`, which keep pairs in the cache.

    Gradients of the weights are added up in the order of the threads, so that results are the
    same from run to run.
    """

    @staticmethod
    def forward(ctx: Any, *inputs: Tensor) -> Tensor:
        kernels = compiled_kernels("forward")
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
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
        *inputs, scores, sums = ctx.saved_tensors
        arrays = [tensor.detach().contiguous().numpy() for tensor in inputs]
        taken = (scores.numpy(), sums.numpy(), grad.contiguous().numpy())
        members = [torch.empty(tensor.shape) for tensor in inputs[:4]]
        written = [tensor.numpy() for tensor in members]

        def work(part: tuple[int, int]) -> list[Tensor]:
            weights = [torch.zeros(tensor.shape) for tensor in inputs[4:]]
            added = [tensor.numpy() for tensor in weights]
            kernels = compiled_kernels("backward")
            kernels.backward(kernels.SETTINGS, *arrays[:-1], part, *taken, *written, *added)
            return weights

        parts = share_out(work, len(scores), torch.get_num_threads())
        return *members, *(sum(part[1:], part[0]) for part in zip(*parts, strict=True))


@functools.cache
def gpu_kernels(device: torch.device, training: bool) -> ModuleType | None:
    """The kernels for GPUs, if they can be had for a device; torch does without."""
    try:
        from .kernels import triton as triton_kernels

        if not triton_kernels.are_cached():
            print(f"hoomd-gala: compiling kernels for {device}, once", file=sys.stderr)
        triton_kernels.try_out(device, training)
    except Exception as error:  # whatever keeps Triton, or its compiler, from working here
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        print(f"hoomd-gala: no fused kernels on {device}, slower: {reason}", file=sys.stderr)
        return None
    return triton_kernels


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
    """Sums over the second member of the pairs, with the softmax of the first head as weights.

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
    if own.dtype == torch.float32 and own.device.type == "cpu":
        return FusedPairSums.apply(pairs.vectors, own, other, values, first, middle, last, bias)
    if own.dtype == torch.float32 and own.device.type == "cuda":
        kernels = gpu_kernels(own.device, torch.is_grad_enabled())
        if kernels is not None:
            return kernels.FusedPairSums.apply(
                pairs.vectors, own, other, values, first, middle, last, bias
            )
    weights, heads, pooled, total = PairPass.apply(
        pairs.invariants, own, other, first, middle, torch.block_diag(*last)
    )
    sums = [total, pooled, weights @ values]
    if len(last) > 1:
        scaled = weights * (heads[..., 0] + bias[1])
        sums += [scaled.sum(-1, keepdim=True), scaled @ pairs.vectors]
    return torch.cat(sums, dim=-1)


def mlp(n_in: int, hidden: int, n_out: int) -> nn.Sequential:
    """A two-layer perceptron with rectified hidden units."""
    return nn.Sequential(nn.Linear(n_in, hidden), nn.ReLU(), nn.Linear(hidden, n_out))


def linear_maps(network: nn.Sequential) -> tuple[nn.Linear, nn.Linear]:
    """The two maps of a perceptron."""
    first, last = network[0], network[-1]
    assert isinstance(first, nn.Linear)
    assert isinstance(last, nn.Linear)
    return first, last


def _padded(tensor: Tensor, extra: tuple[int, ...]) -> Tensor:
    """A tensor with zeros added, or as it is where none are wanted."""
    return pad(tensor, extra) if any(extra) else tensor


class PairWeights(NamedTuple):
    """Weights of a layer in the form in which a pass over the pairs takes them.

    Attributes
    ----------
    members : (heads·H, width)
        From the values of the points to what they add to the hidden units of the heads.
    own : (heads·H,)
        What the first member of a pair adds beside that.
    first, middle, last, bias
        See :func:`pair_sums`.
    """

    members: Tensor
    own: Tensor
    first: Tensor
    middle: Tensor
    last: Tensor
    bias: Tensor


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
        :func:`~.scale_bonds`), so that invariants differ by some tenths from
        pair to pair. With the usual initial weights V is all but linear over that range, and
        learning to bend takes several times as many steps as the rest of the training.
        """
        to_hidden, _ = linear_maps(self.value)
        hidden = len(to_hidden.bias)
        first, second = 0.3 + 0.4 * torch.rand(2, hidden)
        angle = torch.pi * torch.rand(hidden)
        size = first * second
        bend = torch.stack((size * angle.cos(), size * angle.sin(), first, second), dim=-1)
        with torch.no_grad():
            to_hidden.weight.normal_(0, 6)
            to_hidden.bias.copy_(-(to_hidden.weight * bend).sum(-1))

    def pair_weights(self) -> PairWeights:
        """The weights that :func:`pair_sums` takes, of the score and, where there is one, of α."""
        to_hidden, to_value = linear_maps(self.value)
        firsts, lasts = zip(*(linear_maps(head) for head in self.heads()), strict=True)
        # the kernels take hidden units of V by fours and those of the heads by sixteens
        units = len(to_hidden.bias)
        extra, more = -units % 4, -units % 16
        first = torch.cat([_padded(layer.weight, (0, 0, 0, more)) for layer in firsts])
        bias = torch.cat([_padded(layer.bias, (0, more)) for layer in firsts])
        return PairWeights(
            0.25 * first,
            bias + 0.5 * first @ to_value.bias,
            _padded(
                torch.cat((to_hidden.weight, to_hidden.bias.unsqueeze(-1)), -1), (0, 0, 0, extra)
            ),
            _padded(0.5 * first @ to_value.weight, (0, extra)),
            _padded(torch.cat([layer.weight for layer in lasts]), (0, more)),
            # what all scores have in common changes nothing
            torch.cat([lasts[0].bias.detach(), *(layer.bias for layer in lasts[1:])]),
        )

    def heads(self) -> tuple[nn.Sequential, ...]:
        """The perceptrons whose outputs every pair has."""
        return (self.score,)

    def _attend(self, pairs: Pairs, values: Tensor) -> list[Tensor]:
        """Logarithmic weights of the points, and the averages over j of :func:`pair_sums`."""
        weights = self.pair_weights()
        members = linear(values, weights.members)
        sums = pair_sums(pairs, members + weights.own, members, values, *weights[2:])
        units = len(linear_maps(self.value)[0].bias)
        extra = len(weights.first) - units
        moments = [1, 3] if len(weights.last) > 1 else []
        total, pooled, _, *rest = sums.split([1, units, extra, values.shape[-1], *moments], dim=-1)
        return [total, pooled, *rest]

    def _over_points(self, total: Tensor, per_point: Tensor) -> Tensor:
        """Average over the points with the softmax weights of their pairs, when reducing."""
        if not self.reduce:
            return per_point
        return (torch.softmax(total, dim=-2).mT @ per_point).squeeze(-2)

    def _invariant_sum(
        self, total: Tensor, pooled: Tensor, members: Tensor, values: Tensor
    ) -> Tensor:
        _, to_value = linear_maps(self.value)
        pooled = to_value(self._over_points(total, pooled))
        return 0.5 * pooled + 0.25 * self._over_points(total, values + members)


class InvariantAttention(PairAttention):
    """Rotation-invariant values from a cloud of vectors with values.

    ``forward(pairs, values)`` takes the :class:`~.Pairs` of (B, n, 3) vectors
    and (B, n, width) values and returns (B, n, width), or (B, width) when reducing. Equals the
    ``VectorAttention`` of geometric-algebra-attention with full invariants.
    """

    def forward(self, pairs: Pairs, values: Tensor) -> Tensor:
        total, pooled, members = self._attend(pairs, values)
        return self._invariant_sum(total, pooled, members, values)


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

    def heads(self) -> tuple[nn.Sequential, ...]:
        """The perceptrons whose outputs every pair has."""
        return self.score, self.scale

    def _covariants(self, vectors: Tensor, scale: Tensor, moment: Tensor) -> Tensor:
        """Sum over j of covariants, from the sums of their scales and of these times r_j."""
        dual, first, second = self.covariant_weights
        cross = torch.linalg.cross(vectors, moment)
        return dual * cross + first * scale * vectors + second * moment

    def forward(self, pairs: Pairs, values: Tensor) -> Tensor:
        total, _, _, scale, moment = self._attend(pairs, values)
        return self._over_points(total, self._covariants(pairs.vectors, scale, moment))


class TiedAttention(VectorAttention):
    """Vectors and invariant values from one pass over the pairs, with the same weights for both.

    ``forward(pairs, values)`` returns the pair of what :class:`VectorAttention` and
    :class:`InvariantAttention` return. Equals the ``TiedVectorAttention`` of
    geometric-algebra-attention.
    """

    def forward(self, pairs: Pairs, values: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        total, pooled, members, scale, moment = self._attend(pairs, values)
        vectors = self._over_points(total, self._covariants(pairs.vectors, scale, moment))
        return vectors, self._invariant_sum(total, pooled, members, values)


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
        weights, vectors = weights.squeeze(-1), pairs.vectors.unsqueeze(1)
        scale = weights.sum(-1, keepdim=True)
        return self._covariants(vectors, scale, weights @ vectors).sum(-2)
