"""Samples that the shipped models learn from: crystals as they occur, and disorder.

A structure is a family of environments: here are crystals under strain of any kind, with
displacements from exactly zero to more than melting allows, with vacancies, interstitials, stacking
faults, twins, surfaces, grain boundaries and their melt beside them.

Samples are systems whose ``types`` hold the label of each particle; the network is blind to types.
A label is a local environment (see :mod:`~.kinds`), or one of the two numbers that follow the last
one: OTHER, a crystal without a name, and DISORDERED; or IGNORED.
"""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from tqdm.auto import tqdm

from hoomd_gala.crystals.prototypes import UnitCell, crystal, deform, displace, scaled, unit_cell
from hoomd_gala.crystals.sites import EQUIVALENT
from hoomd_gala.crystals.springs import displace_together
from hoomd_gala.crystals.stackings import random_stacking
from hoomd_gala.files.atomic import replacing
from hoomd_gala.learning.datasets import Frames
from hoomd_gala.neighbors import PeriodicTree, nearest_distance
from hoomd_gala.systems import Array, System, lattice_vectors
from study.training import disorder
from study.training.kinds import IGNORED, Kinds, known_lattices, known_sites, label_sites
from study.training.patchwork import Piece, fill
from study.training.twins import twinned_particle

#: Particles of a crystal, of a cold one, all of whose cells look the same, and of a box of several
#: pieces.
N_BULK, N_COLD, N_PATCHWORK = 600, 100, 1600

#: Largest strain along each of three axes.
STRAIN = {"common": 0.13, "named": 0.08, "other": 0.05}

#: Range of the stretch along the last axis of crystals that keep the topology of their neighborhood
#: over many axial ratios; c/a of hP2-Mg then goes from 1.37 to 2.06.
AXIAL = {"hP2-Mg": (0.84, 1.26), "hP1-HgSn6-10": (0.88, 1.22)}

#: Share of samples without close contacts, and the range of their closest distance, in units of the
#: crystal's shortest.
PUSHED, CORES = 0.6, (0.75, 0.95)

#: Share of samples with correlated displacements.
TOGETHER = 0.6

#: Displacements of the hottest crystals, in units of the highest.
_HOTTEST = (0.6, 1.0)

#: Cold crystals of each common cell for one of each other cell with a name.
_COLD_COMMON = 6

#: Distance to which interstitials are pushed from their neighbors, which are left out.
INTERSTITIAL, _AFFECTED = 0.75, 8

#: Neighbors that make up the environment of a crystal's particle at a boundary.
COORDINATION = 12


class Plan(NamedTuple):
    """What is sampled for training.

    Attributes
    ----------
    kinds : Kinds
        Labels of the particles of all unit cells.
    common : sequence of str
        Unit cells to be distinguished at the highest temperature.
    noise : mapping of str to float
        Highest displacement in each direction, in units of the shortest distance, by the group of
        the cell: "common", "named" or "other".
    others, tiles : sequence of UnitCell
        Unit cells that are not from the database: random ones, and square-triangle tilings.
    disorder : sequence of (str, Path)
        Kinds and trajectories of :mod:`~.disorder`.
    """

    kinds: Kinds
    common: Sequence[str]
    noise: Mapping[str, float]
    others: Sequence[UnitCell]
    tiles: Sequence[UnitCell]
    disorder: Sequence[tuple[str, Path]]

    @property
    def named(self) -> list[str]:
        """Unit cells with names that are not common."""
        return [name for name in dict.fromkeys(self.kinds.cells) if name not in self.common]

    @property
    def rest(self) -> list[str]:
        """Unit cells of the database without a name of their own."""
        kinds = self.kinds
        apart = {*self.common, *self.named, *kinds.left_out}
        return [
            name
            for name, labels in kinds.labels.items()
            if name not in apart and not (labels == IGNORED).all()
        ]


# ---- what happens to a crystal ----


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


def random_amount(noise: float, rng: np.random.Generator) -> float:
    """Draw a displacement: exactly zero, of a quenched or cold crystal, or up to the highest."""
    kind = rng.random()
    if kind < 0.1:
        return 0.0
    if kind < 0.25:
        return float(np.exp(rng.uniform(np.log(1e-4), np.log(0.02))))
    return float(rng.uniform(0.01, noise))


def cold_amount(rng: np.random.Generator) -> float:
    """Draw the displacement of a cold crystal: exactly zero, or next to nothing."""
    return 0.0 if rng.random() < 0.4 else float(10 ** rng.uniform(-4, -1.5))


def heat(system: System, noise: float, rng: np.random.Generator) -> System:
    """Displace particles, independently or together, in most samples without close contacts."""
    if noise == 0:
        return system
    move = displace_together if rng.random() < TOGETHER else displace
    hot = move(system, noise, rng)
    return push_apart(hot, rng.uniform(*CORES)) if rng.random() < PUSHED else hot


def random_stretch(largest: float, rng: np.random.Generator) -> Array:
    """Draw a homogeneous strain (3, 3): none, a small one, along one axis, or along three.

    Axes are those of the box in two of five cases, and random otherwise.
    """
    kind = rng.random()
    if kind < 0.2:
        strains = np.zeros(3)
    elif kind < 0.5:
        strains = rng.normal(scale=0.015, size=3)
    elif kind < 0.65:
        strains = np.zeros(3)
        strains[rng.integers(3)] = rng.uniform(-largest, largest)
    else:
        strains = rng.uniform(-largest, largest, 3)
        if rng.random() < 0.4:
            strains[1] = strains[0]
    turn = np.eye(3) if rng.random() < 0.4 else Rotation.random(rng=rng).as_matrix()
    stretch: Array = turn.T @ (np.diag(1 + strains) @ turn)
    return stretch


def roughen(system: System, rng: np.random.Generator) -> System:
    """Another order and origin, and the rounding of files.

    In a perfect crystal they decide which of equally distant particles are neighbors.
    """
    order = rng.permutation(len(system.positions))
    positions = system.positions[order] + rng.uniform(-1, 1, 3)
    if rng.random() < 0.5:
        positions = positions.astype(np.float32).astype(np.float64)
    return system._replace(positions=positions, types=system.types[order])


def with_vacancies(system: System, rng: np.random.Generator) -> System:
    """Leave out 0.3 to 5 % of the particles."""
    kept = rng.random(len(system.positions)) > rng.uniform(0.003, 0.05)
    return system._replace(positions=system.positions[kept], types=system.types[kept])


def with_interstitials(system: System, rng: np.random.Generator) -> System:
    """Add 0.2 to 1.5 % of particles at random places; what is near these has no label."""
    n = len(system.positions)
    count = max(1, int(n * rng.uniform(0.002, 0.015)))
    places = rng.random((count, 3)) @ lattice_vectors(system.box)
    both = System(
        np.concatenate((system.positions, places)),
        system.box,
        np.concatenate((system.types, np.full(count, IGNORED))),
    )
    pushed = push_apart(both, INTERSTITIAL)
    tree = PeriodicTree.build(pushed.positions, pushed.box)
    near = tree.nearest(np.arange(n, n + count), n=_AFFECTED).neighbors
    types = pushed.types.copy()
    types[np.unique(near)] = IGNORED
    return pushed._replace(types=types)


# ---- samples ----


@functools.lru_cache(maxsize=256)
def perfect(name: str, n: int = N_BULK) -> System:
    """Return a perfect crystal of a unit cell, of n particles at least."""
    return crystal(unit_cell(name), n)


def _labeled(name: str, kinds: Kinds, n: int = N_BULK) -> System:
    whole = perfect(name, n)
    return whole._replace(types=np.resize(kinds.labels[name], len(whole.positions)))


def hot_crystal(
    name: str,
    kinds: Kinds,
    noise: float,
    largest_strain: float,
    rng: np.random.Generator,
    defects: float = 0.25,
    n: int = N_BULK,
) -> System:
    """Return a strained crystal with thermal displacements, some with point defects.

    Parameters
    ----------
    name : str
        Unit cell.
    kinds : Kinds
        Labels of its particles.
    noise : float
        Displacement in each direction, in units of the shortest distance.
    largest_strain : float
        Along each of three axes.
    defects : float
        Probability of vacancies or interstitials.
    n : int
        Number of particles at least.
    """
    sample = _labeled(name, kinds, n)
    if name in AXIAL and rng.random() < 0.3:
        sample = deform(sample, np.diag([1, 1, rng.uniform(*AXIAL[name])]))
        largest_strain = 0.02
    sample = deform(sample, random_stretch(largest_strain, rng))
    if rng.random() < defects:
        spoil = with_vacancies if rng.random() < 0.75 else with_interstitials
        sample = spoil(sample, rng)
    return roughen(heat(sample, noise, rng), rng)


def unnamed_crystal(
    cell: UnitCell, labels: NDArray[np.int64], noise: float, rng: np.random.Generator
) -> System:
    """Return a strained crystal of a cell that is not from the database, with its labels (n,)."""
    whole = crystal(cell, N_BULK)
    labeled = whole._replace(types=np.resize(labels, len(whole.positions)))
    strained = deform(labeled, random_stretch(STRAIN["other"], rng))
    return roughen(heat(strained, noise, rng), rng)


#: Cubic and hexagonal stacking of diamond and of spheres.
_DIAMOND, _PACKED = ("cF8-C", "hP4-C.3"), ("cF4-Cu", "hP2-Mg")


def _stack(diamond: bool, kinds: Kinds, rng: np.random.Generator) -> System:
    """Random stacking, with labels."""
    cells = _DIAMOND if diamond else _PACKED
    cubic, hexagonal = (int(kinds.labels[cell][0]) for cell in cells)
    return random_stacking(cubic, hexagonal, diamond, rng)


def hot_stack(diamond: bool, kinds: Kinds, noise: float, rng: np.random.Generator) -> System:
    """Random stacking of spheres or of diamond, strained and displaced."""
    stretch = random_stretch(STRAIN["common"] / 2, rng)
    return roughen(heat(deform(_stack(diamond, kinds, rng), stretch), noise, rng), rng)


def hot_twin(kinds: Kinds, noise: float, rng: np.random.Generator) -> System:
    """Icosahedron or decahedron with thermal displacements."""
    cubic, hexagonal = (int(kinds.labels[cell][0]) for cell in ("cF4-Cu", "hP2-Mg"))
    twinned = twinned_particle(cubic, hexagonal, kinds.other, kinds.disordered, rng)
    return roughen(heat(twinned, noise, rng), rng)


def pieces(
    plan: Plan, melts: Mapping[str, Sequence[System]], rng: np.random.Generator
) -> tuple[System, str]:
    """Return a crystal with a surface, with its melt, or with grains, and the group of its cell.

    Parameters
    ----------
    plan : Plan
        Unit cells.
    melts : mapping of str to sequence of System
        Disorder by its kind.
    rng : numpy.random.Generator
        Of everything.
    """
    kinds = plan.kinds
    group = "common" if rng.random() < 0.7 else "named"
    names = plan.common if group == "common" else plan.named
    name = names[int(rng.integers(len(names)))]
    whole = perfect(name)
    density = float(len(whole.positions) / np.prod(whole.box[:3]))
    edge = float(np.cbrt(N_PATCHWORK / density))
    n = int(rng.integers(2, 5))
    beside = rng.choice(["surface", "melt", "grains"], p=[0.3, 0.5, 0.2])
    filled: list[Piece | None] = []
    for i in range(n):
        if i and beside != "grains" and (i == 1 or rng.random() < 0.5):
            filled.append(None if beside == "surface" else _melt(name, density, melts, kinds, rng))
        else:
            other = name
            if beside == "grains" and rng.random() < 0.3:
                other = names[int(rng.integers(len(names)))]
            stretch = random_stretch(0.6 * STRAIN[group], rng)
            if other in _DIAMOND + _PACKED and rng.random() < 0.35:
                grain = _stack(other in _DIAMOND, kinds, rng)
            else:
                grain = _labeled(other, kinds)
            filled.append(Piece(deform(grain, stretch), COORDINATION))
    centers = rng.uniform(0, edge, (n, 3))
    sample = fill(filled, centers, edge, IGNORED, kinds.disordered, rng).system
    if rng.random() < 0.5:
        sample = push_apart(sample, 0.85)
    return sample, group


def at_density_of(melt: System, density: float, rng: np.random.Generator) -> System:
    """Scale disorder to about the number density of the crystal that it is beside."""
    own = len(melt.positions) / float(np.prod(melt.box[:3]))
    return scaled(melt, float(np.cbrt(own / (density * rng.uniform(0.85, 1.02)))))


def _melt(
    name: str,
    density: float,
    melts: Mapping[str, Sequence[System]],
    kinds: Kinds,
    rng: np.random.Generator,
) -> Piece:
    """Disorder at about the density of a crystal."""
    if name in _DIAMOND and "network" in melts and rng.random() < 0.8:
        kind = "network"
    else:
        kind = str(rng.choice(list(melts)))
    melt = melts[kind][int(rng.integers(len(melts[kind])))]
    labels = disordered_labels(melt, kinds)
    return Piece(at_density_of(melt._replace(types=labels), density, rng), 0)


def disordered_labels(system: System, kinds: Kinds) -> NDArray[np.int64]:
    """Labels (N,) of what :func:`.disorder.read` gives."""
    return np.where(system.types == 1, kinds.disordered, IGNORED)


# ---- parts of the data: each yields samples, n of each cell or so many in all ----


def commons(plan: Plan, n: int, rng: np.random.Generator) -> Iterator[System]:
    """Yield common crystals, stackings and twinned particles."""
    noise = plan.noise["common"]
    for i in range(n):
        for name in plan.common:
            amount = random_amount(noise, rng)
            yield hot_crystal(name, plan.kinds, amount, STRAIN["common"], rng)
        yield hot_stack(i % 2 == 1, plan.kinds, random_amount(noise, rng), rng)
        if i % 2 == 0:
            yield hot_twin(plan.kinds, random_amount(0.8 * noise, rng), rng)


def named(plan: Plan, n: int, rng: np.random.Generator) -> Iterator[System]:
    """Yield the other crystals with names."""
    for _ in range(n):
        for name in plan.named:
            amount = random_amount(plan.noise["named"], rng)
            yield hot_crystal(name, plan.kinds, amount, STRAIN["named"], rng)


def hot(plan: Plan, n: int, rng: np.random.Generator) -> Iterator[System]:
    """Yield the other crystals with names near their highest displacement: they are missed most."""
    yield from _hottest(plan, plan.named, "named", n, rng)


def hot_common(plan: Plan, n: int, rng: np.random.Generator) -> Iterator[System]:
    """Yield common crystals near their highest displacement.

    What is as hot is far more often one of these, and a network that sees as many of all others is
    less sure of them.
    """
    yield from _hottest(plan, plan.common, "common", n, rng)


def _hottest(
    plan: Plan, names: Sequence[str], group: str, n: int, rng: np.random.Generator
) -> Iterator[System]:
    for _ in range(n):
        for name in names:
            amount = plan.noise[group] * rng.uniform(*_HOTTEST)
            yield hot_crystal(name, plan.kinds, amount, STRAIN["other"], rng, defects=0)


def cold(plan: Plan, n: int, rng: np.random.Generator) -> Iterator[System]:
    """Small crystals with names, without displacements or almost, under many strains."""
    for _ in range(n):
        for name in [*_COLD_COMMON * list(plan.common), *plan.named]:
            strain = STRAIN["common" if name in plan.common else "named"]
            noise = cold_amount(rng)
            yield hot_crystal(name, plan.kinds, noise, strain, rng, defects=0, n=N_COLD)


def rest(plan: Plan, n: int, rng: np.random.Generator) -> Iterator[System]:
    """Crystals without a name: of the database, and those that are not in it."""
    kinds = plan.kinds
    known, lattices = known_sites(kinds), known_lattices(kinds)
    labels = [label_sites(cell, kinds, known, lattices) for cell in plan.others]
    # what is only similar to a site with a name is another one in a tiling
    labels += [label_sites(cell, kinds, known, {}, similar=EQUIVALENT) for cell in plan.tiles]
    cells = [*plan.others, *plan.tiles]
    noise = plan.noise["other"]
    for _ in range(n):
        for name in plan.rest:
            yield hot_crystal(
                name, plan.kinds, random_amount(noise, rng), STRAIN["other"], rng, defects=0.1
            )
        for cell, own in zip(cells, labels, strict=True):
            yield unnamed_crystal(cell, own, random_amount(noise, rng), rng)


def with_density(files: Sequence[tuple[str, Path]]) -> list[tuple[str, Path]]:
    """Leave out disorder that condenses in a part of its box: it has no density to be scaled by."""
    return [(kind, path) for kind, path in files if kind not in ("molecules", "points")]


def patchworks(plan: Plan, n: int, rng: np.random.Generator) -> Iterator[System]:
    """Boxes of several pieces."""
    melts: dict[str, list[System]] = {}
    for kind, systems in disorder.read_all(with_density(plan.disorder)):
        melts.setdefault(kind, []).extend(systems)
    for _ in range(n):
        sample, group = pieces(plan, melts, rng)
        yield roughen(heat(sample, random_amount(plan.noise[group], rng), rng), rng)


def disordered(plan: Plan, n: int, rng: np.random.Generator) -> Iterator[System]:
    """All disorder n times: once as it is, then displaced.

    Otherwise a network learns that an environment with close contacts is crystalline.
    """
    for system in (one for _, systems in disorder.read_all(plan.disorder) for one in systems):
        labeled = system._replace(types=disordered_labels(system, plan.kinds))
        distance = nearest_distance(system.positions, system.box)
        for i in range(n):
            moved = displace(labeled, rng.uniform(0, 0.12) * distance, rng) if i else labeled
            yield roughen(moved, rng)


#: Parts of the data by name.
PARTS: dict[str, Callable[[Plan, int, np.random.Generator], Iterator[System]]] = {
    "common": commons,
    "named": named,
    "cold": cold,
    "rest": rest,
    "patchworks": patchworks,
    "disordered": disordered,
    "hot": hot,
    "hot_common": hot_common,
    # others of the same
    "unnamed": rest,
}


# ---- files of samples ----


def write(path: Path, samples: Iterator[System], description: str) -> None:
    """Write samples as arrays, one after the other."""
    systems = list(tqdm(samples, desc=description, unit="sample"))
    with replacing(path) as part, part.open("wb") as file:
        np.savez(
            file,
            positions=np.concatenate([system.positions for system in systems]),
            labels=np.concatenate([system.types for system in systems]).astype(np.int16),
            boxes=np.stack([system.box for system in systems]),
            counts=np.array([len(system.positions) for system in systems]),
        )


def read(path: Path) -> Iterator[System]:
    """Read what :func:`write` wrote."""
    with np.load(path) as arrays:
        positions, labels = arrays["positions"], arrays["labels"].astype(np.int64)
        boxes, counts = arrays["boxes"], arrays["counts"]
    ends = np.cumsum(counts)
    for box, start, end in zip(boxes, ends - counts, ends, strict=True):
        yield System(positions[start:end], box, labels[start:end])


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
