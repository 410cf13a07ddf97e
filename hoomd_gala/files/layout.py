"""Where GSD files hold what: header, names of chunks, and the index of chunks.

A GSD file has a header of 256 bytes. The index has an entry for every chunk of data, in the order
of frames, and the list of names has the names of chunks. Both are copied to the end of the file,
doubled, when they are full; older copies stay where they were. See https://gsd.readthedocs.io,
"File layer". Everything is checked against the size of the file before anything is made of it.
"""

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

HEADER = np.dtype(
    {
        "names": [
            *("magic", "index", "index_entries", "names", "names_blocks"),
            *("schema_version", "version", "application", "schema"),
        ],
        "formats": ["<u8"] * 5 + ["<u4"] * 2 + ["S64"] * 2,
        "itemsize": 256,
    }
)
INDEX_ENTRY = np.dtype(
    {
        "names": ["frame", "N", "location", "M", "id", "type", "flags"],
        "formats": ["<u8", "<u8", "<i8", "<u4", "<u2", "u1", "u1"],
    }
)
_NUMBERS = ("u1", "<u2", "<u4", "<u8", "i1", "<i2", "<i4", "<i8", "<f4", "<f8", "S1")
#: What a chunk holds, by the format's numbers for it; the last one is text.
DTYPES = tuple(np.dtype(name) for name in _NUMBERS)
#: Bytes of each, and none for what is no type.
_TYPE_SIZES = np.array([0, *(dtype.itemsize for dtype in DTYPES), 0])

_MAGIC = 0x65DF65DF65DF65DF
#: The list of names grows by blocks of so many bytes; in files of version 1 each name has one.
_NAMES_BLOCK = 64


class DamagedError(InputError):
    """Header, names or index of a GSD file say what cannot be."""


class Layout(NamedTuple):
    """What header, names and index of a GSD file say.

    Attributes
    ----------
    size : int
        Bytes in the file.
    version : tuple of int
        Of the file format.
    application, schema : str
    schema_version : tuple of int
    names : tuple of str
        Of chunks; the index has their numbers.
    entries : (n,) structured array
        An :data:`INDEX_ENTRY` of every chunk, in the order of frames.
    allocated : int
        How many entries the index has room for.
    reserved : (3, 2) int
        First byte, and the one after the last, of header, index and names.
    """

    size: int
    version: tuple[int, int]
    application: str
    schema: str
    schema_version: tuple[int, int]
    names: tuple[str, ...]
    entries: NDArray[np.void]
    allocated: int
    reserved: NDArray[np.int64]

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return int(self.entries["frame"][-1]) + 1 if len(self.entries) else 0


def _version(number: np.uint32) -> tuple[int, int]:
    return int(number) >> 16, int(number) & 0xFFFF


def _header(path: Path) -> np.void | None:
    """Header of a GSD file, or None if it is none."""
    with open(path, "rb") as file:
        raw = file.read(HEADER.itemsize)
    if len(raw) < HEADER.itemsize:
        return None
    header: np.void = np.frombuffer(raw, HEADER)[0]
    return header if header["magic"] == _MAGIC else None


def is_gsd(path: Path) -> bool:
    """Whether a file begins like a GSD file, whatever its name."""
    return _header(path) is not None


def _hoomds_header(path: Path) -> np.void:
    """Header of a GSD file of a schema and version that are HOOMD's.

    Raises
    ------
    InputError
    """
    header = _header(path)
    if header is None:
        raise InputError(f"{path} is not a GSD file.")
    version = _version(header["version"])
    if not (version == (0, 3) or (1, 0) <= version < (3, 0)):
        raise InputError(
            f"{path} is a GSD file of version {version[0]}.{version[1]}, written by "
            f"{_text(header['application'])!r}; only versions 1 and 2 can be read."
        )
    name, (major, minor) = _text(header["schema"]), _version(header["schema_version"])
    if name != "hoomd" or not 1 <= major <= 2:
        raise InputError(
            f"{path} is a GSD file of schema {name!r}, version {major}.{minor} and not of HOOMD's "
            f"schema, version 1 or 2; {_text(header['application'])!r} wrote it."
        )
    return header


def _text(field: bytes) -> str:
    return bytes(field).split(b"\0")[0].decode(errors="replace")


def read_layout(path: Path) -> tuple[Layout, bool]:
    """Read header, names and index of a GSD file of HOOMD's schema.

    Returns
    -------
    Layout
        Entries are not checked; :func:`find_faults` does so.
    bool
        Whether the file ends within the index, or the header does not say where it is.

    Raises
    ------
    DamagedError
        If the file has no list of the names of chunks, or it is no such list.
    InputError
        If it is no GSD file, or one of another schema or version.
    """
    header = _hoomds_header(path)
    size = os.path.getsize(path)
    start, room = int(header["index"]), int(header["index_entries"])
    names, blocks = int(header["names"]), int(header["names_blocks"])
    end = start + room * INDEX_ENTRY.itemsize
    names_end = names + blocks * _NAMES_BLOCK
    if names < HEADER.itemsize or names_end > size or not _is_doubled(blocks):
        raise DamagedError("the names of its chunks cannot be found")
    cut = end > size
    if start < HEADER.itemsize or not _is_doubled(room):
        start, end, cut = size, size, True
    start, end = min(start, size), min(end, size)
    version = _version(header["version"])
    with open(path, "rb") as file:
        file.seek(start)
        raw = file.read((end - start) // INDEX_ENTRY.itemsize * INDEX_ENTRY.itemsize)
        file.seek(names)
        listed = _read_names(file.read(names_end - names), version)
    index = np.frombuffer(raw, INDEX_ENTRY)
    used = np.flatnonzero(index["location"])
    reserved = np.array([(0, HEADER.itemsize), (start, end), (names, names_end)])
    layout = Layout(
        size,
        version,
        _text(header["application"]),
        _text(header["schema"]),
        _version(header["schema_version"]),
        listed,
        index[: used[-1] + 1] if len(used) else index[:0],
        room,
        reserved,
    )
    return layout, cut


def _is_doubled(number: int) -> bool:
    """Whether a number is a power of two: room for names and entries is doubled when it is full."""
    return number > 0 and number & (number - 1) == 0


def _read_names(raw: bytes, version: tuple[int, int]) -> tuple[str, ...]:
    if raw[-1]:
        raise DamagedError("the list of its chunks' names has no end")
    if version < (2, 0):
        parts = [raw[i : i + _NAMES_BLOCK] for i in range(0, len(raw), _NAMES_BLOCK)]
        parts = [part.split(b"\0")[0] for part in parts]
    else:
        parts = raw.split(b"\0")
    used = parts.index(b"")
    try:
        names = tuple(part.decode() for part in parts[:used])
    except UnicodeDecodeError:
        raise DamagedError("names of its chunks are not text") from None
    if not all(map(str.isprintable, names)):
        raise DamagedError("names of its chunks are not text")
    if any(parts[used:]):
        raise DamagedError("the list of its chunks' names has a gap")
    if len(set(names)) < len(names):
        raise DamagedError("two kinds of chunks in it have the same name")
    return names


def chunk_bytes(entries: NDArray[np.void]) -> NDArray[np.float64]:
    """Bytes that chunks are said to have; as floats, since the product may be any number."""
    sizes = _TYPE_SIZES[np.minimum(entries["type"], len(_TYPE_SIZES) - 1)]
    bytes_: NDArray[np.float64] = entries["N"].astype(float) * entries["M"] * sizes
    return bytes_


def find_faults(layout: Layout) -> Iterator[tuple[NDArray[np.bool_], str]]:
    """Find the entries of an index that cannot be right.

    Yields
    ------
    (n,) bool, str
        Which ones, and what is wrong with them; nothing if all are right.
    """
    entries, n = layout.entries, len(layout.entries)
    kinds = entries["type"]
    known = (kinds > 0) & (kinds <= len(DTYPES)) & (entries["flags"] == 0)
    known &= entries["M"] > 0
    known &= (entries["id"] < len(layout.names)) & (entries["frame"] < layout.allocated)
    start = entries["location"]
    length = chunk_bytes(entries)
    inside = (start >= HEADER.itemsize) & (start + length <= layout.size)
    frame = entries["frame"]
    later = frame[1:] > frame[:-1]
    if layout.version >= (2, 0):  # chunks of a frame are sorted as well
        later |= (frame[1:] == frame[:-1]) & (entries["id"][1:] > entries["id"][:-1])
    else:
        later |= frame[1:] == frame[:-1]
    ordered = np.ones(n, bool)
    ordered[1:] &= later
    ordered[:-1] &= later
    yield from (
        (~good, what)
        for good, what in (
            (start != 0, "is missing"),
            (known, "is of no known kind"),
            (inside, "would extend past the end of the file"),
            (ordered, "is out of order"),
        )
        if not good.all()
    )
    whole = np.flatnonzero(known & inside & (length > 0))
    overlapping = np.zeros(n, bool)
    overlapping[whole] = _overlapping(start[whole], length[whole], layout.reserved)
    if overlapping.any():
        yield overlapping, "has bytes in common with another one or with the index"


def _overlapping(
    start: NDArray[np.int64], length: NDArray[np.float64], reserved: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Whether each range of bytes has some in common with another one or with reserved ones."""
    starts = np.concatenate((reserved[:, 0], start))
    ends = np.concatenate((reserved[:, 1], start + length.astype(np.int64)))
    order = np.argsort(starts, kind="stable")
    starts, ends = starts[order], ends[order]
    # the range that reaches farthest of those that begin earlier
    before = np.maximum.accumulate(ends)[:-1]
    hit = starts[1:] < before
    overlapping = np.zeros(len(order), bool)
    if not hit.any():
        return overlapping[len(reserved) :]
    overlapping[order[1:][hit]] = True
    # those that are hit by one that begins later
    follower = np.searchsorted(starts, ends, side="left")
    overlapping[order[follower > np.arange(len(order)) + 1]] = True
    return overlapping[len(reserved) :]


def check_layout(layout: Layout, cut: bool) -> None:
    """Refuse a file whose index has a fault.

    Raises
    ------
    DamagedError
        With frame and chunk of the first one.
    """
    if cut:
        raise DamagedError("its index is cut off or cannot be found")
    for wrong, what in find_faults(layout):
        at = int(wrong.argmax())
        first = layout.entries[at]
        if not first["location"]:
            raise DamagedError(f"entry {at} of its index {what}")
        number = int(first["id"])
        name = layout.names[number] if number < len(layout.names) else f"number {number}"
        raise DamagedError(f"chunk {name} of frame {first['frame']} {what}")


def unlisted(path: Path, layout: Layout) -> Iterator[tuple[int, int]]:
    """Find the bytes in a file that belong to nothing, as after a kill while a frame was written.

    A damaged index may have lost a chunk there. Older copies of the index and of the names are not
    of these: the first ones, which may be empty, are before all chunks, and the others are known by
    how they begin.

    Yields
    ------
    int, int
        First byte, and the one after the last.
    """
    if not len(layout.entries):
        return
    starts = np.concatenate((layout.reserved[:, 0], layout.entries["location"], [layout.size]))
    ends = starts.copy()
    ends[:3] = layout.reserved[:, 1]
    ends[3:-1] += chunk_bytes(layout.entries).astype(np.int64)
    order = np.argsort(starts, kind="stable")
    starts, reached = starts[order][1:], np.maximum.accumulate(ends[order])[:-1]
    copies = (layout.entries[:1].tobytes(), layout.names[0].encode() + b"\0")
    with open(path, "rb") as file:
        first = layout.entries["location"].min()
        for gap in np.flatnonzero((starts > reached) & (reached >= first)).tolist():
            file.seek(reached[gap])
            if not file.read(max(map(len, copies))).startswith(copies):
                yield int(reached[gap]), int(starts[gap])


def cut_torn(path: Path) -> None:
    """Cut off what a writer that was stopped has left behind the last frame that it finished.

    Frames that are appended later would come behind it, and readers be warned of it for ever.
    Nobody else may be writing the file.

    Raises
    ------
    InputError
        If it is no GSD file of HOOMD's schema, or damaged.
    """
    layout, cut = read_layout(path)
    check_layout(layout, cut)
    for start, end in unlisted(path, layout):
        if end == layout.size:
            os.truncate(path, start)


def warn_of_unlisted(path: Path, layout: Layout) -> None:
    """Warn of bytes that belong to nothing, since frames may miss what was there."""
    for start, end in unlisted(path, layout):
        warnings.warn(
            f"{path} has {end - start} bytes from byte {start} on that belong to no frame: it is "
            "being written, a run was stopped while it wrote, or the file is damaged and frames "
            "miss something.",
            stacklevel=3,
        )
        return
