"""``hoomd-gala train`` and ``finetune``: from unit cells or one's own trajectories to a model."""

import argparse
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from ..crystals.prototypes import unit_cells
from ..errors import InputError
from ..files.atomic import check_folder, check_new, write_table
from ..files.models import (
    UNKNOWN_BELOW,
    Model,
    ModelInfo,
    load_model,
    pick_device,
    save_model,
    source_card,
    write_card,
)
from ..learning.datasets import Frames, cell_frames, parse_range, trajectory_frames
from ..learning.fitting import fit
from ..learning.tasks import TASKS
from ..learning.training import TrainingConfig
from ..neighbors.environments import mean_bond_length
from ..networks import CoreConfig
from ..plotting.plots import draw_curve, new_figure
from ..threads import spare_threads

#: Displacements of unit cells, in units of the shortest distance, if none are given.
NOISE_LEVELS = (0.01, 0.05, 0.1)

#: Options that may differ between a run and the one that goes on with it.
_FREE = {"command", "output", "checkpoint", "device"}


class _Lengths(NamedTuple):
    """What bonds are divided by: see :class:`~hoomd_gala.files.models.ModelInfo`."""

    convention: str
    scale: float | None


def _lengths(frames: Frames, on_cells: bool, source: ModelInfo | None) -> _Lengths:
    """A core goes on with bonds as long as those that it learned from; see :func:`_load_data`."""
    if source is not None and source.length_convention != "absolute":
        return _Lengths(source.length_convention, source.length_scale)
    if source is None and on_cells:
        return _Lengths("shortest", 1.0)
    return _Lengths("shortest" if on_cells else "absolute", mean_bond_length(frames.bonds))


def _load_data(
    options: argparse.Namespace, source: ModelInfo | None
) -> tuple[Frames, tuple[str, ...], dict[str, Any]]:
    """Environments, names of their frames, and what the card says of them.

    Bonds of unit cells are in units of the shortest distance, and so are those of trajectories if
    the source learned from such.
    """
    rng = np.random.default_rng(options.seed)
    if options.gsd:
        if options.cells or options.noise:
            raise InputError("--cells and --noise are for unit cells; leave them or --gsd out.")
        sources = [parse_range(text) for text in options.gsd]
        rescale = source is not None and source.length_convention == "shortest"
        frames, names = trajectory_frames(sources, options.environments, rng, rescale)
        return frames, names, {"trajectories": list(options.gsd), "frames": len(names)}
    cells = list(dict.fromkeys(options.cells or unit_cells()))
    noise = list(dict.fromkeys(options.noise or NOISE_LEVELS))
    frames, names = cell_frames(cells, noise, options.environments, rng)
    about = {
        "unit cells": cells,
        "noise levels / shortest distance": noise,
        "frames": len(names),
        "licence": "AFLOW prototypes as packaged in pyriodic-aflow, which is under the GPL-3",
    }
    return frames, names, about


def _core(options: argparse.Namespace, source: Model | None, max_types: int) -> CoreConfig:
    """Size of the network: the source's where there is one."""
    if source is None:
        return CoreConfig(
            max_types=max_types,
            width=options.width,
            hidden=options.hidden,
            blocks=options.blocks,
            tied=not options.untied,
        )
    known = source.info.core.max_types
    if options.freeze_core and max_types > known:
        raise InputError(
            f"{options.model} knows {known} type(s) of particles and the data have {max_types}; "
            "let the core learn (without --freeze-core), or take all for the same (--blind)."
        )
    return replace(source.info.core, max_types=max_types)


def run(options: argparse.Namespace, command: str) -> None:
    """Train a model and write it with its card and learning curve.

    Parameters
    ----------
    options : Namespace
        Of ``hoomd-gala train`` or ``finetune``, as :mod:`hoomd_gala.cli` parses them.
    command : str
        The command line, for the card.

    Raises
    ------
    InputError
        If the model exists, the data cannot be had, or there is a checkpoint of another training.
    """
    if options.task is None:
        raise InputError("there is nothing to learn; give --task, or --labels.")
    output = check_new(options.output, ".safetensors", "model")
    checkpoint = Path(options.checkpoint or output.with_suffix(".checkpoint.pt"))
    check_folder(checkpoint)
    for suffix in (".csv", ".png", ".json", ".md"):
        check_folder(output.with_suffix(suffix))
    device = pick_device(options.device)
    torch.set_num_threads(spare_threads(torch.get_num_threads()))
    new_figure()  # better to hear now than after hours that there is no Matplotlib
    source, frozen, origin = None, False, {}
    if options.command == "finetune":
        source, frozen = load_model(options.model), options.freeze_core
        origin = {"source": source_card(options.model, source.info), "frozen": frozen}
    known = None if source is None else source.info
    frames, names, about = _load_data(options, known)
    lengths = _lengths(frames, not options.gsd, known)
    core = _core(options, source, 1 if options.blind else frames.max_types)
    if device.type == "cuda":
        # tensor cores at 10 bits of mantissa; training has noise of its own that is larger
        torch.set_float32_matmul_precision("high")
    try:
        model, curve = fit(
            options.task,
            frames,
            names,
            core,
            TrainingConfig(
                epochs=options.epochs,
                batch_size=options.batch_size,
                learning_rate=options.learning_rate,
                seed=options.seed,
                patience=options.patience,
            ),
            length_scale=lengths.scale,
            length_convention=lengths.convention,
            unknown_below=UNKNOWN_BELOW if options.task == "frame-classification" else 0.0,
            device=device,
            checkpoint=checkpoint,
            description=f"train on {options.task}",
            card={"command": command, "data": about, "limit": options.limit} | origin,
            options={key: value for key, value in vars(options).items() if key not in _FREE}
            # files may have changed since the checkpoint was written
            | {"data": zlib.crc32(frames.bonds.tobytes())}
            | origin,
            limit=options.limit,
            start=None if source is None else source.network,
            frozen=frozen,
        )
    except KeyboardInterrupt:
        kept = "nothing was kept, since no epoch was whole."
        if checkpoint.exists():
            kept = "the same command goes on after the last whole epoch."
        raise KeyboardInterrupt(kept) from None
    write_table(output.with_suffix(".csv"), curve)
    title = f"{output.stem}: {options.task}"
    draw_curve(output.with_suffix(".png"), title, curve, TASKS[options.task].LOSS)
    save_model(output, model)
    write_card(output.with_suffix(".json"), output)
    checkpoint.unlink(missing_ok=True)
    _report(output, model.info.card)


def _report(output: Path, card: dict[str, Any]) -> None:
    """Print what the network reached, beside what it takes no network to reach."""
    metrics = {key: value for key, value in card["metrics"].items() if key.startswith("validation")}
    rows = {"network": {key.removeprefix("validation_"): value for key, value in metrics.items()}}
    for name, row in (rows | card["baselines"]).items():
        numbers = ", ".join(f"{key} {value:.4g}" for key, value in row.items())
        print(f"{name}: {numbers}")
    print(f"wrote {output}, with its card (.json, .md) and learning curve (.csv, .png)")
