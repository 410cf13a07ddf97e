"""Representations of environments side by side: the same data and classifiers for all.

Each has its best settings: those of SOAP (Bartók, Kondor and Csányi, PRB 87, 184115 (2013)) are
found on what the embedding has learned from, and measured on nothing of it, like the embedding.
"""

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import ase
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from hoomd_gala.analyzer import Analyzer
from hoomd_gala.crystals.prototypes import crystal, displace, scaled, unit_cell, unit_cells
from hoomd_gala.systems import System, lattice_vectors
from study.comparison import descriptors, embedding_map, liquids
from study.comparison.descriptors import Descriptor
from study.simulation.ideal import perfect
from study.solids import defects
from study.solids.order import nearest_distance

#: Particles of a crystal, those of a cell that are looked at, and those of a class that are tested.
N_PARTICLES, N_REFERENCES, N_TESTED = 250, 24, 20

#: Displacement of the crystals that are the examples of prototypes: in a perfect one, rounding
#: decides which of equally distant particles are neighbors.
_STILL = 0.01

#: Displacement of crystals with defects, and of those that SOAP's settings are tried on.
_WARM = 0.06

#: Share of vacancies; particles up to the first distance of one are beside it, those beyond the
#: second are in the bulk.
_VACANCIES, _BESIDE, _BEYOND = 0.01, 1.25, 2.2

#: Structures whose defects are looked at, and neighbors in the bulk that distances are to.
_WITH_DEFECTS, _NEAREST = ("cF4-Cu", "cI2-W", "cF8-C"), 5

#: Settings of SOAP that are tried: cutoffs, in nearest distances, numbers of radial functions and
#: degrees, and widths of the Gaussians.
_CUTOFFS, _ORDERS, _WIDTHS = (2.2, 3.0, 4.0, 5.0), ((6, 6), (9, 6)), (0.2,)


# ---- representations ----


class Settings(NamedTuple):
    """Settings of SOAP.

    Attributes
    ----------
    cutoff : float
        In nearest distances.
    n_max, l_max : int
        Number of radial functions, and highest degree.
    width : float
        Of the Gaussians, in nearest distances.
    """

    cutoff: float
    n_max: int
    l_max: int
    width: float


def soap(settings: Settings) -> Descriptor:
    """Power spectrum of SOAP by dscribe, of one species, normalized, (m, D)."""
    from dscribe.descriptors import SOAP

    made = SOAP(
        species=["H"],
        r_cut=settings.cutoff,
        n_max=settings.n_max,
        l_max=settings.l_max,
        sigma=settings.width,
        periodic=True,
    )

    def describe(system: System, particles: NDArray[np.int64]) -> NDArray[np.floating]:
        unit = scaled(system, 1 / nearest_distance(system))
        atoms = ase.Atoms(
            numbers=np.ones(len(unit.positions), int),
            positions=unit.positions,
            cell=lattice_vectors(unit.box),
            pbc=True,
        )
        rows = np.atleast_2d(made.create(atoms, centers=np.asarray(particles).tolist()))
        return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12))

    return describe


# ---- prototypes ----


def _chosen(name: str) -> NDArray[np.int64]:
    """Particles of a crystal that are looked at: one on each place of its unit cell, evenly."""
    n = len(unit_cell(name).system.positions)
    return np.unique(np.linspace(0, n - 1, min(n, N_REFERENCES)).astype(np.int64))


class Database(NamedTuple):
    """Particles of prototypes, which others are compared with.

    Attributes
    ----------
    features : (M, D)
    names : (M,) str
        Unit cells that they are of.
    """

    features: NDArray[np.floating]
    names: NDArray[np.str_]


def database(descriptor: Descriptor, names: Sequence[str]) -> Database:
    """Describe particles of unit cells, almost without displacement."""
    rng = np.random.default_rng(1)
    features, owners = [], []
    for name in names:
        chosen = _chosen(name)
        features.append(
            descriptor(displace(crystal(unit_cell(name), N_PARTICLES), _STILL, rng), chosen)
        )
        owners += [name] * len(chosen)
    return Database(np.concatenate(features), np.array(owners))


def retrieval(
    descriptor: Descriptor, known: Database, names: Sequence[str], level: float, seed: int
) -> float:
    """Mean share of particles of displaced crystals whose nearest prototype is their own.

    Parameters
    ----------
    descriptor : callable
        Of the particles.
    known : Database
        Of all prototypes, by the same descriptor.
    names : sequence of str
        Unit cells that are displaced.
    level : float
        Displacement in each direction, in units of the shortest distance.
    seed : int
        Of the displacements.
    """
    scaler = StandardScaler().fit(known.features)
    search = NearestNeighbors(n_neighbors=1).fit(scaler.transform(known.features))
    rng = np.random.default_rng([seed, 1])
    shares = []
    for name in names:
        rows = descriptor(
            displace(crystal(unit_cell(name), N_PARTICLES), level, rng), _chosen(name)
        )
        nearest = search.kneighbors(scaler.transform(rows), return_distance=False)[:, 0]
        shares.append((known.names[nearest] == name).mean())
    return float(np.mean(shares))


def few_shot(
    descriptor: Descriptor, names: Sequence[str], level: float, shots: Sequence[int], seed: int
) -> dict[int, float]:
    """Accuracy of naming unit cells after so many particles of each, by number.

    A linear classifier learns from one crystal of each cell and is tested on another.
    """
    rng = np.random.default_rng([seed, 2])
    learned: list[NDArray[np.floating]] = []
    tested: list[NDArray[np.floating]] = []
    for name in names:
        still = crystal(unit_cell(name), N_PARTICLES)
        for found, n in ((learned, max(shots)), (tested, N_TESTED)):
            chosen = rng.permutation(len(still.positions))[:n]
            found.append(descriptor(displace(still, level, rng), chosen))
    test, owners = np.concatenate(tested), np.array(names)
    truth = np.repeat(owners, [len(rows) for rows in tested])
    accuracy = {}
    for n in shots:
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
        model.fit(np.concatenate([rows[:n] for rows in learned]), np.repeat(owners, n))
        accuracy[n] = float(model.score(test, truth))
    return accuracy


# ---- anomalies ----


def with_vacancies(
    structure: str, seed: int
) -> tuple[System, NDArray[np.bool_], NDArray[np.bool_]]:
    """Return a warm crystal with vacancies, the particles beside these, and those in the bulk."""
    rng = np.random.default_rng(seed)
    still = perfect(structure, 1000)
    gone = rng.random(len(still.positions)) < _VACANCIES
    gone[rng.integers(len(gone))] = True
    wrapped = np.mod(still.positions, still.box[:3])
    wrapped = np.minimum(wrapped, still.box[:3] * (1 - 1e-12))
    away = KDTree(wrapped[gone], boxsize=still.box[:3]).query(wrapped[~gone])[0]
    left = still._replace(positions=still.positions[~gone], types=still.types[~gone])
    return displace(left, _WARM, rng), away < _BESIDE, away > _BEYOND


def defective(seed: int) -> Iterator[tuple[str, str, System, NDArray[np.bool_], NDArray[np.bool_]]]:
    """Yield structure, kind of defect, system, which particles it affects, and which are bulk."""
    for structure in _WITH_DEFECTS:
        yield structure, "vacancies", *with_vacancies(structure, seed)
        for kind, made in (
            ("surfaces", defects.slab(structure, [_WARM], 1000, seed)),
            ("grain boundaries", defects.grains(structure, 4, 12.0, [_WARM], seed)),
        ):
            (sample,) = made
            yield structure, kind, sample.system, ~sample.judged, sample.judged


def anomalies(descriptor: Descriptor, seed: int) -> dict[str, float]:
    """Area under the ROC curve of telling defects from the bulk by distance, by kind of defect.

    A particle is the stranger, the farther its description is from the nearest ones in a crystal of
    the same temperature without defects; nobody says what defects look like.
    """
    found: dict[str, list[float]] = {}
    rng = np.random.default_rng([seed, 3])
    for structure, kind, system, strange, bulk in defective(seed):
        whole = displace(perfect(structure, 600), _WARM, rng)
        scaler = StandardScaler()
        known = scaler.fit_transform(descriptor(whole, np.arange(len(whole.positions))))
        search = NearestNeighbors(n_neighbors=_NEAREST).fit(known)
        judged = np.flatnonzero(strange | bulk)
        rows = scaler.transform(descriptor(system, judged))
        distance = search.kneighbors(rows)[0].mean(axis=1)
        found.setdefault(kind, []).append(float(roc_auc_score(strange[judged], distance)))
    return {kind: float(np.mean(values)) for kind, values in found.items()}


# ---- settings of SOAP, on what the embedding has learned from ----


def tune(names: Sequence[str], fluids: Sequence[liquids.Sample]) -> tuple[Settings, list[Any]]:
    """Try settings of SOAP; the best have the highest mean of retrieval and of naming liquids.

    Parameters
    ----------
    names : sequence of str
        Unit cells that are retrieved among each other.
    fluids : sequence of Sample
        Of liquids, of two runs or frames each.

    Returns
    -------
    Settings, list of dict
        The best, and a row for all.
    """
    rows: list[dict[str, Any]] = []
    tried = [
        Settings(c, *order, w) for c, order, w in itertools.product(_CUTOFFS, _ORDERS, _WIDTHS)
    ]
    for settings in tried:
        descriptor = soap(settings)
        found = retrieval(descriptor, database(descriptor, names), names, _WARM, 0)
        table = liquids.describe(fluids, descriptor)
        guess = liquids.predictions(table, next(iter(liquids.CLASSIFIERS)))
        named = float((guess == table.structure).mean())
        rows.append(settings._asdict() | {"retrieval": found, "liquids": named})
    best = max(range(len(rows)), key=lambda i: rows[i]["retrieval"] + rows[i]["liquids"])
    return tried[best], rows


# ---- cost ----


def cost(representations: Mapping[str, Descriptor], n_particles: int = 2000) -> dict[str, float]:
    """Seconds per particle of each, the least of three in turns, in one run."""
    system = displace(crystal(unit_cell("cF4-Cu"), n_particles), _WARM, np.random.default_rng(1))
    everyone = np.arange(len(system.positions))
    best = dict.fromkeys(representations, np.inf)
    for _ in range(3):
        for name, descriptor in representations.items():
            started = time.perf_counter()
            descriptor(system, everyone)
            taken = (time.perf_counter() - started) / len(everyone)
            best[name] = min(best[name], taken)
    return best


# ---- all of it ----


class Data(NamedTuple):
    """What representations are compared on.

    Attributes
    ----------
    solids : sequence of Solid
        What has assembled; there may be nothing.
    liquids : sequence of Sample
        Particles of liquids before they freeze.
    cells : sequence of str
        Unit cells that nothing has learned from.
    levels : sequence of float
        Displacements of these.
    shots : sequence of int
        Particles of each that a classifier learns from.
    n_bulk : int
        Particles of each solid.
    seed : int
        Of all displacements.
    """

    solids: Sequence[embedding_map.Solid]
    liquids: Sequence[liquids.Sample]
    cells: Sequence[str]
    levels: Sequence[float]
    shots: Sequence[int]
    n_bulk: int
    seed: int


def compare(
    representations: Mapping[str, Descriptor],
    data: Data,
    note: Callable[[str], None] = lambda what: None,
) -> list[dict[str, Any]]:
    """Measure all representations.

    Parameters
    ----------
    representations : mapping
        By their names; costs are in units of that of the first.
    data : Data
        What they are compared on.
    note : callable
        Is told what is being measured.

    Returns
    -------
    list of dict
        One row for each thing measured: what, higher is better or not, and a value by name.
    """
    rows: list[dict[str, Any]] = []

    def add(what: str, values: Mapping[str, float]) -> None:
        rows.append({"measure": what} | {name: round(values[name], 4) for name in representations})

    if data.solids:
        note("assembled structures")
        rng = np.random.default_rng(data.seed)
        points = embedding_map.collect(data.solids, representations, data.n_bulk, 0, rng)
        scores = {row["descriptor"]: row for row in embedding_map.scores(points)}
        for key in ("purity", "silhouette"):
            values = {name: scores[name][key] for name in representations}
            add(f"assembled structures, {key}", values)
    note("liquids")
    for row_name, values in liquid_rows(representations, data.liquids).items():
        add(row_name, values)
    for level in data.levels:
        note(f"prototypes at {level:g}")
        named = {
            name: few_shot(descriptor, data.cells, level, data.shots, data.seed)
            for name, descriptor in representations.items()
        }
        for n in data.shots:
            what = f"new prototypes, {n} particles of each, displaced {100 * level:g} %"
            add(what, {name: named[name][n] for name in representations})
    note("retrieval")
    known = {name: database(one, list(unit_cells())) for name, one in representations.items()}
    for level in data.levels:
        values = {
            name: retrieval(one, known[name], data.cells, level, data.seed)
            for name, one in representations.items()
        }
        add(f"nearest of all prototypes, displaced {100 * level:g} %", values)
    note("anomalies")
    strange = {name: anomalies(one, data.seed) for name, one in representations.items()}
    for kind in next(iter(strange.values())):
        add(f"{kind} against bulk", {name: strange[name][kind] for name in representations})
    note("cost")
    seconds = cost(representations)
    first = next(iter(seconds.values()))
    add("time, of the first", {name: value / first for name, value in seconds.items()})
    sizes = {name: one.features.shape[1] for name, one in known.items()}
    rows.append({"measure": "numbers"} | sizes)
    return rows


def liquid_rows(
    representations: Mapping[str, Descriptor], samples: Sequence[liquids.Sample]
) -> dict[str, dict[str, float]]:
    """Accuracy of naming liquids by runs not learned from, for each classifier."""
    found: dict[str, dict[str, float]] = {}
    for row in liquids.compare(samples, representations).rows:
        what = f"liquids before they freeze, {row['classifier']}"
        found.setdefault(what, {})[row["descriptor"]] = row["accuracy"]
    return found


def standard(
    model: Analyzer, others: Mapping[str, Analyzer], settings: Settings
) -> dict[str, Descriptor]:
    """Return what is compared: a model first, other models, and descriptors without training."""
    return {
        "embedding": descriptors.embedding(model),
        **{name: descriptors.embedding(other) for name, other in others.items()},
        "SOAP": soap(settings),
        "Steinhardt": descriptors.steinhardt,
        "Steinhardt, averaged": descriptors.averaged_steinhardt,
    }
