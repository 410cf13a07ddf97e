"""Local environments that the shipped model distinguishes, and what each unit cell has."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import gsd.hoomd
import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from hoomd_gala.crystals.prototypes import UnitCell, crystal, unit_cell, unit_cells
from hoomd_gala.crystals.random_cells import random_crystals
from hoomd_gala.crystals.sites import EQUIVALENT, SIMILAR, Site, descriptors, nearest_site, sites
from hoomd_gala.errors import InputError
from hoomd_gala.files.atomic import replacing
from hoomd_gala.files.trajectories import make_frame, open_trajectory
from hoomd_gala.systems import Array, as_system
from study.training.lattices import (
    AMBIGUOUS_STRAIN,
    LARGEST_STRAIN,
    nearest_lattice,
    primitive_vectors,
)

#: Label of particles that a sample leaves out, as their environment is ambiguous.
IGNORED = -1

#: Structures that layers are of in any stacking of close-packed layers, and in any of diamond.
STACKED = (frozenset({"cF4-Cu", "hP2-Mg"}), frozenset({"cF8-C", "hP4-C.3"}))

#: Cells whose environments are all farther than this from those with a name, as a distance of
#: descriptors, may be left out of training, to test detection of the unknown.
STRANGE = 0.2


class Kinds(NamedTuple):
    """The local environments that are distinguished, and those of each unit cell's particles.

    Attributes
    ----------
    cells : tuple of str
        For each environment, the unit cell that it is named for: the simplest that has it.
    labels : dict of str to (n,) int array
        For each unit cell, the environment of every particle, ``other`` or IGNORED.
    left_out : tuple of str
        Unit cells left out of training, to test detection of the unknown.
    """

    cells: tuple[str, ...]
    labels: dict[str, NDArray[np.int64]]
    left_out: tuple[str, ...]

    @property
    def other(self) -> int:
        """Label of a crystalline environment without a name."""
        return len(self.cells)

    @property
    def disordered(self) -> int:
        """Label of particles in gases, liquids, glasses and at surfaces."""
        return len(self.cells) + 1


def one_element_cells() -> list[str]:
    """Return unit cells with particles of one type."""
    return [name for name, cell in unit_cells().items() if len(set(cell.system.types)) == 1]


def named_cells(common: Sequence[str], others: Sequence[str]) -> list[str]:
    """Return unit cells with names, the common ones first, then from small to large.

    All cells of one element are among them. An environment that several cells have is named for
    the first.
    """
    rest = list(dict.fromkeys([*one_element_cells(), *others]))
    rest.sort(key=lambda name: len(unit_cell(name).system.positions))
    return [*common, *(name for name in rest if name not in common)]


def label_layers(
    cell: UnitCell, labels: Mapping[str, NDArray[np.int64]]
) -> NDArray[np.int64] | None:
    """Labels (n,) of the particles of a stacking; None for another cell.

    In a stacking of close-packed layers or of those of diamond, a layer between two that differ is
    cubic, and one between two alike is hexagonal, as common neighbor analysis tells them. What has
    the topology of a stacking but is not similar to it is none.

    Parameters
    ----------
    cell : UnitCell
        Of any origin.
    labels : mapping of str to (n,) int array
        Of cells with names; without the cells of both kinds of layers, nothing is a stacking.
    """
    # imported here, as only this needs OVITO
    from study.solids.references import common_neighbor_analysis

    n = len(cell.system.positions)
    grown = crystal(cell, 512)
    found = common_neighbor_analysis(grown)[:n]
    names = set(found.tolist())
    if not any(names <= structures <= labels.keys() for structures in STACKED):
        return None
    layers = np.empty(n, np.int64)
    for name in names:
        rows = np.flatnonzero(found == name)
        (layer,) = sites(name)
        apart = np.linalg.norm(descriptors(grown, rows) - layer.descriptor, axis=1)
        if apart.max() > SIMILAR:
            return None
        layers[rows] = labels[name][0]
    return layers


def find_kinds(named: Sequence[str], left_out: Sequence[str]) -> Kinds:
    """Compare the local environments of all unit cells.

    Parameters
    ----------
    named : sequence of str
        Unit cells whose environments have names. Each is named for the first that has it, a
        lattice for the first that it is a distortion of (see :mod:`~.lattices`), and a layer of a
        stacking for fcc, hcp, or cubic or hexagonal diamond.
    left_out : sequence of str
        Unit cells that nothing is learned from.

    Raises
    ------
    InputError
        If a cell to leave out has an environment like a named one, so that it is learned after all.
    """
    known: list[Site] = []
    labels: dict[str, NDArray[np.int64]] = {}
    strangers = []
    lattices: dict[int, Array] = {}
    rest = [name for name in unit_cells() if name not in named]
    for name in tqdm([*named, *rest], desc="compare sites", unit="cell"):
        row = np.empty(len(unit_cell(name).system.positions), np.int64)
        lattice = primitive_vectors(unit_cell(name))
        if lattice is not None:
            kind, strain = nearest_lattice(lattice, lattices)
            if strain < LARGEST_STRAIN or (strain < AMBIGUOUS_STRAIN and name not in named):
                labels[name] = np.full_like(row, kind if strain < LARGEST_STRAIN else IGNORED)
                continue
            if name in named:
                lattices[len(known)] = lattice
        layers = label_layers(unit_cell(name), labels)
        if layers is not None:
            labels[name] = layers
            continue
        distances = []
        for site in sites(name):
            kind, distance = nearest_site(site.descriptor, known) if known else (0, np.inf)
            distances.append(distance)
            if distance < EQUIVALENT:
                row[list(site.members)] = kind
            elif name in named:
                row[list(site.members)] = len(known)
                known.append(site)
            else:
                # numbered when the number of environments is known
                row[list(site.members)] = -2 if distance > SIMILAR else IGNORED
        labels[name] = row
        if min(distances) > STRANGE:
            strangers.append(name)
    for row in labels.values():
        row[row == -2] = len(known)
    alike_named = sorted(set(left_out) - set(strangers))
    if alike_named:
        raise InputError(f"{', '.join(alike_named)} cannot be left out: others are too similar.")
    return Kinds(tuple(site.cell for site in known), labels, tuple(left_out))


def known_sites(kinds: Kinds) -> list[Site]:
    """Return a site with each environment."""
    found: dict[int, Site] = {}
    for name in dict.fromkeys(kinds.cells):
        for site in sites(name):
            found.setdefault(int(kinds.labels[name][site.members[0]]), site)
    return [found[kind] for kind in range(len(kinds.cells))]


def known_lattices(kinds: Kinds) -> dict[int, Array]:
    """Return the lattices that have a name, by their environment."""
    found: dict[int, Array] = {}
    for kind, name in enumerate(kinds.cells):
        lattice = primitive_vectors(unit_cell(name))
        if lattice is not None:
            found.setdefault(kind, lattice)
    return found


def label_sites(
    cell: UnitCell,
    kinds: Kinds,
    known: Sequence[Site],
    lattices: Mapping[int, Array],
    similar: float = SIMILAR,
) -> NDArray[np.int64]:
    """Labels of the particles of a unit cell by their environment, (n,).

    Parameters
    ----------
    cell : UnitCell
        Of any origin.
    kinds : Kinds
        Environments with names.
    known : sequence of Site
        One with each environment.
    lattices : mapping of int to (3, 3)
        Primitive vectors of those that are lattices.
    similar : float
        Distance of descriptors from which another environment has no name; up to it, it is an
        example of neither.
    """
    n = len(cell.system.positions)
    lattice = primitive_vectors(cell)
    if lattice is not None:
        kind, strain = nearest_lattice(lattice, lattices)
        if strain < AMBIGUOUS_STRAIN:
            return np.full(n, kind if strain < LARGEST_STRAIN else IGNORED)
    layers = label_layers(cell, kinds.labels)
    if layers is not None:
        return layers
    grown = crystal(cell, 512)
    labels = []
    for row in descriptors(grown, np.arange(n)):
        kind, distance = nearest_site(row, known)
        unlike = kinds.other if distance > similar else IGNORED
        labels.append(kind if distance < EQUIVALENT else unlike)
    return np.array(labels)


def write_kinds(path: Path, kinds: Kinds) -> None:
    """Write the local environments as JSON."""
    content = {
        "cells": kinds.cells,
        "labels": {name: row.tolist() for name, row in kinds.labels.items()},
        "left_out": kinds.left_out,
    }
    with replacing(path) as part:
        part.write_text(json.dumps(content))


def read_kinds(path: Path) -> Kinds:
    """Read what :func:`write_kinds` wrote."""
    content = json.loads(path.read_text())
    labels = {name: np.array(row) for name, row in content["labels"].items()}
    return Kinds(tuple(content["cells"]), labels, tuple(content["left_out"]))


def write_cells(path: Path, cells: Iterable[UnitCell]) -> None:
    """Write unit cells as frames of a GSD file."""
    with replacing(path) as part, gsd.hoomd.open(part, "w") as file:
        for step, cell in enumerate(cells):
            file.append(make_frame(cell.system, step))


def write_random_cells(path: Path, n: int, seed: int) -> None:
    """Search for random cells, crystals that no database has, and write them."""
    write_cells(path, random_crystals(n, np.random.default_rng([seed, 1])))


def read_cells(path: Path) -> list[UnitCell]:
    """Read what :func:`write_cells` wrote; the names are numbers."""
    with open_trajectory(path) as frames:
        return [UnitCell(str(i), 1, as_system(frame)) for i, frame in enumerate(frames)]
