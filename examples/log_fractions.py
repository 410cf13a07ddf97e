"""Log how much of a crystal is left while HOOMD-blue heats it.

``fractions.txt`` is a table of a few fractions, ``fractions.h5`` holds those of all structures.
"""

import h5py
import hoomd

import hoomd_gala
from hoomd_gala.crystals import crystal, unit_cell
from hoomd_gala.files import decode_strings, make_frame

simulation = hoomd.Simulation(hoomd.device.auto_select(), seed=1)
system = crystal(unit_cell("cF4-Cu"), 500)
snapshot = hoomd.Snapshot()
if snapshot.communicator.rank == 0:
    snapshot.configuration.box = system.box
    snapshot.particles.N = len(system.positions)
    snapshot.particles.types = ["A"]
    snapshot.particles.position[:] = make_frame(system, 0).particles.position
simulation.create_state_from_snapshot(snapshot)

lj = hoomd.md.pair.LJ(hoomd.md.nlist.Cell(buffer=0.4), default_r_cut=2.2)
lj.params[("A", "A")] = {"epsilon": 1.0, "sigma": 2 ** (-1 / 6)}
heating = hoomd.variant.Ramp(0.1, 3.0, t_start=0, t_ramp=2000)
langevin = hoomd.md.methods.Langevin(hoomd.filter.All(), kT=heating)
simulation.operations.integrator = hoomd.md.Integrator(dt=0.005, methods=[langevin], forces=[lj])

# the writer attaches the classifier; it has no file of its own to write
classifier = hoomd_gala.Classifier(model="structures")
writers = simulation.operations.writers
writers.append(hoomd.write.CustomWriter(action=classifier, trigger=250))

scalars = hoomd.logging.Logger(categories=["scalar"])
scalars.add(simulation, quantities=["timestep"])
scalars.add(classifier, quantities=["solid_fraction"])
for name in ("cF4-Cu", "hP2-Mg", "disordered"):
    scalars[name] = (lambda name=name: classifier.fraction(name), "scalar")
table = open("fractions.txt", "w")  # noqa: SIM115 - written to until the run is over
writers.append(hoomd.write.Table(trigger=250, logger=scalars, output=table))

everything = hoomd.logging.Logger(categories=["sequence"])
everything.add(classifier, quantities=["fractions", "names"])
log = hoomd.write.HDF5Log(trigger=250, filename="fractions.h5", logger=everything, mode="w")
writers.append(log)

simulation.run(2000)
log.flush()
table.close()

with open("fractions.txt") as file:
    print(file.read().rstrip())
with h5py.File("fractions.h5") as file:
    group = file["hoomd-data/hoomd_gala/Classifier"]
    names = [*decode_strings(group["names"][0]), "unknown"]
    last = dict(zip(names, group["fractions"][-1], strict=True))
print(f"in the end: {last['disordered']:.1%} disordered")
