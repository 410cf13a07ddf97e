"""The way through all layers at once, against the same network on tensors in double precision."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from hoomd_gala import Analyzer
from hoomd_gala.crystals.prototypes import crystal, displace, unit_cell
from hoomd_gala.neighbors.environments import PeriodicTree, nearest_neighbors, scale_bonds
from hoomd_gala.networks import Context, CoreConfig, encode_types, make_network
from hoomd_gala.networks.inference import Embedder, embeds, surroundings
from hoomd_gala.networks.kernels import VARIABLE


@pytest.fixture(autouse=True)
def no_fallback(monkeypatch):
    """Kernels that do not pass their verification are an error here."""
    monkeypatch.setenv(VARIABLE, "fused")


SIZES = [
    ("frame-classification", CoreConfig(1, 32, 32, 2, True), 20),
    ("frame-classification", CoreConfig(1, 16, 16, 1, True), 16),
    ("frame-classification", CoreConfig(3, 12, 20, 2, False), 20),
    ("frame-classification", CoreConfig(1, 64, 16, 1, True), 9),
    ("denoising", CoreConfig(2, 14, 10, 2, True), 7),
    ("noisy-bonds", CoreConfig(1, 32, 64, 1, False), 20),
]


def make(task, config, n, clouds=37):
    torch.manual_seed(3)
    network = make_network(task, config, 5).requires_grad_(False)
    for weight in network.parameters():
        if weight.ndim == 1:
            weight.add_(0.1 * torch.randn_like(weight))  # those of norms start at 1 and 0
    rng = np.random.default_rng(4)
    bonds = rng.normal(size=(clouds, n, 3)) * rng.uniform(0.5, 2, size=(clouds, 1, 1))
    kinds = config.max_types
    return network, bonds, rng.integers(kinds, size=clouds), rng.integers(kinds, size=(clouds, n))


@pytest.mark.parametrize("length_scale", [None, 1.3])
@pytest.mark.parametrize(("task", "config", "n"), SIZES)
def test_embeddings_equal_those_of_the_network(task, config, n, length_scale):
    network, bonds, types, others = make(task, config, n)
    assert embeds(network)
    found = Embedder(network, config.max_types)(bonds, types, others, length_scale)
    encoded = encode_types(torch.as_tensor(types), torch.as_tensor(others), config.max_types)
    scaled = torch.as_tensor(scale_bonds(bonds, length_scale))
    expected = network.double().embed(scaled, encoded.double()).numpy()
    scale = max(1, abs(expected).max())
    np.testing.assert_allclose(found, expected, atol=3e-5 * scale)


@pytest.mark.parametrize("length_scale", [None, 1.3])
@pytest.mark.parametrize(
    ("config", "n"),
    [
        (CoreConfig(1, 32, 32, 2, True), 20),
        (CoreConfig(2, 14, 10, 2, True), 7),
        (CoreConfig(3, 12, 20, 1, False), 16),
    ],
)
def test_corrections_equal_those_of_the_network(config, n, length_scale):
    network, bonds, types, others = make("denoising", config, n)
    found = Embedder(network, config.max_types).corrections(bonds, types, others, length_scale)
    encoded = encode_types(torch.as_tensor(types), torch.as_tensor(others), config.max_types)
    scaled = torch.as_tensor(scale_bonds(bonds, length_scale))
    expected = network.double().corrections(scaled, encoded.double()).numpy()
    np.testing.assert_allclose(found, expected, atol=3e-5 * max(1, abs(expected).max()))


def test_embeddings_depend_neither_on_threads_nor_on_company():
    network, bonds, types, others = make(*SIZES[0], clouds=70)
    embedder = Embedder(network, 1)
    together = embedder(bonds, types, others, None)
    order = np.random.default_rng(5).permutation(70)
    torch.set_num_threads(2)
    try:
        np.testing.assert_array_equal(embedder(bonds, types, others, None), together)
        np.testing.assert_array_equal(
            embedder(bonds[order], types[order], others[order], None), together[order]
        )
    finally:
        torch.set_num_threads(1)


@pytest.mark.parametrize("size", [12, 48])
def test_surroundings_equal_the_context(size):
    torch.manual_seed(6)
    context = Context(8, size).requires_grad_(False)
    embedding = torch.randn(30, 8)
    neighbors = np.random.default_rng(7).integers(30, size=(30, 20)).astype(np.int32)
    found = surroundings(
        context, embedding[5:9].numpy(), context.other(embedding).numpy(), neighbors[5:9]
    )
    expected = context(embedding[5:9], embedding[torch.as_tensor(neighbors[5:9]).long()])
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)


def test_labels_equal_those_of_the_network_on_tensors():
    analyzer = Analyzer("structures", "cpu")
    cells = [
        displace(crystal(unit_cell(name), 500), 0.08, np.random.default_rng(8))
        for name in ("cI2-W", "cP8-Cr3Si")
    ]
    found = [analyzer.analyze_system(system) for system in cells]
    analyzer.embedder._on_cpu = None
    for system, result in zip(cells, found, strict=True):
        expected = analyzer.analyze_system(system)
        assert (result.label == expected.label).mean() >= 0.999
        np.testing.assert_allclose(result.confidence, expected.confidence, atol=1e-3)


def test_permuted_particles_keep_their_labels_and_embeddings():
    system = displace(crystal(unit_cell("cF4-Cu"), 500), 0.05, np.random.default_rng(9))
    order = np.random.default_rng(10).permutation(len(system.positions))
    analyzer = Analyzer("structures", "cpu")
    one = analyzer.analyze(system.positions, system.box)
    other = analyzer.analyze(system.positions[order], system.box)
    np.testing.assert_array_equal(other.label, one.label[order])
    np.testing.assert_allclose(other.embedding, one.embedding[order], atol=1e-4)


def test_processors_without_matrix_units_do_the_same(tmp_path):
    code = """
import numpy as np, sys
sys.path.insert(0, "tests/networks")
from test_inference import SIZES, make
from hoomd_gala.networks.inference import Embedder
from hoomd_gala.networks.kernels.cpu import passes as kernels
assert kernels.TILE == 4 and kernels.LANES == 8
task, config, n = SIZES[2]
network, *rest = make(task, config, n)
np.save(sys.argv[1], Embedder(network, config.max_types)(*rest, None))
"""
    path = tmp_path / "embedding.npy"
    plain = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx,+avx2,+fma,+sse4.2"}
    environment = os.environ | plain | {"NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    task, config, n = SIZES[2]
    network, *rest = make(task, config, n)
    found = Embedder(network, config.max_types)(*rest, None)
    np.testing.assert_allclose(np.load(path), found, atol=3e-5 * max(1, abs(found).max()))


def test_neighbors_do_not_depend_on_threads():
    system = displace(crystal(unit_cell("hP2-Mg"), 900), 0.05, np.random.default_rng(11))
    one = nearest_neighbors(system.positions, system.box)
    two = PeriodicTree.build(system.positions, system.box).nearest(workers=2)
    np.testing.assert_array_equal(one.neighbors, two.neighbors)
    np.testing.assert_array_equal(one.bonds, two.bonds)
