"""Figure of how well descriptors distinguish liquids."""

from pathlib import Path

import numpy as np

from study.comparison.liquids import CLASSIFIERS, Comparison
from study.reports.canvas import plt, save_figure


def draw(path: Path, comparison: Comparison) -> None:
    """Draw accuracies with their confidence intervals, and confusion matrices."""
    rows, names, confusion = comparison
    figure, axes = plt.subplots(
        1, 3, figsize=(15, 4.8), layout="constrained", width_ratios=[1.2, 1, 1]
    )
    width = 0.8 / len(CLASSIFIERS)
    places = np.arange(len(confusion))
    for i, classifier in enumerate(CLASSIFIERS):
        own = [row for row in rows if row["classifier"] == classifier]
        axes[0].bar(
            places + (i - (len(CLASSIFIERS) - 1) / 2) * width,
            [row["accuracy"] for row in own],
            width,
            yerr=[row["accuracy, margin"] for row in own],
            capsize=3,
            label=classifier,
        )
    axes[0].axhline(1 / len(names), color="0.5", ls=":", label="chance")
    axes[0].set_xticks(places, list(confusion), rotation=25, ha="right")
    axes[0].set(ylabel="accuracy on held-out runs", ylim=(0, 1.15))
    axes[0].set_title("prediction of the structure that a liquid forms")
    axes[0].set_yticks(np.arange(0, 1.01, 0.2))
    axes[0].legend(frameon=False, loc="upper center", ncols=3, fontsize=9)
    # the first descriptor, and that of the paper
    for part, descriptor in zip(axes[1:], list(confusion)[:2], strict=True):
        shares = confusion[descriptor]
        part.imshow(shares, vmin=0, vmax=1, cmap="Blues")
        for i, j in np.ndindex(shares.shape):
            color = "w" if shares[i, j] > 0.5 else "k"
            part.text(j, i, f"{shares[i, j]:.2f}", ha="center", va="center", color=color, size=8)
        part.set_xticks(range(len(names)), names, rotation=40, ha="right", fontsize=8)
        part.set_yticks(range(len(names)), names, fontsize=8)
        part.set(xlabel="predicted structure", ylabel="liquid that forms", title=descriptor)
    save_figure(path, figure)
