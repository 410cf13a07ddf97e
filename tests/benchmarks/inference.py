"""Speed of inference and neighbor search beside the libraries they are compared with.

Prints ratios measured side by side in one run, each the median of several rounds on one core:
``python tests/benchmarks/inference.py``.
"""

import copy
import statistics
import time
from collections.abc import Callable

import freud
import geometric_algebra_attention.pytorch as reference
import numpy as np
import torch
from torch import nn
from tqdm.auto import tqdm

from hoomd_gala.algebra import Pairs, pair_products
from hoomd_gala.attention import InvariantAttention, TiedAttention
from hoomd_gala.environments import nearest_neighbors
from hoomd_gala.networks import CoreConfig, FrameClassifier
from hoomd_gala.structures import crystal, displace, unit_cell

ROUNDS = 7


def seconds(function: Callable[[], object]) -> float:
    """Wall time of one call."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def compare(what: str, ours: Callable[[], object], theirs: Callable[[], object], n: int) -> None:
    """Alternate two functions and print the median of the ratio of their times."""
    ours(), theirs()
    pairs = [(seconds(ours), seconds(theirs)) for _ in tqdm(range(ROUNDS), desc=what, leave=False)]
    mine = statistics.median(mine for mine, _ in pairs)
    ratio = statistics.median(other / mine for mine, other in pairs)
    print(f"{what:58} {n / mine:10.0f} per second  {ratio:6.2f} x")


def as_library(layer: TiedAttention | InvariantAttention, width: int) -> nn.Module:
    """The library's layer with the same weights."""
    options = {
        "score_net": layer.score,
        "value_net": layer.value,
        "reduce": layer.reduce,
        "invariant_mode": "full",
    }
    if not isinstance(layer, TiedAttention):
        return reference.VectorAttention(width, **options)
    other = reference.TiedVectorAttention(
        width, scale_net=layer.scale, covariant_mode="full", **options
    )
    other.vector_kernels = layer.covariant_weights
    return other


class LibraryLayer(nn.Module):
    """The library's layer with the same weights, called like ours."""

    def __init__(self, layer: TiedAttention | InvariantAttention, width: int) -> None:
        super().__init__()
        self.layer = as_library(layer, width)

    def forward(self, pairs: Pairs, values: torch.Tensor) -> torch.Tensor:
        return self.layer((pairs.vectors, values))


def network_on_library(network: FrameClassifier, width: int) -> FrameClassifier:
    """A copy of a network whose attention layers are the library's."""
    network = copy.deepcopy(network)
    for block in network.core.blocks:
        block.tied = LibraryLayer(block.tied, width)
    network.pool = LibraryLayer(network.pool, width)
    return network


def main() -> None:
    """Run all comparisons."""
    torch.set_num_threads(1)
    width, clouds = 32, 256
    ours = TiedAttention(width, 2 * width)
    theirs = as_library(ours, width)
    vectors, values = 0.5 * torch.randn(clouds, 20, 3), torch.randn(clouds, 20, width)

    def in_batches(layer: Callable[..., object]) -> Callable[[], None]:
        def run() -> None:
            with torch.no_grad():
                for start in range(0, clouds, 64):
                    layer(vectors[start : start + 64], values[start : start + 64])

        return run

    def train(layer: Callable[..., tuple[torch.Tensor, torch.Tensor]]) -> Callable[[], None]:
        def run() -> None:
            for start in range(0, clouds, 64):
                out = layer(vectors[start : start + 64], values[start : start + 64])
                (out[0].sum() + out[1].sum()).backward()

        return run

    def mine(r: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return ours(pair_products(r), v)

    def library(r: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return theirs((r, v))

    print(f"{'what, on one core':58} {'ours':>10}             faster than")
    compare(
        "tied layer, forward: geometric-algebra-attention",
        in_batches(mine),
        in_batches(library),
        clouds,
    )
    compare(
        "tied layer, forward and backward: geometric-algebra-attention",
        train(mine),
        train(library),
        clouds,
    )
    network = FrameClassifier(CoreConfig(width=width, hidden=width, blocks=2, tied=True), 10)
    other = network_on_library(network, width)
    bonds, types = vectors[:64], torch.zeros(64, 20, 2)
    labels = torch.randint(10, (64,))

    def infer(net: nn.Module) -> Callable[[], None]:
        def run() -> None:
            with torch.no_grad():
                net(bonds, types)

        return run

    def step(net: nn.Module) -> Callable[[], None]:
        optimizer = torch.optim.AdamW(net.parameters(), lr=0)

        def run() -> None:
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(bonds, types)[0], labels).backward()
            optimizer.step()

        return run

    for what, make in (("forward", infer), ("training step", step)):
        compare(f"network, {what}: geometric-algebra-attention", make(network), make(other), 64)
    system = displace(crystal(unit_cell("cI2-W"), 8192), 0.05, np.random.default_rng(1))
    positions, box = system.positions, system.box
    freud.parallel.set_num_threads(1)

    def freud_neighbors() -> object:
        query = freud.locality.AABBQuery(freud.box.Box(*box), positions)
        found = query.query(positions, {"num_neighbors": 20, "exclude_ii": True})
        return found.toNeighborList(sort_by_distance=True)

    compare(
        "20 nearest neighbors: freud AABB",
        lambda: nearest_neighbors(positions, box),
        freud_neighbors,
        len(positions),
    )


if __name__ == "__main__":
    main()
