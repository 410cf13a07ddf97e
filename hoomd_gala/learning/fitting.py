"""From environments to a model: data, network, training and calibration of any task."""

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ..errors import InputError
from ..files.models import Model, ModelInfo
from ..networks import CoreConfig, Network, inherit, make_network
from .calibration import calibrate
from .config import CLASSIFICATION, TrainingConfig
from .datasets import Frames, to_tensors
from .tasks import TASKS
from .training import seeded, split, train


class Fit(NamedTuple):
    """A trained model and its learning curve.

    Attributes
    ----------
    model : Model
        On the CPU.
    curve : list of dict
        Losses and metrics, one row per epoch.
    """

    model: Model
    curve: list[dict[str, float]]


def machine(device: torch.device) -> str:
    """Describe what a training runs on."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}"
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    processor = models[0] if models else platform.processor() or platform.machine()
    threads = torch.get_num_threads()
    return f"{processor}, {threads} of {os.cpu_count()} cores, torch {torch.__version__}"


def fit(
    task: str,
    frames: Frames,
    class_names: Sequence[str],
    core: CoreConfig,
    config: TrainingConfig,
    length_scale: float | None = None,
    length_convention: str = "mean",
    unknown_below: float = 0.0,
    device: str | torch.device = "cpu",
    checkpoint: str | os.PathLike[str] | None = None,
    description: str = "training",
    card: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    limit: int | None = None,
    repeats: int = 1,
    start: Network | None = None,
    frozen: bool = False,
) -> Fit:
    """Train a network on a task.

    Parameters
    ----------
    task : str
        One of :data:`~hoomd_gala.learning.config.TASK_NAMES`.
    frames : Frames
        What to learn from; a part of it is held out for validation.
    class_names : sequence of str
        Name of each label, for frame classification.
    core : CoreConfig
        Size of the network.
    config : TrainingConfig
        How to train.
    length_scale : float, optional
        What bonds are divided by, as they are in ``frames``; see
        :func:`~hoomd_gala.neighbors.scale_bonds`.
    length_convention : str
        Says what that length is to users of the model; see
        :class:`~hoomd_gala.files.models.ModelInfo`.
    unknown_below : float
        Confidence below which a particle is called unknown.
    device : str or torch.device
        Where to train.
    checkpoint : path, optional
        Where an interrupted training continues.
    description : str
        For the progress bar.
    card : mapping, optional
        What the model's card says beside its metrics.
    options : mapping, optional
        What a checkpoint must have been made with, beside ``config``.
    limit : int, optional
        Learn from at most this many environments. All that are held out still validate, so that
        trainings on few environments can be compared.
    repeats : int
        Passes over the training data in an epoch. All held-out data are evaluated after each epoch,
        which would take most of the time if few environments were an epoch.
    start : Network, optional
        Has learned something else: see :func:`~hoomd_gala.networks.inherit`. It has the size that
        ``core`` says, but for the number of types.
    frozen : bool
        Whether what is taken from ``start`` stays as it is.

    Returns
    -------
    Fit
        The model, the confidence of a classifier calibrated on the validation data, and the
        learning curve.

    Raises
    ------
    InputError
        If there are too few environments to hold some out, the loss is not finite, or the
        checkpoint cannot be read or is of another training.
    """
    functions = TASKS[task]
    data = to_tensors(frames, core, length_scale)
    training, clean = split(data, config.validation_fraction, config.seed)
    if not len(clean["labels"]) or not len(training["labels"]):
        raise InputError(
            f"{len(frames.labels)} environments are too few to hold some out for validation; take "
            "more of each frame."
        )
    training = {key: value[:limit] for key, value in training.items()}  # in random order already
    validation = functions.corrupt(clean, seeded(config.seed))
    torch.manual_seed(config.seed)
    classes = tuple(class_names) if task == CLASSIFICATION else ()
    network = make_network(task, core, len(classes))
    for part in [] if start is None else inherit(network, start):
        part.requires_grad_(not frozen)
    network.to(device)
    curve, kept, seconds = train(
        network,
        functions.loss,
        {key: torch.cat([value] * repeats) for key, value in training.items()},
        validation,
        config,
        checkpoint,
        description,
        functions.corrupt,
        options,
        cuda_graph=True,
    )
    info = ModelInfo(
        core,
        classes,
        length_scale,
        calibrate(network, validation) if classes else 1.0,
        unknown_below,
        {
            "loss": functions.LOSS,
            "environments": len(frames.labels),
            "learned from": len(training["labels"]),
            "training": asdict(config),
            "metrics": curve[kept],
            "baselines": functions.baselines(training, validation),
            "seconds": round(seconds, 1),
            "machine": machine(torch.device(device)),
        }
        | dict(card or {}),
        task,
        length_convention=length_convention,
    )
    return Fit(Model(network.cpu().requires_grad_(False), info), curve)
