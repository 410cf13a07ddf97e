"""Disorder of many kinds to learn from: fluids, glasses, networks, salts, polymers, packings.

What is not crystalline looks different from one interaction to the next, and a classifier that saw
a few simple liquids takes the rest for crystals without a name. So every sample here has an
interaction of its own, drawn at random: soft and hard pair potentials with and without attraction,
for up to three sizes; screened ions; the three-body potential of Stillinger and Weber with its
preference for tetrahedra from none to more than carbon's; chains of beads; packings of spheres;
random points; and gases of clusters that do not touch. Systems are small, and quenched fast enough
that few crystallize; particles that did are no examples of disorder (see :func:`solid_like`).
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import freud
import gsd.hoomd
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor
from tqdm.auto import tqdm

from hoomd_gala.files.atomic import replacing
from hoomd_gala.files.trajectories import make_frame, open_trajectory
from hoomd_gala.systems import System, as_system, make_system

#: Particles of a sample, and frames that are kept of it.
N_PARTICLES, N_FRAMES = 1000, 8
#: Timesteps of a run, their length, and the friction of the thermostat.
N_STEPS, TIMESTEP, FRICTION = 4000, 0.005, 1.0
#: How far particles move until neighbors are searched for again, and farthest in one step.
SKIN, FARTHEST = 0.3, 0.08
#: Distance to which particles are pushed apart before potentials act.
SHORTEST = 0.7

#: Distance of the minimum of attractive pair energies, as that of Lennard-Jones.
_MINIMUM = 2 ** (1 / 6)

#: Energy of all pairs, from their distances and the types of both; (n,) each.
PairEnergy = Callable[[Tensor, Tensor, Tensor], Tensor]


class Interaction(NamedTuple):
    """What acts between particles.

    Attributes
    ----------
    pair : callable
        Energy of pairs.
    r_cut : float
        Distance from which pairs do not interact.
    tetrahedral : float
        Strength of the three-body term of Stillinger and Weber, 0 for none.
    bonds : (n, 2) int64
        Pairs of beads that a spring connects.
    """

    pair: PairEnergy
    r_cut: float
    tetrahedral: float = 0.0
    bonds: Tensor | None = None


def _pairs(positions: Tensor, edge: float, reach: float) -> tuple[Tensor, Tensor]:
    """Both particles of each pair within reach in a cubic box, each pair once."""
    wrapped = np.mod(positions.detach().numpy(), edge)
    found = cKDTree(np.minimum(wrapped, np.nextafter(edge, 0)), boxsize=edge).query_pairs(
        reach, output_type="ndarray"
    )
    pairs = torch.from_numpy(found.astype(np.int64))
    return pairs[:, 0], pairs[:, 1]


def _separation(positions: Tensor, first: Tensor, second: Tensor, edge: float) -> Tensor:
    """(n, 3) vectors from one particle to the other, of the nearest images."""
    apart = positions[second] - positions[first]
    return apart - edge * torch.round(apart / edge)


def _three_body(bonds: Tensor, first: Tensor, second: Tensor, n: int) -> Tensor:
    r"""Three-body energy of Stillinger and Weber (PRB 31, 5262 (1985)), with λ = 1.

    The sum over triplets of :math:`g_j g_k (\cos\theta_{jik} + 1/3)^2` is one of squares of sums
    over pairs, of :math:`g u u^T`, :math:`g u` and :math:`g`, less what each neighbor has with
    itself.
    """
    r = bonds.norm(dim=-1)
    near = r < 1.8
    bonds, r, first, second = bonds[near], r[near], first[near], second[near]
    unit = bonds / r[:, None]
    g = torch.exp(1.2 / (r - 1.8).clamp(max=-1e-3))
    upper = torch.triu_indices(3, 3)
    products = unit[:, upper[0]] * unit[:, upper[1]]
    one = torch.ones_like(g)[:, None]
    even = torch.cat((products, one, g[:, None]), dim=1) * g[:, None]
    odd = unit * g[:, None]
    sums = torch.zeros(n, 11, dtype=bonds.dtype)
    sums = sums.index_add(0, first, torch.cat((even, odd), dim=1))
    sums = sums.index_add(0, second, torch.cat((even, -odd), dim=1))
    weight = torch.tensor([1.0, 2, 2, 1, 2, 1], dtype=bonds.dtype)
    squares, total, own, vector = sums[:, :6] ** 2, sums[:, 6], sums[:, 7], sums[:, 8:]
    everyone = (squares @ weight) + 2 / 3 * (vector**2).sum(-1) + total**2 / 9
    return 0.5 * (everyone - 16 / 9 * own).sum()


def _forces(
    positions: Tensor, types: Tensor, pairs: tuple[Tensor, Tensor], edge: float, what: Interaction
) -> Tensor:
    moving = positions.detach().requires_grad_(True)
    bonds = _separation(moving, *pairs, edge)
    squared = (bonds**2).sum(-1)
    near = squared < what.r_cut**2
    first, second = pairs[0][near], pairs[1][near]
    bonds = bonds[near]
    # two particles at one place have no direction in which to part
    r = (squared[near] + 1e-8).sqrt()
    energy = what.pair(r, types[first], types[second]).sum()
    if what.tetrahedral:
        energy = energy + what.tetrahedral * _three_body(bonds, first, second, len(types))
    if what.bonds is not None:
        length = (_separation(moving, what.bonds[:, 0], what.bonds[:, 1], edge) ** 2).sum(-1).sqrt()
        energy = energy + 150 * ((length - 0.97) ** 2).sum()
    (gradient,) = torch.autograd.grad(energy, moving)
    return -gradient


def run(
    positions: Tensor,
    types: Tensor,
    edge: float,
    what: Interaction,
    temperatures: NDArray[np.float64],
    rng: np.random.Generator,
    n_frames: int,
) -> Iterator[System]:
    """Langevin dynamics, after overlaps are removed; yields frames at equal intervals.

    Parameters
    ----------
    positions : (N, 3)
        At the start, in a cubic box with one corner at the origin.
    types : (N,) int64
        Types of the particles.
    edge : float
        Of the box.
    what : Interaction
        What acts between particles.
    temperatures : (n,)
        kT of each step.
    rng : numpy.random.Generator
        Of the thermostat.
    n_frames : int
        Number of frames; the last one is at the end.
    """
    noise = torch.Generator().manual_seed(int(rng.integers(2**31)))
    velocities = torch.zeros_like(positions)
    searched, pairs = positions, _pairs(positions, edge, what.r_cut + SKIN)

    def forces(where: Tensor, acting: Interaction = what) -> Tensor:
        nonlocal searched, pairs
        if ((where - searched) ** 2).sum(-1).max() > (SKIN / 2) ** 2:
            searched, pairs = where, _pairs(where, edge, what.r_cut + SKIN)
        return _forces(where, types, pairs, edge, acting)

    apart = Interaction(lambda r, *_: 100 * (SHORTEST - r).clamp(min=0) ** 2, SHORTEST)
    for relax, steps in ((apart, 100), (what, 200)):
        for _ in range(steps):
            push = forces(positions, relax)
            positions = positions + (0.002 * push).clamp(-0.03, 0.03)
    force = forces(positions)
    keep = len(temperatures) // n_frames
    decay = float(np.exp(-FRICTION * TIMESTEP))
    for step, kT in enumerate(temperatures, start=1):
        # half a kick, half a drift, the thermostat, and both again (Leimkuhler and Matthews)
        velocities = velocities + 0.5 * TIMESTEP * force
        moved = 0.5 * TIMESTEP * velocities
        kicks = torch.randn(velocities.shape, generator=noise, dtype=velocities.dtype)
        velocities = decay * velocities + np.sqrt(kT * (1 - decay**2)) * kicks
        moved = moved + 0.5 * TIMESTEP * velocities
        positions = positions + moved.clamp(-FARTHEST, FARTHEST)
        force = forces(positions)
        velocities = velocities + 0.5 * TIMESTEP * force
        if step % keep == 0:
            yield _system(np.mod(positions.numpy().astype(np.float64), edge), types, edge)


def _sizes(rng: np.random.Generator) -> tuple[Tensor, Tensor, NDArray[np.float64]]:
    """Lengths and depths (n, n) of the interactions of n species, and their shares (n,)."""
    n = int(rng.choice([1, 2, 3], p=[0.3, 0.45, 0.25]))
    sizes = np.exp(rng.uniform(-0.3, 0.3, n))
    mixing = 1 + np.triu(rng.uniform(-0.25, 0.08, (n, n)), 1)
    lengths = 0.5 * (sizes[:, None] + sizes) * mixing * mixing.T
    depths = np.exp(np.triu(rng.uniform(-0.5, 0.6, (n, n))))
    depths = np.triu(depths) + np.triu(depths, 1).T
    shares = rng.dirichlet(np.full(n, 2.0))
    # one unit of length per particle, however they mix
    lengths /= np.cbrt(shares @ lengths**3 @ shares)
    return torch.from_numpy(lengths).float(), torch.from_numpy(depths).float(), shares


def _form(rng: np.random.Generator) -> tuple[Callable[[Tensor], Tensor], float, float]:
    """Draw a pair energy of distances in units of the size, its cutoff, and the lowest kT.

    Repulsion by a power, Yukawa's or Hertz's; attraction of Mie or Morse; two wells, of
    Lennard-Jones and of Gauss (Engel and Trebin, PRL 98, 225505 (2007)); oscillations as in metals
    (Mihalkovič and Henley, PRB 85, 092102 (2012)).
    """
    kinds = ["power", "yukawa", "hertz", "mie", "morse", "wells", "oscillating"]
    kind = rng.choice(kinds, p=[0.16, 0.12, 0.1, 0.28, 0.14, 0.1, 0.1])
    if kind == "power":
        n = float(rng.uniform(5, 30))
        return (lambda x: x**-n), float(min(3.0, 1e3 ** (1 / n))), 0.15
    if kind == "yukawa":
        kappa = float(rng.uniform(1.5, 6))
        return (lambda x: torch.exp(kappa * (1 - x)) / x), min(3.0, 1 + 6 / kappa), 0.05
    if kind == "hertz":
        return (lambda x: 100 * (1 - x).clamp(min=0) ** 2.5), 1.0, 0.01
    if kind == "mie":
        n, m = (float(rng.uniform(*bounds)) for bounds in ((9, 24), (4, 7)))
        scale, least = n / (n - m) * (n / m) ** (m / (n - m)), (n / m) ** (1 / (n - m))
        wide = least / _MINIMUM
        return (lambda x: scale * ((wide * x) ** -n - (wide * x) ** -m)), 2.5, 0.1
    if kind == "morse":
        alpha = float(rng.uniform(3, 8))

        def morse(x: Tensor) -> Tensor:
            fall = torch.exp(-alpha * (x.clamp(min=0.4) - _MINIMUM))
            return fall**2 - 2 * fall

        return morse, 2.5, 0.1
    if kind == "wells":
        depth, place = (float(rng.uniform(*bounds)) for bounds in ((0.3, 2.0), (1.2, 2.0)))

        def wells(x: Tensor) -> Tensor:
            y = x / _MINIMUM
            return y**-12 - 2 * y**-6 - depth * torch.exp(-((y - place) ** 2) / 0.04)

        return wells, 2.8, 0.15
    k, phase = (float(rng.uniform(*bounds)) for bounds in ((4, 10), (0, 2 * np.pi)))

    def oscillating(x: Tensor) -> Tensor:
        y = x / _MINIMUM
        return y**-15 + torch.cos(k * (y - 1.25) - phase) * y**-3

    return oscillating, 2.8, 0.1


def _temperatures(low: float, rng: np.random.Generator, high: float = 1.6) -> NDArray[np.float64]:
    """KT of each step: a hot start, then a quench to somewhere above the lowest, and a hold.

    One in three ends near the lowest, as a glass.
    """
    warmest = 2 * low if rng.random() < 1 / 3 else high
    end = float(np.exp(rng.uniform(np.log(low), np.log(warmest))))
    start = max(end, high)
    hot, quench = N_STEPS // 6, int(N_STEPS * rng.uniform(0.1, 0.5))
    ramp = np.geomspace(start, end, quench)
    return np.concatenate((np.full(hot, start), ramp, np.full(N_STEPS - hot - quench, end)))


def _start(
    density: float, shares: NDArray[np.float64], rng: np.random.Generator
) -> tuple[Tensor, Tensor, float]:
    """Positions and types of random points in a cube, and its edge."""
    edge = float(np.cbrt(N_PARTICLES / density))
    positions = torch.from_numpy(rng.random((N_PARTICLES, 3)).astype(np.float32) * edge)
    types = torch.from_numpy(rng.choice(len(shares), N_PARTICLES, p=shares))
    return positions, types, edge


def _density(rng: np.random.Generator) -> float:
    """Draw a number density, mostly of a liquid, sometimes of a gas, droplets, or a gel."""
    return float(rng.uniform(0.7, 1.15) if rng.random() < 0.7 else rng.uniform(0.05, 0.7))


def mixture(rng: np.random.Generator) -> Iterator[System]:
    """Fluids and glasses of up to three species with a random pair potential."""
    lengths, depths, shares = _sizes(rng)
    form, x_cut, low = _form(rng)
    end = form(torch.tensor(x_cut, dtype=torch.float32))

    def pair(r: Tensor, one: Tensor, other: Tensor) -> Tensor:
        x = r / lengths[one, other]
        return depths[one, other] * (form(x.clamp(min=0.3)) - end) * (x < x_cut)

    what = Interaction(pair, x_cut * float(lengths.max()))
    positions, types, edge = _start(_density(rng), shares, rng)
    return run(positions, types, edge, what, _temperatures(low, rng), rng, N_FRAMES)


def salt(rng: np.random.Generator) -> Iterator[System]:
    """Melts and glasses of ions of two species with screened charges."""
    cations, anions = ((1, 1), (1, 2), (1, 1), (2, 3))[rng.integers(4)]
    shares = np.array([cations, anions]) / (cations + anions)
    charges = torch.tensor([1 / cations, -1 / anions])
    charges = charges / charges.prod().abs().sqrt()
    small = float(rng.uniform(0.45, 1.0))
    sizes = torch.tensor([small, 1.0], dtype=torch.float32)
    lengths = 0.5 * (sizes[:, None] + sizes)
    power, kappa, coupling = (float(rng.uniform(*b)) for b in ((8, 14), (0.3, 1.0), (2, 8)))

    def pair(r: Tensor, one: Tensor, other: Tensor) -> Tensor:
        x = r.clamp(min=0.15)
        screened = coupling * charges[one] * charges[other] * torch.exp(-kappa * x) / x
        return screened + 0.5 * (lengths[one, other] / x) ** power

    what = Interaction(pair, 3.0)
    volume = float(shares @ (lengths.numpy().diagonal() ** 3))
    positions, types, edge = _start(float(rng.uniform(0.55, 1.0)) / volume, shares, rng)
    temperatures = _temperatures(0.05, rng, coupling / 3)
    return run(positions, types, edge, what, temperatures, rng, N_FRAMES)


def network(rng: np.random.Generator) -> Iterator[System]:
    """Liquids and glasses of Stillinger and Weber, from metallic to tetrahedral."""
    strength = float(rng.uniform(10, 32))

    def pair(r: Tensor, one: Tensor, other: Tensor) -> Tensor:
        x = r.clamp(min=0.6)
        inside = x < 1.799
        smooth = torch.exp(1 / (x - 1.8).clamp(max=-1e-3))
        return 7.049556277 * (0.6022245584 * x**-4 - 1) * smooth * inside

    what = Interaction(pair, 1.8, strength)
    positions, types, edge = _start(float(rng.uniform(0.38, 0.6)), np.ones(1), rng)
    # melting is near 0.07 for silicon, with 21, and 0.09 for water, with 23
    return run(positions, types, edge, what, _temperatures(0.02, rng, 0.2), rng, N_FRAMES)


def chains(rng: np.random.Generator) -> Iterator[System]:
    """Melts and solutions of chains of beads."""
    length = int(rng.choice([2, 3, 5, 10, 20, 50]))
    form, x_cut, low = _form(rng)
    density = _density(rng)
    edge = float(np.cbrt(N_PARTICLES / density))
    steps = rng.normal(size=(N_PARTICLES, 3))
    steps *= 0.97 / np.linalg.norm(steps, axis=1, keepdims=True)
    steps[::length] = rng.random((len(steps[::length]), 3)) * edge
    walks = [np.cumsum(part, axis=0) for part in np.split(steps, range(length, len(steps), length))]
    follows = np.flatnonzero(np.arange(N_PARTICLES) % length)
    bonds = torch.from_numpy(np.stack((follows - 1, follows), axis=1))

    def pair(r: Tensor, one: Tensor, other: Tensor) -> Tensor:
        return form(r.clamp(min=0.4)) * (r < x_cut)

    what = Interaction(pair, x_cut, bonds=bonds)
    positions = torch.from_numpy(np.concatenate(walks).astype(np.float32))
    types = torch.zeros(N_PARTICLES, dtype=torch.int64)
    temperatures = _temperatures(max(low, 0.2), rng)
    return run(positions, types, edge, what, temperatures, rng, N_FRAMES)


def packing(rng: np.random.Generator) -> Iterator[System]:
    """Packings of spheres, jammed or not: overlaps of random points, minimized."""
    for _ in range(N_FRAMES):
        lengths, _, shares = _sizes(rng)
        if rng.random() < 0.5:
            lengths, shares = torch.ones(1, 1, dtype=torch.float32), np.ones(1)
        # mostly around jamming
        fraction = float(rng.uniform(0.56, 0.76) if rng.random() < 0.6 else rng.uniform(0.1, 0.85))

        def pair(r: Tensor, one: Tensor, other: Tensor, lengths: Tensor = lengths) -> Tensor:
            return 50 * (1 - r / lengths[one, other]).clamp(min=0) ** 2

        what = Interaction(pair, float(lengths.max()))
        positions, types, edge = _start(6 * fraction / np.pi, shares, rng)
        cold = np.full(1200, 1e-9)
        yield from run(positions, types, edge, what, cold, rng, 1)


def points(rng: np.random.Generator) -> Iterator[System]:
    """Random points, and crystals displaced by so much that nothing is left of them."""
    for i in range(N_FRAMES):
        positions, types, edge = _start(1.0, np.ones(1), rng)
        if i % 2:
            n = round(N_PARTICLES ** (1 / 3))
            grid = np.stack(np.meshgrid(*[np.arange(n)] * 3), -1).reshape(-1, 3)
            moves = rng.normal(scale=rng.uniform(0.4, 0.8), size=grid.shape)
            positions = torch.from_numpy(grid + moves)
            types, edge = torch.zeros(len(grid), dtype=torch.int64), float(n)
        yield _system(np.mod(positions.numpy(), edge), types, edge)


def molecules(rng: np.random.Generator) -> Iterator[System]:
    """Gases of small compact clusters, chains and rings that do not touch."""
    for _ in range(N_FRAMES):
        size = int(rng.integers(2, 40))
        loose = float(rng.uniform(0.95, 2.0))
        shapes = []
        for _ in range(N_PARTICLES // size):
            shape = np.zeros((1, 3))
            while len(shape) < size:
                step = rng.normal(size=3)
                # from any particle of a compact cluster, from the last of a chain
                base = shape[rng.integers(len(shape))] if loose < 1.5 else shape[-1]
                place = base + step / np.linalg.norm(step)
                if np.linalg.norm(shape - place, axis=1).min() > 0.9:
                    shape = np.concatenate((shape, place[None]))
            shapes.append(shape - shape.mean(axis=0))
        n = int(np.ceil(len(shapes) ** (1 / 3)))
        spacing = 2 * max(np.linalg.norm(s, axis=1).max() for s in shapes) + rng.uniform(1, 6)
        grid = np.stack(np.meshgrid(*[np.arange(n)] * 3), -1).reshape(-1, 3)[: len(shapes)]
        centers = (grid + rng.uniform(-0.2, 0.2, grid.shape)) * spacing
        positions = np.concatenate([c + s for c, s in zip(centers, shapes, strict=True)])
        yield _system(np.mod(positions, n * spacing), torch.zeros(len(positions)), n * spacing)


#: Samples of disorder, by what they are of.
KINDS: dict[str, Callable[[np.random.Generator], Iterator[System]]] = {
    "mixture": mixture,
    "salt": salt,
    "network": network,
    "chains": chains,
    "packing": packing,
    "points": points,
    "molecules": molecules,
}


def _system(positions: NDArray[np.float64], types: Tensor, edge: float) -> System:
    box = [edge, edge, edge, 0, 0, 0]
    return make_system(positions - edge / 2, box, types.numpy().astype(np.int64))


def write(path: Path, kind: str, seed: int) -> None:
    """Write samples of one of :data:`KINDS`, of an interaction that depends on the seed."""
    rng = np.random.default_rng([seed, list(KINDS).index(kind)])
    with replacing(path) as part, gsd.hoomd.open(part, "w") as file:
        samples = tqdm(KINDS[kind](rng), f"disorder {kind} {seed}", N_FRAMES, unit="frame")
        for step, system in enumerate(samples):
            file.append(make_frame(system, step))


def read(path: Path) -> list[System]:
    """Read what :func:`write` wrote, with types 0 for particles that are solid-like and else 1."""
    with open_trajectory(path) as frames:
        systems = [as_system(frame) for frame in frames]
    return [system._replace(types=(~solid_like(system)).astype(np.int64)) for system in systems]


def read_all(files: Sequence[tuple[str, Path]]) -> Iterator[tuple[str, list[System]]]:
    """Read several, each with its kind."""
    for kind, path in tqdm(files, desc="read disorder", unit="file"):
        yield kind, read(path)


def solid_like(system: System) -> NDArray[np.bool_]:
    """Which particles (N,) have the order of a crystal around them, whatever its structure.

    By the coherence of bond orders with the neighbors (ten Wolde, Ruiz-Montero and Frenkel, J.
    Chem. Phys. 104, 9932 (1996)): of degree 6 with at least 9 of the 12 nearest, or of degree 3
    with at least 3 of the 4 nearest, in diamond of any stacking (CHILL+, Nguyen and Molinero, J.
    Phys. Chem. B 119, 9369 (2015)), and so for at least 3 of these neighbors, as liquids have
    single particles that are like that.
    """
    box = freud.Box(*system.box)
    positions = box.wrap(np.asarray(system.positions))

    def coherent(degree: int, near: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Coherences and neighbors, (N, n)."""
        query = freud.locality.AABBQuery(box, positions).query(
            positions, {"num_neighbors": near, "exclude_ii": True}
        )
        bonds = query.toNeighborList()
        order = freud.order.Steinhardt(l=degree)
        order.compute((box, positions), neighbors=bonds)
        harmonics = order.particle_harmonics
        harmonics = harmonics / np.linalg.norm(harmonics, axis=1, keepdims=True)
        first, second = bonds.query_point_indices, bonds.point_indices
        coherence = np.einsum("ij,ij->i", harmonics[first], harmonics[second].conj()).real
        return coherence.reshape(-1, near), second.reshape(-1, near).astype(np.int64)

    packed, _ = coherent(6, 12)
    staggered, neighbors = coherent(3, 4)
    tetrahedral = (staggered < -0.8).sum(axis=1) >= 3
    solid: NDArray[np.bool_] = (packed > 0.7).sum(axis=1) >= 9
    solid |= tetrahedral & (tetrahedral[neighbors].sum(axis=1) >= 3)
    return solid
