"""Models that look at the neighbors of neighbors, against what they are defined to compute."""

import numpy as np
import pytest
import torch
from conftest import gas, melting, needs_cuda

from hoomd_gala import decision
from hoomd_gala import embedding as module
from hoomd_gala.analyzer import Analyzer
from hoomd_gala.files.models import load_model


@pytest.fixture
def analyzer(two_rings):
    return Analyzer(two_rings, "cpu")


@pytest.fixture(params=[gas, melting])
def system(request):
    return request.param(900, np.random.default_rng(12))


def defined_labels(model, embedding, neighbors):
    """Labels and confidences of all particles as two rings are defined, in double precision."""
    weights = {name: w.double() for name, w in model.network.state_dict().items()}
    info, embedding, neighbors = model.info, embedding.double(), neighbors.long()

    def linear(x, name):
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    parts = [embedding]
    for name in ("context", "wider"):
        own, other = linear(parts[-1], f"{name}.own"), linear(parts[-1], f"{name}.other")
        parts.append((own[:, None] + other[neighbors]).relu().mean(1))
    hidden = linear(torch.cat(parts, -1), "classify.0").relu()
    outputs = linear(hidden, "classify.2")
    at = info.class_names.index("disordered")
    disorder = outputs[:, at].sigmoid()[:, None]
    others = [i for i in range(outputs.shape[1]) if i != at]
    chances = torch.zeros_like(outputs)
    chances[:, others] = (1 - disorder) * outputs[:, others].softmax(-1)
    chances[:, [at]] = disorder
    confidence, label = chances[:, : len(info.class_names)].max(-1)
    unknown = 1 - chances[:, : len(info.class_names)].sum(-1) > confidence
    return label.where(~unknown, -1), confidence


def check(result, expected, enough=2):
    label, confidence = (x.numpy() for x in expected)
    assert len(np.unique(label)) > enough
    np.testing.assert_array_equal(result.label, label)
    np.testing.assert_allclose(result.confidence, confidence, atol=1e-4)


@pytest.mark.parametrize("kernels", ["auto", "reference"])
def test_labels_are_as_defined(two_rings, system, kernels, monkeypatch):
    analyzer = Analyzer(two_rings, "cpu", kernels)
    expected = defined_labels(two_rings, *map(torch.as_tensor, analyzer.embed_system(system)))
    monkeypatch.setattr(decision, "CHUNK", 333)
    check(analyzer.analyze(system), expected)
    # what a GPU does, on the CPU
    check(analyzer.label(analyzer.embedder.embed_on_device(system)), expected)


def test_both_rings_and_their_order_matter(two_rings, system, analyzer):
    whole = analyzer.analyze(system).label
    embedding, neighbors = map(torch.as_tensor, analyzer.embed_system(system))
    # neighbors of neighbors who are others
    other = torch.roll(neighbors, 1, 0)
    network = two_rings.network
    inner = network.context(embedding, embedding[neighbors.long()])
    rings = inner, network.wider(inner, inner[other.long()])
    label, _ = decision.label_embeddings(network, two_rings.info, embedding, rings)
    assert (label.numpy() != whole).mean() > 0.02


def test_some_particles_are_labeled_as_among_all(analyzer, system):
    whole = analyzer.analyze(system)
    total = len(whole.label)
    assert len(np.unique(whole.label)) > 2
    for some in ([5], [40, 7, 7, 300], np.arange(total)[::-1], np.arange(0, total, 11), []):
        found, rows = analyzer.analyze(system, particles=some), np.asarray(some, int)
        np.testing.assert_array_equal(found.label, whole.label[rows])
        np.testing.assert_array_equal(found.embedding, whole.embedding[rows])
        # matrix products of few rows round otherwise
        np.testing.assert_allclose(found.confidence, whole.confidence[rows], atol=5e-6)


def test_only_those_that_matter_are_embedded(analyzer, system):
    _, neighbors = analyzer.embed_system(system)
    some = np.array([3, 90, 17])
    once = np.union1d(some, neighbors[some])
    twice = np.union1d(once, neighbors[once])
    everyone, rows, asked = analyzer.embedder.embed(system, some)
    assert (len(everyone), len(rows), asked) == (len(twice), len(once), 3)
    assert len(twice) < len(neighbors)


def test_models_without_context_embed_no_neighbors(trained, system):
    embedder = Analyzer(trained, "cpu").embedder
    assert len(embedder.embed(system, np.array([3, 90])).everyone) == 2


@pytest.mark.parametrize("name", ["trained", "two_rings"])
def test_embeddings_of_particles_and_their_neighbors(name, system, request):
    analyzer = Analyzer(request.getfixturevalue(name), "cpu")
    embedding, neighbors = analyzer.embed_system(system)
    some = np.array([9, 2, 9, 500])
    own, around = analyzer.embed_particles(system, some)
    np.testing.assert_array_equal(own, embedding[some])
    np.testing.assert_array_equal(around, embedding[neighbors[some]])


def test_a_file_holds_all_of_it(two_rings, two_rings_path, system):
    assert load_model(two_rings_path).info == two_rings.info
    one, other = (Analyzer(model, "cpu").analyze(system) for model in (two_rings, two_rings_path))
    np.testing.assert_array_equal(one.label, other.label)
    np.testing.assert_array_equal(one.confidence, other.confidence)


def test_labels_do_not_change_when_all_is_rotated(analyzer):
    system = melting(900, np.random.default_rng(13))
    box = system.box[[1, 2, 0, 3, 4, 5]]
    rotated = system._replace(positions=system.positions[:, [1, 2, 0]], box=box)
    found, expected = analyzer.analyze(rotated), analyzer.analyze(system)
    np.testing.assert_array_equal(found.label, expected.label)
    np.testing.assert_allclose(found.confidence, expected.confidence, atol=1e-3)


@needs_cuda
def test_on_a_gpu(two_rings_path, system, monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 100)
    on_gpu, expected = Analyzer(two_rings_path, "cuda"), Analyzer(two_rings_path, "cpu")
    for options in ({}, {"particles": [5, 70, 3]}):
        found, wanted = (one.analyze(system, **options) for one in (on_gpu, expected))
        assert (found.label == wanted.label).mean() > 0.99
        np.testing.assert_allclose(found.confidence, wanted.confidence, atol=1e-3)
