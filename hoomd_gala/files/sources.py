"""Frames of files of any format: GSD by gsd, all others by OVITO or ASE."""

import glob
import importlib.util
import mmap
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import gsd.hoomd
import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .labels import restore_types
from .layout import is_gsd
from .reader import Trajectory, is_hoomds
from .trajectories import open_trajectory


class Stored(NamedTuple):
    """A frame as whoever read it holds it.

    Attributes
    ----------
    data : gsd.hoomd.Frame, ovito.data.DataCollection or ase.Atoms
        What :func:`~hoomd_gala.systems.as_system` takes. Types of a GSD frame are the simulation's
        own ones.
    others : mapping
        Chunks of a GSD file that are not HOOMD's, by name.
    """

    data: Any
    others: Mapping[str, NDArray[Any]]

    @property
    def n_particles(self) -> int:
        """Number of particles."""
        data = self.data
        if hasattr(data, "numbers"):
            return len(data)
        return int(data.particles.N if isinstance(data, gsd.hoomd.Frame) else data.particles.count)


class Source(NamedTuple):
    """A file that is open for reading.

    Attributes
    ----------
    path : Path
    total : int
        Number of frames.
    read : callable
        Takes the number of a frame from 0 and returns it as :class:`Stored`. Taking them one after
        another is the fastest.
    """

    path: Path
    total: int
    read: Callable[[int], Stored]


def has_ovito() -> bool:
    """Whether OVITO's Python module is installed."""
    return importlib.util.find_spec("ovito") is not None


def has_ase() -> bool:
    """Whether ASE is installed."""
    return importlib.util.find_spec("ase") is not None


def find_files(
    names: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    target: str | os.PathLike[str] = "",
) -> list[Path]:
    """Paths of files and patterns; what a pattern finds is in the order of the numbers in it.

    Parameters
    ----------
    names : str or path, or iterable of these
        Such as ``"run.gsd"`` or ``"dump.*"``, which puts ``dump.200`` before ``dump.1000``.
    target : str or path
        File that is made of them. Patterns find neither it nor what an interrupted run has left of
        it.

    Raises
    ------
    InputError
        If nothing matches a pattern.
    """
    if isinstance(names, str | os.PathLike):
        names = [names]
    paths: list[Path] = []
    made = os.path.abspath(target) if os.fspath(target) else None
    for each in names:
        name = os.fspath(each)
        if os.path.exists(name) or not glob.has_magic(name):
            paths.append(Path(name))
            continue
        found = [one for one in glob.glob(name, recursive=True) if not _is_of(one, made)]
        found.sort(key=_numbers_as_such)
        if not found:
            raise InputError(f"there is no file that matches {name}.")
        paths += map(Path, found)
    return paths


def _is_of(name: str, made: str | None) -> bool:
    """Whether a file is one that is made, or belongs to it while it is."""
    path = os.path.abspath(name)
    return made is not None and (path in (made, f"{made}.part") or path.startswith(f"{made}.part."))


def _numbers_as_such(name: str) -> list[tuple[int, str]]:
    parts = re.split(r"(\d+)", name)  # every other one is a number
    return [(int(part), "") if k % 2 else (0, part) for k, part in enumerate(parts)]


def parse_frames(text: str) -> slice:
    """Read ``7`` or ``10:50:2``, a Python index or slice of frames.

    Raises
    ------
    ValueError
        If it is neither.
    """
    if not re.fullmatch(r"-?\d+|(-?\d+)?:(-?\d+)?(:-?[1-9]\d*)?", text):
        raise ValueError(text)
    if ":" not in text:
        index = int(text)
        return slice(index, index + 1 if index != -1 else None)
    return slice(*(int(part) if part else None for part in text.split(":")))


class FrameRange(NamedTuple):
    """Some frames of a GSD file."""

    path: Path
    frames: slice


def parse_range(text: str) -> FrameRange:
    """Read ``run.gsd``, ``run.gsd@7`` or ``run.gsd@10:50:2``, a Python index or slice of frames.

    Raises
    ------
    InputError
        If what follows the @ is neither.
    """
    path, at, numbers = text.rpartition("@")
    if not at or Path(text).is_file():
        return FrameRange(Path(text), slice(None))
    try:
        return FrameRange(Path(path), parse_frames(numbers))
    except ValueError:
        raise InputError(
            f"{text!r}: {numbers!r} is not a range of frames; write FILE@START:STOP:STEP as a "
            "Python slice, or FILE@INDEX."
        ) from None


@contextmanager
def open_source(
    path: str | os.PathLike[str], topology: str | os.PathLike[str] | None = None
) -> Iterator[Source]:
    """Open a file of any format for reading.

    Parameters
    ----------
    path : str or path
        A GSD file, or anything that OVITO, where it is installed, or ASE reads.
    topology : str or path, optional
        File with the particles of a trajectory that holds their positions only, such as XTC.

    Raises
    ------
    InputError
        If there is no such file, it cannot be read, or nothing is installed that could.
    """
    path = Path(path)
    for name in (path, *([] if topology is None else [Path(topology)])):
        if not name.is_file():
            raise InputError(f"there is no file {name}.")
    if path.suffix == ".gsd" or is_gsd(path):
        if topology is not None:
            raise InputError(f"{path} is a GSD file, which needs no topology.")
        with open_trajectory(path) as trajectory:
            yield Source(path, len(trajectory), lambda index: _read_gsd(trajectory, index))
        return
    yield _open_foreign(path, topology)


def _read_gsd(trajectory: Trajectory, index: int) -> Stored:
    return Stored(restore_types(trajectory.read(index)), other_chunks(trajectory, index))


def other_chunks(trajectory: Trajectory, index: int) -> dict[str, NDArray[Any]]:
    """Chunks of a frame that are not of HOOMD's schema, by name.

    As with those of the schema, what a frame does not hold is taken from the first one.
    """
    names = trajectory.file.find_matching_chunk_names("")
    return {name: trajectory.chunk(index, name) for name in names if not is_hoomds(name)}


#: Whose contents OVITO loses in part and ASE does not.
_ASES_OWN = (".traj",)


def _open_foreign(path: Path, topology: str | os.PathLike[str] | None) -> Source:
    """Open a file by OVITO or, if that cannot read it or is not installed, by ASE."""
    reasons = []
    if has_ovito() and not (path.suffix in _ASES_OWN and has_ase() and topology is None):
        try:
            return _open_by_ovito(path, topology)
        except InputError as error:
            reasons.append(f"OVITO: {error}")
    if topology is not None:
        raise InputError(
            f"{path} cannot be read with the topology {topology} ({'; '.join(reasons)})."
            if reasons
            else f'{path} with a topology is read by OVITO: pip install "hoomd-gala[ovito]".'
        )
    if has_ase():
        try:
            return _open_by_ase(path)
        except InputError as error:
            reasons.append(f"ASE: {error}")
    if not reasons:
        raise InputError(
            f"{path} is no GSD file; other formats are read by OVITO or ASE, of which neither is "
            'installed: pip install "hoomd-gala[ovito]", or pip install ase.'
        )
    raise InputError(f"{path} cannot be read ({'; '.join(reasons)}).")


def _why(error: Exception) -> str:
    """Give the first line of an error, which may have many or none."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


def _open_by_ovito(path: Path, topology: str | os.PathLike[str] | None) -> Source:
    from ovito.io import import_file
    from ovito.modifiers import LoadTrajectoryModifier

    if any("*" in os.fspath(name) for name in (path, topology or "")):
        raise InputError("it takes a * in a name for many files")
    # its readers raise errors of any kind for files that are not what they seem
    try:
        if topology is None:
            with _standard_error() as said:
                pipeline = _imported(path)
                total = pipeline.num_frames
        else:
            pipeline = import_file(os.fspath(topology))
            positions = LoadTrajectoryModifier()
            with _standard_error() as said:
                positions.source.load(str(path))
            pipeline.modifiers.append(positions)
            total = pipeline.num_frames
    except Exception as error:
        raise InputError(_why(error)) from None
    why = None
    for line in said:
        # OVITO leaves out the frame that it could not read to the end
        reason = re.search(r"aborted prematurely .*?error: \"(.*)\"", line)
        if reason:
            why = reason[1]
        else:
            print(line, file=sys.stderr)
    total = _complete(path, total, why)

    def read(index: int) -> Stored:
        try:
            data = pipeline.compute(index)
        except Exception as error:
            raise InputError(f"OVITO cannot read it ({_why(error)}).") from None
        if data.particles is None:
            raise InputError("it holds no particles.")
        return Stored(data, {})

    return Source(path, total, read)


def _imported(path: Path) -> Any:
    """Let OVITO open a file, and look for frames in all of it from the beginning.

    Left to itself, it looks for more once it has seen in the first frame that there are some; now
    and then a file of three then had one.
    """
    from ovito.io import import_file

    try:
        return import_file(str(path), multiple_frames=True)
    except KeyError:  # of readers that do not have this parameter
        return import_file(str(path))


def _complete(path: Path, total: int, why: str | None) -> int:
    """Count the complete frames of a file, and warn if the last one is not.

    Parameters
    ----------
    path : Path
    total : int
        Number of frames that could be read.
    why : str or None
        Why not more of them.
    """
    if why is None and _is_cut_dump(path):
        total, why = total - 1, "the file ends within it"
    if why is not None:
        why = why.rstrip(".")
        if not total:
            raise InputError(f"its first frame is incomplete: {why}")
        warnings.warn(
            f"frame {total} of {path} is incomplete and left out with all that may follow: {why}.",
            stacklevel=2,
        )
    return total


def _is_cut_dump(path: Path) -> bool:
    """Whether a file is a LAMMPS dump that ends within its last frame, as of a run that goes on.

    Readers take a frame without its last particles, or with half a number, for a whole one.
    """
    with open(path, "rb") as file:
        if file.read(5) != b"ITEM:":
            return False
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
            lines = text[text.rfind(b"ITEM: TIMESTEP") :].split(b"\n")
    atoms = [k for k, line in enumerate(lines) if line.startswith(b"ITEM: ATOMS")]
    numbers = [k for k, line in enumerate(lines) if line.startswith(b"ITEM: NUMBER OF ATOMS")]
    # what follows the last end of a line is no line
    return not (atoms and numbers) or len(lines) - 2 - atoms[0] < int(lines[numbers[0] + 1])


@contextmanager
def _standard_error() -> Iterator[list[str]]:
    """Take what is written to the standard error by any code; the list is filled at the end.

    OVITO tells nobody else that a file is incomplete.
    """
    said: list[str] = []
    sys.stderr.flush()
    with tempfile.TemporaryFile() as taken:
        original = os.dup(2)
        os.dup2(taken.fileno(), 2)
        try:
            yield said
        finally:
            os.dup2(original, 2)
            os.close(original)
            taken.seek(0)
            said += taken.read().decode(errors="replace").splitlines()


def _images(path: Path) -> Iterator[Any]:
    from ase.io import iread

    # ASE knows the others by their endings or contents
    return iter(iread(str(path), index=":", format=_ASE_FORMATS.get(path.suffix)))


#: Formats of files that ASE does not recognize.
_ASE_FORMATS = {".data": "lammps-data"}


class _Images:
    """Frames of a file by ASE, whose readers go forward only; the next one costs the least."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._images, self._next = _images(path), 0

    def read(self, index: int) -> Stored:
        if index < self._next:
            self._images, self._next = _images(self.path), 0
        try:
            while True:
                atoms = next(self._images)
                self._next += 1
                if self._next > index:
                    return Stored(atoms, {})
        except Exception as error:
            raise InputError(f"ASE cannot read it ({_why(error)}).") from None


def _open_by_ase(path: Path) -> Source:
    total, why = 0, None
    try:
        for _ in _images(path):
            total += 1
    except Exception as error:
        if not total:
            raise InputError(_why(error)) from None
        why = _why(error)
    total = _complete(path, total, why)
    return Source(path, total, _Images(path).read)


def named_types(data: Any) -> tuple[list[str], NDArray[np.int64]]:
    """Names of types, and the type of each particle (N,) as an index of these.

    Parameters
    ----------
    data : gsd.hoomd.Frame, ovito.data.DataCollection or ase.Atoms
        The types of a GSD frame are the simulation's own ones.
    """
    if isinstance(data, gsd.hoomd.Frame):
        particles = data.particles
        names = list(particles.types or ["A"])
        none = np.zeros(particles.N, np.int64)
        return names, none if particles.typeid is None else np.asarray(particles.typeid, np.int64)
    if hasattr(data, "numbers"):
        numbers, kinds = np.unique(data.numbers, return_inverse=True)
        symbols: Sequence[str] = data.get_chemical_symbols()
        first = [int(np.argmax(data.numbers == number)) for number in numbers]
        return [symbols[k] for k in first] or ["A"], kinds.astype(np.int64)
    kinds = data.particles.particle_types
    if kinds is None:
        return ["A"], np.zeros(data.particles.count, np.int64)
    ids, names = _ovito_types(kinds)
    return distinct(names, ids) or ["A"], np.searchsorted(ids, np.asarray(kinds))


def _ovito_types(kinds: Any) -> tuple[NDArray[np.int64], list[str]]:
    """Numbers of OVITO's types, those that a file names and those that it only numbers, and names.

    Types of one name, such as two of one element or mass, are several.
    """
    listed = {kind.id: kind.name or str(kind.id) for kind in kinds.types}
    found = np.unique(np.asarray(kinds))
    ids = np.array(sorted({*listed, *found.tolist()}), np.int64)
    return ids, [listed.get(i, str(i)) for i in ids.tolist()]


def distinct(names: Sequence[str], ids: Iterable[int]) -> list[str]:
    """Names of types, of which GSD has none twice: a repeated one has its number behind it."""
    return [
        f"{name} ({i})" if name in names[:k] else name
        for k, (name, i) in enumerate(zip(names, ids, strict=True))
    ]


def is_open(data: Any) -> bool:
    """Whether a frame, as of :func:`named_types`, has no periodic boundaries in any direction."""
    if isinstance(data, gsd.hoomd.Frame):
        return False
    if hasattr(data, "numbers"):
        return not any(data.pbc)
    return data.cell is None or not any(data.cell.pbc)


def particles_of_types(data: Any, wanted: Sequence[str]) -> NDArray[np.int64]:
    """Find the particles whose types have one of some names, in the file or in GSD.

    Returns
    -------
    (m,) int64
        Their indices; none if there is no type of such a name, which other frames may have.
    """
    names, types = named_types(data)
    chosen = [k for k, name in enumerate(names) if name in wanted]
    kinds = None if hasattr(data, "numbers") else getattr(data.particles, "particle_types", None)
    if kinds is not None:
        chosen += [k for k, name in enumerate(_ovito_types(kinds)[1]) if name in wanted]
    return np.flatnonzero(np.isin(types, chosen))
