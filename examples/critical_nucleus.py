"""Cool a Lennard-Jones liquid in HOOMD-blue and stop at the critical nucleus.

Nuclei are clusters of particles in any crystal structure. The run is written to ``nucleus.gsd``
once the largest has 30 particles, and stops when it has 120: from there on it grows, while smaller
ones come and go.
"""

import hoomd

import hoomd_gala
from hoomd_gala.crystals import crystal, unit_cell
from hoomd_gala.files import make_frame

simulation = hoomd.Simulation(hoomd.device.auto_select(), seed=4)
system = crystal(unit_cell("fcc"), 1300)
# 1.42 particles in a cube of the potential's minimum
length = (len(system.positions) / 1.42) ** (1 / 3)
snapshot = hoomd.Snapshot()
if snapshot.communicator.rank == 0:
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

classifier = hoomd_gala.Classifier(model="structures-fast")
writers = simulation.operations.writers
writers.append(hoomd.write.CustomWriter(action=classifier, trigger=1_000_000))
simulation.run(1000)

growing = hoomd_gala.triggers.LargestCluster(classifier, above=30, release=20, period=200)
logger = hoomd.logging.Logger(categories=["particle", "scalar", "sequence"])
logger.add(classifier, quantities=["label", "names", "cluster", "largest_cluster", "n_clusters"])
often = hoomd.trigger.And([hoomd.trigger.Periodic(200), growing])
writers.append(hoomd.write.GSD(trigger=often, filename="nucleus.gsd", mode="wb", logger=logger))

langevin.kT = 0.6
critical = hoomd_gala.triggers.LargestCluster(classifier, above=120, period=200)
while simulation.timestep < 40_000 and not critical(simulation.timestep):
    simulation.run(200)
    if simulation.timestep % 1000 == 0:
        sizes = classifier.clusters(period=200).sizes
        print(f"timestep {simulation.timestep}: largest nuclei {sizes[:3].tolist()}")
largest = classifier.largest_cluster
print(f"stopped at timestep {simulation.timestep}: the largest nucleus has {largest} particles")
