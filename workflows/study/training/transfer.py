"""Transfer between tasks: trainings on little data, with and without pretraining on another task.

Figure 4 of arXiv 2411.14680. A core learns a source task from all data, then a target task from a
limited number of environments, with the core frozen or free. For comparison, the target task is
also learned directly.

A replica is a choice of training and held-out data, and of the initial weights that are not taken
from a source. Within a replica, all trainings of a target task share these and differ in the source
only; smaller amounts of data are part of larger ones. All replicas share the source's weights, so a
standard error does not contain their variation.
"""

import contextlib
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hoomd_gala.crystals.prototypes import unit_cells
from hoomd_gala.errors import InputError
from hoomd_gala.files.atomic import read_table, write_table
from hoomd_gala.files.models import load_model, pick_device
from hoomd_gala.learning.config import TrainingConfig
from hoomd_gala.learning.datasets import Frames, cell_frames
from hoomd_gala.learning.fitting import Fit, fit
from hoomd_gala.networks import CoreConfig

#: How a target task is learned.
DIRECT, FROZEN, FREE = "direct", "frozen", "free"


class Data(NamedTuple):
    """Training data.

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
    """Size of a job's networks, which are blind to types."""
    return CoreConfig(
        width=parameters["width"],
        hidden=parameters["hidden"],
        blocks=parameters["blocks"],
        tied=parameters["tied"],
    )


def source_seed(parameters: Mapping[str, Any]) -> int:
    """Seed of sources, which differs from that of targets.

    Sources learn from displacements of their own, and never from environments that a target is
    tested on.
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
    """Train on a target task once.

    However few the environments, the number of steps is about the same: trainings differ in data,
    not in effort. The epoch of the lowest validation loss counts, as few environments are soon
    overfitted.

    Returns
    -------
    dict
        Validation loss, accuracy if the task has one, and loss of the best guess.

    Raises
    ------
    InputError
        If there are too few environments.
    """
    epochs = parameters["epochs"]
    config = TrainingConfig(
        epochs=epochs,
        learning_rate=parameters["learning_rate"],
        seed=parameters["seed"] + trial.replica,
        patience=epochs,
    )
    rows = parameters["steps"] * config.batch_size / epochs
    # progress bars of a few seconds each would bury the one that counts them
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
            f"{card['learned from']} besides those held out. Take more of each unit cell "
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
    """Carry out all trainings of a target task that are not yet in a table.

    The table is written after each, so an interruption costs one training at most. Yields each
    training that is done.
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
