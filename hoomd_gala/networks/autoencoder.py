"""An environment through a bottleneck, and its orientation."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from .algebra import N_INVARIANTS, compress, pair_products
from .attention import LabeledVectorAttention, VectorAttention, mlp
from .core import CoreConfig, Network


def _unit(vectors: Tensor) -> Tensor:
    """Vectors at unit length; the zero vector stays zero and has a finite gradient."""
    return vectors * (vectors.square().sum(-1, keepdim=True) + 1e-12).rsqrt()


def nearest_frame(first: Tensor, second: Tensor) -> Tensor:
    r"""Find the right-handed orthonormal frames nearest to the directions of two vectors.

    The first two axes are :math:`U V^T` of the singular value decomposition of the two unit
    vectors :math:`(\hat a, \hat b)`. Its singular vectors are :math:`\hat a \pm \hat b`, so
    that no decomposition (whose gradient is infinite where singular values meet) is needed. The
    third is their cross product. Where the vectors leave an axis undetermined it is zero, as no
    choice of it could rotate with the sample.

    Parameters
    ----------
    first, second : (B, 3)

    Returns
    -------
    (B, 3, 3)
        Axes as rows.
    """
    a, b = _unit(first), _unit(second)
    even, odd = _unit(a + b), _unit(a - b)
    x, y = (even + odd) * 0.5**0.5, (even - odd) * 0.5**0.5
    return torch.stack((x, y, torch.linalg.cross(x, y)), dim=-2)


class AxisAttention(nn.Module):
    """Values of bonds relative to the axes of a frame.

    Attention from the bonds to the axes: the pair of bond i and axis k has the invariants of the
    bond's vector and the axis, and axes are distinguished by values of their own.
    ``forward(vectors, values, axes, axis_values)`` takes (B, n, 3) vectors with (B, n, width)
    values and (B, 3, 3) axes with (3, width) values, and returns (B, n, width).
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.value = mlp(N_INVARIANTS, hidden, width)
        self.score = mlp(width, hidden, 1)
        self.message = mlp(width, hidden, width)

    def forward(self, vectors: Tensor, values: Tensor, axes: Tensor, axis_values: Tensor) -> Tensor:
        """Return values of the bonds: see the class."""
        scalar = vectors @ axes.transpose(-1, -2)
        bivector = torch.linalg.cross(vectors.unsqueeze(-2), axes.unsqueeze(-3))
        invariants = torch.stack(
            (
                scalar,
                torch.linalg.vector_norm(bivector, dim=-1),
                torch.linalg.vector_norm(vectors, dim=-1, keepdim=True).expand_as(scalar),
                torch.linalg.vector_norm(axes, dim=-1).unsqueeze(-2).expand_as(scalar),
            ),
            dim=-1,
        )
        pairs = 0.5 * self.value(invariants) + 0.25 * (values.unsqueeze(-2) + axis_values)
        weights = torch.softmax(self.score(pairs), dim=-2)
        messages: Tensor = weights * self.message(pairs)
        return messages.sum(-2)


class Reconstruction(NamedTuple):
    """What an autoencoder makes of an environment.

    Attributes
    ----------
    bonds : (B, n, 3)
        Reconstructed bonds.
    mean, log_variance : (B, n, 8)
        Of the latent distribution of each bond.
    """

    bonds: Tensor
    mean: Tensor
    log_variance: Tensor


class Autoencoder(Network):
    """Bonds through a bottleneck: an orientation and a few numbers for each bond.

    ``forward(bonds, types, noise)`` returns a :class:`Reconstruction`. ``noise`` is (B, n, 8)
    standard normal numbers that make a sample of the latent distribution; without it the mean is
    decoded. The latent numbers do not change when the sample is rotated; the orientation
    and the bonds rebuilt from it rotate with it.
    """

    #: Latent numbers of each bond.
    LATENT = 8

    def __init__(self, config: CoreConfig) -> None:
        super().__init__(config)
        width, hidden = config.width, config.hidden
        self.first_vector = VectorAttention(width, hidden, reduce=True)
        self.second_vector = VectorAttention(width, hidden, reduce=True)
        self.axis_values = nn.Parameter(torch.randn(3, width))
        self.look = AxisAttention(width, hidden)
        self.norm = nn.LayerNorm(width)
        self.encode = mlp(width, hidden, 2 * self.LATENT)
        self.decode = nn.Sequential(mlp(self.LATENT, hidden, width), nn.LayerNorm(width))
        self.reference_values = nn.Parameter(torch.randn(3, width))
        self.rebuild = LabeledVectorAttention(width, hidden)
        # the output of these is not added to anything: start with vectors long enough to have a
        # direction, and with bonds of about the right length
        for layer in (self.first_vector, self.second_vector, self.rebuild):
            nn.init.normal_(layer.covariant_weights)
        # a latent distribution as wide as its mean is large carries no information: start narrow
        spread = self.encode.get_parameter("2.bias")[self.LATENT :]
        with torch.no_grad():
            spread -= 6

    def _frame(self, vectors: Tensor, values: Tensor) -> Tensor:
        pairs = pair_products(vectors)
        return nearest_frame(self.first_vector(pairs, values), self.second_vector(pairs, values))

    def orientation(self, bonds: Tensor, types: Tensor) -> Tensor:
        """(B, 3, 3) axes, as rows, of a frame that rotates with each environment."""
        return self._frame(*self.core(bonds, types))

    def forward(self, bonds: Tensor, types: Tensor, noise: Tensor | None = None) -> Reconstruction:
        """Encode and decode bonds: see the class."""
        vectors, values = self.core(bonds, types)
        axes = self._frame(vectors, values)
        seen = self.norm(self.look(compress(bonds), values, axes, self.axis_values))
        mean, log_variance = self.encode(seen).chunk(2, dim=-1)
        latent = mean if noise is None else mean + noise * torch.exp(0.5 * log_variance)
        reference_values = self.reference_values.expand(len(axes), -1, -1)
        rebuilt = self.rebuild(self.decode(latent), pair_products(axes), reference_values)
        return Reconstruction(rebuilt, mean, log_variance)
