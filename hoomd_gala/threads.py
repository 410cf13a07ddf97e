"""Compiled functions on several cores, and how many of these are available."""

import functools
import itertools
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

#: Where Linux counts what each core has spent its time on.
_STATISTICS = Path("/proc/stat")


def wait_passively() -> None:
    """Let OpenMP's threads sleep while they wait for each other; call it before torch is imported.

    They spin by default. Beside other work, one that waits for another then keeps the core that
    this one needs: five epochs of a small training on two threads took 80 to 100 seconds on two
    cores that others used as well, 9 with threads that sleep, and 6 on one thread.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def idle_cores(seconds: float = 0.5) -> int:
    """Measure how many of the cores that this process may use are idle.

    Parameters
    ----------
    seconds : float
        Time over which this is measured.
    """
    if not (_STATISTICS.is_file() and hasattr(os, "sched_getaffinity")):
        busy = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
        return max(0, round(cores() - busy))
    before = idle_times(_STATISTICS.read_text())
    time.sleep(seconds)
    after = idle_times(_STATISTICS.read_text())
    allowed = os.sched_getaffinity(0) & before.keys() & after.keys()
    # a quarter of a core for all that a machine does by itself
    return int(idle_share(before, after, allowed) + 0.25)


#: Time that a core had nothing to do, and all time, in the kernel's units.
IdleTime = tuple[int, int]


def idle_times(statistics: str) -> dict[int, IdleTime]:
    """Parse times of each core from the text of Linux' statistics."""
    times = {}
    for line in statistics.splitlines():
        name, *fields = line.split() or [""]
        if name.startswith("cpu") and name != "cpu":
            # user, nice, system, idle, iowait, irq, softirq, steal; guests are users
            numbers = [int(field) for field in fields[:8]]
            times[int(name.removeprefix("cpu"))] = (sum(numbers[3:5]), sum(numbers))
    return times


def idle_share(
    before: Mapping[int, IdleTime], after: Mapping[int, IdleTime], allowed: set[int]
) -> float:
    """Count idle cores between two measurements; cores idle part of the time count as fractions."""
    total = 0.0
    for core in allowed:
        (idle, everything), (later_idle, later_everything) = before[core], after[core]
        total += (later_idle - idle) / max(later_everything - everything, 1)
    return total


def spare_threads(most: int) -> int:
    """Return the number of idle cores, at least one and at most a given number.

    Training has so many barriers that two threads which share a core are slower than one.
    """
    return 1 if most <= 1 else max(1, min(most, idle_cores()))


@functools.cache
def _threads(count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count, "hoomd-gala")


if hasattr(os, "register_at_fork"):
    # threads do not survive a fork
    os.register_at_fork(after_in_child=_threads.cache_clear)


def share_out(work: Callable[[tuple[int, int]], Any], total: int, threads: int) -> list[Any]:
    """Apply work to consecutive ranges of items, one for each thread, and collect the results.

    Unlike OpenMP's threads, these cost nothing while they wait and leave the cores to a simulation.

    Parameters
    ----------
    work : callable
        Takes the first item of a range and the one after its last.
    total : int
        Number of items.
    threads : int
        Most threads to use.

    Returns
    -------
    list
        Results in the order of the ranges.
    """
    count = max(1, min(threads, total))
    ends = [total * k // count for k in range(count + 1)]
    ranges = list(itertools.pairwise(ends))
    if count == 1:
        return [work(ranges[0])]
    return list(_threads(count).map(work, ranges))
