"""Compiled functions work where what is compiled cannot be kept."""

import os

import pytest
from commands import free

from hoomd_gala.compiling import cached


def next_number(x):
    return x + 1


@pytest.mark.parametrize("full", [False, True])
def test_a_full_disk_costs_the_next_process_a_compilation(full, small_disk, monkeypatch):
    monkeypatch.setattr("numba.core.config.CACHE_DIR", str(small_disk))
    made = cached(next_number, {})
    if full:
        (small_disk / "filling").write_bytes(bytes(free(small_disk)))
    assert made(3) == 4
    assert (
        bool([name for _, _, names in os.walk(small_disk) for name in names if "nbi" in name])
        is not full
    )
