"""Halos of MPI ranks: which images are in a part of space. Ranks are in test_mpi.py."""

import itertools
import threading

import numpy as np
import pytest
from conftest import HAS_HOOMD

if not HAS_HOOMD:
    pytest.skip("HOOMD-blue is not installed", allow_module_level=True)

from hoomd_gala.integrations.hoomd.halo import Halo, images_within
from hoomd_gala.neighbors import shortest_distance
from hoomd_gala.systems import make_system


@pytest.mark.parametrize(
    ("low", "high"),
    [
        ([0.2, 0.3, 0.4], [0.5, 0.4, 0.9]),
        ([-2.3, 0.1, 0.9], [1.7, 0.2, 1.4]),
        ([5, 5, 5], [4, 5, 5]),
    ],
)
def test_images_within_a_part_of_space(low, high):
    points = np.random.default_rng(1).uniform(-0.5, 1.5, (40, 3))
    low, high = np.array(low), np.array(high)
    expected = {
        (i, *shift)
        for shift in itertools.product(range(-5, 8), repeat=3)
        for i in np.flatnonzero(((points + shift >= low) & (points + shift <= high)).all(axis=1))
    }
    owners, shifts = images_within(points, low, high)
    found = [(i, *shift) for i, shift in zip(owners.tolist(), shifts.tolist(), strict=True)]
    assert len(found) == len(set(found))
    assert set(found) == expected


@pytest.mark.parametrize("parts", [(0, 40, 300), (1, 2, 3), (0, 0, 7)])
def test_shortest_distance_over_processes(parts):
    lengths = np.random.default_rng(2).uniform(1, 1.5, (sum(parts), 20)).astype(np.float32)
    lengths.sort(axis=1)
    lengths[::5, 0] = 0  # in one place
    held, meet = [None] * len(parts), threading.Barrier(len(parts))
    found = [0.0] * len(parts)

    def process(number, mine):
        def total(value):
            held[number] = value
            meet.wait(10)
            result = sum(held[1:], held[0])
            meet.wait(10)
            return result

        found[number] = shortest_distance(mine, total)

    threads = [
        threading.Thread(target=process, args=(number, mine))
        for number, mine in enumerate(np.split(lengths, np.cumsum(parts)[:-1]))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_allclose(found, shortest_distance(lengths), rtol=1e-5)


def test_neighbors_come_from_near_to_far():
    # relations of types rest on it
    MPI = pytest.importorskip("mpi4py.MPI", reason="mpi4py is not installed")
    rng = np.random.default_rng(3)
    system = make_system(rng.uniform(-5, 5, (300, 3)), [10, 11, 12, 0.3, -0.2, 0.4])
    halo = Halo(MPI.COMM_SELF, system)
    everyone = np.arange(len(system.positions))
    halo.search(rng.permutation(everyone)[:100])
    halo.search(everyone)
    positions, _ = halo.points()
    lengths = np.linalg.norm(positions[halo.neighbors] - positions[everyone, None], axis=-1)
    assert (np.diff(lengths, axis=1) >= -1e-12).all()
    assert (halo.neighbors >= len(everyone)).any()
