"""What is simulated: a gas that is cooled past condensation and freezing, on any engine."""

import itertools
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hoomd_gala.crystals import potentials
from hoomd_gala.errors import InputError

#: Distance that neighbor lists extend beyond the cutoff of forces.
NEIGHBOR_BUFFER = 0.4

#: Timestep and drag of the Langevin thermostat for hot crystals.
SOLID_DT = 0.008
SOLID_GAMMA = 2.0


@dataclass(frozen=True)
class Protocol:
    """A cooling run in reduced units (mass 1, length and energy of the pair potential).

    The gas is held at ``gas_kT`` for ``gas_steps``, then the thermostat drops to ``start_kT`` and
    is cooled linearly to ``end_kT`` over ``cooling_steps``, all at constant volume.

    Attributes
    ----------
    n_particles : int
        Number of particles.
    number_density : float
        Of the cubic periodic box.
    gas_kT, start_kT, end_kT : float
        Temperatures.
    gas_steps, cooling_steps : int
        Timesteps.
    dt : float
        Timestep.
    gamma : float
        Drag of the Langevin thermostat.
    period : int
        Timesteps between frames.
    seed : int
        Of initial velocities and thermostat.
    """

    n_particles: int
    number_density: float
    gas_kT: float
    gas_steps: int
    start_kT: float
    end_kT: float
    cooling_steps: int
    dt: float
    gamma: float
    period: int
    seed: int

    @classmethod
    def of(cls, state_point: Any) -> "Protocol":
        """Return the protocol in a job's state point."""
        return cls(**{field.name: state_point[field.name] for field in fields(cls)})

    @property
    def total_steps(self) -> int:
        """Timesteps of the whole run."""
        return self.gas_steps + self.cooling_steps

    @property
    def box_length(self) -> float:
        """Edge of the box."""
        return float((self.n_particles / self.number_density) ** (1 / 3))

    def kT(self, step: int) -> float:
        """Temperature of the thermostat at a timestep."""
        if step < self.gas_steps:
            return self.gas_kT
        progress = min((step - self.gas_steps) / self.cooling_steps, 1.0)
        return self.start_kT + (self.end_kT - self.start_kT) * progress

    def initial_positions(self) -> NDArray[np.float64]:
        """Sites of a simple cubic lattice that fills the box, (n_particles, 3).

        At ``gas_kT`` it melts long before the first frame.
        """
        n = int(np.ceil(self.n_particles ** (1 / 3)))
        sites = np.array(
            list(itertools.islice(itertools.product(range(n), repeat=3), self.n_particles))
        )
        return ((sites + 0.5) / n - 0.5) * self.box_length


def check_box(protocol: Protocol, potential: potentials.PairPotential) -> None:
    """InputError if the box is so small that a particle interacts with its own image."""
    least = 2 * (potential.r_cut + NEIGHBOR_BUFFER)
    if protocol.box_length < least:
        needed = int(np.ceil(least**3 * protocol.number_density))
        raise InputError(
            f"{protocol.n_particles} particles at number density {protocol.number_density:g} make "
            f"a box of {protocol.box_length:.2f}; {potential.name} needs {least:.2f}, which takes "
            f"{needed} particles."
        )


def pair_potential(state_point: Any) -> potentials.PairPotential:
    """Return the pair potential in a job's state point."""
    if state_point["potential"] == "opp":
        return potentials.opp(state_point["k"], state_point["phi"])
    return potentials.ljg(state_point["epsilon"], state_point["r0"])
