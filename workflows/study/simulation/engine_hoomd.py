"""Cooling runs and hot crystals on HOOMD-blue."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import hoomd
import numpy as np
from tqdm.auto import tqdm

from hoomd_gala import Classifier
from hoomd_gala.crystals.potentials import R_MIN, PairPotential, Springs
from hoomd_gala.files.atomic import replacing
from hoomd_gala.files.trajectories import make_frame, read_frame
from hoomd_gala.systems import Array, System
from study.simulation import restarts
from study.simulation.protocol import NEIGHBOR_BUFFER, SOLID_DT, SOLID_GAMMA, Protocol

#: Points of the tabulated potential; linear interpolation is then good to 1e-5 of the force.
TABLE_WIDTH = 4000


class _Cooling(hoomd.variant.Variant):  # type: ignore[misc]
    """The protocol's temperature."""

    def __init__(self, protocol: Protocol) -> None:
        super().__init__()
        self._protocol = protocol

    def __call__(self, timestep: int) -> float:
        return self._protocol.kT(timestep)

    def _min(self) -> float:
        return self._protocol.end_kT

    def _max(self) -> float:
        return self._protocol.gas_kT


def _device() -> Any:
    if hoomd.device.GPU.is_available():
        return hoomd.device.GPU()
    return hoomd.device.CPU()


def pair_force(potential: PairPotential) -> Any:
    """Return the potential as a HOOMD force.

    A table runs at more than twice the speed of the native oscillating potential on the CPU.
    """
    force = hoomd.md.pair.Table(
        hoomd.md.nlist.Cell(buffer=NEIGHBOR_BUFFER), default_r_cut=potential.r_cut
    )
    _, energies, forces = potential.table(TABLE_WIDTH)
    force.params[("A", "A")] = {"r_min": R_MIN, "U": energies, "F": forces}
    return force


def run(
    protocol: Protocol,
    potential: PairPotential,
    folder: Path,
    model: Path | None,
    threads: int,
    bar: tqdm,
) -> dict[str, str]:
    """Run a simulation to its end; see :func:`study.simulation.engines.pick`."""
    simulation = hoomd.Simulation(_device(), seed=protocol.seed)
    if restarts.resume(folder, protocol.n_particles) is None:
        snapshot = hoomd.Snapshot()
        snapshot.configuration.box = [protocol.box_length] * 3 + [0, 0, 0]
        snapshot.particles.N = protocol.n_particles
        snapshot.particles.types = ["A"]
        snapshot.particles.position[:] = protocol.initial_positions()
        simulation.create_state_from_snapshot(snapshot)
        simulation.state.thermalize_particle_momenta(hoomd.filter.All(), protocol.gas_kT)
    else:
        simulation.create_state_from_gsd(str(restarts.restart_path(folder)))
    langevin = hoomd.md.methods.Langevin(
        hoomd.filter.All(), kT=_Cooling(protocol), default_gamma=protocol.gamma
    )
    simulation.operations.integrator = hoomd.md.Integrator(
        dt=protocol.dt, methods=[langevin], forces=[pair_force(potential)]
    )

    thermodynamics = hoomd.md.compute.ThermodynamicQuantities(hoomd.filter.All())
    simulation.operations.computes.append(thermodynamics)
    logger = hoomd.logging.Logger(categories=["scalar", "particle", "sequence"])
    logger.add(thermodynamics, quantities=["potential_energy", "kinetic_energy"])
    if model is not None:
        classifier = Classifier(model)
        # embeddings, 128 bytes per particle, are read by nobody
        logger.add(classifier, quantities=["label", "confidence", "fractions", "names"])
        trigger = hoomd.trigger.Periodic(protocol.period)
        simulation.operations.writers.append(
            hoomd.write.CustomWriter(action=classifier, trigger=trigger)
        )
    writer = hoomd.write.GSD(
        trigger=hoomd.trigger.Periodic(protocol.period),
        filename=str(restarts.trajectory_path(folder)),
        mode="ab",
        dynamic=["property"],
        logger=logger,
    )
    simulation.operations.writers.append(writer)

    bar.update(simulation.timestep)
    while simulation.timestep < protocol.total_steps:
        for _ in range(restarts.FRAMES_PER_RESTART):
            simulation.run(min(protocol.period, protocol.total_steps - simulation.timestep))
            bar.update(simulation.timestep - bar.n)
        writer.flush()
        with replacing(restarts.restart_path(folder)) as part:
            hoomd.write.GSD.write(simulation.state, filename=str(part), mode="wb")
        # in single precision, as a run that is interrupted from here on will begin
        held = hoomd.Snapshot.from_gsd_frame(
            read_frame(restarts.restart_path(folder)), simulation.device.communicator
        )
        simulation.state.set_snapshot(held)
    writer.flush()
    device = type(simulation.device).__name__
    return {"engine": "HOOMD-blue", "version": hoomd.version.version, "device": device}


def solid(
    crystal: System, interaction: Springs | PairPotential, seed: int
) -> Callable[[float, int], Array]:
    """Set up a crystal to be heated: see :func:`study.simulation.engines.pick`."""
    frame = make_frame(crystal, 0)
    snapshot = hoomd.Snapshot()
    snapshot.configuration.box = frame.configuration.box
    snapshot.particles.N = frame.particles.N
    snapshot.particles.types = ["A"]
    snapshot.particles.position[:] = frame.particles.position
    if isinstance(interaction, PairPotential):
        force = pair_force(interaction)
    else:
        # a bond's rest length is that of its type
        lengths, kinds = np.unique(interaction.lengths.round(4), return_inverse=True)
        snapshot.bonds.N = len(kinds)
        snapshot.bonds.types = [str(length) for length in lengths]
        snapshot.bonds.typeid[:] = kinds
        snapshot.bonds.group[:] = interaction.pairs
        force = hoomd.md.bond.Harmonic()
        for length in lengths:
            force.params[str(length)] = {"k": interaction.stiffness, "r0": length}
    simulation = hoomd.Simulation(_device(), seed=seed)
    simulation.create_state_from_snapshot(snapshot)
    langevin = hoomd.md.methods.Langevin(hoomd.filter.All(), kT=1.0, default_gamma=SOLID_GAMMA)
    simulation.operations.integrator = hoomd.md.Integrator(
        dt=SOLID_DT, methods=[langevin], forces=[force]
    )

    def equilibrate(kT: float, steps: int) -> Array:
        langevin.kT = kT
        simulation.run(steps)
        return np.asarray(simulation.state.get_snapshot().particles.position, np.float64)

    return equilibrate
