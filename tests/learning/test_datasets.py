"""Environments of unit cells to learn from."""

import gsd.hoomd
import numpy as np
import pytest

from hoomd_gala.errors import InputError
from hoomd_gala.files import make_frame
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


def test_frames_of_one_timestep_have_names_of_their_own(bcc, tmp_path):
    path = tmp_path / "run.gsd"
    with gsd.hoomd.open(path, "w") as trajectory:
        for step in (0, 10, 0, 10):  # a restart at 0
            trajectory.append(make_frame(bcc, step))
    rng = np.random.default_rng(3)
    _, names = datasets.trajectory_frames([datasets.parse_range(str(path))], 20, rng)
    assert names == ("run.gsd:0", "run.gsd:10", "run.gsd@2", "run.gsd@3")
    twice = [datasets.parse_range(f"{path}{which}") for which in ("", "@-1")]
    with pytest.raises(InputError, match=r"frame run\.gsd@3 is given twice; give each one once"):
        datasets.trajectory_frames(twice, 20, rng)
