"""How the model ``compounds`` learns: ordered compounds, solid solutions, and disorder of types.

Samples are systems whose ``types`` hold two things about each particle, so that whatever moves,
strains or cuts a crystal keeps both: its label times MOST_TYPES, plus its type; see :func:`coded`.
A label is the name that :mod:`~.decorations` gives its environment, or one of the two numbers that
follow the last name: OTHER, a crystal without a name, and DISORDERED; or IGNORED.

The network starts from what ``structures`` has learned of positions. It learns as that did, in two
stages: names of single environments, then names from these and two rings around each.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm.auto import tqdm

from hoomd_gala.analyzer import Analyzer
from hoomd_gala.crystals.prototypes import UnitCell, crystal, deform, displace, unit_cell
from hoomd_gala.files.models import Model, ModelInfo, load_model, pick_device, save_model
from hoomd_gala.files.trajectories import open_trajectory
from hoomd_gala.learning.config import TrainingConfig
from hoomd_gala.learning.datasets import Frames, join, to_tensors
from hoomd_gala.learning.tasks import frame_classification as task
from hoomd_gala.names import STRUCTURES as NAMED
from hoomd_gala.neighbors import PeriodicTree, nearest_distance
from hoomd_gala.networks import CoreConfig, FrameClassifier, inherit
from hoomd_gala.systems import System, as_system
from study.training import samples
from study.training.classes import common_first, make_classes, measure_confusion, merge
from study.training.curves import train_in
from study.training.decorations import (
    Decorations,
    known_decorations,
    label_decoration,
    read_decorations,
)
from study.training.disorder import solid_like
from study.training.kinds import IGNORED
from study.training.labels import finish, train_labels, write_confusion
from study.training.lattices import primitive_vectors
from study.training.names import COMPOUNDS, DECORATIONS, SITES
from study.training.patchwork import Piece, fill
from study.training.shipped import STRUCTURES, Size
from study.training.surroundings import surroundings

#: Types that a sample may have.
MOST_TYPES = 16

#: Numbers of types that the network tells apart around a particle: its own, and three others.
CORE = CoreConfig(max_types=4, width=32, hidden=32, blocks=2, tied=True, relations=True)
SIZE = Size(CORE, STRUCTURES.context, 1, SITES, COMPOUNDS, "")

#: Particles of a crystal, of a cold one, all of whose cells look the same, and of a box of several
#: pieces.
N_CRYSTAL, N_COLD, N_PIECES = 400, 100, 1200

#: Largest strain along each of three axes.
STRAIN = 0.06

#: Share of ordered crystals with antisites, and the largest share of particles that are exchanged
#: in these. In orders of a lattice it is drawn for the order parameter, down to LEAST_ORDER.
WITH_ANTISITES, ANTISITES, LEAST_ORDER = 0.4, 0.06, 0.75

#: Displacement at which confusion is measured, and the confusion above which two names are one
#: class; guessing gives 0.5.
MERGE_NOISE, MERGE_ABOVE = 0.06, 0.25


def coded(system: System, labels: NDArray[np.int64]) -> System:
    """Put the labels of particles (N,) into the types of a system, beside these."""
    return system._replace(types=labels * MOST_TYPES + system.types)


def decoded(system: System) -> tuple[System, NDArray[np.int64]]:
    """Take apart what :func:`coded` has put together."""
    labels = system.types // MOST_TYPES
    return system._replace(types=system.types - labels * MOST_TYPES), labels


class Plan(NamedTuple):
    """What is sampled.

    Attributes
    ----------
    found : Decorations
        Names of the environments of all unit cells.
    lattices : sequence of str
        Unit cells of which there are more samples as crystals of one type and solid solutions.
    common : sequence of str
        Compounds of which there are more samples, up to higher temperatures.
    noise : mapping of str to float
        Highest displacement in each direction, in units of the shortest distance, of "lattices",
        "common" ones, all "compounds" and "other" crystals.
    others : sequence of UnitCell
        Random cells, whose types do not count.
    disorder : sequence of (str, Path)
        Kinds and trajectories of :mod:`~.disorder`.
    """

    found: Decorations
    lattices: Sequence[str]
    common: Sequence[str]
    noise: Mapping[str, float]
    others: Sequence[UnitCell]
    disorder: Sequence[tuple[str, Path]]

    @property
    def one_type(self) -> list[str]:
        """Unit cells of one type with a name."""
        kinds = self.found.kinds
        return [name for name in kinds.cells if len(set(unit_cell(name).system.types)) == 1]

    @property
    def compounds(self) -> list[str]:
        """Unit cells of several types that are not left out."""
        kinds = self.found.kinds
        return [
            name
            for name in kinds.labels
            if len(set(unit_cell(name).system.types)) > 1 and name not in kinds.left_out
        ]


# ---- types of the particles of a crystal ----


def shuffled(types: NDArray[np.int64], share: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Exchange the types of a share of the particles (N,) at random among themselves."""
    rows = np.flatnonzero(rng.random(len(types)) < share)
    result = types.copy()
    result[rows] = types[rng.permutation(rows)]
    return result


def at_random(n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Types (n,) of a solid solution: of two types, or of three to five."""
    several = 2 if rng.random() < 0.7 else int(rng.integers(3, 6))
    shares = rng.dirichlet(np.full(several, 1.2))
    return rng.choice(several, n, p=shares)


def divided(types: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Give a third to two thirds of the particles of one type, at random, a type of their own."""
    kind = rng.choice(np.unique(types))
    chosen = (types == kind) & (rng.random(len(types)) < rng.uniform(0.33, 0.67))
    return np.where(chosen, types.max() + 1, types)


# ---- crystals, perfect: what stands where ----


def perfect(name: str, found: Decorations, n: int = N_CRYSTAL) -> System:
    """Crystal of a unit cell, of n particles at least, with its types in order."""
    still = samples.perfect(name, n)
    return coded(still, np.resize(found.kinds.labels[name], len(still.positions)))


def ordered(name: str, found: Decorations, rng: np.random.Generator) -> System:
    """Compound with its types in order, some with antisites."""
    whole = perfect(name, found)
    if rng.random() < WITH_ANTISITES:
        still, labels = decoded(whole)
        most = ANTISITES if found.parent(name) is None else 1 - LEAST_ORDER
        types = shuffled(still.types, rng.uniform(0, most), rng)
        return coded(still._replace(types=types), labels)
    return whole


def solution(name: str, found: Decorations, rng: np.random.Generator) -> System:
    """Crystal of a lattice, of one type or with types at random."""
    still = samples.perfect(name, N_CRYSTAL)
    n = len(still.positions)
    types = at_random(n, rng) if rng.random() < 0.7 else np.zeros(n, np.int64)
    return coded(still._replace(types=types), np.resize(found.blind[name], n))


def disordered_order(name: str, found: Decorations, rng: np.random.Generator) -> System:
    """Order of a lattice after its types have been mixed: a solid solution of its composition."""
    still = samples.perfect(name, N_CRYSTAL)
    types = shuffled(still.types, rng.uniform(0.95, 1), rng)
    labels = np.full(len(types), found.parent(name))
    return coded(still._replace(types=types), labels)


def of_more_types(name: str, found: Decorations, rng: np.random.Generator) -> System:
    """Compound of which one type is divided into two: nothing that has a name."""
    still = samples.perfect(name, N_CRYSTAL)
    types = divided(still.types, rng)
    labels = np.full(len(types), found.kinds.other)
    return coded(still._replace(types=types), labels)


def hot(still: System, noise: float, rng: np.random.Generator, strain: float = STRAIN) -> System:
    """Strain a crystal and displace its particles; some have vacancies."""
    strained = deform(still, samples.random_stretch(strain, rng))
    if rng.random() < 0.15:
        strained = samples.with_vacancies(strained, rng)
    return samples.roughen(samples.heat(strained, noise, rng), rng)


def random_orders(cells: Sequence[UnitCell], rng: np.random.Generator) -> Iterator[UnitCell]:
    """Yield random cells with types at random; orders of a lattice are left out."""
    for cell in cells:
        if primitive_vectors(cell) is None:
            types = at_random(len(cell.system.positions), rng)
            yield cell._replace(system=cell.system._replace(types=types))


# ---- parts of the data: each yields samples, n of each cell or so many in all ----


def lattices(plan: Plan, n: int, rng: np.random.Generator) -> Iterator[System]:
    """Yield crystals of one type and solid solutions: n of the common, fewer of the other."""
    for i in range(n):
        for name in plan.lattices:
            still = solution(name, plan.found, rng)
            yield hot(still, samples.random_amount(plan.noise["lattices"], rng), rng, 2 * STRAIN)
        for name in [] if i % 6 else plan.one_type:
            still = solution(name, plan.found, rng)
            yield hot(still, samples.random_amount(plan.noise["compounds"], rng), rng)


def compounds(plan: Plan, n: int, rng: np.random.Generator) -> Iterator[System]:
    """Yield ordered compounds; of the orders of lattices also what is left of them when mixed."""
    for i in range(n):
        for name in plan.compounds:
            amount = samples.random_amount(plan.noise["compounds"], rng)
            yield hot(ordered(name, plan.found, rng), amount, rng)
            parent = plan.found.parent(name)
            if parent is not None and plan.found.kinds.cells[parent] != name and i % 3 == 0:
                amount = samples.random_amount(plan.noise["compounds"], rng)
                yield hot(disordered_order(name, plan.found, rng), amount, rng)


def common(plan: Plan, n: int, rng: np.random.Generator) -> Iterator[System]:
    """Yield more of the common compounds, up to higher temperatures."""
    for _ in range(n):
        for name in plan.common:
            amount = samples.random_amount(plan.noise["common"], rng)
            yield hot(ordered(name, plan.found, rng), amount, rng)


def cold(plan: Plan, n: int, rng: np.random.Generator) -> Iterator[System]:
    """Yield small crystals with names, without displacements or almost, under many strains."""
    for _ in range(n):
        for name in [*plan.one_type, *plan.compounds]:
            strained = deform(
                perfect(name, plan.found, N_COLD), samples.random_stretch(STRAIN, rng)
            )
            yield samples.roughen(samples.heat(strained, samples.cold_amount(rng), rng), rng)


def rest(plan: Plan, n: int, rng: np.random.Generator) -> Iterator[System]:
    """Yield crystals without a name: random cells, and compounds with a type too many."""
    known, names = known_decorations(plan.found)
    for _ in range(n):
        for cell in random_orders(plan.others, rng):
            own = label_decoration(cell, plan.found.kinds, known, names)
            whole = crystal(cell, N_CRYSTAL)
            still = coded(whole, np.resize(own, len(whole.positions)))
            yield hot(still, samples.random_amount(plan.noise["other"], rng), rng)
        for name in plan.compounds:
            still = of_more_types(name, plan.found, rng)
            yield hot(still, samples.random_amount(plan.noise["other"], rng), rng)


def _read_disorder(path: Path, label: int) -> list[System]:
    """Disorder of a file, coded, with the types that it was simulated with."""
    with open_trajectory(path) as frames:
        systems = [as_system(frame) for frame in frames]
    return [coded(system, np.where(solid_like(system), IGNORED, label)) for system in systems]


def _retyped(system: System, rng: np.random.Generator) -> System:
    """Give disorder of one type several at random, in most cases."""
    own, labels = decoded(system)
    if len(np.unique(own.types)) == 1 and rng.random() < 0.7:
        own = own._replace(types=at_random(len(labels), rng))
    return coded(own, labels)


def pieces(plan: Plan, n: int, rng: np.random.Generator) -> Iterator[System]:
    """Yield compounds with surfaces, with other grains, and beside disorder."""
    kinds = plan.found.kinds
    melts = [
        system
        for _, path in samples.with_density(plan.disorder)
        for system in _read_disorder(path, kinds.disordered)
    ]
    for _ in range(n):
        yield _in_pieces(plan, melts, rng)


def _in_pieces(plan: Plan, melts: Sequence[System], rng: np.random.Generator) -> System:
    kinds = plan.found.kinds
    name = str(rng.choice(plan.compounds if rng.random() < 0.75 else list(plan.lattices)))
    still = samples.perfect(name, N_CRYSTAL)
    density = len(still.positions) / float(np.prod(still.box[:3]))
    edge = float(np.cbrt(N_PIECES / density))
    beside = rng.choice(["surface", "melt", "grains"], p=[0.4, 0.4, 0.2])
    parts: list[System | None] = []
    for i in range(int(rng.integers(2, 4))):
        if i == 0 or beside == "grains":
            grain = (solution if name in plan.lattices else ordered)(name, plan.found, rng)
            parts.append(deform(grain, samples.random_stretch(STRAIN / 2, rng)))
        elif beside == "surface" or not melts:
            parts.append(None)
        else:
            melt = _retyped(melts[int(rng.integers(len(melts)))], rng)
            parts.append(samples.at_density_of(melt, density, rng))
    # labels are of the pieces; types are looked up where each particle is from
    whole = [None if part is None else decoded(part) for part in parts]
    labeled = [
        None
        if one is None
        else Piece(
            one[0]._replace(types=one[1]),
            0 if (one[1] == kinds.disordered).any() else samples.COORDINATION,
        )
        for one in whole
    ]
    centers = rng.uniform(0, edge, (len(parts), 3))
    made = fill(labeled, centers, edge, IGNORED, kinds.disordered, rng)
    types = np.zeros(len(made.piece), np.int64)
    for i, one in enumerate(whole):
        if one is not None:
            own = made.piece == i
            types[own] = one[0].types[made.within[own]]
    sample = coded(made.system._replace(types=types), made.system.types)
    if rng.random() < 0.5:
        sample = samples.push_apart(sample, 0.85)
    amount = samples.random_amount(plan.noise["other"], rng)
    return samples.roughen(samples.heat(sample, amount, rng), rng)


def disordered(plan: Plan, n: int, rng: np.random.Generator) -> Iterator[System]:
    """Yield n frames of each system of the disorder, some displaced."""
    for _, path in tqdm(plan.disorder, "read disorder", unit="file"):
        systems = _read_disorder(path, plan.found.kinds.disordered)
        for i in rng.permutation(len(systems))[:n]:
            system = _retyped(systems[i], rng)
            distance = nearest_distance(system.positions, system.box)
            moved = displace(system, rng.uniform(0, 0.12) * distance, rng)
            yield samples.roughen(moved if rng.random() < 0.5 else system, rng)


#: Parts of the data by name.
PARTS: dict[str, Callable[[Plan, int, np.random.Generator], Iterator[System]]] = {
    "lattices": lattices,
    "compounds": compounds,
    "rest": rest,
    "pieces": pieces,
    "disordered": disordered,
    "common": common,
    "cold": cold,
}


# ---- learning ----


def take_some(sample: System, n: int, rng: np.random.Generator) -> Frames:
    """At most ``n`` environments of a coded sample, as many of each of its labels."""
    system, labels = decoded(sample)
    order = rng.permutation(len(labels))
    present = np.unique(labels[labels != IGNORED])
    share = -(-n // max(1, len(present)))
    rows = np.concatenate(
        [order[:0], *(order[labels[order] == label][:share] for label in present)]
    )
    near = PeriodicTree.build(system.positions, system.box).nearest(rows)
    return Frames(near.bonds, system.types[rows], system.types[near.neighbors], labels[rows])


def _read(files: Iterable[Path]) -> Iterator[System]:
    for path in files:
        yield from tqdm(samples.read(path), f"read {path.parent.name[:6]}", unit="sample")


def learn_names(folder: Path, parameters: Mapping[str, Any], files: Mapping[str, Path]) -> None:
    """Train the network of single environments.

    Parameters
    ----------
    folder : Path
        Where the network, checkpoint and learning curve go.
    parameters : mapping
        State point of the job.
    files : mapping of str to Path
        Samples to learn from, by the part of the data.
    """
    rng = np.random.default_rng([parameters["seed"], 2])
    taken = [
        take_some(sample, parameters["environments"][part], rng)
        for part, path in files.items()
        for sample in _read([path])
    ]
    data = to_tensors(join(taken), CORE, None)
    config = TrainingConfig(
        epochs=parameters["epochs"],
        batch_size=128,
        validation_fraction=0.04,
        seed=parameters["seed"],
    )
    torch.manual_seed(config.seed)
    names = read_decorations(folder / DECORATIONS).kinds.cells
    outputs = (*names, "other", "disordered")
    network = FrameClassifier(CORE, len(outputs))
    inherit(network, load_model(parameters["start"]).network)
    network.to(pick_device("auto"))
    train_in(
        folder,
        "environments",
        network,
        task.loss,
        data,
        config,
        prefix="names_",
        cuda_graph=True,
    )
    network.cpu().requires_grad_(False)
    save_model(folder / SITES, Model(network, ModelInfo(CORE, outputs)))


def _confusion(sites: Model, found: Decorations, rng: np.random.Generator) -> NDArray[np.float64]:
    """(K, K) shares of each name's environments that are taken for each, in warm crystals."""
    kinds = found.kinds
    warm = []
    for name in tqdm([*kinds.cells] * 2, "sample warm crystals", unit="crystal"):
        stretched = deform(perfect(name, found), samples.random_stretch(STRAIN / 2, rng))
        warm.append(take_some(samples.roughen(displace(stretched, MERGE_NOISE, rng), rng), 60, rng))
    return measure_confusion(sites, join(warm), len(kinds.cells) + 2)


def learn_compounds(
    folder: Path,
    parameters: Mapping[str, Any],
    learned: Iterable[Path],
    held_out: Iterable[Path],
) -> None:
    """Merge names that the first network confuses, and train the second stage.

    Writes ``compounds.safetensors``.

    Parameters
    ----------
    folder : Path
        Where the network of the first stage is.
    parameters : mapping
        State point of the job.
    learned, held_out : iterable of Path
        Samples to learn from, and those that confidence is calibrated on.
    """
    found = read_decorations(folder / DECORATIONS)
    sites = load_model(folder / SITES)
    sites.network.to(pick_device("auto"))
    rng = np.random.default_rng([parameters["seed"], 3])
    confusion = _confusion(sites, found, rng)
    write_confusion(folder / "confusion.csv", found.kinds, confusion)
    n = len(found.kinds.cells)
    group = merge(confusion[:n, :n], MERGE_ABOVE)
    # by names that people know, as pyrite's
    known = {*NAMED, *parameters["common"]}
    named = common_first(group, found.kinds.cells, known)
    classes = make_classes(found.kinds, named)
    analyzer = Analyzer(sites)
    (around,) = surroundings([analyzer], map(decoded, _read(learned)))
    (judged,) = surroundings([analyzer], map(decoded, _read(held_out)))
    network = train_labels(folder, parameters, SIZE, sites, around, classes)
    model = finish(network, SIZE, classes, len(around.labels), judged)
    titles = [classes.names[of] for of in classes.of_label[:n]]
    model.info.card["renamed"] = {
        name: title for name, title in zip(found.kinds.cells, titles, strict=True) if name != title
    }
    save_model(folder / COMPOUNDS, model)
