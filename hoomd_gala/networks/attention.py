r"""Geometric algebra attention over the pairs of a point cloud.

Every layer forms the value of a pair from its invariants :math:`q_{ij}` and the values of its two
members, scores it, and sums over pairs with softmax weights (Spellings, arXiv 2110.02393, with
means for the joining and merging functions)

.. math::

    v_{ij} &= \tfrac12 V(q_{ij}) + \tfrac14 (v_i + v_j) \\
    a_{ij} &= \operatorname{softmax}(S(v_{ij})) \\
    y_i &= \sum_j a_{ij} v_{ij}, \qquad
    r'_i = \sum_j a_{ij} \, \alpha(v_{ij}) \,
        (w_0 \, r_i \times r_j + w_1 r_i + w_2 r_j).

A layer that keeps the points (``reduce=False``) normalizes and sums over j; one that reduces the
cloud to a single value (``reduce=True``) does so over all pairs.

The pair values themselves are never formed. With :math:`V(q) = V_2 h + b` and
:math:`h = \mathrm{relu}(V_1 q + c)`, the first linear map of S or α applied to a pair splits into
:math:`\tfrac12 S_1 V_2 h_{ij}` and one term for each member, and :math:`V_2` commutes with the
weighted sum. Nor are the products :math:`r_i \times r_j`, which commute with it as well. What is
left to do for every pair are the sums over j of :func:`pair_sums`; from sums over j with softmax
weights and the logarithm of what these were divided by follow sums over all pairs.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from .algebra import N_INVARIANTS, Pairs
from .kernels import LayerWeights, Perceptron, pair_sums, pair_weights


def mlp(n_in: int, hidden: int, n_out: int) -> nn.Sequential:
    """Make a two-layer perceptron with rectified hidden units."""
    return nn.Sequential(nn.Linear(n_in, hidden), nn.ReLU(), nn.Linear(hidden, n_out))


def linear_maps(network: nn.Sequential) -> tuple[nn.Linear, nn.Linear]:
    """Return the two maps of a perceptron."""
    first, last = network[0], network[-1]
    assert isinstance(first, nn.Linear)
    assert isinstance(last, nn.Linear)
    return first, last


def perceptron(network: nn.Sequential) -> Perceptron:
    """Take the weights of a perceptron as kernels need them."""
    up, down = linear_maps(network)
    return Perceptron(up.weight, up.bias, down.weight, down.bias)


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

    def weights(self) -> LayerWeights:
        """Take the weights that the layer has now as kernels need them."""
        heads = tuple(perceptron(head) for head in self.heads())
        return LayerWeights(perceptron(self.value), heads, None)

    def heads(self) -> tuple[nn.Sequential, ...]:
        """Return the perceptrons that are applied to every pair."""
        return (self.score,)

    def _attend(self, pairs: Pairs, values: Tensor) -> list[Tensor]:
        """Logarithmic weights of the points, and the averages over j of :func:`pair_sums`."""
        weights = pair_weights(self.weights())
        members = linear(values, weights.members)
        sums = pair_sums(pairs, members + weights.own, members, values, *weights[2:])
        units = len(linear_maps(self.value)[0].bias)
        extra = len(weights.first) - units
        moments = [1, 3] if len(weights.last) > 1 else []
        parts = [1, units, extra, values.shape[-1], *moments]
        total, pooled, _, *rest = torch.split(sums, parts, dim=-1)
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
        """Return invariant values: see the class."""
        total, pooled, members = self._attend(pairs, values)
        return self._invariant_sum(total, pooled, members, values)


class VectorAttention(PairAttention):
    """Vectors that rotate with the sample, from a cloud of vectors with values.

    ``forward(pairs, values)`` returns (B, n, 3), or (B, 3) when reducing. Equals the
    ``Vector2VectorAttention`` of geometric-algebra-attention with full invariants and covariants.
    """

    def __init__(self, width: int, hidden: int, reduce: bool = False) -> None:
        super().__init__(width, hidden, reduce)
        self.scale = mlp(width, hidden, 1)
        #: Weights of r_i × r_j, r_i and r_j.
        self.covariant_weights = nn.Parameter(0.05 * torch.randn(3))

    def heads(self) -> tuple[nn.Sequential, ...]:
        """Return the perceptrons that are applied to every pair."""
        return self.score, self.scale

    def weights(self) -> LayerWeights:
        """Take the weights that the layer has now, those of covariants among them."""
        return super().weights()._replace(covariants=self.covariant_weights)

    def _covariants(self, vectors: Tensor, scale: Tensor, moment: Tensor) -> Tensor:
        """Sum over j of covariants, from the sums of their scales and of these times r_j."""
        dual, first, second = self.covariant_weights
        cross = torch.linalg.cross(vectors, moment)
        covariants: Tensor = dual * cross + first * scale * vectors + second * moment
        return covariants

    def forward(self, pairs: Pairs, values: Tensor) -> Tensor:
        """Return vectors: see the class."""
        total, _, _, scale, moment = self._attend(pairs, values)
        return self._over_points(total, self._covariants(pairs.vectors, scale, moment))


class TiedAttention(VectorAttention):
    """Vectors and invariant values from one pass over the pairs, with the same weights for both.

    ``forward(pairs, values)`` returns the pair of what :class:`VectorAttention` and
    :class:`InvariantAttention` return. Equals the ``TiedVectorAttention`` of
    geometric-algebra-attention.
    """

    def forward(self, pairs: Pairs, values: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """Return vectors and invariant values: see the class."""
        total, pooled, members, scale, moment = self._attend(pairs, values)
        vectors = self._over_points(total, self._covariants(pairs.vectors, scale, moment))
        return vectors, self._invariant_sum(total, pooled, members, values)


class LabeledVectorAttention(VectorAttention):
    r"""One vector for each label, built from a set of reference vectors.

    ``forward(labels, pairs, values)`` takes (B, m, width) labels, the pairs of (B, n, 3) reference
    vectors and their (B, n, width) values, and returns (B, m, 3). The label :math:`c_l` joins the
    pair's value, :math:`v_{l,ij} = \tfrac13 (c_l + V(q_{ij}) + \tfrac12 (v_i + v_j))`. Equals the
    reducing ``LabeledVectorAttention`` of geometric-algebra-attention.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__(width, hidden, reduce=True)

    def forward(self, labels: Tensor, pairs: Pairs, values: Tensor) -> Tensor:  # type: ignore[override]
        """Return one vector for each label: see the class."""
        members = 0.5 * (values.unsqueeze(-2) + values.unsqueeze(-3))
        pair_values = self.value(pairs.invariants[..., :N_INVARIANTS]) + members
        joined = (labels[:, :, None, None, :] + pair_values.unsqueeze(1)) / 3
        scores = self.score(joined)
        weights = torch.softmax(scores.flatten(-3), dim=-1).view_as(scores) * self.scale(joined)
        weights, vectors = weights.squeeze(-1), pairs.vectors.unsqueeze(1)
        scale = weights.sum(-1, keepdim=True)
        return self._covariants(vectors, scale, weights @ vectors).sum(-2)
