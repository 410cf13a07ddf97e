"""Transfers between tasks, in words and as a figure (figure 4 of the paper)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from hoomd_gala.learning.tasks import TASKS
from study.reports.canvas import WIDTH, plt, save_figure
from study.training.transfer import DIRECT, FREE, FROZEN

#: False discovery rate of significant differences.
CLEAR = 0.05


def summary(found: Sequence[Mapping[str, Any]], replicas: int) -> str:
    """Describe which transfers help and by how much, in a few paragraphs."""
    amounts = sorted({row["amount"] for row in found})
    most = [row for row in found if row["amount"] == amounts[-1]]
    clear = [row for row in found if row["p"] < CLEAR]
    paragraphs = [
        f"Losses are compared with those of direct training on the same environments, over "
        f"{replicas} replicas; significance is that of a paired t test at a false discovery rate "
        f"of {CLEAR:g}."
    ]
    for amount in amounts:
        counts = []
        for mode in (FROZEN, FREE):
            rows = [row for row in found if (row["amount"], row["mode"]) == (amount, mode)]
            ratios = [row["times smaller"] for row in rows]
            sure = [row["times smaller"] for row in rows if row["p"] < CLEAR]
            counts.append(
                f"{sum(ratio > 1 for ratio in sure)} of {len(ratios)} help significantly and "
                f"{sum(ratio < 1 for ratio in sure)} harm with the core {mode} "
                f"(median: {_times(np.median(ratios))})"
            )
        paragraphs[0] += f" With {amount} environments, {', '.join(counts)}."
    for mode in (FREE, FROZEN):
        ratios = [row["times smaller"] for row in found if row["mode"] == mode]
        rows = [row for row in most if row["mode"] == mode]
        paragraphs.append(
            f"With the core {mode}, {sum(ratio > 1 for ratio in ratios)} of {len(ratios)} "
            f"transfers end at a smaller loss. With {amounts[-1]} environments it is smaller by "
            f"these factors, averaged over sources: {_average(rows, 'target')}; and over targets: "
            f"{_average(rows, 'source')}."
        )
    gained = [row for row in clear if row["times smaller"] > 1]
    lost = [row for row in reversed(clear) if row["times smaller"] < 1]
    paragraphs.append(f"The largest significant gains: {_list(gained)}. Losses: {_list(lost)}.")
    poor = sorted({row["target"] for row in most if row["direct loss"] >= row["baseline"]})
    if poor:
        paragraphs.append(
            f"Even with {amounts[-1]} environments, direct training does not beat the best guess "
            f"at {', '.join(poor)}: little can be concluded from these."
        )
    return "\n\n".join(paragraphs)


def _list(found: Sequence[Mapping[str, Any]]) -> str:
    """Return the first four transfers, in words."""
    items = [
        f"{row['source']} → {row['target']} ({row['mode']}, {row['amount']} environments, "
        f"{_times(row['times smaller'])})"
        for row in found[:4]
    ]
    return "; ".join(items) or "none"


def _average(found: Sequence[Mapping[str, Any]], key: str) -> str:
    """Geometric means of the gains of all transfers to a target, or from a source, best first."""
    means = {
        name: np.exp(np.mean([np.log(row["times smaller"]) for row in found if row[key] == name]))
        for name in dict.fromkeys(row[key] for row in found)
    }
    order = sorted(means, key=lambda name: -means[name])
    return ", ".join(f"{name} {means[name]:.2f}" for name in order)


def _times(ratio: float) -> str:
    """Return a ratio of losses, in words."""
    if ratio >= 1:
        return f"loss {ratio:.2f} times smaller"
    return f"loss {1 / ratio:.2f} times larger"


#: Color and marker of each mode in the paper's figure.
_STYLES = {FROZEN: ("tab:blue", "o"), FREE: ("tab:red", "s"), DIRECT: ("k", "^")}


def draw(path: Path, table: Sequence[Mapping[str, Any]]) -> None:
    """Draw losses against the amount of data: a row for each source, a column for each target.

    Direct training is on the diagonal, and dashed elsewhere; shaded is the standard error, dotted
    the best guess.
    """
    tasks = [task for task in TASKS if task in {row["target"] for row in table}]
    size = len(tasks)
    figure, axes = plt.subplots(
        size,
        size,
        figsize=(WIDTH, 1.2 * size + 1),
        sharex=True,
        sharey="col",
        squeeze=False,
        layout="constrained",
    )
    for i, source in enumerate(tasks):
        for j, target in enumerate(tasks):
            for mode in (DIRECT,) if i == j else (DIRECT, FROZEN, FREE):
                wanted = (target, "" if mode == DIRECT else source, mode)
                series = [
                    row for row in table if (row["target"], row["source"], row["mode"]) == wanted
                ]
                _draw_series(axes[i, j], series, mode, dashed=mode == DIRECT and i != j)
        name = source.replace("-", "-\n")
        axes[0, i].set_title(f"to {name}", fontsize=8)
        axes[i, 0].set_ylabel(f"from {name}", fontsize=8)
    amounts = sorted({row["amount"] for row in table})
    for part in axes.flat:
        part.set_xscale("log")
        part.set_yscale("log")
        part.set_xticks(amounts, map(str, amounts))
        # losses of most tasks span less than a decade, which has only one or two labels by default
        part.yaxis.set_major_locator(MaxNLocator(3))
        part.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        for axis in (part.xaxis, part.yaxis):
            axis.set_minor_locator(NullLocator())
        part.tick_params(labelsize=7, length=2)
    figure.supxlabel("training environments", fontsize=9)
    figure.supylabel("loss on held-out data", fontsize=9)
    handles = [
        plt.Line2D([], [], color=color, marker=marker, ms=4, label=label)
        for (color, marker), label in zip(
            _STYLES.values(), ("core frozen", "core free", "direct"), strict=True
        )
    ]
    handles += [
        plt.Line2D([], [], color="k", ls="--", lw=1, label="direct, for comparison"),
        plt.Line2D([], [], color="0.5", ls=":", lw=1, label="best guess"),
        plt.Rectangle((0, 0), 1, 1, color="0.5", alpha=0.4, lw=0, label="standard error"),
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=3, frameon=False, fontsize=8)
    save_figure(path, figure)


def _draw_series(part: Any, series: Sequence[Mapping[str, Any]], mode: str, dashed: bool) -> None:
    """Draw one mode of one pair of tasks; with direct training the best guess as well."""
    color, marker = _STYLES[mode]
    x = [row["amount"] for row in series]
    y = np.array([row["loss"] for row in series])
    if mode == DIRECT:
        part.plot(x, [row["baseline"] for row in series], ":", color="0.5", lw=1)
    if dashed:
        part.plot(x, y, "--", color=color, lw=1)
        return
    error = np.nan_to_num([row["loss, standard error"] for row in series])
    part.plot(x, y, marker=marker, color=color, ms=3, lw=1.2)
    # a logarithmic axis needs positive values
    part.fill_between(x, np.maximum(y - error, 0.5 * y), y + error, color="0.5", alpha=0.4, lw=0)
