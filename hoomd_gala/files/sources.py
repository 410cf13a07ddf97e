"""Frames of files of any format: GSD by gsd, all others by OVITO or ASE."""

import glob
import importlib.util
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import gsd.hoomd
import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .labels import restore_types
from .recovery import is_gsd, stored_chunk
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


def find_files(names: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """Paths of files and patterns; what a pattern finds is in the order of the numbers in it.

    Parameters
    ----------
    names : iterable of str or path
        Such as ``"run.gsd"`` or ``"dump.*"``, which puts ``dump.200`` before ``dump.1000``.

    Raises
    ------
    InputError
        If nothing matches a pattern.
    """
    paths: list[Path] = []
    for each in names:
        name = os.fspath(each)
        if os.path.exists(name) or not glob.has_magic(name):
            paths.append(Path(name))
            continue
        found = sorted(glob.glob(name, recursive=True), key=_numbers_as_such)
        if not found:
            raise InputError(f"there is no file that matches {name}.")
        paths += map(Path, found)
    return paths


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


#: Has an attribute for every chunk of HOOMD's schema.
_ANY_FRAME = gsd.hoomd.Frame()


def _read_gsd(trajectory: gsd.hoomd.HOOMDTrajectory, index: int) -> Stored:
    return Stored(restore_types(trajectory[index]), other_chunks(trajectory, index))


def other_chunks(trajectory: gsd.hoomd.HOOMDTrajectory, index: int) -> dict[str, NDArray[Any]]:
    """Chunks of a frame that gsd's reader for HOOMD's schema leaves out, by name.

    As with those of the schema, what a frame does not hold is taken from the first one.
    """
    names = trajectory.file.find_matching_chunk_names("")
    return {name: stored_chunk(trajectory, index, name) for name in names if not _is_hoomds(name)}


def _is_hoomds(chunk: str) -> bool:
    group, _, name = chunk.partition("/")
    return group == "log" or hasattr(getattr(_ANY_FRAME, group, None), name)


def _open_foreign(path: Path, topology: str | os.PathLike[str] | None) -> Source:
    """Open a file by OVITO or, if that cannot read it or is not installed, by ASE."""
    reasons = []
    if has_ovito():
        try:
            return _open_by_ovito(path, topology)
        except InputError as error:
            reasons.append(f"OVITO: {error}")
    if topology is not None:
        raise InputError(
            f"{path} cannot be read with the topology {topology} ({'; '.join(reasons)})."
            if reasons
            else f"{path} with a topology is read by OVITO; pip install 'hoomd-gala[ovito]'."
        )
    if has_ase():
        try:
            return _open_by_ase(path)
        except InputError as error:
            reasons.append(f"ASE: {error}")
    if not reasons:
        raise InputError(
            f"{path} is no GSD file; other formats are read by OVITO or ASE, of which neither is "
            "installed: pip install 'hoomd-gala[ovito]', or pip install ase."
        )
    raise InputError(f"{path} cannot be read ({'; '.join(reasons)}).")


def _why(error: Exception) -> str:
    """Give the first line of an error, which may have many or none."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


def _open_by_ovito(path: Path, topology: str | os.PathLike[str] | None) -> Source:
    from ovito.io import import_file
    from ovito.modifiers import LoadTrajectoryModifier

    # its readers raise errors of any kind for files that are not what they seem
    try:
        if topology is None:
            pipeline = import_file(str(path))
            total = pipeline.num_frames
        else:
            pipeline = import_file(os.fspath(topology))
            positions = LoadTrajectoryModifier()
            positions.source.load(str(path))
            pipeline.modifiers.append(positions)
            total = pipeline.num_frames
    except Exception as error:
        raise InputError(_why(error)) from None

    def read(index: int) -> Stored:
        try:
            data = pipeline.compute(index)
        except Exception as error:
            raise InputError(f"OVITO cannot read it ({_why(error)}).") from None
        if data.particles is None or not data.particles.count:
            raise InputError("it holds no particles.")
        return Stored(data, {})

    return Source(path, total, read)


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
    try:
        total = sum(1 for _ in _images(path))
    except Exception as error:
        raise InputError(_why(error)) from None
    return Source(path, total, _Images(path).read)


def count_particles(data: Any) -> int:
    """Count the particles of a GSD frame, OVITO ``DataCollection`` or ASE ``Atoms``."""
    if isinstance(data, gsd.hoomd.Frame):
        return int(data.particles.N)
    return len(data) if hasattr(data, "numbers") else int(data.particles.count)


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
        return [symbols[k] for k in first], kinds.astype(np.int64)
    kinds = data.particles.particle_types
    if kinds is None:
        return ["A"], np.zeros(data.particles.count, np.int64)
    # types that a file names and those that it only numbers
    listed = {kind.id: kind.name or str(kind.id) for kind in kinds.types}
    found = np.unique(np.asarray(kinds))
    ids = np.array(sorted({*listed, *found.tolist()}))
    return [listed.get(i, str(i)) for i in ids.tolist()], np.searchsorted(ids, np.asarray(kinds))


def particles_of_types(data: Any, wanted: Sequence[str]) -> NDArray[np.int64]:
    """Find the particles whose types have one of some names.

    Returns
    -------
    (m,) int64
        Their indices.

    Raises
    ------
    InputError
        If there is no type of such a name.
    """
    names, types = named_types(data)
    for name in wanted:
        if name not in names:
            raise InputError(f"there is no type {name!r} of particles, only {', '.join(names)}.")
    chosen = [k for k, name in enumerate(names) if name in wanted]
    return np.flatnonzero(np.isin(types, chosen))
