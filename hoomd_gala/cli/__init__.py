"""The command line: one module a command, each with ``add(commands)`` and ``run(options)``.

Commands only parse and print. What they compute with is imported when they run, so that help and
errors in the arguments do not load torch.
"""

import argparse
import os
import shlex
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from .. import __version__
from ..errors import InputError
from . import bench, denoise, finetune, label, models, plot, train, view

#: The commands, in the order of the help text.
_COMMANDS = (label, denoise, view, train, finetune, plot, bench, models)


def _say(warning: Warning | str, *_: Any) -> None:
    """Print a warning without the line of code that it comes from."""
    print(f"hoomd-gala: {warning}", file=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``hoomd-gala``; returns the exit code.

    That is 0, 2 for input that cannot be used, 130 after Ctrl-C, or 141 if nobody reads on what it
    prints, as after ``| head``.
    """
    try:
        try:
            return _run(arguments)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # or Python would complain when it flushes what is left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _run(arguments: Sequence[str] | None) -> int:
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
        with warnings.catch_warnings():
            warnings.showwarning = _say  # type: ignore[assignment]
            options.run(options)
    except InputError as error:
        print(f"hoomd-gala: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as interrupt:
        print(f"\nhoomd-gala: interrupted; {interrupt}".rstrip("; "), file=sys.stderr)
        return 130
    return 0
