"""Inference: positions in, labels or positions without thermal displacements out."""

import functools
import os
import sys
from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from .decision import label_embeddings, surround, surround_embedded
from .denoising import Denoising
from .embedding import Embedded, SystemEmbedder
from .errors import InputError
from .files.labels import of_everyone
from .files.models import Model, load_model, pick_device
from .files.shipped import (
    AUTO,
    COMPOUNDS,
    DENOISE,
    DENOISE_STEPS,
    STRUCTURES,
    auto_model,
    said_of_auto,
)
from .neighbors.device_arrays import device_system, host_system
from .networks import Context, FrameClassifier, MultiscaleEmbedder
from .networks.kernels import use
from .results import UNKNOWN, Result, doubtful, reconsider, unlabeled
from .selection import (
    Choice,
    among_neighbors,
    bodies_once,
    choose,
    fill,
    frame_centers,
    over_bodies,
)
from .systems import Array, System, as_system, turned_back
from .systems_from import held_sample


class Analyzer:
    """Names the structure around every particle of a system.

    A model that was trained on a task without classes gives embeddings only: every particle is
    labeled unknown, with confidence 0. The one made for its embedding, which has several scales, is
    ``embedding``.

    Parameters
    ----------
    model : str, path or Model
        A shipped model's name, a model file, or a model. With ``"auto"`` the first system that is
        labeled decides: ``"compounds"`` if those of its particles that may be neighbors are of
        several types, ``"structures"`` otherwise, which is said on the standard error.
    device : str or torch.device
        Where the network runs; ``"auto"`` is the GPU where there is one.
    kernels : str, optional
        ``"reference"`` computes with plain torch, ``"fused"`` with compiled kernels or not at all,
        ``"auto"`` with these where they work; if not given, what the environment variable
        ``HOOMD_GALA_KERNELS`` says, or ``"auto"``.
    denoise_steps : int
        Steps of the shipped model ``denoise``, each of which takes as long as labeling, after which
        particles are labeled again that are neither disordered nor certain. A label without
        thermal displacements replaces an unknown one, and another one if its confidence is higher
        by more than 0.2. Structures are recognized up to melting then, and disorder stays disorder.
        Embeddings are of the positions given.

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
        kernels: str | None = None,
        denoise_steps: int = 0,
    ) -> None:
        self.device = pick_device(device)
        self.kernels = kernels
        self.denoise_steps = _check_steps(denoise_steps, "denoise_steps")
        self._loaded: tuple[Model, SystemEmbedder] | None = None
        if model != AUTO:
            self._load(model)

    def _load(self, model: str | os.PathLike[str] | Model) -> None:
        loaded = model if isinstance(model, Model) else load_model(model)
        with use(self.kernels):
            self._loaded = loaded, SystemEmbedder(loaded, self.device)

    def decide(self, types: Any) -> None:
        """Load the model that ``"auto"`` stands for, if that has not been decided, and say which.

        Parameters
        ----------
        types : (N,) int
            Types of the particles that may be neighbors.
        """
        if self._loaded is None:
            name = auto_model(types)
            print(f"hoomd-gala: {said_of_auto(name)}", file=sys.stderr)
            self._load(name)

    @property
    def is_undecided(self) -> bool:
        """Whether the model is ``"auto"`` and no system has decided yet which one that is."""
        return self._loaded is None

    @property
    def has_classes(self) -> bool:
        """Whether the model has classes; those that ``"auto"`` stands for have."""
        return self.is_undecided or bool(self.class_names)

    def _parts(self) -> tuple[Model, SystemEmbedder]:
        if self._loaded is None:
            raise InputError(
                f'the model is "{AUTO}", which the first system decides, and there has been none; '
                f'give the model by its name, "{COMPOUNDS}" or "{STRUCTURES}".'
            )
        return self._loaded

    @property
    def model(self) -> Model:
        """The model.

        Raises
        ------
        InputError
            If it is ``"auto"`` and no system has been labeled yet, as for all that depends on it.
        """
        return self._parts()[0]

    @property
    def embedder(self) -> SystemEmbedder:
        """What embeds particles with it."""
        return self._parts()[1]

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes that labels index."""
        return self.model.info.class_names

    def analyze(
        self,
        positions: Any,
        box: Any = None,
        types: ArrayLike | None = None,
        particles: Any = None,
        neighbors: Any = None,
        periodic: Any = None,
    ) -> Result:
        """Label the particles of a system.

        Parameters
        ----------
        positions : (N, 3) array, or a system
            Positions in any unit of length (but in that of its training data for a model whose
            ``info.length_convention`` is ``"absolute"``), in the host's memory or, with
            ``__cuda_array_interface__``, on a GPU, where they then stay; or, alone, what
            :func:`~hoomd_gala.systems.as_system` takes: (box, points) as in freud, a GSD frame, a
            HOOMD snapshot, an OVITO ``DataCollection``, ASE ``Atoms``.
        box
            ``[Lx, Ly, Lz, xy, xz, yz]`` as HOOMD and GSD have it, or anything else that
            :func:`~hoomd_gala.systems.as_box` takes; positions and box may change places.
        types : (N,) int, optional
            Type of each particle, in place of those of a frame; ignored by models that are blind
            to types.
        particles : optional
            Particles to label; all if not given, or all of ``neighbors`` where these are. Integers
            are indices, (N,) booleans a mask, and strings, one or several, names of types, which
            GSD frames, HOOMD snapshots, OVITO data and ASE atoms have. The result is of these
            particles, in the order of the indices, and so are its fractions.
        neighbors : optional
            Particles that may be neighbors, in the same forms; all if not given. The environment
            of a particle is then made of them alone, as if there were no others, so that they have
            to include all of ``particles``. If not given, and a GSD frame or HOOMD snapshot has
            rigid bodies, all but their constituents; without ``particles``, constituents then have
            the label of their body, and fractions are of the others.
        periodic : bool or three of bool, optional
            Whether the system goes on along each lattice vector, in place of what the system says;
            see :func:`~hoomd_gala.systems.as_system`. Images are neighbors like other particles,
            and along open directions there are none. With ``periodic=False``, no box is needed.

        Raises
        ------
        InputError
            For positions that are not finite, fewer than 21 particles in a system that is open in
            all directions, a two-dimensional box, more types than the model distinguishes, or
            particles and neighbors that the system does not have.

        Notes
        -----
        In a perfect lattice, several particles are equally far away, and rounding decides which of
        them are among the 20 nearest: no choice is the same for all orientations and all orders of
        particles. Within a crystal it does not matter. At the surfaces of a perfect cluster, labels
        depend on its orientation (of 2 % of the particles of an octahedron of 405, fcc, and 8 % of
        a cube of 686, bcc), where any displacement, of 1e-6 of a distance, makes them unique.
        """
        if hasattr(positions, "__cuda_array_interface__"):
            system = device_system(positions, box, types, periodic)
        else:
            system = as_system(positions if box is None else (box, positions), types, periodic)
        centers = frame_centers(positions) if neighbors is None else None
        bodies = bodies_once(centers)
        around = neighbors if bodies is None else bodies
        if particles is None and around is None:
            return self.analyze_system(system)
        system = host_system(system)
        choice = choose(system, particles, around)
        result = self.analyze_system(*among_neighbors(system, choice))
        if particles is not None or bodies is None or centers is None:
            return result
        return of_everyone(result, bodies, centers)

    def denoise(
        self,
        positions: Any,
        box: Any = None,
        types: ArrayLike | None = None,
        steps: int = DENOISE_STEPS,
        periodic: Any = None,
    ) -> Array:
        """Take thermal displacements out of positions.

        Each step moves every particle by what all environments that it takes part in say. What is
        crystalline gets close to its lattice, strained as it is; vacancies, stacking faults, grain
        boundaries, surfaces and disorder stay. Needs a model of the task ``denoising``; the shipped
        one is ``denoise``.

        Parameters
        ----------
        positions, box, types, periodic
            As :meth:`analyze` takes them.
        steps : int
            Number of steps, none or more.

        Returns
        -------
        (N, 3) float64
            Positions in the order, orientation and unit in which they were given, not wrapped: each
            differs by the displacement alone from what it was. The center of mass stays where it
            is. Rigid bodies of a GSD frame or HOOMD snapshot move with their centers, whose
            neighbors are other centers and free particles.

        Raises
        ------
        InputError
            As :meth:`analyze` does, and for a model of another task.

        Examples
        --------
        >>> analyzer = hoomd_gala.Analyzer("denoise")
        >>> quiet = analyzer.denoise(positions, box)
        """
        _check_steps(steps, "steps")
        thing = positions if box is None else (box, positions)
        if hasattr(positions, "__cuda_array_interface__"):
            system = host_system(device_system(positions, box, types, periodic))
        else:
            system = as_system(thing, types, periodic)
        moved = self.denoise_system(system, steps, frame_centers(positions))
        held = held_sample(thing)
        if held is None:
            return np.asarray(system.positions + moved)
        return held.positions + turned_back(moved, held)

    def denoise_system(
        self, system: System, steps: int = DENOISE_STEPS, centers: NDArray[np.int64] | None = None
    ) -> Array:
        """Displacements (N, 3) of the particles of a :class:`~hoomd_gala.systems.System`.

        Parameters
        ----------
        system : System
            In the host's memory.
        steps : int
            Number of steps, none or more.
        centers : (N,) int, optional
            Center of each particle's rigid body, as ``hoomd_gala.selection.rigid_centers`` has
            them.
        """
        chosen = bodies_once(centers)
        some, _ = among_neighbors(system, Choice(None, chosen))
        with use(self.kernels):
            moved = self._denoising(some, steps) - some.positions
        return over_bodies(fill(moved, chosen, len(system.positions), 0), chosen, centers)

    @functools.cached_property
    def _denoising(self) -> Denoising:
        return Denoising(self.model, self.device)

    @functools.cached_property
    def _denoising_again(self) -> Denoising:
        return Denoising(load_model(DENOISE), self.device)

    def analyze_system(
        self,
        system: System,
        particles: NDArray[np.int64] | None = None,
    ) -> Result:
        """Label the particles of a :class:`~hoomd_gala.systems.System`.

        Parameters
        ----------
        system : System
            All particles, each of which may be a neighbor; positions and types may be tensors on a
            GPU.
        particles : (m,) int, optional
            Indices of those to label, in the order of the result; all if not given.
        """
        self.decide(system.types)
        with use(self.kernels):
            result = self._label_system(system, particles)
            if not self.denoise_steps or not self.class_names:
                return result
            again = doubtful(result)
            if not len(again):
                return result
            noisy = host_system(system)
            quiet = noisy._replace(positions=self._denoising_again(noisy, self.denoise_steps))
            chosen = again if particles is None else particles[again]
            return reconsider(result, again, self._label_system(quiet, chosen))

    def _label_system(self, system: System, particles: NDArray[np.int64] | None) -> Result:
        """Labels of some particles, or of all, at the positions that they have."""
        if particles is None and self.device.type == "cuda":
            return self.label(self.embedder.embed_on_device(system))
        return self.label(self.embedder.embed(host_system(system), particles))

    def unknown(self, n: int) -> Result:
        """Return a result for n particles about which nothing is known."""
        return unlabeled(n, self.model.info.embedding_size, self.class_names)

    def label(self, embedded: Embedded) -> Result:
        """Labels of particles that have been embedded."""
        embedder = self.embedder
        rings = surround_embedded(embedder.rings, embedded, embedder.is_compiled)
        return self._label(embedded.own, rings)

    def _label(self, own: Tensor, rings: Sequence[Tensor]) -> Result:
        """Labels of (m, D) embeddings and the rings around them."""
        network = self.model.network
        if self.class_names:
            assert isinstance(network, FrameClassifier)
            label, confidence = label_embeddings(network, self.model.info, own, rings)
        else:
            label = torch.full((len(own),), UNKNOWN, dtype=torch.int32)
            confidence = torch.zeros(len(own))
        if isinstance(network, MultiscaleEmbedder):
            with torch.inference_mode():
                own = network.combine(own, *rings)
        labels, confidences, embedding = _on_host(label, confidence, own)
        return Result(labels, confidences, embedding, self.class_names)

    def surround_known(
        self,
        context: Context,
        everyone: NDArray[np.float32],
        neighbors: NDArray[np.int32],
        particles: NDArray[np.int64],
    ) -> NDArray[np.float32]:
        """Hidden units of a ring around particles whose neighbors are known.

        Parameters
        ----------
        context : Context
            One of the network's rings.
        everyone : (N, width)
            Embeddings or, for the second ring, the first ring, where they are needed.
        neighbors : (k, n) int32
            Rows of the neighbors of the first k.
        particles : (m,) int64
            Those of the k around which the ring is.

        Returns
        -------
        (m, size) float32
        """
        own, all_values, near = (
            torch.as_tensor(array, device=self.device)
            for array in (everyone[particles], everyone, neighbors[particles])
        )
        with use(self.kernels):
            around = surround(context, own, all_values, near, self.embedder.is_compiled)
        return around.cpu().numpy()

    def label_known(self, own: NDArray[np.float32], *rings: NDArray[np.float32]) -> Result:
        """Labels of (m, D) embeddings and the rings around them, (m, size) each."""
        embedding, *around = (torch.as_tensor(x, device=self.device) for x in (own, *rings))
        return self._label(embedding, around)

    def embed_system(self, system: System) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """Embeddings of all particles, and the indices of their neighbors.

        Returns
        -------
        (N, D) float32, (N, n) int32
        """
        self.decide(system.types)
        with use(self.kernels):
            found = self.embedder.embed(system)
        return found.everyone.cpu().numpy(), found.neighbors.cpu().numpy()

    def embed_known(
        self,
        positions: NDArray[np.float64],
        types: NDArray[np.int64],
        neighbors: NDArray[np.int32],
        particles: NDArray[np.int64],
        length: float | None,
    ) -> NDArray[np.float32]:
        """Embeddings of particles whose neighbors are known.

        See ``hoomd_gala.embedding.SystemEmbedder.embed_known``.
        """
        with use(self.kernels):
            return self.embedder.embed_known(positions, types, neighbors, particles, length)

    def embed_particles(
        self, system: System, particles: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Embeddings of some particles, and of their neighbors.

        Returns
        -------
        (m, D) float32, (m, n, D) float32
        """
        self.decide(system.types)
        with use(self.kernels):
            return self.embedder.embed_particles(system, particles)


def _check_steps(steps: object, name: str) -> int:
    """Check a number of steps of denoising."""
    if not isinstance(steps, Integral) or steps < 0:
        raise InputError(f"{name} is {steps!r}; give the number of steps, 0 or more.")
    return int(steps)


def _on_host(*tensors: Tensor) -> list[NDArray[Any]]:
    """Arrays in the host's memory."""
    # its pages are touched first, while a GPU is still busy
    host = [torch.zeros(part.shape, dtype=part.dtype) if part.is_cuda else part for part in tensors]
    for to, part in zip(host, tensors, strict=True):
        if part.is_cuda:
            to.copy_(part)
    return [part.numpy() for part in host]
