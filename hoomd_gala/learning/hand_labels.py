"""Particles of trajectories that a person has labeled, in a CSV file."""

import csv
import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..files.trajectories import open_trajectory
from ..names import LONGEST_NAME, is_name
from ..results import DISORDERED, UNKNOWN_NAME
from ..selection import among_neighbors, bodies_once, choose, frame_centers
from ..systems import as_system
from .few_shot import Labeled

#: Digits of the largest index: no frame or particle has more, and arrays of indices hold them.
_DIGITS = 15

#: Columns that a file may have.
_COLUMNS = 4

#: Characters of a field that messages repeat.
_SHOWN = 40


class HandLabel(NamedTuple):
    """One particle's name.

    Attributes
    ----------
    file : int
        Index of the trajectory.
    frame, particle : int
        Indices from 0.
    name : str
        Of the structure around the particle.
    line : int
        Of the CSV file, from 1.
    """

    file: int
    frame: int
    particle: int
    name: str
    line: int


def read_labels(path: str | os.PathLike[str], files: Sequence[str]) -> list[HandLabel]:
    """Read names of particles from a CSV file.

    Parameters
    ----------
    path : path
        With the columns frame, particle and name in any order, and file where there are several.
    files : sequence of str
        The trajectories. In the CSV file they are written as here, or by their file names alone
        where these differ.

    Returns
    -------
    list of HandLabel
        Each particle once.

    Raises
    ------
    InputError
        If the file cannot be read, or a line of it is not valid.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"there is no file {path}.")
    labels: dict[tuple[int, int, int], HandLabel] = {}
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, skipinitialspace=True, strict=True)
            _check_columns(path, reader.fieldnames or [], len(files) > 1)
            for row in reader:
                label = _read_row(row, files, f"{path}, line {reader.line_num}", reader.line_num)
                known = labels.setdefault(label[:3], label)
                if known.name != label.name:
                    raise InputError(
                        f"{path}, line {label.line}: particle {label.particle} of frame "
                        f"{label.frame} is {_shown(label.name)} here and {_shown(known.name)} in "
                        f"line {known.line}."
                    )
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is not a CSV file in UTF-8 ({error}).") from None
    _check_counts(path, [label.name for label in labels.values()])
    return list(labels.values())


def _check_columns(path: Path, columns: Sequence[str], several: bool) -> None:
    needed = {"frame", "particle", "name"} | ({"file"} if several else set())
    unknown = [column for column in columns if column not in needed | {"file"}]
    missing = sorted(needed - set(columns))
    header = "file,frame,particle,name" if several else "frame,particle,name"
    if unknown or missing or len(set(columns)) < len(columns):
        wrong = [f"no column {column}" for column in missing]
        wrong += [f"an unknown column {_shown(column)}" for column in unknown[:_COLUMNS]]
        raise InputError(
            f"{path}, line 1: there is {' and '.join(wrong) or 'a column twice'}; "
            f"the first line must be {header}."
        )


def _read_row(row: dict[str, str | None], files: Sequence[str], where: str, line: int) -> HandLabel:
    if None in row or None in row.values():
        raise InputError(f"{where}: the number of fields is not that of the first line.")
    fields = {key: (value or "").strip() for key, value in row.items()}
    numbers = {}
    for key in ("frame", "particle"):
        if not fields[key].isdecimal():
            raise InputError(f"{where}: {key} {_shown(fields[key])} is not a non-negative integer.")
        if len(fields[key]) > _DIGITS:
            raise InputError(f"{where}: there is no {key} {_shown(fields[key])}.")
        numbers[key] = int(fields[key])
    if not fields["name"]:
        raise InputError(f"{where}: the name is empty.")
    if not is_name(fields["name"]):
        raise InputError(
            f"{where}: the name {_shown(fields['name'])} has more than {LONGEST_NAME} characters, "
            "or some that cannot be printed."
        )
    # capitals at the beginning make no other name of these two
    if fields["name"].casefold() == DISORDERED:
        fields["name"] = DISORDERED
    if fields["name"].casefold() == UNKNOWN_NAME:
        raise InputError(
            f"{where}: the name {UNKNOWN_NAME!r} is reserved for unknown structures; use another."
        )
    file = 0
    if "file" in fields:
        matches = [i for i, text in enumerate(files) if fields["file"] == text] or [
            i for i, text in enumerate(files) if fields["file"] == Path(text).name
        ]
        if len(matches) != 1:
            number = "several trajectories are" if matches else "no trajectory is"
            raise InputError(f"{where}: {number} named {_shown(fields['file'])}.")
        file = matches[0]
    return HandLabel(file, numbers["frame"], numbers["particle"], fields["name"], line)


def _shown(field: str) -> str:
    """Quote a field for a message, without its end if that is far away."""
    return repr(field if len(field) <= _SHOWN else field[:_SHOWN] + "…")


def _check_counts(path: Path, names: Sequence[str]) -> None:
    if len(set(names)) < 2:
        found = f"only {_shown(names[0])}" if names else "nothing"
        raise InputError(f"{path} names {found}; label particles of at least two structures.")
    lonely = sorted(name for name, number in Counter(names).items() if number == 1)
    if lonely:
        raise InputError(
            f"{path} has only one particle named {_shown(lonely[0])}; label at least two of each, "
            "and better 20."
        )


def labeled_systems(
    path: Any,
    files: Sequence[str],
    labels: Sequence[HandLabel],
    names: Sequence[str],
    neighbors: Sequence[str] | None = None,
) -> list[Labeled]:
    """Frames with labeled particles, as they are when particles are labeled by a model.

    Constituents of rigid bodies are left out; a label of one is that of its body.

    Parameters
    ----------
    path : path
        Of the labels, for messages.
    files : sequence of str
        GSD files.
    labels : sequence of HandLabel
        As :func:`read_labels` gives them.
    names : sequence of str
        Names of the classes.
    neighbors : sequence of str, optional
        Types of the particles that may be neighbors, as for labeling; all if not given,
        constituents too where they are named.

    Raises
    ------
    InputError
        If a file cannot be read, a frame, a particle or a type is not there, a labeled particle is
        not among the neighbors, particles of one rigid body have several names, or a frame has no
        environments.
    """
    found = []
    class_of = {name: index for index, name in enumerate(names)}
    of_frame: dict[tuple[int, int], list[HandLabel]] = defaultdict(list)
    for label in labels:
        of_frame[label.file, label.frame].append(label)
    for index, file in enumerate(files):
        with open_trajectory(file) as trajectory:
            for frame in sorted(frame for own, frame in of_frame if own == index):
                chosen = of_frame[index, frame]
                where = f"{path}, line {chosen[0].line}"
                if frame >= len(trajectory):
                    raise InputError(
                        f"{where}: there is no frame {frame} in {file}, which has "
                        f"{len(trajectory)} frames, numbered from 0."
                    )
                read = trajectory.read(frame)
                try:
                    system = as_system(read)
                except InputError as error:
                    raise InputError(f"frame {frame} of {file}: {error}") from None
                total = len(system.positions)
                for label in chosen:
                    if label.particle >= total:
                        raise InputError(
                            f"{path}, line {label.line}: there is no particle {label.particle} in "
                            f"frame {frame} of {file}, which has {total} particles, numbered from "
                            "0."
                        )
                particles = np.array([label.particle for label in chosen])
                classes = np.array([class_of[label.name] for label in chosen])
                centers = frame_centers(read) if neighbors is None else None
                if centers is not None:
                    particles = centers[particles]
                    _check_bodies(path, particles, chosen)
                around = neighbors if centers is None else bodies_once(centers)
                try:
                    choice = choose(system, particles, around)
                except InputError as error:
                    raise InputError(f"{where}: frame {frame} of {file}: {error}") from None
                part, own = among_neighbors(system, choice)
                assert own is not None
                found.append(Labeled(part, own, classes))
    return found


def _check_bodies(path: Any, bodies: NDArray[np.int64], labels: Sequence[HandLabel]) -> None:
    """Refuse several names of particles of one rigid body."""
    first: dict[int, HandLabel] = {}
    for body, label in zip(bodies.tolist(), labels, strict=True):
        known = first.setdefault(body, label)
        if known.name != label.name:
            raise InputError(
                f"{path}, line {label.line}: particle {label.particle} of frame {label.frame} is "
                f"{_shown(label.name)}, and particle {known.particle} of the same rigid body is "
                f"{_shown(known.name)} in line {known.line}."
            )
