"""Everything that people have at hand is taken as a system."""

import freud
import gsd.hoomd
import numpy as np
import pytest
from conftest import gas, needs_hoomd

from hoomd_gala.environments import nearest_neighbors
from hoomd_gala.errors import InputError
from hoomd_gala.systems import as_system, box_from_lattice, lattice_vectors, make_system
from hoomd_gala.trajectories import make_frame

SYSTEM = gas(200, np.random.default_rng(1))


def same_environments(system):
    expected = nearest_neighbors(SYSTEM.positions, SYSTEM.box)
    found = nearest_neighbors(system.positions, system.box)
    np.testing.assert_array_equal(found.neighbors, expected.neighbors)
    lengths = [np.linalg.norm(e.bonds, axis=-1) for e in (found, expected)]
    np.testing.assert_allclose(*lengths, atol=1e-4)


def test_freud_tuples():
    for box in (freud.box.Box(*SYSTEM.box), SYSTEM.box, lattice_vectors(SYSTEM.box).T):
        same_environments(as_system((box, SYSTEM.positions)))


def test_gsd_frame():
    same_environments(as_system(make_frame(SYSTEM, 0)))


@needs_hoomd
def test_hoomd_snapshot():
    import hoomd

    snapshot = hoomd.Snapshot()
    snapshot.configuration.box = SYSTEM.box
    snapshot.particles.N = len(SYSTEM.positions)
    snapshot.particles.types = ["A"]
    snapshot.particles.position[:] = SYSTEM.positions
    same_environments(as_system(snapshot))


def test_ovito_data(tmp_path):
    from ovito.io import import_file

    path = tmp_path / "frame.gsd"
    with gsd.hoomd.open(path, "w") as trajectory:
        trajectory.append(make_frame(SYSTEM, 0))
    same_environments(as_system(import_file(str(path)).compute()))


def test_box_from_lattice_inverts_lattice_vectors():
    np.testing.assert_allclose(box_from_lattice(lattice_vectors(SYSTEM.box)), SYSTEM.box)


def test_two_dimensional_frames_are_refused():
    frame = make_frame(SYSTEM, 0)
    frame.configuration.dimensions = 2
    with pytest.raises(InputError, match="the frame is two-dimensional"):
        as_system(frame)


def test_types_are_checked():
    with pytest.raises(InputError, match="one integer for each of the 200 particles"):
        make_system(SYSTEM.positions, SYSTEM.box, np.zeros(3, int))


def test_other_things_are_refused_by_name():
    with pytest.raises(InputError, match="cannot take a dict as a system"):
        as_system({})
