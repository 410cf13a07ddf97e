"""``hoomd-gala view``: a labeled trajectory with structures as particle types."""

import argparse
from pathlib import Path

from .arguments import Commands, add_command, check_gsd

SUMMARY = "show a labeled trajectory in OVITO, with colors and a legend"

_DESCRIPTION = """\
Copies a labeled GSD trajectory, such as HOOMD's own writer makes, with the names of the
structures as particle types, which OVITO and other viewers list and color. The particles' own
types are kept as well. With VIEW.ovito, also writes an OVITO session that opens with common
names, the colors of structures and a legend.
"""

_MORE = """\
examples:
  hoomd-gala view run.gsd                 writes run-view.gsd
  hoomd-gala view run.gsd run.ovito       and a session that shows it
"""


def add(commands: Commands) -> None:
    """Add the command."""
    view = add_command(commands, "view", SUMMARY, _DESCRIPTION, _MORE)
    view.set_defaults(run=run)
    view.add_argument("input", metavar="OUT.gsd", type=Path, help="labeled trajectory")
    view.add_argument(
        "output",
        metavar="VIEW.gsd",
        type=Path,
        nargs="?",
        help="must not exist (default: OUT-view.gsd); or VIEW.ovito, a session that shows "
        "VIEW-view.gsd beside it",
    )


def _is_copy(shown: Path, source: Path) -> bool:
    """Whether this command has made a copy of all of a trajectory already."""
    import numpy as np

    from ..errors import InputError
    from ..files.trajectories import open_trajectory
    from ..schema import LABEL, OWN_TYPES

    if not shown.is_file() or not source.is_file():
        return False
    if shown.stat().st_mtime < source.stat().st_mtime:
        return False
    try:
        with open_trajectory(shown) as copy, open_trajectory(source) as original:
            if not 0 < len(copy) == len(original):
                return False
            ours, theirs = copy[-1], original[-1]
    except InputError:
        return False
    return (
        OWN_TYPES in ours.log
        and np.array_equal(ours.particles.position, theirs.particles.position)
        and np.array_equal(ours.log.get(LABEL), theirs.log.get(LABEL))
    )


def run(options: argparse.Namespace) -> None:
    """Copy, and print the names of the files."""
    from ..errors import InputError
    from ..files.atomic import check_new
    from ..files.sources import has_ovito
    from ..labeling import view_trajectory

    check_gsd(options.input)
    output = options.output
    if output is None or output.suffix != ".ovito":
        print(view_trajectory(options.input, output))
        return
    if not has_ovito():
        raise InputError(
            f"OVITO sessions such as {output} are written by OVITO: "
            'pip install "hoomd-gala[ovito]"; or give the name of a GSD file.'
        )
    session = check_new(output, ".ovito", "OVITO session")
    from ..integrations.ovito_session import write_session

    shown = session.with_name(session.stem.removesuffix("-view") + "-view.gsd")
    if not _is_copy(shown, options.input):
        view_trajectory(options.input, shown)
    write_session(shown, session)
    print(shown)
    print(session)
