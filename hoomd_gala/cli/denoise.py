"""``hoomd-gala denoise``: a copy of a trajectory without thermal displacements."""

import argparse
import math

from .arguments import (
    DEFAULT,
    Commands,
    add_command,
    add_device,
    add_frames,
    add_input,
    add_output,
    add_restart,
    whole,
)

SUMMARY = "take thermal displacements out of a trajectory"

_DESCRIPTION = """\
Copies trajectories with thermal displacements taken out of the positions in every
frame: crystals get close to their lattice, and vacancies, faults, boundaries and
disorder stay, so that template matching, common neighbor analysis and dislocation
extraction see them without the noise. Everything else in a frame stays as it is.
Reads and writes the formats that hoomd-gala label reads and writes. Interrupted or
killed, the same command goes on where it was.
"""

_MORE = """\
examples:
  hoomd-gala denoise run.gsd quiet.gsd
  hoomd-gala denoise run.lammpstrj quiet.lammpstrj --frames 100::10
  hoomd-gala denoise 'dump.*' quiet.xyz --steps 4
"""


def add(commands: Commands) -> None:
    """Add the command."""
    denoise = add_command(commands, "denoise", SUMMARY, _DESCRIPTION, _MORE)
    denoise.set_defaults(run=run)
    add_input(denoise)
    add_output(denoise)
    denoise.add_argument(
        "--steps", type=whole, default=8, metavar="N", help=f"steps of denoising {DEFAULT}"
    )
    denoise.add_argument(
        "--model",
        default="denoise",
        help=f"a shipped model's name or a model file, of the task denoising {DEFAULT}",
    )
    add_device(denoise)
    add_frames(denoise)
    add_restart(denoise)


def run(options: argparse.Namespace) -> None:
    """Denoise, and print how large the displacements of the last frame were."""
    from ..denoised_copies import denoise_trajectory

    level = denoise_trajectory(
        options.input,
        options.output,
        options.model,
        options.device,
        options.steps,
        frames=options.frames,
        topology=options.topology,
        restart=options.restart,
    )
    if not math.isnan(level):
        print(
            "taken out of the last frame: displacements, root mean square in each direction, of "
            f"{level:.1%} of the shortest distance"
        )
