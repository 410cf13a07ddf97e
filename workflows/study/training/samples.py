"""Samples that the shipped model learns from: hot crystals, surfaces, stacking faults, disorder.

Samples are systems whose ``types`` hold the label of each particle; the network is blind to types.
A label is a local environment (see :mod:`~.kinds`), or one of the two numbers that follow the last
one: OTHER, a crystal without a name, and DISORDERED; or IGNORED.
"""

import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from hoomd_gala.crystals.prototypes import (
    UnitCell,
    crystal,
    displace,
    droplet,
    strain,
    unit_cell,
)
from hoomd_gala.crystals.springs import displace_together
from hoomd_gala.crystals.stackings import random_stacking
from hoomd_gala.files.trajectories import open_trajectory
from hoomd_gala.learning.datasets import BROKEN, INTACT, Frames, join
from hoomd_gala.neighbors.environments import PeriodicTree, nearest_neighbors
from hoomd_gala.systems import System, as_system
from study.training.kinds import IGNORED, Kinds, known_sites, label_sites

#: Particles of a crystal, and of one from which a droplet is cut.
N_BULK, N_SURFACE = 600, 2500


@functools.lru_cache(maxsize=8)
def _perfect(name: str, n_particles: int) -> System:
    return crystal(unit_cell(name), n_particles)


#: Share of samples without close contacts, and the range of their closest distance, in units of the
#: crystal's shortest.
PUSHED, CORES = 0.6, (0.75, 0.95)

#: Share of samples with correlated displacements.
TOGETHER = 0.6


def push_apart(system: System, core: float, n_iterations: int = 12) -> System:
    """Move particles that are closer than ``core`` away from each other.

    Independent displacements bring particles closer than any potential allows. A network that only
    sees such crystals, and disorder from simulation, learns that an environment without close
    contacts is disordered.
    """
    for _ in range(n_iterations):
        bonds = PeriodicTree.build(system.positions, system.box).nearest(n=14).bonds
        lengths = np.maximum(np.linalg.norm(bonds, axis=-1, keepdims=True), 1e-9)
        overlap = np.maximum(core - lengths, 0)
        if not overlap.any():
            break
        # each of the two moves half of the way
        system = system._replace(
            positions=system.positions - (0.5 * overlap * bonds / lengths).sum(axis=1)
        )
    return system


def heat(system: System, noise: float, rng: np.random.Generator) -> System:
    """Thermal displacements, independent or correlated, in most samples without close contacts."""
    move = displace_together if rng.random() < TOGETHER else displace
    hot = move(system, noise, rng)
    return push_apart(hot, rng.uniform(*CORES)) if rng.random() < PUSHED else hot


def hot_crystal(
    name: str, kinds: Kinds, noise: float, surface: bool, rng: np.random.Generator
) -> System:
    """Return a strained crystal with thermal displacements, whole or as a droplet in vacuum.

    Parameters
    ----------
    name : str
        Unit cell.
    kinds : Kinds
        Labels of its particles.
    noise : float
        Displacement in each direction, in units of the shortest distance.
    surface : bool
        Cut a droplet out of it; its outermost particles are labeled disordered.
    """
    perfect = _perfect(name, N_SURFACE if surface else N_BULK)
    labeled = perfect._replace(types=np.resize(kinds.labels[name], len(perfect.positions)))
    sample = strain(labeled, 0.015, rng)
    if surface:
        sample, intact = droplet(sample, rng.uniform(0.7, 0.95))
        partly = np.where(intact >= INTACT, sample.types, IGNORED)
        sample = sample._replace(types=np.where(intact <= BROKEN, kinds.disordered, partly))
    return heat(sample, noise, rng)


def hot_stack(
    cubic: int, hexagonal: int, diamond: bool, noise: float, rng: np.random.Generator
) -> System:
    """Random stacking, strained and displaced."""
    return heat(strain(random_stacking(cubic, hexagonal, diamond, rng), 0.01, rng), noise, rng)


def stacks(kinds: Kinds, n: int, noise: float, rng: np.random.Generator) -> Iterator[System]:
    """Random stackings of spheres and of diamond, with displacements up to ``noise``."""
    for i in range(n):
        diamond = i % 2 == 1
        cells = ("cF8-C", "hP4-C.3") if diamond else ("cF4-Cu", "hP2-Mg")
        cubic, hexagonal = (int(kinds.labels[cell][0]) for cell in cells)
        yield hot_stack(cubic, hexagonal, diamond, rng.uniform(0.005, noise), rng)


def others(
    cells: Sequence[UnitCell], kinds: Kinds, noise: float, rng: np.random.Generator
) -> Iterator[System]:
    """Yield a hot crystal of each of some unit cells that are not from the database."""
    known = known_sites(kinds)
    for cell in cells:
        perfect = crystal(cell, N_BULK)
        labels = np.resize(label_sites(cell, kinds, known), len(perfect.positions))
        strained = strain(perfect._replace(types=labels), 0.015, rng)
        yield heat(strained, rng.uniform(0.005, noise), rng)


def fluids(paths: Sequence[Path], kinds: Kinds, rng: np.random.Generator) -> Iterator[System]:
    """All frames of simulations without order, half of them with close contacts.

    Otherwise a network learns that an environment with close contacts is crystalline; see
    :func:`push_apart`.
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
    """Crystals to sample, their displacements, and whether with a surface: (name, noise, surface).

    Parameters
    ----------
    kinds : Kinds
        Unit cells with a name.
    common : sequence of str
        Unit cells to be distinguished at the highest temperature.
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
    """Return some environments of each label from each crystal of a plan.

    ``per_kind`` is the number of each local environment from one crystal, by the group of the cell
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
