"""How the shipped models ``structures`` and ``structures-fast`` learn: what, and the first stage.

First a network of single environments learns to distinguish all local environments. The second
stage, in :mod:`~.labels`, names whole samples.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from tqdm.auto import tqdm

from hoomd_gala.crystals.random_cells import random_crystals
from hoomd_gala.crystals.tilings import random_rows
from hoomd_gala.files.models import Model, ModelInfo, pick_device, save_model
from hoomd_gala.learning.config import TrainingConfig
from hoomd_gala.learning.datasets import Frames, join, to_tensors
from hoomd_gala.learning.tasks import frame_classification as task
from hoomd_gala.networks import CoreConfig, FrameClassifier
from hoomd_gala.results import DISORDERED
from study.training import samples
from study.training.curves import train_in
from study.training.kinds import (
    Kinds,
    find_kinds,
    known_lattices,
    known_sites,
    label_sites,
    named_cells,
    read_cells,
    read_kinds,
    write_cells,
    write_kinds,
)
from study.training.names import (
    FAST_MODEL,
    FAST_SITES,
    KINDS,
    MODEL,
    OTHERS,
    SITES,
)


class Size(NamedTuple):
    """One of the shipped models.

    Attributes
    ----------
    core : CoreConfig
        Size of the network; the shipped models of the other tasks have that of ``structures``.
    context : int
        Hidden units through which the embeddings of each ring around a particle reach its label.
    site_epochs : int
        Factor on the study's number of epochs of the first stage.
    sites, model : str
        Files of the network of the first stage, and of the model.
    prefix : str
        Of the names of its other files.
    """

    core: CoreConfig
    context: int
    site_epochs: int
    sites: str
    model: str
    prefix: str


STRUCTURES = Size(CoreConfig(width=32, hidden=32, blocks=2, tied=True), 64, 1, SITES, MODEL, "")
#: With half the hidden units, every pair takes a third of the work. A small network takes longer to
#: learn, and less time.
FAST = Size(
    CoreConfig(width=32, hidden=16, blocks=2, tied=True), 48, 2, FAST_SITES, FAST_MODEL, "fast_"
)

#: Files of samples by the part of the data that they are of.
SampleFiles = Mapping[str, Path]


def write_cells_to_learn(folder: Path, parameters: Mapping[str, Any]) -> None:
    """Find the local environments, and make crystals without a name.

    Writes ``kinds.json`` and ``others.gsd``.

    Parameters
    ----------
    folder : Path
        Of the job.
    parameters : mapping
        Its state point.
    """
    names = named_cells(parameters["common"], parameters["named"])
    kinds = find_kinds(names, parameters["left_out"])
    known, lattices = known_sites(kinds), known_lattices(kinds)
    rng = np.random.default_rng([parameters["seed"], 1])
    # most random cells turn out to be well-known crystals, of which there are examples enough
    others = [
        cell
        for cell in random_crystals(parameters["n_random"], rng)
        if kinds.other in label_sites(cell, kinds, known, lattices)
    ]
    write_cells(folder / OTHERS, others)
    write_kinds(folder / KINDS, kinds)


def read_plan(
    folder: Path, parameters: Mapping[str, Any], disorder: Sequence[tuple[str, Path]]
) -> samples.Plan:
    """Plan of what is sampled, from a job's state point and the files of its first operation."""
    return samples.Plan(
        read_kinds(folder / KINDS),
        list(parameters["common"]),
        dict(parameters["noise"]),
        read_cells(folder / OTHERS),
        random_rows(parameters["n_tiles"], np.random.default_rng([parameters["seed"], 4])),
        disorder,
    )


# ---- first stage: environments, one at a time ----


def site_environments(files: SampleFiles, parameters: Mapping[str, Any]) -> Frames:
    """Environments of every label from each sample of the parts that are learned from here."""
    rng = np.random.default_rng([parameters["seed"], 2])
    numbers = parameters["site_environments"]
    return join(
        [
            samples.take_each(sample, numbers[part], rng)
            for part, path in files.items()
            if part in numbers
            for sample in tqdm(samples.read(path), f"take from {part}", unit="sample")
        ]
    )


def learn_sites(
    folder: Path, parameters: Mapping[str, Any], files: SampleFiles, size: Size = STRUCTURES
) -> None:
    """Train the network that distinguishes local environments.

    Parameters
    ----------
    folder : Path
        Where the network, checkpoint and learning curve go.
    parameters : mapping
        State point of the job.
    files : mapping of str to Path
        Samples to learn from.
    size : Size
        Of the model.
    """
    data = to_tensors(site_environments(files, parameters), size.core, None)
    config = TrainingConfig(
        epochs=size.site_epochs * parameters["site_epochs"],
        batch_size=128,
        validation_fraction=0.05,
        seed=parameters["seed"],
    )
    torch.manual_seed(config.seed)
    names = site_names(read_kinds(folder / KINDS))
    network = FrameClassifier(size.core, len(names)).to(pick_device("auto"))
    train_in(
        folder,
        "sites",
        network,
        task.loss,
        data,
        config,
        prefix=f"{size.prefix}sites_",
        cuda_graph=True,
    )
    network.cpu().requires_grad_(False)
    save_model(folder / size.sites, Model(network, ModelInfo(size.core, names)))


def site_names(kinds: Kinds) -> tuple[str, ...]:
    """Names of the outputs of a network that distinguishes local environments."""
    numbered = [f"{cell} {kind}" for kind, cell in enumerate(kinds.cells)]
    return (*numbered, "other", DISORDERED)
