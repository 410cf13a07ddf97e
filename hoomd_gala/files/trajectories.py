"""GSD trajectories: reading frames, recovering damaged files, appending labelled frames.

What labels look like in a frame is in :mod:`hoomd_gala.files.labels`, whose functions are here
as well.
"""

import os
import shutil
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gsd.fl
import gsd.hoomd
import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..schema import OWN_TYPES
from ..systems import System, as_system, lattice_vectors
from .atomic import replacing
from .labels import (
    add_labels,
    as_written,
    decode_strings,
    encode_strings,
    fill,
    frame_labels,
    restore_types,
    structures_as_types,
    types_so_far,
)

__all__ = [
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
        If there is no such file, it is not a GSD file or one of another schema than HOOMD's, or it
        is damaged; in the last case the message says up to which frame it can be recovered.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"there is no file {path}.")
    try:
        trajectory = gsd.hoomd.open(path, "r")
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).") from None
    except (RuntimeError, UnicodeDecodeError) as error:
        other = _other_schema(path)
        if other is not None:
            raise InputError(
                f"{path} is a GSD file of {other} and not of HOOMD's schema."
            ) from None
        frames = count_recoverable_frames(path)
        if frames is None:
            raise InputError(f"{path} is not a GSD file ({error}).") from None
        last = f"its last good frame is {frames - 1}" if frames else "no frame of it is whole"
        raise InputError(
            f"{path} is damaged, probably cut short; {last}. Save the good frames with "
            "hoomd_gala.files.recover(path, new_path)."
        ) from None
    with trajectory:
        yield trajectory


def _other_schema(path: Path) -> str | None:
    """Name and version of the schema of a GSD file that HOOMD has not written."""
    with open(path, "rb") as file:
        raw = file.read(_HEADER_SIZE)
    if len(raw) < _HEADER_SIZE or _HEADER.unpack_from(raw)[0] != _MAGIC:
        return None
    version = int.from_bytes(raw[_SCHEMA_VERSION], "little")
    name = raw[_SCHEMA].split(b"\0")[0].decode(errors="replace")
    if name == "hoomd" and 1 <= version >> 16 <= 2:
        return None
    return f"schema {name!r}, version {version >> 16}.{version & 0xFFFF}"


def last_system(path: str | os.PathLike[str]) -> System:
    """The particles of a GSD file's last frame; raises what :func:`open_trajectory` does."""
    with open_trajectory(path) as frames:
        return as_system(frames[-1])


def read_frame(path: str | os.PathLike[str], index: int = -1) -> gsd.hoomd.Frame:
    """A frame of a GSD file with the simulation's own particle types, to go on from.

    Where the types in the file stand for structures, they are put back to what they were:
    ``hoomd.Snapshot.from_gsd_frame(read_frame("labeled.gsd"), simulation.device.communicator)`` is
    a state to create. What labelled files have of a simulation are positions, types and the box;
    set ``simulation.timestep`` to that of the frame before.

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
#: Where the header has the version of the schema and its name.
_SCHEMA_VERSION, _SCHEMA = slice(40, 44), slice(112, 176)
_INDEX_ENTRY = np.dtype(
    {
        "names": ["frame", "N", "location", "M", "id", "type", "flags"],
        "formats": ["<u8", "<u8", "<i8", "<u4", "<u2", "u1", "u1"],
    }
)
#: Bytes of each type of data, by the format's numbers for them.
_TYPE_SIZES = np.array([0, 1, 2, 4, 8, 1, 2, 4, 8, 4, 8, 1, 0])
_MAGIC = 0x65DF65DF65DF65DF

#: What gsd raises for files that do not hold what their index says: text that is none, arrays whose
#: shapes do not fit, chunks that end behind the file.
_UNREADABLE = (RuntimeError, OSError, ValueError, LookupError, AttributeError, MemoryError)


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


def _followed_frames(entries: NDArray[np.void]) -> int:
    """Frames that others follow: the last one in an index may have lost chunks."""
    return int(entries["frame"][-1]) if len(entries) else 0


def count_recoverable_frames(path: str | os.PathLike[str]) -> int | None:
    """Frames of a damaged GSD file that its index has whole, or None if it is not a GSD file."""
    found = _best_index(Path(path))
    return None if found is None else _followed_frames(found[1])


def recover(damaged: str | os.PathLike[str], recovered: str | os.PathLike[str]) -> int:
    """Write the whole frames of a damaged GSD file to a new one and return how many there are.

    A file that is not damaged is copied as it is.

    Parameters
    ----------
    damaged, recovered : str or path
        May be the same file, which is replaced as a whole or left alone.

    Raises
    ------
    InputError
        If ``damaged`` is not a GSD file of HOOMD's schema or holds no whole frame.
    """
    source, target = Path(damaged), Path(recovered)
    if not source.is_file():
        raise InputError(f"there is no file {source}.")
    other = _other_schema(source)
    if other is not None:
        raise InputError(f"{source} is a GSD file of {other} and not of HOOMD's schema.")
    with replacing(target) as part:
        shutil.copyfile(source, part)
        steps = _steps(part)
        if steps is None:
            found = _best_index(source)
            entries = np.zeros(0, _INDEX_ENTRY) if found is None else found[1]
            for frames in range(_followed_frames(entries), 0, -1):
                _write_index(part, entries[entries["frame"] < frames])
                steps = _steps(part)
                if steps is not None:
                    break
        whole = [index for index, step in enumerate(steps or []) if step is not None]
        if not whole:
            raise InputError(f"{source} holds no whole frame of a GSD file.")
        if steps and len(whole) < len(steps):
            _keep_frames(part, whole)
    return len(whole)


def _steps(path: Path) -> list[int | None] | None:
    """Timesteps of a file's frames, None for what cannot be read; None if it does not open."""
    steps: list[int | None] = []
    try:
        with gsd.hoomd.open(path, "r") as trajectory:
            for index in range(len(trajectory)):
                try:
                    steps.append(_step(trajectory, index))
                except _UNREADABLE:
                    steps.append(None)
    except _UNREADABLE:
        return None
    return steps


def _step(trajectory: gsd.hoomd.HOOMDTrajectory, index: int) -> int:
    """Timestep of a frame, all of which is read to see that it can be."""
    try:
        return int(trajectory[index].configuration.step)
    except KeyError:
        # gsd cannot do without quantities that another frame has logged; the frame is whole
        file = trajectory.file
        for name in file.find_matching_chunk_names(""):
            if file.chunk_exists(index, name):
                file.read_chunk(index, name)
        return _stored_step(trajectory, index)


def _stored_step(trajectory: gsd.hoomd.HOOMDTrajectory, index: int) -> int:
    """Timestep of a frame, of which nothing else is read."""
    step = _chunk(trajectory, index, "configuration/step")
    return 0 if step is None else int(step[0])


def _chunk(trajectory: gsd.hoomd.HOOMDTrajectory, index: int, name: str) -> Any:
    """What a frame has of a name: its own, or else that of the file's first frame; or None."""
    for holder in (index, 0):
        if trajectory.file.chunk_exists(frame=holder, name=name):
            return trajectory.file.read_chunk(frame=holder, name=name)
    return None


def _keep_frames(path: Path, indices: Sequence[int]) -> None:
    """Replace a file by one that has some of its frames, with all that is stored in them."""
    try:
        with replacing(path) as part, gsd.fl.open(path, "r") as source:
            _copy_frames(source, part, indices)
    except UnicodeDecodeError:
        raise InputError(f"{path} is damaged: names in it are not text.") from None


def _copy_frames(source: gsd.fl.GSDFile, target: Path, indices: Sequence[int]) -> None:
    about = {"schema": source.schema, "schema_version": source.schema_version}
    with gsd.fl.open(target, "w", application=source.application, **about) as kept:
        names = source.find_matching_chunk_names("")
        for index in indices:
            # what a frame does not hold is as in the file's first one
            holders = (index,) if indices[0] == 0 else (index, 0)
            held = {
                name: holder
                for name in names
                for holder in reversed(holders)
                if source.chunk_exists(holder, name)
            }
            for name, holder in held.items():
                kept.write_chunk(name, source.read_chunk(holder, name))
            if not held:
                # a frame that is as the first one needs a chunk to be there
                step = "configuration/step"
                same = source.chunk_exists(0, step)
                first = source.read_chunk(0, step) if same else np.zeros(1, np.uint64)
                kept.write_chunk(step, first)
            kept.end_frame()


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

    Raises
    ------
    InputError
        If it is no GSD file of HOOMD's schema, or damaged beyond recovery; it is left alone then.
    """
    path = Path(path)
    if not path.is_file():
        return 0
    steps = _steps(path)
    if steps is None or None in steps:
        recover(path, path)
        steps = _steps(path) or []
    keep = [index for index, step in enumerate(steps) if step is not None and step <= last_step]
    if len(keep) < len(steps):
        _keep_frames(path, keep)
    return len(keep)


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


def _state_of_file(path: str | os.PathLike[str]) -> tuple[int | None, list[str] | None]:
    """Timestep of a file's last frame and the structures that its particle types stand for, each
    None if there is none; the frame's particles, with their embeddings, are not read for that."""
    if not Path(path).is_file():
        return None, None
    with open_trajectory(path) as trajectory:
        if not len(trajectory):
            return None, None
        last = len(trajectory) - 1
        types = _chunk(trajectory, last, "particles/types")
        shown = trajectory.file.chunk_exists(frame=0, name=f"log/{OWN_TYPES}")
        return _stored_step(trajectory, last), decode_strings(types) if shown else None


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
        logged quantities. A file goes on as its first frame began, whatever is asked for, or it
        could not be read.

    Raises
    ------
    InputError
        If the file already holds later timesteps, or cannot be written.
    """
    step = frame.configuration.step
    last, structures = _state_of_file(path)
    if last is None and not keep_types:
        named = frame_labels(frame)
        structures = [] if named and named[1] else None
    if last is not None and last >= step:
        if last == step:
            return
        raise InputError(
            f"{path} already holds frames up to timestep {last} and the run is at {step}; "
            "remove it, choose another file, or cut it back with hoomd_gala.files.trim."
        )
    if structures is not None:
        frame = structures_as_types(frame, types_so_far(structures, frame))
    else:
        frame.particles.types = as_written(frame.particles.types or ["A"])
    try:
        with gsd.hoomd.open(path, "a") as trajectory:
            trajectory.append(frame)
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror or error}).") from None
