"""Neighbors in any combination of periodic and open directions, against brute force."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_environments import check

from hoomd_gala.errors import InputError
from hoomd_gala.neighbors import device_search as cells
from hoomd_gala.neighbors import environments
from hoomd_gala.neighbors.boundaries import holding_box, vacuum_box
from hoomd_gala.systems import box_from_lattice, lattice_vectors, make_system, plane_spacings

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"

FLAGS = list(itertools.product((True, False), repeat=3))

BOXES = {
    "cubic": [4, 4, 4, 0, 0, 0],
    "triclinic": [4, 5, 3, 0.4, -0.3, 0.6],
    "sheared": [3, 4, 5, 1.4, -1.2, 0.9],
    "flat": [6, 5, 1.5, 0.1, 0, 0],
}


def brute_force(system, images=6, n=20):
    """Distances to the n nearest of all particles and of their images along what is periodic."""
    lattice = lattice_vectors(system.box)
    periodic = np.array(system.periodic)
    fractional = system.positions @ np.linalg.inv(lattice)
    fractional[:, periodic] %= 1
    points = fractional @ lattice
    ranges = [range(-images, images + 1) if flag else (0,) for flag in system.periodic]
    shifts = np.array(list(itertools.product(*ranges))) @ lattice
    everything = (points[None] + shifts[:, None]).reshape(-1, 3)
    distances = np.linalg.norm(everything[None] - points[:, None], axis=-1)
    return np.sort(distances, axis=1)[:, 1 : n + 1]


def lengths_of(system):
    """Distances that both searches find, which are the same."""
    box = vacuum_box(system)
    found = environments.nearest_neighbors(system.positions, box)
    lengths = check(found, system.positions, box)
    tensor = torch.as_tensor(system.positions, device=DEVICE)
    other = cells.nearest_neighbors(tensor, box).bonds.norm(dim=-1).cpu().numpy()
    np.testing.assert_allclose(other, lengths, atol=1e-9 * lengths.max())
    return lengths


@pytest.mark.parametrize("flags", FLAGS, ids=lambda f: "".join("oP"[flag] for flag in f))
@pytest.mark.parametrize("box", BOXES.values(), ids=BOXES)
@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(21, 60))
def test_random_systems(box, flags, seed, n):
    rng = np.random.default_rng(seed)
    # also outside the box, where that is open, and somewhere far from the origin
    positions = rng.uniform(-0.8, 0.8, size=(n, 3)) @ lattice_vectors(box) + [7, -40, 3]
    system = make_system(positions, box, periodic=flags)
    np.testing.assert_allclose(lengths_of(system), brute_force(system), atol=1e-9)


@pytest.mark.parametrize("flags", FLAGS[:-1], ids=lambda f: "".join("oP"[flag] for flag in f))
@pytest.mark.parametrize("n", [1, 2, 7, 20])
def test_tiny_cells(flags, n):
    positions = np.random.default_rng(n).uniform(0, 1, size=(n, 3)) * [1, 1.1, 0.9]
    system = make_system(positions, [1, 1.1, 0.9, 0.2, -0.4, 0.3], periodic=flags)
    np.testing.assert_allclose(lengths_of(system), brute_force(system, images=11), atol=1e-9)


@pytest.mark.parametrize("flags", FLAGS, ids=lambda f: "".join("oP"[flag] for flag in f))
def test_primitive_cell_is_the_crystal_cut_from_many(flags):
    # fcc, with a vector along each direction; thick along open ones
    vectors = np.array([[1, 0, 0], [0.5, 0.75**0.5, 0], [0.5, 12**-0.5, (2 / 3) ** 0.5]])
    box = box_from_lattice(vectors)
    repeats = [1 if flag else 4 for flag in flags]
    sites = np.array(list(itertools.product(*map(range, repeats)))) @ vectors
    small = make_system(sites, box * [*repeats, 1, 1, 1], periodic=flags)
    lengths = lengths_of(small)
    if all(flags):
        expected = [*[1] * 12, *[2**0.5] * 6, 3**0.5, 3**0.5]
        np.testing.assert_allclose(lengths, [expected])
    np.testing.assert_allclose(lengths, brute_force(small), atol=1e-9)


def test_a_needle_as_the_cell():
    system = make_system([[0, 0, 0]], [1e-3, 10, 10, 0, 0, 0])
    np.testing.assert_allclose(lengths_of(system)[0], np.repeat(np.arange(1, 11), 2) * 1e-3)


def test_vacuum_is_no_wider_than_it_has_to_be():
    rng = np.random.default_rng(1)
    wire = rng.uniform(size=(4000, 3)) * [4, 4, 1000]
    for flags in ((False, False, False), (False, False, True)):
        system = make_system(wire, [4, 4, 1000, 0, 0, 0], periodic=flags)
        assert (vacuum_box(system)[:2] < 40).all()
    assert vacuum_box(system)[2] == 1000


def test_a_periodic_box_stays_what_it_is():
    system = make_system(np.zeros((1, 3)), BOXES["triclinic"])
    assert vacuum_box(system) is system.box
    assert holding_box(system) is system.box


@pytest.mark.parametrize("flags", FLAGS[1:], ids=lambda f: "".join("oP"[flag] for flag in f))
def test_the_box_of_a_file_holds_positions_as_they_are(flags):
    rng = np.random.default_rng(2)
    box = BOXES["triclinic"]
    positions = rng.uniform(-0.5, 0.5, size=(50, 3)) @ lattice_vectors(box)
    positions[:, ~np.array(flags)] *= 5
    system = make_system(positions, box, periodic=flags)
    held = holding_box(system)
    fractional = np.abs(positions @ np.linalg.inv(lattice_vectors(held)))
    assert (fractional[:, ~np.array(flags)] < 0.5).all()
    # without a word about what is open, neighbors are the same
    found = environments.nearest_neighbors(positions, held)
    lengths = np.linalg.norm(found.bonds, axis=-1)
    np.testing.assert_allclose(lengths, brute_force(system), atol=1e-9)


def test_particles_in_one_place_and_nobody():
    system = make_system(np.ones((25, 3)), None, periodic=False)
    assert (plane_spacings(lattice_vectors(vacuum_box(system))) > 0).all()
    assert np.abs(lengths_of(system)).max() == 0
    empty = make_system(np.zeros((0, 3)), None, periodic=False)
    with pytest.raises(InputError, match="there are no particles"):
        environments.check_number(empty)


def test_few_particles_are_too_few_without_images_only():
    for flags in FLAGS[:-1]:
        environments.check_number(make_system(np.zeros((1, 3)), [1] * 3, periodic=flags))
    cluster = make_system(np.zeros((20, 3)), None, periodic=False)
    with pytest.raises(InputError, match=r"20 particles without periodic boundaries.*at least 21"):
        environments.check_number(cluster)


def test_a_search_refuses_what_is_open():
    box = {"Lx": 4, "Ly": 4, "Lz": 4, "periodic": (True, True, False)}
    points = np.random.default_rng(3).uniform(size=(30, 3))
    for attempt in (
        lambda: environments.nearest_neighbors(points, box),
        lambda: cells.nearest_neighbors(torch.as_tensor(points), box),
    ):
        with pytest.raises(InputError, match="search takes periodic ones; give it the"):
            attempt()
