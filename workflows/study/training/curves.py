"""Trainings in a job's folder, and their learning curves as files."""

from pathlib import Path
from typing import Any

from torch import nn

from hoomd_gala.files.atomic import write_table
from hoomd_gala.learning.config import TrainingConfig
from hoomd_gala.learning.datasets import Data
from hoomd_gala.learning.training import Loss, split, train
from hoomd_gala.plotting.plots import draw_curve
from study.training.names import CHECKPOINT, CURVE


def train_in(
    folder: Path,
    name: str,
    network: nn.Module,
    loss: Loss,
    data: Data,
    config: TrainingConfig,
    *,
    prefix: str = "",
    chance: float | None = None,
    measure: str = "cross-entropy",
    **options: Any,
) -> dict[str, float]:
    """Train a network in place, with its checkpoint and learning curve in a folder.

    Parameters
    ----------
    folder : Path
        Of the job.
    name : str
        Of the training, for its progress bar and figure.
    network : Module
        On the device that it learns on.
    loss : callable
        Of a batch.
    data : dict of Tensor
        All of it; a part is held out.
    config : TrainingConfig
        How to train.
    prefix : str
        Of the files, in a folder that has several trainings.
    chance : float, optional
        Accuracy of guessing, for the figure.
    measure : str
        What the loss is, for the figure.
    **options
        Of :func:`hoomd_gala.learning.training.train`.

    Returns
    -------
    dict
        Row of the learning curve at the weights that are kept.
    """
    curve, kept, _ = train(
        network,
        loss,
        *split(data, config.validation_fraction, config.seed),
        config,
        folder / f"{prefix}{CHECKPOINT}",
        f"train on {name}",
        **options,
    )
    title = f"learning curve: {name}"
    write_curve(folder / f"{prefix}{CURVE}", title, curve, loss=measure, chance=chance)
    return curve[kept]


def write_curve(path: Path, title: str, curve: list[dict[str, float]], **options: Any) -> None:
    """Write a learning curve as CSV, and as PNG beside it; options are those of ``draw_curve``."""
    write_table(path, curve)
    draw_curve(path.with_suffix(".png"), title, curve, **options)
