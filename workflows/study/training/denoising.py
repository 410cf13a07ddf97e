"""How the shipped model ``denoise`` learns to take thermal displacements out of positions.

It learns from pairs: a sample as it is, and where its particles are to go. Samples are crystals of
any cell with thermal displacements of either kind, under strain, with vacancies, interstitials,
stacking faults, twins, surfaces and grain boundaries, and beside their melt; their particles are to
go where they were before they were displaced. That is not an ideal lattice but what the defect has
made of it: strain, bending and what relaxes around a vacancy stay. Particles of liquids and glasses
are to stay where they are: nothing says where else they would be.

Networks are trained on what they are used for, the displacements of particles that follow from all
environments together. What is compared is the error of each bond, so that a shift of a whole
region, which no environment can see, does not count. A part of the batches has been through some
steps of the network as it is, so that it learns to go on from its own mistakes.
"""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm.auto import tqdm

from hoomd_gala.crystals.prototypes import UnitCell, crystal, deform, scaled, unit_cell, unit_cells
from hoomd_gala.crystals.stackings import random_stacking
from hoomd_gala.denoising import corrections_by, displacements
from hoomd_gala.files.atomic import replacing
from hoomd_gala.files.models import Model, ModelInfo, pick_device, save_model
from hoomd_gala.learning.config import TrainingConfig
from hoomd_gala.learning.datasets import Data
from hoomd_gala.neighbors import nearest_distance
from hoomd_gala.neighbors.environments import N_NEIGHBORS, PeriodicTree, bond_units
from hoomd_gala.networks import CoreConfig, Denoiser, encode_types
from hoomd_gala.systems import Array, System, lattice_vectors
from study.training import disorder, samples
from study.training.curves import train_in
from study.training.names import DENOISER
from study.training.patchwork import Piece, fill
from study.training.twins import twinned_particle

#: Particles of a crystal and of a box of several pieces, and along an edge of a stacked layer.
N_BULK, N_PIECES, SIDE = 120, 600, 4

#: Largest strain along each of three axes.
STRAIN = 0.08

#: Largest relative change of distances by bending, and largest displacement of a vacancy's nearest
#: neighbors, in units of the shortest distance.
BENT, RELAXED = 0.04, 0.04

#: Displacement that errors are compared with, in units of the shortest distance: of disorder, and
#: added to that of a crystal, so that a cold one does not count for more than all others.
OF_DISORDER, LEAST = 0.1, 0.03

#: Shares of batches that have been through so many steps before.
STEPS_BEFORE = {0: 0.5, 1: 0.2, 2: 0.15, 4: 0.15}

#: Steps after which the validation also measures what is left.
MEASURED = 4

#: Types in samples with more than crystals: what belongs to none, and what does.
_MELT, _CRYSTAL = 0, 1


class Pair(NamedTuple):
    """A sample, and where its particles are to go.

    Attributes
    ----------
    system : System
        As it is, the shortest distance about 1.
    shifts : (N, 3)
        From where particles are to where they belong.
    judged : (N,) bool
        Whether that is known.
    amount : float
        Displacement in each direction, root mean square, that errors are compared with.
    """

    system: System
    shifts: Array
    judged: NDArray[np.bool_]
    amount: float


# ---- samples ----


@functools.lru_cache(maxsize=256)
def _perfect(cell: str, n: int = N_BULK) -> System:
    return crystal(unit_cell(cell), n)


def _heated(still: System, noise: float, rng: np.random.Generator) -> Pair:
    """Displace the crystals of a sample; what is none of it stays."""
    hot = samples.heat(still, noise, rng)
    moves = still.types == _CRYSTAL
    positions = np.where(moves[:, None], hot.positions, still.positions)
    # another origin, and the rounding of files: in a perfect crystal they decide which of equally
    # distant particles are neighbors
    origin = rng.uniform(-1, 1, 3)
    moved = positions + origin
    if rng.random() < 0.5:
        moved = moved.astype(np.float32).astype(np.float64)
    shifts = still.positions + origin - moved
    amount = float(np.sqrt((shifts[moves] ** 2).mean())) if moves.any() else OF_DISORDER
    everyone = np.ones(len(moved), bool)
    return Pair(still._replace(positions=moved), shifts, everyone, amount)


def _whole(system: System) -> System:
    """Mark all particles as a crystal's."""
    return system._replace(types=np.full(len(system.positions), _CRYSTAL))


def bend(system: System, rng: np.random.Generator) -> System:
    """Displace particles by a long wave, as boundaries and dislocations do around them."""
    lattice = lattice_vectors(system.box)
    wave = np.linalg.inv(lattice) @ np.eye(3)[rng.integers(3)]
    size = rng.uniform(0, BENT) / np.linalg.norm(2 * np.pi * wave)
    direction = rng.normal(size=3)
    direction *= size / np.linalg.norm(direction)
    phase = 2 * np.pi * (system.positions @ wave + rng.random())
    return system._replace(positions=system.positions + np.sin(phase)[:, None] * direction)


def with_vacancy(system: System, rng: np.random.Generator) -> System:
    """Leave out a particle; those around it move towards the hole, or away from it."""
    gone = int(rng.integers(len(system.positions)))
    found = PeriodicTree.build(system.positions, system.box).nearest([gone])
    bonds, near = found.bonds[0], found.neighbors[0]
    lengths = np.linalg.norm(bonds, axis=1, keepdims=True)
    move = rng.uniform(-RELAXED, RELAXED) * bonds / lengths * (lengths[0] / lengths) ** 2
    positions = system.positions.copy()
    np.add.at(positions, near, move)
    return system._replace(
        positions=np.delete(positions, gone, 0), types=np.delete(system.types, gone)
    )


def still_crystal(perfect: System, rng: np.random.Generator) -> System:
    """Return a crystal under strain, some bent or with point defects."""
    still = deform(_whole(perfect), samples.random_stretch(STRAIN, rng))
    kind = rng.random()
    if kind < 0.2:
        return bend(still, rng)
    if kind < 0.35:
        return with_vacancy(still, rng)
    if kind < 0.4:
        return _whole(samples.with_interstitials(still, rng))
    return still


def still_pieces(names: Sequence[str], melts: Sequence[System], rng: np.random.Generator) -> System:
    """Return a crystal with a surface, beside disorder, or in several grains."""
    name = names[int(rng.integers(len(names)))]
    perfect = _perfect(name)
    density = float(len(perfect.positions) / np.prod(perfect.box[:3]))
    edge = float(np.cbrt(N_PIECES / density))
    beside = rng.choice(["surface", "melt", "grains"], p=[0.2, 0.35, 0.45])
    pieces: list[Piece | None] = []
    for i in range(int(rng.integers(2, 4))):
        if i == 0 or beside == "grains":
            grain = deform(_whole(perfect), samples.random_stretch(STRAIN / 2, rng))
            pieces.append(Piece(grain, samples.COORDINATION))
        elif beside == "surface" or not melts:
            pieces.append(None)
        else:
            melt = melts[int(rng.integers(len(melts)))]
            labeled = melt._replace(types=np.full(len(melt.positions), _MELT))
            pieces.append(Piece(samples.at_density_of(labeled, density, rng), 0))
    centers = rng.uniform(0, edge, (len(pieces), 3))
    # what is left of a crystal at its boundary belongs where it is
    sample = fill(pieces, centers, edge, _CRYSTAL, _CRYSTAL, rng).system
    return samples.push_apart(sample, rng.uniform(0.8, 0.95))


class Plan(NamedTuple):
    """What is sampled for training.

    Attributes
    ----------
    common : sequence of str
        Unit cells of which there are more samples, stackings and pieces.
    noise : mapping of str to float
        Highest displacement in each direction, in units of the shortest distance: of "common" and
        "other" cells.
    others : sequence of UnitCell
        Random cells.
    left_out : sequence of str
        Unit cells that nothing is learned from.
    disorder : sequence of (str, Path)
        Kinds and trajectories of :mod:`~.disorder`.
    """

    common: Sequence[str]
    noise: Mapping[str, float]
    others: Sequence[UnitCell]
    left_out: Sequence[str]
    disorder: Sequence[tuple[str, Path]]


def commons(plan: Plan, n: int, rng: np.random.Generator) -> Iterator[Pair]:
    """Yield common crystals, stackings and twinned particles."""
    noise = plan.noise["common"]
    for i in range(n):
        for name in plan.common:
            still = still_crystal(_perfect(name), rng)
            yield _heated(still, samples.random_amount(noise, rng), rng)
        stacked = _whole(random_stacking(0, 0, i % 2 == 1, rng, SIDE))
        stretched = deform(stacked, samples.random_stretch(STRAIN / 2, rng))
        yield _heated(stretched, samples.random_amount(noise, rng), rng)
        if i % 4 == 0:
            twinned = _whole(twinned_particle(0, 0, 0, 0, rng))
            yield _heated(twinned, samples.random_amount(0.8 * noise, rng), rng)


def cells(plan: Plan, n: int, rng: np.random.Generator) -> Iterator[Pair]:
    """Yield all other crystals of the database but those left out."""
    for _ in range(n):
        for name in unit_cells():
            if name not in (*plan.common, *plan.left_out):
                still = still_crystal(_perfect(name), rng)
                yield _heated(still, samples.random_amount(plan.noise["other"], rng), rng)


def random_cells(plan: Plan, n: int, rng: np.random.Generator) -> Iterator[Pair]:
    """Yield crystals that are not in the database."""
    for _ in range(n):
        for cell in plan.others:
            still = still_crystal(crystal(cell, N_BULK), rng)
            yield _heated(still, samples.random_amount(plan.noise["other"], rng), rng)


def pieces(plan: Plan, n: int, rng: np.random.Generator) -> Iterator[Pair]:
    """Yield boxes of several pieces."""
    files = samples.with_density(plan.disorder)
    melts = [system for _, frames in disorder.read_all(files) for system in frames]
    for _ in range(n):
        still = still_pieces(plan.common, melts, rng)
        yield _heated(still, samples.random_amount(plan.noise["common"], rng), rng)


def disordered(plan: Plan, n: int, rng: np.random.Generator) -> Iterator[Pair]:
    """Yield n frames of each system of the disorder, some of them displaced, which are to stay."""
    for _, frames in disorder.read_all(plan.disorder):
        for i in rng.permutation(len(frames))[:n]:
            system = frames[i]
            system = scaled(system, 1 / nearest_distance(system.positions, system.box))
            positions = system.positions
            if rng.random() < 0.3:
                positions = positions + rng.normal(
                    scale=rng.uniform(0, OF_DISORDER), size=positions.shape
                )
            # where those belong that have crystallized is not known
            yield Pair(
                system._replace(positions=positions),
                np.zeros_like(positions),
                system.types == 1,
                OF_DISORDER,
            )


#: Parts of the data by name.
PARTS: dict[str, Callable[[Plan, int, np.random.Generator], Iterator[Pair]]] = {
    "common": commons,
    "cells": cells,
    "random": random_cells,
    "pieces": pieces,
    "disordered": disordered,
}


# ---- files of samples ----


def write(path: Path, pairs: Iterator[Pair], description: str) -> None:
    """Write samples as arrays, one after the other."""
    found = list(tqdm(pairs, desc=description, unit="sample"))
    with replacing(path) as part, part.open("wb") as file:
        np.savez(
            file,
            positions=np.concatenate([pair.system.positions for pair in found]),
            shifts=np.concatenate([pair.shifts for pair in found]).astype(np.float32),
            judged=np.concatenate([pair.judged for pair in found]),
            boxes=np.stack([pair.system.box for pair in found]),
            counts=np.array([len(pair.judged) for pair in found]),
            amounts=np.array([pair.amount for pair in found]),
        )


def read(path: Path) -> list[Pair]:
    """Read what :func:`write` wrote."""
    with np.load(path) as arrays:
        ends = np.cumsum(arrays["counts"])[:-1]
        parts = [np.split(arrays[name], ends) for name in ("positions", "shifts", "judged")]
        boxes, amounts = arrays["boxes"], arrays["amounts"]
    return [
        Pair(
            System(positions, box, np.zeros(len(positions), np.int64)),
            shifts,
            judged,
            float(amount),
        )
        for positions, shifts, judged, box, amount in zip(*parts, boxes, amounts, strict=True)
    ]


# ---- learning ----


class PairLoss:
    """Errors of bonds after a step, of samples that batches hold the numbers of.

    Parameters
    ----------
    pairs : sequence of Pair
        All samples.
    """

    def __init__(self, pairs: Sequence[Pair]) -> None:
        self._pairs = pairs

    def corrupt(self, batch: Data, generator: torch.Generator) -> Data:
        """Choose how many steps a batch has been through before."""
        shares = torch.tensor(list(STEPS_BEFORE.values()))
        chosen = int(torch.multinomial(shares, 1, generator=generator))
        steps = torch.full_like(batch["sample"], list(STEPS_BEFORE)[chosen])
        return batch | {"steps": steps}

    def __call__(self, network: nn.Module, batch: Data) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean squared error of the bonds of a batch, relative to the squared displacements."""
        assert isinstance(network, Denoiser)
        pairs = [self._pairs[i] for i in batch["sample"].tolist()]
        before = int(batch["steps"][0]) if "steps" in batch else 0
        positions = [pair.system.positions for pair in pairs]
        goals = [pair.system.positions + pair.shifts for pair in pairs]
        with torch.no_grad():
            for _ in range(before):
                positions = self._moved(network, pairs, positions)
        value = self._error(network, pairs, positions, goals)
        if network.training:
            return value, {}
        with torch.no_grad():
            for _ in range(MEASURED - 1):
                positions = self._moved(network, pairs, positions)
            return value, {f"after {MEASURED}": self._error(network, pairs, positions, goals)}

    def _step(
        self, network: Denoiser, pairs: Sequence[Pair], positions: Sequence[Array]
    ) -> tuple[Tensor, Tensor]:
        """Displacements (N, 3) of all samples together, and the neighbors (N, n)."""
        device = next(network.parameters()).device
        trees = [
            PeriodicTree.build(points, pair.system.box)
            for points, pair in zip(positions, pairs, strict=True)
        ]
        found = [tree.nearest(workers=torch.get_num_threads()) for tree in trees]
        starts = np.cumsum([0, *(len(points) for points in positions)])
        bonds = torch.from_numpy(np.concatenate([one.bonds for one in found])).to(device)
        joined = [one.neighbors + start for one, start in zip(found, starts[:-1], strict=True)]
        neighbors = torch.from_numpy(np.concatenate(joined)).to(device)
        total = int(starts[-1])
        blind = torch.zeros(total, N_NEIGHBORS, dtype=torch.int64, device=device)
        types = encode_types(blind[:, 0], blind, 1)
        corrections = corrections_by(network, bonds, types, bond_units(bonds).float())
        everyone = torch.arange(total, device=device)
        return displacements(corrections, everyone, neighbors, total), neighbors

    def _moved(
        self, network: Denoiser, pairs: Sequence[Pair], positions: Sequence[Array]
    ) -> list[Array]:
        """Positions after a step."""
        moves = self._step(network, pairs, positions)[0].double().cpu().numpy()
        ends = np.cumsum([len(points) for points in positions])[:-1]
        return [a + b for a, b in zip(positions, np.split(moves, ends), strict=True)]

    def _error(
        self,
        network: Denoiser,
        pairs: Sequence[Pair],
        positions: Sequence[Array],
        goals: Sequence[Array],
    ) -> Tensor:
        moved, neighbors = self._step(network, pairs, positions)
        wanted = np.concatenate([b - a for a, b in zip(positions, goals, strict=True)])
        error = moved - torch.from_numpy(wanted).to(moved)
        judged = torch.from_numpy(np.concatenate([pair.judged for pair in pairs])).to(moved.device)
        weights = np.concatenate(
            [np.full(len(p.judged), 1 / (p.amount**2 + LEAST**2)) for p in pairs]
        )
        both = judged[:, None] & judged[neighbors]
        weight = both * torch.from_numpy(weights).to(moved)[:, None]
        # of independent errors, that of a bond is twice that of a particle
        square = (error[neighbors] - error[:, None]).square().mean(-1) / 2
        return (weight * square).sum() / both.sum().clamp(min=1)


def learn(folder: Path, parameters: Mapping[str, Any], files: Mapping[str, Path]) -> None:
    """Train the network.

    Parameters
    ----------
    folder : Path
        Where model, checkpoint and learning curve go.
    parameters : mapping
        State point of the job.
    files : mapping of str to Path
        Samples by the part of the data that they are of.
    """
    pairs = [pair for path in files.values() for pair in read(path)]
    config = TrainingConfig(
        epochs=parameters["epochs"],
        batch_size=parameters["batch_size"],
        learning_rate=parameters["learning_rate"],
        validation_fraction=parameters["validation_fraction"],
        seed=parameters["seed"],
    )
    torch.manual_seed(config.seed)
    core = CoreConfig(
        width=parameters["width"],
        hidden=parameters["hidden"],
        blocks=parameters["blocks"],
        tied=True,
    )
    network = Denoiser(core).to(pick_device("auto"))
    loss = PairLoss(pairs)
    data: Data = {"sample": torch.arange(len(pairs))}
    learned = train_in(
        folder,
        "denoising",
        network,
        loss,
        data,
        config,
        measure="squared error / squared displacement",
        corrupt=loss.corrupt,
    )
    network.cpu().requires_grad_(False)
    card = {
        "loss": "mean squared error of a bond / squared displacement",
        "metrics": learned,
    }
    save_model(folder / DENOISER, Model(network, ModelInfo(core, (), card=card, task="denoising")))
