"""Crystals without a name: random cells, relaxed."""

import numpy as np
import pytest

from hoomd_gala.crystals import potentials, random_cells
from hoomd_gala.crystals.prototypes import crystal, unit_cell
from hoomd_gala.neighbors.environments import nearest_neighbors


def test_forces_of_a_random_cell_are_the_slope_of_its_energy(monkeypatch):
    seen = {}

    def minimize(function, start, **_):
        seen["function"], seen["start"] = function, start
        return type("Result", (), {"x": start})

    monkeypatch.setattr(random_cells, "minimize", minimize)
    rng = np.random.default_rng(2)
    cell = rng.random((4, 3)), 1.8 * np.eye(3) + 0.1 * rng.random((3, 3))
    random_cells.relax(*cell, potentials.ljg(0.0, 1.0))
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
    fractional, lattice = random_cells.relax(disturbed, 1.6 * np.eye(3), potentials.ljg(0.0, 1.0))
    system = random_cells._as_system(fractional, lattice)
    grown = crystal(unit_cell("cF4-Cu")._replace(system=system), 500)
    lengths = np.linalg.norm(nearest_neighbors(grown.positions, grown.box, n=14).bonds, axis=-1)
    np.testing.assert_allclose(lengths[:, :12], 1, atol=0.02)
    np.testing.assert_allclose(lengths[:, 12:], np.sqrt(2), atol=0.03)


def test_random_crystals_are_crystals():
    cells = list(random_cells.random_crystals(3, np.random.default_rng(1)))
    assert [cell.name for cell in cells] == ["random-0", "random-1", "random-2"]
    for cell in cells:
        grown = crystal(cell, 512)
        lengths = np.linalg.norm(nearest_neighbors(grown.positions, grown.box).bonds, axis=-1)
        assert lengths.min() == pytest.approx(1)
        assert lengths.max() < random_cells._FARTHEST
