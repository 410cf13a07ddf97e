"""How fast this machine labels particles: ``hoomd-gala bench``."""

import argparse
import resource
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy.spatial import KDTree
from tqdm.auto import tqdm

from ..analyzer import Analyzer
from ..files.atomic import check_new, write_table
from ..files.models import load_model
from ..neighbors.environments import N_NEIGHBORS, nearest_neighbors
from ..plotting.plots import new_figure, save_figure
from ..systems import System

#: Rounds that a median is taken of.
ROUNDS = 5


def seconds(
    function: Callable[[], object], clock: Callable[[], float] = time.perf_counter
) -> float:
    """Time of one call, by the wall clock or another."""
    started = clock()
    function()
    return clock() - started


def compare(
    functions: dict[str, Callable[[], object]],
    items: int,
    what: str,
    clock: Callable[[], float] = time.process_time,
) -> dict[str, float]:
    """Items per second of functions that take turns, medians over rounds.

    What runs on one core is timed by the processor's clock, which other jobs disturb less. Prints
    a line for each, with the ratio to the first: the median of the ratios of each round.
    """
    for function in functions.values():
        function()
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in tqdm(range(ROUNDS), desc=what, leave=False):
        for name, function in functions.items():
            times[name].append(seconds(function, clock))
    first = next(iter(times.values()))
    print(what)
    for name, taken in times.items():
        ratio = statistics.median(other / mine for mine, other in zip(first, taken, strict=True))
        slower = "" if taken is first else f"{ratio:8.2f} x as long"
        print(f"  {name:58}{items / statistics.median(taken):12.0f} per second{slower}")
    return {name: items / statistics.median(taken) for name, taken in times.items()}


def matrix_rate(size: int = 1024) -> float:
    """Floating-point operations per second of float32 matrix products on one core."""
    matrix = torch.randn(size, size)
    matrix @ matrix
    times = [seconds(lambda: matrix @ matrix, time.process_time) for _ in range(ROUNDS)]
    return 2 * size**3 / statistics.median(times)


def lattice_system(n: int, noise: float = 0.05, seed: int = 1) -> System:
    """A body-centered cubic crystal of about n particles, displaced at random."""
    cells = max(3, round((n / 2) ** (1 / 3)))
    grid = np.stack(np.meshgrid(*[np.arange(cells)] * 3, indexing="ij"), -1).reshape(-1, 3)
    points = np.concatenate((grid, grid + 0.5)) - cells / 2
    points = points + np.random.default_rng(seed).normal(scale=noise, size=points.shape)
    box = np.array([cells, cells, cells, 0, 0, 0], np.float64)
    return System(points, box, np.zeros(len(points), np.int64))


def _tree_neighbors(system: System) -> object:
    edge = system.box[0]
    points = np.mod(system.positions + edge / 2, edge)
    return KDTree(points, boxsize=edge).query(points, k=N_NEIGHBORS + 1)


def _peak_memory() -> float:
    """Most memory that the process has had, in MiB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def scaling(analyzer: Analyzer, sizes: list[int]) -> list[dict[str, float]]:
    """Time and memory of labelling systems of several sizes, smallest first."""
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


def draw_scaling(rows: list[dict[str, float]]) -> Any:
    """Figure of seconds against particles, with a straight line through the largest system."""
    figure = new_figure(figsize=(5, 3.5))
    axes = figure.add_subplot()
    n = np.array([row["particles"] for row in rows])
    taken = np.array([row["core_seconds"] for row in rows])
    axes.loglog(n, taken, "o", label="measured")
    axes.loglog(n, taken[-1] * n / n[-1], "k:", label="proportional to the number of particles")
    axes.set_xlabel("particles")
    axes.set_ylabel("seconds of a core from positions to labels")
    axes.legend(frameon=False)
    return figure


def run(options: argparse.Namespace) -> None:
    """Carry out ``hoomd-gala bench``."""
    output = None
    if options.output is not None:
        output = check_new(options.output, ".png", "picture")
        check_new(output.with_suffix(".csv"), ".csv", "table")
    torch.set_num_threads(options.threads)
    model = load_model(options.model)
    analyzer = Analyzer(model, options.device)
    system = lattice_system(options.particles)
    total = len(system.positions)
    print(f"{total} particles, threads: {options.threads}")
    print(f"float32 matrix products: {matrix_rate() / 1e9:.0f} GFLOP/s a core")
    compare(
        {
            "hoomd-gala, one thread": lambda: nearest_neighbors(system.positions, system.box),
            "SciPy, periodic k-d tree, one thread": lambda: _tree_neighbors(system),
        },
        total,
        f"{N_NEIGHBORS} nearest neighbors",
    )
    compare(
        {f"{options.model} on {analyzer.device}": lambda: analyzer.analyze_system(system)},
        total,
        "from positions to labels",
        time.perf_counter,
    )
    if output is not None:
        rows = scaling(analyzer, options.sizes)
        for row in rows:
            print("  ".join(f"{name} {number:g}" for name, number in row.items()))
        write_table(output.with_suffix(".csv"), rows)
        save_figure(output, draw_scaling(rows))
