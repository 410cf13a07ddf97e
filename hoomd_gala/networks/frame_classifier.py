"""Which structure an environment belongs to, from it and its neighbors' environments."""

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from .algebra import pair_products
from .attention import InvariantAttention, mlp
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
        around = nn.functional.embedding(neighbors, self.other(embedding))
        # in place, as reading and writing memory takes most of the time
        around += self.own(embedding).unsqueeze(-2)
        return around.relu_().mean(-2)


class FrameClassifier(Network):
    """The structure, or the frame of a trajectory, that an environment was taken from.

    ``forward(bonds, types)`` returns the (B, n_classes) logits and the (B, width) embedding that
    they are computed from. Neither changes when the bonds are rotated or permuted.

    With ``context``, a number of hidden units, the logits depend on the embeddings of the neighbors
    as well, and with two ``rings`` on those of the neighbors' neighbors: :meth:`embed` all
    environments first, then :meth:`surround` them, then call :meth:`name`.

    With ``disordered``, the index of the class of what has no order, this class is a question of
    its own: its output decides whether a particle is disordered, and the others which structure an
    ordered particle has. Logits are the logarithms of the probabilities of all classes then.
    """

    def __init__(
        self,
        config: CoreConfig,
        n_classes: int,
        context: int = 0,
        rings: int = 1,
        disordered: int | None = None,
    ) -> None:
        super().__init__(config)
        self.pool = InvariantAttention(config.width, config.hidden, reduce=True)
        self.norm = nn.LayerNorm(config.width)
        self.context = Context(config.width, context) if context else None
        self.wider = Context(context, context) if context and rings == 2 else None
        size = config.hidden + 2 * context
        width = config.width + len(self.rings) * context
        self.classify = mlp(width, size, n_classes)
        self.disordered = disordered

    @property
    def rings(self) -> tuple[Context, ...]:
        """What surrounds a particle, from the inside out: each is of the one before it."""
        return tuple(ring for ring in (self.context, self.wider) if ring is not None)

    def embed(self, bonds: Tensor, types: Tensor) -> Tensor:
        """(B, width) values that the logits are computed from."""
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

    def hidden(self, embedding: Tensor, *rings: Tensor) -> Tensor:
        """(B, size) hidden units of the head, from embeddings and what surrounds them."""
        hidden: Tensor = self.classify[:-1](torch.cat((embedding, *rings), dim=-1))
        return hidden

    def logits(self, hidden: Tensor) -> Tensor:
        """(B, n_classes) logits, from hidden units of the head."""
        outputs: Tensor = self.classify[-1](hidden)
        if self.disordered is None:
            return outputs
        asked = outputs[:, self.disordered]
        index = torch.tensor([self.disordered], device=outputs.device)
        others = outputs.index_fill(-1, index, -torch.inf)
        structures = torch.log_softmax(others, dim=-1) + logsigmoid(-asked).unsqueeze(-1)
        return torch.cat(
            (
                structures[:, : self.disordered],
                logsigmoid(asked).unsqueeze(-1),
                structures[:, self.disordered + 1 :],
            ),
            dim=-1,
        )

    def name(self, embedding: Tensor, *rings: Tensor) -> Tensor:
        """(B, n_classes) logits of embeddings, given what surrounds them."""
        return self.logits(self.hidden(embedding, *rings))

    def forward(self, bonds: Tensor, types: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits and embeddings: see the class."""
        embedding = self.embed(bonds, types)
        return self.name(embedding), embedding
