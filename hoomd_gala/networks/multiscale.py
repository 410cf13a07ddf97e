"""Embeddings of environments, pooled and with what surrounds them, at several scales."""

import torch
from torch import Tensor, nn

from . import kernels
from .algebra import pair_products
from .attention import InvariantAttention
from .core import CoreConfig, Network


class Context(nn.Module):
    """What surrounds an environment, from the embeddings of its neighbors.

    At high temperature, a single environment of a crystal may look like one of a liquid; its
    neighbors show the difference. ``forward(embedding, around)`` takes (B, width) embeddings and
    those of their neighbors, (B, n, width), and returns (B, size).
    """

    def __init__(self, width: int, size: int) -> None:
        super().__init__()
        self.own = nn.Linear(width, size)
        self.other = nn.Linear(width, size)

    def forward(self, embedding: Tensor, around: Tensor) -> Tensor:
        """Return hidden units: see the class."""
        return torch.relu(self.own(embedding).unsqueeze(-2) + self.other(around)).mean(-2)

    def within(self, embedding: Tensor, neighbors: Tensor) -> Tensor:
        """(N, size) hidden units of all particles of whole systems.

        From their embeddings (N, width) and the rows of their neighbors, (N, n) int64: each
        embedding is mapped once, not for every neighbor that it is of.
        """
        return kernels.around(self.own(embedding), self.other(embedding), neighbors)


class PooledNetwork(Network):
    """A core with a pooling layer, which makes the embedding of an environment, and rings around.

    Parameters
    ----------
    config : CoreConfig
        Size of the core.
    context : int
        Numbers for each ring of neighbors, 0 for none.
    rings : int
        1 for the neighbors, 2 for the neighbors of these as well.
    """

    def __init__(self, config: CoreConfig, context: int = 0, rings: int = 1) -> None:
        super().__init__(config)
        self.pool = InvariantAttention(config.width, config.hidden, reduce=True)
        self.norm = nn.LayerNorm(config.width)
        self.context = Context(config.width, context) if context else None
        self.wider = Context(context, context) if context and rings == 2 else None

    @property
    def rings(self) -> tuple[Context, ...]:
        """What surrounds a particle, from the inside out: each is of the one before it."""
        return tuple(ring for ring in (self.context, self.wider) if ring is not None)

    def embed(self, bonds: Tensor, types: Tensor) -> Tensor:
        """(B, width) embeddings of single environments."""
        vectors, values = self.core(bonds, types)
        embedding: Tensor = self.norm(self.pool(pair_products(vectors), values))
        return embedding

    def surround(self, embedding: Tensor, neighbors: Tensor) -> list[Tensor]:
        """(N, size) hidden units of each ring around all particles of whole systems.

        Parameters
        ----------
        embedding : (N, width)
            Of all particles.
        neighbors : (N, n) int64
            Rows of the neighbors of each.
        """
        found: list[Tensor] = []
        for ring in self.rings:
            embedding = ring.within(embedding, neighbors)
            found.append(embedding)
        return found


class MultiscaleEmbedder(PooledNetwork):
    """An embedding of several scales: of the environment, and of each ring of neighbors around it.

    :meth:`embed` all environments first, then :meth:`surround` them, then :meth:`combine`. Every
    number has mean 0 and variance 1 over the data that :meth:`standardize` was given, so that
    distances between embeddings weigh the scales alike.
    """

    def __init__(self, config: CoreConfig, context: int, rings: int = 2) -> None:
        super().__init__(config, context, rings)
        size = config.width + len(self.rings) * context
        self.center = nn.Parameter(torch.zeros(size), requires_grad=False)
        self.spread = nn.Parameter(torch.ones(size), requires_grad=False)

    @torch.no_grad()
    def standardize(self, features: Tensor) -> None:
        """Take mean and standard deviation from (M, size) embeddings and rings side by side."""
        self.center.copy_(features.mean(0))
        # a number that is the same everywhere says nothing, and stays 0
        self.spread.copy_(features.std(0).clamp(min=1e-3))

    def combine(self, embedding: Tensor, *rings: Tensor) -> Tensor:
        """(B, size) embeddings, from those of single environments and what surrounds them."""
        return (torch.cat((embedding, *rings), dim=-1) - self.center) / self.spread
