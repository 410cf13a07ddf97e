"""The reader through which every GSD frame comes: chunks, and the frames made of them.

gsd's own reader trusts what a file says of itself: it allocates what an index claims, and takes
chunks for what their names say. Here, sizes and kinds are checked before anything is read.
"""

import copy
import threading
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, overload

import gsd.hoomd
import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .labels import check_different, check_logged, read_shape
from .layout import DTYPES, Layout, check_layout, read_layout

_TEXT = DTYPES[-1]

#: Has an attribute for every chunk of HOOMD's schema.
_ANY_FRAME = gsd.hoomd.Frame()
#: Parts of a frame that have a number of members, and something of each.
_GROUPS = ("particles", "bonds", "angles", "dihedrals", "impropers", "constraints", "pairs")


def is_hoomds(chunk: str) -> bool:
    """Whether HOOMD's schema has a chunk of some name."""
    group, _, name = chunk.partition("/")
    return group == "log" or hasattr(getattr(_ANY_FRAME, group, None), name)


class ChunkFile:
    """A GSD file that is open for reading, chunk by chunk, as ``gsd.fl.GSDFile`` does it.

    Parameters
    ----------
    path : Path
    layout : Layout, optional
        What it holds; if not given, this is read and checked.

    Raises
    ------
    InputError
        If the file is no GSD file of HOOMD's schema, or damaged.
    """

    def __init__(self, path: Path, layout: Layout | None = None) -> None:
        if layout is None:
            layout, cut = read_layout(path)
            check_layout(layout, cut)
        self.path, self.layout = path, layout
        self.nframes = layout.n_frames
        self._chunks: dict[int, dict[str, np.void]] = {}
        self._frame = np.ascontiguousarray(layout.entries["frame"])
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115 (closed by close)
        # other threads move the place where the file is read
        self._alone = threading.Lock()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def chunks(self, frame: int) -> dict[str, np.void]:
        """Entries of a frame's own chunks in the index, by name."""
        if frame not in self._chunks:
            # of the same type, or the numbers of all frames would be converted
            first, last = np.searchsorted(self._frame, np.array([frame, frame + 1], np.uint64))
            # the first frame, which all others go back to, and the one that is being read
            self._chunks = {k: self._chunks[k] for k in (0,) if k in self._chunks}
            self._chunks[frame] = {
                self.layout.names[entry["id"]]: entry for entry in self.layout.entries[first:last]
            }
        return self._chunks[frame]

    def chunk_exists(self, frame: int, name: str) -> bool:
        """Whether a frame has a chunk of its own of some name."""
        return name in self.chunks(frame)

    def holder(self, frame: int, name: str) -> int | None:
        """Frame that holds a chunk of a frame: itself, the first one, or None if there is none."""
        return next((k for k in (frame, 0) if self.chunk_exists(k, name)), None)

    def find_matching_chunk_names(self, match: str) -> list[str]:
        """Names of chunks that begin with something."""
        return [name for name in self.layout.names if name.startswith(match)]

    def shape(self, frame: int, name: str) -> tuple[int, int, np.dtype[Any]]:
        """Rows, columns and type of numbers of a chunk that is there."""
        entry = self.chunks(frame)[name]
        return int(entry["N"]), int(entry["M"]), DTYPES[int(entry["type"]) - 1]

    def read_chunk(self, frame: int, name: str) -> Any:
        """Read a chunk that is there.

        Returns
        -------
        (N, M) or (N,) array, or str

        Raises
        ------
        InputError
            If it cannot be read, or is text and not in UTF-8.
        """
        entry = self.chunks(frame)[name]
        rows, columns, dtype = self.shape(frame, name)
        values = np.empty(rows * columns, np.dtype(np.int8) if dtype == _TEXT else dtype)
        self._read(values.view(np.uint8).data, int(entry["location"]), frame, name)
        if dtype != _TEXT:
            return values if columns == 1 else values.reshape(rows, columns)
        if columns > 1:
            return values.reshape(columns, rows)
        return decode(values.tobytes(), frame, name)

    def _read(self, target: memoryview, start: int, frame: int, name: str) -> None:
        with self._alone:
            self._file.seek(start)
            while len(target):
                # the system gives 2 GiB at most
                count = self._file.readinto(target)
                if not count:
                    raise InputError(f"chunk {name} of frame {frame} is cut off.")
                target = target[count:]


def decode(raw: bytes, frame: int, name: str) -> str:
    """Text in a chunk, without the zeros that fill it.

    Raises
    ------
    InputError
        If it is not in UTF-8.
    """
    try:
        return raw.rstrip(b"\0").decode()
    except UnicodeDecodeError:
        raise InputError(f"chunk {name} of frame {frame} is not text.") from None


class Trajectory(Sequence[gsd.hoomd.Frame]):
    """Frames of a GSD file, as ``gsd.hoomd.HOOMDTrajectory`` gives them.

    What a frame does not hold is as in the first one, or has the default of HOOMD's schema.

    Parameters
    ----------
    file : ChunkFile
    """

    def __init__(self, file: ChunkFile) -> None:
        self.file = file

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.file.close()

    def __len__(self) -> int:
        return self.file.nframes

    @overload
    def __getitem__(self, key: int) -> gsd.hoomd.Frame: ...
    @overload
    def __getitem__(self, key: slice) -> Sequence[gsd.hoomd.Frame]: ...
    def __getitem__(self, key: int | slice) -> gsd.hoomd.Frame | Sequence[gsd.hoomd.Frame]:
        """Read a frame, or give a view of some.

        Raises
        ------
        InputError
            If what the frame holds does not fit together, with file, frame and chunk.
        """
        if isinstance(key, slice):
            return _View(self, range(len(self))[key])
        index = range(len(self))[key]
        try:
            return self.read(index)
        except InputError as error:
            raise InputError(f"frame {index} of {self.file.path}: {error}") from None

    def __iter__(self) -> Iterator[gsd.hoomd.Frame]:
        return (self[index] for index in range(len(self)))

    def read(self, index: int) -> gsd.hoomd.Frame:
        """Read a frame, counted from 0.

        Raises
        ------
        InputError
            As indexing does, without the names of file and frame.
        """
        self._warn_of_loss(index)
        frame = gsd.hoomd.Frame()
        for name in frame.configuration._default_value:
            setattr(frame.configuration, name, self._configuration(index, name))
        if frame.configuration.dimensions not in (2, 3):
            raise InputError(f"it has {frame.configuration.dimensions} dimensions.")
        for group in _GROUPS:
            self._read_group(index, frame, group)
        for name in self.file.find_matching_chunk_names("log/"):
            holder = self.file.holder(index, name)
            if holder is not None:
                value = self.file.read_chunk(holder, name)
                if holder != index and isinstance(value, np.ndarray):
                    value.flags.writeable = False
                frame.log[name.removeprefix("log/")] = value
        check_logged(frame)
        return frame

    def _warn_of_loss(self, index: int) -> None:
        """Warn of a frame that lacks what the one before has, and is as the first one in that.

        If the number of a frame is damaged in the index, the frame lacks a chunk. So does one that
        begins a run again that begins as the first one in the file did.
        """
        if index < 2:
            return
        names = ("configuration/step", "particles/position")
        before, own = self.file.chunks(index - 1), self.file.chunks(index)
        lost = [name for name in names if name in before and name not in own]
        if lost:
            warnings.warn(
                f"frame {index} of {self.file.path} has no {' and no '.join(lost)} of its own, as "
                "the frame before has, and takes that of the first frame; if this is no run that "
                "begins again, the file is damaged.",
                stacklevel=4,
            )

    def _configuration(self, index: int, name: str) -> Any:
        default = _ANY_FRAME.configuration._default_value[name]
        chunk = f"configuration/{name}"
        holder = self.file.holder(index, chunk)
        if holder is None:
            return copy.copy(default)
        self._check_shape(holder, chunk, default.size, f"it takes {default.size}", default)
        value = self.file.read_chunk(holder, chunk)
        return value if default.ndim else value[0]

    def step(self, index: int) -> int:
        """Timestep of a frame, of which nothing else is read."""
        return int(self._configuration(index, "step"))

    def texts(self, index: int, name: str) -> list[str] | None:
        """Read the texts in a chunk, one in each row; None if there is no such chunk."""
        holder = self.file.holder(index, name)
        if holder is None:
            return None
        rows, columns, dtype = self.file.shape(holder, name)
        if dtype.itemsize > 1 or dtype == _TEXT:
            raise InputError(f"chunk {name} of frame {holder} is not text.")
        values = self.file.read_chunk(holder, name).reshape(rows, columns)
        return [decode(row.tobytes(), holder, name) for row in values]

    def _read_group(self, index: int, frame: gsd.hoomd.Frame, group: str) -> None:
        container = getattr(frame, group)
        container.N = self.members(index, group)
        for name, default in container._default_value.items():
            if name == "N":
                continue
            chunk = f"{group}/{name}"
            if name in ("types", "type_shapes"):
                value: Any = self.texts(index, chunk)
                if value is None:
                    value = copy.copy(default)
                elif name == "type_shapes":
                    value = [read_shape(text, chunk) for text in value]
                else:
                    check_different(value, chunk)
                setattr(container, name, value)
                continue
            value = self._of_each(index, group, name, default, container.N)
            setattr(container, name, value)
        if self.file.holder(index, f"{group}/types") is not None:
            _check_below(container.typeid, len(container.types), f"{group}/typeid", "types")
        if group != "particles":
            _check_below(container.group, frame.particles.N, f"{group}/group", "particles")

    def chunk(self, index: int, name: str) -> Any:
        """Chunk of a frame: its own, or what it is by the first frame; None if it is the default.

        Parameters
        ----------
        index : int
        name : str
            Of HOOMD's schema or not.
        """
        group, _, part = name.partition("/")
        default = getattr(getattr(_ANY_FRAME, group, None), "_default_value", {}).get(part)
        if group in _GROUPS and hasattr(default, "dtype") and part != "N":
            total = self.members(index, group)
            return self._of_each(index, group, part, default, total) if total else None
        holder = self.file.holder(index, name)
        return None if holder is None else self.file.read_chunk(holder, name)

    def members(self, index: int, group: str) -> int:
        """Count the particles, bonds, ... of a frame.

        Raises
        ------
        InputError
            If there are not as many positions, or groups of particles.
        """
        total = self._stored_members(index, group)
        essential = f"{group}/{'position' if group == 'particles' else 'group'}"
        holder = self.file.holder(index, essential)
        # one may well be at the origin, which is the default
        if total > 1 and (holder is None or self.file.shape(holder, essential)[0] != total):
            raise InputError(f"there are {total} {group} and no chunk {essential} of as many.")
        return total

    def _stored_members(self, index: int, group: str) -> int:
        chunk = f"{group}/N"
        holder = self.file.holder(index, chunk)
        if holder is None:
            return 0
        self._check_shape(holder, chunk, 1, "it takes 1", np.uint32(0))
        total: int = self.file.read_chunk(holder, chunk)[0]  # as gsd has it, of numpy's type
        return total

    def _of_each(self, index: int, group: str, name: str, default: Any, total: int) -> NDArray[Any]:
        """Read what a frame has of each of its particles, bonds, ..., or give the default."""
        chunk = f"{group}/{name}"
        holder = self.file.holder(index, chunk)
        if holder not in (index, None) and self._stored_members(0, group) != total:
            holder = None
        if holder is None:
            value = np.empty((int(total), *np.shape(default)), default.dtype)
            value[:] = default
        else:
            what = f"there are {total} {group}"
            self._check_shape(holder, chunk, int(total), what, default, default.size)
            value = self.file.read_chunk(holder, chunk)
        if holder != index:
            value.flags.writeable = False
        return value

    def _check_shape(
        self, holder: int, chunk: str, rows: int, why: str, like: Any, columns: int = 1
    ) -> None:
        """Refuse a chunk that has not so many rows and columns of such numbers."""
        found, wide, dtype = self.file.shape(holder, chunk)
        where = f"chunk {chunk} of frame {holder}"
        if found != rows:
            raise InputError(f"{where} has {found} rows, and {why}.")
        if wide != columns:
            raise InputError(f"{where} has {wide} columns, and it takes {columns}.")
        if (dtype.kind == "f") != (like.dtype.kind == "f") or dtype == _TEXT:
            raise InputError(
                f"{where} has numbers of type {dtype.name}, and not {like.dtype.name}."
            )


class _View(Sequence[gsd.hoomd.Frame]):
    """Some frames of a trajectory, each of which is read when it is asked for."""

    def __init__(self, trajectory: Trajectory, indices: range) -> None:
        self._trajectory, self._indices = trajectory, indices

    def __len__(self) -> int:
        return len(self._indices)

    @overload
    def __getitem__(self, key: int) -> gsd.hoomd.Frame: ...
    @overload
    def __getitem__(self, key: slice) -> Sequence[gsd.hoomd.Frame]: ...
    def __getitem__(self, key: int | slice) -> gsd.hoomd.Frame | Sequence[gsd.hoomd.Frame]:
        if isinstance(key, slice):
            return _View(self._trajectory, self._indices[key])
        return self._trajectory[self._indices[key]]


def _check_below(values: NDArray[Any], limit: int, chunk: str, what: str) -> None:
    """Refuse indices outside of what they index."""
    outside = (values < 0) | (values >= limit)
    if outside.any():
        raise InputError(
            f"chunk {chunk} has {values[outside][0]}, and there are {limit} {what}, counted from 0."
        )
