"""Molecular dynamics on OpenMM with any forces: crystals that are heated, liquids, glasses."""

from collections.abc import Sequence

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import unit

from hoomd_gala.systems import Array, System
from study.simulation.forces import Interaction
from study.simulation.openmm_units import GAS_CONSTANT, advance, pick_platform, reduced_vectors


class Dynamics:
    """Particles of mass 1 that move at constant volume.

    Parameters
    ----------
    system : System
        Where they start; types are those of the interaction.
    interaction : Interaction
        How they interact.
    dt : float
        Timestep, in the units of the interaction.
    seed : int
        Of the thermostat.
    fixed : (N,) bool, optional
        Particles that do not move.
    more : sequence of openmm.Force
        Other forces, such as bonds.
    """

    def __init__(
        self,
        system: System,
        interaction: Interaction,
        dt: float,
        seed: int,
        fixed: NDArray[np.bool_] | None = None,
        more: Sequence[openmm.Force] = (),
    ) -> None:
        self.system = system
        engine = openmm.System()
        for i in range(len(system.positions)):
            engine.addParticle(0.0 if fixed is not None and fixed[i] else 1.0)
        engine.setDefaultPeriodicBoxVectors(*reduced_vectors(system.box))
        for force in (*interaction.forces(system.types), *more):
            engine.addForce(force)
        # the relaxation time of the thermostat is 50 timesteps
        self._integrator = openmm.LangevinMiddleIntegrator(0, 0.02 / dt, dt)
        self._integrator.setRandomNumberSeed(seed)
        platform, properties = pick_platform(threads=1)
        self._context = openmm.Context(engine, self._integrator, platform, properties)
        self._context.setPositions(system.positions)

    def energy(self) -> float:
        """Potential energy, in the units of the interaction."""
        state = self._context.getState(getEnergy=True)
        return float(state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole))

    def _now(self) -> System:
        state = self._context.getState(getPositions=True)
        positions: Array = state.getPositions(asNumpy=True).value_in_unit(unit.nanometer)
        return self.system._replace(positions=np.asarray(positions, np.float64))

    def minimize(self, iterations: int = 0) -> System:
        """Go to the nearest minimum of the energy, or take a number of iterations toward it."""
        openmm.LocalEnergyMinimizer.minimize(self._context, 1e-2, iterations)
        return self._now()

    def run(self, kT: float, steps: int) -> System:
        """Move for a number of timesteps at a temperature, in units of energy."""
        self._integrator.setTemperature(kT / GAS_CONSTANT)
        advance(self._integrator, steps)
        return self._now()
