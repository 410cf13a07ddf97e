"""Arguments that several commands share, and how their help is laid out."""

import argparse
import shlex
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..learning.config import NOISE_LEVELS, TASK_NAMES, TrainingConfig

#: Ends help texts.
DEFAULT = "(default: %(default)s)"

#: What ``add_subparsers`` returns, which is private to argparse.
Commands = Any


class HelpFormatter(argparse.HelpFormatter):
    """Fills paragraphs of descriptions, and leaves those with indented lines as they are."""

    def __init__(self, prog: str, **options: Any) -> None:
        super().__init__(prog, max_help_position=27, **options)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n\n".join(
            block
            if "\n  " in block or block.startswith("  ")
            else textwrap.fill(block, width, break_on_hyphens=False)
            for block in text.strip().split("\n\n")
        )


def add_choice(parser: argparse.ArgumentParser, name: str) -> Commands:
    """Add the place for a command or figure; the description lists them, argparse does not."""
    parser.usage = f"{parser.prog} {name.upper()} ..."
    return parser.add_subparsers(
        dest=name, required=True, metavar=name.upper(), prog=parser.prog, help=argparse.SUPPRESS
    )


def listing(title: str, summaries: Mapping[str, str]) -> str:
    """List commands by name under a title, as a paragraph of a description."""
    lines = (f"  {name:10} {summary}" for name, summary in summaries.items())
    return "\n".join([f"{title}:", *lines])


def add_command(
    commands: Commands, name: str, summary: str, description: str, more: str
) -> argparse.ArgumentParser:
    """Add a command.

    Parameters
    ----------
    commands
        What ``add_subparsers`` gave.
    name : str
        Its name.
    summary : str
        What it does, in a line of the list of commands.
    description : str
        The same at length, at the beginning of its help.
    more : str
        Examples, and whatever else comes at the end.
    """
    command: argparse.ArgumentParser = commands.add_parser(
        name, help=summary, description=description, epilog=more, formatter_class=HelpFormatter
    )
    return command


def positive(text: str) -> int:
    """Parse a positive integer."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not positive")
    return number


def whole(text: str) -> int:
    """Parse a non-negative integer."""
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is negative")
    return number


def size(text: str) -> float:
    """Parse a non-negative finite number."""
    number = float(text)
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is negative or not finite")
    return number


def names(text: str) -> list[str]:
    """Parse names with commas between them, each once."""
    found = list(dict.fromkeys(text.split(",")))
    if "" in found:
        raise argparse.ArgumentTypeError(f"{text!r} has an empty name; write A,B")
    return found


def frame_range(text: str) -> slice:
    """Parse a Python index or slice of frames."""
    from ..files.sources import parse_frames

    try:
        return parse_frames(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a range of frames; write START:STOP:STEP as a Python slice, or INDEX"
        ) from None


def add_device(command: Any) -> None:
    """Add ``--device``."""
    command.add_argument(
        "--device", default="auto", help="cpu, cuda or auto: the GPU where there is one (default)"
    )


def add_input(command: Any) -> None:
    """Add the trajectories that a command copies."""
    command.add_argument(
        "input",
        metavar="IN",
        nargs="+",
        help="files, or quoted patterns such as 'dump.*', whose files are taken in the order of "
        "the numbers in their names",
    )


def add_frames(command: Any) -> None:
    """Add ``--frames`` and ``--topology``: what of these it copies, and how it is read."""
    command.add_argument(
        "--frames",
        type=frame_range,
        metavar="RANGE",
        help="which of all frames of the input, a Python index or slice: 10:100:5 (default: all; "
        "write --frames=-10: with a sign in front)",
    )
    command.add_argument(
        "--topology",
        type=Path,
        metavar="FILE",
        help="where the particles of a trajectory of positions only, such as XTC, are described",
    )


def add_output(command: Any, numbers: str = "") -> None:
    """Add where a copy goes, and what is said of LAMMPS dumps, which have numbers only."""
    command.add_argument(
        "output",
        metavar="OUT",
        type=Path,
        help="OUT.gsd; OUT.xyz or OUT.extxyz, extended XYZ; OUT.dump or OUT.lammpstrj, LAMMPS "
        f"dump{numbers}; must not exist",
    )


def add_restart(command: Any) -> None:
    """Add ``--restart``."""
    command.add_argument(
        "--restart",
        action="store_true",
        help="begin at the first frame, also where the same command was interrupted before",
    )


def add_task(command: argparse.ArgumentParser, text: str, required: bool) -> None:
    """Add ``--task`` and ``--output``."""
    command.add_argument("--task", required=required, choices=TASK_NAMES, metavar="NAME", help=text)
    command.add_argument(
        "--output",
        required=True,
        type=Path,
        metavar="OUT.safetensors",
        help="model file to write; must not exist",
    )


def add_samples(data: Any) -> None:
    """Add unit cells and trajectories to take particles from."""
    data.add_argument(
        "--gsd",
        nargs="+",
        metavar="FILE[@FRAMES]",
        help="trajectories; FRAMES is a Python index or slice: run.gsd@10:50:2",
    )
    data.add_argument(
        "--cells",
        nargs="+",
        metavar="CELL",
        help="unit cells such as cI2-W (default: all 555)",
    )
    data.add_argument(
        "--noise",
        nargs="+",
        type=size,
        metavar="LEVEL",
        help="Gaussian displacements of the unit cells' particles, in units of the shortest "
        f"distance (default: {' '.join(map(str, NOISE_LEVELS))})",
    )


def chosen_cells(options: argparse.Namespace) -> tuple[list[str], list[float]]:
    """Return the unit cells and noise levels of :func:`add_samples`, each once."""
    from ..crystals.prototypes import unit_cell, unit_cells

    cells = list(dict.fromkeys(unit_cell(name).name for name in options.cells or unit_cells()))
    return cells, list(dict.fromkeys(options.noise or NOISE_LEVELS))


def check_gsd(path: Path) -> None:
    """Refuse what is not a GSD file, and say what makes one of it.

    A file that is named as one, and damaged, is left to those who read it, who know how far it is
    good.

    Raises
    ------
    InputError
        If there is no such file, or it is one of another format.
    """
    from ..files.layout import is_gsd

    if not path.is_file():
        raise InputError(f"there is no file {path}.")
    if path.suffix != ".gsd" and not is_gsd(path):
        raise InputError(
            f"{path} is not a GSD file; {shlex.join(['hoomd-gala', 'label', str(path)])} "
            "labeled.gsd makes one with labels."
        )


def check_samples(options: argparse.Namespace) -> None:
    """Refuse what :func:`add_samples` has added and cannot be used, before torch is loaded.

    Raises
    ------
    InputError
        For unit cells that do not exist, files that are not there, and options for unit cells
        beside trajectories.
    """
    from ..files.sources import parse_range

    if options.gsd and (options.cells or options.noise):
        raise InputError("--cells and --noise are for unit cells; leave them or --gsd out.")
    for text in options.gsd or ():
        check_gsd(parse_range(text).path)
    if options.cells:
        chosen_cells(options)


def add_data(command: argparse.ArgumentParser) -> None:
    """Add what to learn from."""
    data = command.add_argument_group("data")
    add_samples(data)
    data.add_argument(
        "--environments",
        type=positive,
        default=100,
        metavar="N",
        help="environments of each frame: of each trajectory frame, or of each unit cell at each "
        f"noise level {DEFAULT}",
    )
    data.add_argument(
        "--limit",
        type=positive,
        metavar="N",
        help="learn from at most N of these environments, chosen at random; those that are held "
        "out for validation do not count (default: all)",
    )
    data.add_argument("--blind", action="store_true", help="treat all particles as the same type")


def add_training(command: argparse.ArgumentParser) -> Any:
    """Add how to train, and return the group of arguments."""
    default = TrainingConfig()
    training = command.add_argument_group("training")
    training.add_argument(
        "--epochs", type=positive, default=default.epochs, help=f"passes over the data {DEFAULT}"
    )
    training.add_argument(
        "--batch-size",
        type=positive,
        default=default.batch_size,
        help=f"environments per step {DEFAULT}",
    )
    training.add_argument(
        "--learning-rate",
        type=size,
        default=default.learning_rate,
        help=f"peak of the one-cycle schedule {DEFAULT}",
    )
    training.add_argument(
        "--patience",
        type=positive,
        metavar="EPOCHS",
        help="stop when the validation loss has not improved for EPOCHS epochs, and keep the best "
        "weights (default: run all epochs and keep the last)",
    )
    training.add_argument(
        "--seed", type=whole, default=default.seed, help=f"of all random numbers {DEFAULT}"
    )
    add_device(training)
    training.add_argument(
        "--checkpoint",
        type=Path,
        metavar="FILE",
        help="where an interrupted training continues from; removed at the end "
        "(default: OUT.checkpoint.pt)",
    )
    return training
