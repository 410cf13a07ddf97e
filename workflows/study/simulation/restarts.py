"""Restart files, from which interrupted simulations continue."""

from pathlib import Path

import gsd.hoomd

from hoomd_gala.files import read_frame, trim

#: Frames between restart files.
FRAMES_PER_RESTART = 5


def restart_path(folder: Path) -> Path:
    """Restart file of the simulation in a folder."""
    return folder / "restart.gsd"


def trajectory_path(folder: Path) -> Path:
    """Trajectory of the simulation in a folder."""
    return folder / "trajectory.gsd"


def resume(folder: Path) -> gsd.hoomd.Frame | None:
    """Return the frame to continue from, or None for a fresh start.

    The trajectory is truncated to that frame: frames after the restart file are simulated again.

    Raises
    ------
    InputError
        If the restart file or the trajectory is damaged beyond recovery.
    """
    restart, trajectory = restart_path(folder), trajectory_path(folder)
    if not restart.is_file():
        trajectory.unlink(missing_ok=True)
        return None
    frame = read_frame(restart, 0)
    trim(trajectory, frame.configuration.step)
    return frame
