"""What the shipped model learns from: hot crystals, surfaces, stacking faults, and disorder.

Samples are systems whose ``types`` hold what each particle is to be called; the network is blind to
types. The number is a kind of site (see :mod:`~.sites`), or one of the two that follow the
last kind: OTHER, a crystal without a name, and DISORDERED; or IGNORED.
"""

import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from hoomd_gala.crystals.prototypes import (
    UnitCell,
    crystal,
    displace,
    droplet,
    strain,
    unit_cell,
    unit_cells,
)
from hoomd_gala.crystals.sites import Site, descriptors, nearest_site, sites
from hoomd_gala.crystals.springs import displace_together
from hoomd_gala.files.trajectories import open_trajectory
from hoomd_gala.learning.datasets import BROKEN, INTACT, Frames, join
from hoomd_gala.neighbors.environments import PeriodicTree, nearest_neighbors
from hoomd_gala.systems import System, as_system, make_system

#: Particles that a sample leaves out: their surroundings are neither one thing nor the other.
IGNORED = -1

#: Distances of descriptors. Below SAME two sites are one kind; a site without a name that comes
#: closer than UNLIKE to a named one says nothing about what is unknown; cells with all sites beyond
#: STRANGE may be left out of training to test what is said of the unknown. For scale: cubic and
#: hexagonal diamond are 0.2 apart, cF4-Cu and cI2-W 0.4.
SAME, UNLIKE, STRANGE = 0.01, 0.12, 0.2

#: Particles of a crystal, and of one that a droplet is cut from.
N_BULK, N_SURFACE = 600, 2500


class Kinds(NamedTuple):
    """The kinds of sites that are told apart, and what the particles of each unit cell are.

    Attributes
    ----------
    cells : tuple of str
        For each kind, the unit cell that it is named for: the simplest that has it.
    labels : dict of str to (n,) int array
        For each unit cell, the kind of every particle, ``other`` or IGNORED.
    left_out : tuple of str
        Unit cells that nothing is learned from, to test what is said of the unknown.
    """

    cells: tuple[str, ...]
    labels: dict[str, NDArray[np.int64]]
    left_out: tuple[str, ...]

    @property
    def other(self) -> int:
        """Label of a crystal's site without a name."""
        return len(self.cells)

    @property
    def disordered(self) -> int:
        """Label of particles in gases, liquids, glasses and at surfaces."""
        return len(self.cells) + 1


def one_element_cells() -> list[str]:
    """Unit cells with particles of one type."""
    return [name for name, cell in unit_cells().items() if len(set(cell.system.types)) == 1]


def find_kinds(named: Sequence[str], n_left_out: int, rng: np.random.Generator) -> Kinds:
    """Compare the sites of all unit cells.

    Parameters
    ----------
    named : sequence of str
        Unit cells whose sites have names. The first to have a kind of site gives it its name.
    n_left_out : int
        Unit cells to leave out, chosen among those without a site like a named one.
    """
    known: list[Site] = []
    labels: dict[str, NDArray[np.int64]] = {}
    strangers = []
    rest = [name for name in unit_cells() if name not in named]
    for name in tqdm([*named, *rest], desc="compare sites", unit="cell"):
        row = np.empty(len(unit_cell(name).system.positions), np.int64)
        distances = []
        for site in sites(name):
            kind, distance = nearest_site(site.descriptor, known) if known else (0, np.inf)
            distances.append(distance)
            if distance < SAME:
                row[list(site.members)] = kind
            elif name in named:
                row[list(site.members)] = len(known)
                known.append(site)
            else:
                # numbered when the number of kinds is known
                row[list(site.members)] = -2 if distance > UNLIKE else IGNORED
        labels[name] = row
        if min(distances) > STRANGE:
            strangers.append(name)
    for row in labels.values():
        row[row == -2] = len(known)
    candidates = [name for name in strangers if name in rest]
    left_out = rng.choice(candidates, n_left_out, replace=False)
    return Kinds(tuple(site.cell for site in known), labels, tuple(sorted(left_out.tolist())))


@functools.lru_cache(maxsize=8)
def _perfect(name: str, n_particles: int) -> System:
    return crystal(unit_cell(name), n_particles)


#: Share of samples whose particles are pushed apart, and how close they may stay, in units of the
#: shortest distance.
PUSHED, CORES = 0.6, (0.75, 0.95)


#: Share of samples in which neighbors move together.
TOGETHER = 0.6


def push_apart(system: System, core: float, n_iterations: int = 12) -> System:
    """Move particles that are closer than ``core`` away from each other.

    Gaussian displacements bring particles closer than any potential lets them. A network that only
    sees such crystals, and disorder from simulation, learns that what keeps its distance is
    disordered.
    """
    for _ in range(n_iterations):
        bonds = PeriodicTree.build(system.positions, system.box).nearest(n=14).bonds
        lengths = np.maximum(np.linalg.norm(bonds, axis=-1, keepdims=True), 1e-9)
        overlap = np.maximum(core - lengths, 0)
        if not overlap.any():
            break
        # each of the two takes half of the way
        system = system._replace(
            positions=system.positions - (0.5 * overlap * bonds / lengths).sum(axis=1)
        )
    return system


def heat(system: System, noise: float, rng: np.random.Generator) -> System:
    """Displacements, of each particle by itself or together, in most samples no close contacts."""
    move = displace_together if rng.random() < TOGETHER else displace
    hot = move(system, noise, rng)
    return push_apart(hot, rng.uniform(*CORES)) if rng.random() < PUSHED else hot


def hot_crystal(
    name: str, kinds: Kinds, noise: float, surface: bool, rng: np.random.Generator
) -> System:
    """A strained crystal with thermal displacements, whole or as a droplet in vacuum.

    Parameters
    ----------
    name : str
        Unit cell.
    kinds : Kinds
        What its particles are.
    noise : float
        Displacement in each direction, in units of the shortest distance.
    surface : bool
        Cut a droplet out of it, whose outermost particles count as disordered.
    """
    perfect = _perfect(name, N_SURFACE if surface else N_BULK)
    labelled = perfect._replace(types=np.resize(kinds.labels[name], len(perfect.positions)))
    sample = strain(labelled, 0.015, rng)
    if surface:
        sample, intact = droplet(sample, rng.uniform(0.7, 0.95))
        partly = np.where(intact >= INTACT, sample.types, IGNORED)
        sample = sample._replace(types=np.where(intact <= BROKEN, kinds.disordered, partly))
    return heat(sample, noise, rng)


#: Layers of a stacking sequence, and particles along each side of a layer.
_LAYERS, _SIDE = 12, 10


def _sequence(rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Random close-packed stacking: position 0, 1 or 2 of each layer, and whether it is cubic."""
    while True:
        fault = rng.uniform(0.1, 0.6)
        steps = np.cumprod(np.where(rng.random(_LAYERS) < fault, -1, 1))
        if steps.sum() % 3 == 0:  # the sequence closes on itself across the periodic boundary
            break
    stacking = np.concatenate(([0], np.cumsum(steps)[:-1])) % 3
    return stacking, steps == np.roll(steps, 1)


def stacked(cubic: int, hexagonal: int, diamond: bool, rng: np.random.Generator) -> System:
    """Layers in random cubic and hexagonal stacking, of spheres or of diamond's pairs.

    A layer is cubic when the layers above and below it differ, else hexagonal: what PTM and common
    neighbor analysis find in twins and stacking faults.

    Parameters
    ----------
    cubic, hexagonal : int
        Labels of the particles in either kind of layer.
    diamond : bool
        Put two particles of the diamond structure, one above the other, on each site.
    """
    stacking, is_cubic = _sequence(rng)
    a1, a2 = np.array([1.0, 0, 0]), np.array([0.5, np.sqrt(3) / 2, 0])
    height = np.sqrt(2 / 3)
    i, j = np.meshgrid(np.arange(_SIDE), np.arange(_SIDE), indexing="ij")
    layer = i.reshape(-1, 1) * a1 + j.reshape(-1, 1) * a2
    shift = (a1 + a2) / 3
    points = np.concatenate(
        [layer + s * shift + [0, 0, k * height] for k, s in enumerate(stacking)]
    )
    labels = np.repeat(np.where(is_cubic, cubic, hexagonal), len(layer))
    if diamond:
        points = np.concatenate((points, points + np.array([0, 0, height * 0.75])))
        labels = np.concatenate((labels, labels))
    box = [_SIDE, _SIDE * np.sqrt(3) / 2, _LAYERS * height, 1 / np.sqrt(3), 0, 0]
    system = make_system(points, box, labels)
    scale = np.sqrt(8 / 3) if diamond else 1.0  # the shortest distance becomes 1
    system.box[:3] *= scale
    return system._replace(positions=system.positions * scale)


def hot_stack(
    cubic: int, hexagonal: int, diamond: bool, noise: float, rng: np.random.Generator
) -> System:
    """Random stacking, strained and displaced."""
    return heat(strain(stacked(cubic, hexagonal, diamond, rng), 0.01, rng), noise, rng)


def stacks(kinds: Kinds, n: int, noise: float, rng: np.random.Generator) -> Iterator[System]:
    """Random stackings of spheres and of diamond, with displacements up to ``noise``."""
    for i in range(n):
        diamond = i % 2 == 1
        cells = ("cF8-C", "hP4-C.3") if diamond else ("cF4-Cu", "hP2-Mg")
        cubic, hexagonal = (int(kinds.labels[cell][0]) for cell in cells)
        yield hot_stack(cubic, hexagonal, diamond, rng.uniform(0.005, noise), rng)


def label_sites(cell: UnitCell, kinds: Kinds, known: Sequence[Site]) -> NDArray[np.int64]:
    """What the particles of a unit cell are, by their surroundings."""
    grown = crystal(cell, 512)
    labels = []
    for row in descriptors(grown, np.arange(len(cell.system.positions))):
        kind, distance = nearest_site(row, known)
        unlike = kinds.other if distance > UNLIKE else IGNORED
        labels.append(kind if distance < SAME else unlike)
    return np.array(labels)


def known_sites(kinds: Kinds) -> list[Site]:
    """A site of each kind."""
    found: dict[int, Site] = {}
    for name in dict.fromkeys(kinds.cells):
        for site in sites(name):
            found.setdefault(int(kinds.labels[name][site.members[0]]), site)
    return [found[kind] for kind in range(len(kinds.cells))]


def others(
    cells: Sequence[UnitCell], kinds: Kinds, noise: float, rng: np.random.Generator
) -> Iterator[System]:
    """A hot crystal of each of some unit cells that are not of the database."""
    known = known_sites(kinds)
    for cell in cells:
        perfect = crystal(cell, N_BULK)
        labels = np.resize(label_sites(cell, kinds, known), len(perfect.positions))
        strained = strain(perfect._replace(types=labels), 0.015, rng)
        yield heat(strained, rng.uniform(0.005, noise), rng)


def fluids(paths: Sequence[Path], kinds: Kinds, rng: np.random.Generator) -> Iterator[System]:
    """All frames of simulations without order, half of them with close contacts.

    See :func:`push_apart`: nor is everything crystalline that has close contacts.
    """
    for path in paths:
        with open_trajectory(path) as trajectory:
            for frame in trajectory:
                system = as_system(frame)
                system = system._replace(types=np.full(len(system.positions), kinds.disordered))
                bonds = nearest_neighbors(system.positions, system.box, n=1).bonds
                distance = float(np.median(np.linalg.norm(bonds, axis=-1)))
                noise = rng.uniform(0, 0.12) * distance if rng.random() < 0.5 else 0.0
                yield displace(system, noise, rng)


def crystal_plan(
    kinds: Kinds,
    common: Sequence[str],
    counts: Mapping[str, int],
    noise: Mapping[str, float],
    rng: np.random.Generator,
) -> list[tuple[str, float, bool]]:
    """Which crystals to sample, how hot, and whether with a surface: (name, noise, surface).

    Parameters
    ----------
    kinds : Kinds
        Tells named cells from others.
    common : sequence of str
        Unit cells to be told apart when hottest.
    counts, noise : mapping
        Samples of each cell and highest displacement, for ``common``, ``named`` and ``other``
        cells.
    """
    named = set(kinds.cells)
    plan = []
    for name in kinds.labels:
        if name in kinds.left_out or (kinds.labels[name] == IGNORED).all():
            continue
        group = "common" if name in common else "named" if name in named else "other"
        for i in range(counts[group]):
            # stratified over the range, so that every level occurs for every cell
            share = (i + rng.random()) / counts[group]
            plan.append((name, 0.005 + share * (noise[group] - 0.005), rng.random() < 0.25))
    return plan


def environments(
    plan: Sequence[tuple[str, float, bool]],
    kinds: Kinds,
    per_kind: Mapping[str, int],
    common: Sequence[str],
    rng: np.random.Generator,
) -> Frames:
    """Some environments of each kind from each crystal of a plan.

    ``per_kind`` says how many of each kind of site from a single crystal, by the group of the cell
    as in :func:`crystal_plan`.
    """
    named = set(kinds.cells)
    parts = []
    for name, noise, surface in tqdm(plan, desc="sample crystals", unit="crystal"):
        group = "common" if name in common else "named" if name in named else "other"
        sample = hot_crystal(name, kinds, noise, surface, rng)
        parts.append(take_each(sample, per_kind[group], rng))
    return join(parts)


def take_each(sample: System, n: int, rng: np.random.Generator) -> Frames:
    """At most ``n`` random environments of every label of a sample."""
    order = rng.permutation(len(sample.types))
    chosen = []
    for label in np.unique(sample.types):
        if label != IGNORED:
            chosen.append(order[sample.types[order] == label][:n])
    rows = np.concatenate(chosen) if chosen else np.empty(0, np.int64)
    bonds = PeriodicTree.build(sample.positions, sample.box).nearest(rows).bonds
    blind = np.zeros(bonds.shape[:2], np.int64)
    return Frames(bonds, blind[:, 0], blind, sample.types[rows])
