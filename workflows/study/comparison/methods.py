"""Labels of the same particles by models and by independent methods."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hoomd_gala.analyzer import Analyzer
from hoomd_gala.files.models import ModelInfo
from hoomd_gala.results import DISORDERED, UNKNOWN_NAME
from hoomd_gala.systems import System
from study.simulation import thermal
from study.simulation.thermal import HotCrystal
from study.solids import references
from study.solids.references import Labels, TemplateMatch

#: RMSD cutoffs of template matching to compare; 0 is none.
CUTOFFS = (*np.arange(0.05, 0.301, 0.01).round(2).tolist(), 0.0)

#: Labels other than crystal structures.
NOT_CRYSTALLINE = (UNKNOWN_NAME, DISORDERED, "icosahedral", references.OTHER)


class Method(NamedTuple):
    """Labels of many systems by one method.

    Attributes
    ----------
    accepted : dict of str to set of str
        Correct labels, by structure; structures outside the method's repertoire are missing.
    labels : list of (N,) str
        Labels of each system's particles.
    confidence : list of (N,) float
        Their confidence; empty for methods without.
    """

    accepted: dict[str, set[str]]
    labels: list[Labels]
    confidence: list[NDArray[np.float32]]


def accepted_classes(info: ModelInfo, structure: str) -> set[str]:
    """Classes of a model that are correct for a structure: its own, and those it is merged into.

    For each class, ``merged`` on a model's card lists the unit cells that share it.
    """
    merged = info.card.get("merged", {})
    return {
        name for name in info.class_names if name == structure or structure in merged.get(name, ())
    }


def label_by_model(analyzer: Analyzer, systems: Iterable[System]) -> Method:
    """Labels of a model."""
    info = analyzer.model.info
    accepted = {name: accepted_classes(info, name) for name in thermal.STRUCTURES}
    method = Method({name: classes for name, classes in accepted.items() if classes}, [], [])
    for system in systems:
        result = analyzer.analyze_system(system)
        method.labels.append(result.names)
        method.confidence.append(result.confidence)
    return method


def itself(names: Iterable[str]) -> dict[str, set[str]]:
    """Return accepted labels of a method that uses our names of structures."""
    return {name: {name} for name in names}


def template_matching(matches: Sequence[TemplateMatch], cutoff: float) -> Method:
    """Labels of template matching under a cutoff."""
    labels = [match.within(cutoff) for match in matches]
    return Method(itself(references.TEMPLATES.values()), labels, [])


def crystalline(labels: Labels) -> float:
    """Fraction of labels that name a crystal structure."""
    return float((~np.isin(labels, NOT_CRYSTALLINE)).mean())


def cutoff_table(
    crystals: Sequence[HotCrystal],
    matches: Sequence[TemplateMatch],
    liquids: Mapping[str, slice],
) -> list[dict[str, float]]:
    """Accuracy of template matching, and its false positives in liquids, at each cutoff.

    ``accuracy`` is the mean over all crystals in its repertoire; ``liquid called crystalline`` the
    mean over files, 0 without files. Both increase with the cutoff.
    """
    known = set(references.TEMPLATES.values())
    rows = []
    for cutoff in CUTOFFS:
        labels = [match.within(cutoff) for match in matches]
        right = [
            (labels[i] == hot.structure).mean()
            for i, hot in enumerate(crystals)
            if hot.structure in known
        ]
        wrong = [crystalline(np.concatenate(labels[frames])) for frames in liquids.values()]
        rows.append(
            {
                "cutoff": cutoff,
                "accuracy": round(float(np.mean(right)), 5) if right else 0.0,
                "liquid called crystalline": round(float(np.mean(wrong)), 5) if wrong else 0.0,
            }
        )
    return rows


def best_cutoff(rows: Sequence[Mapping[str, float]]) -> float:
    """Cutoff that separates crystals and liquids best.

    Without liquids this is no cutoff, which always has the highest accuracy.
    """
    best = max(rows, key=lambda row: row["accuracy"] - row["liquid called crystalline"])
    return best["cutoff"]


def label_by_references(
    systems: Sequence[System], matches: Sequence[TemplateMatch], cutoff: float
) -> dict[str, Method]:
    """Labels by independent methods: PTM at its default and at another cutoff, and CNA."""
    names = {*references.COMMON_NEIGHBORS.values(), *references.DIAMONDS.values()}
    neighbors = [references.common_neighbor_analysis(system) for system in systems]
    return {
        "PTM": template_matching(matches, references.DEFAULT_CUTOFF),
        "PTM, best cutoff": template_matching(matches, cutoff),
        "CNA": Method(itself(names), neighbors, []),
    }
