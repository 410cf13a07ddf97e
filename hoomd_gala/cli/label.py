"""``hoomd-gala label``: a labeled copy of a trajectory."""

import argparse
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..results import DISORDERED, UNKNOWN_NAME, Fractions
from ..schema import QUANTITIES
from .arguments import (
    DEFAULT,
    Commands,
    add_command,
    add_device,
    add_frames,
    add_input,
    add_output,
    add_restart,
    names,
    positive,
    whole,
)
from .terminal import WORDS, fraction_lines, paragraph, steps

SUMMARY = "name every particle of a trajectory, in a copy of it"

_DESCRIPTION = """\
Copies trajectories, one after the other, with the label and confidence of every particle in every
frame. Reads GSD files, and whatever OVITO or ASE reads where one of these is installed: LAMMPS
dump and data, extended XYZ, POSCAR, CIF, PDB, XTC and others. In a GSD file that it writes,
structures become the particle types, which OVITO shows by name and color; the simulation's own
types are kept as well. Interrupted or killed, the same command goes on where it was.
"""

_MORE = f"""\
examples:
  hoomd-gala label run.gsd labeled.gsd
  hoomd-gala label run.lammpstrj labeled.gsd --frames 100::10 --workers 2
  hoomd-gala label 'dump.*' labeled.xyz
  hoomd-gala label run.gsd labeled.gsd --clusters fcc,hcp
  hoomd-gala label run.xtc labeled.gsd --topology start.pdb \\
      --types O --neighbors O

words:
  disordered  {WORDS[DISORDERED]}
  unknown     {WORDS[UNKNOWN_NAME]}
  solid       {WORDS["solid"]}
"""

#: Endings of LAMMPS dumps, which have numbers only.
_DUMPS = (".dump", ".lammpstrj")

#: From which fraction of disordered and unknown particles on, and of unknown ones, there is
#: something else to try.
_MOST, _MANY = 0.9, 0.5


def add(commands: Commands) -> None:
    """Add the command."""
    label = add_command(commands, "label", SUMMARY, _DESCRIPTION, _MORE)
    label.set_defaults(run=run)
    source = label.add_argument_group("what to read")
    add_input(source)
    add_frames(source)
    chosen = label.add_argument_group("which particles")
    chosen.add_argument(
        "--types",
        type=names,
        metavar="A,B",
        help="types of the particles to label, by name; others are unknown (default: those of "
        "--neighbors, or all)",
    )
    chosen.add_argument(
        "--neighbors",
        type=names,
        metavar="A,B",
        help="types of the particles that count as neighbors, those of --types among them "
        "(default: all but constituents of rigid bodies, which have their body's label)",
    )
    model = label.add_argument_group("how to label")
    model.add_argument(
        "--model",
        default="structures",
        help="a shipped model's name or a model file; auto is compounds where particles of the "
        f"first frame that may be neighbors are of several types, else structures {DEFAULT}",
    )
    model.add_argument(
        "--denoise",
        type=whole,
        default=0,
        metavar="N",
        help="steps in which thermal displacements are taken out before particles whose label is "
        "not certain are labeled again, for crystals near melting: 4 are enough, and each takes "
        f"about as long as labeling; positions that are written stay as they were {DEFAULT}",
    )
    add_device(model)
    model.add_argument(
        "--workers",
        type=positive,
        default=1,
        metavar="N",
        help="frames that are labeled at the same time, each by one thread; with 1, all threads "
        f"work on the same frame {DEFAULT}",
    )
    target = label.add_argument_group("what to write")
    add_output(target, ", in which labels are numbers")
    target.add_argument(
        "--quantities",
        type=names,
        default=QUANTITIES,
        metavar="NAMES",
        help="what to write of each particle: label,confidence,embedding (default: "
        f"{','.join(QUANTITIES)}; embeddings always of a model without classes)",
    )
    target.add_argument(
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
    target.add_argument(
        "--keep-types",
        action="store_true",
        help="leave the particle types of a GSD file as they are",
    )
    add_restart(target)


def run(options: argparse.Namespace) -> None:
    """Label, and print the structures of the last frame and what can be done with them."""
    from ..labeling import label_trajectory

    labeled = label_trajectory(
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
        denoise_steps=options.denoise,
    )
    if labeled.is_open:
        print(f"{labeled.source} has no periodic boundaries")
    chosen = options.types is not None or options.neighbors is not None
    hints = advice(labeled, () if chosen else labeled.types)
    lines = summary(options.output, options.model, labeled, options.keep_types, hints)
    print("\n".join(lines))


def advice(fractions: Mapping[str, float], types: Sequence[str]) -> dict[str, str]:
    """Return what to try where little was found: options and commands, and what each is for.

    Parameters
    ----------
    fractions : mapping
        Of the last frame's structures, by class.
    types : sequence of str
        Names of the types of particles, if they were labeled without distinction.
    """
    unknown = fractions[UNKNOWN_NAME]
    found: dict[str, str] = {}
    if len(types) > 1 and unknown + fractions.get(DISORDERED, 0.0) >= _MOST:
        name = shlex.quote(types[0])
        found[f"--types {name} --neighbors {name}"] = "if one kind of particle makes the structure"
    if unknown >= _MANY:
        found["hoomd-gala finetune structures --gsd … --labels …"] = "a structure of your own"
    return found


def summary(
    output: Path,
    model: str,
    fractions: Mapping[str, float],
    keep_types: bool,
    hints: Mapping[str, str] | None = None,
) -> list[str]:
    """Lines about the structures of a labeled file's last frame, and what to do next.

    Parameters
    ----------
    output : Path
        The file.
    model : str
        Name or file of the model.
    fractions : mapping
        Of the last frame's structures, by class.
    keep_types : bool
        Whether the particle types of a GSD file are those of the simulation.
    hints : mapping, optional
        What :func:`advice` gives.
    """
    if not fractions.keys() - {UNKNOWN_NAME}:
        return [
            f"written: {output}",
            *paragraph(
                f"The model {model} names no structures: every particle is unknown, and has an "
                "embedding in the file. The models structures and structures-fast name structures."
            ),
        ]
    is_gsd = output.suffix == ".gsd"
    return [
        "structures in the last frame:",
        *fraction_lines(fractions, numbered=not is_gsd),
        "",
        *paragraph(
            f"solid: {Fractions(fractions).of():.1%}, which is all that is neither disordered "
            f"({WORDS[DISORDERED]}) nor unknown ({WORDS[UNKNOWN_NAME]}). Of a frozen droplet it is "
            "less than 100 %, as its surface often is one of these."
        ),
        "",
        f"written: {output}",
        *steps({**(hints or {}), **_next(output, keep_types)}),
    ]


def _next(path: Path, keep_types: bool) -> dict[str, str]:
    """Return commands that go on with a labeled file, and what each does."""
    if path.suffix != ".gsd":
        shown = "labels are a property" if path.suffix in _DUMPS else "colors are structures"
        return {"open it in OVITO": shown, "label to a .gsd file": "for figures, and a legend"}
    name, session, picture = (
        shlex.quote(str(one))
        for one in (path, path.with_suffix(".ovito"), path.with_suffix(".png"))
    )
    looked_at = {} if keep_types else {"open it in OVITO": "types are structures"}
    return looked_at | {
        f"hoomd-gala view {name} {session}": "for OVITO, with a legend",
        f"hoomd-gala plot fractions {name}": "structures against time",
        f"hoomd-gala plot frame {name} --output {picture}": "a picture",
    }
