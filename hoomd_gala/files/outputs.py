"""Labeled copies of frames, in the format that a file's ending says."""

import json
import re
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gsd.hoomd
import numpy as np
from numpy.typing import NDArray

from ..colors import label_colors, structure_color
from ..errors import InputError
from ..results import UNKNOWN, UNKNOWN_NAME, Clusters, Result
from ..schema import QUANTITIES
from ..selection import fill
from .conversion import ase_atoms, gsd_frame, ovito_data
from .labels import (
    add_labels,
    as_written,
    check_quantities,
    of_all,
    structures_as_types,
    types_so_far,
)
from .sources import Stored, has_ase, has_ovito

#: OVITO's and ASE's names of formats by the endings of files; None where ASE does not write it.
TEXT_FORMATS = {
    ".xyz": ("xyz", "extxyz"),
    ".extxyz": ("xyz", "extxyz"),
    ".dump": ("lammps/dump", None),
    ".lammpstrj": ("lammps/dump", None),
}

#: Takes a frame, its labels, which particles these are of, clusters of all particles if they are
#: wanted, and the timestep of a frame without one.
Write = Callable[[Stored, Result, NDArray[np.int64] | None, Clusters | None, int], None]


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
            f"LAMMPS dumps such as {path} are written by OVITO: pip install 'hoomd-gala[ovito]'; "
            "or write extended XYZ."
        )
    if not has_ase():
        raise InputError(
            f"extended XYZ such as {path} is written by OVITO or ASE, of which neither is "
            "installed: pip install 'hoomd-gala[ovito]', or pip install ase."
        )


@contextmanager
def open_output(
    part: Path, target: Path, quantities: Sequence[str] = QUANTITIES, keep_types: bool = False
) -> Iterator[Write]:
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

    Yields
    ------
    callable
        Appends a frame.
    """
    if target.suffix == ".gsd":
        with _GsdOutput(part, quantities, keep_types) as output:
            yield output.write
        return
    by_ovito, _ = TEXT_FORMATS[target.suffix]
    frame_path = part.with_name(part.name + ".frame")
    try:
        with open(part, "wb") as file:

            def write(
                stored: Stored,
                result: Result,
                particles: NDArray[np.int64] | None,
                clusters: Clusters | None,
                step: int,
            ) -> None:
                total = stored.n_particles
                columns = _columns(result, particles, total, quantities)
                if clusters is not None:
                    columns["cluster"] = clusters.ids
                # ASE writes all that it has read
                by_ase = by_ovito == "xyz" and hasattr(stored.data, "numbers") and has_ase()
                if has_ovito() and not by_ase:
                    _export(frame_path, by_ovito, stored.data, columns, result.class_names, step)
                else:
                    _write_by_ase(frame_path, stored.data, columns, result.class_names)
                with open(frame_path, "rb") as frame:
                    shutil.copyfileobj(frame, file)

            yield write
    finally:
        frame_path.unlink(missing_ok=True)


class _GsdOutput:
    """A GSD file of labeled frames."""

    def __init__(self, part: Path, quantities: Sequence[str], keep_types: bool) -> None:
        self.part, self.quantities, self.keep_types = part, quantities, keep_types
        self.types: list[str] = []
        self.file: Any = None
        self.logged: set[str] = set()
        self.step, self.goes_back = 0, False

    def __enter__(self) -> "_GsdOutput":
        self.part.touch()
        return self

    def __exit__(self, *_: Any) -> None:
        if self.file is not None:
            self.file.close()

    def write(
        self,
        stored: Stored,
        result: Result,
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
        add_labels(frame, result, particles, self.quantities, clusters)
        if not self.keep_types and result.class_names:
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
        append_all(self.file, frame, stored.others)

    def _note_step(self, step: int) -> None:
        if step < self.step and not self.goes_back:
            self.goes_back = True
            warnings.warn(
                f"timesteps go back from {self.step} to {step}; frames are in the order of the "
                "input, with its timesteps.",
                stacklevel=2,
            )
        self.step = step


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
    for container in vars(frame).values():
        if getattr(container, "types", None):
            container.types = as_written(container.types)
    for name, values in others.items():
        trajectory.file.write_chunk(name, values)
    trajectory.append(frame)


def _columns(
    result: Result, particles: NDArray[np.int64] | None, total: int, quantities: Sequence[str]
) -> dict[str, NDArray[Any]]:
    """Columns of a text file, by name: values of all particles."""
    wanted = check_quantities(quantities, result.class_names)
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
        corner = positions.min(axis=0)
        edges = np.diag(np.maximum(positions.max(axis=0) - corner, 1))
        data.create_cell(np.column_stack((edges, corner)), pbc=(False, False, False))
    table = data.particles_
    for column, values in columns.items():
        if column in table:
            del table[column]
        table.create_property(column, data=values)
    if name == "xyz":
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
    export_file(data, str(path), name, columns=columns_to_write, **options)
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
    text = value if isinstance(value, str) else " ".join(map(str, np.ravel(value).tolist()))
    return json.dumps(text, ensure_ascii=False)


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
    names = np.array([UNKNOWN_NAME, *class_names])
    more = {
        "structure": names[columns["label"] - UNKNOWN],
        "color": label_colors(columns["label"], class_names),
    }
    for name, values in (*columns.items(), *more.items()):
        atoms.arrays.pop(name, None)
        atoms.new_array(name, values)
    try:
        write(str(path), atoms, format="extxyz")
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"ASE cannot write it as extended XYZ ({error}).") from None
