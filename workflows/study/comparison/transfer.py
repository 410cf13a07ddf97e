"""What one task teaches for another: trainings on little data, with and without what was learned.

Figure 4 of arXiv 2411.14680. A core learns a source task from all data, then a target task from a
limited number of environments, frozen or free; beside it the target task is learned directly.

A replica is a choice of what is learned from and what is held out, and of the weights that are not
taken from a source. Within one, all trainings of a target task share these, so that they differ in
nothing but what the source taught; smaller amounts of data are part of larger ones. All replicas
share the source's weights, so that a standard error says nothing of how they vary.
"""

import contextlib
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator
from scipy.stats import false_discovery_control, ttest_1samp

from hoomd_gala.crystals.prototypes import unit_cells
from hoomd_gala.errors import InputError
from hoomd_gala.files.atomic import read_table, write_table
from hoomd_gala.files.models import load_model, pick_device
from hoomd_gala.learning.datasets import Frames, cell_frames
from hoomd_gala.learning.fitting import Fit, fit
from hoomd_gala.learning.tasks import TASKS
from hoomd_gala.learning.training import TrainingConfig
from hoomd_gala.networks import CoreConfig
from study.figures.analysis import plt, save_figure

#: How a target task is learned.
DIRECT, FROZEN, FREE = "direct", "frozen", "free"


class Data(NamedTuple):
    """What is learned from.

    Attributes
    ----------
    frames : Frames
        Environments of unit cells at several noise levels.
    names : tuple of str
        Name of each of these frames.
    """

    frames: Frames
    names: tuple[str, ...]


def make_data(parameters: Mapping[str, Any], seed: int) -> Data:
    """Environments of a job's unit cells."""
    frames, names = cell_frames(
        parameters.get("cells") or list(unit_cells()),
        list(parameters["noise_levels"]),
        parameters["n_environments"],
        np.random.default_rng(seed),
        parameters["n_particles"],
    )
    return Data(frames, names)


def core(parameters: Mapping[str, Any]) -> CoreConfig:
    """Size of a job's networks, blind to types."""
    return CoreConfig(
        width=parameters["width"],
        hidden=parameters["hidden"],
        blocks=parameters["blocks"],
        tied=parameters["tied"],
    )


def source_seed(parameters: Mapping[str, Any]) -> int:
    """Seed of sources, other than that of targets.

    They learn from displacements of their own, and have seen none of the environments that a target
    is tested on.
    """
    return int(parameters["seed"]) + 1000


def learn_source(task: str, parameters: Mapping[str, Any], checkpoint: Path) -> Fit:
    """Learn a source task from all data."""
    seed = source_seed(parameters)
    data = make_data(parameters, seed)
    return fit(
        task,
        data.frames,
        data.names,
        core(parameters),
        TrainingConfig(epochs=parameters["source_epochs"], seed=seed),
        length_scale=1.0,
        length_convention="shortest",
        device=pick_device("auto"),
        checkpoint=checkpoint,
        description=f"learn {task}",
    )


class Trial(NamedTuple):
    """One training of a target task."""

    mode: str
    amount: int
    replica: int


def plan(source: str | None, parameters: Mapping[str, Any]) -> list[Trial]:
    """All trainings of a target task from one source, or directly if there is none."""
    modes = (DIRECT,) if source is None else (FROZEN, FREE)
    return [
        Trial(mode, amount, replica)
        for replica in range(parameters["replicas"])
        for amount in parameters["amounts"]
        for mode in modes
    ]


def learn_target(
    trial: Trial, task: str, data: Data, source: Path | None, parameters: Mapping[str, Any]
) -> dict[str, Any]:
    """Loss, accuracy if there is one, and loss of the best guess of one training of a target task.

    However few the environments are, the number of steps is about the same: what differs is the
    data, not the effort. Weights of the epoch of the least validation loss count, as few
    environments are soon learned by heart.
    """
    epochs = parameters["epochs"]
    config = TrainingConfig(
        epochs=epochs,
        learning_rate=parameters["learning_rate"],
        seed=parameters["seed"] + trial.replica,
        patience=epochs,
    )
    rows = parameters["steps"] * config.batch_size / epochs
    # bars of a few seconds each would drown the one that counts them
    with contextlib.redirect_stderr(io.StringIO()):
        model, _ = fit(
            task,
            data.frames,
            data.names,
            core(parameters),
            config,
            length_scale=1.0,
            length_convention="shortest",
            device=pick_device("auto"),
            limit=trial.amount,
            repeats=max(1, round(rows / trial.amount)),
            start=None if source is None else load_model(source).network,
            frozen=trial.mode == FROZEN,
        )
    card = model.info.card
    if card["learned from"] < trial.amount:
        raise InputError(
            f"{task} cannot be learned from {trial.amount} environments: there are "
            f"{card['learned from']} beside those held out. Take more of each unit cell "
            "(n_environments)."
        )
    guesses = [guess.get("loss", guess.get("mse")) for guess in card["baselines"].values()]
    return {
        "loss": card["metrics"]["validation_loss"],
        "accuracy": card["metrics"].get("validation_accuracy", ""),
        "baseline": min(guesses),
    }


def learn_all(
    path: Path, task: str, source_task: str, source: Path | None, parameters: Mapping[str, Any]
) -> Iterator[Trial]:
    """Carry out all trainings of a target task that a table does not yet have.

    The table is written after each, so that an interruption costs no more than one of them; yields
    each training that is done.
    """
    rows: list[dict[str, Any]] = list(read_table(path)) if path.is_file() else []
    done = {(row["mode"], int(row["amount"]), int(row["replica"])) for row in rows}
    data: Data | None = None
    for trial in plan(source_task or None, parameters):
        if tuple(trial) not in done:
            data = data or make_data(parameters, parameters["seed"])
            result = learn_target(trial, task, data, source, parameters)
            rows.append({"target": task, "source": source_task} | trial._asdict() | result)
            write_table(path, rows)
        yield trial


# ---- of all trainings together ----


def means(rows: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
    """Mean and standard error over replicas of each kind of training."""
    groups: dict[tuple[str, str, str, int], list[Mapping[str, str]]] = {}
    for row in rows:
        key = (row["target"], row["source"], row["mode"], int(row["amount"]))
        groups.setdefault(key, []).append(row)
    table = []
    for (target, source, mode, amount), members in sorted(groups.items()):
        entry: dict[str, Any] = {"target": target, "source": source, "mode": mode}
        entry |= {"amount": amount, "replicas": len(members)}
        for name in ("loss", "accuracy"):
            values = np.array([float(row[name]) for row in members if row[name] != ""])
            error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
            entry[name] = float(values.mean()) if len(values) else ""
            entry[f"{name}, standard error"] = float(error) if len(values) else ""
        entry["baseline"] = float(np.mean([float(row["baseline"]) for row in members]))
        table.append(entry)
    return table


def gains(rows: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
    """How many times smaller the loss is than that of direct training, the largest gain first.

    The geometric mean over replicas, each compared with the direct training that learns from and is
    tested on the same: how replicas differ is mostly how hard their data are. ``p`` is of Student's
    test that the logarithms of these ratios have mean zero, corrected for as many tests as there
    are transfers with as much data (Benjamini and Hochberg); 1 of a single replica.
    """
    groups: dict[tuple[str, str, str, int], dict[str, Mapping[str, str]]] = {}
    for row in rows:
        key = (row["target"], row["source"], row["mode"], int(row["amount"]))
        groups.setdefault(key, {})[row["replica"]] = row
    found: list[dict[str, Any]] = []
    for (target, source, mode, amount), own in groups.items():
        direct = groups.get((target, "", DIRECT, amount), {})
        shared = [replica for replica in own if replica in direct]
        if mode == DIRECT or not shared:
            continue
        loss = np.array([float(own[replica]["loss"]) for replica in shared])
        other = np.array([float(direct[replica]["loss"]) for replica in shared])
        ratios = np.log(other / loss)
        # no test of one replica, nor of replicas that all gain exactly the same
        p = ttest_1samp(ratios, 0).pvalue if np.ptp(ratios) > 0 else 1.0
        found.append(
            {
                "source": source,
                "target": target,
                "mode": mode,
                "amount": amount,
                "loss": float(loss.mean()),
                "direct loss": float(other.mean()),
                "baseline": float(np.mean([float(row["baseline"]) for row in direct.values()])),
                "times smaller": float(np.exp(ratios.mean())),
                "p": float(p),
            }
        )
    for amount in {row["amount"] for row in found}:
        same = [row for row in found if row["amount"] == amount]
        for row, p in zip(same, false_discovery_control([row["p"] for row in same]), strict=True):
            row["p"] = float(p)
    return sorted(found, key=lambda row: -row["times smaller"])


#: Probability below which a difference counts as clear.
CLEAR = 0.05


def summary(found: Sequence[Mapping[str, Any]], replicas: int) -> str:
    """Which transfers help and by how much, in a few paragraphs."""
    amounts = sorted({row["amount"] for row in found})
    most = [row for row in found if row["amount"] == amounts[-1]]
    clear = [row for row in found if row["p"] < CLEAR]
    paragraphs = [
        f"Losses are compared with those of direct training on the same environments, over "
        f"{replicas} replicas; clear is what a paired t test calls so at a false discovery rate "
        f"of {CLEAR:g}."
    ]
    for amount in amounts:
        counts = []
        for mode in (FROZEN, FREE):
            rows = [row for row in found if (row["amount"], row["mode"]) == (amount, mode)]
            ratios = [row["times smaller"] for row in rows]
            sure = [row["times smaller"] for row in rows if row["p"] < CLEAR]
            counts.append(
                f"{sum(ratio > 1 for ratio in sure)} of {len(ratios)} clearly help and "
                f"{sum(ratio < 1 for ratio in sure)} clearly harm with the core {mode} "
                f"(median: {_times(np.median(ratios))})"
            )
        paragraphs[0] += f" With {amount} environments, {', '.join(counts)}."
    for mode in (FREE, FROZEN):
        ratios = [row["times smaller"] for row in found if row["mode"] == mode]
        rows = [row for row in most if row["mode"] == mode]
        paragraphs.append(
            f"With the core {mode}, {sum(ratio > 1 for ratio in ratios)} of {len(ratios)} "
            f"transfers end at a smaller loss. With {amounts[-1]} environments it is so many times "
            f"smaller on average over sources: {_average(rows, 'target')}; and over targets: "
            f"{_average(rows, 'source')}."
        )
    gained = [row for row in clear if row["times smaller"] > 1]
    lost = [row for row in reversed(clear) if row["times smaller"] < 1]
    paragraphs.append(f"The largest clear gains: {_list(gained)}. Losses: {_list(lost)}.")
    poor = sorted({row["target"] for row in most if row["direct loss"] >= row["baseline"]})
    if poor:
        paragraphs.append(
            f"Even with {amounts[-1]} environments, direct training does not beat the best guess "
            f"at {', '.join(poor)}: of these little can be concluded."
        )
    return "\n\n".join(paragraphs)


def _list(found: Sequence[Mapping[str, Any]]) -> str:
    """The first few transfers in words."""
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
    """A gain in words."""
    if ratio >= 1:
        return f"loss {ratio:.2f} times smaller"
    return f"loss {1 / ratio:.2f} times larger"


#: Color and marker of each mode in the paper's figure.
_STYLES = {FROZEN: ("tab:blue", "o"), FREE: ("tab:red", "s"), DIRECT: ("k", "^")}


def draw(path: Path, table: Sequence[Mapping[str, Any]]) -> None:
    """Losses against the amount of data: a row for each source, a column for each target.

    Direct training stands on the diagonal, and as a dashed line elsewhere; shades are a standard
    error, dots the best guess.
    """
    tasks = [task for task in TASKS if task in {row["target"] for row in table}]
    size = len(tasks)
    figure, axes = plt.subplots(
        size,
        size,
        figsize=(1.9 * size + 0.6, 1.6 * size + 1),
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
        axes[0, i].set_title(f"to {source}", fontsize=8)
        axes[i, 0].set_ylabel(f"from {source}", fontsize=8)
    amounts = sorted({row["amount"] for row in table})
    for part in axes.flat:
        part.set_xscale("log")
        part.set_yscale("log")
        part.set_xticks(amounts, map(str, amounts))
        # losses of most tasks span less than a decade, which would have a label or two
        part.yaxis.set_major_locator(MaxNLocator(4))
        part.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        for axis in (part.xaxis, part.yaxis):
            axis.set_minor_locator(NullLocator())
        part.tick_params(labelsize=6, length=2)
    figure.supxlabel("environments learned from", fontsize=9)
    figure.supylabel("loss on held-out data", fontsize=9)
    handles = [
        plt.Line2D([], [], color=color, marker=marker, ms=4, label=label)
        for (color, marker), label in zip(
            _STYLES.values(), ("core frozen", "core free", "direct"), strict=True
        )
    ]
    handles += [
        plt.Line2D([], [], color="k", ls="--", lw=1, label="direct, beside transfers"),
        plt.Line2D([], [], color="0.5", ls=":", lw=1, label="best guess"),
        plt.Rectangle((0, 0), 1, 1, color="0.5", alpha=0.4, lw=0, label="standard error"),
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=3, frameon=False, fontsize=8)
    save_figure(path, figure)


def _draw_series(part: Any, series: Sequence[Mapping[str, Any]], mode: str, dashed: bool) -> None:
    """One kind of training of one pair of tasks; best guesses as well where it is direct."""
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
    # a logarithmic axis has no place for what is not positive
    part.fill_between(x, np.maximum(y - error, 0.5 * y), y + error, color="0.5", alpha=0.4, lw=0)
