"""Neighbors against freud and against brute force; bad systems."""

import itertools

import freud
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hoomd_gala.crystals.prototypes import crystal, displace, unit_cell
from hoomd_gala.errors import InputError
from hoomd_gala.neighbors.environments import PeriodicTree, _Tree, nearest_neighbors, scale_bonds
from hoomd_gala.systems import lattice_vectors, plane_spacings

BOXES = {
    "cubic": [10, 10, 10, 0, 0, 0],
    "triclinic": [10, 12, 9, 0.4, -0.3, 0.6],
    "strongly tilted": [10, 10, 10, 0.9, 0.8, -0.7],
    "flat": [14, 13, 6, 0.1, 0, 0],
}


def freud_distances(positions, box, n=20):
    query = freud.locality.AABBQuery(freud.box.Box(*box), positions)
    found = query.query(positions, {"num_neighbors": n, "exclude_ii": True})
    neighbors = found.toNeighborList(sort_by_distance=True)
    return np.asarray(neighbors.distances).reshape(-1, n)


def brute_force(positions, box, n=20, images=2):
    lattice = lattice_vectors(box)
    shifts = np.array(list(itertools.product(range(-images, images + 1), repeat=3))) @ lattice
    everything = (positions[None] + shifts[:, None]).reshape(-1, 3)
    distances = np.linalg.norm(everything[None] - positions[:, None], axis=-1)
    return np.sort(distances, axis=1)[:, 1 : n + 1]


def check(environments, positions, box):
    """Bonds lead to the neighbors named, through the periodic boundaries."""
    lattice = lattice_vectors(box)
    direct = positions[environments.neighbors] - positions[:, None]
    turns = (environments.bonds - direct) @ np.linalg.inv(lattice)
    np.testing.assert_allclose(turns, np.round(turns), atol=1e-9)
    lengths = np.linalg.norm(environments.bonds, axis=-1)
    assert (np.diff(lengths, axis=1) >= -1e-12).all()
    return lengths


@pytest.mark.parametrize("box", BOXES.values(), ids=BOXES)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(300, 1200))
def test_random_systems_agree_with_freud(box, seed, n):
    rng = np.random.default_rng(seed)
    positions = rng.uniform(-1.5, 1.5, size=(n, 3)) @ lattice_vectors(box)  # also outside the box
    lengths = check(nearest_neighbors(positions, box), positions, box)
    wrapped = freud.box.Box(*box).wrap(positions)
    # beyond half of the box freud counts each particle once, we every image
    half = 0.5 * plane_spacings(lattice_vectors(box)).min()
    near = lengths < half
    assert near.mean() > 0.9
    np.testing.assert_allclose(lengths[near], freud_distances(wrapped, box)[near], atol=2e-5)


@pytest.mark.parametrize("name", ["cF4-Cu", "cI2-W", "hP2-Mg", "cF8-C", "tP30-CrFe", "mP4-Te"])
def test_crystals_agree_with_freud(name):
    system = displace(crystal(unit_cell(name), 600), 0.02, np.random.default_rng(1))
    lengths = check(nearest_neighbors(system.positions, system.box), system.positions, system.box)
    np.testing.assert_allclose(lengths, freud_distances(system.positions, system.box), atol=2e-5)


def test_droplet_in_its_vapor_agrees_with_freud():
    rng = np.random.default_rng(2)
    box = [17, 17, 17, 0, 0, 0]
    vapor = rng.uniform(-8.5, 8.5, size=(12, 3))
    positions = np.concatenate([rng.normal(scale=1.5, size=(988, 3)), vapor])
    lengths = check(nearest_neighbors(positions, box), positions, box)
    assert lengths.max() > 5  # the search had to go far beyond its first reach
    np.testing.assert_allclose(lengths, freud_distances(positions, box), atol=2e-5)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_small_boxes_agree_with_brute_force_over_images(seed):
    rng = np.random.default_rng(seed)
    box = [3.2, 3.4, 3.6, 0.2, -0.1, 0.3]
    positions = rng.uniform(-0.5, 0.5, size=(30, 3)) @ lattice_vectors(box)
    lengths = check(nearest_neighbors(positions, box), positions, box)
    np.testing.assert_allclose(lengths, brute_force(positions, box), atol=1e-9)


def test_some_particles_only_are_the_same_as_of_all():
    rng = np.random.default_rng(3)
    positions = rng.uniform(-5, 5, size=(500, 3))
    box = [10, 10, 10, 0, 0, 0]
    everyone = nearest_neighbors(positions, box)
    some = PeriodicTree.build(positions, box).nearest([7, 400, 3])
    np.testing.assert_array_equal(some.neighbors, everyone.neighbors[[7, 400, 3]])


def test_coincident_particles_do_not_confuse_the_search():
    positions = np.zeros((40, 3))
    positions[30:] = np.random.default_rng(4).uniform(-4, 4, size=(10, 3))
    environments = nearest_neighbors(positions, [10, 10, 10, 0, 0, 0])
    assert not (environments.neighbors == np.arange(40)[:, None]).any()
    assert np.linalg.norm(environments.bonds[:30], axis=-1).max() == 0


def test_most_particles_in_a_speck_of_the_box():
    rng = np.random.default_rng(7)
    box = [400, 400, 400, 0.2, 0, 0.1]
    speck = rng.normal(scale=0.5, size=(3000, 3))
    positions = np.concatenate([speck, rng.uniform(-150, 150, size=(40, 3))])
    lengths = check(nearest_neighbors(positions, box), positions, box)
    tree = PeriodicTree.build(positions, box)
    tree.tree = _Tree.build(tree.fractional, tree.lattice)  # what even denser ones fall back on
    other = check(tree.nearest(), positions, box)
    np.testing.assert_allclose(lengths, other, atol=1e-9)


def test_more_coincident_particles_than_neighbors_among_others():
    rng = np.random.default_rng(8)
    positions = np.concatenate([np.full((200, 3), 1.5), rng.uniform(-5, 5, size=(800, 3))])
    box = [10, 10, 10, 0, 0, 0]
    environments = nearest_neighbors(positions, box)
    lengths = check(environments, positions, box)
    np.testing.assert_allclose(lengths, brute_force(positions, box, images=1), atol=1e-9)
    rows = [len(set(row)) for row in environments.neighbors]
    assert min(rows) == 20


def test_scaled_bonds_have_the_same_size_whatever_the_unit():
    bonds = np.random.default_rng(5).normal(size=(4, 20, 3))
    np.testing.assert_allclose(scale_bonds(bonds), scale_bonds(7.5 * bonds))
    assert np.linalg.norm(scale_bonds(bonds), axis=-1).mean() == pytest.approx(0.5)
    np.testing.assert_allclose(scale_bonds(bonds, 3.0), bonds / 6)


CUBE = [10, 10, 10, 0, 0, 0]
POINTS = np.random.default_rng(6).uniform(-5, 5, size=(100, 3))
BROKEN = POINTS.copy()
BROKEN[[17, 60]] = np.nan


@pytest.mark.parametrize(
    ("positions", "box", "message"),
    [
        (BROKEN, CUBE, r"NaN or infinite for 2 of 100 particles, the first at index 17"),
        (POINTS[:0], CUBE, r"there are no particles"),
        (POINTS, [10, 10, 0, 0, 0, 0], r"two-dimensional"),
        (POINTS, [10, -1, 10, 0, 0, 0], r"must be positive"),
        (POINTS, [10, 10], r"six numbers"),
        (POINTS[:, :2], CUBE, r"\(N, 3\)"),
    ],
)
def test_bad_systems_get_one_clear_sentence(positions, box, message):
    with pytest.raises(InputError, match=message) as caught:
        nearest_neighbors(positions, box)
    assert "\n" not in str(caught.value)
