"""Hot crystals whose structure is known: displaced at random, or simulated at rising temperature.

Random displacements are independent; in a real crystal neighbors move together and the distances
between them vary less. So every structure is also simulated. No simple pair potential stabilizes
all structures, but springs do: in an elastic network, particles within a cutoff are bonded by
springs at rest in the perfect crystal, which is then the minimum of the energy and cannot melt.
Structures that a pair potential stabilizes are simulated with it as well.

The neighbor distance is the shortest distance of the perfect crystal. Displacements are given per
direction, in units of it.
"""

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import gsd.hoomd
import numpy as np

from hoomd_gala.crystals import potentials
from hoomd_gala.crystals.prototypes import crystal, displace, scaled, unit_cell
from hoomd_gala.files.atomic import replacing
from hoomd_gala.files.trajectories import make_frame, open_trajectory
from hoomd_gala.neighbors.environments import nearest_neighbors
from hoomd_gala.systems import Array, System, as_system, lattice_vectors
from study.simulation import engines

#: The structures and their common names.
STRUCTURES = {
    "cF4-Cu": "fcc",
    "hP2-Mg": "hcp",
    "cI2-W": "bcc",
    "cP1-Po": "simple cubic",
    "cF8-C": "cubic diamond",
    "hP4-C.3": "hexagonal diamond",
    "cP8-Cr3Si": "A15",
    "tP30-CrFe": "σ phase",
}

#: Target displacements per direction.
LEVELS = (0.02, 0.04, 0.06, 0.08, 0.10, 0.12)

#: Range of the springs, in neighbor distances: the second shell of the diamonds makes them rigid.
SPRING_RANGE = 1.7

#: Stiffness of the springs; about that of Lennard-Jones, so that one timestep serves both.
SPRING_CONSTANT = 60.0

#: Temperature at which displacements are measured first.
PROBE_KT = 0.05

#: Fraction of particles that have left their site above which a crystal has melted.
MOLTEN = 0.01

#: Pair potentials, and structures that they stabilize.
POTENTIALS = (
    (potentials.ljg(0.0, 1.0), ("cF4-Cu", "hP2-Mg")),
    (potentials.opp(6.25, 0.62), ("cI2-W",)),
)

#: Points at which a potential is tabulated for its lattice energy.
TABLE_WIDTH = 4000

#: Fewest particles of a crystal.
N_PARTICLES = 1500

#: Timesteps at each temperature: several relaxation times of the slowest phonon.
STEPS = 600


class HotCrystal(NamedTuple):
    """A crystal at a temperature.

    Attributes
    ----------
    structure : str
        Name of its unit cell.
    kind : str
        ``"Gaussian"``, ``"elastic network"`` or the name of a pair potential.
    level : float
        Target displacement per direction, in neighbor distances.
    kT : float
        Temperature in units of the potential; 0 for random displacements.
    rms : float
        Root-mean-square displacement per direction, without the motion of the whole, in neighbor
        distances.
    system : System
        The particles.
    """

    structure: str
    kind: str
    level: float
    kT: float
    rms: float
    system: System


#: Makes a series of hot crystals of at least a number of particles.
Source = Callable[[int], Iterator[HotCrystal]]


def displacements(system: System, perfect: System) -> Array:
    """Vectors from sites to particles, (N, 3), the motion of the whole crystal removed."""
    lattice = lattice_vectors(perfect.box)
    fractional = (system.positions - perfect.positions) @ np.linalg.inv(lattice)
    shifts = (fractional - np.round(fractional)) @ lattice
    return np.asarray(shifts - shifts.mean(axis=0))


def rms_displacement(system: System, perfect: System) -> float:
    """Root mean square displacement per direction, in units of length."""
    return float(np.sqrt((displacements(system, perfect) ** 2).mean()))


def springs(perfect: System) -> potentials.Springs:
    """Springs between all pairs of a perfect crystal of shortest distance 1 within their range."""
    bonds, neighbors = nearest_neighbors(perfect.positions, perfect.box, n=50)
    lengths = np.linalg.norm(bonds, axis=-1)
    # each pair once
    first, column = np.nonzero(
        (lengths < SPRING_RANGE) & (neighbors > np.arange(len(neighbors))[:, None])
    )
    pairs = np.stack([first, neighbors[first, column]], axis=1)
    return potentials.Springs(pairs, lengths[first, column], SPRING_CONSTANT)


def relaxed(perfect: System, potential: potentials.PairPotential) -> System:
    """Scale a crystal of equivalent sites to its lowest lattice energy: no pressure at kT = 0.

    The potential is shifted to zero at its cutoff, as the forces are truncated there.
    """
    lattice = lattice_vectors(perfect.box)
    fractional = (perfect.positions[1:] - perfect.positions[0]) @ np.linalg.inv(lattice)
    distances = np.linalg.norm((fractional - np.round(fractional)) @ lattice, axis=1)
    r, energies, _ = potential.table(TABLE_WIDTH)
    scales = np.linspace(0.85, 1.15, 3001)
    energy = [np.interp(distances * a, r, energies - energies[-1], right=0).sum() for a in scales]
    return scaled(perfect, scales[np.argmin(energy)])


def gaussian(structure: str, n_particles: int, seed: int) -> Iterator[HotCrystal]:
    """Yield a crystal whose particles are displaced at random, at each level."""
    perfect = crystal(unit_cell(structure), n_particles)
    rng = np.random.default_rng(seed)
    for level in LEVELS:
        system = displace(perfect, level, rng)
        rms = rms_displacement(system, perfect)
        yield HotCrystal(structure, "Gaussian", level, 0.0, rms, system)


def elastic(structure: str, n_particles: int, seed: int) -> Iterator[HotCrystal]:
    """Yield an elastic network, heated to each level."""
    perfect = crystal(unit_cell(structure), n_particles)
    yield from heated(structure, "elastic network", perfect, 1.0, springs(perfect), seed)


def simulated(
    structure: str, potential: potentials.PairPotential, n_particles: int, seed: int
) -> Iterator[HotCrystal]:
    """Yield a crystal of particles with a pair potential, heated level by level until it melts."""
    perfect = crystal(unit_cell(structure), n_particles)
    stretched = relaxed(perfect, potential)
    distance = stretched.box[0] / perfect.box[0]
    yield from heated(structure, potential.name, stretched, distance, potential, seed)


def heated(
    structure: str,
    kind: str,
    perfect: System,
    distance: float,
    interaction: potentials.Springs | potentials.PairPotential,
    seed: int,
) -> Iterator[HotCrystal]:
    """Simulate a crystal at constant volume, level by level, until it melts.

    Mean square displacements are about proportional to the temperature: each temperature follows
    from the displacement at the one before.
    """
    equilibrate = engines.pick().solid(perfect, interaction, seed)
    kT = PROBE_KT
    system = perfect._replace(positions=equilibrate(kT, STEPS))
    for level in LEVELS:
        kT *= (level * distance / rms_displacement(system, perfect)) ** 2
        system = perfect._replace(positions=equilibrate(kT, STEPS))
        shifts = displacements(system, perfect)
        left = np.linalg.norm(shifts, axis=1) > distance / 2
        if isinstance(interaction, potentials.PairPotential) and left.mean() > MOLTEN:
            return
        rms = rms_displacement(system, perfect) / distance
        yield HotCrystal(structure, kind, level, kT, rms, system)


def sources(structure: str) -> dict[str, Source]:
    """Return sources of each kind of hot crystal of a structure, by kind."""
    # each structure has random numbers of its own
    seed = 1 + list(STRUCTURES).index(structure)
    made: dict[str, Source] = {
        "Gaussian": functools.partial(gaussian, structure, seed=seed),
        "elastic network": functools.partial(elastic, structure, seed=seed),
    }
    for potential, stable in POTENTIALS:
        if structure in stable:
            made[potential.name] = functools.partial(simulated, structure, potential, seed=seed)
    return made


def stored(folder: Path, structure: str, kind: str, n_particles: int) -> list[HotCrystal]:
    """Hot crystals of a kind from a GSD file in a folder, simulated first if there is none.

    The file appears when all of them are written, so an interruption leaves no partial series.
    """
    path = folder / f"{structure}-{kind.replace(' ', '-')}.gsd"
    if not path.is_file():
        with replacing(path) as part, gsd.hoomd.open(part, "w") as file:
            for step, hot in enumerate(sources(structure)[kind](n_particles)):
                frame = make_frame(hot.system, step)
                for key in ("level", "kT", "rms"):
                    frame.log[key] = np.array([getattr(hot, key)])
                file.append(frame)
    with open_trajectory(path) as frames:
        return [_read(structure, kind, frame) for frame in frames]


def _read(structure: str, kind: str, frame: gsd.hoomd.Frame) -> HotCrystal:
    level, kT, rms = (float(frame.log[key][0]) for key in ("level", "kT", "rms"))
    return HotCrystal(structure, kind, level, kT, rms, as_system(frame))
