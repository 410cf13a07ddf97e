"""How fast this machine labels particles."""

import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from scipy.spatial import KDTree
from tqdm.auto import tqdm

from .analyzer import Analyzer
from .errors import InputError
from .neighbors.environments import N_NEIGHBORS
from .systems import System

#: Rounds that a median is taken of.
ROUNDS = 5


def seconds(
    function: Callable[[], object], clock: Callable[[], float] = time.perf_counter
) -> float:
    """Time of one call, by the wall clock or another."""
    started = clock()
    function()
    return clock() - started


class Speed(NamedTuple):
    """How fast a function is, as medians over rounds.

    Attributes
    ----------
    seconds : float
        Time of one call.
    ratio : float
        Time in units of that of the first function compared.
    """

    seconds: float
    ratio: float


def take_turns(
    functions: Mapping[str, Callable[[], object]],
    what: str,
    clock: Callable[[], float] = time.process_time,
) -> dict[str, Speed]:
    """Time functions alternately, so that all are disturbed alike.

    CPU time suits what runs on one core: other jobs disturb it less than wall time. Ratios are
    medians of the ratios of each round.

    Parameters
    ----------
    functions : mapping
        By name; each is called once before the first round.
    what : str
        For the progress bar.
    clock : callable
        Gives the time in seconds.

    Returns
    -------
    dict of str to Speed
        By name.
    """
    for function in functions.values():
        function()
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in tqdm(range(ROUNDS), desc=what, leave=False):
        for name, function in functions.items():
            times[name].append(seconds(function, clock))
    first = next(iter(times.values()))
    return {
        name: Speed(
            statistics.median(taken),
            statistics.median(other / mine for mine, other in zip(first, taken, strict=True)),
        )
        for name, taken in times.items()
    }


def matrix_rate(size: int = 1024) -> float:
    """Floating-point operations per second of float32 matrix products on one core."""
    matrix = torch.randn(size, size)
    matrix @ matrix
    times = [seconds(lambda: matrix @ matrix, time.process_time) for _ in range(ROUNDS)]
    return 2 * size**3 / statistics.median(times)


def lattice_system(n: int, noise: float = 0.05, seed: int = 1) -> System:
    """Make a body-centered cubic crystal of about n particles, displaced at random.

    The unit of length, also of the noise in each direction, is the lattice constant.
    """
    cells = max(3, round((n / 2) ** (1 / 3)))
    grid = np.stack(np.meshgrid(*[np.arange(cells)] * 3, indexing="ij"), -1).reshape(-1, 3)
    points = np.concatenate((grid, grid + 0.5)) - cells / 2
    points = points + np.random.default_rng(seed).normal(scale=noise, size=points.shape)
    box = np.array([cells, cells, cells, 0, 0, 0], np.float64)
    return System(points, box, np.zeros(len(points), np.int64))


def scipy_neighbors(system: System) -> object:
    """Find the nearest neighbors in a cubic box by SciPy's k-d tree, on one core."""
    edge = system.box[0]
    points = np.mod(system.positions + edge / 2, edge)
    return KDTree(points, boxsize=edge).query(points, k=N_NEIGHBORS + 1)


def _peak_memory() -> float:
    """Most memory that the process has had, in MiB."""
    try:
        import resource
    except ImportError:
        raise InputError("Windows does not tell how much memory a process has had.") from None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def scaling(analyzer: Analyzer, sizes: Sequence[int]) -> list[dict[str, float]]:
    """Time and memory of labeling systems of several sizes, smallest first.

    Returns
    -------
    list of dict
        For each size, the particles, wall and CPU time in seconds, particles per second of wall
        time, and by how many MiB the peak memory of the process grew.

    Raises
    ------
    InputError
        Where the peak memory is not known.
    """
    analyzer.analyze_system(lattice_system(1000))
    rows = []
    for n in tqdm(sorted(sizes), desc="sizes"):
        system = lattice_system(n)
        before = _peak_memory()
        started, started_core = time.perf_counter(), time.process_time()
        analyzer.analyze_system(system)
        taken, taken_core = time.perf_counter() - started, time.process_time() - started_core
        rows.append(
            {
                "particles": len(system.positions),
                "seconds": taken,
                "core_seconds": taken_core,
                "particles_per_second": len(system.positions) / taken,
                "MiB_above_baseline": _peak_memory() - before,
            }
        )
    return rows
