"""The decision rule: labels and confidences from logits."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch

from hoomd_gala import decision
from hoomd_gala.decision import decide, label_embeddings, surround_embedded
from hoomd_gala.embedding import Embedded
from hoomd_gala.files.models import ModelInfo
from hoomd_gala.networks import CoreConfig, FrameClassifier

CORE = CoreConfig(width=16, hidden=16, blocks=1, tied=True)


def described(*names, **options):
    return ModelInfo(CORE, names, **options)


def logits_of(*rows):
    """Logits whose softmax is each of some rows of probabilities."""
    return torch.tensor(rows, dtype=torch.float64).log()


def test_the_most_likely_class_is_the_label_and_its_probability_the_confidence():
    label, confidence = decide(logits_of([0.7, 0.2, 0.1], [0.3, 0.3, 0.4]), described(*"abc"))
    assert label.tolist() == [0, 2]
    assert confidence.tolist() == pytest.approx([0.7, 0.4])


def test_temperature_divides_logits():
    # two classes with odds of 81 to 1, at twice the temperature of 9 to 1
    logits = logits_of([81 / 82, 1 / 82])
    _, confidence = decide(logits, described(*"ab", temperature=2.0))
    assert confidence.item() == pytest.approx(0.9)


def test_below_the_confidence_that_a_label_requires_it_is_unknown():
    info = described(*"abc", unknown_below=0.5)
    label, confidence = decide(logits_of([0.51, 0.49, 1e-9], [0.49, 0.48, 0.03]), info)
    assert label.tolist() == [0, -1]
    # the confidence says how far it was from a label
    assert confidence.tolist() == pytest.approx([0.51, 0.49])


def test_the_output_for_the_unknown_competes_with_the_classes_and_has_no_label():
    info = described(*"ab", knows_unknown=True)
    label, confidence = decide(logits_of([0.4, 0.2, 0.4 - 1e-6], [0.4, 0.15, 0.45]), info)
    # the first by a hair
    assert label.tolist() == [0, -1]
    assert confidence.tolist() == pytest.approx([0.4, 0.4], rel=1e-5)


def test_withheld_classes_are_not_named():
    info = described(*"abc", withheld=("b",), unknown_below=0.25)
    label, confidence = decide(logits_of([0.2, 0.7, 0.1], [0.6, 0.3, 0.1]), info)
    # the next class does not take the place of one that is withheld
    assert label.tolist() == [-1, 0]
    assert confidence.tolist() == pytest.approx([0.2, 0.6])
    label, _ = decide(
        logits_of([0.3, 0.6, 0.05, 0.05]),
        dataclasses.replace(info, knows_unknown=True),
    )
    assert label.tolist() == [-1]


@pytest.mark.parametrize(("context", "rings"), [(0, 1), (8, 1), (8, 2), (20, 2)])
def test_embeddings_are_labeled_piece_by_piece_as_at_once(context, rings, monkeypatch):
    torch.manual_seed(1)
    info = ModelInfo(CORE, ("a", "b", "c"), context=context, rings=rings, knows_unknown=True)
    network = info.make_network().eval().requires_grad_(False)
    assert isinstance(network, FrameClassifier)
    embedding = 3 * torch.randn(100, CORE.width)
    # the first 30 have neighbors among the first 60 only
    neighbors = torch.randint(100, (100, 20), dtype=torch.int32)
    neighbors[:30] %= 60
    with torch.no_grad():
        network.classify[-1].weight.mul_(10)  # confident of some
    expected = decide(network.name(embedding, *network.surround(embedding, neighbors.long())), info)
    assert {-1, 0, 1, 2} >= set(expected[0].tolist()) > {-1}
    monkeypatch.setattr(decision, "CHUNK", 33)
    some = Embedded(embedding, neighbors[: 60 if rings == 2 else 30], 30)
    everyone = Embedded(embedding, neighbors, 100)
    for part, compiled in itertools.product((everyone, some), (False, True)):
        around = surround_embedded(network.rings, part, compiled)
        label, confidence = label_embeddings(network, info, part.own, around)
        assert (label.dtype, confidence.dtype) == (torch.int32, torch.float32)
        np.testing.assert_array_equal(label, expected[0][: part.asked])
        np.testing.assert_allclose(confidence, expected[1][: part.asked], atol=1e-5)


@pytest.mark.parametrize("wrong", [torch.nan, torch.inf])
def test_logits_that_are_not_finite_give_unknown_particles(wrong):
    logits = torch.tensor([[wrong, 0.0, 1.0], [0.0, 5.0, 1.0]])
    label, confidence = decide(logits, described(*"abc"))
    assert label.tolist() == [-1, 1]
    assert confidence[0] == 0
