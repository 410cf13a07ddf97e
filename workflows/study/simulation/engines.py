"""Which engine runs a simulation."""

import importlib.util
from types import ModuleType


def pick() -> ModuleType:
    """Return the module that drives HOOMD-blue where it is installed, else the one for OpenMM.

    Both have ``run(protocol, potential, folder, model, threads, bar)``, which runs a simulation
    from its last restart file in the folder, or from the start, to its end, and returns the engine,
    its version and the device. They write the same files: ``trajectory.gsd`` with a frame every
    ``protocol.period`` timesteps, labeled if a model is given, and ``restart.gsd``. Labels have all
    ``threads``, which the job's document notes; forces have them on OpenMM for more than 4000
    particles, and one otherwise. Each stretch begins with what a restart file holds, so that a run
    that is interrupted ends as an unbroken one does.

    Both also have ``solid(crystal, interaction, seed)``, which sets up a crystal with springs or a
    pair potential and returns a function: given a temperature and a number of timesteps, it
    continues the simulation at constant volume and returns the positions, (N, 3), in the crystal's
    order.
    """
    if importlib.util.find_spec("hoomd") is not None:
        from study.simulation import engine_hoomd

        return engine_hoomd
    from study.simulation import engine_openmm

    return engine_openmm
