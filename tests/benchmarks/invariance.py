"""Labels of random systems, and of the same systems written in other ways.

Systems of 1 to 2000 particles: crystals of all unit cells, perfect and displaced, liquids, gases,
clusters, slabs and boxes as thin as a unit cell. Where a label changes, the table says how near the
particle was to what decides: how far its confidence is from the one that a label requires, and how
much farther the 21st neighbor is than the 20th, of itself or of one on whom its label depends.
``--count 1000`` takes a few minutes.
"""

import argparse
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from hoomd_gala.analyzer import Analyzer
from hoomd_gala.crystals.prototypes import crystal, displace, unit_cells
from hoomd_gala.errors import InputError
from hoomd_gala.neighbors.boundaries import vacuum_box
from hoomd_gala.neighbors.environments import N_NEIGHBORS, PeriodicTree
from hoomd_gala.systems import System, box_from_lattice, lattice_vectors, make_system

Rng = np.random.Generator
Integers = NDArray[np.int64]

#: A system that is the same, and which particle of the first one each of its particles is.
Same = tuple[System, Integers]

SMALLEST, LARGEST = 1, 2000

#: Confidences so near to the one that is required, and neighbors whose distances are so nearly the
#: same, that rounding decides.
NEAR, TIE = 1e-3, 1e-9


# ---- systems ----


def _size(rng: Rng) -> int:
    return int(np.exp(rng.uniform(np.log(SMALLEST), np.log(LARGEST + 1))))


def _crystal(rng: Rng) -> System:
    cells = list(unit_cells().values())
    while True:
        system = crystal(cells[rng.integers(len(cells))], _size(rng))
        if len(system.positions) <= LARGEST:
            return system


def _hot(most: float, rng: Rng) -> System:
    return displace(_crystal(rng), rng.uniform(0.001, most), rng)


def _gas(rng: Rng) -> System:
    n = _size(rng)
    lengths = rng.uniform(0.5, 1.5, 3) * n ** (1 / 3)
    box = [*lengths, *rng.uniform(-1, 1, 3)]
    return make_system(rng.uniform(-0.5, 0.5, (n, 3)) @ lattice_vectors(box), box)


def _liquid(rng: Rng) -> System:
    """A gas whose particles push each other apart."""
    system = _gas(rng)
    for _ in range(20):
        bonds = PeriodicTree.build(system.positions, system.box).nearest(n=6).bonds
        lengths = np.linalg.norm(bonds, axis=-1, keepdims=True)
        pushed = (bonds / lengths.clip(1e-9) * (1 - lengths).clip(0)).sum(axis=1)
        system = system._replace(positions=system.positions - 0.3 * pushed)
    return system


def _cluster(make: Callable[[Rng], System], rng: Rng) -> System:
    """A ball of something."""
    system = make(rng)
    distances = np.linalg.norm(system.positions - system.positions.mean(axis=0), axis=1)
    ball = np.argsort(distances)[: max(int(0.5 * len(distances)), 1)]
    return make_system(system.positions[ball], None, periodic=False)


def _slab(rng: Rng) -> System:
    """A system that is open in one direction or in two."""
    is_open = rng.permutation([True, bool(rng.integers(2)), False])
    system = _liquid(rng) if rng.integers(2) else _hot(0.15, rng)
    return make_system(system.positions, system.box, periodic=~is_open)


def _thin(rng: Rng) -> System:
    """A crystal as thin as its unit cell along one direction, and displaced."""
    cells = list(unit_cells().values())
    system = cells[rng.integers(len(cells))].system
    for axis in rng.permutation(3)[:2]:
        times = int(rng.integers(1, 9))
        if times * len(system.positions) <= LARGEST:
            system, _ = _repeated(system, int(axis), times)
    nearest = PeriodicTree.build(system.positions, system.box).nearest(n=1).bonds
    shortest = np.linalg.norm(nearest, axis=-1).min()
    return displace(system, shortest * rng.uniform(0.001, 0.1), rng)


SYSTEMS: dict[str, Callable[[Rng], System]] = {
    "perfect crystal": _crystal,
    "cold crystal": partial(_hot, 0.02),
    "hot crystal": partial(_hot, 0.15),
    "gas": _gas,
    "liquid": _liquid,
    "perfect cluster": partial(_cluster, _crystal),
    "hot cluster": partial(_cluster, partial(_hot, 0.15)),
    "liquid cluster": partial(_cluster, _liquid),
    "slab": _slab,
    "thin box": _thin,
}


# ---- the same systems ----


def _repeated(system: System, axis: int, times: int) -> Same:
    lattice = lattice_vectors(system.box)
    moved = [system.positions + k * lattice[axis] for k in range(times)]
    lattice[axis] *= times
    n = len(system.positions)
    return (
        System(
            np.concatenate(moved), box_from_lattice(lattice), np.tile(system.types, times),
            system.periodic,
        ),
        np.tile(np.arange(n), times),
    )  # fmt: skip


def renumbered(system: System, rng: Rng) -> Same:
    """Particles in another order."""
    order = rng.permutation(len(system.positions))
    return system._replace(positions=system.positions[order], types=system.types[order]), order


def wrapped(system: System, rng: Rng) -> Same | None:
    """Each particle in another image of the box."""
    if not any(system.periodic):
        return None
    n = len(system.positions)
    images = rng.integers(-2, 3, (n, 3)) * np.array(system.periodic)
    moved = system.positions + images @ lattice_vectors(system.box)
    return system._replace(positions=moved), np.arange(n)


def reduced(system: System, rng: Rng) -> Same | None:
    """Other vectors of the same lattice."""
    axes = np.flatnonzero(system.periodic)
    if len(axes) < 2:
        return None
    change = np.eye(3, dtype=int)
    for _ in range(3):
        i, j = rng.choice(axes, 2, replace=False)
        change[i] += int(rng.choice([-2, -1, 1, 2])) * change[j]
    lattice = lattice_vectors(system.box)
    fractional = system.positions @ np.linalg.inv(change @ lattice)
    box = box_from_lattice(change @ lattice)
    same = system._replace(positions=fractional @ lattice_vectors(box), box=box)
    return same, np.arange(len(fractional))


def replicated(system: System, rng: Rng) -> Same | None:
    """The box two or three times, along one direction."""
    axes = np.flatnonzero(system.periodic)
    if not len(axes):
        return None
    return _repeated(system, int(rng.choice(axes)), int(rng.integers(2, 4)))


def rotated(system: System, rng: Rng) -> Same | None:
    """A cluster, rotated."""
    if any(system.periodic):
        return None
    turned = Rotation.random(random_state=int(rng.integers(2**31))).apply(system.positions)
    return make_system(turned, None, periodic=False), np.arange(len(turned))


def rescaled(system: System, rng: Rng) -> Same:
    """Another unit of length."""
    factor = 10 ** rng.uniform(-6, 6)
    box = system.box.copy()
    box[:3] *= factor
    same = system._replace(positions=factor * system.positions, box=box)
    return same, np.arange(len(system.positions))


def itself(system: System, rng: Rng) -> Same:
    """The system as it is."""
    return system, np.arange(len(system.positions))


TRANSFORMATIONS: dict[str, Callable[[System, Rng], Same | None]] = {
    "renumbering": renumbered,
    "wrapping": wrapped,
    "lattice reduction": reduced,
    "replication": replicated,
    "rotation of clusters": rotated,
    "change of unit": rescaled,
    "two threads": itself,
}


# ---- comparison ----


class Change(NamedTuple):
    """A label that changed.

    Attributes
    ----------
    kind : str
        Of the system.
    seed : int
        It is made of.
    margin : float
        How far the particle's confidence is from the one that a label requires.
    gap : float
        How much farther the 21st neighbor is than the 20th, relatively, where this is least among
        the particles on which the label depends.
    """

    kind: str
    seed: int
    margin: float
    gap: float


def _gaps(system: System, rings: int) -> NDArray[np.float64]:
    """Least relative gap behind the 20th neighbor of each particle and of those around it."""
    tree = PeriodicTree.build(system.positions, vacuum_box(system, N_NEIGHBORS + 1))
    found = tree.nearest(n=N_NEIGHBORS + 1)
    lengths = np.linalg.norm(found.bonds[:, -2:], axis=-1)
    gaps: NDArray[np.float64] = 1 - lengths[:, 0] / lengths[:, 1].clip(1e-300)
    for _ in range(rings):
        gaps = np.minimum(gaps, gaps[found.neighbors].min(axis=1))
    return gaps


def compare(analyzer: Analyzer, count: int) -> tuple[Counter[str], dict[str, list[Change]]]:
    """Labels that were compared, and those that changed, by transformation."""
    compared: Counter[str] = Counter()
    changes: dict[str, list[Change]] = {name: [] for name in TRANSFORMATIONS}
    rings = len(analyzer.embedder.rings)
    for seed in range(count):
        rng = np.random.default_rng(seed)
        kind = list(SYSTEMS)[rng.integers(len(SYSTEMS))]
        system = SYSTEMS[kind](rng)
        torch.set_num_threads(1)
        try:
            before = analyzer.analyze_system(system)
        except InputError:
            before = None
            compared["refused"] += 1
            assert len(system.positions) <= N_NEIGHBORS, f"seed {seed}"
        for name, transform in TRANSFORMATIONS.items():
            torch.set_num_threads(2 if name == "two threads" else 1)
            found = transform(system, rng)
            if found is None:
                continue
            same, origin = found
            if before is None:
                try:
                    analyzer.analyze_system(same)
                except InputError:
                    continue
                raise AssertionError(f"seed {seed}: not refused after {name}")
            after = analyzer.analyze_system(same)
            different = np.unique(origin[after.label != before.label[origin]])
            compared[name] += len(origin)
            compared[f"{name}, systems"] += 1
            if len(different):
                margins = abs(before.confidence - analyzer.model.info.unknown_below)
                gaps = _gaps(system, rings)
                changes[name] += [Change(kind, seed, margins[i], gaps[i]) for i in different]
    return compared, changes


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--model", default="structures-fast")
    options = parser.parse_args()
    compared, changes = compare(Analyzer(options.model, "cpu"), options.count)
    print(f"{options.count} systems, {compared['refused']} refused in every form")
    print(
        f"| | systems | labels | changed | confidence within {NEAR:g} | else gap below {TIE:g} "
        "| neither |\n|" + " --- |" * 7
    )
    for name, changed in changes.items():
        near = [it for it in changed if it.margin < NEAR]
        ties = [it for it in changed if it.margin >= NEAR and it.gap < TIE]
        cells = [compared[f"{name}, systems"], compared[name], len(changed), len(near), len(ties)]
        neither = len(changed) - len(near) - len(ties)
        print("| " + " | ".join(map(str, (name, *cells, neither))) + " |")
    for name, changed in changes.items():
        for kind in sorted({it.kind for it in changed}):
            some = [it for it in changed if it.kind == kind]
            systems = len({it.seed for it in some})
            margins, gaps = ([it[k] for it in some] for k in (2, 3))
            print(
                f"{name}: {len(some)} of {systems} x {kind}; confidence {min(margins):.2g} to "
                f"{max(margins):.2g} away, gaps {min(gaps):.2g} to {max(gaps):.2g}"
            )


if __name__ == "__main__":
    main()
