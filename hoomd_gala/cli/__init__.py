"""The command line: one module a command, each with its ``SUMMARY``, and ``add(commands)``.

Commands only parse and print. What they compute with is imported when they run, so that help and
errors in the arguments do not load torch.
"""

import argparse
import contextlib
import functools
import os
import shlex
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from .. import __version__
from ..errors import InputError
from . import bench, denoise, doctor, finetune, label, models, plot, train, view
from .arguments import HelpFormatter, add_choice, listing

#: The commands by what they are for, in the order of the help text.
_COMMANDS = {
    "label and look": (label, denoise, view, plot),
    "models": (models,),
    "train your own": (train, finetune),
    "this machine": (doctor, bench),
}

_DESCRIPTION = "Names the structure around every particle of a simulation."

_EPILOG = """\
examples:
  hoomd-gala label run.gsd labeled.gsd    name every particle of a trajectory
  hoomd-gala plot fractions labeled.gsd   draw the structures against time
  hoomd-gala models structures            what these names stand for
  hoomd-gala label --help                 options and examples of a command

exit codes:
  0    done
  1    something failed that nobody expected, or memory or a disk is full
  2    arguments or files that cannot be used; a sentence says why
  130  interrupted by Ctrl-C; a sentence says what is kept
  141  the reader of what is printed has closed it, as "| head" does
"""

#: Where to report what should not happen.
_ISSUES = "https://github.com/hoomd-gala/hoomd-gala/issues"


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of ``hoomd-gala`` with all of its commands."""
    parser = argparse.ArgumentParser(prog="hoomd-gala", formatter_class=HelpFormatter)
    parser.add_argument("--version", action="version", version=f"hoomd-gala {__version__}")
    commands = add_choice(parser, "command")
    shown = [_DESCRIPTION]
    for group, modules in _COMMANDS.items():
        for module in modules:
            module.add(commands)
        summaries = {one.__name__.rpartition(".")[2]: one.SUMMARY for one in modules}
        shown.append(listing(group, summaries))
    parser.description, parser.epilog = "\n\n".join(shown), _EPILOG
    return parser


def _complete(parser: argparse.ArgumentParser) -> None:
    """Answer a shell that completes a command line, as argcomplete's code for shells asks."""
    if "_ARGCOMPLETE" in os.environ:
        with contextlib.suppress(ImportError):
            import argcomplete

            argcomplete.autocomplete(parser)  # and nothing else in this process


def _say(said: set[str], warning: Warning | str, *_: Any) -> None:
    """Print a warning without the line of code that it comes from, unless it was said before.

    Python forgets what it has warned of whenever something changes its filters, as numba does while
    it compiles.
    """
    if str(warning) not in said:
        print(f"hoomd-gala: {warning}", file=sys.stderr)
    said.add(str(warning))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``hoomd-gala``; returns the exit code, which its ``--help`` explains.

    ``--help``, ``--version`` and wrong arguments raise SystemExit, as argparse does.
    """
    if hasattr(sys.stdout, "reconfigure"):
        # names may have letters that a terminal has not
        sys.stdout.reconfigure(errors="replace")
    try:
        try:
            return _run(sys.argv[1:] if arguments is None else arguments)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # or Python would complain when it flushes what is left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _run(arguments: Sequence[str]) -> int:
    try:
        parser = make_parser()
        _complete(parser)
        if not arguments:
            parser.print_help()
            return 2
        options = parser.parse_args(arguments)
        options.line = shlex.join(["hoomd-gala", *arguments])
        with warnings.catch_warnings():
            warnings.showwarning = functools.partial(_say, set())
            code: int | None = options.run(options)
            return code or 0
    except InputError as error:
        print(f"hoomd-gala: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as interrupt:
        kept = str(interrupt) or "nothing more was written; run the same command again."
        print(f"\nhoomd-gala: interrupted; {kept}", file=sys.stderr)
        return 130
    except BrokenPipeError:
        raise
    except Exception as error:
        if sys.flags.dev_mode:
            raise
        print(f"hoomd-gala: error: {_unexpected(error, arguments)}", file=sys.stderr)
        return 1


def _unexpected(error: Exception, arguments: Sequence[str]) -> str:
    """Sentence about an error that no input should lead to."""
    if isinstance(error, OSError):
        return f"{error}."
    if isinstance(error, MemoryError):
        return "there is not enough memory."
    line = (str(error).splitlines() or [""])[0].rstrip(".")
    command = shlex.join(["python", "-X", "dev", "-m", "hoomd_gala", *arguments])
    return (
        f"{type(error).__name__}: {line}. That should not happen: please report it at {_ISSUES}, "
        f"with what this prints: {command}"
    )
