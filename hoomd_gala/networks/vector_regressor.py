"""Regression of one vector for each environment."""

from torch import Tensor

from .algebra import pair_products
from .attention import VectorAttention
from .core import CoreConfig, Network


class VectorRegressor(Network):
    """One vector for each environment: ``forward(bonds, types)`` returns (B, 3)."""

    def __init__(self, config: CoreConfig) -> None:
        super().__init__(config)
        self.reduce = VectorAttention(config.width, config.hidden, reduce=True)

    def forward(self, bonds: Tensor, types: Tensor) -> Tensor:
        """Return vectors: see the class."""
        vectors, values = self.core(bonds, types)
        vector: Tensor = self.reduce(pair_products(vectors), values)
        return vector
