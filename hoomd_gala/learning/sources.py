"""What a network is trained on: unit cells or trajectories, and the lengths that go with them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from ..errors import InputError
from ..files.models import ModelInfo
from ..neighbors.environments import mean_bond_length
from ..networks import CoreConfig
from .datasets import Frames, cell_frames, parse_range, trajectory_frames


class Source(NamedTuple):
    """Data to learn from.

    Attributes
    ----------
    frames : Frames
        Environments, labeled by the frame they were taken from.
    names : tuple of str
        Names of the frames.
    length_convention : str
        What the length scale is; see :class:`~hoomd_gala.files.models.ModelInfo`.
    length_scale : float or None
        What bonds are divided by.
    about : dict
        What the model's card says of the data.
    """

    frames: Frames
    names: tuple[str, ...]
    length_convention: str
    length_scale: float | None
    about: dict[str, Any]


def cell_source(
    cells: Sequence[str],
    noise: Sequence[float],
    n: int,
    seed: int,
    start: ModelInfo | None = None,
) -> Source:
    """Environments of displaced crystals, with bonds in units of the shortest distance.

    Parameters
    ----------
    cells : sequence of str
        Names of unit cells.
    noise : sequence of float
        Gaussian displacements, in units of the shortest distance.
    n : int
        Environments of each cell at each noise level.
    seed : int
        Of the choice of environments and of the displacements.
    start : ModelInfo, optional
        The model that the training starts from.
    """
    frames, names = cell_frames(cells, noise, n, np.random.default_rng(seed))
    about = {
        "unit cells": list(cells),
        "noise levels / shortest distance": list(noise),
        "frames": len(names),
        "licence": "AFLOW prototypes as packaged in pyriodic-aflow, which is under the GPL-3",
    }
    if start is None:
        return Source(frames, names, "shortest", 1.0, about)
    return Source(frames, names, *_lengths(frames, start, "shortest"), about)


def trajectory_source(
    files: Sequence[str], n: int, seed: int, start: ModelInfo | None = None
) -> Source:
    """Environments of frames of GSD files.

    Bonds are in units of each frame's shortest distance if the model that the training starts from
    has learned from such.

    Parameters
    ----------
    files : sequence of str
        What :func:`~hoomd_gala.learning.datasets.parse_range` takes.
    n : int
        Environments of each frame.
    seed : int
        Of the choice of environments.
    start : ModelInfo, optional
        The model that the training starts from.
    """
    rescale = start is not None and start.length_convention == "shortest"
    ranges = [parse_range(text) for text in files]
    frames, names = trajectory_frames(ranges, n, np.random.default_rng(seed), rescale)
    about = {"trajectories": list(files), "frames": len(names)}
    return Source(frames, names, *_lengths(frames, start, "absolute"), about)


def _lengths(frames: Frames, start: ModelInfo | None, convention: str) -> tuple[str, float | None]:
    """Length convention and scale; a core that has learned keeps those that it has learned with."""
    if start is not None and start.length_convention != "absolute":
        return start.length_convention, start.length_scale
    return convention, mean_bond_length(frames.bonds)


def inherited_core(name: str, core: CoreConfig, max_types: int | None, frozen: bool) -> CoreConfig:
    """Size of a network that starts from another, for data with some number of types.

    Parameters
    ----------
    name : str
        Of the model that it starts from, for messages.
    core : CoreConfig
        Size of that model.
    max_types : int or None
        Types of particles in the data, of which a core that sees their relations takes any number;
        None to ignore types.
    frozen : bool
        Whether the core will not learn.

    Raises
    ------
    InputError
        If a frozen core would have to distinguish more types than it has learned to.
    """
    if max_types is None:
        return replace(core, max_types=1, relations=False)
    if core.relations:
        return core
    if frozen and max_types > core.max_types:
        raise InputError(
            f"{name} knows {core.max_types} type(s) of particles and the data have {max_types}; "
            "let the core learn (without --freeze-core), or ignore types (--blind)."
        )
    return replace(core, max_types=max_types)
