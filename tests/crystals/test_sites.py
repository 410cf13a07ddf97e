"""Distinct local environments of unit cells, and the descriptor that distinguishes them."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hoomd_gala.crystals.prototypes import crystal, displace, unit_cell
from hoomd_gala.crystals.sites import SAME, SIMILAR, descriptors, nearest_site, sites
from hoomd_gala.systems import make_system


@pytest.mark.parametrize(
    ("name", "count"),
    # numbers of Wyckoff positions, but for those that are alike once types are ignored
    [("cI2-W", 1), ("cP2-ClCs", 1), ("hP4-La", 2), ("cP8-Cr3Si", 2), ("tP30-CrFe", 5),
     ("cI58-Mn", 4), ("cF24-Cu2Mg", 2), ("hR13-Fe7W6", 5)],
)  # fmt: skip
def test_local_environments_are_those_of_the_space_group(name, count):
    found = sites(name)
    assert len(found) == count
    members = sorted(member for site in found for member in site.members)
    assert members == list(range(len(unit_cell(name).system.positions)))


def test_members_are_the_orbits_of_the_space_group():
    # A15: two particles at 2a, six at 6c
    assert sorted(len(site.members) for site in sites("cP8-Cr3Si")) == [2, 6]
    # σ: 2a, 4f, 8i, 8i and 8j
    assert sorted(len(site.members) for site in sites("tP30-CrFe")) == [2, 4, 8, 8, 8]


def ball(radius=6.0):
    """A bcc crystal's particles within a radius of one of them, which comes first."""
    perfect = crystal(unit_cell("cI2-W"), 2000)
    positions = displace(perfect, 0.05, np.random.default_rng(1)).positions
    positions = positions - positions[np.linalg.norm(positions, axis=1).argmin()]
    distances = np.linalg.norm(positions, axis=1)
    return positions[np.argsort(distances)[: (distances < radius).sum()]]


def descriptor_of_first(positions):
    """Descriptor of the first particle of a cluster, in a box that has no images near it."""
    return descriptors(make_system(positions, [60, 60, 60, 0, 0, 0]), np.arange(1))[0]


def test_descriptors_do_not_change_when_the_sample_is_rotated_mirrored_scaled_or_permuted():
    positions = ball()
    expected = descriptor_of_first(positions)
    assert np.linalg.norm(expected) == pytest.approx(1)
    rotation = Rotation.random(rng=2).as_matrix()
    order = np.r_[0, 1 + np.random.default_rng(3).permutation(len(positions) - 1)]
    for changed in (
        positions @ rotation.T,
        positions * [1, 1, -1],
        2.5 * positions,
        positions[order],
    ):
        np.testing.assert_allclose(descriptor_of_first(changed), expected, atol=1e-9)
    # and do where the sample is another
    squeezed = positions * [1, 1, 1.2]
    assert np.linalg.norm(descriptor_of_first(squeezed) - expected) > 0.03


def test_descriptors_are_smooth_where_the_twentieth_neighbor_changes():
    # in fcc, 18 neighbors are nearer than the next shell of 24, any two of which may count
    perfect = crystal(unit_cell("cF4-Cu"), 500)
    expected = descriptors(perfect, np.arange(30))
    np.testing.assert_allclose(expected, np.tile(expected[0], (30, 1)), atol=1e-9)
    shaken = displace(perfect, 1e-6, np.random.default_rng(4))
    np.testing.assert_allclose(descriptors(shaken, np.arange(30)), expected, atol=1e-4)


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    # those that the limits in crystals.sites are chosen by
    [("cF4-Cu", "cI2-W", 0.10), ("cF8-C", "hP4-C.3", 0.20), ("cF4-Cu", "hP2-Mg", 0.35)],
)
def test_structures_are_as_far_apart_as_limits_assume(one, other, distance):
    first, second = (sites(name)[0].descriptor for name in (one, other))
    assert np.linalg.norm(first - second) == pytest.approx(distance, abs=0.005)


def test_nearest_site_of_a_warm_particle():
    known = [*sites("cF4-Cu"), *sites("cI2-W"), *sites("cP8-Cr3Si")]
    warm = displace(crystal(unit_cell("cI2-W"), 500), 0.02, np.random.default_rng(5))
    for row in descriptors(warm, np.arange(5)):
        index, distance = nearest_site(row, known)
        assert known[index].cell == "cI2-W"
        assert distance == pytest.approx(np.linalg.norm(known[1].descriptor - row))
        assert SAME < distance < SIMILAR
