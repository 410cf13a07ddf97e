"""Damaged and interrupted GSD trajectories: recovering frames, and dropping the last ones."""

import os
import shutil
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gsd.fl
import gsd.hoomd
import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .atomic import replacing

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

#: What gsd raises for files that do not hold what their index says: invalid text, arrays whose
#: shapes do not match, chunks that extend past the end of the file.
_UNREADABLE = (RuntimeError, OSError, ValueError, LookupError, AttributeError, MemoryError)


def _header(path: Path) -> bytes | None:
    """Header of a GSD file, or None if it is none."""
    with open(path, "rb") as file:
        raw = file.read(_HEADER_SIZE)
    return raw if len(raw) == _HEADER_SIZE and _HEADER.unpack_from(raw)[0] == _MAGIC else None


def is_gsd(path: Path) -> bool:
    """Whether a file begins like a GSD file, whatever its name."""
    return _header(path) is not None


def other_schema(path: Path) -> str | None:
    """Name and version of the schema of a GSD file that HOOMD has not written."""
    raw = _header(path)
    if raw is None:
        return None
    version = int.from_bytes(raw[_SCHEMA_VERSION], "little")
    name = raw[_SCHEMA].split(b"\0")[0].decode(errors="replace")
    if name == "hoomd" and 1 <= version >> 16 <= 2:
        return None
    return f"schema {name!r}, version {version >> 16}.{version & 0xFFFF}"


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
        # as floats: arbitrary bytes follow the index, and their product may overflow
        end = entries["location"] + entries["N"].astype(float) * entries["M"] * sizes
        good = (entries["location"] > 0) & (end <= len(raw)) & (sizes > 0)
        good &= entries["frame"] >= np.maximum.accumulate(entries["frame"])
        valid = count if good.all() else int(good.argmin())
        if best is None or valid > len(best[1]):
            best = offset, entries[:valid].copy()
        offset = raw.find(first, offset + _INDEX_ENTRY.itemsize)
    return best


def _followed_frames(entries: NDArray[np.void]) -> int:
    """Count the frames that others follow: the last one in an index may have lost chunks."""
    return int(entries["frame"][-1]) if len(entries) else 0


def count_recoverable_frames(path: str | os.PathLike[str]) -> int | None:
    """Count the complete frames of a damaged GSD file; None if it is not a GSD file."""
    found = _best_index(Path(path))
    return None if found is None else _followed_frames(found[1])


def recover(damaged: str | os.PathLike[str], recovered: str | os.PathLike[str]) -> int:
    """Write the complete frames of a damaged GSD file to a new one and return their number.

    A file that is not damaged is copied as it is.

    Parameters
    ----------
    damaged, recovered : str or path
        May be the same file, which is replaced completely or left untouched.

    Raises
    ------
    InputError
        If ``damaged`` is not a GSD file of HOOMD's schema or holds no complete frame.
    """
    source, target = Path(damaged), Path(recovered)
    if not source.is_file():
        raise InputError(f"there is no file {source}.")
    other = other_schema(source)
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
            raise InputError(f"{source} holds no complete frame of a GSD file.")
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
        # gsd requires quantities that another frame has logged; the frame is complete
        file = trajectory.file
        for name in file.find_matching_chunk_names(""):
            if file.chunk_exists(index, name):
                file.read_chunk(index, name)
        return stored_step(trajectory, index)


def stored_step(trajectory: gsd.hoomd.HOOMDTrajectory, index: int) -> int:
    """Timestep of a frame, of which nothing else is read."""
    step = stored_chunk(trajectory, index, "configuration/step")
    return 0 if step is None else int(step[0])


def stored_chunk(trajectory: gsd.hoomd.HOOMDTrajectory, index: int, name: str) -> Any:
    """Read a chunk of a frame: its own, or else that of the file's first frame, or None."""
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
    restart will be written again. A damaged file is recovered first. The file is replaced
    completely or left untouched.

    Raises
    ------
    InputError
        If it is not a GSD file of HOOMD's schema, or damaged beyond recovery.
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
