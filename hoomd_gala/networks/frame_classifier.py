"""Which structure an environment belongs to, from it and its neighbors' environments."""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from .attention import mlp
from .core import CoreConfig
from .multiscale import PooledNetwork


class FrameClassifier(PooledNetwork):
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
        super().__init__(config, context, rings)
        size = config.hidden + 2 * context
        width = config.width + len(self.rings) * context
        self.classify = mlp(width, size, n_classes)
        self.disordered = disordered

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
