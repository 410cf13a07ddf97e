"""Frank–Kasper phases of square–triangle tilings."""

import numpy as np
import pytest

from hoomd_gala.crystals.prototypes import crystal
from hoomd_gala.crystals.sites import sites, sites_of
from hoomd_gala.crystals.tilings import random_rows, rows_of_tiles
from hoomd_gala.neighbors.environments import nearest_neighbors


def test_squares_alone_are_a15():
    found = sites_of(rows_of_tiles([True], "squares"))
    assert sorted(len(site.members) for site in found) == [2, 6]
    for site in found:
        distances = [np.linalg.norm(site.descriptor - own.descriptor) for own in sites("cP8-Cr3Si")]
        assert min(distances) < 1e-6


def test_triangles_alone_are_the_z_phase():
    # Zr4Al3: coordinations 15 twice, 14 twice and 12 three times in a cell of seven
    cell = rows_of_tiles([False, False], "triangles")
    grown = crystal(cell, 500)
    lengths = np.linalg.norm(nearest_neighbors(grown.positions, grown.box).bonds, axis=-1)
    # the gap after the first shell, in units of the shortest distance
    shells = np.bincount((lengths[: len(cell.system.positions)] < 1.45).sum(axis=1))
    assert shells[[12, 14, 15]].tolist() == [6, 4, 4]


def test_rows_in_random_order_are_periodic_and_have_both_tiles():
    cells = random_rows(10, np.random.default_rng(2))
    for cell in cells:
        grown = crystal(cell, 400)
        bonds = np.linalg.norm(nearest_neighbors(grown.positions, grown.box).bonds, axis=-1)
        assert bonds.min() == pytest.approx(1, abs=1e-6)
        # coordinations of 12, 14 and 15 only
        assert set((bonds < 1.45).sum(axis=1)) <= {12, 13, 14, 15}
    assert len({len(cell.system.positions) for cell in cells}) > 3
