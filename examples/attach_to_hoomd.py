"""Heat a Lennard-Jones crystal in HOOMD-blue and watch it melt, labeled while it runs.

Writes ``labeled.gsd`` by the classifier itself, which OVITO shows with names and colors of
structures as it is, and ``run.gsd`` by HOOMD's GSD writer, which ``hoomd-gala view run.gsd``
converts to such a file.
"""

from pathlib import Path

import hoomd

import hoomd_gala
from hoomd_gala.crystals import crystal, unit_cell
from hoomd_gala.files import make_frame

simulation = hoomd.Simulation(hoomd.device.auto_select(), seed=1)
system = crystal(unit_cell("cF4-Cu"), 800)
frame = make_frame(system, 0)
snapshot = hoomd.Snapshot()
snapshot.configuration.box = system.box
snapshot.particles.N = len(system.positions)
snapshot.particles.types = ["A"]
snapshot.particles.position[:] = frame.particles.position
simulation.create_state_from_snapshot(snapshot)

lj = hoomd.md.pair.LJ(hoomd.md.nlist.Cell(buffer=0.4), default_r_cut=2.5)
lj.params[("A", "A")] = {"epsilon": 1.0, "sigma": 2 ** (-1 / 6)}
heating = hoomd.variant.Ramp(0.1, 2.5, t_start=0, t_ramp=4000)
langevin = hoomd.md.methods.Langevin(hoomd.filter.All(), kT=heating)
simulation.operations.integrator = hoomd.md.Integrator(dt=0.005, methods=[langevin], forces=[lj])

# one way: the classifier writes labeled frames itself
Path("labeled.gsd").unlink(missing_ok=True)  # of an earlier run: frames are appended
classifier = hoomd_gala.Classifier(model="structures", filename="labeled.gsd")
simulation.operations.writers.append(
    hoomd.write.CustomWriter(action=classifier, trigger=hoomd.trigger.Periodic(500))
)
# the other: HOOMD's own logger and writer
logger = hoomd.logging.Logger(categories=["particle", "sequence"])
logger.add(classifier)
simulation.operations.writers.append(
    hoomd.write.GSD(trigger=500, filename="run.gsd", mode="wb", logger=logger)
)

for _ in range(8):
    simulation.run(500)
    fractions = classifier.result.fractions
    print(
        f"kT = {heating(simulation.timestep):.2f}: "
        f"{fractions['cF4-Cu']:6.1%} cF4-Cu {fractions['disordered']:6.1%} disordered"
    )
