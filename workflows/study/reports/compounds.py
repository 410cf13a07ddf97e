"""Tables and card of the model that names compounds."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from hoomd_gala.analyzer import Analyzer
from hoomd_gala.crystals.prototypes import displace, scaled, unit_cell
from hoomd_gala.crystals.springs import displace_together
from hoomd_gala.files.atomic import write_table
from hoomd_gala.files.cards import write_card
from hoomd_gala.files.models import Model, load_model, save_model
from hoomd_gala.results import DISORDERED, UNKNOWN_NAME
from hoomd_gala.systems import System
from study.simulation import heated
from study.training import samples
from study.training.compounds import divided, shuffled
from study.training.decorations import Decorations, read_decorations
from study.training.kinds import IGNORED
from study.training.names import (
    COMPOUNDS,
    COMPOUNDS_CARD,
    COMPOUNDS_MEANS,
    COMPOUNDS_TABLE,
    DECORATIONS,
)

#: Particles of a crystal that is made, and displacements in units of the shortest distance.
N_PARTICLES, LEVELS = 500, (0.0, 0.03, 0.06, 0.09)
MOVES = {"Gaussian": displace, "springs": displace_together}

#: Groups that are also labeled after so many steps of denoising: of the first ones, the hottest.
DISPLACED, WARM, DENOISE_STEPS = ("one type", "compounds"), ("simulated", "left out"), 4

#: Orders of lattices that are mixed, and their order parameters: the share of particles on their
#: own sites, from 1 in order to 0 at random.
MIXED = ("cP4-AuCu3", "tP2-AuCu", "cP2-ClCs", "cF16-BiF3", "cF16-NaTl", "cF8-ClNa", "cF8-SZn")
ORDERS = (1.0, 0.9, 0.8, 0.1, 0.0)

#: Share of particles that are exchanged with others, or missing.
FAULTS = (0.01, 0.03, 0.05)
#: What faults are made in.
FAULTY = ("cF8-ClNa", "cP2-ClCs", "cF8-SZn", "cP4-AuCu3", "cF24-Cu2Mg", "hP3-AlB2", "cF12-CaF2")


class Named(NamedTuple):
    """A system, and the names that its particles should have.

    Attributes
    ----------
    group, structure, condition : str
        What it is, for tables.
    system : System
        Positions, box and types.
    names : (N,) str
        The right name; empty for particles that are not judged.
    """

    group: str
    structure: str
    condition: str
    system: System
    names: NDArray[np.str_]


def expected(found: Decorations, renamed: Mapping[str, str]) -> list[str]:
    """Class of each name of ``found``, after the merging that the card of a model has."""
    return [renamed.get(name, name) for name in found.kinds.cells]


def _names(labels: NDArray[np.int64], classes: Sequence[str]) -> NDArray[np.str_]:
    return np.array([classes[label] if label != IGNORED else "" for label in labels])


def crystals(
    found: Decorations, classes: Sequence[str], rng: np.random.Generator
) -> Iterator[Named]:
    """Yield all crystals that have names, displaced in two ways."""
    for name in tqdm(found.kinds.labels, "crystals", unit="cell"):
        if name in found.kinds.left_out:
            continue
        perfect = samples.perfect(name, N_PARTICLES)
        names = _names(np.resize(found.kinds.labels[name], len(perfect.positions)), classes)
        several = len(set(unit_cell(name).system.types)) > 1
        for level in LEVELS:
            for kind, move in MOVES.items():
                if level or kind == "Gaussian":
                    hot = samples.roughen(
                        move(perfect._replace(types=np.arange(len(names))), level, rng), rng
                    )
                    rows = hot.types
                    yield Named(
                        "compounds" if several else "one type",
                        name,
                        f"{kind} {level:g}",
                        hot._replace(types=perfect.types[rows]),
                        names[rows],
                    )


def mixed(found: Decorations, classes: Sequence[str], rng: np.random.Generator) -> Iterator[Named]:
    """Yield orders of lattices at several order parameters, and solid solutions."""
    for name in MIXED:
        perfect = samples.perfect(name, 1000)
        parent = found.parent(name)
        assert parent is not None
        for order in ORDERS:
            hot = displace(perfect, 0.05, rng)._replace(
                types=shuffled(perfect.types, 1 - order, rng)
            )
            own = found.kinds.labels[name] if order > 0.5 else np.array([parent])
            names = _names(np.resize(own, len(perfect.positions)), classes)
            yield Named("order parameter", name, f"{order:g}", hot, names)


def faulty(found: Decorations, classes: Sequence[str], rng: np.random.Generator) -> Iterator[Named]:
    """Yield compounds with antisites, or with vacancies."""
    for name in FAULTY:
        perfect = samples.perfect(name, 1000)
        own = _names(np.resize(found.kinds.labels[name], len(perfect.positions)), classes)
        hot = displace(perfect, 0.04, rng)
        for share in FAULTS:
            exchanged = hot._replace(types=shuffled(hot.types, share, rng))
            yield Named("antisites", name, f"{share:g}", exchanged, own)
            kept = rng.random(len(own)) > share
            left = hot._replace(positions=hot.positions[kept], types=hot.types[kept])
            yield Named("vacancies", name, f"{share:g}", left, own[kept])


def unnamed(found: Decorations, rng: np.random.Generator) -> Iterator[Named]:
    """Yield compounds that are left out, and those of which one type is divided into two."""
    for name in found.kinds.left_out:
        perfect = samples.perfect(name, N_PARTICLES)
        unknown = np.full(len(perfect.positions), UNKNOWN_NAME)
        yield Named("left out", name, "0.04", displace(perfect, 0.04, rng), unknown)
    for name in FAULTY:
        perfect = samples.perfect(name, 1000)
        unknown = np.full(len(perfect.positions), UNKNOWN_NAME)
        hot = displace(perfect, 0.04, rng)._replace(types=divided(perfect.types, rng))
        yield Named("a type too many", name, "0.04", hot, unknown)


# ---- simulated ----


class Simulated(NamedTuple):
    """A compound of a potential.

    Attributes
    ----------
    structure : str
        Unit cell.
    shortest : float
        Shortest distance, in units of the potential.
    potential : dict
        See :func:`study.simulation.forces.interaction`.
    temperatures : tuple of float
        kT of each sample, in units of the potential.
    dt : float
        Timestep.
    """

    structure: str
    shortest: float
    potential: dict[str, Any]
    temperatures: tuple[float, ...]
    dt: float = 0.004


def _spheres(first: float, second: float, expression: str, epsilon: float = 1.0) -> dict[str, Any]:
    """Additive spheres of two diameters; unlike ones attract each other more, or not."""
    mean = (first + second) / 2
    return {
        "form": "pair",
        "expression": expression,
        "cutoff": 2.5,
        "sigma": [[first, mean], [mean, second]],
        "epsilon": [[1.0, epsilon], [epsilon, 1.0]],
    }


def _ions(radii: Sequence[float], charges: Sequence[float]) -> dict[str, Any]:
    """Screened ions of some radii."""
    return {
        "form": "screened ions",
        "sigma": [[one + other for other in radii] for one in radii],
        "charges": list(charges),
        "cutoff": 3.0,
        "screening": 0.5,
    }


_LENNARD_JONES, _SOFT = "4*(x^-12-x^-6)", "x^-12"
#: eV of 300, 700 and 1000 K, of which rocksalt melts at 1074 K.
_OF_SALT = (0.0, 0.0259, 0.0603, 0.0862)

#: Types are numbered as in the unit cells of the database: first the one of more particles.
SIMULATED = (
    Simulated("cF8-ClNa", 2.82, {"form": "sodium chloride"}, _OF_SALT, 0.02),
    Simulated("cF8-ClNa", 1.0, _ions((0.6, 0.4), (-1, 1)), (0.0, 0.005, 0.01)),
    Simulated("cP2-ClCs", 1.05, _ions((0.5, 0.5), (-1, 1)), (0.0, 0.005, 0.01)),
    Simulated("cF8-SZn", 0.96, _ions((0.75, 0.25), (-1, 1)), (0.0, 0.004, 0.008)),
    Simulated("cF12-CaF2", 1.0, _ions((0.55, 0.45), (-1, 2)), (0.0, 0.01, 0.02)),
    Simulated("cP5-CaO3Ti", 1.0, _ions((0.6, 0.4, 0.8), (-2, 4, 2)), (0.0, 0.02, 0.05)),
    Simulated("cP4-AuCu3", 1.08, _spheres(1.0, 1.0, _LENNARD_JONES, 1.5), (0.0, 0.3, 0.6)),
    Simulated("tP2-AuCu", 1.06, _spheres(0.98, 1.0, _LENNARD_JONES, 1.5), (0.0, 0.3, 0.6)),
    Simulated("cF24-Cu2Mg", 0.9, _spheres(0.8165, 1.0, _LENNARD_JONES, 1.2), (0.0, 0.2, 0.4)),
    Simulated("hP12-MgZn2", 0.9, _spheres(0.8165, 1.0, _LENNARD_JONES, 1.2), (0.0, 0.2, 0.4)),
    Simulated("hP3-AlB2", 0.56, _spheres(0.55, 1.0, _SOFT), (0.0, 0.3, 0.6)),
    Simulated("cF112-NaZn", 0.54, _spheres(0.55, 1.0, _SOFT), (0.0, 0.3, 0.6)),
)

#: Particles of a simulation at least, and timesteps before each sample.
_N_SIMULATED, _STEPS = 600, 400


def simulated(found: Decorations, classes: Sequence[str]) -> Iterator[Named]:
    """Yield compounds that are heated by molecular dynamics, without those that melt."""
    for i, one in enumerate(tqdm(SIMULATED, "simulate", unit="compound")):
        perfect = samples.perfect(one.structure, _N_SIMULATED)
        names = _names(
            np.resize(found.kinds.labels[one.structure], len(perfect.positions)), classes
        )
        still = scaled(perfect, one.shortest)
        form = f"{one.potential['form']} {one.potential.get('expression', '')}".strip()
        how = {"potential": one.potential, "dt": one.dt, "seed": i, "steps": _STEPS}
        for kT in one.temperatures:
            for sample in heated.equilibrated("", still, how, kT, one.structure):
                # a sample's types say what it is
                hot = sample.system._replace(types=still.types)
                judged = np.where(sample.judged, names, "")
                yield Named("simulated", one.structure, f"{form}, kT {kT:g}", hot, judged)


# ---- the tables ----


def row(analyzer: Analyzer, case: Named) -> dict[str, Any]:
    """Share of the judged particles with the right name, and the most frequent wrong one."""
    result = analyzer.analyze_system(case.system)
    given = np.array([*result.class_names, UNKNOWN_NAME])[result.label]
    judged = case.names != ""
    wrong = given[judged & (given != case.names)]
    names, counts = np.unique(wrong, return_counts=True)
    sure = (given != case.names) & (given != UNKNOWN_NAME) & (result.confidence > 0.9)
    most = int(counts.argmax()) if len(counts) else None
    return {
        "group": case.group,
        "structure": case.structure,
        "condition": case.condition,
        "particles": int(judged.sum()),
        "right": round(float((given == case.names)[judged].mean()), 4) if judged.any() else "",
        "unknown": round(float((given == UNKNOWN_NAME)[judged].mean()), 4) if judged.any() else "",
        "disordered": round(float((given == DISORDERED).mean()), 4),
        "wrong above 0.9": round(float(sure[judged].mean()), 4) if judged.any() else "",
        "mostly taken for": "" if most is None else str(names[most]),
    }


def also_denoised(case: Named) -> bool:
    """Whether a case is hot enough for its heat to be taken out before, for comparison."""
    if case.group in DISPLACED:
        return case.condition.endswith(f" {LEVELS[-1]:g}")
    return case.group in WARM


def measured(
    analyzer: Analyzer, denoised: Analyzer, cases: Iterable[Named]
) -> Iterator[dict[str, Any]]:
    """Yield rows of cases and, of the hot ones, of their labels after denoising."""
    for case in cases:
        yield row(analyzer, case)
        if also_denoised(case):
            yield row(denoised, case._replace(group=f"{case.group}, denoised"))


def means(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Mean and least share of right names, of each group and condition."""
    groups: dict[tuple[str, str], list[float]] = {}
    for one in rows:
        if one["right"] != "":
            group = str(one["group"])
            what = "" if group.startswith("simulated") else str(one["condition"])
            groups.setdefault((group, what), []).append(float(one["right"]))
    return [
        {
            "group": group,
            "condition": what,
            "systems": len(shares),
            "right, mean": round(float(np.mean(shares)), 4),
            "right, least": round(min(shares), 4),
            "systems below 0.9": sum(share < 0.9 for share in shares),
        }
        for (group, what), shares in groups.items()
    ]


def publish(folder: Path, about: Mapping[str, Any]) -> None:
    """Measure a model, and write the tables, the model with all that was measured, and its card.

    Parameters
    ----------
    folder : Path
        Where the model is, and all of these go.
    about : mapping
        What the card says of the training.
    """
    model = load_model(folder / COMPOUNDS)
    analyzer, denoised = Analyzer(model), Analyzer(model, denoise_steps=DENOISE_STEPS)
    found = read_decorations(folder / DECORATIONS)
    classes = expected(found, model.info.card["renamed"])
    rng = np.random.default_rng([about["seed"], 4])
    rows = [
        one
        for cases in (
            crystals(found, classes, rng),
            mixed(found, classes, rng),
            faulty(found, classes, rng),
            unnamed(found, rng),
            simulated(found, classes),
        )
        for one in measured(analyzer, denoised, cases)
    ]
    write_table(folder / COMPOUNDS_TABLE, rows)
    table = means(rows)
    write_table(folder / COMPOUNDS_MEANS, table)
    metrics = {
        f"right, {one['group']} {one['condition']}".strip(): one["right, mean"] for one in table
    }
    card = dict(about) | model.info.card | {"metrics": metrics}
    save_model(folder / COMPOUNDS, Model(model.network, dataclasses.replace(model.info, card=card)))
    write_card(folder / COMPOUNDS_CARD, folder / COMPOUNDS)
