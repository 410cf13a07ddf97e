"""What one task teaches for another: trainings on little data, with and without what was learned.

Figure 4 of arXiv 2411.14680. A core learns a source task from all data, then a target task from a
limited number of environments, frozen or free; beside it the target task is learned directly.
"""

import contextlib
import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from analysis import plt, save_figure

from hoomd_gala.datasets import Frames, cell_frames
from hoomd_gala.files import write_table
from hoomd_gala.fitting import Fit, fit
from hoomd_gala.models import load_model
from hoomd_gala.networks import CoreConfig
from hoomd_gala.tasks import TASKS
from hoomd_gala.training import TrainingConfig

#: How a target task is learned.
DIRECT, FROZEN, FREE = "direct", "frozen", "free"

#: Added to seeds of sources, so that no environment of theirs is one that a target is tested on.
_SOURCE_SEED = 1000


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
        list(parameters["cells"]),
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
        tied=True,
    )


def learn_source(task: str, parameters: Mapping[str, Any], checkpoint: Path) -> Fit:
    """Learn a source task from all data."""
    data = make_data(parameters, parameters["seed"] + _SOURCE_SEED)
    return fit(
        task,
        data.frames,
        data.names,
        core(parameters),
        TrainingConfig(epochs=parameters["source_epochs"], seed=parameters["seed"] + _SOURCE_SEED),
        length_scale=1.0,
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
) -> dict[str, float]:
    """Validation metrics of one training of a target task.

    However few the environments are, the number of steps is the same.
    """
    per_epoch = -(-trial.amount // TrainingConfig.batch_size)
    config = TrainingConfig(
        epochs=max(1, parameters["steps"] // per_epoch),
        learning_rate=parameters["learning_rate"],
        seed=parameters["seed"] + trial.replica,
    )
    # bars of a few seconds each would drown the one that counts them
    with contextlib.redirect_stderr(io.StringIO()):
        model, _ = fit(
            task,
            data.frames,
            data.names,
            core(parameters),
            config,
            length_scale=1.0,
            limit=trial.amount,
            start=None if source is None else load_model(source).network,
            frozen=trial.mode == FROZEN,
        )
    metrics = model.info.card["metrics"]
    return {
        key.removeprefix("validation_"): float(value)
        for key, value in metrics.items()
        if key.startswith("validation")
    }


def read_rows(path: Path) -> list[dict[str, str]]:
    """Rows of a table, none if there is no such file yet."""
    if not path.is_file():
        return []
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def learn_all(
    path: Path, task: str, source_task: str, source: Path | None, parameters: Mapping[str, Any]
) -> Iterator[Trial]:
    """Carry out all trainings of a target task that a table does not yet have.

    The table is written after each, so that an interruption costs no more than one of them; yields
    each training that is done.
    """
    rows: list[dict[str, Any]] = list(read_rows(path))
    done = {(row["mode"], int(row["amount"]), int(row["replica"])) for row in rows}
    data: Data | None = None
    for trial in plan(source_task or None, parameters):
        if tuple(trial) not in done:
            data = data or make_data(parameters, parameters["seed"])
            metrics = learn_target(trial, task, data, source, parameters)
            loss = metrics["loss"]
            rows.append(
                {"target": task, "source": source_task}
                | trial._asdict()
                | {"loss": loss, "accuracy": metrics.get("accuracy", "")}
            )
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
        table.append(entry)
    return table


def gains(table: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """How many times smaller the loss is than that of direct training, the largest gain first."""
    direct = {(row["target"], row["amount"]): row for row in table if row["mode"] == DIRECT}
    found = []
    for row in table:
        other = direct.get((row["target"], row["amount"]))
        if row["mode"] == DIRECT or other is None:
            continue
        difference = other["loss"] - row["loss"]
        error = np.hypot(other["loss, standard error"], row["loss, standard error"])
        found.append(
            {
                **{key: row[key] for key in ("source", "target", "mode", "amount")},
                "loss": row["loss"],
                "direct loss": other["loss"],
                "times smaller": other["loss"] / row["loss"],
                "standard errors apart": float(difference / error) if error > 0 else np.nan,
            }
        )
    return sorted(found, key=lambda row: -row["times smaller"])


def paragraph(found: Sequence[Mapping[str, Any]], replicas: int) -> str:
    """Which transfers help and by how much, at the smallest amount of data."""
    least = min(row["amount"] for row in found)
    small = [row for row in found if row["amount"] == least]
    clear = [row for row in small if row["standard errors apart"] > 2]
    harmful = [row for row in small if row["standard errors apart"] < -2]
    text = (
        f"With {least} environments, {len(clear)} of {len(small)} transfers have a loss clearly "
        f"(by more than two standard errors over {replicas} replicas) below that of direct "
        f"training, and {len(harmful)} one clearly above it."
    )
    for title, rows in (("Most help", small[:3]), ("Least", small[-3:])):
        items = [
            f"{row['source']} → {row['target']} ({row['mode']}): {row['times smaller']:.2f} times"
            for row in rows
        ]
        text += f" {title}: {'; '.join(items)} smaller."
    return text


#: Colors of the paper's figure.
_STYLES = {FROZEN: ("tab:blue", "o-"), FREE: ("tab:red", "s-"), DIRECT: ("k", "^-")}


def draw(path: Path, table: Sequence[Mapping[str, Any]]) -> None:
    """Losses against the amount of data: a row for each source, a column for each target.

    Direct training stands on the diagonal, and as a dashed line elsewhere; shades are a standard
    error.
    """
    tasks = [task for task in TASKS if task in {row["target"] for row in table}]
    size = len(tasks)
    figure, axes = plt.subplots(
        size,
        size,
        figsize=(2.3 * size, 2 * size),
        sharex=True,
        sharey="col",
        squeeze=False,
        layout="constrained",
    )
    for i, source in enumerate(tasks):
        for j, target in enumerate(tasks):
            part = axes[i, j]
            for mode, (color, style) in _STYLES.items():
                wanted = "" if mode == DIRECT else source
                series = [
                    row
                    for row in table
                    if (row["target"], row["source"], row["mode"]) == (target, wanted, mode)
                ]
                if not series or (mode != DIRECT and i == j):
                    continue
                x = [row["amount"] for row in series]
                y = np.array([row["loss"] for row in series])
                error = np.nan_to_num([row["loss, standard error"] for row in series])
                if mode == DIRECT and i != j:
                    part.plot(x, y, "--", color=color, lw=1)
                else:
                    part.plot(x, y, style, color=color, ms=3, lw=1.2)
                    part.fill_between(x, y - error, y + error, color="0.5", alpha=0.4, lw=0)
            part.set_xscale("log")
            part.set_yscale("log")
            if i == 0:
                part.set_title(target, fontsize=9)
            if j == 0:
                part.set_ylabel(source, fontsize=9)
    figure.supxlabel("environments of the target task")
    figure.supylabel("source task")
    handles = [
        plt.Line2D([], [], color=color, marker=style[0], label=label)
        for (color, style), label in zip(
            _STYLES.values(), ("core frozen", "core free", "direct"), strict=True
        )
    ]
    figure.legend(handles=handles, loc="outside upper right", ncols=3, frameon=False)
    figure.suptitle("loss on held-out data", x=0.2, fontsize=10)
    save_figure(path, figure)
