"""The neighbor search for GPUs against that for CPUs, on the GPU where there is one."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_environments import BOXES, BROKEN, CUBE, POINTS, check

from hoomd_gala.crystals.prototypes import crystal, displace, unit_cell
from hoomd_gala.errors import InputError
from hoomd_gala.neighbors import device_search as cells
from hoomd_gala.neighbors import environments
from hoomd_gala.systems import lattice_vectors

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def compare(positions, box, n=20):
    """Distances equal; the same neighbors but for those equally far; bonds that lead to them."""
    found = cells.nearest_neighbors(torch.as_tensor(positions, device=DEVICE), box, n)
    assert all(part.device.type == DEVICE for part in found)
    particles, bonds, neighbors = (part.cpu().numpy() for part in found)
    np.testing.assert_array_equal(particles, np.arange(len(positions)))
    expected = environments.nearest_neighbors(positions, box, n)
    lengths = check(environments.Environments(bonds, neighbors), positions, box)
    theirs = np.linalg.norm(expected.bonds, axis=-1)
    np.testing.assert_allclose(lengths, theirs, atol=1e-9 * theirs.max())
    # neighbors that are clearly nearer than the last are the same ones
    near = theirs < theirs[:, -1:] * (1 - 1e-9)
    for mine, other, kept in zip(neighbors, expected.neighbors, near, strict=True):
        assert sorted(mine[kept]) == sorted(other[kept])
    return lengths


@pytest.mark.parametrize("box", BOXES.values(), ids=BOXES)
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(300, 1200))
def test_random_systems(box, seed, n):
    rng = np.random.default_rng(seed)
    compare(rng.uniform(-1.5, 1.5, size=(n, 3)) @ lattice_vectors(box), box)


@pytest.mark.parametrize("name", ["cF4-Cu", "hP2-Mg", "cF8-C", "tP30-CrFe"])
@pytest.mark.parametrize("noise", [0, 0.02])
def test_crystals(name, noise):
    system = crystal(unit_cell(name), 600)
    compare(displace(system, noise, np.random.default_rng(1)).positions, system.box)


@pytest.mark.parametrize("size", [17, 100, 1e4])
def test_droplet_in_its_vapor(size):
    rng = np.random.default_rng(2)
    vapor = rng.uniform(-size / 2, size / 2, size=(12, 3))
    positions = np.concatenate([rng.normal(scale=1.5, size=(988, 3)), vapor])
    lengths = compare(positions, [size, size, size, 0, 0.2, 0])
    assert lengths.max() > 0.25 * size


def test_two_droplets_of_unlike_density():
    rng = np.random.default_rng(3)
    loose, dense = rng.normal(scale=4, size=(500, 3)), rng.normal(scale=0.01, size=(500, 3))
    compare(np.concatenate([loose - 10, dense + 10]), [50, 50, 50, 0, 0, 0])


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_small_boxes_with_many_images(seed):
    rng = np.random.default_rng(seed)
    box = [3.2, 3.4, 3.6, 0.2, -0.1, 0.3]
    compare(rng.uniform(-0.5, 0.5, size=(30, 3)) @ lattice_vectors(box), box)


@pytest.mark.parametrize("n", [1, 4, 60])
def test_other_numbers_of_neighbors(n):
    compare(np.random.default_rng(4).uniform(-5, 5, size=(400, 3)), CUBE, n)


@pytest.mark.parametrize("thickness", [0.1, 1e-6])
def test_boxes_thinner_than_a_neighborhood(thickness):
    compare(POINTS[:25] * [1, 1, 0.1 * thickness], [10, 10, thickness, 0, 0, 0])


def test_coincident_particles():
    rng = np.random.default_rng(5)
    positions = np.zeros((400, 3))
    positions[300:] = rng.uniform(-4, 4, size=(100, 3))
    found = cells.nearest_neighbors(torch.as_tensor(positions, device=DEVICE), CUBE)
    assert not (found.neighbors == found.particles[:, None]).any()
    assert float(found.bonds[:300].abs().max()) == 0


def test_single_precision_positions():
    positions = torch.as_tensor(POINTS, dtype=torch.float32, device=DEVICE)
    found = cells.nearest_neighbors(positions, CUBE)
    expected = environments.nearest_neighbors(positions.cpu().double().numpy(), CUBE)
    np.testing.assert_allclose(found.bonds.cpu(), expected.bonds, atol=1e-9)


def test_portions_do_not_show(monkeypatch):
    positions = np.random.default_rng(6).uniform(-5, 5, size=(700, 3))
    monkeypatch.setattr(cells, "PAIRS", 2000)
    sizes = [len(part.particles) for part in cells.environments(torch.as_tensor(positions), CUBE)]
    assert max(sizes) < 40
    compare(positions, CUBE)


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
        cells.nearest_neighbors(torch.as_tensor(positions, device=DEVICE), box)
    assert "\n" not in str(caught.value)


def test_scaled_bonds_are_those_of_the_cpu():
    bonds = np.random.default_rng(7).normal(size=(4, 20, 3))
    bonds[1] = 0
    for scale in (None, 1.7):
        mine = environments.scale_bonds(torch.as_tensor(bonds, device=DEVICE), scale).cpu()
        np.testing.assert_allclose(mine, environments.scale_bonds(bonds, scale))
