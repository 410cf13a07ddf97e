"""``hoomd-gala view``: a labeled trajectory with structures as particle types."""

import argparse
from pathlib import Path

from .arguments import Commands


def add(commands: Commands) -> None:
    """Add the command."""
    view = commands.add_parser(
        "view",
        help="copy a labeled trajectory with structures as particle types",
        description="Copies a labeled GSD trajectory, such as HOOMD's own writer makes, with the "
        "names of the structures as particle types, which OVITO and other viewers list and color. "
        "The particles' own types are kept as well.",
    )
    view.set_defaults(run=run)
    view.add_argument("input", metavar="OUT.gsd", type=Path, help="labeled trajectory")
    view.add_argument(
        "output",
        metavar="VIEW.gsd",
        type=Path,
        nargs="?",
        help="must not exist (default: OUT-view.gsd)",
    )


def run(options: argparse.Namespace) -> None:
    """Copy, and print the name of the copy."""
    from ..labeling import view_trajectory

    print(view_trajectory(options.input, options.output))
