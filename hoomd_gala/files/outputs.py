"""Copies of frames, with labels or without, in the format that a file's ending says."""

import json
import re
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import gsd.hoomd
import numpy as np
from numpy.typing import NDArray

from ..colors import label_colors, structure_color
from ..errors import InputError
from ..names import class_of_title
from ..results import UNKNOWN, UNKNOWN_NAME, Clusters, Result
from ..schema import FRACTIONS, OWN_TYPES, QUANTITIES
from ..selection import fill
from .conversion import ase_atoms, gsd_frame, ovito_data
from .labels import (
    add_labels,
    check_quantities,
    encode_types,
    of_all,
    structures_as_types,
    types_so_far,
)
from .layout import cut_torn
from .sources import Stored, has_ase, has_ovito, other_chunks
from .trajectories import open_trajectory

#: OVITO's and ASE's names of formats by the endings of files; None where ASE does not write it.
TEXT_FORMATS = {
    ".xyz": ("xyz", "extxyz"),
    ".extxyz": ("xyz", "extxyz"),
    ".dump": ("lammps/dump", None),
    ".lammpstrj": ("lammps/dump", None),
}


class Output(Protocol):
    """A file of frames that is open for more.

    Attributes
    ----------
    done : int
        Frames that it holds.
    size : int
        Where the next one begins, in bytes; 0 where the file's format knows.
    fractions : (C + 1,) float64, optional
        Those of the last frame that was there when it was opened, where the file has them.
    """

    done: int
    size: int
    fractions: NDArray[np.float64] | None

    def write(
        self,
        stored: Stored,
        result: Result | None,
        particles: NDArray[np.int64] | None,
        clusters: Clusters | None,
        step: int,
    ) -> None:
        """Append a frame; when this returns, no kill takes it away.

        Parameters
        ----------
        stored : Stored
            The frame.
        result : Result, optional
            Its labels; the frame is written as it is if not given.
        particles : (m,) int, optional
            Which particles these are of; all if not given.
        clusters : Clusters, optional
            Of all particles.
        step : int
            Timestep of a frame without one.
        """


def check_format(path: Path) -> None:
    """Check that labels can be written to a file with such an ending.

    Raises
    ------
    InputError
        If no format has this ending, or what writes it is not installed.
    """
    if path.suffix == ".gsd":
        return
    if path.suffix not in TEXT_FORMATS:
        raise InputError(
            f"{path} cannot be the name of a labeled file; it must end in .gsd, .xyz or .extxyz "
            "(extended XYZ), .dump or .lammpstrj (LAMMPS dump)."
        )
    if has_ovito():
        return
    if TEXT_FORMATS[path.suffix][1] is None:
        raise InputError(
            f'LAMMPS dumps such as {path} are written by OVITO: pip install "hoomd-gala[ovito]"; '
            "or write extended XYZ."
        )
    if not has_ase():
        raise InputError(
            f"extended XYZ such as {path} is written by OVITO or ASE, of which neither is "
            'installed: pip install "hoomd-gala[ovito]", or pip install ase.'
        )


@contextmanager
def open_output(
    part: Path,
    target: Path,
    quantities: Sequence[str] = QUANTITIES,
    keep_types: bool = False,
    starts: Sequence[int] = (),
) -> Iterator[Output]:
    """Open a file for labeled frames.

    Parameters
    ----------
    part : Path
        Where it is written.
    target : Path
        Whose ending says in which format.
    quantities : sequence of str
        What to write of each particle; see :func:`~hoomd_gala.files.labels.add_labels`.
    keep_types : bool
        Leave the particle types of a GSD file as they are.
    starts : sequence of int
        Where frames begin that an earlier process has begun to write there; those that are whole
        are kept.

    Raises
    ------
    InputError
        If what it has written cannot be read.
    """
    if target.suffix == ".gsd":
        with _GsdOutput(part, quantities, keep_types, len(starts)) as output:
            yield output
    else:
        with _TextOutput(part, target, quantities, starts) as output:
            yield output


class _TextOutput:
    """A text file of labeled frames."""

    def __init__(
        self, part: Path, target: Path, quantities: Sequence[str], starts: Sequence[int]
    ) -> None:
        self.part, self.quantities = part, quantities
        self.format, _ = TEXT_FORMATS[target.suffix]
        self.frame = part.with_name(part.name + ".frame")
        self.fractions: NDArray[np.float64] | None = None
        held = part.stat().st_size if part.exists() else 0
        # whether the last one was written to its end is not known: it comes again
        begun = [0, *(start for start in starts if start <= held)]
        self.done, self.size = max(len(begun) - 2, 0), begun[-1]

    def __enter__(self) -> "_TextOutput":
        with open(self.part, "ab") as file:
            file.truncate(self.size)
        return self

    def __exit__(self, *_: Any) -> None:
        self.frame.unlink(missing_ok=True)

    def write(
        self,
        stored: Stored,
        result: Result | None,
        particles: NDArray[np.int64] | None,
        clusters: Clusters | None,
        step: int,
    ) -> None:
        columns: dict[str, NDArray[Any]] = {}
        class_names: tuple[str, ...] = ()
        if result is not None:
            columns = _columns(result, particles, stored.n_particles, self.quantities)
            class_names = result.class_names
        if clusters is not None:
            columns["cluster"] = clusters.ids
        # ASE writes all that it has read
        by_ase = self.format == "xyz" and hasattr(stored.data, "numbers") and has_ase()
        if has_ovito() and not by_ase:
            _export(self.frame, self.format, stored.data, columns, class_names, step)
        else:
            _write_by_ase(self.frame, stored.data, columns, class_names)
        with open(self.frame, "rb") as frame, open(self.part, "r+b") as file:
            file.seek(self.size)
            shutil.copyfileobj(frame, file)
            self.size = file.tell()
        self.done += 1


class _GsdOutput:
    """A GSD file of labeled frames."""

    def __init__(self, part: Path, quantities: Sequence[str], keep_types: bool, begun: int) -> None:
        self.part, self.quantities, self.keep_types = part, quantities, keep_types
        self.types: list[str] = []
        self.file: Any = None
        self.logged: set[str] = set()
        self.step, self.goes_back = 0, False
        self.begun, self.done, self.size = begun, 0, 0
        self.fractions: NDArray[np.float64] | None = None

    def __enter__(self) -> "_GsdOutput":
        if self.begun:
            self._go_on()
        if not self.done:
            self.part.unlink(missing_ok=True)
            self.part.touch()
        return self

    def __exit__(self, *_: Any) -> None:
        if self.file is not None:
            self.file.close()

    def _go_on(self) -> None:
        try:
            if self.part.is_file():
                cut_torn(self.part)
            with open_trajectory(self.part) as trajectory:
                whole = len(trajectory)
                if not 0 < whole <= self.begun:
                    return
                last = trajectory[-1]
                self.logged = {*trajectory[0].log, *other_chunks(trajectory, 0)}
        except InputError:  # killed before it was a GSD file
            return
        self.step = int(last.configuration.step)
        self.fractions = last.log.get(FRACTIONS)
        if OWN_TYPES in last.log:
            self.types = [class_of_title(name) for name in last.particles.types]
        self.file = gsd.hoomd.open(self.part, "r+")
        self.done = whole

    def write(
        self,
        stored: Stored,
        result: Result | None,
        particles: NDArray[np.int64] | None,
        clusters: Clusters | None,
        step: int,
    ) -> None:
        frame, place = gsd_frame(stored, step)
        self._note_step(int(frame.configuration.step))
        if place is not None:
            particles = place if particles is None else place[particles]
            if clusters is not None:
                clusters = clusters._replace(ids=fill(clusters.ids, place, len(place), -1))
        if result is not None:
            add_labels(frame, result, particles, self.quantities, clusters)
        if result is not None and not self.keep_types and result.class_names:
            self.types = types_so_far(self.types, frame)
            # before there is a particle, there is no type
            structures_as_types(frame, self.types or [UNKNOWN_NAME])
        if self.file is None:
            self.file = open_gsd(self.part, stored)
            self.logged = {*frame.log, *stored.others}
        missing = self.logged - {*frame.log, *stored.others}
        if missing:
            raise InputError(
                f"it has no {min(missing)}, which readers of the output would then take from its "
                "first frame; label frames with the same quantities into one file."
            )
        _fill_gaps(self.file, frame.particles)
        append_all(self.file, frame, stored.others)
        self.file.flush()
        self.done += 1

    def _note_step(self, step: int) -> None:
        if step < self.step and not self.goes_back:
            self.goes_back = True
            warnings.warn(
                f"timesteps go back from {self.step} to {step}; frames are in the order of the "
                "input, with its timesteps.",
                stacklevel=2,
            )
        self.step = step


#: What GSD says of particles without these quantities.
_DEFAULTS: dict[str, Any] = {
    "mass": 1.0,
    "charge": 0.0,
    "diameter": 1.0,
    "body": -1,
    "moment_inertia": (0.0, 0.0, 0.0),
    "orientation": (1.0, 0.0, 0.0, 0.0),
    "velocity": (0.0, 0.0, 0.0),
    "angmom": (0.0, 0.0, 0.0, 0.0),
    "image": (0, 0, 0),
}


def _fill_gaps(trajectory: gsd.hoomd.HOOMDTrajectory, particles: Any) -> None:
    """Give a frame what the first one has and it has not, which readers would take from there."""
    for name, default in _DEFAULTS.items():
        if getattr(particles, name) is not None or not len(trajectory):
            continue
        if trajectory.file.chunk_exists(0, f"particles/{name}"):
            setattr(particles, name, np.broadcast_to(default, (particles.N, *np.shape(default))))


def open_gsd(path: Path, first: Stored) -> gsd.hoomd.HOOMDTrajectory:
    """Open a new GSD file, in double precision if the GSD file of its first frame is."""
    double = isinstance(first.data, gsd.hoomd.Frame) and (
        np.asarray(first.data.particles.position).dtype == np.float64
    )
    return gsd.hoomd.open(path, "w", **({"precision": "double"} if double else {}))


def append_all(
    trajectory: gsd.hoomd.HOOMDTrajectory,
    frame: gsd.hoomd.Frame,
    others: Mapping[str, NDArray[Any]],
) -> None:
    """Append a frame with chunks that are not of HOOMD's schema."""
    encode_types(frame)
    for name, values in others.items():
        trajectory.file.write_chunk(name, values)
    trajectory.append(frame)


def _columns(
    result: Result, particles: NDArray[np.int64] | None, total: int, quantities: Sequence[str]
) -> dict[str, NDArray[Any]]:
    """Columns of a text file, by name: values of all particles."""
    wanted = check_quantities(quantities, bool(result.class_names))
    return {name: of_all(result, name, particles, total) for name in wanted}


def _export(
    path: Path,
    name: str,
    data: Any,
    columns: Mapping[str, NDArray[Any]],
    class_names: Sequence[str],
    step: int,
) -> None:
    """Write a frame by OVITO, with all that it has of the particles."""
    from ovito.io import export_file

    data = ovito_data(data)
    data.attributes.setdefault("Timestep", step)
    if data.cell is None and name == "lammps/dump":
        # which needs one; open boundaries are what OVITO writes for it
        positions = np.asarray(data.particles.positions)
        corner = positions.min(axis=0) if len(positions) else np.zeros(3)
        edges = np.diag(np.maximum(positions.max(axis=0, initial=-np.inf) - corner, 1))
        data.create_cell(np.column_stack((edges, corner)), pbc=(False, False, False))
    table = data.particles_
    for column, values in columns.items():
        if column in table:
            del table[column]
        table.create_property(column, data=values)
    if name == "xyz" and columns:
        for column in ("structure", "Color"):
            if column in table:
                del table[column]
        # in LAMMPS dumps there are numbers only
        structure = table.create_property("structure", data=columns["label"] - UNKNOWN)
        for kind, title in enumerate((UNKNOWN_NAME, *class_names)):
            entry = structure.add_type_id(kind, table)
            entry.name, entry.color = title, structure_color(title)
        table.create_property("Color", data=label_colors(columns["label"], class_names))
    columns_to_write = [key for key in table if "Magnitude" not in key]
    if name != "xyz":
        # text in a dump is read by nobody
        columns_to_write = [key for key in columns_to_write if table[key].dtype.kind in "biuf"]
    options: dict[str, Any] = {}
    if name != "xyz":
        # edges along the axes are what every reader of dumps understands
        options["restricted_triclinic"] = not np.triu(np.asarray(data.cell[:, :3]).T, 1).any()
    try:
        export_file(data, str(path), name, columns=columns_to_write, **options)
    except RuntimeError as error:
        if "Failed to write" in str(error):  # the disk, and not what it was given
            raise OSError(str(error)) from None
        raise
    if name == "xyz":
        _add_attributes(path, data.attributes)


def _add_attributes(path: Path, attributes: Mapping[str, Any]) -> None:
    """Write global attributes, such as energies, into the comment line of an extended XYZ file.

    OVITO reads them from there and does not write them.
    """
    pairs = [
        f"{name}={_as_text(value)}"
        for name, value in attributes.items()
        if re.fullmatch(r"[\w.-]+", name) and name not in ("SourceFile", "SourceFrame")
    ]
    number, comment, rest = path.read_text(encoding="utf-8").split("\n", 2)
    path.write_text("\n".join([number, " ".join([comment, *pairs]), rest]), encoding="utf-8")


def _as_text(value: Any) -> str:
    """Value in a comment line: a number, a flag, or a quoted string or sequence of numbers."""
    if isinstance(value, (bool, np.bool_)):
        return "T" if value else "F"
    if isinstance(value, (int, float, np.number)):
        return str(value)
    text = value if isinstance(value, str) else _numbers(value)
    return json.dumps(text, ensure_ascii=False)


def _numbers(value: Any) -> str:
    """Numbers in a row; matrices column by column, as extended XYZ has them."""
    return " ".join(map(str, np.ravel(value, order="F").tolist()))


def _write_by_ase(
    path: Path,
    data: Any,
    columns: Mapping[str, NDArray[Any]],
    class_names: Sequence[str],
) -> None:
    """Write a frame in extended XYZ by ASE."""
    from ase.io import write

    atoms = ase_atoms(data)
    if atoms.calc is not None:
        # ASE refuses to write what both the calculator and the atoms have
        for name in atoms.calc.results:
            atoms.info.pop(name, None)
            atoms.arrays.pop(name, None)
    more = {}
    if columns:
        names = np.array([UNKNOWN_NAME, *class_names])
        more["structure"] = names[columns["label"] - UNKNOWN]
        more["color"] = label_colors(columns["label"], class_names)
    for name, values in (*columns.items(), *more.items()):
        atoms.arrays.pop(name, None)
        atoms.new_array(name, values)
    try:
        write(str(path), atoms, format="extxyz")
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"ASE cannot write it as extended XYZ ({error}).") from None
