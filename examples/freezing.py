"""Freeze a Lennard-Jones liquid in HOOMD-blue, and draw how a crystal grows in it.

``freezing.py`` writes ``freezing.gsd``, or goes on with the one that is there, and draws
``freezing.png``: frames over time, rendered by OVITO, above the fractions of structures. It takes some
five minutes on one core.
"""

from collections import Counter
from pathlib import Path

import hoomd
import numpy as np

import hoomd_gala

#: Particles along an edge, particles in a cube of the potential's minimum, and kT.
EDGE, DENSITY, KT = 15, 1.38, 0.57

#: Timesteps between frames, and of the whole run at most.
PERIOD, LAST = 250, 40_000


def simulate(path: Path) -> None:
    """Melt a lattice, cool it at once, and label it until nearly everything is solid."""
    length = (EDGE**3 / DENSITY) ** (1 / 3)
    edge = (np.arange(EDGE) + 0.5) * length / EDGE - length / 2
    simulation = hoomd.Simulation(hoomd.device.auto_select(), seed=1)
    snapshot = hoomd.Snapshot()
    snapshot.configuration.box = [length, length, length, 0, 0, 0]
    snapshot.particles.N = EDGE**3
    snapshot.particles.types = ["A"]
    snapshot.particles.position[:] = np.stack(np.meshgrid(edge, edge, edge), -1).reshape(-1, 3)
    simulation.create_state_from_snapshot(snapshot)
    lj = hoomd.md.pair.LJ(hoomd.md.nlist.Cell(buffer=0.4), default_r_cut=2.2)
    lj.params[("A", "A")] = {"epsilon": 1.0, "sigma": 2 ** (-1 / 6)}
    langevin = hoomd.md.methods.Langevin(hoomd.filter.All(), kT=3.0, default_gamma=0.1)
    integrator = hoomd.md.Integrator(dt=0.004, methods=[langevin], forces=[lj])
    simulation.operations.integrator = integrator
    simulation.state.thermalize_particle_momenta(hoomd.filter.All(), kT=3.0)
    simulation.run(1000)

    langevin.kT, integrator.dt = KT, 0.012
    classifier = hoomd_gala.Classifier(model="structures", filename=path)
    simulation.operations.writers.append(
        hoomd.write.CustomWriter(action=classifier, trigger=PERIOD)
    )
    solid = 0.0
    while solid < 0.97 and simulation.timestep < LAST:
        simulation.run(1000)
        solid = classifier.solid_fraction
        found = Counter(classifier.result.names.tolist()).most_common(4)
        print(f"timestep {simulation.timestep}: {solid:.1%} solid, {found}", flush=True)


path = Path("freezing.gsd")
if not path.is_file():
    simulate(path)
