"""``hoomd-gala models``: what is shipped, and the structures that a model names."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from ..names import STRUCTURES, pearson_symbol, title
from ..results import DISORDERED
from .arguments import Commands, add_command

if TYPE_CHECKING:
    from ..files.models import ModelInfo

_COLUMNS = ("class", "name", "Strukturbericht", "Pearson", "space group", "coordination", "also")

SUMMARY = "the shipped models, and the structures that each one names"

_DESCRIPTION = """\
Lists the shipped models; with MODEL, the structures that it names as a table of classes with
their common names, Strukturbericht designations, Pearson symbols, space groups and coordination
numbers. Any of these names may be given where a structure is asked for.
"""

_MORE = """\
examples:
  hoomd-gala models
  hoomd-gala models structures
  hoomd-gala models structures --output structures.pdf
"""

#: Structures of a model in its line of the list.
_SHOWN = 4


def add(commands: Commands) -> None:
    """Add the command."""
    models = add_command(commands, "models", SUMMARY, _DESCRIPTION, _MORE)
    models.add_argument(
        "model", nargs="?", metavar="MODEL", help="a shipped model's name or a model file"
    )
    models.add_argument(
        "--output",
        type=Path,
        metavar="STRUCTURES.pdf",
        help="draw the unit cells of these structures, in the colors that they have in OVITO",
    )
    models.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print the models, or the structures of one."""
    from ..files.shipped import find_model, shipped_models

    if options.output is not None and options.model is None:
        raise InputError("--output draws the structures of a model; name one, such as structures.")
    if options.model is not None:
        find_model(options.model)

    from ..files.cards import RELATIONS
    from ..files.models import read_info

    if options.model is not None:
        info = read_info(options.model)
        if options.output is not None:
            from ..plotting.structures import draw_structures

            if not info.class_names:
                raise InputError(f"the model {options.model} names no structures to draw.")
            drawn = [name for name in info.given_names if name != DISORDERED]
            draw_structures(options.output, drawn)
            print(f"{options.output}: {len(drawn)} structures")
        elif info.class_names:
            print(table(info.given_names))
            if info.core.relations:
                print(f"{options.model} sees {RELATIONS}")
        else:
            given = _given(options.model, info)
            print(f"{options.model} names no structures: it gives {given}")
        return
    for name, path in shipped_models().items():
        info = read_info(path)
        classes = info.given_names
        if not classes:
            print(f"{name}: {_given(name, info)}")
            continue
        known = [title(one) for one in classes if one in STRUCTURES][:_SHOWN]
        seen = ", by positions and types" if info.core.relations else ""
        shown = f": {', '.join(known)}, …" if known else ""
        print(f"{name}: {len(classes)} classes{seen}{shown}")
    if not shipped_models():
        print("no model is shipped; give the path of a model file instead")
    else:
        print("hoomd-gala models MODEL lists the structures that a model names.")


def _given(model: str, info: "ModelInfo") -> str:
    """Say what a model without classes is for."""
    from ..files.shipped import DENOISE

    if info.context:
        return f"embeddings of {info.embedding_size} numbers, of several scales"
    if model == DENOISE:
        return "positions without thermal displacements, by hoomd-gala denoise"
    return f"embeddings from {info.task}"


def table(class_names: Sequence[str]) -> str:
    """Lay out what is known of structures in columns, one line a class."""
    rows: list[tuple[str, ...]] = [_COLUMNS]
    for name in class_names:
        known = STRUCTURES.get(name)
        if known is None:
            rows.append((name, *[""] * (len(_COLUMNS) - 1)))
            continue
        rows.append(
            (
                name,
                known.name,
                known.strukturbericht,
                pearson_symbol(name),
                str(known.space_group),
                ", ".join(map(str, known.coordination)),
                ", ".join(known.others),
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return "\n".join(lines)
