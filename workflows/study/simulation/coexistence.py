"""A crystal beside its liquid: what each particle is, by bond-orientational order.

The crystal is held while the rest of it melts, then both move. A particle of the crystal's part
that is still solid is called by its structure, one of the molten part that is still liquid is
disordered; what has changed sides, or is neither, is not judged. Particles that should have melted
and are still at their sites are hot crystal, whatever their bonds say: that is an error.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import freud
import numpy as np
from numpy.typing import NDArray

from hoomd_gala.crystals.prototypes import scaled
from hoomd_gala.errors import InputError
from hoomd_gala.neighbors import nearest_distance
from hoomd_gala.results import DISORDERED
from hoomd_gala.systems import System
from study.simulation.dynamics import Dynamics
from study.simulation.forces import BOLTZMANN, ELEMENTS, interaction
from study.simulation.heated import at_density
from study.simulation.ideal import perfect
from study.simulation.samples import Sample
from study.simulation.thermal import displacements

#: Median displacement of molten particles from the sites of the crystal, in units of its shortest
#: distance, below which they have not melted. That of crystals at their melting points is below
#: 0.2, and of liquids it grows with time.
_MOLTEN = 0.35

#: Two neighbors are bonded like a solid if the scalar product of their q6 vectors exceeds this (ten
#: Wolde, Ruiz-Montero and Frenkel, J. Chem. Phys. 104, 9932 (1996)).
_SOLID_BOND = 0.5

#: Share of solid bonds from which on a particle is solid, and up to which it is liquid; between
#: them it is neither.
_SOLID, _LIQUID = 0.85, 0.5


def solid_bonds(system: System, n_neighbors: int) -> NDArray[np.float64]:
    """Share of each particle's bonds to its nearest neighbors that are those of a solid, (N,)."""
    neighbors = {"num_neighbors": n_neighbors}
    criterion = freud.order.SolidLiquid(l=6, q_threshold=_SOLID_BOND, solid_threshold=1)
    criterion.compute((freud.box.Box(*system.box), system.positions), neighbors)
    return np.asarray(criterion.num_connections, float) / n_neighbors


def _elongated(structure: str, number_density: float, n_particles: int) -> System:
    """Return a crystal about twice as long in z as in x and y."""
    block = perfect(structure, n_particles // 2)
    box = block.box * np.array([1, 1, 2, 1, 0.5, 0.5])
    up = np.array([0, 0, block.box[2]])
    both = np.concatenate([block.positions, block.positions + up])
    long = System(both, box, np.zeros(len(both), np.int64))
    return scaled(long, float(np.cbrt(len(both) / number_density / np.prod(box[:3]))))


def _held(system: System, shape: str) -> NDArray[np.bool_]:
    """Particles that stay crystalline, (N,): half of the box, or a ball of a sixth of it."""
    middle = system.box[:3] * (np.round(system.positions / system.box[:3]))
    x, y, z = (system.positions - middle).T
    if shape == "half":
        return np.asarray(np.abs(z) < system.box[2] / 4)
    radius = (np.prod(system.box[:3]) / 6 * 3 / (4 * np.pi)) ** (1 / 3)
    return np.asarray(x**2 + y**2 + z**2 < radius**2)


def coexistence(
    potential: Mapping[str, Any],
    structure: str,
    shape: str,
    number_density: float,
    melting: tuple[float, int],
    run: tuple[float, int],
    n_neighbors: int,
    dt: float,
    n_particles: int,
    seed: int,
) -> Iterator[Sample]:
    """Yield two frames of a crystal, or of a nucleus, in its liquid.

    Parameters
    ----------
    potential : mapping
        See :func:`study.simulation.forces.interaction`.
    structure : str
        Unit cell of a rectangular box.
    shape : str
        ``"half"``, or ``"sphere"`` for a nucleus.
    number_density : float
        Of particles.
    melting, run : (kT, steps)
        Temperature and timesteps while the rest melts, and of both together before each frame.
    n_neighbors : int
        Neighbors whose bonds show whether a particle is solid: 12, 14 in bcc, 4 in diamond.
    dt : float
        Timestep for a particle of mass 1.
    n_particles, seed : int
        Fewest particles, and seed of the thermostat.

    Raises
    ------
    InputError
        If what should have melted has not.
    """
    if shape == "half":
        crystal = _elongated(structure, number_density, n_particles)
    else:
        crystal = at_density(structure, 0.0, number_density, n_particles)
    held = _held(crystal, shape)
    forces = interaction(potential)
    molten = Dynamics(crystal, forces, dt, seed, fixed=held).run(*melting)
    motion = Dynamics(molten, forces, dt, seed + 1)
    distance = nearest_distance(crystal.positions, crystal.box)
    for _ in range(2):
        now = motion.run(*run)
        moved = np.median(np.linalg.norm(displacements(now, crystal)[~held], axis=1)) / distance
        if moved < _MOLTEN:
            raise InputError(
                f"{structure} has not melted, its particles have moved by {moved:.2f} of the "
                "shortest distance only: melt it hotter, or for longer."
            )
        bonds = solid_bonds(now, n_neighbors)
        truth = np.where(held, structure, DISORDERED)
        judged = np.where(held, bonds >= _SOLID, bonds <= _LIQUID)
        yield Sample("", now, truth, judged)


def element_coexistence(
    form: str,
    symbol: str,
    structure: str,
    shape: str,
    melting: tuple[float, int],
    run: tuple[float, int],
    n_neighbors: int,
    dt: float,
    n_particles: int,
    seed: int,
) -> Iterator[Sample]:
    """Yield :func:`coexistence` of an element at a density between crystal and liquid.

    Temperatures are in units of the melting temperature.
    """
    it = ELEMENTS[form][symbol]
    return coexistence(
        {"form": form, "symbol": symbol},
        structure,
        shape,
        0.94 / it.volume,
        (melting[0] * it.melting * BOLTZMANN, melting[1]),
        (run[0] * it.melting * BOLTZMANN, run[1]),
        n_neighbors,
        dt,
        n_particles,
        seed,
    )
