"""The command line: one module a command, each with ``add(commands)`` and ``run(options)``.

Commands only parse and print. What they compute with is imported when they run, so that help and
errors in the arguments do not load torch.
"""

import argparse
import shlex
import sys
from collections.abc import Sequence

from .. import __version__
from ..errors import InputError
from . import bench, finetune, label, models, plot, train, view

#: The commands, in the order of the help text.
_COMMANDS = (label, view, train, finetune, plot, bench, models)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``hoomd-gala``; returns the exit code.

    That is 0, 2 for input that cannot be used, or 130 after Ctrl-C.
    """
    parser = argparse.ArgumentParser(
        prog="hoomd-gala", description="Names the structure around every particle."
    )
    parser.add_argument("--version", action="version", version=f"hoomd-gala {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in _COMMANDS:
        command.add(commands)
    arguments = sys.argv[1:] if arguments is None else arguments
    options = parser.parse_args(arguments)
    options.line = shlex.join(["hoomd-gala", *arguments])
    try:
        options.run(options)
    except InputError as error:
        print(f"hoomd-gala: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as interrupt:
        print(f"\nhoomd-gala: interrupted; {interrupt}".rstrip("; "), file=sys.stderr)
        return 130
    return 0
