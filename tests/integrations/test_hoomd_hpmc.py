"""Hard spheres in HOOMD-blue's Monte Carlo: a crystal and a fluid, on one rank and on two."""

import gsd.hoomd
import numpy as np
import pytest
from conftest import HAS_HOOMD

if not HAS_HOOMD:
    pytest.skip("HOOMD-blue is not installed", allow_module_level=True)

import hoomd

if not hoomd.version.hpmc_built:
    pytest.skip("HOOMD-blue was built without HPMC", allow_module_level=True)

from test_mpi import mpirun

from hoomd_gala.crystals.prototypes import crystal, unit_cell
from hoomd_gala.files import frame_labels, make_frame, open_trajectory

#: Hard spheres from a GSD file; those of type "B" differ in name only.
RUN = """
import sys
import hoomd, hoomd_gala
start, output = sys.argv[1:]
communicator = hoomd.communicator.Communicator()
simulation = hoomd.Simulation(hoomd.device.CPU(communicator=communicator), seed=1)
simulation.create_state_from_gsd(start)
spheres = hoomd.hpmc.integrate.Sphere(default_d=0.05)
for kind in "AB":
    spheres.shape[kind] = {"diameter": 1}
simulation.operations.integrator = spheres
everyone = hoomd_gala.Classifier("structures-fast", output)
only_a = hoomd_gala.Classifier("structures-fast", filter=hoomd.filter.Type(["A"]))
writers = simulation.operations.writers
for classifier in (everyone, only_a):
    writers.append(hoomd.write.CustomWriter(action=classifier, trigger=hoomd.trigger.On(400)))
simulation.run(400)
assert spheres.overlaps == 0
assert spheres.translate_moves[0] > 0
labeled, label, some = only_a.particles, everyone.label, only_a.result
if communicator.rank == 0:
    assert (label[labeled] == some.label).all()
    assert 0 < len(labeled) < len(label)
"""


def write_spheres(path, packing):
    """Spheres of diameter 1 on fcc sites, every third one called "B"."""
    sites = crystal(unit_cell("cF4-Cu"), 900)
    total = len(sites.positions)
    volume = total * np.pi / 6 / packing
    scale = (volume / np.prod(sites.box[:3])) ** (1 / 3)
    spread = sites._replace(
        positions=scale * sites.positions,
        box=sites.box * [scale, scale, scale, 1, 1, 1],
        types=np.arange(total) % 3 // 2,
    )
    with gsd.hoomd.open(path, "w") as trajectory:
        trajectory.append(make_frame(spread, 0, ["A", "B"]))


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize(("packing", "structure"), [(0.6, "cF4-Cu"), (0.4, "disordered")])
def test_hard_spheres(packing, structure, ranks, tmp_path):
    write_spheres(tmp_path / "start.gsd", packing)
    mpirun(ranks, RUN, tmp_path / "start.gsd", tmp_path / "labeled.gsd")
    with open_trajectory(tmp_path / "labeled.gsd") as trajectory:
        labels, names = frame_labels(trajectory[-1])
    assert (labels == names.index(structure)).mean() > 0.95
