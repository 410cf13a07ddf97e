"""Whether liquids that form different crystals can be distinguished before they freeze.

Figure 3b of arXiv 2411.14680: embeddings of a network trained on solids only, against Steinhardt
order parameters, by the same classifiers, on runs that these have not learned from.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix
from sklearn.model_selection import LeaveOneGroupOut
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from hoomd_gala.errors import InputError
from hoomd_gala.files.trajectories import open_trajectory
from hoomd_gala.neighbors.environments import PeriodicTree
from hoomd_gala.systems import System, as_system
from study.comparison.descriptors import Descriptor
from study.solids import references

#: A linear and a nonlinear classifier, so that the ranking does not depend on the classifier.
CLASSIFIERS = {
    "logistic regression": lambda: LogisticRegression(max_iter=1000),
    "50 nearest": lambda: KNeighborsClassifier(50),
}

#: Confidence level of intervals.
CONFIDENCE = 0.95


class Sample(NamedTuple):
    """Some particles of one frame of a liquid.

    Attributes
    ----------
    system : System
        The frame.
    particles : (m,) int64
        Their indices.
    structure : str
        Crystal structure that the liquid forms.
    run : int
        Independent simulation of this liquid that the frame is from; runs with the same number are
        tested together.
    """

    system: System
    particles: NDArray[np.int64]
    structure: str
    run: int


def read_samples(
    path: Path,
    structure: str,
    run: int,
    n_frames: int,
    n_particles: int,
    rng: np.random.Generator,
) -> list[Sample]:
    """Particles of the last frames of a liquid's trajectory."""
    samples = []
    with open_trajectory(path) as frames:
        for frame in frames[-n_frames:]:
            system = as_system(frame)
            chosen = rng.permutation(len(system.positions))[:n_particles]
            samples.append(Sample(system, chosen, structure, run))
    return samples


#: Crystalline fraction by template matching above which a liquid has begun to freeze.
FROZEN = 0.1


def check(path: Path, structure: str, run: int) -> dict[str, Any]:
    """Check that a run is liquid: neighbors change, and template matching finds no crystal.

    Raises
    ------
    InputError
        If it has begun to freeze.
    """
    with open_trajectory(path) as frames:
        first, last = (as_system(frames[i]) for i in (0, -1))
        step, end = (int(frames[i].configuration.step) for i in (0, -1))
    crystalline = references.crystalline(last)
    if crystalline > FROZEN:
        raise InputError(
            f"run {run} of the liquid that forms {structure} has begun to freeze: "
            f"{crystalline:.0%} of it is crystalline by template matching; raise its temperature."
        )
    return {
        "structure": structure,
        "run": run,
        "timesteps apart": end - step,
        "neighbors kept": round(kept_neighbors(first, last), 3),
        "crystalline by PTM": round(crystalline, 3),
    }


def kept_neighbors(first: System, last: System) -> float:
    """Mean share of a particle's 12 nearest neighbors that it still has in the last frame."""
    near = [
        PeriodicTree.build(it.positions, it.box).nearest(n=12).neighbors for it in (first, last)
    ]
    return float((near[0][:, :, None] == near[1][:, None, :]).any(axis=2).mean())


class Table(NamedTuple):
    """Features of particles, one row each.

    Attributes
    ----------
    features : (M, D) float64
    structure : (M,) str
        Structure that the particle's liquid forms.
    run : (M,) int64
        Simulation that the particle is from.
    """

    features: NDArray[np.float64]
    structure: NDArray[np.str_]
    run: NDArray[np.int64]


def describe(samples: Sequence[Sample], descriptor: Descriptor) -> Table:
    """Features of all particles of some samples."""
    rows = [np.asarray(descriptor(it.system, it.particles), np.float64) for it in samples]
    counts = [len(part) for part in rows]
    structures = np.repeat([it.structure for it in samples], counts)
    return Table(np.concatenate(rows), structures, np.repeat([it.run for it in samples], counts))


def predictions(table: Table, classifier: str) -> NDArray[np.str_]:
    """Predicted structure of each particle by a classifier not trained on its run, (M,)."""
    predicted = np.empty(len(table.run), table.structure.dtype)
    folds = LeaveOneGroupOut().split(table.features, table.structure, table.run)
    for learned, held_out in folds:
        model = make_pipeline(StandardScaler(), CLASSIFIERS[classifier]())
        model.fit(table.features[learned], table.structure[learned])
        predicted[held_out] = model.predict(table.features[held_out])
    return predicted


def run_accuracies(table: Table, predicted: NDArray[np.str_]) -> NDArray[np.float64]:
    """Accuracy of each run, with equal weight for all liquids, (runs,)."""
    right = predicted == table.structure
    return np.array(
        [
            np.mean(
                [
                    right[(table.run == run) & (table.structure == name)].mean()
                    for name in np.unique(table.structure)
                ]
            )
            for run in np.unique(table.run)
        ]
    )


def margin(values: NDArray[np.float64]) -> float:
    """Half the width of Student's confidence interval of the mean of (runs,) values."""
    factor = stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)
    return float(factor * stats.sem(values))


class Comparison(NamedTuple):
    """How well each descriptor distinguishes the liquids.

    Attributes
    ----------
    rows : list of dict
        For each classifier and descriptor, the accuracy and how much better the first descriptor
        is, with the half-widths of their confidence intervals.
    names : list of str
        The liquids, by the structure that they form.
    confusion : dict of str to (K, K) float64
        For each descriptor, the confusion matrix of the first classifier, normalized by row.
    """

    rows: list[dict[str, Any]]
    names: list[str]
    confusion: dict[str, NDArray[np.float64]]


def compare(samples: Sequence[Sample], descriptors: Mapping[str, Descriptor]) -> Comparison:
    """Classify the same particles by several descriptors, and compare with the first.

    Differences are between accuracies of the same run, so that variation between runs cancels.
    """
    tables = {name: describe(samples, function) for name, function in descriptors.items()}
    names = sorted({it.structure for it in samples})
    rows: list[dict[str, Any]] = []
    confusion: dict[str, NDArray[np.float64]] = {}
    for classifier in CLASSIFIERS:
        first: NDArray[np.float64] | None = None
        for descriptor, table in tables.items():
            predicted = predictions(table, classifier)
            accuracy = run_accuracies(table, predicted)
            first = accuracy if first is None else first
            rows.append(
                {
                    "classifier": classifier,
                    "descriptor": descriptor,
                    "numbers": table.features.shape[1],
                    "accuracy": float(accuracy.mean()),
                    "accuracy, margin": margin(accuracy),
                    "loses by": float((first - accuracy).mean()),
                    "loses by, margin": margin(first - accuracy),
                    "runs": len(accuracy),
                    "particles": len(predicted),
                }
            )
            confusion.setdefault(
                descriptor,
                confusion_matrix(table.structure, predicted, labels=names, normalize="true"),
            )
    return Comparison(rows, names, confusion)
