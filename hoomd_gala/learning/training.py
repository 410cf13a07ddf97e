"""The training loop, with checkpoints that an interrupted training resumes from exactly."""

import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from ..errors import InputError
from ..files.atomic import replacing
from ..files.fields import fill
from .config import TrainingConfig
from .datasets import Data

#: Makes input and target of networks from clean data, with random numbers from the generator.
Corrupt = Callable[[Data, torch.Generator], Data]
#: Loss of a batch, and metrics to report.
Loss = Callable[[nn.Module, Data], tuple[Tensor, dict[str, Tensor]]]


class Training(NamedTuple):
    """What a training did.

    Attributes
    ----------
    curve : list of dict
        Losses and metrics, one row per epoch.
    kept : int
        Row of the epoch whose weights the network has.
    seconds : float
        Wall time of all epochs, those before an interruption included.
    """

    curve: list[dict[str, float]]
    kept: int
    seconds: float


#: What a checkpoint holds, beside the options of the training.
_PARTS = {"network", "optimizer", "schedule", "curve", "best", "seconds"}


def seeded(*seeds: int, device: str | torch.device = "cpu") -> torch.Generator:
    """Make a generator that depends on all of some non-negative numbers."""
    state = np.random.SeedSequence(seeds).generate_state(1, np.uint64)
    return torch.Generator(device).manual_seed(int(state[0]))


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
    # added up where they are: reading a number waits for the GPU
    totals: dict[str, Tensor] = {}
    total = len(next(iter(data.values())))
    network.eval()
    with torch.inference_mode():
        for start in range(0, total, batch_size):
            batch = {key: value[start : start + batch_size] for key, value in data.items()}
            batch = {key: value.to(device) for key, value in batch.items()}
            value, metrics = loss(network, batch)
            size = len(next(iter(batch.values())))
            for key, number in {"loss": value, **metrics}.items():
                share = number.double() * size / total
                totals[key] = totals[key] + share if key in totals else share
    return {key: float(number) for key, number in totals.items()}


def best_row(curve: list[dict[str, float]]) -> int:
    """Row of the least validation loss, the first of several; NaN is never the best."""
    losses = np.array([row["validation_loss"] for row in curve])
    return int(np.argmin(np.where(np.isnan(losses), np.inf, losses)))


def _is_over(curve: list[dict[str, float]], config: TrainingConfig) -> bool:
    if len(curve) >= config.epochs:
        return True
    return bool(
        config.patience is not None
        and curve
        and len(curve) - 1 - best_row(curve) >= config.patience
    )


#: Largest number of a checkpoint, beside its weights: NaN and infinity are not below it.
_LARGEST = 1e15


def _difference(value: Any, like: Any, where: str) -> str | None:
    """Say where a value has not the keys, types or shapes of another, or is not finite.

    Returns
    -------
    str or None
        None if it could be a later state of the other.
    """
    if isinstance(like, Tensor):
        if not isinstance(value, Tensor) or (value.shape, value.dtype) != (like.shape, like.dtype):
            return f"{where} is not a tensor of shape {tuple(like.shape)}"
        return None if value.isfinite().all() else f"{where} has numbers that are not finite"
    pairs: list[tuple[Any, Any, str]]
    if isinstance(like, Mapping):
        if not isinstance(value, Mapping) or set(value) != set(like):
            return f"{where} has not the keys that it should have"
        pairs = [(value[key], like[key], f"{where}.{key}") for key in like]
    elif isinstance(like, list | tuple):
        if not isinstance(value, list | tuple) or len(value) != len(like):
            return f"{where} has not {len(like)} parts"
        pairs = [(*both, f"{where}[{i}]") for i, both in enumerate(zip(value, like, strict=True))]
    elif isinstance(like, float | int) and not isinstance(like, bool):
        is_number = isinstance(value, float | int) and not isinstance(value, bool)
        return None if is_number and abs(value) <= _LARGEST else f"{where} is not a number"
    else:
        return None if type(value) is type(like) else f"{where} is not {type(like).__name__}"
    return next((found for it in pairs if (found := _difference(*it)) is not None), None)


def _damage(
    state: dict[str, Any],
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    config: TrainingConfig,
    steps: int,
) -> str | None:
    """Say why a checkpoint cannot be of a training of these, in as far as it can be seen."""
    weights = network.state_dict()
    try:
        curve = fill(list[dict[str, float]], state["curve"])
    except ValueError as error:
        return f"its curve: {error}"
    if not 0 < len(curve) <= config.epochs:
        return f"its curve has {len(curve)} epochs"
    if any("validation_loss" not in row or set(row) != set(curve[0]) for row in curve):
        return "its curve has not the same losses in all epochs"
    # moments of weights that have a gradient, by their numbers
    moments = state["optimizer"].get("state") if isinstance(state["optimizer"], dict) else None
    count = torch.zeros((), device=next(network.parameters()).device)
    known = {
        i: {"step": count, "exp_avg": weight, "exp_avg_sq": weight}
        for i, weight in enumerate(network.parameters())
        if isinstance(moments, dict) and i in moments
    }
    like = {
        "network": weights,
        "optimizer": optimizer.state_dict() | {"state": known},
        "schedule": schedule.state_dict(),
        "best": weights if config.patience is not None else {},
        "seconds": 0.0,
    }
    difference = _difference({key: state[key] for key in like}, like, "it")
    if difference:
        return difference
    # rates and momenta follow from the number of steps; all else never changes
    done = steps * len(curve)
    planned = schedule.state_dict() | {"last_epoch": done, "_step_count": done + 1}
    if any(state["schedule"][key] != planned[key] for key in set(planned) - {"_last_lr"}):
        return f"its schedule is not that of {done} steps"
    for group, own in zip(state["optimizer"]["param_groups"], optimizer.param_groups, strict=True):
        # fused or not is a matter of the device
        if any(group[key] != own[key] for key in set(own) - {"params", "lr", "betas", "fused"}):
            return "its optimizer is another"
        if not 0 <= group["lr"] <= own["max_lr"] or not all(0 <= it < 1 for it in group["betas"]):
            return "its optimizer has rates that it cannot have"
    return None


def _load_checkpoint(
    path: Path,
    options: dict[str, Any],
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    config: TrainingConfig,
    steps: int,
) -> dict[str, Any]:
    device = next(network.parameters()).device
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        theirs = dict(state["options"])
    except Exception as error:  # torch raises exceptions of many kinds for a damaged file
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise InputError(
            f"{path} is not a checkpoint of a training ({reason}); remove it to start again."
        ) from None
    other = [str(key) for key in {**options, **theirs} if options.get(key) != theirs.get(key)]
    if other:
        raise InputError(
            f"{path} is of a training with other options ({', '.join(other)}); use the same, or "
            "remove it to start again."
        )
    missing = sorted(_PARTS - set(state))
    damage = f"it has no {missing[0]}" if missing else None
    damage = damage or _damage(state, network, optimizer, schedule, config, steps)
    if damage:
        raise InputError(f"{path} is damaged ({damage}); remove it to start again.")
    for group in state["optimizer"]["param_groups"]:
        group["fused"] = optimizer.defaults["fused"]
    return state


def add_gradients(network: nn.Module, loss: Loss, batch: Data) -> Tensor:
    """Add the gradients of a batch's loss to those of the weights, and return the loss."""
    value, _ = loss(network, batch)
    torch.autograd.backward(value)
    nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    return value.detach()


def recorded_gradients(network: nn.Module, loss: Loss, example: Data) -> Callable[[Data], Tensor]:
    """Record what a GPU does for the gradients of a batch, to repeat it by one launch.

    A step on few environments is hundreds of kernels, each shorter than its launch.

    Parameters
    ----------
    network : Module
        Its weights are read, and their gradients written, where they are now.
    loss : callable
        Does nothing that the host has to wait for.
    example : dict of Tensor
        A batch; the others have the same shapes.

    Returns
    -------
    callable
        Takes a batch, returns its loss and leaves the gradients in the weights.
    """
    inputs = {key: value.clone() for key, value in example.items()}
    # kernels are compiled, verified and chosen before
    aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(3):
            network.zero_grad()
            add_gradients(network, loss, inputs)
    torch.cuda.current_stream().wait_stream(aside)
    network.zero_grad()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        value = add_gradients(network, loss, inputs)

    def gradients(batch: Data) -> Tensor:
        for key, tensor in inputs.items():
            tensor.copy_(batch[key])
        graph.replay()
        return value

    return gradients


def train(
    network: nn.Module,
    loss: Loss,
    training: Data,
    validation: Data,
    config: TrainingConfig,
    checkpoint: str | os.PathLike[str] | None = None,
    description: str = "training",
    corrupt: Corrupt | None = None,
    options: Mapping[str, Any] | None = None,
    cuda_graph: bool = False,
) -> Training:
    """Train a network in place, on the device it is on.

    Parameters
    ----------
    network : Module
        Its weights are the start.
    loss : callable
        Takes the network and a batch, returns the loss and metrics.
    training : dict of Tensor
        Clean data, as :func:`split` gives it. All of it is taken to the network's device, and
        corrupted there.
    validation : dict of Tensor
        Data, corrupted already: it stays the same from epoch to epoch.
    config : TrainingConfig
        How to train.
    checkpoint : path, optional
        Written after every epoch. If it exists, training continues after the epoch it was written
        at and ends where an uninterrupted run would have: order and noise of a batch depend on the
        seed, the epoch and its place in it alone. On another device it continues as well, with
        noise and sums of that device.
    description : str
        For the progress bar.
    corrupt : callable, optional
        Makes input and target of each batch, with new noise every time.
    options : mapping, optional
        Plain values; a checkpoint of a training with another configuration or other options is
        refused.
    cuda_graph : bool
        Whether a GPU may repeat what it did for the first batch for all that have as many rows: the
        loss then does the same for each, and never waits for the GPU.

    Raises
    ------
    InputError
        If the checkpoint cannot be read or is of another training, or the loss is not finite.
    """
    device = next(network.parameters()).device
    total = len(next(iter(training.values())))
    steps = -(-total // config.batch_size)
    # all data are on the network's device: a step sends nothing to a GPU but its launches
    training, validation = (
        {key: value.to(device) for key, value in data.items()} for data in (training, validation)
    )
    optimizer = torch.optim.AdamW(
        network.parameters(),
        lr=config.learning_rate,
        weight_decay=config.weight_decay,
        fused=device.type == "cuda",
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, config.learning_rate, total_steps=steps * config.epochs, pct_start=0.2
    )
    curve: list[dict[str, float]] = []
    best: dict[str, Tensor] = {}
    before = 0.0
    all_options = asdict(config) | dict(options or {})
    path = None if checkpoint is None else Path(checkpoint)
    if path is not None and path.is_file():
        state = _load_checkpoint(path, all_options, network, optimizer, schedule, config, steps)
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        curve, best, before = state["curve"], state["best"], state["seconds"]
    recorded: Callable[[Data], Tensor] | None = None
    started = time.monotonic()
    with tqdm(
        total=steps * config.epochs,
        initial=steps * len(curve),
        desc=description,
        unit="step",
        mininterval=0.5,
    ) as bar:
        while not _is_over(curve, config):
            epoch = len(curve)
            generator = torch.Generator().manual_seed(config.seed * 1_000_003 + epoch)
            order = torch.randperm(total, generator=generator).to(device)
            network.train()
            sum_loss = torch.zeros((), dtype=torch.float64, device=device)
            for start in range(0, total, config.batch_size):
                rows = order[start : start + config.batch_size]
                batch = {key: value[rows] for key, value in training.items()}
                if corrupt is not None:
                    batch = corrupt(batch, seeded(config.seed, epoch, start, device=device))
                if cuda_graph and device.type == "cuda" and len(rows) == config.batch_size:
                    recorded = recorded or recorded_gradients(network, loss, batch)
                    value = recorded(batch)
                else:
                    # what was recorded writes where the gradients are
                    optimizer.zero_grad(set_to_none=recorded is None)
                    value = add_gradients(network, loss, batch)
                optimizer.step()
                schedule.step()
                sum_loss += value.double() * len(rows) / total
                bar.update()
            mean_loss = float(sum_loss)
            if not math.isfinite(mean_loss):
                raise InputError(
                    f"the loss is {mean_loss} in epoch {epoch + 1} of {description}; train with a "
                    "lower learning rate."
                )
            metrics = evaluate(network, loss, validation)
            curve.append(
                {"epoch": epoch + 1, "training_loss": mean_loss}
                | {f"validation_{key}": number for key, number in metrics.items()}
            )
            bar.set_postfix({key: f"{number:.3g}" for key, number in metrics.items()})
            if config.patience is not None and best_row(curve) == epoch:
                best = {key: value.clone() for key, value in network.state_dict().items()}
            if path is not None:
                with replacing(path) as part:
                    torch.save(
                        {
                            "options": all_options,
                            "network": network.state_dict(),
                            "optimizer": optimizer.state_dict(),
                            "schedule": schedule.state_dict(),
                            "curve": curve,
                            "best": best,
                            "seconds": before + time.monotonic() - started,
                        },
                        part,
                    )
    if config.patience is not None:
        network.load_state_dict(best)
    network.eval()
    kept = len(curve) - 1 if config.patience is None else best_row(curve)
    return Training(curve, kept, before + time.monotonic() - started)
