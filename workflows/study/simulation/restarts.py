"""Restart files, from which interrupted simulations continue."""

from pathlib import Path

import gsd.hoomd
import numpy as np

from hoomd_gala.errors import InputError
from hoomd_gala.files import read_frame, trim
from hoomd_gala.systems import as_system

#: Frames between restart files.
FRAMES_PER_RESTART = 5


def restart_path(folder: Path) -> Path:
    """Restart file of the simulation in a folder."""
    return folder / "restart.gsd"


def trajectory_path(folder: Path) -> Path:
    """Trajectory of the simulation in a folder."""
    return folder / "trajectory.gsd"


def _check(frame: gsd.hoomd.Frame, n_particles: int) -> None:
    """InputError if a simulation of so many particles cannot be in the state of a frame."""
    system = as_system(frame)
    velocities = frame.particles.velocity
    if len(system.positions) != n_particles:
        raise InputError(f"it has {len(system.positions)} particles and not {n_particles}")
    if velocities is None or len(velocities) != n_particles or not np.isfinite(velocities).all():
        raise InputError("its velocities are not finite")


def resume(folder: Path, n_particles: int) -> gsd.hoomd.Frame | None:
    """Return the frame to continue from, or None for a fresh start.

    The trajectory is truncated to that frame: frames after the restart file are simulated again.

    Raises
    ------
    InputError
        If the restart file is damaged, or not of a simulation of so many particles; if the
        trajectory is damaged beyond recovery.
    """
    restart, trajectory = restart_path(folder), trajectory_path(folder)
    if not restart.is_file():
        trajectory.unlink(missing_ok=True)
        return None
    try:
        frame = read_frame(restart, 0)
        _check(frame, n_particles)
    except InputError as error:
        reason = str(error).rstrip(".")
        raise InputError(
            f"a simulation cannot continue from {restart} ({reason}); remove that file, and it "
            "begins anew."
        ) from None
    trim(trajectory, frame.configuration.step)
    return frame
