"""Temperature, energy and density along a cooling run."""

from pathlib import Path

import numpy as np

from hoomd_gala.files.trajectories import open_trajectory
from hoomd_gala.neighbors.environments import N_NEIGHBORS, PeriodicTree
from hoomd_gala.systems import System, as_system
from study.simulation.protocol import Protocol
from study.solids.order import condensed


def median_density(system: System) -> float:
    """Median over particles of the number density within the distance of the 20th neighbor."""
    bonds = PeriodicTree.build(system.positions, system.box).nearest().bonds
    reach = np.linalg.norm(bonds[:, -1], axis=-1)
    return float(np.median((N_NEIGHBORS + 1) / (4 / 3 * np.pi * reach**3)))


def course(trajectory: Path, protocol: Protocol) -> list[dict[str, float]]:
    """Timestep, temperature, energy and density, frame by frame."""
    rows = []
    with open_trajectory(trajectory) as frames:
        for frame in frames:
            step = int(frame.configuration.step)
            energy = float(frame.log["md/compute/ThermodynamicQuantities/potential_energy"][0])
            system = as_system(frame)
            rows.append(
                {
                    "timestep": step,
                    "kT": protocol.kT(step),
                    "energy": energy / frame.particles.N,
                    "density": median_density(system),
                    "condensed": float(condensed(system).mean()),
                }
            )
    return rows
