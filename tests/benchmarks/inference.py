"""Speed of inference, training and neighbor search beside the libraries they are compared with.

Prints ratios measured side by side in one run, each the median of several rounds on one core:
``python tests/benchmarks/inference.py [PART ...]``; the parts are the functions at the end.
"""

import copy
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType

os.environ["OVITO_THREAD_COUNT"] = "1"

import freud
import geometric_algebra_attention.pytorch as reference
import numpy as np
import torch
from scipy.spatial import KDTree
from torch import nn

from hoomd_gala import Analyzer
from hoomd_gala.benchmark import matrix_rate
from hoomd_gala.cli.bench import compare
from hoomd_gala.clusters import find_clusters
from hoomd_gala.crystals.prototypes import crystal, displace, unit_cell
from hoomd_gala.neighbors.environments import nearest_neighbors
from hoomd_gala.networks import CoreConfig, FrameClassifier, kernels
from hoomd_gala.networks.algebra import Pairs, pair_products
from hoomd_gala.networks.attention import InvariantAttention, TiedAttention, VectorAttention
from hoomd_gala.networks.inference import Embedder
from hoomd_gala.networks.kernels.cpu import amx, pair_sums, passes
from hoomd_gala.systems import System

#: What the networks are: the reference core, and that of the shipped models.
CORES = {
    "3 blocks, untied, width 32, hidden 64": CoreConfig(width=32, hidden=64, blocks=3),
    "2 blocks, tied, width 32, hidden 32": CoreConfig(width=32, hidden=32, blocks=2, tied=True),
}


def as_library(layer: nn.Module, width: int) -> nn.Module:
    """The library's layer with the same weights."""
    options = {
        "score_net": layer.score,
        "value_net": layer.value,
        "reduce": layer.reduce,
        "invariant_mode": "full",
    }
    if isinstance(layer, InvariantAttention):
        return reference.VectorAttention(width, **options)
    tied = isinstance(layer, TiedAttention)
    kind = reference.TiedVectorAttention if tied else reference.Vector2VectorAttention
    other = kind(width, scale_net=layer.scale, covariant_mode="full", **options)
    other.vector_kernels = layer.covariant_weights
    return other


class LibraryLayer(nn.Module):
    """The library's layer with the same weights, called like ours."""

    def __init__(self, layer: nn.Module, width: int) -> None:
        super().__init__()
        self.layer = as_library(layer, width)

    def forward(self, pairs: Pairs, values: torch.Tensor) -> torch.Tensor:
        return self.layer((pairs.vectors, values))


def network_on_library(network: FrameClassifier, width: int) -> FrameClassifier:
    """A copy of a network whose attention layers are the library's."""
    network = copy.deepcopy(network)
    for block in network.core.blocks:
        for name, layer in list(block.named_children()):
            if isinstance(layer, VectorAttention | InvariantAttention):
                setattr(block, name, LibraryLayer(layer, width))
    network.pool = LibraryLayer(network.pool, width)
    return network


def training_step(
    network: nn.Module, bonds: torch.Tensor, types: torch.Tensor, labels: torch.Tensor
) -> Callable[[], None]:
    """A step of training, which leaves the weights as they are."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=0)

    def run() -> None:
        optimizer.zero_grad()
        logits, _ = network(bonds, types)
        nn.functional.cross_entropy(logits, labels).backward()
        optimizer.step()

    return run


def networks() -> None:
    """Embeddings of environments, and training steps."""
    torch.manual_seed(1)
    bonds = torch.randn(64, 20, 3)
    types = torch.zeros(64, 20, 2)
    types[..., 1] = 2  # every particle of the first type
    labels = torch.randint(10, (64,))
    arrays = bonds.double().numpy(), np.zeros(64, int), np.zeros((64, 20), int)
    for name, config in CORES.items():
        network = FrameClassifier(config, 10)
        other = network_on_library(network, config.width)
        embedder = Embedder(network, 1)

        def library(other: FrameClassifier = other) -> torch.Tensor:
            with torch.no_grad():
                return other.embed(0.5 * bonds, types)

        ours = torch.as_tensor(embedder(*arrays, 1.0))
        print(f"largest difference of embeddings: {float((ours - library()).abs().max()):.1e}")
        compare(
            {
                "hoomd-gala": lambda embedder=embedder: embedder(*arrays, 1.0),
                "geometric-algebra-attention, same weights": library,
            },
            64,
            f"inference: {name}",
        )

        compare(
            {
                "hoomd-gala": training_step(network, 0.5 * bonds, types, labels),
                "geometric-algebra-attention, same weights": training_step(
                    other, 0.5 * bonds, types, labels
                ),
            },
            64,
            f"training step of 64 environments: {name}",
        )


def second_stage() -> None:
    """Steps of the second stage of ``structures``, on what surrounds particles of whole samples."""
    torch.manual_seed(1)
    samples, size, n_classes = 8, 700, 150
    network = FrameClassifier(
        CORES["2 blocks, tied, width 32, hidden 32"], n_classes, context=64, rings=2
    )
    for part in (network.core, network.pool, network.norm):
        part.requires_grad_(False)
    embedding = torch.randn(samples * size, 32)
    first = size * torch.arange(samples).repeat_interleave(size)
    neighbors = first[:, None] + torch.randint(size, (samples * size, 20))
    labels = torch.randint(n_classes, (samples * size,))
    optimizer = torch.optim.AdamW(network.parameters(), lr=0)

    def step() -> None:
        optimizer.zero_grad()
        logits = network.name(embedding, *network.surround(embedding, neighbors))
        nn.functional.cross_entropy(logits, labels).backward()
        optimizer.step()

    def on_torch() -> None:
        with kernels.use("reference"):
            step()

    compare(
        {"hoomd-gala": step, "plain torch": on_torch},
        len(labels),
        f"training step of the second stage, {samples} samples of {size} particles",
    )


def layers() -> None:
    """A single layer, forward and backward."""
    width = 32
    layer = TiedAttention(width, 2 * width)
    other = as_library(layer, width)
    vectors, values = 0.5 * torch.randn(64, 20, 3), torch.randn(64, 20, width)

    def train(run: Callable[[], tuple[torch.Tensor, torch.Tensor]]) -> Callable[[], None]:
        return lambda: sum(out.sum() for out in run()).backward()

    compare(
        {
            "hoomd-gala": train(lambda: layer(pair_products(vectors), values)),
            "geometric-algebra-attention": train(lambda: other((vectors, values))),
        },
        64,
        "tied layer, hidden 64, forward and backward",
    )


def passes_in_registers() -> ModuleType:
    """The compiled passes without matrix units, as a second module."""
    name = f"{passes.__name__}_in_registers"
    spec = importlib.util.spec_from_file_location(name, passes.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    usable, amx.are_usable = amx.are_usable, lambda: False
    try:
        spec.loader.exec_module(module)
    finally:
        amx.are_usable = usable
    return module


@contextmanager
def backward_by(module: ModuleType) -> Iterator[None]:
    """Take the backward pass from another module of passes."""
    usual = pair_sums.announced
    pair_sums.announced = lambda name: module if name == "backward" else usual(name)
    try:
        yield
    finally:
        pair_sums.announced = usual


def backward() -> None:
    """Training steps with the backward pass on matrix units and in vector registers."""
    if not amx.are_usable():
        print("training, backward pass on matrix units: this processor has none")
        return
    torch.manual_seed(1)
    registers = passes_in_registers()
    network = FrameClassifier(CoreConfig(), 10)
    for batch in (64, 1024):
        bonds, types = 0.5 * torch.randn(batch, 20, 3), torch.zeros(batch, 20, 2)
        step = training_step(network, bonds, types, torch.randint(10, (batch,)))

        def in_registers(step: Callable[[], None] = step) -> None:
            with backward_by(registers):
                step()

        compare(
            {"matrix units": step, "backward pass in vector registers": in_registers},
            batch,
            f"training step of {batch} environments, forward pass on matrix units",
        )


def neighbors() -> None:
    """Twenty nearest neighbors."""
    freud.parallel.set_num_threads(1)
    rng = np.random.default_rng(1)
    ball = rng.normal(size=(7000, 3)) * 3
    tilted = System(rng.uniform(size=(8192, 3)), np.array([20, 20, 20, 0.4, -0.3, 0.5]), None)
    systems = {
        "hot bcc crystal": displace(crystal(unit_cell("cI2-W"), 8192), 0.05, rng),
        "droplet in its vapor": System(
            np.concatenate((ball, rng.uniform(-25, 25, (1192, 3)))),
            np.array([50, 50, 50, 0, 0, 0]),
            None,
        ),
        "gas in a triclinic box": tilted._replace(positions=20 * tilted.positions),
    }
    for name, system in systems.items():
        box = freud.box.Box(*system.box)
        points = box.wrap(system.positions)

        def by_freud(box: object = box, points: np.ndarray = points) -> object:
            query = freud.locality.AABBQuery(box, points)
            found = query.query(points, {"num_neighbors": 20, "exclude_ii": True})
            return found.toNeighborList(sort_by_distance=True)

        def by_scipy(system: System = system) -> object:
            edge = system.box[:3]
            inside = np.mod(system.positions, edge)
            return KDTree(inside, boxsize=edge).query(inside, k=21)

        functions = {
            "hoomd-gala": lambda s=system: nearest_neighbors(s.positions, s.box),
            "freud AABB": by_freud,
        }
        if not system.box[3:].any():
            functions["SciPy, periodic k-d tree"] = by_scipy
        compare(functions, len(points), f"20 nearest neighbors: {name}")


def labels() -> None:
    """From positions to labels, beside polyhedral template matching."""
    from ovito.data import DataCollection, Particles, SimulationCell
    from ovito.modifiers import PolyhedralTemplateMatchingModifier

    system = displace(crystal(unit_cell("cI2-W"), 8192), 0.05, np.random.default_rng(1))
    matching = PolyhedralTemplateMatchingModifier(rmsd_cutoff=0)
    for structure in matching.structures:
        structure.enabled = True
    data = DataCollection()
    cell = SimulationCell(pbc=(True, True, True))
    cell[:, :3], cell[:, 3] = np.diag(system.box[:3]), -system.box[:3] / 2
    data.objects.append(cell)
    particles = Particles()
    particles.create_property("Position", data=system.positions)
    data.objects.append(particles)

    def by_ovito() -> object:
        copied = data.clone()
        copied.apply(matching)
        return copied.particles["Structure Type"]

    for name in ("structures", "structures-fast"):
        analyzer = Analyzer(name, "cpu")
        compare(
            {
                name: lambda analyzer=analyzer: analyzer.analyze_system(system),
                "OVITO, polyhedral template matching, all structures": by_ovito,
            },
            len(system.positions),
            "from positions to labels",
        )


def denoising() -> None:
    """A step that takes thermal displacements out, beside labeling."""
    system = displace(crystal(unit_cell("cF4-Cu"), 8192), 0.08, np.random.default_rng(1))
    denoise, structures = Analyzer("denoise", "cpu"), Analyzer("structures", "cpu")
    compare(
        {
            "a step of denoise": lambda: denoise.denoise_system(system, 1),
            "labels by structures": lambda: structures.analyze_system(system),
        },
        len(system.positions),
        "thermal displacements",
    )


def clusters() -> None:
    """Clusters of labeled particles, beside labeling them."""
    system = displace(crystal(unit_cell("cI2-W"), 1_000_000), 0.05, np.random.default_rng(1))
    analyzer = Analyzer("structures-fast", "cpu")
    label = analyzer.analyze_system(system).label
    compare(
        {
            "structures-fast": lambda: analyzer.analyze_system(system),
            "clusters": lambda: find_clusters(system, label, analyzer.class_names),
        },
        len(system.positions),
        "clusters of labeled particles",
    )


def main() -> None:
    """Run all comparisons, or those that are named."""
    torch.set_num_threads(1)
    parts = {
        part.__name__: part
        for part in (
            networks,
            second_stage,
            layers,
            backward,
            neighbors,
            labels,
            denoising,
            clusters,
        )
    }
    for name in sys.argv[1:] or parts:
        print(f"float32 matrix products: {matrix_rate() / 1e9:.0f} GFLOP/s")
        parts[name]()


if __name__ == "__main__":
    main()
