"""GSD trajectories: reading frames, and appending labeled ones.

The labels in a frame are in :mod:`hoomd_gala.files.labels`, repair of damaged files in
:mod:`hoomd_gala.files.recovery`.
"""

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import gsd.hoomd
import numpy as np

from ..errors import InputError
from ..names import class_of_title
from ..schema import CHUNKS, CLUSTER_CHUNKS, OWN_TYPES
from ..systems import System, as_system, lattice_vectors
from .labels import (
    check_quantities,
    encode_types,
    frame_labels,
    restore_types,
    structures_as_types,
    types_so_far,
)
from .layout import DamagedError, warn_of_unlisted
from .reader import ChunkFile, Trajectory
from .recovery import complete_frames


@contextmanager
def open_trajectory(path: str | os.PathLike[str]) -> Iterator[Trajectory]:
    """Open a GSD file for reading.

    Yields
    ------
    Trajectory
        Its frames, as those of ``gsd.hoomd.HOOMDTrajectory``. Reading one raises an `InputError`
        that names file, frame and chunk if what it holds does not fit together.

    Raises
    ------
    InputError
        If there is no such file, it is not a GSD file or one of another schema than HOOMD's, or it
        is damaged; in the last case the message says up to which frame it can be recovered.
    """
    with _opened(Path(path)) as trajectory:
        warn_of_unlisted(Path(path), trajectory.file.layout)
        yield trajectory


@contextmanager
def _opened(path: Path) -> Iterator[Trajectory]:
    if not path.is_file():
        raise InputError(f"there is no file {path}.")
    try:
        file = ChunkFile(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).") from None
    except DamagedError as error:
        frames = complete_frames(path)
        last = (
            f"its last good frame is {frames[-1]}" if frames else "none of its frames is complete"
        )
        raise InputError(
            f"{path} is damaged, probably cut short ({error}); {last}. Save the good frames with "
            "hoomd_gala.files.recover(path, new_path)."
        ) from None
    with Trajectory(file) as trajectory:
        yield trajectory


def last_system(path: str | os.PathLike[str]) -> System:
    """Read the particles of a GSD file's last frame; raises as :func:`open_trajectory` does."""
    with open_trajectory(path) as frames:
        if not len(frames):
            raise InputError(f"{path} has no frames.")
        return as_system(frames[-1])


def read_frame(path: str | os.PathLike[str], index: int = -1) -> gsd.hoomd.Frame:
    """Read a frame of a GSD file with the simulation's own particle types, to continue from.

    Where the types in the file stand for structures, the simulation's own are restored:
    ``hoomd.Snapshot.from_gsd_frame(read_frame("labeled.gsd"), simulation.device.communicator)`` is
    a state to create. Files that a classifier or HOOMD-blue has written have all of a simulation's
    state, those of OpenMM's reporter positions, types and the box; set ``simulation.timestep`` to
    that of the frame before.

    Raises
    ------
    InputError
        As :func:`open_trajectory` does, and if there is no such frame.
    """
    with open_trajectory(path) as trajectory:
        if not -len(trajectory) <= index < len(trajectory):
            raise InputError(f"{path} has {len(trajectory)} frames and no frame {index}.")
        return restore_types(trajectory[index])


#: How many times farther than its particles are from each other a sample is from the origin that
#: loses its digits in the single precision of files.
_FAR = 100


def _near_origin(system: System) -> System:
    """Move a sample that is far away along open directions to the center of its box."""
    open_directions = ~np.array(system.periodic)
    if not open_directions.any() or not len(system.positions):
        return system
    lattice = lattice_vectors(system.box)
    # the middle of most particles: a few may have flown away
    middle = np.median(system.positions @ np.linalg.inv(lattice), axis=0)
    shift = np.where(open_directions, middle, 0) @ lattice
    apart = np.linalg.norm(system.positions - middle @ lattice, axis=1)
    if np.linalg.norm(shift) <= _FAR * np.median(apart):
        return system
    return system._replace(positions=system.positions - shift)


def make_frame(system: System, step: int, type_names: Sequence[str] = ("A",)) -> gsd.hoomd.Frame:
    """Make a GSD frame of a system, with positions wrapped into the box.

    In open directions, of which a GSD file knows nothing, positions stay what they are and the box
    is so long that it holds them and no image is a neighbor. A sample so far from the origin that
    single precision would blur it is moved to the center.
    """
    # loads scipy, which reading and the help of commands do without
    from ..neighbors.boundaries import holding_box

    system = _near_origin(system)
    box = holding_box(system)
    lattice = lattice_vectors(box)
    fractional = system.positions @ np.linalg.inv(lattice)
    frame = gsd.hoomd.Frame()
    frame.configuration.step = int(step)
    frame.configuration.box = box
    frame.particles.N = len(system.positions)
    frame.particles.position = (fractional - np.round(fractional)) @ lattice
    frame.particles.typeid = system.types
    frame.particles.types = list(type_names)
    return frame


class State(NamedTuple):
    """What a file holds that a frame is appended to.

    Attributes
    ----------
    step : int
        Timestep of its last frame.
    structures : list of str or None
        Particle types that stand for structures, if they do.
    quantities, clusters : set of str
        Names of what its first frame has of each particle, and of clusters.
    """

    step: int
    structures: list[str] | None
    quantities: set[str]
    clusters: set[str]


def read_state(path: str | os.PathLike[str]) -> State | None:
    """Read what has to be known to append to a file, or None where there are no frames.

    Its first frame is read, as gsd does to append, and of the last one only the timestep and types.
    """
    if not Path(path).is_file():
        return None
    # what a stopped run left at the end is no loss to one that appends
    with _opened(Path(path)) as trajectory:
        if not len(trajectory):
            return None
        first, last = trajectory[0], len(trajectory) - 1
        types = trajectory.texts(last, "particles/types") or []

        return State(
            trajectory.step(last),
            [class_of_title(text) for text in types] if OWN_TYPES in first.log else None,
            *_of_first(first.log),
        )


def _of_first(log: Collection[str]) -> tuple[set[str], set[str]]:
    """Names of what a first frame has logged of each particle, and of clusters."""
    quantities, clusters = (
        {name for name, chunk in chunks.items() if chunk in log}
        for chunks in (CHUNKS, CLUSTER_CHUNKS)
    )
    return quantities, clusters


def check_appendable(path: str | os.PathLike[str], step: int, has_clusters: bool) -> State | None:
    """Refuse a file that frames of a simulation cannot be appended to.

    Parameters
    ----------
    path : str or path
        Of the file, which need not exist.
    step : int
        Timestep of the simulation.
    has_clusters : bool
        Whether its frames will have clusters.

    Returns
    -------
    State or None
        As :func:`read_state` does.

    Raises
    ------
    InputError
        If it already holds later timesteps, or clusters that the frames to come have not, or if it
        cannot be read.
    """
    held = read_state(path)
    if held is not None:
        _refuse_later(path, held, step)
        if held.clusters and not has_clusters:
            raise _no_clusters(path)
    return held


def _no_clusters(path: str | os.PathLike[str]) -> InputError:
    return InputError(
        f"frames in {path} have clusters, which this one has not; find clusters as well, or choose "
        "another file."
    )


def _refuse_later(path: str | os.PathLike[str], held: State, step: int) -> None:
    if held.step > step:
        raise InputError(
            f"{path} already holds frames up to timestep {held.step} and the run is at {step}; "
            "remove it, choose another file, or cut it back with hoomd_gala.files.trim."
        )


def _has_frames(path: str | os.PathLike[str]) -> bool:
    try:
        return read_state(path) is not None
    except InputError:
        return False


def append_frame(
    path: str | os.PathLike[str],
    frame: gsd.hoomd.Frame,
    keep_types: bool = True,
    quantities: Sequence[str] | None = None,
) -> None:
    """Append a frame to a GSD file, made if need be.

    A frame of the file's last timestep is not written again.

    Parameters
    ----------
    path : str or path
        Of the file.
    frame : gsd.hoomd.Frame
        What to append.
    keep_types : bool
        Whether the particle types of a labeled frame stay what they are. If not, they stand for
        structures, which is what OVITO shows by name and color, and the frame's own types become
        logged quantities.
    quantities : sequence of str, optional
        Which of those that a labeled frame has of each particle to write, of ``"label"``,
        ``"confidence"`` and ``"embedding"``; all if not given.

    Notes
    -----
    Frames are appended as the first one was written, whatever is asked for, or the file could not
    be read.

    Raises
    ------
    InputError
        If the file already holds later timesteps, its frames have quantities of each particle that
        the frame has not, or it cannot be written.
    """
    append_to(path, frame, read_state(path), keep_types, quantities)


def append_to(
    path: str | os.PathLike[str],
    frame: gsd.hoomd.Frame,
    held: State | None,
    keep_types: bool,
    quantities: Sequence[str] | None,
) -> State:
    """Append a frame, as :func:`append_frame` does, to a file of which it is known what it holds.

    Returns
    -------
    State
        What it holds then.
    """
    step = frame.configuration.step
    named = frame_labels(frame)
    structures: list[str] | None = [] if named and named[1] and not keep_types else None
    wanted: Collection[str] = CHUNKS
    if quantities is not None and named:
        wanted = check_quantities(quantities, bool(named[1]))
    if held is not None:
        if held.step == step:
            return held
        _refuse_later(path, held, step)
        structures, wanted = held.structures, held.quantities or wanted
        missing = [name for name in wanted if named and CHUNKS[name] not in frame.log]
        if missing:
            raise InputError(
                f"frames in {path} have the {missing[0]} of each particle, which this one has not; "
                "write it as well, or choose another file."
            )
        for name, chunk in CLUSTER_CHUNKS.items():
            if name not in held.clusters:
                frame.log.pop(chunk, None)
            elif named and chunk not in frame.log:
                raise _no_clusters(path)
    for name in set(CHUNKS) - set(wanted):
        frame.log.pop(CHUNKS[name], None)
    if structures is not None:
        structures = types_so_far(structures, frame)
        frame = structures_as_types(frame, structures)
    elif not frame.particles.types:
        frame.particles.types = ["A"]
    encode_types(frame)
    is_new = not Path(path).exists()
    try:
        with gsd.hoomd.open(path, "x" if is_new else "a") as trajectory:
            trajectory.append(frame)
    except FileExistsError:
        raise InputError(f"{path} has just been made by somebody else.") from None
    except BaseException as error:
        if is_new and not _has_frames(path):  # half a frame, which nobody could append to
            Path(path).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise InputError(f"{path} cannot be written ({error.strerror or error}).") from None
        raise
    if held is not None:
        return held._replace(step=int(step), structures=structures)
    return State(int(step), structures, *_of_first(frame.log))
