"""Displacements of crystals whose neighbors move together."""

import numpy as np
import pytest

from hoomd_gala.crystals import springs
from hoomd_gala.crystals.prototypes import crystal, displace, unit_cell
from hoomd_gala.neighbors.environments import nearest_neighbors


def spread(perfect, hot):
    """Root mean square of displacements, and of the change of the shortest bonds, per direction."""
    shifts = hot.positions - perfect.positions
    found = nearest_neighbors(perfect.positions, perfect.box, n=8)
    along = found.bonds / np.linalg.norm(found.bonds, axis=-1, keepdims=True)
    change = ((shifts[found.neighbors] - shifts[:, None]) * along).sum(-1)
    return np.sqrt((shifts**2).mean()), np.sqrt((change**2).mean())


def test_neighbors_move_together_by_as_much_as_is_asked_for():
    rng = np.random.default_rng(4)
    perfect = crystal(unit_cell("cI2-W"), 600)
    size, bonds = spread(perfect, displace(perfect, 0.08, rng))
    assert size == pytest.approx(0.08, rel=0.05)
    assert bonds == pytest.approx(np.sqrt(2) * 0.08, rel=0.05)  # of two independent particles
    ratios = []
    for _ in range(8):
        size, bonds = spread(perfect, springs.displace_together(perfect, 0.08, rng))
        assert size == pytest.approx(0.08, rel=1e-6)
        ratios.append(bonds / size)
    # every sample has its own springs
    assert max(ratios) < 1.3
    assert min(ratios) < 1.0
    assert np.std(ratios) > 0.03


def test_displacements_of_springs_are_those_of_statistical_mechanics(monkeypatch):
    # springs to the sites alone, and all displacements are independent
    monkeypatch.setattr(springs, "_ON_SITE", (1e3, 1.001e3))
    monkeypatch.setattr(springs, "_SMOOTH", (0.0, 1e-9))
    rng = np.random.default_rng(1)
    perfect = crystal(unit_cell("cF4-Cu"), 600)
    size, bonds = spread(perfect, springs.displace_together(perfect, 0.05, rng))
    assert bonds / size == pytest.approx(np.sqrt(2), rel=0.05)
