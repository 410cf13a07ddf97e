"""Inference: positions in, labels out."""

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from .environments import Environments, PeriodicTree, scale_bonds
from .errors import InputError
from .models import Model, load_model, pick_device
from .networks import encode_types
from .systems import System, as_system, make_system

#: Label of a particle whose structure the model does not know.
UNKNOWN = -1

#: Environments found at a time; bounds the memory whatever the number of particles.
CHUNK = 8192

#: Environments in the network at a time, so that pair tensors stay in the processor's cache.
_BATCH = {"cpu": 64, "cuda": CHUNK}


@dataclass(frozen=True)
class Result:
    """What an analysis says of each particle.

    Attributes
    ----------
    label : (N,) int32
        Index into ``class_names``; -1 for particles whose structure is unknown.
    confidence : (N,) float32
        Probability of the most likely class, in [0, 1], calibrated on held-out data.
    embedding : (N, D) float32
        The network's summary of each environment.
    class_names : tuple of str
        Names of the classes.
    """

    label: NDArray[np.int32]
    confidence: NDArray[np.float32]
    embedding: NDArray[np.float32]
    class_names: tuple[str, ...]

    @property
    def counts(self) -> NDArray[np.float64]:
        """Fraction of particles in each class, followed by the fraction that is unknown."""
        n_classes = len(self.class_names)
        labels = np.where(self.label == UNKNOWN, n_classes, self.label)
        return np.bincount(labels, minlength=n_classes + 1) / max(len(labels), 1)

    @property
    def fractions(self) -> dict[str, float]:
        """Fraction of particles by class name, and by ``"unknown"`` for those labelled -1."""
        names = (*self.class_names, "unknown")
        return dict(zip(names, self.counts.tolist(), strict=True))


class Analyzer:
    """Names the structure around every particle of a system.

    A model that was trained on a task without classes gives embeddings only: every particle is
    unknown to it, with confidence 0.

    Parameters
    ----------
    model : str or path
        A shipped model's name, or a model file.
    device : str or torch.device
        Where the network runs; ``"auto"`` is the GPU where there is one.

    Examples
    --------
    >>> analyzer = hoomd_gala.Analyzer("structures")
    >>> result = analyzer.analyze(positions, box)
    >>> result.fractions["cI2-W"]
    """

    def __init__(
        self, model: str | os.PathLike[str] = "structures", device: str | torch.device = "auto"
    ) -> None:
        self.device = pick_device(device)
        self.model: Model = load_model(model)
        self.model.network.to(self.device)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes that labels index."""
        return self.model.info.class_names

    def analyze(
        self, positions: Any, box: ArrayLike | None = None, types: ArrayLike | None = None
    ) -> Result:
        """Label all particles of a system.

        Parameters
        ----------
        positions : (N, 3) array, or a system
            Positions in any unit of length; or, alone, what
            :func:`~hoomd_gala.systems.as_system` takes: (box, points) as in freud, a GSD frame, a
            HOOMD snapshot, an OVITO ``DataCollection``.
        box : (6,)
            ``[Lx, Ly, Lz, xy, xz, yz]`` as HOOMD and GSD have it.
        types : (N,) int, optional
            Type of each particle; ignored by models that are blind to types.

        Raises
        ------
        InputError
            For positions that are not finite, fewer than 21 particles, a two-dimensional box, a
            box too thin for 20 neighbors, or more types than the model tells apart.
        """
        if box is None:
            return self.analyze_system(as_system(positions))
        return self.analyze_system(make_system(positions, box, types))

    def analyze_system(self, system: System) -> Result:
        """Label all particles of a :class:`~hoomd_gala.systems.System`."""
        max_types = self.model.info.core.max_types
        kinds = system.types
        if max_types > 1 and not ((kinds >= 0) & (kinds < max_types)).all():
            raise InputError(
                f"the model tells {max_types} types apart and the system has types "
                f"{kinds.min()} to {kinds.max()}; use a model that is blind to types."
            )
        tree = PeriodicTree.build(system.positions, system.box)
        total = len(system.positions)
        width = self.model.info.core.width
        label = np.empty(total, np.int32)
        confidence = np.empty(total, np.float32)
        embedding = np.empty((total, width), np.float32)
        for start in range(0, total, CHUNK):
            rows = np.arange(start, min(start + CHUNK, total))
            environments = tree.nearest(rows, workers=torch.get_num_threads())
            label[rows], confidence[rows], embedding[rows] = self._label(
                environments, kinds[rows], kinds[environments.neighbors]
            )
        return Result(label, confidence, embedding, self.class_names)

    def _label(
        self,
        environments: Environments,
        types: NDArray[np.int64],
        neighbor_types: NDArray[np.int64],
    ) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]:
        network, info = self.model.network, self.model.info
        bonds = torch.as_tensor(
            scale_bonds(environments.bonds, info.length_scale), dtype=torch.float32
        ).to(self.device)
        encoded = encode_types(
            torch.as_tensor(types), torch.as_tensor(neighbor_types), info.core.max_types
        ).to(self.device)
        batch = _BATCH.get(self.device.type, CHUNK)
        parts = [slice(start, start + batch) for start in range(0, len(bonds), batch)]
        if not info.class_names:
            with torch.inference_mode():
                summaries = [network.embed(bonds[part], encoded[part]) for part in parts]
            return (
                np.full(len(bonds), UNKNOWN, np.int32),
                np.zeros(len(bonds), np.float32),
                torch.cat(summaries).cpu().numpy(),
            )
        logits, embedding = [], []
        with torch.inference_mode():
            for part in parts:
                scores, summary = network(bonds[part], encoded[part])
                logits.append(scores)
                embedding.append(summary)
            confidence, label = torch.softmax(torch.cat(logits) / info.temperature, dim=-1).max(
                dim=-1
            )
            label = torch.where(confidence < info.unknown_below, UNKNOWN, label)
        return (
            label.to(torch.int32).cpu().numpy(),
            confidence.cpu().numpy(),
            torch.cat(embedding).cpu().numpy(),
        )
