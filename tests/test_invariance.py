"""Labels are those of the same system, however it is written down."""

import numpy as np
import pytest
import torch
from benchmarks import invariance, side_by_side

from hoomd_gala.analyzer import Analyzer
from hoomd_gala.crystals.prototypes import displace


@pytest.fixture
def analyzer(model_path):
    threads = torch.get_num_threads()
    yield Analyzer(model_path, "cpu")
    torch.set_num_threads(threads)


def unexplained(changes):
    """Labels that changed, and not for rounding."""
    changed = [it for some in changes.values() for it in some]
    return [it for it in changed if it.margin >= invariance.NEAR and it.gap >= invariance.TIE]


def test_labels_of_random_systems_do_not_change(analyzer):
    compared, changes = invariance.compare(analyzer, 40)
    assert not unexplained(changes)
    assert all(compared[name] > 100 for name in invariance.TRANSFORMATIONS)
    assert 0 < compared["refused"] < 20


def test_another_system_is_noticed(analyzer, monkeypatch):
    def other(system, rng):
        return displace(system, 0.05, rng), np.arange(len(system.positions))

    monkeypatch.setattr(invariance, "TRANSFORMATIONS", {"noise": other})
    _, changes = invariance.compare(analyzer, 10)
    assert unexplained(changes)


@pytest.mark.parametrize("work", ["_one_analyzer_each", "_one_analyzer_for_all"])
def test_threads_do_not_meet(work, model_path):
    results, wrong = getattr(side_by_side, work)(str(model_path), 4)
    assert results == 4 * side_by_side.THREADS
    assert not wrong
