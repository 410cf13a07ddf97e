"""From particle systems to embeddings: the search for neighbors, then the network.

On the CPU, environments of all particles or of some are searched for in a tree. On a GPU, those of
all particles are, and nothing leaves its memory. Either search gives environments piece by piece,
which bounds the memory whatever the number of particles, and one loop embeds them.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .errors import InputError
from .files.models import Model
from .neighbors import device_search as cells
from .neighbors.boundaries import vacuum_box
from .neighbors.device_arrays import host_system
from .neighbors.environments import N_NEIGHBORS, PeriodicTree, check_number, scale_bonds
from .networks import Context, CoreConfig, PooledNetwork, encode_types
from .networks.inference import CHUNK as DEVICE_CHUNK
from .networks.inference import Embedder, device_embedder, embeds
from .systems import System

#: Environments in a piece on the CPU.
CHUNK = 8192


class Piece(NamedTuple):
    """Some of the environments of a system, in the memory where they were found.

    Attributes
    ----------
    rows : (m,) int64
        Rows of the embeddings that they belong to.
    particles : (m,) int64
        Indices of the particles in the system.
    bonds : (m, n, 3) float64
        Bond vectors.
    neighbors : (m, n) int
        Indices of their neighbors.
    """

    rows: Tensor
    particles: Tensor
    bonds: Tensor
    neighbors: Tensor


class Embedded(NamedTuple):
    """Embeddings of particles and of those around them, on the network's device.

    Attributes
    ----------
    everyone : (k, D) float32
        Of the m particles asked for, then of their other neighbors and, for two rings, then of the
        other neighbors of all these.
    neighbors : (p, n) int32
        Rows of ``everyone``, for its first p: those asked for and, for two rings, their neighbors.
    asked : int
        Their number m.
    """

    everyone: Tensor
    neighbors: Tensor
    asked: int

    @property
    def own(self) -> Tensor:
        """(m, D) float32: embeddings of the particles asked for."""
        return self.everyone[: self.asked]


def host_pieces(
    tree: PeriodicTree, particles: NDArray[np.int64], rows: NDArray[np.int64]
) -> Iterator[Piece]:
    """Environments of particles from a tree; ``rows`` are where their embeddings belong."""
    for start in range(0, len(particles), CHUNK):
        some = slice(start, start + CHUNK)
        found = tree.nearest(particles[some], workers=torch.get_num_threads())
        arrays = rows[some], particles[some], found.bonds, found.neighbors
        yield Piece(*map(torch.from_numpy, arrays))


def known_pieces(
    positions: NDArray[np.float64], neighbors: NDArray[np.int32], particles: NDArray[np.int64]
) -> Iterator[Piece]:
    """Environments of particles whose neighbors are known, and are where the bonds end."""
    for start in range(0, len(particles), CHUNK):
        some = particles[start : start + CHUNK]
        near = neighbors[some].astype(np.int64)
        bonds = positions[near] - positions[some][:, None]
        rows = np.arange(start, start + len(some))
        yield Piece(*map(torch.from_numpy, (rows, some, bonds, near)))


def device_pieces(positions: Tensor, box: NDArray[np.float64]) -> Iterator[Piece]:
    """Environments of all particles, found where their (N, 3) positions are."""
    for found in cells.environments(positions, box):
        for start in range(0, len(found.particles), DEVICE_CHUNK):
            some = slice(start, start + DEVICE_CHUNK)
            particles = found.particles[some]
            yield Piece(particles, particles, found.bonds[some], found.neighbors[some])


def check_types(types: NDArray[np.int64], core: CoreConfig) -> None:
    """Refuse types that a model cannot distinguish."""
    most = core.most_types
    if most is not None and not ((types >= 0) & (types < most)).all():
        raise InputError(
            f"the model distinguishes {most} types and the system has types "
            f"{int(types.min())} to {int(types.max())}; use a model that is blind to types."
        )


class SystemEmbedder:
    """Embeds particles with the weights that a model's network has now.

    Parameters
    ----------
    model : Model
        Its network is moved to the device.
    device : torch.device
        Where the network runs.
    """

    def __init__(self, model: Model, device: torch.device) -> None:
        self.device = device
        self.info = model.info
        self.network = model.network.to(device)
        max_types = self.info.core.max_types
        self._on_cpu = Embedder(self.network, max_types) if embeds(self.network) else None
        self._on_gpu = device_embedder(self.network, max_types)

    @property
    def is_compiled(self) -> bool:
        """Whether compiled kernels replace the network on the CPU."""
        return self._on_cpu is not None

    @property
    def rings(self) -> tuple[Context, ...]:
        """What of a particle's surroundings its result depends on, from the inside out."""
        return self.network.rings if isinstance(self.network, PooledNetwork) else ()

    def embed(
        self,
        system: System,
        particles: NDArray[np.int64] | None = None,
    ) -> Embedded:
        """Embeddings of particles of a system in the host's memory, and of those around them.

        Parameters
        ----------
        system : System
            All particles, each of which may be a neighbor.
        particles : (m,) int, optional
            Those asked for, in this order; all if not given. Those on which their labels depend are
            embedded as well.

        Raises
        ------
        InputError
            If there are too few particles, or more types than the model distinguishes.
        """
        return self._embed_within(system, particles, len(self.rings))

    def _embed_within(
        self, system: System, particles: NDArray[np.int64] | None, rings: int
    ) -> Embedded:
        """Embeddings of particles, and of those in some rings of neighbors around them."""
        check_types(system.types, self.info.core)
        check_number(system)
        tree = PeriodicTree.build(system.positions, vacuum_box(system))
        # of all particles, also where some are embedded
        length = self.info.length(lambda: tree.shortest_distance(torch.get_num_threads()))
        types = torch.from_numpy(np.array(system.types, np.int64))

        def embedded(chosen: NDArray[np.int64], rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
            return self._embed(host_pieces(tree, chosen, rows), types, length, len(chosen))

        if particles is None:
            # particles near each other come together: they have neighbors in common
            everyone, neighbors = embedded(tree.order, tree.order)
            return Embedded(everyone, neighbors, len(everyone))
        needed = np.array(particles, np.int64)
        near = np.empty((0, N_NEIGHBORS), np.int64)
        for _ in range(rings):
            added = needed[len(near) :]
            found = [near, *(piece.neighbors.numpy() for piece in host_pieces(tree, added, added))]
            near = np.concatenate(found)
            is_new = np.zeros(len(system.positions), bool)
            is_new[near] = True
            is_new[needed] = False
            needed = np.concatenate((needed, np.flatnonzero(is_new)))
        row_of = np.empty(len(system.positions), np.int32)
        row_of[needed] = np.arange(len(needed))
        everyone, _ = embedded(needed, np.arange(len(needed)))
        return Embedded(everyone, torch.as_tensor(row_of[near], device=self.device), len(particles))

    def embed_known(
        self,
        positions: NDArray[np.float64],
        types: NDArray[np.int64],
        neighbors: NDArray[np.int32],
        particles: NDArray[np.int64],
        length: float | None,
    ) -> NDArray[np.float32]:
        """Embeddings of particles whose neighbors are known.

        Parameters
        ----------
        positions : (N, 3)
            Of particles and of those images that are neighbors.
        types : (N,) int
            Their types.
        neighbors : (k, n) int32
            Indices of the neighbors of the first k.
        particles : (m,) int64
            Those of the k to embed.
        length : float, optional
            What bonds are divided by: see :meth:`~hoomd_gala.files.models.ModelInfo.length`.

        Returns
        -------
        (m, D) float32

        Raises
        ------
        InputError
            If there are more types than the model distinguishes.
        """
        check_types(types, self.info.core)
        pieces = known_pieces(positions, neighbors, particles)
        found, _ = self._embed(pieces, torch.from_numpy(types), length, len(particles))
        return found.cpu().numpy()

    def embed_particles(
        self, system: System, particles: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Embeddings (m, D) of some particles, and of their neighbors (m, n, D)."""
        found = self._embed_within(system, particles, rings=1)
        around = found.everyone[found.neighbors.long()]
        return found.own.cpu().numpy(), around.cpu().numpy()

    def embed_on_device(self, system: System) -> Embedded:
        """Embeddings of all particles, with everything up to them on the network's device.

        Parameters
        ----------
        system : System
            Positions and types may be tensors on that device.

        Raises
        ------
        InputError
            As :meth:`embed` does.
        """
        check_types(system.types, self.info.core)
        check_number(system)
        box = system.box if all(system.periodic) else vacuum_box(host_system(system))
        positions = torch.as_tensor(system.positions, device=self.device)
        types = torch.as_tensor(system.types, device=self.device)
        length = self.info.length(lambda: cells.shortest_distance(positions, box))
        pieces = device_pieces(positions, box)
        everyone, neighbors = self._embed(pieces, types, length, len(positions))
        return Embedded(everyone, neighbors, len(everyone))

    @torch.inference_mode()
    def _embed(
        self, pieces: Iterable[Piece], types: Tensor, length: float | None, total: int
    ) -> tuple[Tensor, Tensor]:
        """Embeddings (total, D), and neighbors (total, n), of all environments in the pieces."""
        embedding = torch.empty(total, self.info.core.width, device=self.device)
        neighbors = torch.empty(total, N_NEIGHBORS, dtype=torch.int32, device=self.device)
        for rows, particles, bonds, near in pieces:
            embedding[rows] = self._environments(bonds, types[particles], types[near], length)
            neighbors[rows] = near.to(self.device, torch.int32)
        return embedding, neighbors

    def _environments(
        self, bonds: Tensor, types: Tensor, neighbor_types: Tensor, length: float | None
    ) -> Tensor:
        """(m, D) embeddings of bonds (m, n, 3), which are divided by a length, and of types."""
        types, neighbor_types = self.info.core.seen(types, neighbor_types)
        if self._on_cpu is not None:
            found = self._on_cpu(bonds.numpy(), types.numpy(), neighbor_types.numpy(), length)
            return torch.from_numpy(found)
        scaled = scale_bonds(bonds.to(self.device), length).float()
        types, neighbor_types = types.to(self.device), neighbor_types.to(self.device)
        if self._on_gpu is not None:
            return self._on_gpu(scaled, types, neighbor_types)
        encoded = encode_types(types, neighbor_types, self.info.core.max_types)
        return self.network.embed(scaled, encoded)
