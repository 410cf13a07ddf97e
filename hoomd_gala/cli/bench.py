"""``hoomd-gala bench``: how fast this machine labels particles."""

import argparse
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from .arguments import DEFAULT, Commands, add_command, positive

SUMMARY = "how fast it labels particles"

_DESCRIPTION = """\
Measures the search for neighbors and the whole way from positions to labels on a hot bcc crystal:
medians of several rounds, with ratios to SciPy's k-d tree measured side by side.
"""

_MORE = """\
examples:
  hoomd-gala bench
  hoomd-gala bench --model structures-fast --threads 2
  hoomd-gala bench --output scaling.png
"""


def add(commands: Commands) -> None:
    """Add the command."""
    bench = add_command(commands, "bench", SUMMARY, _DESCRIPTION, _MORE)
    bench.set_defaults(run=run)
    bench.add_argument("--model", default="structures", help=f"name or model file {DEFAULT}")
    bench.add_argument("--device", default="cpu", help=f"cpu, cuda or auto {DEFAULT}")
    bench.add_argument("--threads", type=positive, default=1, help=f"cores to use {DEFAULT}")
    bench.add_argument(
        "--particles", type=positive, default=8192, metavar="N", help=f"of the crystal {DEFAULT}"
    )
    bench.add_argument(
        "--output",
        type=Path,
        metavar="SCALING.png",
        help="measure time and memory of several sizes as well; a CSV file is written beside the "
        "picture",
    )
    bench.add_argument(
        "--sizes",
        nargs="+",
        type=positive,
        default=[1000, 10_000, 100_000, 1_000_000],
        metavar="N",
        help=f"sizes to measure for --output {DEFAULT}",
    )


def compare(
    functions: Mapping[str, Callable[[], object]],
    items: int,
    what: str,
    clock: Callable[[], float] = time.process_time,
) -> dict[str, float]:
    """Time functions alternately, and print and return how many items each does per second.

    Parameters
    ----------
    functions : mapping
        By name; the first is what the others are compared with.
    items : int
        Items that a call works on.
    what : str
        Title of the comparison.
    clock : callable
        Gives the time in seconds.
    """
    from ..benchmark import take_turns

    speeds = take_turns(functions, what, clock)
    print(what)
    first = next(iter(speeds))
    for name, speed in speeds.items():
        slower = "" if name == first else f"{speed.ratio:8.2f} x as long"
        print(f"  {name:58}{items / speed.seconds:12.0f} per second{slower}")
    return {name: items / speed.seconds for name, speed in speeds.items()}


def run(options: argparse.Namespace) -> None:
    """Measure and print."""
    from ..files.atomic import check_new, write_table
    from ..files.shipped import find_model
    from ..plotting.plots import FORMATS, check_matplotlib, draw_scaling

    find_model(options.model)
    output = None
    if options.output is not None:
        output = check_new(options.output, FORMATS, "picture")
        check_new(output.with_suffix(".csv"), ".csv", "table")
        check_matplotlib()

    import torch

    from ..analyzer import Analyzer
    from ..benchmark import lattice_system, matrix_rate, scaling, scipy_neighbors
    from ..neighbors.environments import N_NEIGHBORS, nearest_neighbors

    torch.set_num_threads(options.threads)
    analyzer = Analyzer(options.model, options.device)
    system = lattice_system(options.particles)
    total = len(system.positions)
    print(f"{total} particles, threads: {options.threads}")
    print(f"float32 matrix products: {matrix_rate() / 1e9:.0f} GFLOP/s a core")
    compare(
        {
            "hoomd-gala, one thread": lambda: nearest_neighbors(system.positions, system.box),
            "SciPy, periodic k-d tree, one thread": lambda: scipy_neighbors(system),
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
        draw_scaling(output, rows)
