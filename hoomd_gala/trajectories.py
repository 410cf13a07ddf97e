"""GSD trajectories: reading frames, recovering damaged files, appending labelled frames.

What labels look like in a frame is in :mod:`hoomd_gala.labeled_frames`, whose functions are here
as well.
"""

import os
import shutil
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import gsd.fl
import gsd.hoomd
import numpy as np
from numpy.typing import NDArray

from .errors import InputError
from .files import replacing
from .labeled_frames import (
    NAMESPACE,
    add_labels,
    decode_strings,
    encode_strings,
    fill,
    frame_labels,
    restore_types,
    structures_as_types,
    structures_shown,
    types_so_far,
)
from .systems import System, as_system, lattice_vectors

__all__ = [
    "NAMESPACE",
    "add_labels",
    "append_frame",
    "count_recoverable_frames",
    "decode_strings",
    "encode_strings",
    "fill",
    "frame_labels",
    "last_system",
    "make_frame",
    "open_trajectory",
    "read_frame",
    "recover",
    "restore_types",
    "trim",
]


@contextmanager
def open_trajectory(path: str | os.PathLike[str]) -> Iterator[gsd.hoomd.HOOMDTrajectory]:
    """Open a GSD file for reading.

    Raises
    ------
    InputError
        If there is no such file, it is not a GSD file, or it is damaged; in the last case the
        message says up to which frame it can be recovered.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"there is no file {path}.")
    try:
        trajectory = gsd.hoomd.open(path, "r")
    except RuntimeError as error:
        frames = count_recoverable_frames(path)
        if frames is None:
            raise InputError(f"{path} is not a GSD file ({error}).") from None
        last = f"its last good frame is {frames - 1}" if frames else "no frame of it is whole"
        raise InputError(
            f"{path} is damaged, probably cut short; {last}. Save the good frames with "
            "hoomd_gala.trajectories.recover(path, new_path)."
        ) from None
    with trajectory:
        yield trajectory


def last_system(path: str | os.PathLike[str]) -> System:
    """The particles of a GSD file's last frame; raises what :func:`open_trajectory` does."""
    with open_trajectory(path) as frames:
        return as_system(frames[-1])


def read_frame(path: str | os.PathLike[str], index: int = -1) -> gsd.hoomd.Frame:
    """A frame of a GSD file with the simulation's own particle types, to go on from.

    Where the types in the file stand for structures, they are put back to what they were:
    ``hoomd.Snapshot.from_gsd_frame(read_frame("labeled.gsd"), simulation.device.communicator)`` is
    a state to create.

    Raises
    ------
    InputError
        As :func:`open_trajectory` does, and if there is no such frame.
    """
    with open_trajectory(path) as trajectory:
        if not -len(trajectory) <= index < len(trajectory):
            raise InputError(f"{path} has {len(trajectory)} frames and no frame {index}.")
        return restore_types(trajectory[index])


# A GSD file starts with a header of 256 bytes; the index lists every chunk of data by frame, and is
# copied to the end of the file, doubled, when it is full. The older copies stay where they were and
# can be found by their first entry. See https://gsd.readthedocs.io, "File layer".
_HEADER_SIZE = 256
_HEADER = struct.Struct("<QQQQQ")
_INDEX_ENTRY = np.dtype(
    {
        "names": ["frame", "N", "location", "M", "id", "type", "flags"],
        "formats": ["<u8", "<u8", "<i8", "<u4", "<u2", "u1", "u1"],
    }
)
#: Bytes of each type of data, by the format's numbers for them.
_TYPE_SIZES = np.array([0, 1, 2, 4, 8, 1, 2, 4, 8, 4, 8, 1, 0])
_MAGIC = 0x65DF65DF65DF65DF


def _best_index(path: Path) -> tuple[int, NDArray[np.void]] | None:
    """Offset and valid entries of the index copy that reaches furthest."""
    raw = path.read_bytes()
    if len(raw) < _HEADER_SIZE + _INDEX_ENTRY.itemsize:
        return None
    magic, *_ = _HEADER.unpack_from(raw, 0)
    if magic != _MAGIC:
        return None
    first = raw[_HEADER_SIZE : _HEADER_SIZE + _INDEX_ENTRY.itemsize]
    best: tuple[int, NDArray[np.void]] | None = None
    offset = raw.find(first, _HEADER_SIZE)
    while offset >= 0:
        count = (len(raw) - offset) // _INDEX_ENTRY.itemsize
        entries = np.frombuffer(raw, _INDEX_ENTRY, count, offset)
        sizes = _TYPE_SIZES[np.minimum(entries["type"], len(_TYPE_SIZES) - 1)]
        # as floats: what follows the index are arbitrary bytes, and their product may overflow
        end = entries["location"] + entries["N"].astype(float) * entries["M"] * sizes
        good = (entries["location"] > 0) & (end <= len(raw)) & (sizes > 0)
        good &= entries["frame"] >= np.maximum.accumulate(entries["frame"])
        valid = count if good.all() else int(good.argmin())
        if best is None or valid > len(best[1]):
            best = offset, entries[:valid].copy()
        offset = raw.find(first, offset + _INDEX_ENTRY.itemsize)
    return best


def count_recoverable_frames(path: str | os.PathLike[str]) -> int | None:
    """Frames of a damaged GSD file that are whole, or None if it is not a GSD file."""
    found = _best_index(Path(path))
    if found is None:
        return None
    _, entries = found
    # the last frame in the index may have lost chunks: only what a later frame follows is whole
    return int(entries["frame"][-1]) if len(entries) else 0


def recover(damaged: str | os.PathLike[str], recovered: str | os.PathLike[str]) -> int:
    """Write the whole frames of a damaged GSD file to a new one and return how many there are.

    Raises
    ------
    InputError
        If ``damaged`` is not a GSD file or holds no whole frame.
    """
    source, target = Path(damaged), Path(recovered)
    found = _best_index(source)
    frames = count_recoverable_frames(source)
    if found is None or not frames:
        raise InputError(f"{source} holds no whole frame of a GSD file.")
    _, entries = found
    entries = entries[entries["frame"] < frames]
    with replacing(target) as part:
        shutil.copyfile(source, part)
        _write_index(part, entries)
    return frames


def _write_index(path: Path, entries: NDArray[np.void]) -> None:
    with open(path, "r+b") as file:
        header = list(_HEADER.unpack(file.read(_HEADER.size)))
        # a fresh index at the end of the file, with room as the format demands
        allocated = 1 << max(len(entries).bit_length(), 7)
        file.seek(0, os.SEEK_END)
        header[1], header[2] = file.tell(), allocated
        index = np.zeros(allocated, _INDEX_ENTRY)
        index[: len(entries)] = entries
        file.write(index.tobytes())
        file.seek(0)
        file.write(_HEADER.pack(*header))


def trim(path: str | os.PathLike[str], last_step: int) -> int:
    """Drop the frames of a trajectory after a timestep, and return how many are left.

    A run that continues from a restart file appends to what it wrote before; frames after the
    restart will come again. A damaged file is recovered first. The file is replaced as a whole or
    left alone.
    """
    path = Path(path)
    if not path.is_file():
        return 0
    try:
        with open_trajectory(path) as trajectory:
            steps = [frame.configuration.step for frame in trajectory]
    except InputError:
        recover(path, path)
        return trim(path, last_step)
    keep = sum(step <= last_step for step in steps)
    if keep < len(steps):
        with (
            replacing(path) as part,
            open_trajectory(path) as trajectory,
            gsd.hoomd.open(part, "w") as trimmed,
        ):
            for frame in trajectory[:keep]:
                trimmed.append(frame)
    return keep


def make_frame(system: System, step: int, type_names: Sequence[str] = ("A",)) -> gsd.hoomd.Frame:
    """A GSD frame of a system, its positions wrapped into the box."""
    lattice = lattice_vectors(system.box)
    fractional = system.positions @ np.linalg.inv(lattice)
    frame = gsd.hoomd.Frame()
    frame.configuration.step = int(step)
    frame.configuration.box = system.box
    frame.particles.N = len(system.positions)
    frame.particles.position = (fractional - np.round(fractional)) @ lattice
    frame.particles.typeid = system.types
    frame.particles.types = list(type_names)
    return frame


def append_frame(
    path: str | os.PathLike[str], frame: gsd.hoomd.Frame, keep_types: bool = True
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
        Whether the particle types of a labelled frame stay what they are. If not, they stand for
        structures, which is what OVITO shows by name and color, and the frame's own types become
        logged quantities.

    Raises
    ------
    InputError
        If the file already holds later timesteps, or cannot be written.
    """
    step = frame.configuration.step
    types: list[str] = []
    if Path(path).is_file():
        with open_trajectory(path) as trajectory:
            last = trajectory[-1] if len(trajectory) else None
        if last is not None and last.configuration.step >= step:
            if last.configuration.step == step:
                return
            raise InputError(
                f"{path} already holds frames up to timestep {last.configuration.step} and the run "
                f"is at {step}; remove it, choose another file, or cut it back with "
                "hoomd_gala.trajectories.trim."
            )
        types = [] if last is None else structures_shown(last)
    if not keep_types:
        frame = structures_as_types(frame, types_so_far(types, frame))
    with gsd.hoomd.open(path, "a") as trajectory:
        trajectory.append(frame)
