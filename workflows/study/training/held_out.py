"""Structures left out of training, to test detection of the unknown."""

from pathlib import Path

import gsd.hoomd
import numpy as np

from hoomd_gala.crystals.prototypes import crystal, displace, unit_cell
from hoomd_gala.files.atomic import replacing
from hoomd_gala.files.trajectories import make_frame, open_trajectory
from study.training.kinds import Kinds
from study.training.samples import N_BULK


def write_left_out(path: Path, kinds: Kinds, seed: int) -> None:
    """Write a frame of each unit cell that was left out, displaced by 0.02 to 0.08."""
    rng = np.random.default_rng([seed, 3])
    with replacing(path) as part, gsd.hoomd.open(part, "w") as file:
        for step, name in enumerate(kinds.left_out):
            hot = displace(crystal(unit_cell(name), N_BULK), rng.uniform(0.02, 0.08), rng)
            blind = hot._replace(types=np.zeros_like(hot.types))
            file.append(make_frame(blind, step))


def copy_last_frames(path: Path, trajectory: Path, n: int) -> None:
    """Copy the last frames of a trajectory."""
    with (
        open_trajectory(trajectory) as frames,
        replacing(path) as part,
        gsd.hoomd.open(part, "w") as file,
    ):
        for frame in frames[len(frames) - n :]:
            file.append(frame)
