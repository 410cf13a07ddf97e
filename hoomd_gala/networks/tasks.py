"""The network of each task, and what one inherits from another."""

from torch import Tensor, nn

from .autoencoder import Autoencoder
from .bond_classifier import BondClassifier
from .core import CoreConfig, Network
from .denoiser import Denoiser
from .frame_classifier import FrameClassifier
from .multiscale import MultiscaleEmbedder, PooledNetwork
from .vector_regressor import VectorRegressor

#: Network of each task.
NETWORKS: dict[str, type[Network]] = {
    "denoising": Denoiser,
    "autoencoding": Autoencoder,
    "shift-identification": VectorRegressor,
    "nearest-bond": VectorRegressor,
    "noisy-bonds": BondClassifier,
    "frame-classification": FrameClassifier,
    # made for its embedding, which several scales and no output of a task are of
    "embedding": MultiscaleEmbedder,
}


def make_network(
    task: str,
    config: CoreConfig,
    n_classes: int = 0,
    context: int = 0,
    rings: int = 1,
    disordered: int | None = None,
) -> Network:
    """Network of a task, with random weights; the numbers are for a :class:`PooledNetwork`."""
    kind = NETWORKS[task]
    if issubclass(kind, FrameClassifier):
        return kind(config, n_classes, context, rings, disordered)
    if issubclass(kind, MultiscaleEmbedder):
        return kind(config, context, rings)
    return kind(config)


def convert_types(weight: Tensor, max_types: int) -> Tensor:
    """Convert weights on encoded types to another number of types.

    Types that the new network does not distinguish are left out; those that the old one did not
    distinguish look like its first type. A blind network sees every particle as of the first type,
    so that converting to or from one changes nothing that it could have seen.

    Parameters
    ----------
    weight : (width, 2·m)
        Of a core that distinguishes m types, in the order of
        :func:`~hoomd_gala.networks.encode_types`.
    max_types : int
        Types that the new core distinguishes.

    Returns
    -------
    (width, 2·max_types)
    """
    known = weight.shape[1] // 2
    columns = [kind if kind < known else 0 for kind in range(max_types)]
    return weight[:, [*columns, *(known + column for column in columns)]]


def inherit(network: Network, source: Network) -> list[nn.Module]:
    """Copy into a network what another of the same size has learned, but for its head.

    That is the core, whatever the number of types, and where both have one the pooling layer, which
    makes the embedding of it.

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
    if isinstance(network, PooledNetwork) and isinstance(source, PooledNetwork):
        for own, theirs in ((network.pool, source.pool), (network.norm, source.norm)):
            own.load_state_dict(theirs.state_dict())
            parts.append(own)
    return parts
