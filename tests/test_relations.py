"""Models that see which particles are of one type: what types are called changes nothing."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import melting, needs_cuda

from hoomd_gala.analyzer import Analyzer
from hoomd_gala.files.models import Model, load_model
from hoomd_gala.networks import encode_types, inherit, relate_types
from hoomd_gala.systems import make_system

#: Other numbers for the types 0, 1 and 2.
NUMBERS = {
    "swapped": (2, 0, 1),
    "beyond what the model tells apart": (1000, 4, 70),
    "of all sizes": (2**62, 1, 2**31),
    "negative": (-1, -(2**62), 0),
}
MANY = 40


@pytest.fixture
def system():
    """A crystal and a liquid of three types."""
    rng = np.random.default_rng(3)
    sample = melting(400, rng)
    return sample._replace(types=rng.integers(0, 3, len(sample.positions)))


def renumbered(system, numbers):
    return system._replace(types=np.array(numbers, np.int64)[system.types])


def as_on_a_gpu(analyzer, system):
    """What is done where positions stay in a GPU's memory, on the analyzer's device."""
    return analyzer.label(analyzer.embedder.embed_on_device(system))


def some(analyzer, system):
    return analyzer.analyze(system, particles=[7, 300, 7, 2])


def assert_same(found, expected):
    for name in ("label", "confidence", "embedding"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


@pytest.mark.parametrize("how", [Analyzer.analyze, some, as_on_a_gpu])
@pytest.mark.parametrize("kernels", ["auto", "reference"])
def test_what_types_are_called_does_not_matter(related, system, kernels, how):
    analyzer = Analyzer(related, "cpu", kernels)
    expected = how(analyzer, system)
    assert how is some or len(np.unique(expected.label)) > 2
    for numbers in NUMBERS.values():
        assert_same(how(analyzer, renumbered(system, numbers)), expected)
    # and whether two particles are of one type does
    other = how(analyzer, renumbered(system, (0, 1, 1)))
    assert (other.embedding != expected.embedding).any(axis=1).mean() > 0.9


@needs_cuda
def test_what_types_are_called_does_not_matter_on_a_gpu(related_path, system):
    analyzer = Analyzer(related_path, "cuda")
    expected = analyzer.analyze(system)
    for numbers in NUMBERS.values():
        assert_same(analyzer.analyze(renumbered(system, numbers)), expected)
    on_cpu = Analyzer(related_path, "cpu").analyze(system)
    assert (expected.label == on_cpu.label).mean() > 0.99
    np.testing.assert_allclose(expected.embedding, on_cpu.embedding, atol=1e-3)


@pytest.mark.parametrize("kernels", ["auto", "reference"])
def test_what_types_are_called_does_not_matter_where_neighbors_are_known(related, system, kernels):
    analyzer = Analyzer(related, "cpu", kernels)
    cluster = make_system(system.positions, None, system.types, periodic=False)
    embedding, neighbors = analyzer.embed_system(cluster)
    particles = np.array([5, 0, 200, 31])

    def known(types):
        return analyzer.embed_known(cluster.positions, types, neighbors, particles, None)

    expected = known(cluster.types)
    np.testing.assert_allclose(expected, embedding[particles], atol=1e-4)
    for numbers in NUMBERS.values():
        np.testing.assert_array_equal(known(renumbered(cluster, numbers).types), expected)


def test_compiled_kernels_do_as_plain_torch(related, system):
    found, expected = (
        Analyzer(related, "cpu", kernels).analyze(system) for kernels in ("fused", "reference")
    )
    np.testing.assert_allclose(found.embedding, expected.embedding, atol=1e-4)
    assert (found.label == expected.label).mean() > 0.99


def test_systems_of_many_types(related, system, rng):
    analyzer = Analyzer(related, "cpu", "reference")
    many = system._replace(types=rng.integers(0, MANY, len(system.positions)))
    expected = analyzer.analyze(many)
    numbers = rng.permutation(10**6)[:MANY]
    assert_same(analyzer.analyze(renumbered(many, numbers)), expected)


@pytest.mark.parametrize("kernels", ["auto", "reference"])
def test_of_one_type_it_is_a_model_that_is_blind_to_types(related, system, kernels):
    info = replace(related.info, core=replace(related.info.core, max_types=1, relations=False))
    blind = Model(info.make_network().eval().requires_grad_(False), info)
    blind.network.load_state_dict(
        {key: w for key, w in related.network.state_dict().items() if "embed_types" not in key},
        strict=False,
    )
    inherit(blind.network, related.network)  # a particle's own type is the first of the table
    expected = Analyzer(blind, "cpu", kernels).analyze(system)
    for only in (0, 1000):
        types = np.full(len(system.positions), only)
        found = Analyzer(related, "cpu", kernels).analyze(system._replace(types=types))
        assert_same(found, expected)


def test_a_file_holds_that_relations_are_seen(related, related_path):
    assert load_model(related_path).info == related.info


def test_relations_are_numbered_from_the_nearest_neighbor_outwards():
    types = torch.tensor([7, 7, 3])
    near = torch.tensor([[7, 9, 7, 5, 9, 8, 6], [7] * 7, [0, 0, 1, 1, 2, 3, 4]])
    own, numbers = relate_types(types, near, 4)
    assert own.tolist() == [0, 0, 0]
    # of five types, those that appear last share a number
    expected = [[0, 1, 0, 2, 1, 3, 3], [0] * 7, [1, 1, 2, 2, 3, 0, 3]]
    assert numbers.tolist() == expected
    assert encode_types(own, numbers, 4).shape == (3, 7, 8)
    alike = [[min(number, 1) for number in row] for row in expected]
    assert relate_types(types, near, 2)[1].tolist() == alike
    nobody = relate_types(types[:0], near[:0], 4)
    assert [part.shape for part in nobody] == [(0,), (0, 7)]
