"""Inference: positions in, labels out."""

import os
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from .errors import InputError
from .files.models import Model, ModelInfo, load_model, pick_device
from .neighbors import device_search as cells
from .neighbors.device_arrays import device_system, host_system
from .neighbors.environments import N_NEIGHBORS, PeriodicTree, scale_bonds
from .networks import FrameClassifier, encode_types
from .networks.inference import CHUNK as DEVICE_CHUNK
from .networks.inference import (
    Embedder,
    device_embedder,
    device_surroundings,
    embeds,
    surroundings,
)
from .results import UNKNOWN, Result
from .systems import System, as_system

Embeddings = NDArray[np.float32]

#: Environments found at a time; bounds the memory whatever the number of particles.
CHUNK = 8192


class Analyzer:
    """Names the structure around every particle of a system.

    A model that was trained on a task without classes gives embeddings only: every particle is
    unknown to it, with confidence 0.

    Parameters
    ----------
    model : str, path or Model
        A shipped model's name, a model file, or a model.
    device : str or torch.device
        Where the network runs; ``"auto"`` is the GPU where there is one.

    Examples
    --------
    >>> analyzer = hoomd_gala.Analyzer("structures")
    >>> result = analyzer.analyze(positions, box)
    >>> result.fractions["cI2-W"]
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | Model = "structures",
        device: str | torch.device = "auto",
    ) -> None:
        self.device = pick_device(device)
        self.model = model if isinstance(model, Model) else load_model(model)
        network = self.model.network.to(self.device)
        self._has_warned = False
        self._embedder: Embedder | None = None
        if embeds(network):
            self._embedder = Embedder(network, self.model.info.core.max_types)
        self._device_embedder = device_embedder(network, self.model.info.core.max_types)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes that labels index."""
        return self.model.info.class_names

    def analyze(self, positions: Any, box: Any = None, types: ArrayLike | None = None) -> Result:
        """Label all particles of a system.

        Parameters
        ----------
        positions : (N, 3) array, or a system
            Positions in any unit of length (but in that of its training data for a model whose
            ``info.length_convention`` is ``"absolute"``), in the memory of the host or, with
            ``__cuda_array_interface__``, of a GPU, which they then do not leave; or, alone, what
            :func:`~hoomd_gala.systems.as_system` takes: (box, points) as in freud, a GSD frame, a
            HOOMD snapshot, an OVITO ``DataCollection``, ASE ``Atoms``.
        box
            ``[Lx, Ly, Lz, xy, xz, yz]`` as HOOMD and GSD have it, or anything else that
            :func:`~hoomd_gala.systems.as_box` takes; positions and box may change places.
        types : (N,) int, optional
            Type of each particle, in place of what a frame says; ignored by models that are blind
            to types.

        Raises
        ------
        InputError
            For positions that are not finite, fewer than 21 particles, a two-dimensional box, a
            box too thin for 20 neighbors, or more types than the model tells apart.
        """
        if hasattr(positions, "__cuda_array_interface__"):
            return self.analyze_system(device_system(positions, box, types))
        system = positions if box is None else (positions, box)
        return self.analyze_system(as_system(system, types))

    def analyze_system(
        self,
        system: System,
        particles: NDArray[np.int64] | None = None,
        exchange: Callable[[Embeddings], Embeddings] | None = None,
    ) -> Result:
        """Label the particles of a :class:`~hoomd_gala.systems.System`.

        Parameters
        ----------
        system : System
            All particles, each of which may be a neighbor; positions and types may be tensors on a
            GPU.
        particles : (m,) int, optional
            Indices of those to label, and the order that they have in the result; all if not given.
        exchange : callable, optional
            Takes the embeddings of ``particles``, (m, D), and gives those of all particles, (N, D),
            where others have the rest. If not given, neighbors among the rest are embedded as well.
        """
        if particles is None and self.device.type == "cuda":
            return self._analyze_on_device(system)
        system = host_system(system)
        if particles is None:
            embedding, neighbors = self.embed_system(system)
            everybody = embedding
        else:
            everybody, places = self._embed_with_neighbors(system, particles, exchange)
            embedding, neighbors = everybody[places[:, 0]], places[:, 1:]
        label = np.full(len(embedding), UNKNOWN, np.int32)
        confidence = np.zeros(len(embedding), np.float32)
        if self.class_names:
            around = self._surroundings(embedding, everybody, neighbors)
            for start in range(0, len(embedding), CHUNK):
                rows = slice(start, start + CHUNK)
                label[rows], confidence[rows] = self._name(embedding[rows], around(rows))
        return Result(label, confidence, embedding, self.class_names)

    def analyze_running(
        self,
        system: System,
        particles: NDArray[np.int64] | None = None,
        exchange: Callable[[Embeddings], Embeddings] | None = None,
    ) -> Result:
        """As :meth:`analyze_system`, in a simulation that shall go on whatever becomes of it.

        Where there are too few particles for an environment, or what :meth:`analyze` refuses for
        another reason, all are unknown; the first time that this happens there is a warning.
        """
        total = len(system.positions)
        why = f"there are {total} particles; environments need at least {N_NEIGHBORS + 1}."
        if total > N_NEIGHBORS:
            try:
                return self.analyze_system(system, particles, exchange)
            except InputError as error:
                if exchange is not None:  # other ranks wait for this one
                    raise
                why = str(error)
        if not self._has_warned:
            self._has_warned = True
            warnings.warn(f"{why} All are labelled unknown as long as it is so.", stacklevel=2)
        return self.unknown(total if particles is None else len(particles))

    def unknown(self, n: int) -> Result:
        """What is said of n particles that nothing is known about."""
        embedding = np.zeros((n, self.model.info.core.width), np.float32)
        label, confidence = np.full(n, UNKNOWN, np.int32), np.zeros(n, np.float32)
        return Result(label, confidence, embedding, self.class_names)

    def _analyze_on_device(self, system: System) -> Result:
        """Labels, with everything up to them on the device that the network is on."""
        self._check_types(system)
        info, network = self.model.info, self.model.network
        positions = torch.as_tensor(system.positions, device=self.device)
        kinds = torch.as_tensor(system.types, device=self.device)
        total = len(positions)
        embedding = torch.empty(total, info.core.width, device=self.device)
        neighbors = torch.empty(total, N_NEIGHBORS, dtype=torch.int32, device=self.device)
        label = torch.full((total,), UNKNOWN, dtype=torch.int32, device=self.device)
        confidence = torch.zeros(total, device=self.device)
        with torch.inference_mode():
            length = info.length(lambda: cells.shortest_distance(positions, system.box))
            for found in cells.environments(positions, system.box):
                neighbors[found.particles] = found.neighbors.int()
                parts = (part.split(DEVICE_CHUNK) for part in found)
                for rows, bonds, near in zip(*parts, strict=True):
                    scaled = cells.scale_bonds(bonds, length).float()
                    embedding[rows] = self._embed_on_device(scaled, kinds[rows], kinds[near])
            if self.class_names:
                assert isinstance(network, FrameClassifier)
                units = embedding
                if network.context is not None:
                    around = device_surroundings(network.context, embedding, neighbors)
                    units = torch.cat((embedding, around), dim=-1)
                for start in range(0, total, DEVICE_CHUNK):
                    some = slice(start, start + DEVICE_CHUNK)
                    label[some], confidence[some] = self._decide(units[some])
        results = label, confidence, embedding
        # the pages of the host's memory are made while the GPU is still busy
        host = [torch.zeros(part.shape, dtype=part.dtype) for part in results]
        for to, part in zip(host, results, strict=True):
            to.copy_(part)
        labels, confidences, embeddings = (part.numpy() for part in host)
        return Result(labels, confidences, embeddings, self.class_names)

    def _embed_on_device(
        self, bonds: torch.Tensor, types: torch.Tensor, neighbor_types: torch.Tensor
    ) -> torch.Tensor:
        """Embeddings of scaled bonds (m, n, 3) on the device, types (m,) and (m, n)."""
        if self._device_embedder is not None:
            return self._device_embedder(bonds, types, neighbor_types)
        encoded = encode_types(types, neighbor_types, self.model.info.core.max_types)
        embedding: torch.Tensor = self.model.network.embed(bonds, encoded)
        return embedding

    def embed_system(self, system: System) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """Embeddings of all particles, and who their neighbors are.

        Returns
        -------
        (N, D) float32, (N, n) int32
        """
        self._check_types(system)
        info, kinds = self.model.info, system.types
        tree = PeriodicTree.build(system.positions, system.box)
        length = self._length(tree)
        total = len(system.positions)
        embedding = np.empty((total, info.core.width), np.float32)
        neighbors = np.empty((total, N_NEIGHBORS), np.int32)
        # particles near to each other together: they have neighbors in common
        for rows in np.split(tree.order, range(CHUNK, total, CHUNK)):
            found = tree.nearest(rows, workers=torch.get_num_threads())
            embedding[rows] = self._embed(found.bonds, kinds[rows], kinds[found.neighbors], length)
            neighbors[rows] = found.neighbors
        return embedding, neighbors

    def embed_particles(
        self, system: System, particles: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Embeddings of some particles, and of their neighbors.

        Returns
        -------
        (m, D) float32, (m, n, D) float32
        """
        embedding, places = self._embed_with_neighbors(system, particles)
        both = embedding[places]
        return both[:, 0], both[:, 1:]

    def _embed_with_neighbors(
        self,
        system: System,
        particles: NDArray[np.int64],
        exchange: Callable[[Embeddings], Embeddings] | None = None,
    ) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """Embeddings of m particles and of all their neighbors, k in all, and which is whose.

        Returns
        -------
        (k, D) float32, (m, 1 + n) int32
            The second are rows of the first: the particle itself, then its neighbors.
        """
        self._check_types(system)
        kinds, workers = system.types, torch.get_num_threads()
        tree = PeriodicTree.build(system.positions, system.box)
        length = self._length(tree)
        wanted = np.empty((len(particles), 1 + N_NEIGHBORS), np.int64)
        wanted[:, 0] = particles
        own = np.empty((len(particles), self.model.info.core.width), np.float32)
        for start in range(0, len(particles), CHUNK):
            rows = slice(start, start + CHUNK)
            found = tree.nearest(particles[rows], workers=workers)
            wanted[rows, 1:] = found.neighbors
            if exchange is not None:
                chosen = particles[rows]
                own[rows] = self._embed(found.bonds, kinds[chosen], kinds[found.neighbors], length)
        if exchange is not None:
            return exchange(own), wanted.astype(np.int32)
        ids, places = np.unique(wanted, return_inverse=True)
        embedding = np.empty((len(ids), self.model.info.core.width), np.float32)
        for start in range(0, len(ids), CHUNK):
            rows = slice(start, start + CHUNK)
            chosen = ids[rows]
            found = tree.nearest(chosen, workers=workers)
            around = kinds[found.neighbors]
            embedding[rows] = self._embed(found.bonds, kinds[chosen], around, length)
        return embedding, places.reshape(wanted.shape).astype(np.int32)

    def _check_types(self, system: System) -> None:
        max_types, kinds = self.model.info.core.max_types, system.types
        if max_types > 1 and not ((kinds >= 0) & (kinds < max_types)).all():
            raise InputError(
                f"the model tells {max_types} types apart and the system has types "
                f"{int(kinds.min())} to {int(kinds.max())}; use a model that is blind to types."
            )

    def _length(self, tree: PeriodicTree) -> float | None:
        """Length that bonds of a system are divided by; None for each environment's own mean.

        Of all particles, also where only some are labelled, so that it is the same on all ranks.
        """
        return self.model.info.length(lambda: tree.shortest_distance(torch.get_num_threads()))

    def _embed(
        self,
        bonds: NDArray[np.float64],
        types: NDArray[np.int64],
        neighbor_types: NDArray[np.int64],
        length: float | None,
    ) -> NDArray[np.float32]:
        """Embeddings of environments, whose bonds are divided by a length (see :meth:`_length`)."""
        network, info = self.model.network, self.model.info
        if self._embedder is not None:
            return self._embedder(bonds, types, neighbor_types, length)
        scaled = torch.as_tensor(scale_bonds(bonds, length), dtype=torch.float32)
        encoded = encode_types(
            torch.as_tensor(types), torch.as_tensor(neighbor_types), info.core.max_types
        )
        with torch.inference_mode():
            embedding = network.embed(scaled.to(self.device), encoded.to(self.device))
        return embedding.cpu().numpy()

    def _surroundings(
        self,
        embedding: NDArray[np.float32],
        everybody: NDArray[np.float32],
        neighbors: NDArray[np.int32],
    ) -> Callable[[slice], torch.Tensor | None]:
        """What the context makes of some particles' neighbors, if the model has one.

        Parameters
        ----------
        embedding : (m, D)
            Of the particles to be labelled.
        everybody : (k, D)
            Of these and their neighbors.
        neighbors : (m, n)
            Rows of ``everybody``.
        """
        network = self.model.network
        assert isinstance(network, FrameClassifier)
        context = network.context
        if context is None:
            return lambda rows: None
        with torch.inference_mode():
            everyone = torch.as_tensor(everybody, device=self.device)
            if self._embedder is None:
                own = torch.as_tensor(embedding, device=self.device)
                indices = torch.as_tensor(neighbors, device=self.device)
                return lambda rows: context(own[rows], everyone[indices[rows].long()])
            other = context.other(everyone).numpy()
        return lambda rows: torch.as_tensor(
            surroundings(context, embedding[rows], other, neighbors[rows])
        )

    def _name(
        self, embedding: NDArray[np.float32], around: torch.Tensor | None
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Labels and confidences of embeddings, given what surrounds them."""
        with torch.inference_mode():
            units = torch.as_tensor(embedding, device=self.device)
            if around is not None:
                units = torch.cat((units, around), dim=-1)
            label, confidence = self._decide(units)
        return label.to(torch.int32).cpu().numpy(), confidence.cpu().numpy()

    def _decide(self, units: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Labels and confidences from embeddings and, if the model has a context, what surrounds
        them, side by side."""
        network = self.model.network
        assert isinstance(network, FrameClassifier)
        hidden = network.classify[:-1](units)
        familiarity = None if network.familiarity is None else network.familiarity(hidden)
        return decide(network.classify[-1](hidden), self.model.info, familiarity)


def decide(
    logits: torch.Tensor, info: ModelInfo, familiarity: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Labels and confidences from a model's logits.

    Parameters
    ----------
    logits : (B, n_classes) or (B, n_classes + 1)
        One more than there are classes if the model knows the unknown.
    info : ModelInfo
        Gives the temperature, the confidence that a label takes, and the classes that are not
        named, which count as unknown.
    familiarity : (B,), optional
        What probabilities of classes are multiplied by; the unknown has the rest.

    Returns
    -------
    (B,) int64, (B,)
        Index of the most likely class, -1 where none is likely enough, and its probability.
    """
    known = torch.softmax(logits / info.temperature, dim=-1)[:, : len(info.class_names)]
    if familiarity is not None:
        known = known * familiarity.unsqueeze(-1)
    if info.withheld:
        named = [name not in info.withheld for name in info.class_names]
        known = known * torch.tensor(named, device=known.device)
    confidence, label = known.max(dim=-1)
    unknown = confidence < info.unknown_below
    if info.knows_unknown:
        unknown |= 1 - known.sum(dim=-1) > confidence
    return torch.where(unknown, UNKNOWN, label), confidence
