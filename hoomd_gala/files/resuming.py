"""Copies of trajectories that take hours: one writer each, and what it takes to go on with one.

While ``out.gsd`` is written, ``out.gsd.part`` holds its frames and ``out.gsd.part.journal`` a line
for the settings and one for each frame, written before the frame is. What a process leaves that is
killed is a whole number of frames and perhaps a part of one more.
"""

import errno
import json
import os
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Any, NamedTuple

import gsd.hoomd
import numpy as np

from ..errors import InputError
from .atomic import check_writable, lock
from .sources import Stored, named_types


class Line(NamedTuple):
    """What is noted of a frame before it is written.

    Attributes
    ----------
    checksum : int
        Of what it was labeled from.
    start : int
        Where it begins in the file, in bytes; 0 where the file's format knows.
    labeled : int
        How many of its particles there are labels of.
    refused : str or None
        Why none could be labeled.
    """

    checksum: int
    start: int
    labeled: int
    refused: str | None


class Copy:
    """A copy that is being made, by this process alone; the journal goes when the part has gone.

    Attributes
    ----------
    part : Path
        What is written, until it is complete.
    earlier : list of Line
        Of frames that an earlier process wrote, or began to write, with the same settings.
    anew : str or None
        Why what an earlier process wrote is of no use, where there is any.
    written : int
        Whole frames that there are.
    """

    def __init__(self, part: Path, journal: FileIO, settings: Mapping[str, Any]) -> None:
        self.part, self._journal, self.written = part, journal, 0
        # as JSON has them
        self._settings = json.loads(json.dumps(settings))
        self.earlier: list[Line] = []
        self.anew: str | None = None
        rows = _rows(journal)
        if part.exists() and len(rows) > 1:
            other = [name for name, value in self._settings.items() if rows[0].get(name) != value]
            if other:
                self.anew = f"it was made with another {' and '.join(other)}"
            else:
                self.earlier = rows[1:]

    def begin(self, kept: int) -> list[Line]:
        """Keep the lines of so many frames of those before, and forget the others."""
        lines = self.earlier[:kept]
        text = b"".join(map(_encoded, (self._settings, *lines)))
        self._journal.seek(0)
        if self._journal.read().startswith(text):
            # nothing that could be lost is written again
            self._journal.truncate(len(text))
        else:
            self._journal.truncate(0)
            self._write(text)
        self.written = kept
        return lines

    def note(self, line: Line) -> None:
        """Write the line of a frame, before the frame."""
        self._write(_encoded(line))

    def _write(self, text: bytes) -> None:
        if self._journal.write(text) < len(text):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def finish(self, target: Path) -> None:
        """Put what was written in its place; without whole frames, nothing is left behind."""
        if self.written:
            os.replace(self.part, target)
        else:
            self.discard()

    def discard(self) -> None:
        """Leave nothing behind."""
        self.part.unlink(missing_ok=True)
        self.earlier = []


def _encoded(row: Any) -> bytes:
    return json.dumps(row).encode() + b"\n"


def _rows(journal: FileIO) -> list[Any]:
    """Rows of a journal, up to one that is not whole."""
    rows: list[Any] = []
    journal.seek(0)
    for line in journal.read().splitlines():
        try:
            row = json.loads(line)
            rows.append(Line(*row) if rows else dict(row))
        except (ValueError, TypeError):
            break
    return rows


@contextmanager
def making(target: Path, settings: Mapping[str, Any], restart: bool) -> Iterator[Copy]:
    """Be the only one who makes a file.

    Parameters
    ----------
    target : Path
        The file.
    settings : mapping
        Names and values, as JSON holds them, of what a copy depends on beside its source.
    restart : bool
        Make nothing of what an earlier process has left.

    Raises
    ------
    InputError
        If the file exists, it cannot be written, or another process makes it.
    """
    part = target.with_name(target.name + ".part")
    journal = _locked(target, part.with_name(part.name + ".journal"))
    with journal:
        copy = Copy(part, journal, settings)
        if restart:
            copy.earlier, copy.anew = [], None
        try:
            # not before, since a look at the folder might remove what another process makes
            check_writable(target)
            yield copy
        finally:
            if not part.exists():
                Path(journal.name).unlink(missing_ok=True)


@contextmanager
def making_whole(target: Path) -> Iterator[Path]:
    """Be the only one who makes a file, from its beginning to its end; an error leaves nothing.

    Yields
    ------
    Path
        Where to write it.

    Raises
    ------
    InputError
        As :func:`making` does.
    """
    with making(target, {}, restart=True) as copy:
        try:
            yield copy.part
        except BaseException:
            copy.discard()
            raise
        os.replace(copy.part, target)


def _locked(target: Path, path: Path) -> FileIO:
    """Open a journal that no other process has open."""
    while True:
        try:
            journal = open(path, "a+b", buffering=0)  # noqa: SIM115 (it stays open)
        except OSError as error:
            check_writable(target)
            raise InputError(f"{target} cannot be written ({error.strerror}).") from None
        if not lock(journal.fileno()):
            journal.close()
            raise InputError(
                f"{target} is being made by another process; wait for it or choose another name."
            )
        if os.fstat(journal.fileno()).st_nlink:
            return journal
        # whoever had it has finished meanwhile, and removed it
        journal.close()


def checksum(stored: Stored) -> int:
    """Checksum of positions, box and types of a frame."""
    data = stored.data
    if isinstance(data, gsd.hoomd.Frame):
        arrays = data.particles.position, data.configuration.box
    elif hasattr(data, "numbers"):
        arrays = data.positions, data.cell
    else:
        arrays = data.particles.positions, data.cell
    names, types = named_types(data)
    mark = zlib.crc32(repr(names).encode())
    for values in (*arrays, types):
        if values is not None:
            mark = zlib.crc32(np.asarray(values).tobytes(), mark)
    return mark
