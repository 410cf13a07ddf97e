"""Rigid bodies in HOOMD-blue: the crystal that their centers form, in the color of each body.

Octahedra of six constituents sit on the sites of a warm fcc crystal. Centers are labeled and are
each other's neighbors; in ``bodies.gsd``, constituents have the structure of their body.
"""

import hoomd
import numpy as np

import hoomd_gala
from hoomd_gala.crystals import crystal, displace, unit_cell
from hoomd_gala.files import frame_labels, make_frame, open_trajectory

system = displace(crystal(unit_cell("fcc"), 500), 0.04, np.random.default_rng(1))
n = len(system.positions)
arms = 0.3 * np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]])

simulation = hoomd.Simulation(hoomd.device.auto_select(), seed=1)
snapshot = hoomd.Snapshot()
if snapshot.communicator.rank == 0:
    snapshot.configuration.box = system.box
    snapshot.particles.N = n
    snapshot.particles.types = ["center", "tip"]
    snapshot.particles.position[:] = make_frame(system, 0).particles.position
    snapshot.particles.moment_inertia[:] = [1, 1, 1]
    snapshot.particles.body[:] = np.arange(n)
simulation.create_state_from_snapshot(snapshot)

rigid = hoomd.md.constrain.Rigid()
rigid.body["center"] = {
    "constituent_types": ["tip"] * 6,
    "positions": arms,
    "orientations": [(1, 0, 0, 0)] * 6,
}
rigid.create_bodies(simulation.state)
centers = hoomd.filter.Rigid(("center",))
langevin = hoomd.md.methods.Langevin(centers, kT=0.01)
simulation.operations.integrator = hoomd.md.Integrator(
    dt=0.001, methods=[langevin], rigid=rigid, integrate_rotational_dof=True
)

classifier = hoomd_gala.Classifier(model="structures", filename="bodies.gsd")
writers = simulation.operations.writers
writers.append(hoomd.write.CustomWriter(action=classifier, trigger=10))
simulation.run(10)

print(f"{n} bodies, {classifier.fraction('fcc'):.1%} fcc")
with open_trajectory("bodies.gsd") as trajectory:
    label, names = frame_labels(trajectory[-1])
shown = np.mean(label == names.index("cF4-Cu"))
print(f"{len(label)} particles in the file, {shown:.1%} shown as fcc")
