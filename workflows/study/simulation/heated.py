"""Crystals of published and model potentials at several temperatures, without those that melt."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from hoomd_gala.crystals.prototypes import scaled
from hoomd_gala.systems import System, lattice_vectors
from study.simulation.dynamics import Dynamics
from study.simulation.forces import BOLTZMANN, ELEMENTS, interaction
from study.simulation.ideal import axial_crystal, perfect
from study.simulation.samples import Sample, uniform
from study.simulation.thermal import MOLTEN, displacements

#: Thermal expansion of metals from 0 K to melting, in length; similar in all of them.
_EXPANSION = 0.018


def at_density(structure: str, ratio: float, number_density: float, n_particles: int) -> System:
    """Return a perfect crystal of a number density, with the axial ratio c/a unless that is 0."""
    if ratio:
        still = axial_crystal(structure, ratio, n_particles)
    else:
        still = perfect(structure, n_particles)
    volume = float(np.linalg.det(lattice_vectors(still.box)))
    return scaled(still, float(np.cbrt(len(still.positions) / number_density / volume)))


def equilibrated(
    name: str, start: System, how: Mapping[str, Any], kT: float, structure: str
) -> Iterator[Sample]:
    """Yield a crystal at a temperature, particles near their site judged, unless it has melted."""
    motion = Dynamics(start, interaction(how["potential"]), how["dt"], how["seed"])
    system = motion.run(kT, how["steps"]) if kT else motion.minimize()
    distance = np.cbrt(np.linalg.det(lattice_vectors(start.box)) / len(start.positions))
    left = np.linalg.norm(displacements(system, start), axis=1) > distance / 2
    if left.mean() <= MOLTEN:
        yield uniform(name, system, structure)._replace(judged=~left)


def element(
    form: str,
    symbol: str,
    structure: str,
    fractions: Sequence[float],
    steps: int,
    dt: float,
    n_particles: int,
    seed: int,
    compression: float = 1.0,
) -> Iterator[Sample]:
    """Yield an element's crystal, minimized and heated to fractions of its melting temperature.

    Parameters
    ----------
    form, symbol : str
        Kind of potential, and element.
    structure : str
        Unit cell; if it is not the element's own, at the same density.
    fractions : sequence of float
        Temperatures in units of the experimental melting temperature; 0 is minimized.
    steps : int
        Timesteps before each sample.
    dt : float
        Timestep for a particle of mass 1, in Å and eV.
    n_particles, seed : int
        Fewest particles, and seed of the thermostat.
    compression : float
        Lengths in units of those without pressure.
    """
    it = ELEMENTS[form][symbol]
    how = {"potential": {"form": form, "symbol": symbol}, "dt": dt, "seed": seed, "steps": steps}
    ratio = it.ratio if structure == "hP2-Mg" else 0.0
    cold = at_density(structure, ratio, 1 / it.volume, n_particles)
    for fraction in fractions:
        start = scaled(cold, compression * (1 + _EXPANSION * min(fraction, 1.0)))
        kT = fraction * it.melting * BOLTZMANN
        yield from equilibrated(f"{fraction:g} of melting", start, how, kT, structure)


def model(
    potential: Mapping[str, Any],
    structure: str,
    number_density: float,
    temperatures: Sequence[float],
    steps: int,
    dt: float,
    n_particles: int,
    seed: int,
) -> Iterator[Sample]:
    """Yield a crystal of a model potential at several temperatures.

    Parameters
    ----------
    potential : mapping
        See :func:`study.simulation.forces.interaction`.
    structure : str
        Unit cell.
    number_density : float
        Of particles.
    temperatures : sequence of float
        kT of each sample; 0 is minimized.
    steps, dt, n_particles, seed
        As :func:`element` takes them.
    """
    how = {"potential": potential, "dt": dt, "seed": seed, "steps": steps}
    start = at_density(structure, 0.0, number_density, n_particles)
    for kT in temperatures:
        yield from equilibrated(f"kT {kT:g}", start, how, kT, structure)
