"""Copies of trajectories that something was made of, frame by frame: what these have in common.

An interrupted copy goes on where it was; see :mod:`~hoomd_gala.files.resuming`.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tqdm.auto import tqdm

from .errors import InputError
from .files.resuming import Copy, Line, checksum
from .files.sources import Source, Stored


class Frame(NamedTuple):
    """A frame of a file that is open."""

    source: Source
    number: int


def chosen_frames(sources: Sequence[Source], frames: slice | None) -> list[Frame]:
    """Which of all frames of some files, those of the first file first, are asked for.

    Raises
    ------
    InputError
        If there are none.
    """
    for source in sources:
        if not source.total:
            raise InputError(f"{source.path} has no frames.")
    everything = [Frame(source, index) for source in sources for index in range(source.total)]
    chosen = everything if frames is None else everything[frames]
    if not chosen:
        raise InputError(f"there are {len(everything)} frames, and none in the requested range.")
    return chosen


@contextmanager
def blamed(frame: Frame) -> Iterator[None]:
    """Say of an error with which frame it came."""
    try:
        yield
    except (InputError, RuntimeError) as error:
        raise InputError(f"frame {frame.number} of {frame.source.path}: {error}") from None


def read_frame(frame: Frame) -> tuple[Frame, Stored]:
    """Read a frame, and say with which one an error came."""
    with blamed(frame):
        return frame, frame.source.read(frame.number)


def gone_on_with(copy: Copy, chosen: Sequence[Frame]) -> list[Line]:
    """Lines of frames that an earlier process has begun to write and that need not come again."""
    why = copy.anew
    if why is None and len(copy.earlier) > len(chosen):
        why = "there were more frames"
    earlier = [] if why else copy.earlier
    shown = {"desc": "check", "unit": "frame", "leave": False, "disable": not earlier}
    for frame, line in tqdm([*zip(chosen, earlier, strict=False)], **shown):
        if checksum(read_frame(frame)[1]) != line.checksum:
            why = f"frame {frame.number} of {frame.source.path} is another now"
            break
    if why is None:
        return copy.earlier
    warnings.warn(f"{copy.part} is begun anew: {why}.", stacklevel=4)
    copy.discard()
    return []


@contextmanager
def kept(copy: Copy, target: Path, done: str) -> Iterator[None]:
    """Decide what becomes of frames that were written when something happens.

    A bad frame would stop the same command again, so that those before it are all there is. After
    anything else it can go on.

    Parameters
    ----------
    copy : Copy
        What is written.
    target : Path
        What it becomes.
    done : str
        What was done to the frames, as messages say it.
    """
    try:
        yield
    except InputError as error:
        said = _said_of(copy.written, f"{done} in {target}.")
        copy.finish(target)
        raise InputError(f"{error}{said}") from None
    except BrokenPipeError:  # of what is printed
        copy.finish(target)
        raise
    except (OSError, KeyboardInterrupt) as error:
        said = _said_of(copy.written, f"in {copy.part}; the same command goes on after it.")
        if not copy.written and not copy.earlier:
            copy.discard()
        if isinstance(error, OSError):
            raise InputError(f"{target} cannot be written ({error}).{said}") from None
        raise KeyboardInterrupt(said.strip().replace("The", "the", 1)) from None
    except BaseException:
        copy.finish(target)
        raise
    copy.finish(target)


def _said_of(count: int, where: str) -> str:
    if not count:
        return ""
    before = "frame before is" if count == 1 else f"{count} frames before are"
    return f" The {before} {where}"


def counted(count: int) -> str:
    """Write a number of frames in words."""
    return f"{count} frame" + "s" * (count != 1)
