"""The core of attention blocks that all networks share."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, cast

import torch
from msgspec import Meta
from torch import Tensor, nn

from .algebra import compress, pair_products
from .attention import InvariantAttention, PairAttention, TiedAttention, VectorAttention, mlp


@dataclass(frozen=True)
class CoreConfig:
    """Size of a core.

    Attributes
    ----------
    max_types : int
        Particle types that are distinguished; 1 makes the network blind to types.
    width : int
        Length of the per-bond values and of the embedding.
    hidden : int
        Hidden units of each MLP.
    blocks : int
        Number of blocks.
    tied : bool
        Update vectors and values in one pass over the pairs instead of two: little more than half
        of the work.
    relations : bool
        Types are seen as :func:`relate_types` numbers them: which particles are of one type, and
        not of which.

    Raises
    ------
    ValueError
        If relations are to be seen and there are no two types to tell apart.
    """

    # the bounds hold for model files: many times what is of use, and made in no time
    max_types: Annotated[int, Meta(ge=1, le=1024)] = 1
    width: Annotated[int, Meta(ge=1, le=4096)] = 32
    hidden: Annotated[int, Meta(ge=1, le=16384)] = 64
    blocks: Annotated[int, Meta(ge=1, le=64)] = 3
    tied: bool = False
    relations: bool = False

    def __post_init__(self) -> None:
        if self.relations and self.max_types == 1:
            raise ValueError("it sees relations of types and max_types is 1, not 2 or more")

    def seen(self, types: Tensor, neighbor_types: Tensor) -> tuple[Tensor, Tensor]:
        """Types (B,) and those of neighbors (B, n), from near to far, as the network sees them."""
        if self.relations:
            return relate_types(types, neighbor_types, self.max_types)
        return types, neighbor_types

    @property
    def most_types(self) -> int | None:
        """Types that a system may have; None where their number does not matter."""
        return None if self.max_types == 1 or self.relations else self.max_types


class Block(nn.Module):
    """Update of the vectors, then of the values, each added to what came in."""

    def __init__(self, config: CoreConfig) -> None:
        super().__init__()
        width, hidden = config.width, config.hidden
        self.vector = VectorAttention(width, hidden)
        self.invariant = InvariantAttention(width, hidden)
        self.norm = nn.LayerNorm(width)
        self.mlp = mlp(width, hidden, width)

    def layers(self) -> tuple[PairAttention, ...]:
        """Return the layers in the order in which they act."""
        return self.vector, self.invariant

    def forward(self, vectors: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Update vectors and values."""
        vectors = vectors + self.vector(pair_products(vectors), values)
        values = values + self.invariant(pair_products(vectors), values)
        return vectors, values + self.mlp(self.norm(values))


class TiedBlock(nn.Module):
    """Update of vectors and values from one pass over the pairs, each added to what came in."""

    def __init__(self, config: CoreConfig) -> None:
        super().__init__()
        self.tied = TiedAttention(config.width, config.hidden)
        self.norm = nn.LayerNorm(config.width)
        self.mlp = mlp(config.width, config.hidden, config.width)

    def layers(self) -> tuple[PairAttention, ...]:
        """Return the one layer that acts on both."""
        return (self.tied,)

    def forward(self, vectors: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Update vectors and values."""
        change, update = self.tied(pair_products(vectors), values)
        values = values + update
        return vectors + change, values + self.mlp(self.norm(values))


class Core(nn.Module):
    """From bonds to one vector and one value per bond.

    ``forward(bonds, types)`` takes (B, n, 3) scaled bond vectors and the (B, n, 2·max_types)
    values that encode types, and returns (B, n, 3) vectors that rotate with the bonds and
    (B, n, width) values that do not.
    """

    def __init__(self, config: CoreConfig) -> None:
        super().__init__()
        self.embed_types = nn.Linear(2 * config.max_types, config.width)
        block = TiedBlock if config.tied else Block
        self.blocks = nn.ModuleList(block(config) for _ in range(config.blocks))

    def attention_blocks(self) -> Iterable[Block | TiedBlock]:
        """Return the blocks in the order in which they act."""
        return cast(Iterable[Block | TiedBlock], self.blocks)

    def forward(self, bonds: Tensor, types: Tensor) -> tuple[Tensor, Tensor]:
        """Return vectors and values of the bonds: see the class."""
        vectors, values = compress(bonds), self.embed_types(types.to(bonds.dtype))
        for block in self.blocks:
            vectors, values = block(vectors, values)
        return vectors, values


class Network(nn.Module):
    """A core with a head; every task has one.

    ``forward(bonds, types)`` takes what :class:`Core` takes.
    """

    def __init__(self, config: CoreConfig) -> None:
        super().__init__()
        self.core = Core(config)

    def embed(self, bonds: Tensor, types: Tensor) -> Tensor:
        """(B, width) summary of each environment, unchanged if bonds are rotated or permuted.

        The mean over bonds of the core's values, unless a head makes a summary of its own.
        """
        values: Tensor = self.core(bonds, types)[1]
        return values.mean(-2)


def relate_types(types: Tensor, neighbor_types: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """Give types numbers that say which neighbors of a particle are of one type, and no more.

    The particle's own type is 0, and the others are 1, 2, … in the order in which they appear from
    the nearest neighbor outwards. So a bond says whether both of its ends are of one type, and two
    bonds of a particle whether their far ends are: all that there is to say without naming types,
    for two, three or more of them. Nothing depends on how a system numbers its types. Of two types
    that begin equally far away, either may be 1: networks have to learn from both.

    Parameters
    ----------
    types : (B,) int
        Type of each particle.
    neighbor_types : (B, n) int
        Types of its neighbors, from the nearest to the farthest.
    most : int
        Numbers that are told apart; types that appear later than that share the last one.

    Returns
    -------
    types : (B,) int64
        All 0.
    neighbor_types : (B, n) int64
        From 0 to ``most`` - 1.
    """
    own = types.unsqueeze(-1)
    numbers = torch.zeros_like(neighbor_types, dtype=torch.int64)
    left = neighbor_types != own
    for number in range(1, most):
        # the last number is of all that is left
        numbers[left] = number
        first = neighbor_types.gather(-1, left.to(torch.uint8).argmax(-1, keepdim=True))
        left = left & (neighbor_types != first)
    return torch.zeros_like(types, dtype=torch.int64), numbers


def encode_types(types: Tensor, neighbor_types: Tensor, max_types: int) -> Tensor:
    """Encode in per-bond values the types at both ends of each bond.

    Parameters
    ----------
    types : (B,)
        Type of each particle, 0 ≤ type < max_types.
    neighbor_types : (B, n)
        Types of its neighbors.
    max_types : int
        Types that are distinguished; with 1 all particles look the same.

    Returns
    -------
    (B, n, 2·max_types)
        Difference and sum of the two one-hot types.
    """
    if max_types == 1:
        types, neighbor_types = torch.zeros_like(types), torch.zeros_like(neighbor_types)
    own = nn.functional.one_hot(types.long(), max_types).unsqueeze(-2)
    other = nn.functional.one_hot(neighbor_types.long(), max_types)
    return torch.cat((other - own, other + own), dim=-1).float()
