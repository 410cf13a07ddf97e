"""Crystals with defects, and which of their particles are still those of the crystal."""

from collections.abc import Iterator, Sequence

import numpy as np
from ase.cluster import Decahedron, Icosahedron
from numpy.typing import NDArray
from scipy.spatial import KDTree

from hoomd_gala.crystals.prototypes import displace
from hoomd_gala.crystals.stackings import is_cubic, stack
from hoomd_gala.neighbors.environments import nearest_neighbors
from hoomd_gala.systems import Array, System
from study.simulation.dynamics import Dynamics
from study.simulation.forces import BOLTZMANN, ELEMENTS, interaction
from study.simulation.ideal import perfect
from study.simulation.samples import UNNAMED, Sample, uniform
from study.solids import polycrystals, references

#: Particles closer than this, in units of the shortest distance, to a foreign one are not judged.
_TOUCHING = 1.25


def _moved(sample: Sample, levels: Sequence[float], seed: int) -> Iterator[Sample]:
    """Yield a sample with independent displacements, at each level."""
    rng = np.random.default_rng([seed, 1])
    for level in levels:
        name = f"{sample.name}, displaced {100 * level:g} %"
        yield sample._replace(name=name, system=displace(sample.system, level, rng))


def _kept(system: System, keep: NDArray[np.bool_]) -> System:
    return system._replace(positions=system.positions[keep], types=system.types[keep])


def vacancies(
    structure: str, shares: Sequence[float], levels: Sequence[float], n_particles: int, seed: int
) -> Iterator[Sample]:
    """Yield a crystal without some of its particles; all others are judged.

    Parameters
    ----------
    structure : str
        Unit cell.
    shares : sequence of float
        Of particles that are missing.
    levels : sequence of float
        Root-mean-square displacements, in shortest distances.
    n_particles, seed : int
        Fewest particles, and seed.
    """
    rng = np.random.default_rng(seed)
    still = perfect(structure, n_particles)
    for share in shares:
        keep = rng.random(len(still.positions)) >= share
        name = f"{100 * share:g} % vacancies"
        yield from _moved(uniform(name, _kept(still, keep), structure), levels, seed)


def interstitials(
    structure: str, shares: Sequence[float], levels: Sequence[float], n_particles: int, seed: int
) -> Iterator[Sample]:
    """Yield a crystal with particles in its largest holes; these and what they touch do not count.

    Takes what :func:`vacancies` takes, with the shares of particles that are added.
    """
    rng = np.random.default_rng(seed)
    still = perfect(structure, n_particles)
    n = len(still.positions)
    for share in shares:
        added: list[Array] = []
        while len(added) < share * n:
            trial = rng.uniform(-0.5, 0.5, (4000, 3)) * still.box[:3]
            distance = _tree(still).query(_wrapped(still, trial))[0]
            added.append(trial[distance.argmax()])
        system = System(
            np.concatenate([still.positions, added]), still.box, np.zeros(n + len(added), np.int64)
        )
        near = _tree(system._replace(positions=np.array(added))).query(
            _wrapped(system, system.positions)
        )[0]
        sample = uniform(f"{100 * share:g} % interstitials", system, structure)
        yield from _moved(sample._replace(judged=near > _TOUCHING), levels, seed)


def _wrapped(system: System, points: Array) -> Array:
    """Points in [0, L) of a system's rectangular box."""
    edges = system.box[:3]
    # rounding may put a point on the far face
    return np.asarray(np.minimum(np.mod(points, edges), edges * (1 - 1e-12)))


def _tree(system: System) -> KDTree:
    """Periodic search tree of a system in a rectangular box."""
    return KDTree(_wrapped(system, system.positions), boxsize=system.box[:3])


# ---- layers ----


def stacking(
    sequence: str, levels: Sequence[float], side: int, seed: int, diamond: bool = False
) -> Iterator[Sample]:
    """Yield close-packed layers in a sequence such as ``"ABCABC"``, which is periodic.

    A layer between two equal ones is hexagonal, any other cubic.

    Parameters
    ----------
    sequence : str
        Of layers, A, B or C.
    levels : sequence of float
        Root-mean-square displacements, in shortest distances.
    side : int
        Particles along an edge of a layer.
    seed : int
        Of the displacements.
    diamond : bool
        Put the two particles of the diamond structure on each site.
    """
    kinds = np.array(["ABC".index(letter) for letter in sequence])
    system = stack(kinds, side, diamond)
    cubic, hexagonal = ("cF8-C", "hP4-C.3") if diamond else ("cF4-Cu", "hP2-Mg")
    truth = np.where(is_cubic(kinds), cubic, hexagonal)[system.types]
    yield from _moved(uniform(sequence, system, "")._replace(truth=truth), levels, seed)


# ---- boundaries and surfaces ----


def boundary(
    form: str, symbol: str, structure: str, thickness: int, depth: int, fractions: Sequence[float],
    steps: int, dt: float, seed: int,
) -> Iterator[Sample]:  # fmt: skip
    """Yield a bicrystal with two symmetric boundaries Σ5 (310) [001], relaxed and heated.

    Parameters
    ----------
    form, symbol : str
        Kind of potential, and element; see :mod:`study.simulation.forces`.
    structure : str
        fcc or bcc unit cell.
    thickness, depth : int
        Cells of the coincidence lattice across a grain, and along the boundary.
    fractions : sequence of float
        Temperatures in units of that of melting; 0 is minimized.
    steps, dt, seed
        Timesteps before a sample, their length, and seed of the thermostat.
    """
    it = ELEMENTS[form][symbol]
    basis = {
        "cF4-Cu": [(0, 0, 0), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)],
        "cI2-W": [(0, 0, 0), (0.5, 0.5, 0.5)],
    }[structure]
    # the coincidence lattice has the edges √10, √10 and 1, in lattice constants
    edges = np.array([2 * thickness * 10**0.5, depth * 10**0.5, 3 * depth]) * it.a
    across = np.arange(-4 * (thickness + depth), 4 * (thickness + depth))
    cells = np.stack(np.meshgrid(across, across, np.arange(3 * depth), indexing="ij"), -1)
    cubic = (cells.reshape(-1, 1, 3) + np.array(basis)).reshape(-1, 3) * it.a
    turned = cubic @ (np.array([[3, 1, 0], [-1, 3, 0], [0, 0, 10**0.5]]) / 10**0.5).T
    x, y, _ = turned.T
    inside = (x > -1e-6) & (x < edges[0] / 2 + 1e-6) & (y > -1e-6) & (y < edges[1] - 1e-6)
    grain = turned[inside]
    # the second grain is the mirror image of the first
    both = np.concatenate([grain, grain * [-1, 1, 1]])
    box = np.array([*edges, 0, 0, 0])
    system = System(both, box, np.zeros(len(both), np.int64))
    close = _tree(system).query_pairs(0.75 * it.distance, output_type="ndarray")
    system = _kept(system, ~np.isin(np.arange(len(both)), close[:, 1]))
    how = (interaction({"form": form, "symbol": symbol}), dt, seed)
    relaxed = Dynamics(system, *how).minimize()
    # the planes x = 0 and x = L / 2 are the boundaries; two layers at each belong to them
    half = edges[0] / 2
    beyond = np.abs(system.positions[:, 0])
    judged = np.minimum(beyond, half - beyond) > 1.5 * it.distance
    for fraction in fractions:
        kT = fraction * it.melting * BOLTZMANN
        now = Dynamics(relaxed, *how).run(kT, steps) if fraction else relaxed
        sample = uniform(f"{fraction:g} of melting", now, structure)
        yield sample._replace(judged=judged)


def _bonded(system: System, structure: str) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Which of their 20 nearest neighbors belong to the shells that name a crystal, (N, 20).

    Also returns the neighbors, (N, 20). The shells end at the first gap after 12 neighbors.
    """
    ideal = perfect(structure, 200)
    lengths = np.sort(np.linalg.norm(nearest_neighbors(*ideal[:2]).bonds, axis=-1)[0])
    last = 11 + int(np.flatnonzero(np.diff(lengths[11:]) > 0.05)[0])
    bonds, neighbors = nearest_neighbors(*system[:2])
    reach = lengths[last : last + 2].mean()
    return np.linalg.norm(bonds, axis=-1) < reach, neighbors


def _whole(system: System, structure: str) -> NDArray[np.bool_]:
    """Particles with all the neighbors that they have in the perfect crystal, (N,)."""
    expected = _bonded(perfect(structure, 200), structure)[0][0].sum()
    return np.asarray(_bonded(system, structure)[0].sum(axis=1) == expected)


def slab(structure: str, levels: Sequence[float], n_particles: int, seed: int) -> Iterator[Sample]:
    """Yield a crystal between two surfaces; particles with all of their neighbors are judged.

    Takes what :func:`vacancies` takes, without shares.
    """
    still = perfect(structure, n_particles)
    box = still.box * np.array([1, 1, 2, 1, 1, 1])
    cut = still._replace(box=box)
    sample = uniform("slab", cut, structure)._replace(judged=_whole(cut, structure))
    yield from _moved(sample, levels, seed)


def nanoparticle(shape: str, size: int, levels: Sequence[float], seed: int) -> Iterator[Sample]:
    """Yield an icosahedral or decahedral particle of twinned fcc in vacuum.

    The truth is what common neighbor analysis finds before displacements: fcc, hcp on the twin
    planes, and no crystal on the fivefold axes. Surfaces are not judged.

    Parameters
    ----------
    shape : str
        ``"icosahedral"`` or ``"decahedral"``.
    size : int
        Shells of the icosahedron, or atoms along an edge of the decahedron.
    levels, seed
        As :func:`vacancies` takes them.
    """
    if shape == "icosahedral":
        atoms = Icosahedron("Cu", size, latticeconstant=2**0.5)
    else:
        atoms = Decahedron("Cu", size, size, 0, latticeconstant=2**0.5)
    points = atoms.positions - atoms.positions.mean(axis=0)
    edge = 2 * np.ptp(points, axis=0).max()
    system = System(points, np.array([edge] * 3 + [0] * 3), np.zeros(len(points), np.int64))
    labels = references.common_neighbor_analysis(system)
    truth = np.where(np.isin(labels, ("cF4-Cu", "hP2-Mg")), labels, UNNAMED)
    bonds = np.linalg.norm(nearest_neighbors(*system[:2]).bonds, axis=-1)
    inside = (bonds < 1.2).sum(axis=1) == 12
    sample = Sample(f"{shape}, {len(points)} atoms", system, truth, inside)
    yield from _moved(sample, levels, seed)


def grains(
    structure: str, n_grains: int, edge: float, levels: Sequence[float], seed: int
) -> Iterator[Sample]:
    """Yield a polycrystal; particles whose nearest neighbors are all of their grain are judged.

    Takes what :func:`study.solids.polycrystals.polycrystal` takes, for several levels.
    """
    for level in levels:
        made = polycrystals.polycrystal(structure, n_grains, edge, level, seed)
        near, neighbors = _bonded(made.system, structure)
        own = ((made.grain[neighbors] == made.grain[:, None]) | ~near).all(axis=1)
        own &= _whole(made.system, structure)
        name = f"{n_grains} grains, displaced {100 * level:g} %"
        yield uniform(name, made.system, structure)._replace(judged=own)
