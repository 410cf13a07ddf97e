"""Files that appear complete or not at all."""

import csv
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from ..errors import InputError

try:
    import fcntl
except ImportError:  # Windows has no locks that a file descriptor holds until it is closed
    fcntl = None  # type: ignore[assignment]


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path to write to; it takes the place of ``path`` when the block succeeds.

    What was at ``path`` is left untouched until then. An error or Ctrl-C leaves nothing behind, a
    kill at most a file ending in ``.part`` beside it, which the next writer overwrites.
    """
    target = Path(path)
    part = target.with_name(target.name + ".part")
    try:
        yield part
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    os.replace(part, target)


def check_folder(path: str | os.PathLike[str]) -> None:
    """Check that a file can be written, before the work whose result it is to hold.

    Raises
    ------
    InputError
        If there is no folder for it, or one that cannot be written to.
    """
    target = Path(path)
    folder = target.absolute().parent
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder} for {target.name}.")
    try:
        # permissions say little: file systems may be read-only, and names too long; the name is of
        # nobody else, as others may check or write the same file at this moment
        with NamedTemporaryFile(prefix=f"{target.name}.", dir=folder):
            pass
    except OSError as error:
        raise InputError(f"{target} cannot be written ({error.strerror}).") from None


def check_free(path: str | os.PathLike[str]) -> Path:
    """Check that there is no file at a path, and a folder for one; nothing is touched.

    Raises
    ------
    InputError
        If there is a file, or no folder.
    """
    target = Path(path)
    try:
        if target.exists():
            raise InputError(f"{target} exists; remove it or choose another name.")
        if not target.absolute().parent.is_dir():
            raise InputError(f"there is no folder {target.absolute().parent} for {target.name}.")
    except OSError as error:
        raise InputError(f"{target} cannot be written ({error.strerror}).") from None
    return target


def check_writable(path: str | os.PathLike[str]) -> Path:
    """Check that a new file can be written to a path.

    Raises
    ------
    InputError
        If it exists, or as :func:`check_folder` does.
    """
    target = check_free(path)
    check_folder(target)
    return target


def lock(file: int) -> bool:
    """Lock a file that is open until it is closed; False if another process has locked it.

    Where there are no locks, as on Windows and some network file systems, it is taken to be free.

    Parameters
    ----------
    file : int
        Its descriptor.
    """
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass  # of a network file system
    return True


def check_new(path: str | os.PathLike[str], suffix: str | Sequence[str], what: str) -> Path:
    """Check that a new file of some kind can be written to a path.

    Raises
    ------
    InputError
        If its suffix is another, or none of several, or as :func:`check_writable` does.
    """
    target = Path(path)
    *others, last = [suffix] if isinstance(suffix, str) else suffix
    if target.suffix not in (*others, last):
        endings = f"{', '.join(others)} or {last}" if others else last
        raise InputError(f"{target} cannot be the name of a {what}; it must end in {endings}.")
    return check_writable(target)


def write_table(path: str | os.PathLike[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows, all with the same keys, as CSV; of no rows, an empty file."""
    with replacing(path) as part, open(part, "w", newline="") as file:
        if rows:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


def read_table(path: str | os.PathLike[str]) -> list[dict[str, str]]:
    """Rows of a table that :func:`write_table` wrote."""
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def sha256(path: str | os.PathLike[str]) -> str:
    """Hash of a file, in hexadecimal digits."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
