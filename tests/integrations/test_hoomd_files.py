"""What the classifier's own file holds of a real HOOMD-blue simulation."""

import numpy as np
import pytest
from conftest import HAS_HOOMD

if not HAS_HOOMD:
    pytest.skip("HOOMD-blue is not installed", allow_module_level=True)

import hoomd
from test_hoomd import attach, simulation  # noqa: F401 (a fixture)

import hoomd_gala
from hoomd_gala.errors import InputError
from hoomd_gala.files import open_trajectory, read_frame


def test_everything_in_the_state_is_in_the_file(simulation, model_path, tmp_path):  # noqa: F811
    snapshot = simulation.state.get_snapshot()
    n = snapshot.particles.N
    rng = np.random.default_rng(1)
    snapshot.particles.mass[:] = rng.uniform(1, 2, n)
    snapshot.particles.charge[:] = rng.uniform(-1, 1, n)
    snapshot.particles.diameter[:] = rng.uniform(0.5, 1, n)
    snapshot.particles.orientation[:] = [0.6, 0.8, 0, 0]
    snapshot.particles.image[:] = rng.integers(-2, 3, (n, 3))
    for name, size in (("bonds", 2), ("angles", 3), ("dihedrals", 4), ("pairs", 2)):
        group = getattr(snapshot, name)
        group.N, group.types = 2, ["x", "y"]
        group.typeid[:] = [1, 0]
        group.group[:] = np.arange(2 * size).reshape(2, size)
    snapshot.constraints.N = 1
    snapshot.constraints.group[:] = [[5, 6]]
    snapshot.constraints.value[:] = [0.9]
    other = hoomd.Simulation(hoomd.device.CPU(), seed=1)
    other.create_state_from_snapshot(snapshot)
    path = tmp_path / "labeled.gsd"
    attach(other, hoomd_gala.Classifier(model_path, path), trigger=1)
    other.run(1)
    held, frame = other.state.get_snapshot(), read_frame(path)
    for name in ("mass", "charge", "diameter", "orientation", "image", "velocity", "typeid"):
        expected = getattr(held.particles, name)
        np.testing.assert_allclose(
            getattr(frame.particles, name), expected, atol=1e-6, err_msg=name
        )
    assert np.abs(frame.particles.velocity).max() > 0.1
    for name in ("bonds", "angles", "dihedrals", "pairs"):
        ours, theirs = getattr(frame, name), getattr(held, name)
        assert ours.types == list(theirs.types)
        np.testing.assert_array_equal(ours.typeid, theirs.typeid)
        np.testing.assert_array_equal(ours.group, theirs.group)
    np.testing.assert_array_equal(frame.constraints.group, held.constraints.group)
    np.testing.assert_allclose(frame.constraints.value, held.constraints.value)
    # a simulation goes on from it as it was
    again = hoomd.Simulation(hoomd.device.CPU(), seed=1)
    again.create_state_from_snapshot(
        hoomd.Snapshot.from_gsd_frame(frame, again.device.communicator)
    )
    velocity = again.state.get_snapshot().particles.velocity
    np.testing.assert_allclose(velocity, held.particles.velocity, atol=1e-6)


def test_embeddings_are_written_where_they_are_asked_for(simulation, model_path, tmp_path):  # noqa: F811
    names = ("label", "confidence", "embedding")
    written = {(): names[:2], ("label",): names[:1], names: names}
    for i, quantities in enumerate(written):
        options = {"quantities": quantities} if quantities else {}
        attach(simulation, hoomd_gala.Classifier(model_path, tmp_path / f"{i}.gsd", **options))
    simulation.run(10)
    for i, expected in enumerate(written.values()):
        with open_trajectory(tmp_path / f"{i}.gsd") as trajectory:
            log = trajectory[-1].log
        held = {
            key.rpartition("/")[2] for key in log if key.startswith("particles/hoomd_gala/Class")
        }
        assert held == set(expected)
    assert hoomd_gala.Classifier(model_path, quantities="label").quantities == ("label",)
    with pytest.raises(InputError, match=r"neighbors is a str; give a HOOMD filter"):
        hoomd_gala.Classifier(model_path, neighbors="A")
    with pytest.raises(InputError, match="no quantity 'color'"):
        hoomd_gala.Classifier(model_path, quantities=("label", "color"))
