"""Whether liquids that will form different structures can be told apart before they do.

Figure 3b of arXiv 2411.14680: embeddings of a network that has only seen solids, against
Steinhardt's order parameters, by the same classifier, on runs that it has not learned from.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from analysis import plt, save_figure
from descriptors import Descriptor
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix
from sklearn.model_selection import LeaveOneGroupOut
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from hoomd_gala.systems import System, as_system
from hoomd_gala.trajectories import open_trajectory

#: Resamplings of runs for confidence intervals, and their confidence.
N_RESAMPLED, CONFIDENCE = 2000, 0.95


class Sample(NamedTuple):
    """Some particles of one frame of a liquid.

    Attributes
    ----------
    system : System
        The frame.
    particles : (m,) int64
        Which ones.
    structure : str
        What the liquid freezes into.
    run : int
        Independent simulation of this liquid that the frame is from; runs of the same number of
        different liquids are tested together.
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


class Table(NamedTuple):
    """Particles as a classifier sees them, one row each."""

    features: NDArray[np.float64]
    structure: NDArray[np.str_]
    run: NDArray[np.int64]


def describe(samples: Sequence[Sample], descriptor: Descriptor) -> Table:
    """Features of all particles of some samples."""
    rows = [np.asarray(descriptor(it.system, it.particles), np.float64) for it in samples]
    counts = [len(part) for part in rows]
    structures = np.repeat([it.structure for it in samples], counts)
    return Table(np.concatenate(rows), structures, np.repeat([it.run for it in samples], counts))


def predictions(table: Table) -> NDArray[np.str_]:
    """What each particle is taken for by a classifier that has not seen its run, (M,).

    Logistic regression on standardized features.
    """
    predicted = np.empty(len(table.run), table.structure.dtype)
    folds = LeaveOneGroupOut().split(table.features, table.structure, table.run)
    for learned, held_out in folds:
        classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        classifier.fit(table.features[learned], table.structure[learned])
        predicted[held_out] = classifier.predict(table.features[held_out])
    return predicted


def run_accuracies(table: Table, predicted: NDArray[np.str_]) -> NDArray[np.float64]:
    """Accuracy of each run, all liquids of it with equal weight, (runs,)."""
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


def interval(values: NDArray[np.float64], rng: np.random.Generator) -> tuple[float, float]:
    """Confidence interval of a mean over runs, by resampling runs."""
    means = rng.choice(values, (N_RESAMPLED, len(values))).mean(axis=1)
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


class Comparison(NamedTuple):
    """How well each descriptor tells the liquids apart.

    Attributes
    ----------
    rows : list of dict
        Accuracy of each descriptor with its confidence interval, and that of the difference to the
        first one.
    names : list of str
        The liquids, by what they freeze into.
    confusion : dict of str to (K, K) float64
        For each descriptor, what share of each liquid is taken for which, as rows.
    """

    rows: list[dict[str, Any]]
    names: list[str]
    confusion: dict[str, NDArray[np.float64]]


def compare(samples: Sequence[Sample], descriptors: Mapping[str, Descriptor]) -> Comparison:
    """Tell the same particles apart by several descriptors; the first is what others lose to.

    Differences are of the same runs, so that what makes a run hard for all does not count.
    """
    rows: list[dict[str, Any]] = []
    confusion = {}
    first: NDArray[np.float64] | None = None
    names = sorted({it.structure for it in samples})
    for descriptor, function in descriptors.items():
        table = describe(samples, function)
        predicted = predictions(table)
        accuracy = run_accuracies(table, predicted)
        first = accuracy if first is None else first
        low, high = interval(accuracy, np.random.default_rng(1))
        row = {
            "descriptor": descriptor,
            "numbers": table.features.shape[1],
            "accuracy": float(accuracy.mean()),
            "low": low,
            "high": high,
        }
        low, high = interval(first - accuracy, np.random.default_rng(1))
        row |= {"loses by": float((first - accuracy).mean()), "at least": low, "at most": high}
        rows.append(row | {"runs": len(accuracy), "particles": len(predicted)})
        confusion[descriptor] = confusion_matrix(
            table.structure, predicted, labels=names, normalize="true"
        )
    return Comparison(rows, names, confusion)


def draw(path: Path, comparison: Comparison) -> None:
    """Accuracies with their intervals, and what is taken for what."""
    rows, names, confusion = comparison
    figure, axes = plt.subplots(
        1, 1 + len(rows), figsize=(3.4 + 3.2 * len(rows), 3.8), layout="constrained"
    )
    middle = [row["accuracy"] for row in rows]
    around = [
        [row["accuracy"] - row["low"] for row in rows],
        [row["high"] - row["accuracy"] for row in rows],
    ]
    places = np.arange(len(rows))
    axes[0].bar(places, middle, yerr=around, capsize=4, color=[f"C{i}" for i in places])
    axes[0].axhline(1 / len(names), color="0.5", ls=":")
    axes[0].set_xticks(places, [row["descriptor"] for row in rows], rotation=30, ha="right")
    axes[0].set(ylabel="liquids told apart, runs not learned from", ylim=(0, 1))
    for part, (descriptor, shares) in zip(axes[1:], confusion.items(), strict=True):
        part.imshow(shares, vmin=0, vmax=1, cmap="Blues")
        for i, j in np.ndindex(shares.shape):
            color = "w" if shares[i, j] > 0.5 else "k"
            part.text(j, i, f"{shares[i, j]:.2f}", ha="center", va="center", color=color, size=8)
        part.set_xticks(range(len(names)), names, rotation=40, ha="right", fontsize=8)
        part.set_yticks(range(len(names)), names, fontsize=8)
        part.set_title(descriptor, fontsize=9)
    save_figure(path, figure)
