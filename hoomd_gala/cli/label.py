"""``hoomd-gala label``: a labeled copy of a trajectory."""

import argparse
from collections.abc import Mapping
from pathlib import Path

from ..names import title
from ..results import UNKNOWN, UNKNOWN_NAME
from ..schema import QUANTITIES
from .arguments import DEFAULT, Commands, add_device, frame_range, names, positive

_DESCRIPTION = """\
Copies trajectories, one after the other, with the label and confidence of every
particle in every frame. Reads GSD files, and whatever OVITO or ASE reads where one
of these is installed: LAMMPS dump and data, extended XYZ, POSCAR, CIF, PDB, XTC and
others. In a GSD file that it writes, structures become the particle types, which
OVITO shows by name and color; the simulation's own types are kept as well.
Interrupted or killed, the same command goes on where it was.
"""

_EXAMPLES = """\
examples:
  hoomd-gala label run.gsd labeled.gsd
  hoomd-gala label run.lammpstrj labeled.gsd --frames 100::10 --workers 2
  hoomd-gala label 'dump.*' labeled.xyz
  hoomd-gala label run.gsd labeled.gsd --clusters fcc,hcp
  hoomd-gala label run.xtc labeled.gsd --topology start.pdb --types O --neighbors O
"""


def add(commands: Commands) -> None:
    """Add the command."""
    label = commands.add_parser(
        "label",
        help="label every particle of a trajectory",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    label.set_defaults(run=run)
    label.add_argument(
        "input",
        metavar="IN",
        nargs="+",
        help="files, or quoted patterns such as 'dump.*', whose files are taken in the order of "
        "the numbers in their names",
    )
    label.add_argument(
        "output",
        metavar="OUT",
        type=Path,
        help="OUT.gsd; OUT.xyz or OUT.extxyz, extended XYZ; OUT.dump or OUT.lammpstrj, LAMMPS "
        "dump, in which labels are numbers; must not exist",
    )
    label.add_argument(
        "--model",
        default="structures",
        help=f"a shipped model's name or a model file {DEFAULT}",
    )
    add_device(label)
    label.add_argument(
        "--frames",
        type=frame_range,
        metavar="RANGE",
        help="which of all frames of the input, a Python index or slice: 10:100:5 (default: all; "
        "write --frames=-10: with a sign in front)",
    )
    label.add_argument(
        "--types",
        type=names,
        metavar="A,B",
        help="types of the particles to label, by name; others are unknown (default: those of "
        "--neighbors, or all)",
    )
    label.add_argument(
        "--neighbors",
        type=names,
        metavar="A,B",
        help="types of the particles that count as neighbors, those of --types among them "
        "(default: all but constituents of rigid bodies, which have their body's label)",
    )
    label.add_argument(
        "--clusters",
        type=names,
        nargs="?",
        const=True,
        default=False,
        metavar="STRUCTURES",
        help="find the clusters of structures such as fcc or fcc,hcp; as the last argument, "
        "without a name, of anything solid. Writes the cluster of each particle, and prints how "
        "many there are and how large the largest is",
    )
    label.add_argument(
        "--quantities",
        type=names,
        default=QUANTITIES,
        metavar="NAMES",
        help="what to write of each particle: label,confidence,embedding (default: "
        f"{','.join(QUANTITIES)}; embeddings always of a model without classes)",
    )
    label.add_argument(
        "--topology",
        type=Path,
        metavar="FILE",
        help="where the particles of a trajectory of positions only, such as XTC, are described",
    )
    label.add_argument(
        "--workers",
        type=positive,
        default=1,
        metavar="N",
        help="frames that are labeled at the same time, each by one thread; with 1, all threads "
        f"work on the same frame {DEFAULT}",
    )
    label.add_argument(
        "--keep-types",
        action="store_true",
        help="leave the particle types of a GSD file as they are",
    )
    label.add_argument(
        "--restart",
        action="store_true",
        help="begin at the first frame, also where the same command was interrupted before",
    )


def run(options: argparse.Namespace) -> None:
    """Label, and print the structures of the last frame."""
    from ..labeling import label_trajectory

    fractions = label_trajectory(
        options.input,
        options.output,
        options.model,
        options.device,
        options.keep_types,
        quantities=options.quantities,
        frames=options.frames,
        workers=options.workers,
        topology=options.topology,
        types=options.types,
        neighbors=options.neighbors,
        clusters=options.clusters,
        restart=options.restart,
    )
    print_fractions(fractions, numbered=options.output.suffix != ".gsd")


def print_fractions(fractions: Mapping[str, float], numbered: bool) -> None:
    """Print the structures of a frame, the most frequent first, with their labels if need be."""
    print("structures in the last frame:")
    number = {name: k for k, name in enumerate(fractions)} | {UNKNOWN_NAME: UNKNOWN}
    shown = [item for item in sorted(fractions.items(), key=lambda item: -item[1]) if item[1] > 0]
    width = max((len(title(name)) for name, _ in shown), default=0)
    for name, share in shown:
        label = f"  label {number[name]}" if numbered else ""
        print(f"  {title(name):{width}} {share:7.1%}{label}")
