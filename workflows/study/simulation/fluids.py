"""Systems without order: liquids, glasses, packings, gases, molecules, water."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import app, unit
from scipy.spatial.transform import Rotation

from hoomd_gala.results import DISORDERED
from hoomd_gala.systems import Array, System
from study.simulation.dynamics import Dynamics
from study.simulation.forces import BOLTZMANN, ELEMENTS, Interaction, interaction, pair
from study.simulation.openmm_units import advance, pick_platform
from study.simulation.samples import Sample, uniform

#: Soft spheres that push random points apart before a potential that diverges takes over.
_SOFT = "(1-x)^2"

#: Iterations that take the worst out of a start from random points.
_ITERATIONS = 30


def _random(n: int, number_density: float, rng: np.random.Generator) -> System:
    """Random points in a cube."""
    edge = float(np.cbrt(n / number_density))
    points = rng.uniform(-edge / 2, edge / 2, (n, 3))
    return System(points, np.array([edge, edge, edge, 0, 0, 0]), np.zeros(n, np.int64))


def _apart(system: System, distance: float) -> System:
    """Push particles that are closer than a distance apart."""
    soft = pair(_SOFT, 1.0, [[distance]], [[100.0]])
    blind = system._replace(types=np.zeros_like(system.types))
    moved = Dynamics(blind, soft, 0.005, 1).minimize()
    return moved._replace(types=system.types)


def fluid(
    forces: Interaction,
    number_density: float,
    stages: Sequence[Sequence[float]],
    dt: float,
    n_particles: int,
    seed: int,
    composition: Sequence[float] = (1.0,),
    n_frames: int = 2,
    minimized: bool = False,
) -> Iterator[Sample]:
    """Yield frames of a liquid or glass that is made of random points.

    Parameters
    ----------
    forces : Interaction
        How particles interact.
    number_density : float
        Of particles.
    stages : sequence of (kT, steps)
        Temperatures, one after the other; the last one's timesteps pass before each frame.
    dt : float
        Timestep for a particle of mass 1.
    n_particles, seed : int
        Number of particles; seed of their positions and of the thermostat.
    composition : sequence of float
        Share of each type.
    n_frames : int
        Number of frames.
    minimized : bool
        Whether frames are minima of the energy.
    """
    rng = np.random.default_rng(seed)
    start = _random(n_particles, number_density, rng)
    counts = np.round(np.cumsum([0.0, *composition]) * n_particles).astype(int)
    types = rng.permutation(np.repeat(np.arange(len(composition)), np.diff(counts)))
    start = _apart(start._replace(types=types), 0.9 / number_density ** (1 / 3))
    motion = Dynamics(start, forces, dt, seed)
    motion.minimize(_ITERATIONS)
    *first, (kT, steps) = stages
    for stage_kT, stage_steps in first:
        motion.run(stage_kT, int(stage_steps))
    for _ in range(n_frames):
        system = motion.run(kT, int(steps))
        yield uniform("", motion.minimize() if minimized else system, DISORDERED)


def model_fluid(potential: Mapping[str, Any], **how: Any) -> Iterator[Sample]:
    """Yield frames of a :func:`fluid` of a model potential, named by its ``form``."""
    return fluid(interaction(potential), **how)


def melt(
    form: str, symbol: str, density: float, fractions: Sequence[Sequence[float]], **how: Any
) -> Iterator[Sample]:
    """Yield frames of a liquid element.

    Parameters
    ----------
    form, symbol : str
        Kind of potential, and element.
    density : float
        In units of that of the crystal.
    fractions : sequence of (float, int)
        Stages, temperatures in units of the melting temperature.
    **how
        As :func:`fluid` takes them.
    """
    it = ELEMENTS[form][symbol]
    stages = [(part * it.melting * BOLTZMANN, steps) for part, steps in fractions]
    forces = interaction({"form": form, "symbol": symbol})
    return fluid(forces, density / it.volume, stages, **how)


def packing(
    diameters: Sequence[float], packing_fraction: float, n_particles: int, seed: int
) -> Iterator[Sample]:
    """Yield a jammed packing: random spheres of equal shares whose overlaps are minimized.

    Parameters
    ----------
    diameters : sequence of float
        Of the kinds of spheres.
    packing_fraction : float
        Above that of random close packing.
    n_particles, seed : int
        Number of spheres, and seed of their positions.
    """
    rng = np.random.default_rng(seed)
    sizes = np.array(diameters)
    volume = np.pi / 6 * float((sizes**3).mean())
    start = _random(n_particles, packing_fraction / volume, rng)
    start = start._replace(types=np.arange(n_particles) % len(sizes))
    sigma = (sizes[:, None] + sizes) / 2
    spheres = pair(_SOFT, 1.0, sigma.tolist(), (100 * np.ones_like(sigma)).tolist())
    yield uniform("", Dynamics(start, spheres, 0.005, seed).minimize(), DISORDERED)


def points(n_particles: int, seed: int) -> Iterator[Sample]:
    """Yield random points."""
    yield uniform("", _random(n_particles, 1.0, np.random.default_rng(seed)), DISORDERED)


#: Clusters of touching spheres, diameter 1.
_CLUSTERS = (
    np.array([[0, 0, 0], [1, 0, 0]], float),
    np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / 8**0.5,
    np.concatenate([np.eye(3), -np.eye(3)]) / 2**0.5,
)


def clusters(number_density: float, n_particles: int, seed: int) -> Iterator[Sample]:
    """Yield an ideal gas of pairs, tetrahedra and octahedra of particles in random orientation."""
    rng = np.random.default_rng(seed)
    members = [_CLUSTERS[i % len(_CLUSTERS)] for i in range(n_particles // 4)]
    total = sum(map(len, members))
    centers = _random(len(members), number_density * len(members) / total, rng)
    turned = [
        turn.apply(cluster) + center
        for cluster, center, turn in zip(
            members, centers.positions, Rotation.random(len(members), rng=rng), strict=True
        )
    ]
    system = System(np.concatenate(turned), centers.box, np.zeros(total, np.int64))
    yield uniform("", system, DISORDERED)


#: Lennard-Jones potential cut at its minimum (Weeks, Chandler and Andersen, 1971).
_WCA = ("4*(x^-12-x^-6)+1", 1.122462)


def molecules(
    beads: int,
    ring: bool,
    angle_stiffness: float,
    number_density: float,
    kT: float,
    steps: int,
    n_particles: int,
    seed: int,
) -> Iterator[Sample]:
    """Yield two frames of a fluid of molecules: chains or rings of repulsive beads.

    Parameters
    ----------
    beads : int
        Beads of a molecule, bonded at distance 1.
    ring : bool
        Whether the last is bonded to the first.
    angle_stiffness : float
        Of the angles of chains, which are straight at rest; 0 for flexible ones.
    number_density : float
        Of beads.
    kT : float
        Temperature in units of the repulsion.
    steps : int
        Timesteps before each frame.
    n_particles, seed : int
        Number of beads, and seed.
    """
    rng = np.random.default_rng(seed)
    n_molecules = n_particles // beads
    centers = _random(n_molecules, number_density / beads, rng)
    turns = Rotation.random(n_molecules, rng=rng)
    if ring:
        angles = 2 * np.pi * np.arange(beads) / beads
        shape = np.column_stack([np.cos(angles), np.sin(angles), 0 * angles])
        shape *= 0.5 / np.sin(np.pi / beads)
    else:
        shape = np.column_stack([np.arange(beads) - beads / 2, np.zeros((beads, 2))])
    positions = np.concatenate(
        [turns[i].apply(shape) + centers.positions[i] for i in range(n_molecules)]
    )
    bonds, bends = openmm.HarmonicBondForce(), openmm.HarmonicAngleForce()
    for force in (bonds, bends):
        force.setUsesPeriodicBoundaryConditions(True)
    for first in range(0, len(positions), beads):
        for i in range(beads if ring else beads - 1):
            bonds.addBond(first + i, first + (i + 1) % beads, 1.0, 400.0)
        for i in range(0 if ring or not angle_stiffness else beads - 2):
            bends.addAngle(first + i, first + i + 1, first + i + 2, np.pi, angle_stiffness)
    start = System(positions, centers.box, np.zeros(len(positions), np.int64))

    def more() -> list[openmm.Force]:
        # a force belongs to one system
        return [openmm.XmlSerializer.clone(force) for force in (bonds, bends)]

    soft = pair(_SOFT, 1.0, [[1.1]], [[50.0]])
    start = Dynamics(start, soft, 0.004, seed, more=more()).minimize()
    motion = Dynamics(start, pair(*_WCA), 0.004, seed, more=more())
    motion.minimize(_ITERATIONS)
    for _ in range(2):
        yield uniform("", motion.run(kT, steps), DISORDERED)


def water(
    forcefield: str, temperature: float, steps: int, n_particles: int, n_frames: int, seed: int
) -> Iterator[Sample]:
    """Yield oxygens of liquid water of a molecular model.

    Parameters
    ----------
    forcefield : str
        OpenMM's name of the model, such as ``"tip4pew"``.
    temperature : float
        In K; the density is that at 300 K.
    steps : int
        Timesteps of 2 fs before each frame.
    n_particles : int
        Number of molecules.
    n_frames, seed : int
        Number of frames, and seed.
    """
    field = app.ForceField(f"{forcefield}.xml")
    modeller = app.Modeller(app.Topology(), [] * unit.nanometer)
    model = "tip4pew" if "tip4p" in forcefield else "tip3p"
    modeller.addSolvent(field, model=model, numAdded=n_particles)
    edge = float(np.cbrt(n_particles / 33.4)) * unit.nanometer
    scale = edge / modeller.topology.getUnitCellDimensions()[0]
    positions = np.array(modeller.positions.value_in_unit(unit.nanometer))
    atoms = list(modeller.topology.atoms())
    oxygens = np.array([atom.index for atom in atoms if atom.name == "O"])
    owner = np.array([atom.residue.index for atom in atoms])
    # molecules move as a whole when the box shrinks to the density of water
    positions += positions[oxygens[owner]] * (scale - 1)
    modeller.topology.setUnitCellDimensions((edge, edge, edge))
    system = field.createSystem(
        modeller.topology, nonbondedMethod=app.PME, nonbondedCutoff=0.8 * unit.nanometer
    )
    integrator = openmm.LangevinMiddleIntegrator(temperature, 5.0, 0.002)
    integrator.setRandomNumberSeed(seed)
    context = openmm.Context(system, integrator, *pick_platform(threads=1))
    context.setPositions(positions)
    openmm.LocalEnergyMinimizer.minimize(context, 10.0, 200)
    length = edge.value_in_unit(unit.nanometer)
    box = np.array([length] * 3 + [0.0] * 3)
    for _ in range(n_frames):
        advance(integrator, steps)
        state = context.getState(getPositions=True)
        found: Array = state.getPositions(asNumpy=True).value_in_unit(unit.nanometer)
        kinds: NDArray[np.int64] = np.zeros(n_particles, np.int64)
        yield uniform("", System(np.array(found)[oxygens], box, kinds), DISORDERED)
