"""Which structure an environment belongs to, from it and its neighbors' environments."""

import torch
from torch import Tensor, nn

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


class Familiarity(nn.Module):
    """How similar a particle is to the training data.

    From the Mahalanobis distance of the hidden units that the logits are computed from to the
    nearest class, under one covariance for all classes (Lee et al., arXiv 1807.03888). Classifiers
    are confident even of what is unlike anything that they learned; this distance is then large.
    ``forward(hidden)`` takes (B, size) and returns (B,): 1 for the familiar, 1/2 at the limit, 0
    far beyond.
    """

    whitening: Tensor
    centers: Tensor
    limit: Tensor

    #: Share of the limit over which familiarity falls.
    _WIDTH = 0.1

    def __init__(self, n_classes: int, size: int) -> None:
        super().__init__()
        self.register_buffer("whitening", torch.eye(size))
        self.register_buffer("centers", torch.zeros(n_classes, size))
        self.register_buffer("limit", torch.tensor(torch.inf))

    def distance(self, hidden: Tensor) -> Tensor:
        """(B,) squared distance to the nearest class."""
        return torch.cdist(hidden @ self.whitening, self.centers).min(dim=-1).values.square()

    def forward(self, hidden: Tensor) -> Tensor:
        """Return familiarities: see the class."""
        return torch.sigmoid((1 - self.distance(hidden) / self.limit) / self._WIDTH)

    def fit(self, hidden: Tensor, labels: Tensor) -> None:
        """Learn centers and covariance from hidden units (M, size) and their classes (M,)."""
        n_classes, size = self.centers.shape
        counts = torch.bincount(labels, minlength=n_classes).unsqueeze(-1)
        sums = torch.zeros(n_classes, size, dtype=torch.float64)
        means = sums.index_add_(0, labels, hidden.double()) / counts.clamp(min=1)
        spread = hidden.double() - means[labels]
        covariance = spread.T @ spread / len(spread)
        # hidden units that never change would make any change infinitely far
        floor = 1e-4 * covariance.diagonal().mean() * torch.eye(size, dtype=torch.float64)
        whitening = torch.linalg.inv(torch.linalg.cholesky(covariance + floor)).T
        # a class without examples is infinitely far
        centers = (means @ whitening).where(counts > 0, 1e6)
        self.whitening.copy_(whitening)
        self.centers.copy_(centers)


class FrameClassifier(Network):
    """The structure, or the frame of a trajectory, that an environment was taken from.

    ``forward(bonds, types)`` returns the (B, n_classes) logits and the (B, width) embedding that
    they are computed from. Neither changes when the bonds are rotated or permuted.

    With ``context``, a number of hidden units, the logits depend on the embeddings of the neighbors
    as well: :meth:`embed` all environments first, then call :meth:`name`. With ``familiar``, a
    number of classes, it says how familiar a particle is.
    """

    def __init__(
        self, config: CoreConfig, n_classes: int, context: int = 0, familiar: int = 0
    ) -> None:
        super().__init__(config)
        self.pool = InvariantAttention(config.width, config.hidden, reduce=True)
        self.norm = nn.LayerNorm(config.width)
        self.context = Context(config.width, context) if context else None
        size = config.hidden + 2 * context
        self.classify = mlp(config.width + context, size, n_classes)
        self.familiarity = Familiarity(familiar, size) if familiar else None

    def embed(self, bonds: Tensor, types: Tensor) -> Tensor:
        """(B, width) values that the logits are computed from."""
        vectors, values = self.core(bonds, types)
        embedding: Tensor = self.norm(self.pool(pair_products(vectors), values))
        return embedding

    def hidden(self, embedding: Tensor, around: Tensor | None = None) -> Tensor:
        """(B, size) hidden units of the head, from embeddings and those of their neighbors."""
        if self.context is not None:
            embedding = torch.cat((embedding, self.context(embedding, around)), dim=-1)
        hidden: Tensor = self.classify[:-1](embedding)
        return hidden

    def name(self, embedding: Tensor, around: Tensor | None = None) -> Tensor:
        """(B, n_classes) logits of embeddings, given those of their neighbors (B, n, width)."""
        logits: Tensor = self.classify[-1](self.hidden(embedding, around))
        return logits

    def forward(self, bonds: Tensor, types: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits and embeddings: see the class."""
        embedding = self.embed(bonds, types)
        return self.name(embedding), embedding
