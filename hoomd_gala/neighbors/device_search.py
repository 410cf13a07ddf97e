"""Nearest neighbors on any device that torch runs on: :mod:`~.environments` for GPUs.

Particles are sorted into cells at least s wide, so that all neighbors nearer than s are in a
particle's own cell and those around it, periodic images included. A particle whose n-th neighbor
found is further away than s is searched again in larger cells, until none is left: exact at any
density, and a droplet needs few large cells and its vapor few small ones.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from ..systems import Array, check_finite, check_shape, plane_spacings, short_lattice
from .environments import GROWTH, N_NEIGHBORS, periodic_system, reach
from .environments import shortest_distance as of_lengths

#: Distances computed at a time; bounds the memory whatever the number of particles.
PAIRS = 1 << 24

#: Cells along an axis at most, so that all can be numbered.
_MOST_CELLS = 1 << 20


class Found(NamedTuple):
    """Environments of some particles.

    Attributes
    ----------
    particles : (m,) int64
        Indices of the particles.
    bonds : (m, n, 3) float64
        Vectors to the n nearest neighbors, nearest first.
    neighbors : (m, n) int64
        Indices of these neighbors.
    """

    particles: Tensor
    bonds: Tensor
    neighbors: Tensor


@dataclass(frozen=True)
class _Cells:
    """Particles in the order of their cells.

    ``order`` (N,) are the particles and ``places`` (N, 3) their positions; ``numbers``, ``starts``
    and ``counts`` (C,) describe the cells that are not empty, ``coordinates`` (C, 3) are their
    indices along each axis, and ``home`` (N,) is the cell of each particle. ``size`` (3,) is the
    number of cells along each axis.
    """

    width: float
    size: Tensor
    around: Tensor
    order: Tensor
    places: Tensor
    numbers: Tensor
    starts: Tensor
    counts: Tensor
    coordinates: Tensor
    home: Tensor


def _sort(fractional: Tensor, lattice: Array, width: float) -> _Cells:
    device = fractional.device
    spacings = plane_spacings(lattice)
    shape = np.clip(np.floor(spacings / width), 1, _MOST_CELLS).astype(np.int64)
    # a box thinner than a cell is looked through more than once
    reach = np.ceil(width / (spacings / shape) - 1e-9).astype(np.int64)
    size = torch.as_tensor(shape, device=device)
    around = torch.cartesian_prod(*(torch.arange(-m, m + 1) for m in reach.tolist())).to(device)
    cell = torch.minimum((fractional * size).floor().long(), size - 1)
    number, order = ((cell[:, 0] * size[1] + cell[:, 1]) * size[2] + cell[:, 2]).sort()
    numbers, home, counts = torch.unique_consecutive(
        number, return_inverse=True, return_counts=True
    )
    starts = counts.cumsum(0) - counts
    places = fractional[order] @ torch.as_tensor(lattice, device=device)
    coordinates = cell[order[starts]]
    return _Cells(width, size, around, order, places, numbers, starts, counts, coordinates, home)


def _first_cells(fractional: Tensor, lattice: Array, n: int) -> _Cells:
    """Cells that hold the neighbors of a typical particle."""
    width = reach(float(np.linalg.det(lattice)) / len(fractional), n)
    expected = reach(1.0, n) ** 3  # particles in a cell, at the mean density
    # the n-th image along a lattice vector is always among the nearest
    width = min(width, n * float(np.linalg.norm(lattice, axis=1).min()))
    cells = _sort(fractional, lattice, width)
    for _ in range(4):
        # where particles are dense, a cell has more than at the mean density
        companions = float(cells.counts.double().square().sum()) / len(fractional)
        if companions < 2 * expected:
            break
        cells = _sort(fractional, lattice, cells.width * (expected / companions) ** (1 / 3))
    return cells


def _runs(cells: _Cells, at: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Find the particles around some cells in the order.

    Returns
    -------
    (A, M) int64, (A, M) int64, (A, M, 3) int64
        Starts and counts of runs, and the periodic images that these are.
    """
    where = cells.coordinates[at].unsqueeze(1) + cells.around
    image = torch.div(where, cells.size, rounding_mode="floor")
    where = where - image * cells.size
    number = (where[..., 0] * cells.size[1] + where[..., 1]) * cells.size[2] + where[..., 2]
    place = torch.searchsorted(cells.numbers, number).clamp_(max=len(cells.numbers) - 1)
    counts = cells.counts[place] * (cells.numbers[place] == number)
    return cells.starts[place], counts, image


def _candidates(cells: _Cells, at: Tensor, lattice: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Particles around some cells.

    Returns
    -------
    (A, K) int64, (A, K, 3), (A, K) bool
        Their places in the order, where their images are (at infinity beyond the last), and whether
        that is in the box itself.
    """
    starts, counts, image = _runs(cells, at)
    totals = counts.sum(-1)
    size = int(totals.max())
    column = counts.cumsum(-1) - counts
    flat = counts.flatten()
    run = torch.repeat_interleave(flat)
    within = torch.arange(len(run), device=run.device) - (flat.cumsum(0) - flat)[run]
    row = run // counts.shape[1]
    to = row * size + column.flatten()[run] + within
    who = starts.flatten()[run] + within
    candidates = who.new_zeros(len(at) * size).index_copy_(0, to, who)
    shifts = (image.double() @ lattice).flatten(0, 1)[run]
    places = lattice.new_full((len(at) * size, 3), torch.inf)
    places.index_copy_(0, to, cells.places[who] + shifts)
    inside = torch.zeros(len(candidates), dtype=torch.bool, device=run.device)
    inside.index_copy_(0, to, (image == 0).all(-1).flatten()[run])
    shape = (len(at), size)
    return candidates.view(shape), places.view(*shape, 3), inside.view(shape)


def _portions(cells: _Cells, pending: Tensor) -> Iterator[Tensor]:
    """Split places in the order into portions of at most :data:`PAIRS` pairs.

    Particles with similar numbers of candidates go together; a portion may be a single particle.
    """
    occupied, row = torch.unique(cells.home[pending], return_inverse=True)
    step = max(1, PAIRS // len(cells.around))
    totals = torch.cat([_runs(cells, part)[1].sum(-1) for part in occupied.split(step)])[row]
    totals, by_total = totals.clamp_(min=len(cells.around)).sort(stable=True)
    sizes, pending = totals.cpu().numpy(), pending[by_total]
    start = 0
    while start < len(sizes):
        # as many as fit if all are as costly as the last of them
        stop = start + max(1, PAIRS // int(sizes[start]))
        while stop > start + 1:
            allowed = start + max(1, PAIRS // int(sizes[min(stop, len(sizes)) - 1]))
            if stop <= allowed:
                break
            stop = allowed
        yield pending[start:stop]
        start = stop


def _nearest(cells: _Cells, chosen: Tensor, lattice: Tensor, n: int) -> tuple[Found, Tensor]:
    """Find environments of particles at some places in the order.

    Returns
    -------
    Found, (m,) bool
        Which of the environments are certain.
    """
    at, row = torch.unique(cells.home[chosen], return_inverse=True)
    candidates, places, inside = _candidates(cells, at, lattice)
    own = cells.places[chosen]
    squares = torch.zeros(len(chosen), candidates.shape[1], device=own.device, dtype=own.dtype)
    for axis in range(3):
        squares += (places[..., axis][row] - own[:, axis, None]).square_()
    itself = candidates[row] == chosen[:, None]
    squares.masked_fill_(itself & inside[row], torch.inf)
    few = n - squares.shape[1]
    if few > 0:
        squares = torch.nn.functional.pad(squares, (0, few), value=torch.inf)
    squares, nearest = squares.topk(n, largest=False, sorted=True)
    nearest = nearest.clamp_(max=candidates.shape[1] - 1)
    neighbors = candidates[row[:, None], nearest]
    bonds = places[row[:, None], nearest] - own[:, None]
    certain = squares[:, -1] <= (cells.width * (1 - 1e-9)) ** 2
    return Found(cells.order[chosen], bonds, cells.order[neighbors]), certain


def environments(positions: Tensor, box: ArrayLike, n: int = N_NEIGHBORS) -> Iterator[Found]:
    """Environments of all particles of a periodic box, portion by portion, in no order.

    Finds what :meth:`~.PeriodicTree.nearest` finds, where the positions
    are.

    Parameters
    ----------
    positions : (N, 3)
        Positions, inside the box or not.
    box : (6,)
        ``[Lx, Ly, Lz, xy, xz, yz]``, in the host's memory.
    n : int
        Number of neighbors.

    Raises
    ------
    InputError
        For positions or a box without environments, before the first portion.
    """
    check_shape(positions)
    check_finite(positions)
    # of the box alone; the positions stay where they are
    edges = short_lattice(periodic_system(np.zeros((min(len(positions), 1), 3)), box).box)
    lattice = torch.as_tensor(edges, device=positions.device)
    fractional = positions.double() @ torch.linalg.inv(lattice)
    fractional = fractional - fractional.floor()
    cells = _first_cells(fractional, edges, n)
    pending = torch.arange(len(positions), device=positions.device)
    while len(pending):
        missed = []
        for chosen in _portions(cells, pending):
            found, certain = _nearest(cells, chosen, lattice, n)
            rows = certain.nonzero().squeeze(-1)
            missed.append(cells.order[chosen[~certain]])
            yield Found(*(part[rows] for part in found))
        left = torch.cat(missed)
        if not len(left):
            break
        cells = _sort(fractional, edges, GROWTH * cells.width)
        place = torch.empty_like(cells.order)
        place[cells.order] = torch.arange(len(place), device=place.device)
        pending = place[left].sort().values


def nearest_neighbors(positions: Tensor, box: ArrayLike, n: int = N_NEIGHBORS) -> Found:
    """Environments of all particles of a periodic box, in their order: see :func:`environments`."""
    parts = list(environments(positions, box, n))
    found = Found(*(torch.cat(column) for column in zip(*parts, strict=True)))
    order = found.particles.argsort()
    return Found(*(part[order] for part in found))


def shortest_distance(positions: Tensor, box: ArrayLike) -> float:
    """:func:`~.shortest_distance` of (N, 3) positions on any device."""
    lengths = [
        torch.linalg.vector_norm(found.bonds, dim=-1).float().cpu()
        for found in environments(positions, box)
    ]
    return of_lengths(torch.cat(lengths).numpy())
