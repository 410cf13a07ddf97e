"""Thermal displacements taken out of positions: steps, frames of all kinds, and their limits."""

import ase.build
import gsd.hoomd
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from hoomd_gala.analyzer import Analyzer
from hoomd_gala.crystals.prototypes import crystal, deform, displace, unit_cell
from hoomd_gala.denoising import displacements
from hoomd_gala.errors import InputError
from hoomd_gala.files.models import Model, ModelInfo
from hoomd_gala.networks import CoreConfig, Denoiser
from hoomd_gala.systems import lattice_vectors


@pytest.fixture(scope="module")
def analyzer():
    """A network that has learned nothing, whose steps are as good as others to look at."""
    torch.manual_seed(1)
    core = CoreConfig(width=16, hidden=16, blocks=1, tied=True)
    network = Denoiser(core).requires_grad_(False)
    # steps of some hundredths of a bond
    network.correct.covariant_weights.copy_(torch.tensor([0.1, 0.2, -0.2]))
    return Analyzer(Model(network, ModelInfo(core, (), task="denoising")), "cpu")


@pytest.fixture(scope="module")
def sample():
    """A hot crystal in a box with tilts."""
    perfect = crystal(unit_cell("hP2-Mg"), 200)
    sheared = deform(perfect, [[1, 0.1, 0.05], [0, 1, -0.07], [0, 0, 1]])
    return displace(sheared, 0.07, np.random.default_rng(2))


def test_a_particle_moves_by_what_all_its_environments_say():
    corrections = torch.randn(3, 2, 3, dtype=torch.float64)
    neighbors = torch.tensor([[1, 2], [0, 0], [0, 1]])
    moved = displacements(corrections, torch.arange(3), neighbors, 3)
    expected = torch.zeros(3, 3, dtype=torch.float64)
    for i in range(3):
        for k in range(2):
            expected[neighbors[i, k]] += corrections[i, k] / 4
            expected[i] -= corrections[i, k] / 4
    torch.testing.assert_close(moved, expected)


def test_the_center_of_mass_stays(analyzer, sample):
    moved = analyzer.denoise(sample.positions, sample.box, steps=3) - sample.positions
    assert 1e-3 < np.abs(moved).max() < 1
    np.testing.assert_allclose(moved.mean(axis=0), 0, atol=1e-12)


def test_steps_follow_each_other(analyzer, sample):
    once = analyzer.denoise(sample.positions, sample.box, steps=1)
    twice = analyzer.denoise(once, sample.box, steps=1)
    np.testing.assert_allclose(
        analyzer.denoise(sample.positions, sample.box, steps=2), twice, atol=1e-9
    )
    np.testing.assert_array_equal(
        analyzer.denoise(sample.positions, sample.box, steps=0), sample.positions
    )


def test_displacements_turn_with_the_sample_and_grow_with_its_unit(analyzer, sample):
    expected = analyzer.denoise(sample.positions, sample.box) - sample.positions
    other = 37.0 * sample.positions
    box = sample.box * [37, 37, 37, 1, 1, 1]
    np.testing.assert_allclose(analyzer.denoise(other, box) - other, 37 * expected, atol=2e-3)
    # shifted across the boundary, in another order
    order = np.random.default_rng(3).permutation(len(other))
    moved = sample.positions[order] + lattice_vectors(sample.box)[1] + 0.3
    found = analyzer.denoise(moved, sample.box) - moved
    np.testing.assert_allclose(found, expected[order], atol=2e-4)


def test_compiled_kernels_do_the_same_as_plain_torch(analyzer, sample):
    expected = Analyzer(analyzer.model, "cpu", kernels="reference").denoise(
        sample.positions, sample.box, steps=2
    )
    found = analyzer.denoise(sample.positions, sample.box, steps=2)
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_cells_in_any_orientation_get_their_own_displacements_back(analyzer, sample):
    expected = analyzer.denoise(sample.positions, sample.box) - sample.positions
    turn = Rotation.random(rng=np.random.default_rng(4))
    cell = turn.apply(lattice_vectors(sample.box))
    # left-handed, as cells may be
    atoms = ase.Atoms(
        numbers=[12] * len(expected),
        positions=turn.apply(sample.positions),
        cell=cell[[1, 0, 2]],
        pbc=True,
    )
    found = analyzer.denoise(atoms) - atoms.positions
    np.testing.assert_allclose(found, turn.apply(expected), atol=2e-4)


def test_cells_of_one_and_two_atoms_get_their_own_displacements_back(analyzer):
    """A rotation cannot be told from where one or two atoms are."""
    cell = ase.build.bulk("Si")
    cell.positions[1] += [0.2, 0.3, 0.1]
    cell.rotate(50, (1, 2, 3), rotate_cell=True)
    many = cell.repeat(4)
    # cells beside each other move alike
    expected = (analyzer.denoise(many) - many.positions)[:2]
    assert abs(expected).max() > 5e-4
    np.testing.assert_allclose(analyzer.denoise(cell) - cell.positions, expected, atol=2e-5)
    lonely = ase.build.bulk("Cu")
    np.testing.assert_allclose(analyzer.denoise(lonely), lonely.positions, atol=1e-9)


def test_open_boundaries(analyzer, sample):
    found = analyzer.denoise(sample.positions, periodic=False, steps=2)
    far = sample.box * [9, 9, 9, 1, 1, 1]
    expected = analyzer.denoise(sample.positions, far, steps=2)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_constituents_move_with_their_center(analyzer, sample):
    total = len(sample.positions)
    frame = gsd.hoomd.Frame()
    frame.configuration.box = sample.box
    frame.particles.N = total + 2
    extra = sample.positions[[5, 5]] + [[0.2, 0, 0], [0, 0.2, 0]]
    frame.particles.position = np.concatenate((sample.positions, extra))
    frame.particles.body = np.array(
        [5 if i in (5, total, total + 1) else -1 for i in range(total + 2)]
    )
    found = analyzer.denoise(frame) - frame.particles.position
    expected = analyzer.denoise(sample.positions, sample.box) - sample.positions
    np.testing.assert_allclose(found[:total], expected, atol=1e-5)
    np.testing.assert_allclose(found[total:], found[[5, 5]], atol=1e-12)


def test_threads_change_nothing(analyzer, sample):
    one = analyzer.denoise(sample.positions, sample.box, steps=2)
    torch.set_num_threads(2)
    try:
        two = analyzer.denoise(sample.positions, sample.box, steps=2)
    finally:
        torch.set_num_threads(1)
    np.testing.assert_array_equal(one, two)


def test_what_cannot_be_denoised_is_said_in_a_sentence(analyzer, sample):
    with pytest.raises(InputError, match=r'frame-classification.*"denoise"'):
        Analyzer("structures", "cpu").denoise(sample.positions, sample.box)
    for steps in (-1, 2.5, "2"):
        with pytest.raises(InputError, match=f"steps is {steps!r}"):
            analyzer.denoise(sample.positions, sample.box, steps=steps)
    bad = sample.positions.copy()
    bad[3, 0] = np.nan
    with pytest.raises(InputError, match="index 3"):
        analyzer.denoise(bad, sample.box)
