"""Neighbors come from near to far wherever environments are made: relations of types rest on it."""

import numpy as np
import pytest
import torch
from conftest import melting

from hoomd_gala.embedding import device_pieces, host_pieces
from hoomd_gala.neighbors.boundaries import vacuum_box
from hoomd_gala.neighbors.environments import PeriodicTree
from hoomd_gala.systems import make_system

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def crystal_and_liquid(rng):
    return melting(600, rng)


def vapor_around_a_droplet(rng):
    """Of which a particle is searched for in larger cells than another."""
    vapor = rng.uniform(-500, 500, size=(20, 3))
    return make_system(np.concatenate((rng.normal(size=(400, 3)), vapor)), [1000, 1000, 1000])


def crowd(rng):
    """In so small a part of the box that a k-d tree is searched."""
    far = np.array([[400.0, 0, 0], [0, 400, 0], [0, 0, 400]])
    near = rng.normal(10, 1e-4, size=(2000, 3))
    return make_system(np.concatenate((near, far)), [1000, 1000, 1000])


def in_vacuum(rng):
    return make_system(rng.normal(size=(100, 3)), None, periodic=False)


def slab(rng):
    return make_system(rng.uniform(-2, 2, (100, 3)), [4, 4, 4], periodic=(True, False, True))


@pytest.mark.parametrize("search", ["on the host", "of some", "on a device"])
@pytest.mark.parametrize(
    "make", [crystal_and_liquid, vapor_around_a_droplet, crowd, in_vacuum, slab]
)
def test_from_near_to_far(make, search, rng):
    system = make(rng)
    box, everyone = vacuum_box(system), np.arange(len(system.positions))
    if search == "on a device":
        pieces = device_pieces(torch.as_tensor(system.positions, device=DEVICE), box)
    else:
        tree = PeriodicTree.build(system.positions, box)
        assert (tree.tree is not None) == (make is crowd)
        some = rng.permutation(everyone)[:70] if search == "of some" else tree.order
        pieces = host_pieces(tree, some, np.arange(len(some)))
    found = 0
    for piece in pieces:
        lengths = torch.linalg.vector_norm(piece.bonds, dim=-1)
        assert (lengths.diff() >= -1e-12 * lengths[:, 1:]).all()
        assert (lengths[:, -1] > lengths[:, 0]).any()
        found += len(lengths)
    assert found >= 70
