"""Report of the accuracy of models on hot crystals, compared with independent methods."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from hoomd_gala.analyzer import Analyzer
from hoomd_gala.errors import InputError
from hoomd_gala.files.atomic import replacing, write_table
from hoomd_gala.files.trajectories import open_trajectory
from hoomd_gala.systems import System, as_system
from study.comparison import measures, methods
from study.comparison.methods import Method
from study.comparison.quality import (
    accuracy_table,
    crystalline_table,
    judged,
    knows,
    mean_table,
    unknown_table,
)
from study.reports import quality_figures
from study.reports.markdown import markdown, percent
from study.simulation import thermal
from study.simulation.thermal import HotCrystal
from study.solids import references


def mean_markdown(means: Sequence[dict[str, Any]], names: Sequence[str]) -> str:
    """Markdown table of means over structures; over a method's repertoire in parentheses."""
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
    """Markdown table of each structure at some levels; - outside a method's repertoire."""
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


def read_frames(paths: Sequence[Path]) -> dict[str, list[System]]:
    """All frames of files, by file name; InputError for a file without frames."""
    files = {}
    for path in paths:
        with open_trajectory(path) as frames:
            files[str(path)] = [as_system(frame) for frame in frames]
        if not files[str(path)]:
            raise InputError(f"{path} has no frames.")
    return files


def load_analyzers(models: Sequence[str], structures: Sequence[str]) -> dict[str, Analyzer]:
    """Models by file name without suffix.

    Raises
    ------
    InputError
        If two have the same name, or one has none of the structures as a class.
    """
    analyzers = {Path(model).stem: Analyzer(model) for model in models}
    if len(analyzers) < len(models):
        raise InputError(f"the models {', '.join(models)} need different file names.")
    for name, analyzer in analyzers.items():
        if not any(
            methods.accepted_classes(analyzer.model.info, structure) for structure in structures
        ):
            raise InputError(
                f"model {name} has none of the structures {', '.join(structures)}; nothing to test."
            )
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
    # unusable input is reported before anything is simulated
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
    cutoffs = methods.cutoff_table(
        crystals, matches, {file: places[file] for file in liquid_frames}
    )
    compared = methods.label_by_references(systems, matches, methods.best_cutoff(cutoffs))
    ours = {
        name: methods.label_by_model(analyzer, tqdm(systems, desc=f"model {name}", unit="frame"))
        for name, analyzer in analyzers.items()
    }
    return write(
        output,
        crystals,
        systems,
        compared | ours,
        ours,
        {file: places[file] for file in liquid_frames},
        {file: places[file] for file in unknown_frames},
        cutoffs,
    )


def write(
    output: Path,
    crystals: Sequence[HotCrystal],
    systems: Sequence[System],
    labelings: Mapping[str, Method],
    ours: Mapping[str, Method],
    liquids: Mapping[str, slice],
    unknowns: Mapping[str, slice],
    cutoffs: Sequence[Mapping[str, float]],
) -> str:
    """Write tables and figures into a folder and return the summary, in Markdown."""
    names = list(labelings)
    rows = accuracy_table(crystals, labelings)
    means = mean_table(rows, names)
    write_table(output / "accuracy.csv", rows)
    write_table(output / "mean_accuracy.csv", means)
    quality_figures.draw_accuracy(output / "accuracy.png", rows, means, names)
    write_table(output / "template_matching_cutoffs.csv", cutoffs)
    cutoff = methods.best_cutoff(cutoffs)
    limit = f"{cutoff:g}" if cutoff else "no cutoff"
    parts = [
        "# Accuracy on hot crystals\n",
        "Percentage of correctly labeled particles. Displacements are root mean squares per "
        "direction, in units of the shortest distance of the perfect crystal. PTM: polyhedral "
        f"template matching, RMSD cutoff {references.DEFAULT_CUTOFF}; {limit} separates these "
        "crystals from the liquids best. CNA: adaptive common neighbor analysis, and its "
        "variant for diamond.\n",
        "## Mean over structures\n",
        "Structures outside a method's repertoire count as 0; in parentheses: mean over its "
        "repertoire.\n",
        mean_markdown(means, names),
        "## Structures\n",
        structure_markdown(rows, names),
    ]
    if liquids:
        table = crystalline_table(liquids, labelings)
        write_table(output / "liquids.csv", table)
        parts += ["## Fraction of liquids labeled crystalline\n", markdown(table)]
    if unknowns:
        table = unknown_table(crystals, unknowns, systems, ours)
        write_table(output / "unknown.csv", table)
        parts += ["## Structures unknown to the models\n", markdown(table)]
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
    parts += ["## Calibration, of labeled particles\n", markdown(errors)]
    text = "\n".join(parts)
    with replacing(output / "quality.md") as part:
        part.write_text(text)
    return text
