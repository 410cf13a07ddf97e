"""Labels of a hundred thousand particles on a GPU against those of the CPU."""

import numpy as np
import pytest
import torch
from conftest import needs_cuda

from hoomd_gala.analyzer import Analyzer
from hoomd_gala.crystals.prototypes import crystal, displace, droplet, unit_cell
from hoomd_gala.neighbors import device_search as cells
from hoomd_gala.neighbors import environments

pytestmark = needs_cuda
PARTICLES = 100_000


def sample(kind):
    rng = np.random.default_rng(1)
    if kind == "gas":
        dense = crystal(unit_cell("cP1-Po"), PARTICLES)
        return displace(dense, 0.4, rng)
    n = PARTICLES if kind == "crystal" else round(2.7 * PARTICLES)
    warm = displace(crystal(unit_cell("cI2-W"), n), 0.08, rng)
    return warm if kind == "crystal" else droplet(warm, 0.9)[0]


@pytest.fixture(scope="module", params=["crystal", "droplet", "gas"])
def system(request):
    return sample(request.param)


@pytest.mark.parametrize("name", ["structures", "structures-fast"])
def test_labels_are_those_of_the_cpu(system, name):
    expected = Analyzer(name, "cpu").analyze(system)
    found = Analyzer(name, "cuda").analyze(system)
    assert len(found.label) >= 0.98 * PARTICLES
    same = (found.label == expected.label).mean()
    print(f"{name}: {same:.6f} of {len(found.label)} labels are the same")
    assert same >= 0.9999
    # the rest are undecided on the CPU too
    confidence = np.abs(found.confidence - expected.confidence)
    assert np.median(confidence) < 1e-4
    assert np.quantile(confidence, 0.999) < 0.02


def test_neighbors_are_those_of_the_cpu(system):
    found = cells.nearest_neighbors(torch.as_tensor(system.positions, device="cuda"), system.box)
    expected = environments.nearest_neighbors(system.positions, system.box)
    lengths, theirs = (np.linalg.norm(x, axis=-1) for x in (found.bonds.cpu(), expected.bonds))
    np.testing.assert_allclose(lengths, theirs, rtol=1e-9, atol=1e-9)
    assert (found.neighbors.cpu().numpy() == expected.neighbors).mean() > 0.9999
