"""Thermal displacements taken out of positions.

Every environment says by how much its bonds would have to change. A particle takes part in its own
environment and in those that it is a neighbor in, and is moved by the mean of what all of them say.
What one bond adds to the particle at its end it takes from the one at its start, so that the center
of mass stays where it is. After such a step particles see less disturbed surroundings, and the next
one can tell more.
"""

import numpy as np
import torch
from torch import Tensor

from .embedding import check_types, host_pieces
from .errors import InputError
from .files.models import Model
from .neighbors.boundaries import vacuum_box
from .neighbors.environments import PeriodicTree, bond_units, check_number
from .networks import Denoiser, encode_types
from .networks.inference import Embedder, embeds
from .systems import Array, System


def displacements(corrections: Tensor, particles: Tensor, neighbors: Tensor, total: int) -> Tensor:
    """Displacements that follow from corrections of bonds.

    A bond's correction moves the neighbor by half of it and the particle the other way, each
    averaged over the n bonds of an environment.

    Parameters
    ----------
    corrections : (m, n, 3)
        What is to be added to the bonds of m environments.
    particles : (m,) int64
        Whose environments they are.
    neighbors : (m, n) int64
        Whom the bonds end at.
    total : int
        Number N of particles.

    Returns
    -------
    (N, 3)
        The share of these environments; those of others add to it.
    """
    moved = corrections.new_zeros(total, 3)
    moved = moved.index_add(0, neighbors.flatten(), corrections.flatten(0, 1))
    moved = moved.index_add(0, particles, corrections.sum(1), alpha=-1)
    return moved / (2 * corrections.shape[1])


def corrections_by(
    network: Denoiser, bonds: Tensor, types: Tensor, units: Tensor | float
) -> Tensor:
    """Corrections (m, n, 3) of bonds, in their unit, by a network in plain torch.

    Parameters
    ----------
    network : Denoiser
        Where the tensors are.
    bonds : (m, n, 3)
        Bond vectors.
    types : (m, n, 2·max_types)
        As :func:`~hoomd_gala.networks.encode_types` encodes them.
    units : (m, 1, 1) or float
        What bonds are divided by for the network: see
        :func:`~hoomd_gala.neighbors.environments.bond_units`.
    """
    found: Tensor = network.corrections((bonds / units).float(), types) * units
    return found


def denoiser(model: Model) -> Denoiser:
    """Network of a model that says how bonds are to be corrected.

    Raises
    ------
    InputError
        If the model was trained on another task.
    """
    if not isinstance(model.network, Denoiser):
        raise InputError(
            f"the model was trained on {model.info.task}, which says nothing of displacements; "
            'use the model "denoise".'
        )
    return model.network


class Denoising:
    """Steps of denoising, with the weights that a model's network has now.

    Parameters
    ----------
    model : Model
        Of the task ``denoising``; its network is moved to the device.
    device : torch.device
        Where the network runs.

    Raises
    ------
    InputError
        As :func:`denoiser` does.
    """

    def __init__(self, model: Model, device: torch.device) -> None:
        network = denoiser(model).to(device)
        self.network, self.info, self.device = network, model.info, device
        self._on_cpu = Embedder(network, model.info.core.max_types) if embeds(network) else None

    def __call__(self, system: System, steps: int) -> Array:
        """Positions (N, 3) after some steps, not wrapped into the box.

        Parameters
        ----------
        system : System
            In the host's memory.
        steps : int
            Number of steps.

        Raises
        ------
        InputError
            If there are too few particles, or more types than the model distinguishes.
        """
        check_types(system.types, self.info.core)
        check_number(system)
        for _ in range(steps):
            system = system._replace(positions=system.positions + self._step(system))
        return system.positions

    @torch.inference_mode()
    def _step(self, system: System) -> Array:
        """Displacements (N, 3) of one step."""
        tree = PeriodicTree.build(system.positions, vacuum_box(system))
        length = self.info.length(lambda: tree.shortest_distance(torch.get_num_threads()))
        types = torch.from_numpy(np.array(system.types, np.int64))
        total = len(types)
        moved = torch.zeros(total, 3, dtype=torch.float64)
        # particles near each other come together: they have neighbors in common
        for piece in host_pieces(tree, tree.order, tree.order):
            found = self._corrections(
                piece.bonds, types[piece.particles], types[piece.neighbors], length
            )
            moved += displacements(found, piece.particles, piece.neighbors, total)
        return moved.numpy()

    def _corrections(
        self, bonds: Tensor, types: Tensor, neighbor_types: Tensor, length: float | None
    ) -> Tensor:
        """Corrections (m, n, 3) of bonds in the host's memory."""
        units = bond_units(bonds, length)
        types, neighbor_types = self.info.core.seen(types, neighbor_types)
        if self._on_cpu is not None:
            arrays = bonds.numpy(), types.numpy(), neighbor_types.numpy()
            found: Tensor = torch.from_numpy(self._on_cpu.corrections(*arrays, length)) * units
            return found
        encoded = encode_types(types, neighbor_types, self.info.core.max_types)
        inputs = (part.to(self.device) for part in (bonds, encoded, torch.as_tensor(units)))
        return corrections_by(self.network, *inputs).cpu()
