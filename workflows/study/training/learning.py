"""The two networks of a study, trained from files of its jobs."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hoomd_gala.files.cards import write_card
from hoomd_gala.files.models import pick_device, save_model
from hoomd_gala.files.trajectories import open_trajectory
from hoomd_gala.learning import datasets
from hoomd_gala.learning.config import TrainingConfig
from hoomd_gala.learning.fitting import fit
from hoomd_gala.neighbors.environments import mean_bond_length
from hoomd_gala.networks import CoreConfig
from hoomd_gala.results import DISORDERED, UNKNOWN_BELOW
from hoomd_gala.systems import System, as_system
from study.training import disorder
from study.training.curves import write_curve
from study.training.names import (
    CHECKPOINT,
    CURVE,
    FRAME_CHECKPOINT,
    FRAME_CURVE,
    FRAME_MODEL,
    MODEL,
    MODEL_CARD,
)

#: Environments of each trajectory frame that a frame model learns from.
ENVIRONMENTS_PER_FRAME = 250


def structure_model(
    folder: Path,
    parameters: Mapping[str, Any],
    fluids: Sequence[Path],
    others: Sequence[Path],
    data: Mapping[str, Any],
) -> None:
    """Train the network that names structures, on unit cells and simulated disorder.

    Parameters
    ----------
    folder : Path
        Where model, card, checkpoint and learning curve go.
    parameters : mapping
        State point of the job.
    fluids : sequence of Path
        Trajectories whose environments are all disordered.
    others : sequence of Path
        Disorder of other kinds, in which some particles may have crystallized.
    data : mapping
        Description of the data, for the card.
    """
    rng = np.random.default_rng(parameters["seed"])
    structures = list(parameters["structures"])
    disordered = len(structures)
    frames = [
        datasets.crystal_frames(
            structures,
            parameters["noise_levels"],
            parameters["n_environments"],
            disordered,
            rng,
            strain_size=parameters["strain"],
        )
    ]
    share = parameters["n_disordered"] // max(1, len(fluids) + len(others))
    for systems in itertools.chain(map(_fluid, fluids), map(_other, others)):
        each = share // len(systems) + 1
        frames += [datasets.take(one, disordered, each, rng, among) for one, among in systems]
    model, curve = fit(
        "frame-classification",
        datasets.join(frames),
        [*structures, DISORDERED],
        CoreConfig(
            width=parameters["width"],
            hidden=parameters["hidden"],
            blocks=parameters["blocks"],
            tied=True,
        ),
        TrainingConfig(epochs=parameters["epochs"], seed=parameters["seed"]),
        unknown_below=UNKNOWN_BELOW,
        device=pick_device("auto"),
        checkpoint=folder / CHECKPOINT,
        description=f"guessing is right for 1 in {len(structures) + 1}",
        card={
            "command": f"python workflows/project.py run --study {parameters['study']}",
            "data": data,
        },
    )
    write_curve(
        folder / CURVE,
        "network that names structures",
        curve,
        chance=1 / (len(structures) + 1),
    )
    save_model(folder / MODEL, model)
    write_card(folder / MODEL_CARD, folder / MODEL)


#: Systems, and which of their particles are disordered if not all are.
_Disordered = list[tuple[System, NDArray[np.int64] | None]]


def _fluid(path: Path) -> _Disordered:
    """Systems of a trajectory all of whose particles are disordered."""
    with open_trajectory(path) as trajectory:
        return [(as_system(frame), None) for frame in trajectory]


def _other(path: Path) -> _Disordered:
    """Systems of other disorder, and the indices of the particles that have not crystallized."""
    return [
        (system._replace(types=np.zeros_like(system.types)), np.flatnonzero(system.types))
        for system in disorder.read(path)
    ]


def frame_model(folder: Path, trajectory_path: Path, epochs: int, seed: int) -> None:
    """Train a network to distinguish the frames of a trajectory."""
    rng = np.random.default_rng(seed)
    with open_trajectory(trajectory_path) as trajectory:
        names = [str(frame.configuration.step) for frame in trajectory]
        frames = datasets.join(
            [
                datasets.take(as_system(frame), i, ENVIRONMENTS_PER_FRAME, rng)
                for i, frame in enumerate(trajectory)
            ]
        )
    model, curve = fit(
        "frame-classification",
        frames,
        names,
        CoreConfig(width=32, hidden=32, blocks=2, tied=True),
        TrainingConfig(epochs=epochs, seed=seed),
        length_scale=mean_bond_length(frames.bonds),
        length_convention="absolute",
        device=pick_device("auto"),
        checkpoint=folder / FRAME_CHECKPOINT,
        description=f"guessing is right for 1 in {len(names)}",
    )
    write_curve(
        folder / FRAME_CURVE,
        f"network that distinguishes {len(names)} frames",
        curve,
        chance=1 / len(names),
    )
    save_model(folder / FRAME_MODEL, model)
