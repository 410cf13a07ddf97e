"""Hot crystals whose neighbors move together, and crystals that have no name."""

import numpy as np
import pytest

from hoomd_gala.crystals import potentials, springs
from hoomd_gala.crystals import random_cells as random_crystals
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


def test_forces_of_a_random_cell_are_the_slope_of_its_energy(monkeypatch):
    seen = {}

    def minimize(function, start, **_):
        seen["function"], seen["start"] = function, start
        return type("Result", (), {"x": start})

    monkeypatch.setattr(random_crystals, "minimize", minimize)
    rng = np.random.default_rng(2)
    cell = rng.random((4, 3)), 1.8 * np.eye(3) + 0.1 * rng.random((3, 3))
    random_crystals.relax(*cell, potentials.ljg(0.0, 1.0))
    x, function = seen["start"], seen["function"]
    _, slope = function(x)
    step = 1e-5
    numeric = [
        (function(x + step * unit)[0] - function(x - step * unit)[0]) / (2 * step)
        for unit in np.eye(len(x))
    ]
    np.testing.assert_allclose(slope, numeric, rtol=2e-2, atol=2e-2 * np.abs(slope).max())


def test_a_disturbed_crystal_relaxes_to_the_one_it_was():
    rng = np.random.default_rng(3)
    cubic = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    disturbed = cubic + rng.normal(scale=0.02, size=(4, 3))
    fractional, lattice = random_crystals.relax(
        disturbed, 1.6 * np.eye(3), potentials.ljg(0.0, 1.0)
    )
    system = random_crystals._as_system(fractional, lattice)
    grown = crystal(unit_cell("cF4-Cu")._replace(system=system), 500)
    lengths = np.linalg.norm(nearest_neighbors(grown.positions, grown.box, n=14).bonds, axis=-1)
    np.testing.assert_allclose(lengths[:, :12], 1, atol=0.02)
    np.testing.assert_allclose(lengths[:, 12:], np.sqrt(2), atol=0.03)


def test_random_crystals_are_crystals():
    cells = list(random_crystals.random_crystals(3, np.random.default_rng(1)))
    assert [cell.name for cell in cells] == ["random-0", "random-1", "random-2"]
    for cell in cells:
        grown = crystal(cell, 512)
        lengths = np.linalg.norm(nearest_neighbors(grown.positions, grown.box).bonds, axis=-1)
        assert lengths.min() == pytest.approx(1)
        assert lengths.max() < random_crystals._FARTHEST
