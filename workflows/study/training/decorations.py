"""Names of the local environments of all unit cells when types count, for the model ``compounds``.

An environment that several cells have is named for the simplest. Crystals of one type, and solid
solutions, in which types are at random, have the name of their lattice.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from hoomd_gala.crystals.prototypes import UnitCell, crystal, unit_cell, unit_cells
from hoomd_gala.crystals.sites import (
    SIMILAR,
    Site,
    decorated_descriptors,
    nearest_site,
    sites_of,
)
from hoomd_gala.errors import InputError
from hoomd_gala.files.atomic import replacing
from study.training.kinds import IGNORED, STRANGE, Kinds, find_kinds, named_cells

#: Distance of decorated descriptors up to which two environments are one.
EQUIVALENT = 0.015


class Decorations(NamedTuple):
    """Names of the environments of unit cells whose types count.

    Attributes
    ----------
    kinds : Kinds
        One "environment" for each name; the labels of a unit cell's particles are these.
    blind : dict of str to (n,) int array
        For each unit cell, the names that its particles have as a solid solution; IGNORED for those
        without one.
    """

    kinds: Kinds
    blind: dict[str, NDArray[np.int64]]

    def parent(self, name: str) -> int | None:
        """Name, as a number, of the lattice that a cell is an order of; None if of none."""
        (parent, *others) = np.unique(self.blind[name])
        return None if others or parent == IGNORED else int(parent)


def find_decorations(lattices: Sequence[str], left_out: Sequence[str]) -> Decorations:
    """Compare the environments of all unit cells with regard to types.

    Parameters
    ----------
    lattices : sequence of str
        Unit cells that solid solutions are named for, beside all cells of one type.
    left_out : sequence of str
        Unit cells that nothing is learned from.

    Raises
    ------
    InputError
        If a cell to leave out has an environment like that of another.
    """
    plain = find_kinds(named_cells(lattices, ()), ())
    names = list(dict.fromkeys(plain.cells))
    of_kind = np.array([*(names.index(cell) for cell in plain.cells), IGNORED, IGNORED])
    blind = {
        name: np.where(row == IGNORED, IGNORED, of_kind[row]) for name, row in plain.labels.items()
    }
    labels: dict[str, NDArray[np.int64]] = {}
    known: list[Site] = []
    known_name: list[int] = []
    rest = sorted(unit_cells(), key=lambda name: len(unit_cell(name).system.positions))
    of_one_type = [name for name in rest if len(set(unit_cell(name).system.types)) == 1]
    several = [name for name in rest if name not in (*of_one_type, *left_out)]
    for name in of_one_type:
        labels[name] = blind[name]
    for name in tqdm([*of_one_type, *several], desc="compare decorations", unit="cell"):
        row = labels.get(name, np.full(len(unit_cell(name).system.positions), IGNORED))
        for site in sites_of(unit_cell(name), decorated_descriptors):
            members = list(site.members)
            if name not in labels:
                nearest, distance = nearest_site(site.descriptor, known)
                if distance < EQUIVALENT and known_name[nearest] != IGNORED:
                    row[members] = known_name[nearest]
                    continue
                if name not in names:
                    names.append(name)
                row[members] = names.index(name)
            known.append(site)
            known_name.append(int(row[members[0]]))
        labels[name] = row
    for name in left_out:
        own = sites_of(unit_cell(name), decorated_descriptors)
        if min(nearest_site(site.descriptor, known)[1] for site in own) < STRANGE:
            raise InputError(f"{name} cannot be left out: others are too similar.")
        labels[name] = np.full(len(unit_cell(name).system.positions), IGNORED)
    return Decorations(Kinds(tuple(names), labels, tuple(left_out)), blind)


def known_decorations(found: Decorations) -> tuple[list[Site], NDArray[np.int64]]:
    """Sites of all unit cells that have a name, and these names as numbers."""
    known = [
        site
        for name in found.kinds.labels
        if name not in found.kinds.left_out
        for site in sites_of(unit_cell(name), decorated_descriptors)
    ]
    names = [found.kinds.labels[site.cell][site.members[0]] for site in known]
    return known, np.array(names)


def label_decoration(
    cell: UnitCell, kinds: Kinds, known: Sequence[Site], names: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Labels (n,) of the particles of any unit cell, as :func:`known_decorations` has their names.

    What is similar to a known environment, and another, is an example of neither.
    """
    rows = decorated_descriptors(crystal(cell, 512), np.arange(len(cell.system.positions)))
    labels = []
    for row in rows:
        nearest, distance = nearest_site(row, known)
        unlike = kinds.other if distance > SIMILAR else IGNORED
        labels.append(names[nearest] if distance < EQUIVALENT else unlike)
    return np.array(labels, dtype=np.int64)


def write_decorations(path: Path, found: Decorations) -> None:
    """Write the names as JSON."""
    content = {
        "names": found.kinds.cells,
        "labels": {name: row.tolist() for name, row in found.kinds.labels.items()},
        "left_out": found.kinds.left_out,
        "blind": {name: row.tolist() for name, row in found.blind.items()},
    }
    with replacing(path) as part:
        part.write_text(json.dumps(content))


def read_decorations(path: Path) -> Decorations:
    """Read what :func:`write_decorations` wrote."""
    content = json.loads(path.read_text())
    labels, blind = (
        {name: np.array(row) for name, row in content[key].items()} for key in ("labels", "blind")
    )
    return Decorations(
        Kinds(tuple(content["names"]), labels, tuple(content["left_out"])),
        blind,
    )
