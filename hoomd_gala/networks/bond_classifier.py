"""Classification of bonds into two classes."""

from torch import Tensor, nn

from .algebra import pair_products
from .attention import InvariantAttention, mlp
from .core import CoreConfig, Network


class BondClassifier(Network):
    """Classifies bonds into two classes: ``forward(bonds, types)`` returns (B, n, 2) logits."""

    def __init__(self, config: CoreConfig) -> None:
        super().__init__(config)
        self.gather = InvariantAttention(config.width, config.hidden)
        self.norm = nn.LayerNorm(config.width)
        self.classify = mlp(config.width, config.hidden, 2)

    def forward(self, bonds: Tensor, types: Tensor) -> Tensor:
        """Return logits of the bonds: see the class."""
        vectors, values = self.core(bonds, types)
        logits: Tensor = self.classify(self.norm(self.gather(pair_products(vectors), values)))
        return logits
