"""Environments of unit cells to learn from."""

import numpy as np

from hoomd_gala.learning import datasets


def spread(size):
    """Relative deviation of the lengths of all bonds to the 12 nearest particles of fcc."""
    rng = np.random.default_rng(3)
    frames = datasets.crystal_frames(["cF4-Cu"], [0.0], 160, None, rng, 500, strain_size=size)
    lengths = np.linalg.norm(frames.bonds[:, :12], axis=-1)
    return lengths.std() / lengths.mean(), len(np.unique(lengths.mean(axis=1).round(6)))


def test_crystals_have_many_strains_at_each_noise_level():
    assert spread(0.0)[0] < 1e-6
    deviation, strains = spread(0.04)
    assert 0.02 < deviation < 0.06
    # of the bulk and the droplet
    assert strains >= 2 * datasets.N_STRAINS - 2


def test_numbers_of_environments_are_those_asked_for():
    rng = np.random.default_rng(3)
    frames = datasets.crystal_frames(["cI2-W", "cP1-Po"], [0.0, 0.05], 100, None, rng, 500)
    assert np.bincount(frames.labels).tolist() == [200, 200]
