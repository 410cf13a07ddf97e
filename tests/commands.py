"""Commands that must fail, and what stands on a disk."""

import os

from hoomd_gala.cli import main
from hoomd_gala.files import open_trajectory


def fails(capsys, *arguments):
    """Run a command that must fail, and return its one line of complaint."""
    assert main([str(argument) for argument in arguments]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("hoomd-gala: error: ")
    return error


def steps(path):
    """Timesteps of the frames of a GSD file."""
    with open_trajectory(path) as trajectory:
        return [frame.configuration.step for frame in trajectory]


def free(folder):
    """Bytes that can still be written to the disk of a folder."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize
