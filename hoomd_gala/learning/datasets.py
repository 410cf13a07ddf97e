"""Data sets of particle environments, from unit cells and from trajectories.

Every environment is labeled by the frame it came from: a unit cell at a noise level, or a frame of
a trajectory.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm.auto import tqdm

from ..crystals.prototypes import crystal, displace, droplet, strain, unit_cell
from ..errors import InputError
from ..files.sources import FrameRange as FrameRange
from ..files.sources import parse_range as parse_range
from ..files.trajectories import open_trajectory
from ..neighbors.environments import PeriodicTree, scale_bonds
from ..networks import CoreConfig, encode_types
from ..selection import as_labeled
from ..systems import System

#: Rows of a data set: one tensor per quantity, all of the same length.
Data = dict[str, Tensor]


class Frames(NamedTuple):
    """Environments and the frames they were taken from.

    Attributes
    ----------
    bonds : (M, n, 3) float64
        Bond vectors.
    types : (M,) int64
        Type of the particle in the middle.
    neighbor_types : (M, n) int64
        Types of its neighbors.
    labels : (M,) int64
        Frame of each environment.
    """

    bonds: NDArray[np.float64]
    types: NDArray[np.int64]
    neighbor_types: NDArray[np.int64]
    labels: NDArray[np.int64]

    @property
    def max_types(self) -> int:
        """Number of types that a network must distinguish."""
        return int(max(self.types.max(), self.neighbor_types.max())) + 1


def join(parts: Sequence[Frames]) -> Frames:
    """Put several sets of environments together."""
    return Frames(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def take(
    system: System,
    label: int,
    n: int,
    rng: np.random.Generator,
    among: NDArray[np.int64] | None = None,
) -> Frames:
    """At most ``n`` random environments of a system, all with the same label.

    Parameters
    ----------
    system : System
        The particles.
    label : int
        Label of all of these environments.
    n : int
        Most environments to take.
    rng : numpy.random.Generator
        Of the choice.
    among : (k,) int, optional
        Indices of the particles to choose from; all if not given.

    Raises
    ------
    InputError
        If the system has no environments.
    """
    candidates = np.arange(len(system.positions)) if among is None else np.asarray(among)
    chosen = rng.permutation(candidates)[:n]
    environments = PeriodicTree.build(system.positions, system.box).nearest(chosen)
    return Frames(
        environments.bonds,
        system.types[chosen],
        system.types[environments.neighbors],
        np.full(len(chosen), label),
    )


#: Share of a particle's neighbors that a surface must leave for it to count as crystalline, and
#: the share below which it counts as disordered; what lies between is not shown to the network.
INTACT, BROKEN = 0.9, 0.7

#: Strains of a crystal at each noise level.
N_STRAINS = 8


def crystal_frames(
    names: Sequence[str],
    noise_levels: Sequence[float],
    n: int,
    disordered: int | None,
    rng: np.random.Generator,
    n_particles: int = 4096,
    strain_size: float = 0.01,
) -> Frames:
    """Environments of displaced, strained crystals with and without a surface.

    Parameters
    ----------
    names : sequence of str
        Unit cells; the index of the name is the label.
    noise_levels : sequence of float
        Gaussian displacements, in units of the shortest distance.
    n : int
        Environments of each crystal at each noise level, a quarter of them from a droplet.
    disordered : int, optional
        Label of particles at a droplet's surface that have lost their crystalline environment;
        they are omitted if not given.
    n_particles : int
        Cells are repeated until there are at least this many particles.
    strain_size : float
        Standard deviation of the strains, of which each crystal has several at each noise level.
    """
    parts = []
    for label, name in enumerate(names):
        perfect = crystal(unit_cell(name), n_particles)
        for noise, share in itertools.product(noise_levels, _shares(n, N_STRAINS)):
            bulk = displace(strain(perfect, strain_size, rng), noise, rng)
            parts.append(take(bulk, label, share - share // 4, rng))
            ball, intact = droplet(strain(perfect, strain_size, rng), rng.uniform(0.6, 0.9))
            ball = displace(ball, noise, rng)
            parts.append(take(ball, label, share // 4, rng, np.flatnonzero(intact >= INTACT)))
            if disordered is not None:
                surface = np.flatnonzero(intact <= BROKEN)
                parts.append(take(ball, disordered, share // 16, rng, surface))
    return join(parts)


def _shares(n: int, parts: int) -> list[int]:
    """Numbers, as equal as possible, whose sum is n."""
    return [len(part) for part in np.array_split(np.arange(n), parts)]


def cell_frames(
    names: Sequence[str],
    noise_levels: Sequence[float],
    n: int,
    rng: np.random.Generator,
    n_particles: int = 4096,
) -> tuple[Frames, tuple[str, ...]]:
    """Environments of unit cells at several noise levels; each such pair is a frame.

    Parameters
    ----------
    names : sequence of str
        Unit cells.
    noise_levels : sequence of float
        Gaussian displacements, in units of the shortest distance, which is 1.
    n : int
        Environments of each frame.
    n_particles : int
        Cells are repeated until there are at least this many particles.

    Returns
    -------
    Frames, tuple of str
        Environments, and the names of the frames: ``"cI2-W noise 0.05"``.
    """
    cells = [unit_cell(name) for name in names]
    parts: list[Frames] = []
    frame_names: list[str] = []
    for cell in tqdm(cells, desc="unit cells", unit="cell"):
        perfect = crystal(cell, n_particles)
        for noise in noise_levels:
            parts.append(take(displace(perfect, noise, rng), len(frame_names), n, rng))
            frame_names.append(f"{cell.name} noise {noise:g}")
    return join(parts), tuple(frame_names)


def trajectory_frames(
    sources: Sequence[FrameRange], n: int, rng: np.random.Generator, rescale: bool = False
) -> tuple[Frames, tuple[str, ...]]:
    """Environments of frames of GSD trajectories.

    Parameters
    ----------
    sources : sequence of FrameRange
        Files and the frames to take of them.
    n : int
        Environments of each frame.
    rescale : bool
        Take bonds in units of each frame's
        :func:`~hoomd_gala.neighbors.shortest_distance`.

    Returns
    -------
    Frames, tuple of str
        Environments, and the names of the frames: ``"run.gsd:20000"``, file and timestep, or
        ``"run.gsd@17"``, file and index, of frames whose timestep an earlier one has, as after a
        restart at 0.

    Raises
    ------
    InputError
        If a file cannot be read, a range holds no frame, a frame has no environments, or one is
        given twice.
    """
    parts: list[Frames] = []
    names: list[str] = []
    taken: set[str] = set()
    short = {source.path.name for source in sources}
    unique = len(short) == len({source.path for source in sources})
    for source in sources:
        with open_trajectory(source.path) as trajectory:
            chosen = range(len(trajectory))[source.frames]
            if not chosen:
                raise InputError(
                    f"{source.path} has {len(trajectory)} frames and none of them is in the "
                    "requested range."
                )
            for i in tqdm(chosen, desc=source.path.name, unit="frame"):
                frame = trajectory[i]
                try:
                    system = as_labeled(frame)
                    found = take(system, len(names), n, rng)
                    if rescale:
                        tree = PeriodicTree.build(system.positions, system.box)
                        found = found._replace(bonds=found.bonds / tree.shortest_distance())
                    parts.append(found)
                except InputError as error:
                    raise InputError(f"frame {i} of {source.path}: {error}") from None
                file = source.path.name if unique else source.path
                by_index, by_step = f"{file}@{i}", f"{file}:{frame.configuration.step}"
                if by_index in taken:
                    raise InputError(f"frame {by_index} is given twice; give each one once.")
                names.append(by_index if by_step in taken else by_step)
                taken |= {by_index, by_step}
    return join(parts), tuple(names)


def to_tensors(frames: Frames, core: CoreConfig, length_scale: float | None) -> Data:
    """Convert environments to what a network with such a core sees of them, with their labels.

    Returns
    -------
    dict of Tensor
        ``bonds`` (M, n, 3) scaled, ``types`` (M, n, 2·max_types) int8 and ``labels`` (M,).
    """
    bonds = scale_bonds(frames.bonds, length_scale)
    types, neighbor_types = map(torch.as_tensor, (frames.types, frames.neighbor_types))
    seen = core.seen(types, neighbor_types)
    return {
        "bonds": torch.as_tensor(bonds, dtype=torch.float32),
        # a quarter of the memory that floats take; the core converts what it gets
        "types": encode_types(*seen, core.max_types).to(torch.int8),
        "labels": torch.as_tensor(frames.labels),
    }
