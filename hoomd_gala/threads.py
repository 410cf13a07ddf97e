"""Compiled functions on several cores."""

import functools
import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any


@functools.cache
def _threads(count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count, "hoomd-gala")


if hasattr(os, "register_at_fork"):
    # threads do not survive a fork
    os.register_at_fork(after_in_child=_threads.cache_clear)


def share_out(work: Callable[[tuple[int, int]], Any], total: int, threads: int) -> list[Any]:
    """Results of work on consecutive ranges of a number of things, one for each thread.

    Threads that wait cost nothing here, other than OpenMP's, which would keep a simulation off
    its cores.
    """
    count = max(1, min(threads, total))
    ends = [total * k // count for k in range(count + 1)]
    ranges = list(itertools.pairwise(ends))
    if count == 1:
        return [work(ranges[0])]
    return list(_threads(count).map(work, ranges))
