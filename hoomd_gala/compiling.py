"""Functions that numba compiles, and what it keeps of them for the next process."""

import contextlib
from collections.abc import Callable
from typing import Any

from numba import njit


def cached(function: Callable[..., Any], options: dict[str, Any]) -> Any:
    """Compile a function when it is first called, and cache the result where that is possible.

    Parameters
    ----------
    function : callable
        What numba can compile.
    options : dict
        Of ``numba.njit``.

    Notes
    -----
    On a full disk, numba raises after it has compiled a function and while it caches it. That the
    call goes on cannot be had by numba's documented interface: ``_cache`` is its own. What is
    documented, ``NUMBA_CACHE_DIR`` and classes of cache locators, says where a cache is, before
    anything is written.
    """
    try:
        made = njit(cache=True, **options)(function)
    except RuntimeError:  # no folder for the cache can be written
        return njit(**options)(function)
    save = made._cache.save_overload

    def save_if_possible(*arguments: Any) -> None:
        with contextlib.suppress(OSError):  # a full disk costs the next process a compilation
            save(*arguments)

    made._cache.save_overload = save_if_possible
    return made
