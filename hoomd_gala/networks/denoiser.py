"""Removal of displacements from bonds."""

from torch import Tensor

from .algebra import pair_products
from .attention import VectorAttention
from .core import CoreConfig, Network


class Denoiser(Network):
    """Removes displacements: ``forward(bonds, types)`` returns (B, n, 3) corrected bonds.

    The head predicts the correction, so that training starts about where leaving the bonds alone
    would end.
    """

    def __init__(self, config: CoreConfig) -> None:
        super().__init__(config)
        self.correct = VectorAttention(config.width, config.hidden)

    def corrections(self, bonds: Tensor, types: Tensor) -> Tensor:
        """(B, n, 3) vectors that corrected bonds differ by from those that are given."""
        vectors, values = self.core(bonds, types)
        corrections: Tensor = self.correct(pair_products(vectors), values)
        return corrections

    def forward(self, bonds: Tensor, types: Tensor) -> Tensor:
        """Return corrected bonds: see the class."""
        return bonds + self.corrections(bonds, types)
