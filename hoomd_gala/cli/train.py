"""``hoomd-gala train``: from unit cells or one's own trajectories to a model."""

import argparse
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..learning.config import CLASSIFICATION, CORE_SIZE, TrainingConfig
from .arguments import (
    DEFAULT,
    Commands,
    add_command,
    add_data,
    add_task,
    add_training,
    check_samples,
    chosen_cells,
    positive,
)

if TYPE_CHECKING:
    from ..files.models import ModelInfo
    from ..learning.sources import Source

SUMMARY = "train a network on unit cells or your own trajectories"

_DESCRIPTION = """\
Trains a network on a self-supervised task. No labels are needed: the data are environments of
unit cells or of the frames of GSD files.
"""

_MORE = """\
tasks:
  denoising             noise of 0.1 is added to every bond: remove it
  autoencoding          bonds pass through an orientation and 8 numbers each
  shift-identification  the particle was displaced by 0.01 to 0.3: by which
                        vector?
  nearest-bond          all bonds but the shortest are given: where is it?
  noisy-bonds           noise of 0.5 is added to half of the bonds: to which?
  frame-classification  which frame is the environment from? The only task with
                        classes: label writes these, and after the other tasks
                        embeddings alone

Lengths are in units of the shortest distance of unit cells, or of the mean bond length of
trajectories.

what is written:
  OUT.safetensors  the model, for label, Analyzer and Classifier
  OUT.json, .md    its card: data, seed, command, metrics beside those of
                   simple baselines
  OUT.csv, .png    the learning curve

Interrupt it whenever you like: the same command continues after the last complete epoch and ends
where an uninterrupted run would have.

examples:
  hoomd-gala train --task denoising --output denoising.safetensors
  hoomd-gala train --task frame-classification --output three.safetensors \\
      --cells cF4-Cu hP2-Mg cI2-W --blind --environments 1000
  hoomd-gala train --task frame-classification --output run.safetensors \\
      --gsd run.gsd@10:50:2 other.gsd@-1 --environments 500 --patience 3
"""

#: Options that may be others when a training is continued.
_FREE = {"command", "line", "run", "output", "checkpoint", "device"}


def add(commands: Commands) -> None:
    """Add the command."""
    train = add_command(commands, "train", SUMMARY, _DESCRIPTION, _MORE)
    train.set_defaults(run=run)
    add_task(train, "what to learn: one of the tasks below", required=True)
    add_data(train)
    network = train.add_argument_group("network")
    for name, text in (
        ("width", "numbers per bond, and embedding"),
        ("hidden", "hidden units of each perceptron"),
        ("blocks", "attention blocks"),
    ):
        network.add_argument(
            f"--{name}", type=positive, default=CORE_SIZE[name], help=f"{text} {DEFAULT}"
        )
    network.add_argument(
        "--untied",
        action="store_true",
        help="update vectors and values in two passes over the pairs of bonds, not in one: about "
        "twice the work",
    )
    add_training(train)


def run(options: argparse.Namespace) -> None:
    """Train a model and write it with its card and learning curve."""
    train_and_write(options)


def train_and_write(
    options: argparse.Namespace, start: str | None = None, frozen: bool = False
) -> None:
    """Train a model, from another one or from random weights, and write it.

    Parameters
    ----------
    options : Namespace
        Of ``hoomd-gala train`` or ``finetune``.
    start : str, optional
        Name or file of the model that the network starts from.
    frozen : bool
        Whether what is taken from it stays as it is.

    Raises
    ------
    InputError
        If the model exists, the data cannot be read, or there is a checkpoint of another training.
    """
    from ..files.atomic import check_folder, check_new, write_table
    from ..files.shipped import find_model

    output = check_new(options.output, ".safetensors", "model")
    checkpoint = Path(options.checkpoint or output.with_suffix(".checkpoint.pt"))
    check_folder(checkpoint)
    for suffix in (".csv", ".png", ".json", ".md"):
        check_folder(output.with_suffix(suffix))
    check_samples(options)
    if start is not None:
        find_model(start)

    import torch

    from ..files.cards import source_card, write_card
    from ..files.models import load_model, pick_device, save_model
    from ..learning.fitting import fit
    from ..learning.sources import inherited_core
    from ..learning.tasks import TASKS
    from ..networks import CoreConfig
    from ..plotting.plots import check_matplotlib, draw_curve
    from ..results import UNKNOWN_BELOW
    from ..threads import spare_threads

    device = pick_device(options.device)
    torch.set_num_threads(spare_threads(torch.get_num_threads()))
    check_matplotlib()
    model = None if start is None else load_model(start)
    source = _source(options, None if model is None else model.info)
    max_types = None if options.blind else source.frames.max_types
    origin: dict[str, Any] = {}
    if start is None or model is None:
        core = CoreConfig(
            max_types or 1, options.width, options.hidden, options.blocks, tied=not options.untied
        )
    else:
        core = inherited_core(start, model.info.core, max_types, frozen)
        origin = {"source": source_card(start, model.info), "frozen": frozen}
    if device.type == "cuda":
        # tensor cores at 10 bits of mantissa; training has noise of its own that is larger
        torch.set_float32_matmul_precision("high")
    try:
        trained, curve = fit(
            options.task,
            source.frames,
            source.names,
            core,
            TrainingConfig(
                epochs=options.epochs,
                batch_size=options.batch_size,
                learning_rate=options.learning_rate,
                seed=options.seed,
                patience=options.patience,
            ),
            length_scale=source.length_scale,
            length_convention=source.length_convention,
            unknown_below=UNKNOWN_BELOW if options.task == CLASSIFICATION else 0.0,
            device=device,
            checkpoint=checkpoint,
            description=f"train on {options.task}",
            card={"command": options.line, "data": source.about, "limit": options.limit} | origin,
            options={key: value for key, value in vars(options).items() if key not in _FREE}
            # files may have changed since the checkpoint was written
            | {"data": zlib.crc32(source.frames.bonds.tobytes())}
            | origin,
            limit=options.limit,
            start=None if model is None else model.network,
            frozen=frozen,
        )
    except KeyboardInterrupt:
        kept = "nothing was kept, since no epoch was complete."
        if checkpoint.exists():
            kept = "the same command continues after the last complete epoch."
        raise KeyboardInterrupt(kept) from None
    write_table(output.with_suffix(".csv"), curve)
    title = f"{output.stem}: {options.task}"
    draw_curve(output.with_suffix(".png"), title, curve, TASKS[options.task].LOSS)
    save_model(output, trained)
    write_card(output.with_suffix(".json"), output)
    checkpoint.unlink(missing_ok=True)
    _report(output, trained.info.card)


def _source(options: argparse.Namespace, start: "ModelInfo | None") -> "Source":
    from ..learning.sources import cell_source, trajectory_source

    if options.gsd:
        return trajectory_source(options.gsd, options.environments, options.seed, start)
    cells, noise = chosen_cells(options)
    return cell_source(cells, noise, options.environments, options.seed, start)


def _report(output: Path, card: Mapping[str, Any]) -> None:
    """Print what the network reached, beside what is reached without a network."""
    metrics = {key: value for key, value in card["metrics"].items() if key.startswith("validation")}
    rows = {"network": {key.removeprefix("validation_"): value for key, value in metrics.items()}}
    for name, row in (rows | card["baselines"]).items():
        numbers = ", ".join(f"{key} {value:.4g}" for key, value in row.items())
        print(f"{name}: {numbers}")
    print(f"wrote {output}, with its card (.json, .md) and learning curve (.csv, .png)")
