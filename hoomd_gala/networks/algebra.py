r"""Products of pairs of vectors in the geometric algebra of three dimensions.

The geometric product of two vectors has a scalar and a bivector part,

.. math:: r_i r_j = r_i \cdot r_j + r_i \wedge r_j,

and the bivector's dual is the cross product :math:`r_i \times r_j`. What a rotation does not change
(the *invariants*) goes into the networks' MLPs; what rotates with the sample (the *covariants*)
becomes their vector outputs. Definitions follow Spellings, arXiv 2110.02393.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

#: Number of invariants of a pair: scalar part, bivector norm and the two vector norms.
N_INVARIANTS = 4


@dataclass(frozen=True)
class Pairs:
    """All ordered pairs of the vectors of a batch of point clouds.

    Products are formed when they are first asked for: the compiled layers form their own.

    Attributes
    ----------
    vectors : (B, n, 3)
        The vectors :math:`r_i` themselves.
    """

    vectors: Tensor

    @cached_property
    def invariants(self) -> Tensor:
        r"""(B, n, n, 5) invariants.

        These are :math:`r_i \cdot r_j`, :math:`|r_i \wedge r_j|`, :math:`|r_i|` and
        :math:`|r_j|`, and a constant 1 that carries the bias of the first linear map (a bias added
        afterwards would cost one more trip through memory).

        The bivector's norm is taken from its components and not from
        :math:`\sqrt{r_i^2 r_j^2 - (r_i \cdot r_j)^2}`, which cancels for parallel vectors. Its
        gradient at zero (every i = j pair, and any parallel pair) is zero.
        """
        dual = torch.linalg.cross(self.vectors.unsqueeze(-2), self.vectors.unsqueeze(-3))
        scalar = self.vectors @ self.vectors.mT
        norm = torch.linalg.vector_norm(self.vectors, dim=-1)
        return torch.stack(
            (
                scalar,
                torch.linalg.vector_norm(dual, dim=-1),
                norm.unsqueeze(-1).expand_as(scalar),
                norm.unsqueeze(-2).expand_as(scalar),
                torch.ones_like(scalar),
            ),
            dim=-1,
        )


def pair_products(vectors: Tensor) -> Pairs:
    """Form geometric products of every ordered pair of (B, n, 3) vectors."""
    return Pairs(vectors)


#: Length, in units of twice the length scale, that no bond exceeds inside a network.
LONGEST = 1.5


def compress(bonds: Tensor) -> Tensor:
    """Shorten long (…, 3) bonds to at most a fixed length; others hardly change.

    In some molecular crystals the 20th neighbor is fifteen times as far away as the first, and
    products of products of such bonds would drown the training on all others.
    """
    squares = bonds.square().sum(-1, keepdim=True) / LONGEST**2
    return bonds * (1 + squares.square()) ** -0.25
