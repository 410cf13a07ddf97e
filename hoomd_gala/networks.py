"""Networks: a core of attention blocks that all tasks share, and the heads on it."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .algebra import N_INVARIANTS, pair_products
from .attention import (
    InvariantAttention,
    LabeledVectorAttention,
    TiedAttention,
    VectorAttention,
    mlp,
)


@dataclass(frozen=True)
class CoreConfig:
    """Size of a core.

    Attributes
    ----------
    max_types : int
        Particle types told apart; 1 makes the network blind to types.
    width : int
        Length of the per-bond values and of the embedding.
    hidden : int
        Hidden units of each MLP.
    blocks : int
        Number of blocks.
    tied : bool
        Update vectors and values in one pass over the pairs instead of two: little more than half
        of the work.
    """

    max_types: int = 1
    width: int = 32
    hidden: int = 64
    blocks: int = 3
    tied: bool = False


class Block(nn.Module):
    """Update of the vectors, then of the values, each added to what came in."""

    def __init__(self, config: CoreConfig) -> None:
        super().__init__()
        width, hidden = config.width, config.hidden
        self.vector = VectorAttention(width, hidden)
        self.invariant = InvariantAttention(width, hidden)
        self.norm = nn.LayerNorm(width)
        self.mlp = mlp(width, hidden, width)

    def forward(self, vectors: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
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

    def forward(self, vectors: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        change, update = self.tied(pair_products(vectors), values)
        values = values + update
        return vectors + change, values + self.mlp(self.norm(values))


#: Length, in units of twice the length scale, that no bond exceeds inside a network.
LONGEST = 1.5


def compress(bonds: Tensor) -> Tensor:
    """Bonds of usual length as they are, and long ones shortened to at most a fixed length.

    In some molecular crystals the 20th neighbor is fifteen times as far away as the first, and
    products of products of such bonds would drown the training on all others.
    """
    squares = bonds.square().sum(-1, keepdim=True) / LONGEST**2
    return bonds * (1 + squares.square()) ** -0.25


class Core(nn.Module):
    """From bonds to one vector and one value per bond.

    ``forward(bonds, types)`` takes (B, n, 3) scaled bond vectors and the (B, n, 2·max_types)
    values that encode types, and returns (B, n, 3) vectors that turn with the bonds and
    (B, n, width) values that do not.
    """

    def __init__(self, config: CoreConfig) -> None:
        super().__init__()
        self.embed_types = nn.Linear(2 * config.max_types, config.width)
        block = TiedBlock if config.tied else Block
        self.blocks = nn.ModuleList(block(config) for _ in range(config.blocks))

    def forward(self, bonds: Tensor, types: Tensor) -> tuple[Tensor, Tensor]:
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
        """(B, width) summary of each environment, which turning and renumbering do not change.

        The mean over bonds of the core's values, unless a head makes a summary of its own.
        """
        _, values = self.core(bonds, types)
        return values.mean(-2)


class Context(nn.Module):
    """What surrounds an environment, from the embeddings of its neighbors.

    At high temperature one environment alone may look like anything; that its neighbors all look
    like a crystal's is what tells it from a liquid. ``forward(embedding, around)`` takes (B, width)
    embeddings and those of their neighbors, (B, n, width), and returns (B, size).
    """

    def __init__(self, width: int, size: int) -> None:
        super().__init__()
        self.own = nn.Linear(width, size)
        self.other = nn.Linear(width, size)

    def forward(self, embedding: Tensor, around: Tensor) -> Tensor:
        return torch.relu(self.own(embedding).unsqueeze(-2) + self.other(around)).mean(-2)


class Familiarity(nn.Module):
    """Whether a particle is like anything that was learned.

    The Mahalanobis distance from the hidden units that the logits are computed from to the nearest
    class, under one covariance for all classes (Lee et al., arXiv 1807.03888). A classifier is as
    sure of what it has never seen as of what it has; this distance is not small for it.
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
    """Which structure, or which frame of a trajectory, an environment was taken from.

    ``forward(bonds, types)`` returns the (B, n_classes) logits and the (B, width) embedding that
    they are computed from. Neither changes when the bonds are turned or renumbered.

    With ``context``, a number of hidden units, the logits depend on the embeddings of the neighbors
    as well: :meth:`embed` all environments first, then call :meth:`name`. With ``familiar``, a
    number of classes, it tells how like these a particle is.
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
        return self.norm(self.pool(pair_products(vectors), values))

    def hidden(self, embedding: Tensor, around: Tensor | None = None) -> Tensor:
        """(B, size) hidden units of the head, from embeddings and those of their neighbors."""
        if self.context is not None:
            embedding = torch.cat((embedding, self.context(embedding, around)), dim=-1)
        return self.classify[:-1](embedding)

    def name(self, embedding: Tensor, around: Tensor | None = None) -> Tensor:
        """(B, n_classes) logits of embeddings, given those of their neighbors (B, n, width)."""
        return self.classify[-1](self.hidden(embedding, around))

    def forward(self, bonds: Tensor, types: Tensor) -> tuple[Tensor, Tensor]:
        embedding = self.embed(bonds, types)
        return self.name(embedding), embedding


class Denoiser(Network):
    """Where each bond belongs: ``forward(bonds, types)`` returns (B, n, 3) corrected bonds.

    The head predicts the correction, so that training starts about where leaving the bonds alone
    would end.
    """

    def __init__(self, config: CoreConfig) -> None:
        super().__init__(config)
        self.correct = VectorAttention(config.width, config.hidden)

    def forward(self, bonds: Tensor, types: Tensor) -> Tensor:
        vectors, values = self.core(bonds, types)
        return bonds + self.correct(pair_products(vectors), values)


class VectorRegressor(Network):
    """One vector for each environment: ``forward(bonds, types)`` returns (B, 3)."""

    def __init__(self, config: CoreConfig) -> None:
        super().__init__(config)
        self.reduce = VectorAttention(config.width, config.hidden, reduce=True)

    def forward(self, bonds: Tensor, types: Tensor) -> Tensor:
        vectors, values = self.core(bonds, types)
        return self.reduce(pair_products(vectors), values)


class BondClassifier(Network):
    """Which of two kinds each bond is of: ``forward(bonds, types)`` returns (B, n, 2) logits."""

    def __init__(self, config: CoreConfig) -> None:
        super().__init__(config)
        self.gather = InvariantAttention(config.width, config.hidden)
        self.norm = nn.LayerNorm(config.width)
        self.classify = mlp(config.width, config.hidden, 2)

    def forward(self, bonds: Tensor, types: Tensor) -> Tensor:
        vectors, values = self.core(bonds, types)
        return self.classify(self.norm(self.gather(pair_products(vectors), values)))


def _unit(vectors: Tensor) -> Tensor:
    """Vectors at unit length; the zero vector stays zero and has a finite gradient."""
    return vectors * (vectors.square().sum(-1, keepdim=True) + 1e-12).rsqrt()


def nearest_frame(first: Tensor, second: Tensor) -> Tensor:
    """Right-handed orthonormal frames nearest to the directions of two vectors.

    The first two axes are :math:`U V^T` of the singular value decomposition of the two unit
    vectors :math:`(\\hat a, \\hat b)`. Its singular vectors are :math:`\\hat a \\pm \\hat b`, so
    that no decomposition (whose gradient is infinite where singular values meet) is needed. The
    third is their cross product. Where the vectors leave an axis undetermined it is zero, as no
    choice of it could turn with the sample.

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
    """What each bond is, seen from the axes of a frame.

    Attention from the bonds to the axes: the pair of bond i and axis k has the invariants of the
    bond's vector and the axis, and axes are told apart by values of their own.
    ``forward(vectors, values, axes, axis_values)`` takes (B, n, 3) vectors with (B, n, width)
    values and (B, 3, 3) axes with (3, width) values, and returns (B, n, width).
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.value = mlp(N_INVARIANTS, hidden, width)
        self.score = mlp(width, hidden, 1)
        self.message = mlp(width, hidden, width)

    def forward(self, vectors: Tensor, values: Tensor, axes: Tensor, axis_values: Tensor) -> Tensor:
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
        return (weights * self.message(pairs)).sum(-2)


class Reconstruction(NamedTuple):
    """What an autoencoder makes of an environment.

    Attributes
    ----------
    bonds : (B, n, 3)
        The bonds again.
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
    decoded. The latent numbers do not change when the sample is turned, the orientation and the
    bonds rebuilt from it turn along.
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
        # what these return is added to nothing: start at sizes that directions can be told from,
        # and at bonds of about the length that they have
        for layer in (self.first_vector, self.second_vector, self.rebuild):
            nn.init.normal_(layer.covariant_weights)
        # a latent distribution as wide as it is far from zero says nothing: start with narrow ones
        spread = self.encode.get_parameter("2.bias")[self.LATENT :]
        with torch.no_grad():
            spread -= 6

    def _frame(self, vectors: Tensor, values: Tensor) -> Tensor:
        pairs = pair_products(vectors)
        return nearest_frame(self.first_vector(pairs, values), self.second_vector(pairs, values))

    def orientation(self, bonds: Tensor, types: Tensor) -> Tensor:
        """(B, 3, 3) axes, as rows, of a frame that turns with each environment."""
        return self._frame(*self.core(bonds, types))

    def forward(self, bonds: Tensor, types: Tensor, noise: Tensor | None = None) -> Reconstruction:
        vectors, values = self.core(bonds, types)
        axes = self._frame(vectors, values)
        seen = self.norm(self.look(compress(bonds), values, axes, self.axis_values))
        mean, log_variance = self.encode(seen).chunk(2, dim=-1)
        latent = mean if noise is None else mean + noise * torch.exp(0.5 * log_variance)
        reference_values = self.reference_values.expand(len(axes), -1, -1)
        rebuilt = self.rebuild(self.decode(latent), pair_products(axes), reference_values)
        return Reconstruction(rebuilt, mean, log_variance)


#: Network of each task.
NETWORKS: dict[str, type[Network]] = {
    "denoising": Denoiser,
    "autoencoding": Autoencoder,
    "shift-identification": VectorRegressor,
    "nearest-bond": VectorRegressor,
    "noisy-bonds": BondClassifier,
    "frame-classification": FrameClassifier,
}


def make_network(
    task: str, config: CoreConfig, n_classes: int = 0, context: int = 0, familiar: int = 0
) -> Network:
    """Network of a task, with random weights; the numbers are for :class:`FrameClassifier`."""
    kind = NETWORKS[task]
    if issubclass(kind, FrameClassifier):
        return kind(config, n_classes, context, familiar)
    return kind(config)


def convert_types(weight: Tensor, max_types: int) -> Tensor:
    """Weights on encoded types, for another number of types told apart.

    Types that the new network does not tell apart are left out; types that the old one did not look
    like its first type. A blind network sees every particle as of the first type, so that
    converting to or from one changes nothing that it could have seen.

    Parameters
    ----------
    weight : (width, 2·m)
        Of a core that tells m types apart, in the order of :func:`encode_types`.
    max_types : int
        Types that the new core tells apart.

    Returns
    -------
    (width, 2·max_types)
    """
    known = weight.shape[1] // 2
    columns = [kind if kind < known else 0 for kind in range(max_types)]
    return weight[:, [*columns, *(known + column for column in columns)]]


def inherit(network: Network, source: Network) -> list[nn.Module]:
    """Copy into a network what another of the same size has learned, but for its head.

    That is the core, whatever the number of types, and between two classifiers the pooling layer,
    which makes the embedding of it.

    Returns
    -------
    list of Module
        The parts of ``network`` that were copied into.
    """
    weights = dict(source.core.state_dict())
    max_types = network.core.embed_types.in_features // 2
    weights["embed_types.weight"] = convert_types(weights["embed_types.weight"], max_types)
    network.core.load_state_dict(weights)
    parts: list[nn.Module] = [network.core]
    if isinstance(network, FrameClassifier) and isinstance(source, FrameClassifier):
        for own, theirs in ((network.pool, source.pool), (network.norm, source.norm)):
            own.load_state_dict(theirs.state_dict())
            parts.append(own)
    return parts


def encode_types(types: Tensor, neighbor_types: Tensor, max_types: int) -> Tensor:
    """Per-bond values that encode the types at both ends of each bond.

    Parameters
    ----------
    types : (B,)
        Type of each particle, 0 ≤ type < max_types.
    neighbor_types : (B, n)
        Types of its neighbors.
    max_types : int
        Types told apart; with 1 all particles look the same, whatever their types.

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
