"""``hoomd-gala plot``: maps of embeddings, and learning curves."""

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from ..analyzer import Analyzer
from ..crystals.prototypes import crystal, displace, unit_cell, unit_cells
from ..errors import InputError
from ..files.atomic import check_new, write_table
from ..files.trajectories import frame_labels, open_trajectory
from ..learning.datasets import parse_range
from ..plotting.plots import draw_curves, draw_names, draw_values, new_figure
from ..plotting.projection import project
from ..results import UNKNOWN
from ..schema import NAMESPACE
from ..systems import as_system
from .train import NOISE_LEVELS

#: What a map's colors may show, and the title of its color bar.
_TITLES = {"structure": "", "noise": "noise / shortest distance", "time": "timestep"}


class Sample(NamedTuple):
    """Some particles of one frame or crystal.

    Attributes
    ----------
    embedding : (m, D) float32
    about : dict
        What is known of each: ``structure``, (m,) names, ``noise`` or ``time``, one number.
    """

    embedding: NDArray[np.float32]
    about: dict[str, Any]


def _pick(total: int, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    return rng.permutation(total)[:n]


def _names(label: NDArray[np.int32], names: Sequence[str]) -> NDArray[np.str_]:
    return np.array([*names, "unknown"])[np.where(label == UNKNOWN, len(names), label)]


def sample_cells(
    analyzer: Analyzer, cells: Sequence[str], noise: Sequence[float], points: int
) -> list[Sample]:
    """Embeddings in displaced crystals of unit cells."""
    rng = np.random.default_rng(1)
    each = -(-points // (len(cells) * len(noise)))
    samples = []
    for name in tqdm(cells, desc="unit cells", unit="cell"):
        perfect = crystal(unit_cell(name), 512)
        for level in noise:
            system = displace(perfect, level, rng)
            chosen = _pick(len(system.positions), each, rng)
            try:
                embedding, _ = analyzer.embed_particles(system, chosen)
            except InputError as error:
                raise InputError(f"{name}: {error}") from None
            names = np.full(len(chosen), name)
            samples.append(Sample(embedding, {"structure": names, "noise": level}))
    return samples


def sample_files(analyzer: Analyzer | None, sources: Sequence[str], points: int) -> list[Sample]:
    """Embeddings in frames of GSD files: a model's, or those that the files hold."""
    rng = np.random.default_rng(1)
    ranges = [parse_range(text) for text in sources]
    frames = []
    for source in ranges:
        with open_trajectory(source.path) as trajectory:
            chosen = range(len(trajectory))[source.frames]
            if not chosen:
                raise InputError(f"{source.path} has no frame in the range that was asked for.")
            frames += [(source.path, i) for i in chosen]
    each = -(-points // len(frames))
    samples = []
    for path, i in tqdm(frames, desc="frames", unit="frame"):
        with open_trajectory(path) as trajectory:
            frame = trajectory[i]
        samples.append(_sample_frame(analyzer, frame, f"frame {i} of {path}", each, rng))
    return samples


def _sample_frame(
    analyzer: Analyzer | None, frame: Any, where: str, n: int, rng: np.random.Generator
) -> Sample:
    labels = frame_labels(frame)
    about: dict[str, Any] = {"time": int(frame.configuration.step)}
    if analyzer is not None:
        try:
            result = analyzer.analyze_system(as_system(frame))
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
        embedding = result.embedding
        if analyzer.class_names:
            labels = result.label, list(analyzer.class_names)
    else:
        embedding = frame.log.get(f"particles/{NAMESPACE}/embedding")
        if embedding is None:
            raise InputError(f"{where} holds no embeddings; give a model with --model.")
    chosen = _pick(len(embedding), n, rng)
    if labels is not None and labels[1]:
        about["structure"] = _names(labels[0][chosen], labels[1])
    return Sample(np.asarray(embedding, np.float32)[chosen], about)


def _samples(options: argparse.Namespace) -> list[Sample]:
    if options.gsd and (options.cells or options.noise):
        raise InputError("--cells and --noise are for unit cells; leave them or --gsd out.")
    if options.gsd:
        analyzer = None if options.model is None else Analyzer(options.model)
        return sample_files(analyzer, options.gsd, options.points)
    if options.model is None:
        raise InputError("there is nothing to draw; give --model, or labelled files with --gsd.")
    cells = list(dict.fromkeys(options.cells or unit_cells()))
    noise = list(dict.fromkeys(options.noise or NOISE_LEVELS))
    return sample_cells(Analyzer(options.model), cells, noise, options.points)


def _column(samples: Sequence[Sample], key: str) -> list[Any]:
    parts = [np.broadcast_to(s.about[key], len(s.embedding)) for s in samples]
    return np.concatenate(parts).tolist()


def plot_embedding(options: argparse.Namespace) -> None:
    """Draw a map of embeddings, and write its coordinates beside it.

    Parameters
    ----------
    options : Namespace
        Of ``hoomd-gala plot embedding``, as :mod:`hoomd_gala.cli` parses them.
    """
    output = check_new(options.output, ".png", "picture")
    table = check_new(output.with_suffix(".csv"), ".csv", "table")
    new_figure()  # better to hear now that there is no Matplotlib
    samples = _samples(options)
    if len({sample.embedding.shape[1] for sample in samples}) > 1:
        raise InputError("the files were labelled by different models; give one with --model.")
    embedding = np.concatenate([sample.embedding for sample in samples])
    if len(embedding) < 3:
        raise InputError(f"{len(embedding)} points make no map; take more with --points.")
    known = [key for key in _TITLES if all(key in sample.about for sample in samples)]
    if options.color not in known:
        raise InputError(
            f"nothing is known of the {options.color} of these particles; "
            f"color them by {' or '.join(known)}."
        )
    columns = {key: _column(samples, key) for key in known}
    points, method = project(embedding)
    shown = columns[options.color]
    title = f"{len(points)} environments" + ("" if options.model is None else f", {options.model}")
    if options.color == "structure":
        draw_names(output, title, method, points, shown)
    else:
        draw_values(output, title, method, points, shown, _TITLES[options.color])
    rows = zip(points.tolist(), *columns.values(), strict=True)
    write_table(
        table, [dict(zip(("x", "y", *known), (*xy, *more), strict=True)) for xy, *more in rows]
    )
    print(f"wrote {output} ({method}) and {table.name}, its {len(points)} points")


def read_curve(path: Path) -> list[dict[str, float]]:
    """Read a learning curve as ``train`` writes it."""
    if not path.is_file():
        raise InputError(f"there is no file {path}.")
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = [
                {key: float(value) for key, value in row.items()} for row in csv.DictReader(file)
            ]
    except (ValueError, TypeError, AttributeError, csv.Error):
        rows = []
    if not rows or not {"epoch", "training_loss", "validation_loss"} <= set(rows[0]):
        raise InputError(f"{path} is no learning curve that hoomd-gala has written.")
    return rows


def plot_curve(options: argparse.Namespace) -> None:
    """Draw learning curves into one picture.

    Parameters
    ----------
    options : Namespace
        Of ``hoomd-gala plot curve``, as :mod:`hoomd_gala.cli` parses them.
    """
    output = check_new(options.output, ".png", "picture")
    paths = list(dict.fromkeys(options.curves))
    # file names where these tell them apart
    short = len({path.stem for path in paths}) == len(paths)
    curves = {path.stem if short else str(path): read_curve(path) for path in paths}
    draw_curves(output, curves)
    print(f"wrote {output}")
