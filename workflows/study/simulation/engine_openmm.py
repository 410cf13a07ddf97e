"""Cooling runs and hot crystals on OpenMM, in the units of :mod:`study.simulation.openmm_units`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gsd.hoomd
import numpy as np
import openmm
from openmm import app, unit
from tqdm.auto import tqdm

from hoomd_gala.crystals.potentials import PairPotential, Springs
from hoomd_gala.files.atomic import replacing
from hoomd_gala.files.trajectories import append_frame, read_frame
from hoomd_gala.integrations.openmm import ClassifierReporter, make_openmm_frame
from hoomd_gala.systems import Array, System
from study.simulation import restarts
from study.simulation.openmm_units import GAS_CONSTANT, advance, pick_platform, reduced_vectors
from study.simulation.protocol import SOLID_DT, SOLID_GAMMA, Protocol

#: Timesteps between changes of the thermostat's temperature.
THERMOSTAT_PERIOD = 100


#: Particles for which a second thread is not worth it. OpenMM's threads take the parts of custom
#: forces as they come, so that sums, and soon the positions, differ from run to run; with one
#: thread two runs are the same.
_FEW = 4000


class _FrameReporter:
    """Appends frames without labels."""

    def __init__(self, path: Path, period: int) -> None:
        self.path = path
        self.period = period

    def describeNextReport(self, simulation: app.Simulation) -> dict[str, Any]:
        steps = self.period - simulation.currentStep % self.period
        return {"steps": steps, "periodic": False, "include": ["positions", "energy"]}

    def report(self, simulation: app.Simulation, state: openmm.State) -> None:
        append_frame(self.path, make_openmm_frame(simulation, state))


def pair_force(potential: PairPotential, n_particles: int) -> openmm.CustomNonbondedForce:
    """Return the potential as an OpenMM force."""
    force = openmm.CustomNonbondedForce(potential.expression.replace("**", "^"))
    force.setNonbondedMethod(openmm.CustomNonbondedForce.CutoffPeriodic)
    force.setCutoffDistance(potential.r_cut)
    for _ in range(n_particles):
        force.addParticle([])
    return force


def _topology(protocol: Protocol) -> app.Topology:
    topology = app.Topology()
    chain = topology.addChain()
    for _ in range(protocol.n_particles):
        topology.addAtom("A", None, topology.addResidue("A", chain))
    topology.setUnitCellDimensions((protocol.box_length,) * 3 * unit.nanometer)
    return topology


def run(
    protocol: Protocol,
    potential: PairPotential,
    folder: Path,
    model: Path | None,
    threads: int,
    bar: tqdm,
) -> dict[str, str]:
    """Run a simulation to its end; see :func:`study.simulation.engines.pick`."""
    system = openmm.System()
    for _ in range(protocol.n_particles):
        system.addParticle(1.0)
    system.addForce(pair_force(potential, protocol.n_particles))
    edge = protocol.box_length
    system.setDefaultPeriodicBoxVectors([edge, 0, 0], [0, edge, 0], [0, 0, edge])
    integrator = openmm.LangevinMiddleIntegrator(
        protocol.gas_kT / GAS_CONSTANT, protocol.gamma, protocol.dt
    )
    platform, properties = pick_platform(threads if protocol.n_particles > _FEW else 1)
    frame = restarts.resume(folder, protocol.n_particles)
    integrator.setRandomNumberSeed(protocol.seed)
    simulation = app.Simulation(_topology(protocol), system, integrator, platform, properties)
    if frame is None:
        simulation.context.setPositions(protocol.initial_positions() + edge / 2)
        simulation.context.setVelocitiesToTemperature(protocol.gas_kT / GAS_CONSTANT, protocol.seed)
    else:
        _continue_from(frame, simulation, protocol)
    trajectory = restarts.trajectory_path(folder)
    simulation.reporters.append(
        _FrameReporter(trajectory, protocol.period)
        if model is None
        else ClassifierReporter(trajectory, protocol.period, model)
    )

    bar.update(simulation.currentStep)
    restart_period = protocol.period * restarts.FRAMES_PER_RESTART
    while simulation.currentStep < protocol.total_steps:
        integrator.setTemperature(protocol.kT(simulation.currentStep) / GAS_CONSTANT)
        simulation.step(min(THERMOSTAT_PERIOD, protocol.total_steps - simulation.currentStep))
        bar.update(simulation.currentStep - bar.n)
        if simulation.currentStep % restart_period == 0:
            _write_restart(simulation, restarts.restart_path(folder))
            # in single precision, as a run that is interrupted from here on will begin
            _continue_from(read_frame(restarts.restart_path(folder)), simulation, protocol)
    _write_restart(simulation, restarts.restart_path(folder))
    version, device = openmm.Platform.getOpenMMVersion(), platform.getName()
    return {"engine": "OpenMM", "version": version, "device": device}


def _continue_from(frame: gsd.hoomd.Frame, simulation: app.Simulation, protocol: Protocol) -> None:
    """Put a simulation into the state of a frame."""
    step = int(frame.configuration.step)
    # a thermostat that continues must not repeat its random numbers
    simulation.integrator.setRandomNumberSeed(protocol.seed + step)
    simulation.context.reinitialize()
    # GSD's box is centered on the origin, OpenMM's starts there
    positions = np.asarray(frame.particles.position, float) + protocol.box_length / 2
    simulation.context.setPositions(positions)
    simulation.context.setVelocities(np.asarray(frame.particles.velocity, float))
    simulation.currentStep = step


def _write_restart(simulation: app.Simulation, path: Path) -> None:
    state = simulation.context.getState(getPositions=True, getVelocities=True, getEnergy=True)
    frame = make_openmm_frame(simulation, state)
    velocities = state.getVelocities(asNumpy=True).value_in_unit(unit.nanometer / unit.picosecond)
    frame.particles.velocity = velocities
    with replacing(path) as part, gsd.hoomd.open(part, "w") as file:
        file.append(frame)


def solid(
    crystal: System, interaction: Springs | PairPotential, seed: int
) -> Callable[[float, int], Array]:
    """Set up a crystal to be heated: see :func:`study.simulation.engines.pick`."""
    system = openmm.System()
    for _ in crystal.positions:
        system.addParticle(1.0)
    if isinstance(interaction, PairPotential):
        system.addForce(pair_force(interaction, len(crystal.positions)))
    else:
        force = openmm.HarmonicBondForce()
        force.setUsesPeriodicBoundaryConditions(True)
        for (i, j), length in zip(interaction.pairs.tolist(), interaction.lengths, strict=True):
            force.addBond(i, j, length, interaction.stiffness)
        system.addForce(force)
    system.setDefaultPeriodicBoxVectors(*reduced_vectors(crystal.box))
    integrator = openmm.LangevinMiddleIntegrator(0, SOLID_GAMMA, SOLID_DT)
    integrator.setRandomNumberSeed(seed)
    platform, properties = pick_platform(threads=1)
    context = openmm.Context(system, integrator, platform, properties)
    context.setPositions(crystal.positions)

    def equilibrate(kT: float, steps: int) -> Array:
        integrator.setTemperature(kT / GAS_CONSTANT)
        advance(integrator, steps)
        positions = context.getState(getPositions=True).getPositions(asNumpy=True)
        return np.asarray(positions.value_in_unit(unit.nanometer))

    return equilibrate
