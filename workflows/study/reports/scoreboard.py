"""Report of how models compare with other methods over many samples: tables, figures, targets."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tqdm.auto import tqdm

from hoomd_gala.analyzer import Analyzer
from hoomd_gala.errors import InputError
from hoomd_gala.files.atomic import replacing, sha256, write_table
from hoomd_gala.files.models import find_model, load_model
from hoomd_gala.files.shipped import DENOISE
from study.comparison import labelers, scores
from study.comparison.labelers import Labeling
from study.comparison.names import CLASSICAL, REPORT, SAMPLES
from study.comparison.scores import GroupMean, Knowledge, Measured, Row, Target
from study.reports import quality_figures, scoreboard_figures
from study.reports.markdown import markdown, percent
from study.simulation.samples import read_samples

#: Name of a model's labels in their file.
_MODEL = "model"

#: Structures left out of which less is called right are listed in the summary.
_UNKNOWN = 0.92

#: Systems behind that the summary lists; the table has all.
_LISTED = 40

_PTM = ("PTM, 0.10", "PTM, 0.15", scores.PTM_BEST)


class SystemFolder(NamedTuple):
    """Where the samples of a system and their labels lie."""

    group: str
    system: str
    path: Path


class Way(NamedTuple):
    """How samples are labeled: by which model, and after how many steps of denoising again."""

    model: str
    denoise_steps: int = 0


def label_file(way: Way) -> str:
    """Name of the file with a model's labels; InputError if there is no such model."""
    name = f"labels-{sha256(find_model(way.model))[:16]}"
    if way.denoise_steps:
        name += f"-{sha256(find_model(DENOISE))[:16]}-{way.denoise_steps}"
    return f"{name}.npz"


def label_systems(folders: Sequence[SystemFolder], way: Way) -> None:
    """Label the samples of all systems by a model, but for those that it has labeled before."""
    name = label_file(way)
    left = [folder for folder in folders if not (folder.path / name).is_file()]
    if not left:
        return
    analyzer = Analyzer(way.model, denoise_steps=way.denoise_steps)
    for folder in tqdm(left, desc=f"model {way.model}", unit="system"):
        results = [
            analyzer.analyze_system(one.system) for one in read_samples(folder.path / SAMPLES)
        ]
        labels = [Labeling(result.names, result.confidence) for result in results]
        labelers.write_labels(folder.path / name, {_MODEL: labels})


def gather(folders: Sequence[SystemFolder], ways: Mapping[str, Way]) -> list[Measured]:
    """Read samples and labels of systems; models by the name that they get."""
    measured = []
    files = {name: label_file(way) for name, way in ways.items()}
    for folder in folders:
        samples = read_samples(folder.path / SAMPLES)
        found = labelers.read_labels(folder.path / CLASSICAL, samples)
        for name, file in files.items():
            found[name] = labelers.read_labels(folder.path / file, samples)[_MODEL]
        for i, sample in enumerate(samples):
            own = {name: parts[i] for name, parts in found.items()}
            measured.append(Measured(folder.group, folder.system, sample, own))
    return measured


def named(models: Sequence[str], denoise_steps: int = 0) -> dict[str, Way]:
    """Models by the stem of their names, and the same with denoising where there are steps of it.

    Raises
    ------
    InputError
        If two have the same, or one has no classes.
    """
    found = {Path(model).stem: Way(model) for model in models}
    if len(found) < len(models):
        raise InputError(f"the models {', '.join(models)} need different file names.")
    for model in models:
        if not load_model(model).info.class_names:
            raise InputError(f"model {model} has no classes; nothing to compare.")
    if denoise_steps:
        found |= {
            f"{name}, denoise {denoise_steps}": Way(way.model, denoise_steps)
            for name, way in found.items()
        }
    return found


def run(
    output: Path, folders: Sequence[SystemFolder], models: Sequence[str], denoise_steps: int = 0
) -> str:
    """Label systems by models, write the report into a folder, and return it in Markdown.

    Parameters
    ----------
    output : path
        Folder for tables, figures and ``quality.md``.
    folders : sequence of SystemFolder
        Systems that are made and labeled by all other methods.
    models : sequence of str
        Names of shipped models, or files.
    denoise_steps : int
        Models are measured with so many steps of denoising as well, if there are any.
    """
    by_name = named(models, denoise_steps)
    for way in by_name.values():
        label_systems(folders, way)
    measured = gather(folders, by_name)
    cutoffs = scores.cutoff_table(measured)
    best = scores.best_cutoff(cutoffs)
    for name, cutoff in zip(_PTM, (0.1, 0.15, best), strict=True):
        measured = [scores.within(part, cutoff, name) for part in measured]
    methods = dict.fromkeys(_PTM, Knowledge(scores.CLASSICAL["PTM"], False))
    methods |= {
        name: Knowledge(accepted, False)
        for name, accepted in scores.CLASSICAL.items()
        if name != "PTM"
    }
    classical = list(methods)
    structures = set().union(*(scores.structures_of(part.sample) for part in measured))
    for name, way in by_name.items():
        methods[name] = scores.model_knowledge(load_model(way.model).info, structures)
    rows = scores.score_all(measured, methods)
    output.mkdir(parents=True, exist_ok=True)
    write_table(output / "cutoffs.csv", cutoffs)
    return write(output, rows, classical, list(by_name), best)


def write(
    output: Path,
    rows: Sequence[Row],
    classical: Sequence[str],
    models: Sequence[str],
    best: float,
) -> str:
    """Write tables and figures of scores into a folder, and return the summary in Markdown."""
    methods = (*classical, *models)
    means = scores.group_means(rows, classical, models)
    write_table(output / "samples.csv", [_sample_row(row, classical, models) for row in rows])
    write_table(output / "groups.csv", [_group_row(mean, methods, models) for mean in means])
    reached = {model: scores.targets(rows, means, classical, model) for model in models}
    write_table(
        output / "targets.csv",
        [
            {"model": model, **target._asdict()}
            for model, found in reached.items()
            for target in found
        ],
    )
    late = {model: scores.behind(rows, classical, model) for model in models}
    everything = [row for found in late.values() for row in found]
    if everything:
        write_table(output / "behind.csv", everything)
    judgments = {model: scores.judgments(rows, model) for model in models}
    quality_figures.draw_reliability(
        output / "reliability.png", {name: one for name, one in judgments.items() if len(one[0])}
    )
    for mean in means:
        path = output / f"{mean.group.replace(' ', '-')}.png"
        own = [row for row in rows if row.group == mean.group]
        scoreboard_figures.draw_group(
            path, mean.group, own, _shown((*models, *classical), own), models
        )
    limit = f"{best:g}" if best else "no cutoff"
    parts = [
        "# Quality of models\n",
        "Share of particles that are labeled rightly, in percent. PTM: polyhedral template "
        f"matching under an RMSD cutoff; {limit} is the best over these samples. CNA: adaptive "
        "common neighbor analysis. diamond: its variant for diamond.\n",
        "## Targets\n",
        markdown(_target_rows(reached)),
        "## Groups\n",
        "Means over samples that one of the other methods knows, where what a method does not know "
        "counts as 0; in parentheses over all samples that the model knows. In disorder the other "
        "methods are right where they name nothing, a model where it says disordered.\n",
        markdown([_group_line(mean, methods) for mean in means]),
        "## Confidence\n",
        "Of the particles that are labeled, the share above a confidence and how many of these are "
        "right; and in how many samples of crystals more than 0.5 % of all particles have a wrong "
        "label above it.\n",
        markdown([line for model in models for line in _level_lines(rows, model)]),
        "## Disorder, and structures left out that are not unknown\n",
        markdown(_shares(rows, models) or [{"system": "none"}]),
        "## Behind\n",
        *_behind_parts(late),
    ]
    text = "\n".join(parts)
    with replacing(output / REPORT) as part:
        part.write_text(text)
    return text


def _shown(methods: Sequence[str], rows: Sequence[Row]) -> list[str]:
    """Methods that can be right about something of a group."""
    return [name for name in methods if any(name in row.scores for row in rows)]


def _exact(value: float) -> str:
    return f"{value:.5f}"


def _sample_row(row: Row, classical: Sequence[str], models: Sequence[str]) -> dict[str, Any]:
    """Return a sample's line: right labels of all methods, and what else models say."""
    line: dict[str, Any] = {
        "group": row.group,
        "system": row.system,
        "sample": row.sample,
        "particles": row.particles,
    }
    for name in (*classical, *models):
        line[name] = _exact(row.scores[name].right) if name in row.scores else ""
    for name in models:
        for share in ("unknown", "disordered", "named", "wrong", "sure"):
            score = row.scores.get(name)
            line[f"{name}: {share}"] = _exact(getattr(score, share)) if score else ""
    return line


def _group_row(mean: GroupMean, methods: Sequence[str], models: Sequence[str]) -> dict[str, Any]:
    """Return a group's line of the table."""
    line: dict[str, Any] = {
        "group": mean.group,
        "samples": mean.samples,
        "comparable": mean.comparable,
    }
    for name in methods:
        line[name] = _exact(mean.right[name]) if name in mean.right else ""
    for name in models:
        line[f"{name}: known"] = _exact(mean.known[name]) if name in mean.known else ""
    return line


def _group_line(mean: GroupMean, methods: Sequence[str]) -> dict[str, Any]:
    """Return a group's line of the summary."""
    line: dict[str, Any] = {"group": mean.group, "samples": f"{mean.comparable} ({mean.samples})"}
    for name in methods:
        line[name] = percent(mean.right[name]) if name in mean.right else "-"
        if name in mean.known:
            line[name] += f" ({percent(mean.known[name])})"
    return line


def _target_rows(reached: Mapping[str, Sequence[Target]]) -> list[dict[str, Any]]:
    """Return a line for each target, with what each model reaches."""
    lines = []
    for same in zip(*reached.values(), strict=True):
        line = {"target": same[0].what}
        for model, target in zip(reached, same, strict=True):
            if target.value is None:
                line[model] = "not measured"
                continue
            where = f" ({target.where})" if target.where else ""
            line[model] = f"{'yes' if target.reached else '**no**'}: {percent(target.value)}{where}"
        lines.append(line)
    return lines


def _level_lines(rows: Sequence[Row], model: str) -> list[dict[str, Any]]:
    """Return a line for each confidence: what labels above it are worth."""
    return [
        {
            "model": model,
            "confidence above": f"{level.confidence:g}",
            "of those labeled": percent(level.above),
            "right": f"{100 * level.right:.2f}",
            "samples with more wrong": f"{level.worse} of {level.samples}",
            "most": percent(level.most),
        }
        for level in scores.levels(rows, model)
    ]


def _shares(rows: Sequence[Row], models: Sequence[str]) -> list[dict[str, Any]]:
    """Return what models call samples that are not crystals with a name."""
    return [
        {"group": row.group, "sample": row.title}
        | {
            f"{name}: disordered / unknown / named": " / ".join(
                percent(share)
                for share in (
                    row.scores[name].disordered,
                    row.scores[name].unknown,
                    row.scores[name].named,
                )
            )
            if name in row.scores
            else ""
            for name in models
        }
        for row in rows
        if row.group == scores.DISORDER
        or (row.group == scores.LEFT_OUT and not all(_is_unknown(row, name) for name in models))
    ]


def _is_unknown(row: Row, model: str) -> bool:
    """Whether a model calls nearly all of a sample unknown, or knows it."""
    return model not in row.scores or row.scores[model].right >= _UNKNOWN


def _behind_parts(late: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """List of the samples on which each model is behind, the worst first."""
    parts = []
    for model, rows in late.items():
        parts.append(f"`{model}` is behind the best other method on {len(rows)} samples.\n")
        if rows:
            lines = [
                {key: row[key] for key in ("group", "system", "sample")}
                | {"right": percent(row["right"])}
                | {"best": f"{percent(row['best'])} ({row['method']})"}
                for row in rows[:_LISTED]
            ]
            parts.append(markdown(lines))
        if len(rows) > _LISTED:
            parts.append(f"and {len(rows) - _LISTED} more; see behind.csv.\n")
    return parts
