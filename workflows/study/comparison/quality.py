"""Tables of accuracy on hot crystals, and of labels in liquids and unknown structures."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hoomd_gala.results import DISORDERED, UNKNOWN_NAME
from hoomd_gala.systems import Array, System
from study.comparison import measures
from study.comparison.methods import Method, crystalline
from study.simulation import thermal
from study.simulation.thermal import HotCrystal
from study.solids.order import surrounded


def accuracy_table(
    crystals: Sequence[HotCrystal], methods: Mapping[str, Method]
) -> list[dict[str, Any]]:
    """Fraction of correctly labeled particles, for each crystal and method.

    Methods without the structure in their repertoire get 0 and are listed. For methods with a
    confidence, the fraction labeled unknown is given as well.
    """
    rows = []
    for i, hot in enumerate(crystals):
        row: dict[str, Any] = {key: getattr(hot, key) for key in ("structure", "kind")}
        row |= {key: round(getattr(hot, key), 5) for key in ("level", "kT", "rms")}
        row["particles"] = len(hot.system.positions)
        for name, method in methods.items():
            right = np.isin(method.labels[i], list(method.accepted.get(hot.structure, ())))
            row[name] = round(float(right.mean()), 5)
        for name, method in methods.items():
            if method.confidence:
                row[f"{name}: unknown"] = round(float((method.labels[i] == UNKNOWN_NAME).mean()), 5)
        outside = [name for name in methods if hot.structure not in methods[name].accepted]
        row["not in repertoire"] = "; ".join(outside)
        rows.append(row)
    return rows


def crystalline_table(
    files: Mapping[str, slice], methods: Mapping[str, Method]
) -> list[dict[str, Any]]:
    """Fraction of particles that each method labels as crystalline, for each file."""
    rows = []
    for file, frames in files.items():
        labels = {name: np.concatenate(method.labels[frames]) for name, method in methods.items()}
        row: dict[str, Any] = {
            "file": Path(file).name,
            "particles": len(next(iter(labels.values()))),
        }
        for name in methods:
            row[name] = round(crystalline(labels[name]), 5)
        rows.append(row)
    return rows


def known_confidence(crystals: Sequence[HotCrystal], method: Method) -> Array:
    """Confidence of all particles, (M,), of structures in a method's repertoire."""
    parts = [
        confidence
        for hot, confidence in zip(crystals, method.confidence[: len(crystals)], strict=True)
        if hot.structure in method.accepted
    ]
    return np.concatenate(parts)


def unknown_table(
    crystals: Sequence[HotCrystal],
    files: Mapping[str, slice],
    systems: Sequence[System],
    models: Mapping[str, Method],
) -> list[dict[str, Any]]:
    """Labels of unknown structures, for each file and model, without particles at surfaces.

    The area under the ROC curve is that of the confidence, which should be high on crystals in the
    model's repertoire and low on the file's particles.
    """
    rows = []
    for file, frames in files.items():
        bulk = np.concatenate([surrounded(system) for system in systems[frames]])
        for name, method in models.items():
            labels = np.concatenate(method.labels[frames])[bulk]
            confidence = np.concatenate(method.confidence[frames])[bulk]
            area = measures.area_under_roc(known_confidence(crystals, method), confidence)
            rows.append(
                {
                    "file": Path(file).name,
                    "model": name,
                    "particles": len(labels),
                    "unknown": round(float((labels == UNKNOWN_NAME).mean()), 5),
                    "disordered": round(float((labels == DISORDERED).mean()), 5),
                    "named": round(crystalline(labels), 5),
                    "area under ROC": round(area, 5),
                }
            )
    return rows


def judged(
    crystals: Sequence[HotCrystal], liquids: Iterable[slice], method: Method
) -> tuple[Array, NDArray[np.bool_]]:
    """Confidence of all labeled particles, (M,), and whether the label is correct, (M,).

    These are particles of crystals in the method's repertoire, and of liquids, where only
    ``disordered`` is correct.
    """
    truth = [
        (i, method.accepted[hot.structure])
        for i, hot in enumerate(crystals)
        if hot.structure in method.accepted
    ]
    for frames in liquids:
        truth += [(i, {DISORDERED}) for i in range(frames.start, frames.stop)]
    labels = np.concatenate([method.labels[i] for i, _ in truth])
    right = np.concatenate([np.isin(method.labels[i], list(names)) for i, names in truth])
    confidence = np.concatenate([method.confidence[i] for i, _ in truth])
    given = labels != UNKNOWN_NAME
    return confidence[given], right[given]


def mean_table(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> list[dict[str, Any]]:
    """Mean over structures, for each kind that all structures have, and each level.

    A structure outside a method's repertoire counts as 0; ``NAME: of known`` is the mean over its
    repertoire.
    """
    means = []
    for kind in ("Gaussian", "elastic network"):
        for level in thermal.LEVELS:
            group = [row for row in rows if row["kind"] == kind and row["level"] == level]
            mean: dict[str, Any] = {"kind": kind, "level": level}
            mean["rms"] = round(float(np.mean([row["rms"] for row in group])), 5)
            for name in names:
                mean[name] = round(float(np.mean([row[name] for row in group])), 5)
                known = [row[name] for row in group if knows(row, name)]
                mean[f"{name}: of known"] = round(float(np.mean(known)), 5) if known else None
            means.append(mean)
    return means


def knows(row: Mapping[str, Any], name: str) -> bool:
    """Whether a row's structure is in a method's repertoire."""
    return name not in row["not in repertoire"].split("; ")
