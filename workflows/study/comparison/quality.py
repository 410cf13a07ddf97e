"""How accurate models are on hot crystals, side by side with methods that are not ours.

``python quality.py --model structures --output FOLDER`` makes hot crystals of eight structures
(see :mod:`thermal`), labels them by the models, by polyhedral template matching (PTM) and by common
neighbor analysis (CNA), and writes tables (CSV, Markdown) and figures into the folder.
``--liquid`` adds files in which nothing is crystalline, ``--unknown`` files of structures that no
model knows. The crystals are kept in the folder: a second run reuses them.
"""

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from hoomd_gala.analyzer import Analyzer
from hoomd_gala.errors import InputError
from hoomd_gala.files.atomic import replacing, write_table
from hoomd_gala.files.models import ModelInfo
from hoomd_gala.files.trajectories import open_trajectory
from hoomd_gala.neighbors.environments import nearest_neighbors
from hoomd_gala.systems import Array, System, as_system
from study.comparison import measures
from study.figures import quality_figures
from study.figures.text_tables import markdown
from study.simulation import thermal
from study.simulation.thermal import HotCrystal
from study.solids import references
from study.solids.references import Labels

#: RMSD cut-offs of template matching that are tried; 0 is none.
CUTOFFS = (*np.arange(0.05, 0.301, 0.01).round(2).tolist(), 0.0)

#: Labels that name no crystal structure.
NOT_CRYSTALLINE = ("unknown", "disordered", "icosahedral", references.OTHER)


class Method(NamedTuple):
    """Labels of many systems by one method.

    Attributes
    ----------
    accepted : dict of str to set of str
        Labels that are right, by structure; a structure that is missing is not in the method's
        repertoire.
    labels : list of (N,) str
        Labels of each system's particles.
    confidence : list of (N,) float
        Confidence in them; empty for methods that have none.
    """

    accepted: dict[str, set[str]]
    labels: list[Labels]
    confidence: list[NDArray[np.float32]]


# ---- labels ----


def accepted_classes(info: ModelInfo, structure: str) -> set[str]:
    """Classes of a model that are right for a structure: its own, and those it is merged into.

    A model's card lists under ``merged``, for each class, the unit cells that share it.
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
    """Labels accepted of a method that calls structures by our names."""
    return {name: {name} for name in names}


def template_matching(matches: Sequence[tuple[Labels, Array]], cutoff: float) -> Method:
    """Labels of template matching under a cut-off, from its labels and deviations without."""
    labels = [references.within(*match, cutoff) for match in matches]
    return Method(itself(references.TEMPLATES.values()), labels, [])


def cutoff_table(
    crystals: Sequence[HotCrystal],
    matches: Sequence[tuple[Labels, Array]],
    liquids: Mapping[str, slice],
) -> list[dict[str, float]]:
    """What template matching makes of its structures, and of liquids, under each cut-off.

    ``accuracy`` is the mean over all crystals that it knows; ``liquid called crystalline`` the mean
    over files, 0 if there is none. The higher the cut-off, the higher are both.
    """
    known = set(references.TEMPLATES.values())
    rows = []
    for cutoff in CUTOFFS:
        labels = [references.within(*match, cutoff) for match in matches]
        right = [
            (labels[i] == hot.structure).mean()
            for i, hot in enumerate(crystals)
            if hot.structure in known
        ]
        wrong = [crystalline(np.concatenate(labels[frames])) for frames in liquids.values()]
        rows.append(
            {
                "cut-off": cutoff,
                "accuracy": round(float(np.mean(right)), 5) if right else 0.0,
                "liquid called crystalline": round(float(np.mean(wrong)), 5) if wrong else 0.0,
            }
        )
    return rows


def best_cutoff(rows: Sequence[Mapping[str, float]]) -> float:
    """Cut-off that keeps crystals and liquids best apart.

    Without liquids this is the highest accuracy, which no limit at all always has.
    """
    best = max(rows, key=lambda row: row["accuracy"] - row["liquid called crystalline"])
    return best["cut-off"]


def label_by_references(
    systems: Sequence[System], matches: Sequence[tuple[Labels, Array]], cutoff: float
) -> dict[str, Method]:
    """Labels of the methods that are not ours: PTM at its default and at a cut-off, and CNA."""
    names = {*references.COMMON_NEIGHBORS.values(), *references.DIAMONDS.values()}
    neighbors = [references.common_neighbor_analysis(system) for system in systems]
    return {
        "PTM": template_matching(matches, references.DEFAULT_CUTOFF),
        "PTM, best cut-off": template_matching(matches, cutoff),
        "CNA": Method(itself(names), neighbors, []),
    }


# ---- numbers ----


def accuracy_table(
    crystals: Sequence[HotCrystal], methods: Mapping[str, Method]
) -> list[dict[str, Any]]:
    """Fraction of particles labelled right, for each crystal and method.

    Methods that do not have the structure in their repertoire get 0 and are listed. Methods with a
    confidence have the fraction they call unknown as well.
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
                row[f"{name}: unknown"] = round(float((method.labels[i] == "unknown").mean()), 5)
        outside = [name for name in methods if hot.structure not in methods[name].accepted]
        row["not in repertoire"] = "; ".join(outside)
        rows.append(row)
    return rows


def crystalline(labels: Labels) -> float:
    """Fraction of labels that name a crystal structure."""
    return float((~np.isin(labels, NOT_CRYSTALLINE)).mean())


def crystalline_table(
    files: Mapping[str, slice], methods: Mapping[str, Method]
) -> list[dict[str, Any]]:
    """Fraction of particles that each method gives a crystal structure, for each file."""
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
    """Confidence of all particles of structures in a method's repertoire."""
    parts = [
        confidence
        for hot, confidence in zip(crystals, method.confidence[: len(crystals)], strict=True)
        if hot.structure in method.accepted
    ]
    return np.concatenate(parts)


#: Length of the mean bond vector, in mean bond lengths, above which a particle lies at a surface.
SURFACE = 0.2


def inside(system: System) -> NDArray[np.bool_]:
    """Which particles have neighbors on all sides, and so a structure to speak of."""
    bonds = nearest_neighbors(system.positions, system.box).bonds
    lengths = np.linalg.norm(bonds, axis=-1).mean(axis=1)
    return np.linalg.norm(bonds.mean(axis=1), axis=-1) < SURFACE * lengths


def unknown_table(
    crystals: Sequence[HotCrystal],
    files: Mapping[str, slice],
    systems: Sequence[System],
    models: Mapping[str, Method],
) -> list[dict[str, Any]]:
    """What models say of structures they do not know, for each file and model.

    Particles at surfaces are left out.

    The area under the ROC curve is that of the confidence, which should be high on the crystals of
    structures that the model knows and low on the file's particles.
    """
    rows = []
    for file, frames in files.items():
        bulk = np.concatenate([inside(system) for system in systems[frames]])
        for name, method in models.items():
            labels = np.concatenate(method.labels[frames])[bulk]
            confidence = np.concatenate(method.confidence[frames])[bulk]
            area = measures.area_under_roc(known_confidence(crystals, method), confidence)
            rows.append(
                {
                    "file": Path(file).name,
                    "model": name,
                    "particles": len(labels),
                    "unknown": round(float((labels == "unknown").mean()), 5),
                    "disordered": round(float((labels == "disordered").mean()), 5),
                    "named": round(crystalline(labels), 5),
                    "area under ROC": round(area, 5),
                }
            )
    return rows


def judged(
    crystals: Sequence[HotCrystal], liquids: Iterable[slice], method: Method
) -> tuple[Array, NDArray[np.bool_]]:
    """Confidence of all particles that have a label, and whether it is right.

    They are those of the crystals in the method's repertoire, and of liquids, where only the label
    ``disordered`` is right.
    """
    truth = [
        (i, method.accepted[hot.structure])
        for i, hot in enumerate(crystals)
        if hot.structure in method.accepted
    ]
    for frames in liquids:
        truth += [(i, {"disordered"}) for i in range(frames.start, frames.stop)]
    labels = np.concatenate([method.labels[i] for i, _ in truth])
    right = np.concatenate([np.isin(method.labels[i], list(names)) for i, names in truth])
    confidence = np.concatenate([method.confidence[i] for i, _ in truth])
    given = labels != "unknown"
    return confidence[given], right[given]


def mean_table(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> list[dict[str, Any]]:
    """Mean over structures, for each kind that all structures have, and each level.

    A structure that is not in a method's repertoire counts as 0; the mean over those that are is
    there as well, as ``NAME: of known``.
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


# ---- for people ----


def percent(value: float) -> str:
    """A fraction as people read it."""
    return f"{100 * value:.1f}"


def mean_markdown(means: Sequence[dict[str, Any]], names: Sequence[str]) -> str:
    """Table of means over structures; over a method's own repertoire in parentheses."""
    lines = []
    for mean in means:
        line = {"displacements": mean["kind"], "rms / %": percent(mean["rms"])}
        for name in names:
            known = mean[f"{name}: of known"]
            line[name] = percent(mean[name])
            if known is not None and known != mean[name]:
                line[name] += f" ({percent(known)})"
        lines.append(line)
    return markdown(lines)


def structure_markdown(
    rows: Sequence[dict[str, Any]], names: Sequence[str], levels: Sequence[float] = (0.08, 0.1)
) -> str:
    """Table of each structure at some levels; - for what is not in a method's repertoire."""
    lines = [
        {
            "structure": f"{row['structure']}, {thermal.STRUCTURES[row['structure']]}",
            "displacements": row["kind"],
            "rms / %": percent(row["rms"]),
        }
        | {name: percent(row[name]) if knows(row, name) else "-" for name in names}
        for row in rows
        if row["level"] in levels
    ]
    return markdown(lines)


# ---- the whole ----


def read_frames(paths: Sequence[Path]) -> dict[str, list[System]]:
    """All frames of files, by the file's name."""
    files = {}
    for path in paths:
        with open_trajectory(path) as frames:
            files[str(path)] = [as_system(frame) for frame in frames]
        if not files[str(path)]:
            raise InputError(f"{path} has no frames.")
    return files


def load_analyzers(models: Sequence[str], structures: Sequence[str]) -> dict[str, Analyzer]:
    """Models by their file's name without suffix; each has to know one of the structures."""
    analyzers = {Path(model).stem: Analyzer(model) for model in models}
    if len(analyzers) < len(models):
        raise InputError(f"the models {', '.join(models)} need different file names.")
    for name, analyzer in analyzers.items():
        if not any(accepted_classes(analyzer.model.info, structure) for structure in structures):
            raise InputError(f"{name} knows none of {', '.join(structures)}; nothing to test.")
    return analyzers


def run(
    output: Path,
    models: Sequence[str],
    liquids: Sequence[Path] = (),
    unknowns: Sequence[Path] = (),
    structures: Sequence[str] = tuple(thermal.STRUCTURES),
    n_particles: int = thermal.N_PARTICLES,
) -> str:
    """Write everything into a folder and return the summary, in Markdown."""
    # what cannot be used is to be found before anything is simulated
    analyzers = load_analyzers(models, structures)
    liquid_frames, unknown_frames = read_frames(liquids), read_frames(unknowns)
    folder = output / "crystals"
    folder.mkdir(parents=True, exist_ok=True)
    series = [(structure, kind) for structure in structures for kind in thermal.sources(structure)]
    crystals = [
        hot
        for structure, kind in tqdm(series, desc="hot crystals", unit="series")
        for hot in thermal.stored(folder, structure, kind, n_particles)
    ]

    systems = [hot.system for hot in crystals]
    places: dict[str, slice] = {}
    for file, frames in (liquid_frames | unknown_frames).items():
        places[file] = slice(len(systems), len(systems) + len(frames))
        systems += frames
    matches = [
        references.template_matching(system)
        for system in tqdm(systems, desc="template matching", unit="frame")
    ]
    cutoffs = cutoff_table(crystals, matches, {file: places[file] for file in liquid_frames})
    compared = label_by_references(systems, matches, best_cutoff(cutoffs))
    ours = {
        name: label_by_model(analyzer, tqdm(systems, desc=f"model {name}", unit="frame"))
        for name, analyzer in analyzers.items()
    }
    methods = compared | ours
    return write(
        output,
        crystals,
        systems,
        methods,
        ours,
        {file: places[file] for file in liquid_frames},
        {file: places[file] for file in unknown_frames},
        cutoffs,
    )


def write(
    output: Path,
    crystals: Sequence[HotCrystal],
    systems: Sequence[System],
    methods: Mapping[str, Method],
    ours: Mapping[str, Method],
    liquids: Mapping[str, slice],
    unknowns: Mapping[str, slice],
    cutoffs: Sequence[Mapping[str, float]],
) -> str:
    """Write tables and figures into a folder and return the summary, in Markdown."""
    names = list(methods)
    rows = accuracy_table(crystals, methods)
    means = mean_table(rows, names)
    write_table(output / "accuracy.csv", rows)
    write_table(output / "mean_accuracy.csv", means)
    quality_figures.draw_accuracy(output / "accuracy.png", rows, means, names)
    write_table(output / "template_matching_cutoffs.csv", cutoffs)
    cutoff = best_cutoff(cutoffs)
    limit = f"{cutoff:g}" if cutoff else "no cut-off"
    parts = [
        "# Accuracy on hot crystals\n",
        "Percentage of particles whose label is right. Displacements are root mean squares per "
        "direction, in units of the shortest distance of the perfect crystal. PTM: polyhedral "
        f"template matching, RMSD cut-off {references.DEFAULT_CUTOFF}; {limit} keeps these "
        "crystals and the liquids best apart. CNA: adaptive common neighbor analysis, and its "
        "variant for diamonds.\n",
        "## Mean over structures\n",
        "What a method does not know counts as 0; in parentheses the mean over what it knows.\n",
        mean_markdown(means, names),
        "## Structures\n",
        structure_markdown(rows, names),
    ]
    if liquids:
        table = crystalline_table(liquids, methods)
        write_table(output / "liquids.csv", table)
        parts += ["## Fraction of liquids that is called crystalline\n", markdown(table)]
    if unknowns:
        table = unknown_table(crystals, unknowns, systems, ours)
        write_table(output / "unknown.csv", table)
        parts += ["## Structures that the models do not know\n", markdown(table)]
    judgments = {name: judged(crystals, liquids.values(), method) for name, method in ours.items()}
    quality_figures.draw_reliability(output / "reliability.png", judgments)
    errors = [
        {
            "model": name,
            "labelled particles": len(confidence),
            "accuracy": round(float(right.mean()), 5),
            "expected calibration error": round(measures.calibration_error(confidence, right), 5),
        }
        for name, (confidence, right) in judgments.items()
    ]
    write_table(output / "calibration.csv", errors)
    parts += ["## Calibration, of particles that have a label\n", markdown(errors)]
    text = "\n".join(parts)
    with replacing(output / "quality.md") as part:
        part.write_text(text)
    return text


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0, or 2 for input that cannot be used."""
    parser = argparse.ArgumentParser(description="Accuracy of models on hot crystals.")
    parser.add_argument("--model", action="append", required=True, help="name or file; repeatable")
    parser.add_argument(
        "--liquid", action="append", type=Path, default=[], metavar="FILE.gsd",
        help="frames in which nothing is crystalline; repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--unknown", action="append", type=Path, default=[], metavar="FILE.gsd",
        help="frames of structures that no model knows; repeatable",
    )  # fmt: skip
    parser.add_argument("--output", required=True, type=Path, metavar="FOLDER")
    options = parser.parse_args(arguments)
    try:
        print(run(options.output, options.model, options.liquid, options.unknown))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
