"""The command line."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from . import __version__
from .errors import InputError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``hoomd-gala``; returns the exit code: 0, or 2 for input that cannot be used."""
    parser = argparse.ArgumentParser(
        prog="hoomd-gala", description="Names the structure around every particle."
    )
    parser.add_argument("--version", action="version", version=f"hoomd-gala {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    label = commands.add_parser(
        "label",
        help="label every particle of a trajectory",
        description="Copies a GSD trajectory with the label, confidence and embedding of every "
        "particle in every frame. OVITO shows them as particle properties.",
    )
    label.add_argument("input", metavar="IN.gsd", type=Path)
    label.add_argument("output", metavar="OUT.gsd", type=Path, help="must not exist")
    label.add_argument(
        "--model",
        default="structures",
        help="a shipped model's name or a model file (default: %(default)s)",
    )
    label.add_argument(
        "--device", default="auto", help="cpu, cuda or auto: the GPU where there is one (default)"
    )

    commands.add_parser("models", help="list the shipped models")

    options = parser.parse_args(arguments)
    try:
        if options.command == "label":
            from .labeling import label_trajectory, print_fractions

            fractions = label_trajectory(
                options.input, options.output, options.model, options.device
            )
            print_fractions(fractions)
        else:
            _list_models()
    except InputError as error:
        print(f"hoomd-gala: error: {error}", file=sys.stderr)
        return 2
    return 0


def _list_models() -> None:
    from .models import load_model, shipped_models

    for name, path in shipped_models().items():
        classes = ", ".join(load_model(path).info.class_names)
        print(f"{name}: {classes}")
    if not shipped_models():
        print("no model is shipped; give the path of a model file instead")


if __name__ == "__main__":
    sys.exit(main())
