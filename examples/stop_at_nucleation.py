"""Quench a Lennard-Jones liquid in HOOMD-blue and stop as soon as a solid has nucleated.

A trigger watches the fraction of particles in any crystal structure. The run stops when it reaches
30 %; from 10 % on and until it falls below 5 % again, ``nucleation.gsd`` gets a frame every 50
timesteps.
"""

import hoomd

import hoomd_gala
from hoomd_gala.crystals import crystal, unit_cell
from hoomd_gala.files import make_frame

simulation = hoomd.Simulation(hoomd.device.auto_select(), seed=2)
system = crystal(unit_cell("cF4-Cu"), 500)
snapshot = hoomd.Snapshot()
if snapshot.communicator.rank == 0:
    # 1.5 particles in a cube of the potential's minimum
    length = (len(system.positions) / 1.5) ** (1 / 3)
    snapshot.configuration.box = [length, length, length, 0, 0, 0]
    snapshot.particles.N = len(system.positions)
    snapshot.particles.types = ["A"]
    frame = make_frame(system, 0)
    snapshot.particles.position[:] = frame.particles.position * (length / system.box[0])
simulation.create_state_from_snapshot(snapshot)

lj = hoomd.md.pair.LJ(hoomd.md.nlist.Cell(buffer=0.4), default_r_cut=2.2)
lj.params[("A", "A")] = {"epsilon": 1.0, "sigma": 2 ** (-1 / 6)}
langevin = hoomd.md.methods.Langevin(hoomd.filter.All(), kT=3.0)
simulation.operations.integrator = hoomd.md.Integrator(dt=0.005, methods=[langevin], forces=[lj])
simulation.state.thermalize_particle_momenta(hoomd.filter.All(), kT=3.0)

classifier = hoomd_gala.Classifier(model="structures")
writers = simulation.operations.writers
writers.append(hoomd.write.CustomWriter(action=classifier, trigger=1_000_000))

simulation.run(1000)
print(f"molten: {classifier.solid_fraction:.1%} solid")

growing = hoomd_gala.triggers.Fraction(classifier, above=0.1, release=0.05, period=200)
dense = hoomd.trigger.And([hoomd.trigger.Periodic(50), growing])
logger = hoomd.logging.Logger(categories=["particle", "sequence"])
logger.add(classifier, quantities=["label", "confidence", "fractions", "names"])
writers.append(hoomd.write.GSD(trigger=dense, filename="nucleation.gsd", mode="wb", logger=logger))

langevin.kT = 0.6
nucleated = hoomd_gala.triggers.Fraction(classifier, above=0.3, period=200)
while simulation.timestep < 30_000 and not nucleated(simulation.timestep):
    simulation.run(200)
print(f"stopped at timestep {simulation.timestep}: {classifier.solid_fraction:.1%} solid")
