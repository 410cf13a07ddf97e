"""``hoomd-gala label``: a labeled copy of a trajectory."""

import argparse
from collections.abc import Mapping
from pathlib import Path

from .arguments import Commands, add_device


def add(commands: Commands) -> None:
    """Add the command."""
    label = commands.add_parser(
        "label",
        help="label every particle of a trajectory",
        description="Copies a GSD trajectory with the label, confidence and embedding of every "
        "particle in every frame. Structures become the particle types, which OVITO shows by name "
        "and color; the simulation's own types are kept as well. Interrupted, it keeps the frames "
        "that are done.",
    )
    label.set_defaults(run=run)
    label.add_argument("input", metavar="IN.gsd", type=Path)
    label.add_argument("output", metavar="OUT.gsd", type=Path, help="must not exist")
    label.add_argument(
        "--model",
        default="structures",
        help="a shipped model's name or a model file (default: %(default)s)",
    )
    add_device(label)
    label.add_argument(
        "--keep-types", action="store_true", help="leave the particle types as they are"
    )


def run(options: argparse.Namespace) -> None:
    """Label, and print the structures of the last frame."""
    from ..labeling import label_trajectory

    fractions = label_trajectory(
        options.input, options.output, options.model, options.device, options.keep_types
    )
    print_fractions(fractions)


def print_fractions(fractions: Mapping[str, float]) -> None:
    """Print the structures of a frame, the most frequent first."""
    print("structures in the last frame:")
    for name, share in sorted(fractions.items(), key=lambda item: -item[1]):
        if share > 0:
            print(f"  {name:20} {share:7.1%}")
