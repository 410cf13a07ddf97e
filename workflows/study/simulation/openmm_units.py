"""OpenMM in reduced units, and its platforms and boxes.

Lengths in nm, masses in amu and energies in kJ/mol make reduced units: time is in ps and the
temperature is kT divided by the gas constant. This does not load torch.
"""

import numpy as np
import openmm

from hoomd_gala.systems import Array, lattice_vectors

#: Gas constant in kJ/mol/K.
GAS_CONSTANT = 0.00831446261815324


def pick_platform(threads: int) -> tuple[openmm.Platform, dict[str, str]]:
    """Return the GPU where there is one, else the CPU with a number of threads."""
    names = [
        openmm.Platform.getPlatform(i).getName() for i in range(openmm.Platform.getNumPlatforms())
    ]
    if "CUDA" in names:
        return openmm.Platform.getPlatformByName("CUDA"), {}
    return openmm.Platform.getPlatformByName("CPU"), {"Threads": str(threads)}


#: Timesteps that OpenMM takes at a time. It hears no Ctrl-C while it takes them.
_AT_ONCE = 100


def advance(integrator: openmm.Integrator, steps: int) -> None:
    """Take a number of timesteps, and let Ctrl-C end it between them.

    Raises
    ------
    KeyboardInterrupt
        After Ctrl-C.
    """
    for done in range(0, steps, _AT_ONCE):
        integrator.step(min(_AT_ONCE, steps - done))


def reduced_vectors(box: Array) -> Array:
    """Lattice vectors of a box as OpenMM wants them: the shortest ones of the same lattice."""
    a, b, c = lattice_vectors(box)
    c -= b * np.round(c[1] / b[1])
    c -= a * np.round(c[0] / a[0])
    b -= a * np.round(b[0] / a[0])
    # a tilt of exactly one half must not be rounded up beyond it
    shrink = 1 - 1e-6
    return np.array([a, [b[0] * shrink, b[1], 0], [c[0] * shrink, c[1] * shrink, c[2]]])
