"""Temperatures that make confidences match accuracies."""

import pytest
import torch
from torch import nn

from hoomd_gala.learning import calibration
from hoomd_gala.learning.calibration import best_temperature, calibrate, few_temperature


def drawn(temperature, m=40_000, n_classes=3):
    """Logits (m, K) whose labels (m,) have the probabilities of a softmax at a temperature."""
    generator = torch.Generator().manual_seed(1)
    logits = 3 * torch.randn(m, n_classes, generator=generator, dtype=torch.float64)
    probabilities = torch.softmax(logits / temperature, dim=-1)
    return logits, torch.multinomial(probabilities, 1, generator=generator)[:, 0]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_labels_were_drawn_at_is_found(temperature):
    logits, labels = drawn(temperature)
    assert best_temperature(logits, labels) == pytest.approx(temperature, rel=0.03)


def test_confidence_matches_accuracy_after_calibration_and_not_before():
    logits, labels = drawn(3.0)

    def excess(temperature):
        confidence, label = torch.softmax(logits / temperature, dim=-1).max(dim=-1)
        return float(confidence.mean() - (label == labels).double().mean())

    assert excess(1.0) > 0.2
    assert abs(excess(best_temperature(logits, labels))) < 0.01


class Logits(nn.Module):
    """A network whose logits are its types, and that counts the rows it is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.sizes = []

    def forward(self, bonds, types):
        self.sizes.append(len(bonds))
        return types + self.weight, None


def test_a_network_is_calibrated_on_all_its_validation_data_batch_by_batch():
    logits, labels = drawn(2.0, 1000)
    network = Logits()
    data = {"bonds": torch.zeros(1000, 1), "types": logits, "labels": labels}
    assert calibrate(network, data, batch_size=300) == best_temperature(logits, labels)
    # the first row alone says how many classes there are
    assert network.sizes == [1, 300, 300, 300, 100]


def test_with_thousands_of_classes_part_of_the_data_is_enough(monkeypatch):
    monkeypatch.setattr(calibration, "_MOST_LOGITS", 3 * 1500)
    logits, labels = drawn(2.0, 4000)
    data = {"bonds": torch.zeros(4000, 1), "types": logits, "labels": labels}
    expected = best_temperature(logits[:1500], labels[:1500])
    assert calibrate(Logits(), data) == pytest.approx(expected)
    # but never fewer than a thousand environments
    monkeypatch.setattr(calibration, "_MOST_LOGITS", 3)
    expected = best_temperature(logits[:1000], labels[:1000])
    assert calibrate(Logits(), data) == pytest.approx(expected)


def test_few_particles_that_are_all_right_leave_a_doubt():
    def confidence(count):
        labels = torch.arange(2).repeat(count)
        logits = 20 * nn.functional.one_hot(labels, 2).double()
        temperature = few_temperature(logits, labels)
        return float(torch.softmax(logits / temperature, dim=-1).max(dim=-1).values.mean())

    # one more particle, 2m + 1 in all, has a random label, which is wrong half of the time
    for count in (2, 5, 50):
        assert confidence(count) == pytest.approx(1 - 0.5 / (2 * count + 1), abs=0.005)


def test_of_few_particles_all_classes_count_the_same():
    # a frequent class, all right, and a rare one that is half wrong
    labels = torch.tensor([0] * 98 + [1] * 2)
    logits = torch.zeros(100, 2, dtype=torch.float64)
    logits[:98, 0] = logits[98, 1] = logits[99, 0] = 4.0
    alone = few_temperature(logits[-2:], torch.tensor([1, 1]))
    assert alone == pytest.approx(100)  # guessing, as nothing is known
    both = few_temperature(logits, labels)
    # at equal weights a quarter is wrong: 4 / T = ln 3, but for the doubt
    assert both == pytest.approx(4 / 1.0986, rel=0.05)
