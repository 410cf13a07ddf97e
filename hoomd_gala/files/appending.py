"""A GSD file that a simulation appends to, and nobody else meanwhile."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import gsd.hoomd

from ..errors import InputError
from .atomic import check_folder, lock
from .trajectories import append_to, check_appendable, read_state


class Appender:
    """Appends the frames of one simulation to a GSD file, unless another one does so too.

    Of two that begin the same file, that which makes it goes on, and the other finds out: the file
    is not what it has left, or not there yet. Nothing stays locked in between, so that simulations
    may go on with each other's files, one after the other, in one Python session, too.

    Parameters
    ----------
    path : str or path
        Of the file, which need not exist.
    step : int
        Timestep of the simulation.
    has_clusters : bool
        Whether its frames will have clusters.

    Raises
    ------
    InputError
        If frames that come from now on could not be appended: there is no folder, the file cannot
        be read, or its frames are later ones, or have clusters.
    """

    def __init__(self, path: str | os.PathLike[str], step: int, has_clusters: bool = False) -> None:
        self.path = Path(path).absolute()  # whatever the working directory becomes
        check_folder(self.path)
        if self.path.is_dir():
            raise InputError(f"{self.path} is a folder; give the name of a file.")
        # what was found is true as long as the file is as it was left
        self._held = check_appendable(self.path, step, has_clusters)
        self._left = _mark(self.path)

    @property
    def quantities(self) -> set[str]:
        """Names of what the frames of the file have of each particle; none if there is no file."""
        return self._held.quantities if self._held else set()

    def append(self, frame: gsd.hoomd.Frame, keep_types: bool, quantities: Sequence[str]) -> None:
        """Append a frame as :func:`~hoomd_gala.files.append_frame` does.

        A file that was removed begins anew.

        Raises
        ------
        InputError
            If others have written to the file, and as :func:`~hoomd_gala.files.append_frame` does.
        """
        with _alone(self.path):
            before = _mark(self.path)
            if before not in (None, self._left):
                raise _shared(self.path)
            if before is None:
                self._held = None
            try:
                self._held = append_to(self.path, frame, self._held, keep_types, quantities)
            except Exception:
                # on a full disk, half a frame may be there, which readers do not see
                self._left = before and _mark(self.path)
                raise
            except BaseException:  # interrupted: the frame may be there or not
                with suppress(InputError):
                    self._held = read_state(self.path)
                self._left = _mark(self.path)
                raise
            self._left = _mark(self.path)


def _shared(path: Path) -> InputError:
    return InputError(
        f"{path} is written by another simulation, classifier or program too; give each a file of "
        "its own."
    )


def _mark(path: Path) -> tuple[int, int] | None:
    """Inode and size, one of which changes with any writer; None if there is no file."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_size


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Refuse to share a file that exists with others who ask for it at the same moment."""
    try:
        handle = os.open(path, os.O_RDWR)
    except OSError:
        # not there yet, or not to be written, which whoever tries to finds out
        yield
        return
    try:
        if not lock(handle):
            raise _shared(path)
        yield
    finally:
        os.close(handle)
