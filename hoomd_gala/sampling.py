"""Embeddings of particles in crystals and trajectories, with what is known of them."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

import gsd.hoomd
import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from .analyzer import Analyzer
from .crystals.prototypes import crystal, displace, unit_cell
from .errors import InputError
from .files.labels import frame_labels
from .files.trajectories import open_trajectory
from .learning.datasets import parse_range
from .results import label_names
from .schema import EMBEDDING
from .selection import bodies_once, frame_centers

#: What may be known of particles.
KNOWN = ("structure", "noise", "time")


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


class Samples(NamedTuple):
    """Particles of several frames or crystals.

    Attributes
    ----------
    embedding : (M, D) float32
    columns : dict
        What is known of all of them, each a list of M values.
    """

    embedding: NDArray[np.float32]
    columns: dict[str, list[Any]]


def _pick(total: int, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    return rng.permutation(total)[:n]


def sample_cells(
    analyzer: Analyzer, cells: Sequence[str], noise: Sequence[float], points: int
) -> list[Sample]:
    """Embeddings in displaced crystals of unit cells.

    Parameters
    ----------
    analyzer : Analyzer
        Gives the embeddings.
    cells : sequence of str
        Names of unit cells.
    noise : sequence of float
        Gaussian displacements, in units of the shortest distance.
    points : int
        Particles in all, about as many of each crystal.

    Raises
    ------
    InputError
        If there is no such cell, or the model cannot embed it.
    """
    rng = np.random.default_rng(1)
    each = -(-points // (len(cells) * len(noise)))
    samples = []
    for name in tqdm(cells, desc="unit cells", unit="cell"):
        perfect = crystal(unit_cell(name), 512)
        for level in noise:
            system = displace(perfect, level, rng)
            chosen = _pick(len(system.positions), each, rng)
            try:
                embedding = analyzer.analyze_system(system, chosen).embedding
            except InputError as error:
                raise InputError(f"{name}: {error}") from None
            names = np.full(len(chosen), name)
            samples.append(Sample(embedding, {"structure": names, "noise": level}))
    return samples


def sample_files(analyzer: Analyzer | None, sources: Sequence[str], points: int) -> list[Sample]:
    """Embeddings in frames of GSD files: a model's, or those that the files hold.

    Parameters
    ----------
    analyzer : Analyzer or None
        Gives the embeddings; with None the files do.
    sources : sequence of str
        What :func:`~hoomd_gala.learning.datasets.parse_range` takes.
    points : int
        Particles in all, about as many of each frame.

    Raises
    ------
    InputError
        If a file cannot be read, a range holds no frame, or there are no embeddings of a frame.
    """
    rng = np.random.default_rng(1)
    ranges = [parse_range(text) for text in sources]
    frames, samples = [], []
    with ExitStack() as opened:
        for source in ranges:
            trajectory = opened.enter_context(open_trajectory(source.path))
            chosen = range(len(trajectory))[source.frames]
            if not chosen:
                raise InputError(f"{source.path} has no frame in the requested range.")
            frames += [(source.path, trajectory, i) for i in chosen]
        each = -(-points // len(frames))
        for path, trajectory, i in tqdm(frames, desc="frames", unit="frame"):
            where = f"frame {i} of {path}"
            samples.append(_sample_frame(analyzer, trajectory[i], where, each, rng))
    if not any(len(sample.embedding) for sample in samples):
        raise InputError("no particle in these frames has an embedding.")
    return samples


def _sample_frame(
    analyzer: Analyzer | None,
    frame: gsd.hoomd.Frame,
    where: str,
    n: int,
    rng: np.random.Generator,
) -> Sample:
    labels = frame_labels(frame)
    about: dict[str, Any] = {"time": int(frame.configuration.step)}
    if analyzer is not None:
        try:
            result = analyzer.analyze(frame)
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
        embedding = result.embedding
        if analyzer.class_names:
            labels = result.label, list(analyzer.class_names)
    else:
        embedding = frame.log.get(EMBEDDING)
        if embedding is None:
            raise InputError(
                f"{where} holds no embeddings; give a model with --model, or label with "
                "--quantities label,confidence,embedding."
            )
    embedding = np.asarray(embedding, np.float32)
    # a constituent of a rigid body has what its body has, and of a file zeros what was not labeled
    bodies = bodies_once(frame_centers(frame))
    shown = np.arange(len(embedding)) if bodies is None else bodies
    shown = shown[embedding[shown].any(axis=1)]
    chosen = shown[_pick(len(shown), n, rng)]
    if labels is not None and labels[1]:
        about["structure"] = label_names(labels[0][chosen], labels[1])
    return Sample(embedding[chosen], about)


def join_samples(samples: Sequence[Sample]) -> Samples:
    """Put samples together.

    Raises
    ------
    InputError
        If their embeddings are of different models.
    """
    if len({sample.embedding.shape[1] for sample in samples}) > 1:
        raise InputError("the files were labeled by different models; give one with --model.")
    known = [key for key in KNOWN if all(key in sample.about for sample in samples)]
    columns = {}
    for key in known:
        parts = [np.broadcast_to(s.about[key], len(s.embedding)) for s in samples]
        columns[key] = np.concatenate(parts).tolist()
    return Samples(np.concatenate([sample.embedding for sample in samples]), columns)
