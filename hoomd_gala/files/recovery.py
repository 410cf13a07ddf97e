"""Damaged and interrupted GSD trajectories: recovering frames, and dropping the last ones."""

import mmap
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import gsd.fl
import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .atomic import replacing
from .layout import (
    HEADER,
    INDEX_ENTRY,
    DamagedError,
    Layout,
    check_layout,
    chunk_bytes,
    cut_torn,
    find_faults,
    is_gsd,
    read_layout,
    unlisted,
    warn_of_unlisted,
)
from .reader import ChunkFile, Trajectory

#: An index is doubled when it is full, so that a file has no more copies of it than this.
_MOST_COPIES = 64

#: Where gsd writes the first chunk: after the header, an index of 128 entries and 1 KiB of names.
_FIRST_CHUNK = np.int64(HEADER.itemsize + 128 * INDEX_ENTRY.itemsize + 1024)


class _Contents(NamedTuple):
    """What can be had of a file.

    Attributes
    ----------
    layout : Layout
        Of the entries that are right.
    frames : list of int
        Those of which all entries are right.
    whole : bool
        Whether these are all that the file has.
    """

    layout: Layout
    frames: list[int]
    whole: bool


def _contents(path: Path) -> _Contents | None:
    """Find what can be had of a file, whole or damaged; None if nothing can."""
    if not is_gsd(path):
        return None
    try:
        layout, cut = read_layout(path)
    except DamagedError:
        return None
    try:
        check_layout(layout, cut)
    except DamagedError:
        found = [_survivors(path, layout, cut), *map(_followed, _older(path, layout))]
        return max(found, key=lambda contents: len(contents.frames))
    warn_of_unlisted(path, layout)
    return _Contents(layout, list(range(layout.n_frames)), True)


def _survivors(path: Path, layout: Layout, cut: bool) -> _Contents:
    """Leave out the frames of which an entry is wrong, and those beside it in the index.

    If the number of a frame is wrong, it is one of these that misses a chunk. Wrong is also what is
    shorter than the place that it has in the file; not so in the first frame, which the others need
    and behind which a chunk of the next one may be missing.
    """
    entries = layout.entries
    wrong = np.zeros(len(entries), bool)
    for faults, _ in find_faults(layout):
        wrong |= faults
    right = layout._replace(entries=entries[~wrong])
    before_gaps = [start for start, _ in unlisted(path, right)]
    shorter = np.isin(entries["location"] + chunk_bytes(entries), before_gaps)
    wrong |= shorter & (entries["frame"] > 0)
    beside = wrong.copy()
    beside[1:] |= wrong[:-1]
    beside[:-1] |= wrong[1:]
    # an entry that is missing has no number
    lost = np.unique(entries["frame"][beside & (entries["location"] != 0)])
    if cut:  # the last frame may have had more chunks
        lost = np.append(lost, entries["frame"][-1:])
    kept = entries[~np.isin(entries["frame"], lost) & (entries["location"] != 0)]
    # without the first frame it is not known what is in the others
    if 0 in lost or (kept["frame"][1:] < kept["frame"][:-1]).any():
        kept = entries[:0]
    return _Contents(layout._replace(entries=kept), np.unique(kept["frame"]).tolist(), False)


def _followed(layout: Layout) -> _Contents:
    """Take the frames that others follow: the last one in an old index may miss chunks."""
    entries = layout.entries
    kept = entries[entries["frame"] < entries["frame"][-1]]
    return _Contents(layout._replace(entries=kept), np.unique(kept["frame"]).tolist(), False)


def _older(path: Path, layout: Layout) -> Iterator[Layout]:
    """Older copies of the index, which begin alike, each up to the first entry that is wrong."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as raw:
        mark, ahead = raw[HEADER.itemsize : HEADER.itemsize + INDEX_ENTRY.itemsize], 0
        if not np.frombuffer(mark, INDEX_ENTRY)["location"][0]:
            # more was written before the first flush than the first index has room for; in an
            # entry, the place of a chunk comes after 16 bytes
            mark, ahead = _FIRST_CHUNK.tobytes(), 16
        at, copies = raw.find(mark, HEADER.itemsize), 0
        while at >= 0 and copies < _MOST_COPIES:
            entries = _valid(raw, at - ahead, layout)
            if len(entries) and at - ahead != layout.reserved[1, 0]:
                yield layout._replace(entries=entries)
            at, copies = raw.find(mark, at + len(mark)), copies + 1


def _valid(raw: mmap.mmap, offset: int, layout: Layout) -> NDArray[np.void]:
    """Entries from somewhere in a file up to the first one that is wrong."""
    # any bytes may follow an index: twice as many are read as long as they look like entries
    count = 128
    while True:
        part = raw[offset : offset + count * INDEX_ENTRY.itemsize]
        part = part[: len(part) // INDEX_ENTRY.itemsize * INDEX_ENTRY.itemsize]
        entries = np.frombuffer(part, INDEX_ENTRY)
        # how long the copy itself is, in which there are no chunks either, is not known
        found = layout._replace(entries=entries, allocated=count)
        while (fault := next(find_faults(found), None)) is not None:
            found = found._replace(entries=found.entries[: int(fault[0].argmax())])
        if len(found.entries) < count:
            return found.entries
        count *= 2


def complete_frames(path: Path) -> list[int]:
    """Find the frames of a damaged GSD file of HOOMD's schema that its index has all of."""
    contents = _contents(path)
    return [] if contents is None else contents.frames


def count_recoverable_frames(path: str | os.PathLike[str]) -> int | None:
    """Count the complete frames of a damaged GSD file; None if it is not a GSD file."""
    return len(complete_frames(Path(path))) if is_gsd(Path(path)) else None


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
    contents = _contents(source)
    steps = {} if contents is None else _steps(source, contents)
    if contents is None or not steps:
        raise InputError(f"{source} holds no complete frame of a GSD file.")
    if contents.whole and len(steps) == len(contents.frames):
        with replacing(target) as part:
            shutil.copyfile(source, part)
    else:
        _write_frames(source, contents.layout, target, list(steps))
    return len(steps)


def _steps(path: Path, contents: _Contents) -> dict[int, int]:
    """Timesteps of the frames that can be read, each of which is read to see that it can be."""
    steps: dict[int, int] = {}
    with Trajectory(ChunkFile(path, contents.layout)) as trajectory:
        for index in contents.frames:
            try:
                steps[index] = int(trajectory.read(index).configuration.step)
            except InputError:
                continue
    return steps


def _write_frames(source: Path, layout: Layout, target: Path, indices: Sequence[int]) -> None:
    """Write a file that has some frames of another one, or of itself, and read it back."""
    with replacing(target) as part:
        _copy_frames(source, layout, part, indices)
        copy = _contents(part)
        if copy is None or len(_steps(part, copy)) < len(indices):
            raise InputError(f"the frames of {source} that are complete cannot be copied.")


def _copy_frames(path: Path, layout: Layout, target: Path, indices: Sequence[int]) -> None:
    about = {"schema": layout.schema, "schema_version": layout.schema_version}
    with (
        Trajectory(ChunkFile(path, layout)) as source,
        gsd.fl.open(target, "w", application=layout.application, **about) as kept,
    ):
        for index in indices:
            held: Iterable[str] = source.file.chunks(index)
            if indices[0]:
                # the first frame, from which others have what they do not hold, is another one
                held = layout.names
            values = {name: source.chunk(index, name) for name in held}
            if all(value is None for value in values.values()):
                # a frame that is as the first one needs a chunk to be there
                values["configuration/step"] = np.array([source.step(index)], np.uint64)
            for name, value in values.items():
                if value is not None:
                    kept.write_chunk(name, value)
            kept.end_frame()


def trim(path: str | os.PathLike[str], last_step: int) -> int:
    """Drop the frames of a trajectory after a timestep, and return how many are left.

    A run that continues from a restart file appends to what it wrote before; frames after the
    restart will be written again. Frames of a damaged file that are not complete are dropped as
    well, and what a stopped run has left of one at the end. The file is replaced completely or its
    frames are left untouched.

    Raises
    ------
    InputError
        If it is not a GSD file of HOOMD's schema, or damaged beyond recovery.
    """
    path = Path(path)
    if not path.is_file():
        return 0
    contents = _contents(path)
    steps = {} if contents is None else _steps(path, contents)
    if contents is None or (not steps and not (contents.whole and not contents.frames)):
        raise InputError(f"{path} holds no complete frame of a GSD file.")
    keep = [index for index, step in steps.items() if step <= last_step]
    if not contents.whole or len(keep) < len(contents.frames):
        _write_frames(path, contents.layout, path, keep)
    else:
        cut_torn(path)
    return len(keep)
