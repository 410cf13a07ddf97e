"""Figure of how well descriptors distinguish liquids."""

from pathlib import Path

import numpy as np

from study.comparison.liquids import CLASSIFIERS, Comparison
from study.reports.canvas import WIDTH, plt, save_figure


def draw(path: Path, comparison: Comparison) -> None:
    """Draw accuracies with their confidence intervals, and confusion matrices."""
    rows, names, confusion = comparison
    figure, axes = plt.subplot_mosaic(
        "aa;bc", figsize=(WIDTH, 7), height_ratios=[1, 1.6], layout="constrained"
    )
    bars = axes["a"]
    width = 0.8 / len(CLASSIFIERS)
    places = np.arange(len(confusion))
    for i, classifier in enumerate(CLASSIFIERS):
        own = [row for row in rows if row["classifier"] == classifier]
        bars.bar(
            places + (i - (len(CLASSIFIERS) - 1) / 2) * width,
            [row["accuracy"] for row in own],
            width,
            yerr=[row["accuracy, margin"] for row in own],
            capsize=3,
            label=classifier,
        )
    bars.axhline(1 / len(names), color="0.5", ls=":", label="chance")
    bars.set_xticks(places, list(confusion))
    bars.set(ylabel="accuracy on held-out runs", ylim=(0, 1.2))
    bars.set_title("prediction of the structure that a liquid forms")
    bars.set_yticks(np.arange(0, 1.01, 0.2))
    bars.legend(frameon=False, loc="upper center", ncols=3)
    # the first descriptor, and that of the paper
    for key, descriptor in zip("bc", list(confusion)[:2], strict=True):
        part = axes[key]
        shares = confusion[descriptor]
        part.imshow(shares, vmin=0, vmax=1, cmap="Blues")
        for i, j in np.ndindex(shares.shape):
            color = "w" if shares[i, j] > 0.5 else "k"
            part.text(j, i, f"{shares[i, j]:.2f}", ha="center", va="center", color=color, size=8)
        part.set_xticks(range(len(names)), names, rotation=45, ha="right", fontsize=8)
        part.set_yticks(range(len(names)), names if key == "b" else [], fontsize=8)
        part.set(xlabel="predicted structure", title=descriptor)
    axes["b"].set_ylabel("structure that the liquid forms")
    save_figure(path, figure)
