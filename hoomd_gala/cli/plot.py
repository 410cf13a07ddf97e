"""``hoomd-gala plot``: maps of embeddings, and learning curves."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from .arguments import DEFAULT, Commands, add_samples, chosen_cells, positive, refuse_both

if TYPE_CHECKING:
    from ..sampling import Samples

_EXAMPLES = """\
examples:
  hoomd-gala plot embedding --model denoising --cells cF4-Cu hP2-Mg cI2-W --output map.png
  hoomd-gala label run.gsd labeled.gsd --quantities label,confidence,embedding
  hoomd-gala plot embedding --gsd labeled.gsd@-1 --output map.png
  hoomd-gala plot embedding --model structures --gsd run.gsd@::10 --color time --output time.png
"""

#: What the colors of a map may show, and the title of its color bar.
_TITLES = {"structure": "", "noise": "noise / shortest distance", "time": "timestep"}


def add(commands: Commands) -> None:
    """Add the command."""
    plot = commands.add_parser(
        "plot",
        help="draw embeddings and learning curves",
        description="Draws figures as PNG files.",
    )
    figures = plot.add_subparsers(dest="figure", required=True, metavar="FIGURE")
    _add_embedding(figures)
    _add_curve(figures)


def _add_embedding(figures: Commands) -> None:
    embedding = figures.add_parser(
        "embedding",
        help="map of particles' embeddings",
        description="Draws embeddings in two dimensions, by UMAP where umap-learn is installed and "
        "by their principal components otherwise, and writes the coordinates to a CSV file beside "
        "the picture.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    embedding.set_defaults(run=plot_embedding)
    embedding.add_argument(
        "--model",
        help="a shipped model's name or a model file; not needed for GSD files that hold "
        "embeddings, such as label --quantities label,confidence,embedding writes",
    )
    embedding.add_argument("--output", required=True, type=Path, metavar="MAP.png")
    add_samples(embedding)
    embedding.add_argument(
        "--color",
        choices=list(_TITLES),
        default="structure",
        help="what colors show: the name of the unit cell or of the label, the displacement of the "
        f"unit cell's particles, or the timestep {DEFAULT}",
    )
    embedding.add_argument(
        "--points",
        type=positive,
        default=3000,
        metavar="N",
        help=f"particles to draw, about as many of each frame {DEFAULT}",
    )


def _add_curve(figures: Commands) -> None:
    curve = figures.add_parser(
        "curve",
        help="learning curves",
        description="Draws one or several learning curves, as train and finetune write them, into "
        "one picture.",
    )
    curve.set_defaults(run=plot_curve)
    curve.add_argument("curves", nargs="+", type=Path, metavar="CURVE.csv")
    curve.add_argument("--output", required=True, type=Path, metavar="CURVE.png")


def plot_embedding(options: argparse.Namespace) -> None:
    """Draw a map of embeddings, and write its coordinates beside it.

    Raises
    ------
    InputError
        If a file exists, there are fewer than three points, or what colors show is not known.
    """
    from ..files.atomic import check_new, write_table
    from ..plotting.plots import draw_names, draw_values, new_figure
    from ..plotting.projection import project

    output = check_new(options.output, ".png", "picture")
    table = check_new(output.with_suffix(".csv"), ".csv", "table")
    new_figure()  # a missing Matplotlib is better noticed now
    embedding, columns = _samples(options)
    if len(embedding) < 3:
        raise InputError(f"{len(embedding)} points are too few for a map; give more with --points.")
    if options.color not in columns:
        raise InputError(
            f"nothing is known of the {options.color} of these particles; "
            f"color them by {' or '.join(columns)}."
        )
    points, method = project(embedding)
    title = f"{len(points)} environments" + ("" if options.model is None else f", {options.model}")
    shown = columns[options.color]
    if options.color == "structure":
        draw_names(output, title, method, points, shown)
    else:
        draw_values(output, title, method, points, shown, _TITLES[options.color])
    keys, rows = ("x", "y", *columns), zip(points.tolist(), *columns.values(), strict=True)
    write_table(table, [dict(zip(keys, (*xy, *more), strict=True)) for xy, *more in rows])
    print(f"wrote {output} ({method}) and {table.name}, its {len(points)} points")


def _samples(options: argparse.Namespace) -> "Samples":
    refuse_both(options)
    if options.model is None and not options.gsd:
        raise InputError("there is nothing to draw; give --model, or labeled files with --gsd.")
    from ..analyzer import Analyzer
    from ..sampling import join_samples, sample_cells, sample_files

    analyzer = None if options.model is None else Analyzer(options.model)
    if options.gsd or analyzer is None:
        return join_samples(sample_files(analyzer, options.gsd, options.points))
    return join_samples(sample_cells(analyzer, *chosen_cells(options), options.points))


def plot_curve(options: argparse.Namespace) -> None:
    """Draw learning curves into one picture."""
    from ..files.atomic import check_new
    from ..plotting.plots import draw_curves, read_curve

    output = check_new(options.output, ".png", "picture")
    paths = list(dict.fromkeys(options.curves))
    # file names where these differ
    short = len({path.stem for path in paths}) == len(paths)
    curves = {path.stem if short else str(path): read_curve(path) for path in paths}
    draw_curves(output, curves)
    print(f"wrote {output}")
