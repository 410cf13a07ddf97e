"""How often methods call particles of samples what they are: by sample, by group, and over all."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hoomd_gala.files.models import ModelInfo
from hoomd_gala.results import DISORDERED, UNKNOWN_NAME
from study.comparison import measures
from study.comparison.labelers import CHILL, HYDRATE, Labeling
from study.comparison.methods import CUTOFFS, NOT_CRYSTALLINE, accepted_classes
from study.simulation.samples import UNNAMED, Sample
from study.solids import references

#: Groups that are not crystals to be named.
DISORDER, LEFT_OUT = "disorder", "left out"

#: What is not the name of a structure among truths.
_NOT_STRUCTURES = (DISORDERED, UNNAMED)

#: Confidence above which a wrong label is a confident one.
SURE = 0.9

#: Confidences that the report says the same of.
LEVELS = (0.5, SURE, 0.99, 0.999)

#: Share of a sample's particles that may be wrong and sure.
SURE_AT_MOST = 0.005

#: A model is behind where its share of right labels is lower than another method's by more.
MARGIN = 0.005

#: Names of methods in tables.
PTM_BEST = "PTM, best cutoff"


class Measured(NamedTuple):
    """A sample that several methods have labeled.

    Attributes
    ----------
    group, system : str
        Group of its system, and name of that.
    sample : Sample
        Particles and truth.
    labelings : dict of str to Labeling
        Labels by method; those of :func:`~study.comparison.labelers.label_classically` under the
        names that it gives.
    """

    group: str
    system: str
    sample: Sample
    labelings: dict[str, Labeling]


class Knowledge(NamedTuple):
    """What a method knows.

    Attributes
    ----------
    accepted : dict of str to set of str
        Right labels by structure.
    is_model : bool
        Whether it tells disorder from the unknown, with a confidence.
    """

    accepted: Mapping[str, set[str]]
    is_model: bool


def _names_itself(names: Iterable[str]) -> dict[str, set[str]]:
    return {name: {name} for name in names if name not in NOT_CRYSTALLINE}


#: What the methods that are not ours know, by the name of their labels.
CLASSICAL: dict[str, dict[str, set[str]]] = {
    "PTM": _names_itself(references.TEMPLATES.values()),
    "CNA": _names_itself(references.COMMON_NEIGHBORS.values()),
    "diamond": _names_itself(references.DIAMONDS.values()),
    "CHILL+": _names_itself(CHILL.values()) | {"sII": {HYDRATE}, "cP46-Si": {HYDRATE}},
}

#: Classes that samples stand for which are not made from the cell of that name.
_ALIASES = {"sII": "cF136-Si"}


def model_knowledge(info: ModelInfo, structures: Iterable[str]) -> Knowledge:
    """Return what a model accepts of some structures."""
    accepted = {name: accepted_classes(info, _ALIASES.get(name, name)) for name in structures}
    return Knowledge({name: classes for name, classes in accepted.items() if classes}, True)


def structures_of(sample: Sample) -> set[str]:
    """Names of the structures in a sample."""
    return set(np.unique(sample.truth[sample.judged]).tolist()) - set(_NOT_STRUCTURES)


def _right(measured: Measured, knowledge: Knowledge, label: NDArray[np.str_]) -> NDArray[np.bool_]:
    """Which of a sample's labels are right, (N,)."""
    truth = measured.sample.truth
    right = np.zeros(len(truth), bool)
    for name in np.unique(truth).tolist():
        if name == DISORDERED:
            good = label == DISORDERED if knowledge.is_model else np.isin(label, NOT_CRYSTALLINE)
        elif name == UNNAMED:
            good = np.isin(label, NOT_CRYSTALLINE)
        elif name not in knowledge.accepted:
            good = label == UNKNOWN_NAME if measured.group == LEFT_OUT else np.zeros_like(right)
        else:
            good = np.isin(label, list(knowledge.accepted[name]))
        right |= good & (truth == name)
    return right


def knows(measured: Measured, knowledge: Knowledge) -> bool:
    """Whether a method can be right about a sample."""
    if measured.group == LEFT_OUT:
        return knowledge.is_model
    return structures_of(measured.sample) <= set(knowledge.accepted)


class Score(NamedTuple):
    """Shares of a sample's judged particles.

    Attributes
    ----------
    right, unknown, disordered, named : float
        That are labeled rightly, unknown, disordered, with the name of a crystal structure.
    wrong, sure : float
        That are labeled, but wrongly; and of those with a confidence above :data:`SURE`.
    confidence : (m,) float32
        Of particles that are not labeled unknown; empty for methods without.
    correct : (m,) bool
        Whether their labels are right.
    """

    right: float
    unknown: float
    disordered: float
    named: float
    wrong: float
    sure: float
    confidence: NDArray[np.float32]
    correct: NDArray[np.bool_]


def score(parts: Sequence[Measured], method: str, knowledge: Knowledge) -> Score:
    """Score a method on frames of a sample.

    Parameters
    ----------
    parts : sequence of Measured
        The frames.
    method : str
        Name of the labels.
    knowledge : Knowledge
        What the method knows.
    """
    judged = np.concatenate([part.sample.judged for part in parts])
    label = np.concatenate([part.labelings[method].label for part in parts])[judged]
    confidence = np.concatenate([part.labelings[method].score for part in parts])[judged]
    right = np.concatenate(
        [_right(part, knowledge, part.labelings[method].label) for part in parts]
    )[judged]
    unknown = label == UNKNOWN_NAME
    wrong = ~right & ~unknown
    given = ~unknown & knowledge.is_model
    return Score(
        float(right.mean()),
        float(unknown.mean()),
        float((label == DISORDERED).mean()),
        float((~np.isin(label, NOT_CRYSTALLINE)).mean()),
        float(wrong.mean()),
        float((wrong & (confidence > SURE)).mean()) if knowledge.is_model else 0.0,
        confidence[given],
        right[given],
    )


# ---- all methods on all samples ----


class Row(NamedTuple):
    """A sample, all its frames, and the scores of the methods that can be right about it.

    Attributes
    ----------
    group, system, sample : str
        Where it belongs, and its name.
    particles : int
        Judged ones.
    scores : dict of str to Score
        By method.
    """

    group: str
    system: str
    sample: str
    particles: int
    scores: dict[str, Score]

    @property
    def title(self) -> str:
        """Name of the system and of the sample in it."""
        return ": ".join(filter(None, (self.system, self.sample)))


def within(measured: Measured, cutoff: float, name: str) -> Measured:
    """Add labels of template matching under a cutoff of the RMSD; 0 is none."""
    label, rmsd = measured.labelings["PTM"]
    limited = Labeling(references.within(label, rmsd, cutoff), rmsd)
    return measured._replace(labelings=measured.labelings | {name: limited})


def _frames(measured: Iterable[Measured]) -> list[list[Measured]]:
    """Frames of each sample together."""
    together: dict[tuple[str, str, str], list[Measured]] = {}
    for part in measured:
        together.setdefault((part.group, part.system, part.sample.name), []).append(part)
    return list(together.values())


def score_all(measured: Iterable[Measured], methods: Mapping[str, Knowledge]) -> list[Row]:
    """Score methods, by the names of their labels, on all samples with judged particles."""
    rows = []
    for parts in _frames(measured):
        particles = sum(int(part.sample.judged.sum()) for part in parts)
        if not particles:
            continue
        scores = {
            name: score(parts, name, knowledge)
            for name, knowledge in methods.items()
            if all(knows(part, knowledge) for part in parts)
        }
        first = parts[0]
        rows.append(Row(first.group, first.system, first.sample.name, particles, scores))
    return rows


def cutoff_table(measured: Sequence[Measured]) -> list[dict[str, float]]:
    """Mean share that template matching labels rightly, and names in disorder, at each cutoff."""
    knowledge = Knowledge(CLASSICAL["PTM"], False)
    table = []
    for cutoff in CUTOFFS:
        limited = [within(part, cutoff, "limited") for part in measured]
        rows = score_all(limited, {"limited": knowledge})
        right = [row.scores["limited"].right for row in rows if is_crystal(row) and row.scores]
        named = [row.scores["limited"].named for row in rows if row.group == DISORDER]
        table.append(
            {
                "cutoff": cutoff,
                "right": round(float(np.mean(right)), 5) if right else 0.0,
                "named in disorder": round(float(np.mean(named)), 5) if named else 0.0,
            }
        )
    return table


def best_cutoff(table: Sequence[Mapping[str, float]]) -> float:
    """Cutoff that tells crystals from disorder best."""
    return max(table, key=lambda row: row["right"] - row["named in disorder"])["cutoff"]


def is_crystal(row: Row) -> bool:
    """Whether a sample holds structures that have a name."""
    return row.group not in (DISORDER, LEFT_OUT)


def _mean(values: Iterable[float]) -> float | None:
    found = list(values)
    return float(np.mean(found)) if found else None


class GroupMean(NamedTuple):
    """Means over the samples of a group.

    Attributes
    ----------
    group : str
        Its name.
    samples, comparable : int
        Samples, and those that a method which is not ours knows.
    right : dict of str to float
        Mean share of right labels by method, over the comparable samples; 0 for a sample that a
        method does not know.
    known : dict of str to float
        The same over all samples that a model knows, by model.
    """

    group: str
    samples: int
    comparable: int
    right: dict[str, float]
    known: dict[str, float]


def group_means(
    rows: Sequence[Row], classical: Sequence[str], models: Sequence[str]
) -> list[GroupMean]:
    """Means of each group, in the order of the rows."""
    means = []
    for group in dict.fromkeys(row.group for row in rows):
        own = [row for row in rows if row.group == group]
        common = [row for row in own if any(name in row.scores for name in classical)]
        right, known = {}, {}
        for name in (*classical, *models):
            shares = [row.scores[name].right if name in row.scores else 0.0 for row in common]
            if shares:
                right[name] = float(np.mean(shares))
        for name in models:
            mean = _mean(row.scores[name].right for row in own if name in row.scores)
            if mean is not None:
                known[name] = mean
        means.append(GroupMean(group, len(own), len(common), right, known))
    return means


def behind(rows: Sequence[Row], classical: Sequence[str], model: str) -> list[dict[str, Any]]:
    """List samples on which a model is behind the best other method, the worst first."""
    found = []
    for row in rows:
        others = {name: row.scores[name].right for name in classical if name in row.scores}
        if not others or not is_crystal(row):
            continue
        best = max(others, key=lambda name: others[name])
        own = row.scores[model].right if model in row.scores else 0.0
        if others[best] - own > MARGIN:
            found.append(
                {
                    "model": model,
                    "group": row.group,
                    "system": row.system,
                    "sample": row.sample,
                    "right": round(own, 5),
                    "best": round(others[best], 5),
                    "method": best,
                }
            )
    return sorted(found, key=lambda one: one["right"] - one["best"])


# ---- what models should reach ----


class Target(NamedTuple):
    """A figure that models should reach.

    Attributes
    ----------
    what : str
        What is measured, with the value that it should reach.
    reached : bool or None
        Whether it does; None if nothing of it was measured.
    value : float or None
        Measured value.
    where : str
        Where it is worst, if it is that of one sample or group.
    """

    what: str
    reached: bool | None
    value: float | None
    where: str = ""


def _lowest(what: str, limit: float, values: Mapping[str, float]) -> Target:
    if not values:
        return Target(what, None, None)
    where = min(values, key=lambda name: values[name])
    return Target(what, values[where] >= limit, values[where], where)


def _highest(what: str, limit: float, values: Mapping[str, float]) -> Target:
    if not values:
        return Target(what, None, None)
    where = max(values, key=lambda name: values[name])
    return Target(what, values[where] <= limit, values[where], where)


def _at_least(what: str, limit: float, values: Iterable[float]) -> Target:
    mean = _mean(values)
    return Target(what, None if mean is None else mean >= limit, mean)


def _at_most(what: str, limit: float, value: float | None) -> Target:
    return Target(what, None if value is None else value <= limit, value)


def targets(
    rows: Sequence[Row], means: Sequence[GroupMean], classical: Sequence[str], model: str
) -> list[Target]:
    """Compare a model with what it should reach."""
    known = [row for row in rows if model in row.scores]
    crystals = [row for row in known if is_crystal(row)]
    disorder = [row for row in known if row.group == DISORDER]
    ahead = {
        mean.group: mean.right[model] - max(mean.right[name] for name in classical)
        for mean in means
        if mean.comparable and mean.group not in (DISORDER, LEFT_OUT)
    }
    kinds: dict[str, list[Score]] = {}
    for row in disorder:
        kinds.setdefault(row.system, []).append(row.scores[model])
    disordered = {name: float(np.mean([one.disordered for one in k])) for name, k in kinds.items()}
    named = {name: float(np.mean([one.named for one in k])) for name, k in kinds.items()}
    sure = {row.title: row.scores[model].sure for row in crystals}
    hot = {row.title: row.scores[model].right for row in crystals if "3400 K" in row.system}
    cold = [row.scores[model].right for row in crystals if row.sample == "perfect"]
    left_out = [row.scores[model].right for row in known if row.group == LEFT_OUT]
    right = [row.scores[model].right for row in crystals]
    return [
        _lowest("within 0.5 % of the best other method in every group", -MARGIN, ahead),
        _at_least("crystals of the list: right ≥ 98.5 %", 0.985, right),
        _at_least("perfect crystals: right ≥ 99 %", 0.99, cold),
        _at_least("disorder: disordered ≥ 97 %", 0.97, disordered.values()),
        _lowest("disorder, each kind: disordered ≥ 90 %", 0.9, disordered),
        _at_most("disorder: named ≤ 0.5 %", 0.005, _mean(named.values())),
        _highest("disorder, each kind: named ≤ 2 %", 0.02, named),
        _lowest("copper at 3400 K: right ≥ 99.5 %", 0.995, hot),
        _highest("wrong with confidence above 0.9, each crystal: ≤ 0.5 %", SURE_AT_MOST, sure),
        _at_least("left out: unknown ≥ 92 %", 0.92, left_out),
        _at_most("expected calibration error ≤ 2 %", 0.02, calibration(known, model)),
    ]  # fmt: skip


def judgments(rows: Iterable[Row], model: str) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Confidence of all particles that a model labels, (M,), and whether it is right, (M,)."""
    scores = [row.scores[model] for row in rows if model in row.scores]
    empty = np.zeros(0, np.float32), np.zeros(0, bool)
    confidence = np.concatenate([empty[0], *(one.confidence for one in scores)])
    return confidence, np.concatenate([empty[1], *(one.correct for one in scores)])


class Level(NamedTuple):
    """What labels above a confidence are worth.

    Attributes
    ----------
    confidence : float
        The limit.
    above, right : float
        Share of the labeled particles of all samples above it, and of these of those that are
        right.
    worse, samples : int
        Samples of crystals in which more than :data:`SURE_AT_MOST` of the particles are wrong above
        it, and all of them.
    most : float
        The largest such share.
    """

    confidence: float
    above: float
    right: float
    worse: int
    samples: int
    most: float


def levels(rows: Sequence[Row], model: str) -> list[Level]:
    """Say what labels above several confidences are worth; empty if a model labels nothing."""
    confidence, correct = judgments(rows, model)
    crystals = [row for row in rows if model in row.scores and is_crystal(row)]
    if not len(confidence) or not crystals:
        return []
    found = []
    for level in LEVELS:
        above = confidence > level
        wrong = [_sure_and_wrong(row, model, level) for row in crystals]
        found.append(
            Level(
                level,
                float(above.mean()),
                float(correct[above].mean()) if above.any() else 1.0,
                sum(share > SURE_AT_MOST for share in wrong),
                len(wrong),
                max(wrong),
            )
        )
    return found


def _sure_and_wrong(row: Row, model: str, level: float) -> float:
    """Share of a sample's particles with a wrong label above a confidence."""
    score = row.scores[model]
    return float((~score.correct & (score.confidence > level)).sum()) / row.particles


def calibration(rows: Iterable[Row], model: str) -> float | None:
    """Return a model's expected calibration error over all samples, None if it labels nothing."""
    confidence, correct = judgments(rows, model)
    return measures.calibration_error(confidence, correct) if len(confidence) else None
