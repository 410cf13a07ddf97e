"""``hoomd-gala plot``: fractions over time, frames, maps of embeddings, and learning curves."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from .arguments import (
    DEFAULT,
    Commands,
    add_choice,
    add_command,
    add_samples,
    check_gsd,
    check_samples,
    chosen_cells,
    listing,
    positive,
)

if TYPE_CHECKING:
    from ..sampling import Samples

SUMMARY = "structures against time, a frame, embeddings, learning curves"

_MORE = """\
examples:
  hoomd-gala plot fractions labeled.gsd
  hoomd-gala plot frame labeled.gsd --output last.png
  hoomd-gala plot embedding --help
"""

_FIGURES = {
    "fractions": "structures against time, from any labeled GSD file",
    "frame": "a frame in the colors of its structures, by OVITO",
    "embedding": "map of particles' embeddings",
    "curve": "learning curves",
}

#: What the colors of a map may show, and the title of its color bar.
_TITLES = {"structure": "", "noise": "noise / shortest distance", "time": "timestep"}


_PICTURE = "picture (.png, .pdf, .svg) to write; must not exist"


def add(commands: Commands) -> None:
    """Add the command."""
    text = f"Draws figures as PNG, PDF or SVG files.\n\n{listing('figures', _FIGURES)}"
    plot = add_command(commands, "plot", SUMMARY, text, _MORE)
    figures = add_choice(plot, "figure")
    _add_fractions(figures)
    _add_frame(figures)
    _add_embedding(figures)
    _add_curve(figures)


def _add_fractions(figures: Commands) -> None:
    fractions = add_command(
        figures,
        "fractions",
        _FIGURES["fractions"],
        "Draws the fractions of structures in a labeled GSD file against time, whichever program "
        "wrote it: hoomd-gala label, Classifier, HOOMD-blue's GSD writer with a logged classifier, "
        "or OpenMM's reporter. If the file has the size of the largest cluster (label --clusters), "
        "that is drawn beneath. As CSV, the numbers of all frames.",
        "examples:\n"
        "  hoomd-gala plot fractions labeled.gsd      writes labeled-fractions.png\n"
        "  hoomd-gala plot fractions run.gsd --output run.pdf\n"
        "  hoomd-gala plot fractions run.gsd --output run.csv",
    )
    fractions.set_defaults(run=plot_fractions)
    fractions.add_argument("input", metavar="RUN.gsd", type=Path, help="labeled trajectory")
    fractions.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="picture (.png, .pdf, .svg) or table (.csv) to write; must not exist (default: "
        "RUN-fractions.png)",
    )


def _add_frame(figures: Commands) -> None:
    frame = add_command(
        figures,
        "frame",
        _FIGURES["frame"],
        "Renders a frame of a labeled GSD file by OVITO, with a legend of the structures and their "
        "fractions. What is in one place, as a droplet, is shifted to the center of its periodic "
        'box. It needs OVITO: pip install "hoomd-gala[ovito]".',
        "examples:\n"
        "  hoomd-gala plot frame labeled.gsd --output last.png\n"
        "  hoomd-gala plot frame labeled.gsd --frame 10 --cut --output inside.png\n"
        "  hoomd-gala plot frame labeled.gsd --only-solid --output nuclei.png",
    )
    frame.set_defaults(run=plot_frame)
    frame.add_argument("input", metavar="RUN.gsd", type=Path, help="labeled trajectory")
    frame.add_argument(
        "--output",
        required=True,
        type=Path,
        metavar="FILE",
        help="picture (.png, .pdf, .svg) to write; must not exist",
    )
    frame.add_argument(
        "--frame",
        type=int,
        default=-1,
        metavar="N",
        help="which one, counted from 0; -1 is the last one (default)",
    )
    frame.add_argument("--cut", action="store_true", help="cut it open: leave out the front half")
    frame.add_argument(
        "--only-solid", action="store_true", help="leave out disordered and unknown particles"
    )


def _add_embedding(figures: Commands) -> None:
    embedding = add_command(
        figures,
        "embedding",
        _FIGURES["embedding"],
        "Draws embeddings in two dimensions, by UMAP where umap-learn is installed (pip install "
        '"hoomd-gala[umap]") and by their principal components otherwise, and writes the '
        "coordinates to a CSV file beside the picture.",
        "examples:\n"
        "  hoomd-gala plot embedding --model denoising \\\n"
        "      --cells cF4-Cu hP2-Mg cI2-W --output map.png\n"
        "  hoomd-gala plot embedding --model structures --gsd run.gsd@::10 \\\n"
        "      --color time --output time.png\n"
        "  hoomd-gala label run.gsd labeled.gsd \\\n"
        "      --quantities label,confidence,embedding\n"
        "  hoomd-gala plot embedding --gsd labeled.gsd@-1 --output map.png",
    )
    embedding.set_defaults(run=plot_embedding)
    embedding.add_argument(
        "--model",
        help="a shipped model's name or a model file; not needed for GSD files that hold "
        "embeddings, such as label --quantities label,confidence,embedding writes",
    )
    embedding.add_argument("--output", required=True, type=Path, metavar="MAP.png", help=_PICTURE)
    add_samples(embedding)
    embedding.add_argument(
        "--color",
        choices=list(_TITLES),
        help="what colors show: the name of the unit cell or of the label, the displacement of the "
        "unit cell's particles, or the timestep (default: the name, or the timestep where there "
        "are no names)",
    )
    embedding.add_argument(
        "--points",
        type=positive,
        default=3000,
        metavar="N",
        help=f"particles to draw, about as many of each frame {DEFAULT}",
    )


def _add_curve(figures: Commands) -> None:
    curve = add_command(
        figures,
        "curve",
        _FIGURES["curve"],
        "Draws one or several learning curves, as train and finetune write them, into one picture.",
        "examples:\n  hoomd-gala plot curve few.csv direct.csv --output curves.png",
    )
    curve.set_defaults(run=plot_curve)
    curve.add_argument(
        "curves", nargs="+", type=Path, metavar="CURVE.csv", help="of train and finetune"
    )
    curve.add_argument("--output", required=True, type=Path, metavar="CURVES.png", help=_PICTURE)


def plot_fractions(options: argparse.Namespace) -> None:
    """Draw fractions of structures against time, or write them as a table."""
    from ..files.atomic import check_new, write_table
    from ..plotting.fractions import default_picture, draw_course, read_course
    from ..plotting.plots import FORMATS, check_matplotlib

    check_gsd(options.input)
    output = options.output or default_picture(options.input)
    output = check_new(output, (*FORMATS, ".csv"), "picture or table")
    if output.suffix != ".csv":
        check_matplotlib()
    course = read_course(options.input)
    if output.suffix == ".csv":
        write_table(output, course.rows())
    else:
        draw_course(output, options.input.name, course)
    print(f"written: {output}")


def plot_frame(options: argparse.Namespace) -> None:
    """Render a frame.

    Raises
    ------
    InputError
        If OVITO or Matplotlib is not installed, or there is no such frame.
    """
    from ..files.atomic import check_new
    from ..files.sources import has_ovito
    from ..plotting.plots import FORMATS, check_matplotlib

    check_gsd(options.input)
    output = check_new(options.output, FORMATS, "picture")
    if not has_ovito():
        raise InputError(
            'frames are rendered by OVITO, which is not installed: pip install "hoomd-gala[ovito]".'
        )
    check_matplotlib()
    from ..plotting.frames import draw_frame, read_shown

    shown = read_shown(options.input, options.frame, options.cut, options.only_solid)
    from ..integrations.ovito_render import render_particles

    image = render_particles(shown.positions, shown.colors, shown.radius, shown.box)
    draw_frame(output, image, shown)
    print(f"written: {output}")


def plot_embedding(options: argparse.Namespace) -> None:
    """Draw a map of embeddings, and write its coordinates beside it.

    Raises
    ------
    InputError
        If a file exists, there are fewer than three points, or what colors show is not known.
    """
    from ..files.atomic import check_new, write_table
    from ..files.shipped import find_model
    from ..plotting.plots import FORMATS, check_matplotlib, draw_names, draw_values

    output = check_new(options.output, FORMATS, "picture")
    table = check_new(output.with_suffix(".csv"), ".csv", "table")
    if options.model is None and not options.gsd:
        raise InputError("there is nothing to draw; give --model, or labeled files with --gsd.")
    check_samples(options)
    if options.model is not None:
        find_model(options.model)
    check_matplotlib()
    from ..plotting.projection import project

    embedding, columns = _samples(options)
    if len(embedding) < 3:
        raise InputError(f"{len(embedding)} points are too few for a map; give more with --points.")
    # names where there are any
    color = options.color or next(key for key in _TITLES if key in columns)
    if color not in columns:
        raise InputError(
            f"nothing is known of the {color} of these particles; "
            f"color them by {' or '.join(columns)}."
        )
    points, method = project(embedding)
    title = f"{len(points)} environments" + ("" if options.model is None else f", {options.model}")
    shown = columns[color]
    if color == "structure":
        draw_names(output, title, method, points, shown)
    else:
        draw_values(output, title, method, points, shown, _TITLES[color])
    keys, rows = ("x", "y", *columns), zip(points.tolist(), *columns.values(), strict=True)
    write_table(table, [dict(zip(keys, (*xy, *more), strict=True)) for xy, *more in rows])
    print(f"wrote {output} ({method}) and {table.name}, its {len(points)} points")


def _samples(options: argparse.Namespace) -> "Samples":
    from ..analyzer import Analyzer
    from ..sampling import join_samples, sample_cells, sample_files

    analyzer = None if options.model is None else Analyzer(options.model)
    if options.gsd or analyzer is None:
        return join_samples(sample_files(analyzer, options.gsd, options.points))
    return join_samples(sample_cells(analyzer, *chosen_cells(options), options.points))


def plot_curve(options: argparse.Namespace) -> None:
    """Draw learning curves into one picture."""
    from ..files.atomic import check_new
    from ..plotting.plots import FORMATS, draw_curves, read_curve

    output = check_new(options.output, FORMATS, "picture")
    paths = list(dict.fromkeys(options.curves))
    # file names where these differ
    short = len({path.stem for path in paths}) == len(paths)
    curves = {path.stem if short else str(path): read_curve(path) for path in paths}
    draw_curves(output, curves)
    print(f"wrote {output}")
