"""The training loop, with checkpoints that an interrupted training resumes from exactly."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from .files import replacing

#: Rows of a data set: one tensor per quantity, all of the same length.
Data = dict[str, Tensor]
#: Loss of a batch, and the metrics to report of it.
Loss = Callable[[nn.Module, Data], tuple[Tensor, dict[str, Tensor]]]


@dataclass(frozen=True)
class TrainingConfig:
    """How to train.

    Attributes
    ----------
    epochs : int
        Passes over the training data.
    batch_size : int
        Environments per step.
    learning_rate : float
        Peak of the one-cycle schedule.
    weight_decay : float
        Of AdamW.
    validation_fraction : float
        Share of the data that is held out (0.3 in arXiv 2411.14680).
    seed : int
        Of everything random: initial weights, the split, the order of batches.
    """

    epochs: int = 10
    batch_size: int = 64
    learning_rate: float = 8e-3
    weight_decay: float = 1e-4
    validation_fraction: float = 0.3
    seed: int = 1


def split(data: Data, fraction: float, seed: int) -> tuple[Data, Data]:
    """Random split into training and validation data."""
    total = len(next(iter(data.values())))
    order = torch.randperm(total, generator=torch.Generator().manual_seed(seed))
    held_out = round(total * fraction)
    return (
        {key: value[order[held_out:]] for key, value in data.items()},
        {key: value[order[:held_out]] for key, value in data.items()},
    )


def evaluate(network: nn.Module, loss: Loss, data: Data, batch_size: int = 512) -> dict[str, float]:
    """Mean loss and metrics over a data set."""
    device = next(network.parameters()).device
    totals: dict[str, float] = {}
    total = len(next(iter(data.values())))
    network.eval()
    with torch.inference_mode():
        for start in range(0, total, batch_size):
            batch = {key: value[start : start + batch_size] for key, value in data.items()}
            batch = {key: value.to(device) for key, value in batch.items()}
            value, metrics = loss(network, batch)
            size = len(next(iter(batch.values())))
            for key, number in {"loss": value, **metrics}.items():
                totals[key] = totals.get(key, 0.0) + float(number) * size / total
    return totals


def _save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    with replacing(path) as part:
        torch.save(state, part)


def train(
    network: nn.Module,
    loss: Loss,
    training: Data,
    validation: Data,
    config: TrainingConfig,
    checkpoint: str | os.PathLike[str] | None = None,
    description: str = "training",
) -> list[dict[str, float]]:
    """Train a network and return the learning curve, one row per epoch.

    Parameters
    ----------
    network : Module
        Trained in place, on the device it is on.
    loss : callable
        Takes the network and a batch, returns the loss and metrics.
    training, validation : dict of Tensor
        Data, as :func:`split` gives it.
    checkpoint : path, optional
        Written after every epoch. If it exists, training goes on after the epoch it was written
        at and ends where an unbroken run would have: the order of batches depends on the seed and
        the epoch alone.
    description : str
        For the progress bar.
    """
    device = next(network.parameters()).device
    total = len(next(iter(training.values())))
    steps = -(-total // config.batch_size)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, config.learning_rate, total_steps=steps * config.epochs, pct_start=0.2
    )
    curve: list[dict[str, float]] = []
    path = None if checkpoint is None else Path(checkpoint)
    if path is not None and path.is_file():
        state = torch.load(path, map_location=device, weights_only=True)
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        curve = state["curve"]
    with tqdm(
        total=steps * config.epochs,
        initial=steps * len(curve),
        desc=description,
        unit="step",
        mininterval=0.5,
    ) as bar:
        for epoch in range(len(curve), config.epochs):
            generator = torch.Generator().manual_seed(config.seed * 1_000_003 + epoch)
            order = torch.randperm(total, generator=generator)
            network.train()
            mean_loss = 0.0
            for start in range(0, total, config.batch_size):
                rows = order[start : start + config.batch_size]
                batch = {key: value[rows].to(device) for key, value in training.items()}
                optimizer.zero_grad(set_to_none=True)
                value, _ = loss(network, batch)
                value.backward()
                nn.utils.clip_grad_norm_(network.parameters(), 1.0)
                optimizer.step()
                schedule.step()
                mean_loss += float(value.detach()) * len(rows) / total
                bar.update()
            metrics = evaluate(network, loss, validation)
            curve.append(
                {"epoch": epoch + 1, "training_loss": mean_loss}
                | {f"validation_{key}": number for key, number in metrics.items()}
            )
            bar.set_postfix({key: f"{number:.3f}" for key, number in metrics.items()})
            if path is not None:
                _save_checkpoint(
                    path,
                    {
                        "network": network.state_dict(),
                        "optimizer": optimizer.state_dict(),
                        "schedule": schedule.state_dict(),
                        "curve": curve,
                    },
                )
    network.eval()
    return curve
