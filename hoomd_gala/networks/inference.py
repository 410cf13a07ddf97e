"""Networks in inference: compiled kernels in place of their modules, where possible."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from . import kernels
from .attention import perceptron
from .core import CoreConfig, Network, encode_types
from .denoiser import Denoiser
from .frame_classifier import FrameClassifier
from .kernels import BlockWeights, NetworkWeights, reference
from .kernels.choice import takes_compiled
from .kernels.verification import CLOUDS, POINTS, UNITS, WIDTH, relative_error
from .multiscale import Context, PooledNetwork

Array = NDArray[np.float32]

#: Environments embedded at a time on a GPU; bounds the memory, and keeps a large GPU busy.
CHUNK = 32_768


def network_weights(network: Network) -> NetworkWeights:
    """Take the weights that a network has now as kernels need them."""
    core = network.core
    max_types = core.embed_types.in_features // 2
    types = torch.arange(max_types)
    pairs = encode_types(
        types.repeat_interleave(max_types), types.repeat(max_types)[:, None], max_types
    )
    with torch.no_grad():
        table = core.embed_types(pairs[:, 0].to(core.embed_types.weight))
    blocks = tuple(
        BlockWeights(
            tuple(layer.weights() for layer in block.layers()),
            block.norm.weight,
            block.norm.bias,
            block.norm.eps,
            perceptron(block.mlp),
        )
        for block in core.attention_blocks()
    )
    if isinstance(network, PooledNetwork):
        norm = network.norm
        return NetworkWeights(table, blocks, network.pool.weights(), norm.weight, norm.bias)
    zeros = torch.zeros_like(table[0])
    head = network.correct.weights() if isinstance(network, Denoiser) else None
    return NetworkWeights(table, blocks, None, zeros, zeros, head)


class _Compiled:
    """Compiled kernels with the weights that a network has now.

    Parameters
    ----------
    network : Network
        Where it is, there are kernels for it.
    max_types : int
        Types that it distinguishes.
    """

    def __init__(self, network: Network, max_types: int) -> None:
        weights = network_weights(network)
        assert weights.max_types == max_types
        self._embed = kernels.embedder(weights)


class Embedder(_Compiled):
    """Embeds environments in the host's memory by a network that :func:`embeds` accepts."""

    def __call__(
        self,
        bonds: NDArray[np.float64],
        types: NDArray[np.int64],
        neighbor_types: NDArray[np.int64],
        length_scale: float | None,
    ) -> Array:
        """(B, width) embeddings of environments: bonds (B, n, 3), types (B,) and (B, n)."""
        embedding: Array = self._embed(bonds, types, neighbor_types, length_scale)
        return embedding

    def corrections(
        self,
        bonds: NDArray[np.float64],
        types: NDArray[np.int64],
        neighbor_types: NDArray[np.int64],
        length_scale: float | None,
    ) -> Array:
        """(B, n, 3) corrections, in units of scaled bonds, by a :class:`~.Denoiser`'s head."""
        found: Array = self._embed.corrections(bonds, types, neighbor_types, length_scale)
        return found


class DeviceEmbedder(_Compiled):
    """Embeds environments that are on a GPU by a network that is there too, in float32."""

    def __call__(self, bonds: Tensor, types: Tensor, neighbor_types: Tensor) -> Tensor:
        """(B, width) embeddings of environments: scaled bonds (B, n, 3), types (B,) and (B, n)."""
        embedding: Tensor = self._embed(bonds, types, neighbor_types)
        return embedding


def embeds(network: nn.Module) -> bool:
    """Whether :class:`Embedder` can replace a network's own ``embed``."""
    return _takes_compiled(network, "cpu")


def device_embedder(network: nn.Module, max_types: int) -> DeviceEmbedder | None:
    """Make a :class:`DeviceEmbedder` if it can replace a network's own ``embed`` on its device."""
    if not _takes_compiled(network, "cuda"):
        return None
    assert isinstance(network, Network)
    return DeviceEmbedder(network, max_types)


def _takes_compiled(network: nn.Module, kind: str) -> bool:
    weights = list(network.parameters())
    if (
        not isinstance(network, Network)
        or type(network).embed not in (Network.embed, PooledNetwork.embed)
        or any(w.device.type != kind or w.dtype != torch.float32 for w in weights)
        or (kind == "cpu" and network.core.embed_types.out_features % 2)
    ):
        return False
    device = weights[0].device
    tied = len(next(iter(network.core.attention_blocks())).layers()) == 1
    pooled = isinstance(network, PooledNetwork)
    task = f"embeddings, {tied=}, {pooled=}"
    return takes_compiled(
        device, torch.float32, task, lambda: embedding_error(device, tied, pooled)
    )


def surroundings(
    context: Context, embedding: Array, other: Array, neighbors: NDArray[np.int32]
) -> Array:
    """Summarize what surrounds particles, as a context does.

    Parameters
    ----------
    embedding : (m, width)
        Of the particles.
    other : (N, size)
        What the context's map makes of the embeddings of all particles.
    neighbors : (m, n)
        Rows of ``other``.

    Returns
    -------
    (m, size)
    """
    with torch.inference_mode():
        own = context.own(torch.as_tensor(embedding)).numpy()
    around: Array = kernels.surroundings(own, other, neighbors, torch.device("cpu"))
    return around


def device_surroundings(
    context: Context, embedding: Tensor, everyone: Tensor, neighbors: Tensor
) -> Tensor:
    """Summarize what surrounds particles, as a context does, on any device.

    Parameters
    ----------
    embedding : (m, width)
        Of the particles.
    everyone : (N, width)
        Embeddings of those that may be neighbors.
    neighbors : (m, n) int32
        Rows of ``everyone``.

    Returns
    -------
    (m, size)
    """
    device = everyone.device
    if device.type == "cuda" and takes_compiled(
        device, everyone.dtype, "surroundings", lambda: surroundings_error(device)
    ):
        own, other = context.own(embedding), context.other(everyone)
        around: Tensor = kernels.surroundings(own, other, neighbors, device)
        return around
    parts = zip(torch.split(embedding, CHUNK), torch.split(neighbors, CHUNK), strict=True)
    return torch.cat([context(own, everyone[near.long()]) for own, near in parts])


def embedding_error(device: torch.device, tied: bool, pooled: bool) -> dict[str, float]:
    """Measure the relative error of compiled embeddings of a small random network on a device."""
    config = CoreConfig(max_types=2, width=WIDTH, hidden=UNITS, blocks=1, tied=tied)
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers stay what they were
        torch.default_generator.manual_seed(1)
        network = FrameClassifier(config, 2) if pooled else Denoiser(config)
        bonds = 0.5 * torch.randn(CLOUDS, POINTS, 3)
        types = torch.randint(2, (CLOUDS, 1 + POINTS))
    own, others = types[:, 0], types[:, 1:]
    with torch.no_grad():
        if device.type == "cpu":
            arrays = bonds.double().numpy(), own.numpy(), others.numpy()
            embedder = Embedder(network, 2)
            found = [torch.as_tensor(embedder(*arrays, 0.5))]
            if not pooled:
                found.append(torch.as_tensor(embedder.corrections(*arrays, 0.5)))
        else:
            tensors = (x.to(device) for x in (bonds, own, others))
            found = [DeviceEmbedder(network.to(device), 2)(*tensors)]
        network.cpu().double()
        with kernels.use("reference"):
            exact = bonds.double(), encode_types(own, others, 2).double()
            expected = [network.embed(*exact)]
            if isinstance(network, Denoiser) and len(found) == 2:
                expected.append(network.corrections(*exact))
    errors = {"values": relative_error(found, expected)}
    if pooled:
        errors["values"] = max(errors["values"], surroundings_error(device)["values"])
    return errors


def surroundings_error(device: torch.device) -> dict[str, float]:
    """Measure the relative error of compiled surroundings on a device."""
    generator = torch.Generator().manual_seed(1)
    own, other = (torch.randn(CLOUDS, WIDTH, generator=generator) for _ in range(2))
    neighbors = torch.randint(CLOUDS, (CLOUDS, POINTS), generator=generator, dtype=torch.int32)
    expected = reference.around(own.double(), other.double(), neighbors.long())
    tensors = [x.to(device) for x in (own, other, neighbors)]
    inputs: list[Any] = [x.numpy() for x in tensors] if device.type == "cpu" else tensors
    found = torch.as_tensor(kernels.surroundings(inputs[0], inputs[1], inputs[2], device))
    return {"values": relative_error([found], [expected])}
