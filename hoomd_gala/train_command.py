"""``hoomd-gala train``: from unit cells or the user's own trajectories to a model file."""

import argparse
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .datasets import Frames, cell_frames, parse_range, trajectory_frames
from .environments import mean_bond_length
from .errors import InputError
from .files import write_table
from .fitting import fit
from .models import pick_device, save_model, write_card
from .networks import CoreConfig
from .plots import draw_curve, new_figure
from .structures import unit_cells
from .tasks import TASKS
from .training import TrainingConfig

#: Displacements of unit cells, in units of the shortest distance, if none are given.
NOISE_LEVELS = (0.01, 0.05, 0.1)

#: Confidence below which a classifier's labels are -1.
UNKNOWN_BELOW = 0.5

#: Options that may differ between a run and the one that goes on with it.
_FREE = {"command", "output", "checkpoint", "device"}


def _load_data(
    options: argparse.Namespace,
) -> tuple[Frames, tuple[str, ...], float, dict[str, Any]]:
    """Environments, names of their frames, the length scale, and what the card says of them."""
    rng = np.random.default_rng(options.seed)
    if options.gsd:
        if options.cells or options.noise:
            raise InputError("--cells and --noise are for unit cells; leave them or --gsd out.")
        sources = [parse_range(text) for text in options.gsd]
        frames, names = trajectory_frames(sources, options.environments, rng)
        about = {"trajectories": list(options.gsd), "frames": len(names)}
        return frames, names, mean_bond_length(frames.bonds), about
    cells = list(dict.fromkeys(options.cells or unit_cells()))
    noise = list(dict.fromkeys(options.noise or NOISE_LEVELS))
    frames, names = cell_frames(cells, noise, options.environments, rng)
    about = {
        "unit cells": cells,
        "noise levels / shortest distance": noise,
        "frames": len(names),
        "licence": "AFLOW prototypes as packaged in pyriodic-aflow, which is under the GPL-3",
    }
    return frames, names, 1.0, about


def run(options: argparse.Namespace, command: str) -> None:
    """Train a model and write it with its card and learning curve.

    Parameters
    ----------
    options : Namespace
        Of ``hoomd-gala train``, as :mod:`hoomd_gala.cli` parses them.
    command : str
        The command line, for the card.

    Raises
    ------
    InputError
        If the model exists, the data cannot be had, or there is a checkpoint of another training.
    """
    output = Path(options.output)
    if output.suffix != ".safetensors":
        raise InputError(f"{output} is no name for a model; let it end in .safetensors.")
    if output.exists():
        raise InputError(f"{output} exists; remove it or choose another name.")
    if not output.absolute().parent.is_dir():
        raise InputError(f"there is no folder {output.absolute().parent} for {output.name}.")
    checkpoint = options.checkpoint or output.with_suffix(".checkpoint.pt")
    device = pick_device(options.device)
    new_figure()  # better to hear now than after hours that there is no Matplotlib
    frames, names, length_scale, about = _load_data(options)
    if device.type == "cuda":
        # tensor cores at 10 bits of mantissa; training has noise of its own that is larger
        torch.set_float32_matmul_precision("high")
    model, curve = fit(
        options.task,
        frames,
        names,
        CoreConfig(
            max_types=1 if options.blind else frames.max_types,
            width=options.width,
            hidden=options.hidden,
            blocks=options.blocks,
            tied=not options.untied,
        ),
        TrainingConfig(
            epochs=options.epochs,
            batch_size=options.batch_size,
            learning_rate=options.learning_rate,
            seed=options.seed,
            patience=options.patience,
        ),
        length_scale=length_scale,
        unknown_below=UNKNOWN_BELOW if options.task == "frame-classification" else 0.0,
        device=device,
        checkpoint=checkpoint,
        description=f"train on {options.task}",
        card={"command": command, "data": about},
        options={key: value for key, value in vars(options).items() if key not in _FREE}
        # a file may have grown since the checkpoint was written
        | {"data": zlib.crc32(frames.bonds.tobytes())},
    )
    write_table(output.with_suffix(".csv"), curve)
    title = f"{output.stem}: {options.task}"
    draw_curve(output.with_suffix(".png"), title, curve, TASKS[options.task].LOSS)
    save_model(output, model)
    write_card(output.with_suffix(".json"), output)
    Path(checkpoint).unlink(missing_ok=True)
    _report(output, model.info.card)


def _report(output: Path, card: dict[str, Any]) -> None:
    """Print what the network reached, beside what it takes no network to reach."""
    metrics = {key: value for key, value in card["metrics"].items() if key.startswith("validation")}
    rows = {"network": {key.removeprefix("validation_"): value for key, value in metrics.items()}}
    for name, row in (rows | card["baselines"]).items():
        numbers = ", ".join(f"{key} {value:.4g}" for key, value in row.items())
        print(f"{name}: {numbers}")
    print(f"wrote {output}, with its card (.json, .md) and learning curve (.csv, .png)")
