"""A running HOOMD-blue simulation goes on, whatever becomes of labels and files."""

import shutil

import gsd.hoomd
import numpy as np
import pytest
from commands import free, steps
from conftest import HAS_HOOMD

if not HAS_HOOMD:
    pytest.skip("HOOMD-blue is not installed", allow_module_level=True)

import hoomd

import hoomd_gala
from hoomd_gala.errors import InputError
from hoomd_gala.files import frame_labels, make_frame, open_trajectory, read_frame


def simulation_of(frame, path):
    with gsd.hoomd.open(path, "w") as trajectory:
        trajectory.append(frame)
    simulation = hoomd.Simulation(hoomd.device.CPU(), seed=1)
    simulation.create_state_from_gsd(str(path))
    methods = [hoomd.md.methods.ConstantVolume(hoomd.filter.All())]
    simulation.operations.integrator = hoomd.md.Integrator(0.001, methods=methods)
    return simulation


@pytest.fixture
def simulation(bcc, tmp_path):
    return simulation_of(make_frame(bcc, 0), tmp_path / "start.gsd")


@pytest.fixture
def flat(tmp_path):
    """A simulation in two dimensions."""
    grid = np.stack(np.meshgrid(*[np.arange(5)] * 2), -1).reshape(-1, 2) * 1.5 - 3
    frame = gsd.hoomd.Frame()
    frame.configuration.box, frame.configuration.dimensions = [9, 9, 0, 0, 0, 0], 2
    frame.particles.N, frame.particles.types = 25, ["A"]
    frame.particles.position = np.c_[grid, np.zeros(25)]
    return simulation_of(frame, tmp_path / "start.gsd")


def attach(simulation, *arguments, **options):
    classifier = hoomd_gala.Classifier(*arguments, **options)
    writer = hoomd.write.CustomWriter(action=classifier, trigger=10)
    simulation.operations.writers.append(writer)
    return classifier


def test_two_dimensions_are_unknown_with_one_warning(flat, model_path, tmp_path):
    path = tmp_path / "labeled.gsd"
    classifier = attach(flat, model_path, path)
    with pytest.warns(RuntimeWarning, match="the simulation is two-dimensional") as warned:
        flat.run(30)
    assert len(warned) == 1
    assert classifier.fraction("unknown") == 1
    assert classifier.largest_cluster == 0
    assert steps(path) == [10, 20, 30]
    with open_trajectory(path) as trajectory:
        assert (frame_labels(trajectory[-1])[0] == -1).all()


def test_the_model_auto_is_decided_where_nothing_can_be_labeled(flat, tmp_path):
    path = tmp_path / "labeled.gsd"
    classifier = attach(flat, "auto", path)
    with pytest.warns(RuntimeWarning, match="the simulation is two-dimensional"):
        flat.run(10)
    assert classifier.fraction("unknown") == 1
    assert frame_labels(read_frame(path))[1] == list(hoomd_gala.Analyzer("structures").class_names)


def test_errors_are_raised_where_that_is_asked_for(flat, model_path):
    attach(flat, model_path, errors="raise")
    with pytest.raises(InputError, match="the simulation is two-dimensional"):
        flat.run(0)
    with pytest.raises(InputError, match="errors is 'ignore'; give 'warn' or 'raise'"):
        hoomd_gala.Classifier(model_path, errors="ignore")


def test_a_full_disk_ends_no_simulation_and_no_file(simulation, model_path, small_disk):
    path, filling = small_disk / "labeled.gsd", small_disk / "filling"
    attach(simulation, model_path, path)
    simulation.run(10)
    filling.write_bytes(bytes(free(small_disk)))
    with pytest.warns(RuntimeWarning, match="No space left on device.*No frames are") as warned:
        simulation.run(30)
    assert len(warned) == 1
    assert steps(path) == [10]
    filling.unlink()
    simulation.run(10)
    assert steps(path) == [10, 50]


def test_a_disk_that_is_full_from_the_beginning(simulation, model_path, small_disk):
    path, filling = small_disk / "labeled.gsd", small_disk / "filling"
    attach(simulation, model_path, path)
    simulation.run(0)
    filling.write_bytes(bytes(free(small_disk)))
    with pytest.warns(RuntimeWarning, match="No space left on device"):
        simulation.run(10)
    # nothing is left that later frames could not be appended to
    filling.unlink()
    simulation.run(10)
    assert steps(path) == [20]


def test_a_folder_that_cannot_be_written_is_said_at_once(simulation, model_path, read_only_disk):
    attach(simulation, model_path, read_only_disk / "labeled.gsd")
    with pytest.raises(InputError, match=r"labeled.gsd cannot be written \(Read-only file system"):
        simulation.run(0)


def test_files_and_folders_that_go(simulation, model_path, tmp_path):
    path = tmp_path / "folder" / "labeled.gsd"
    path.parent.mkdir()
    attach(simulation, model_path, path)
    simulation.run(10)
    path.unlink()
    simulation.run(10)
    assert steps(path) == [20]
    shutil.rmtree(path.parent)
    with pytest.warns(RuntimeWarning, match="cannot be written"):
        simulation.run(20)
    path.parent.mkdir()
    simulation.run(10)
    assert steps(path) == [50]


@pytest.mark.parametrize("begun", [False, True])
def test_one_of_two_classifiers_writes_a_file(simulation, model_path, tmp_path, begun):
    path = tmp_path / "labeled.gsd"
    first = attach(simulation, model_path, path)
    if begun:
        simulation.run(10)
    second = attach(simulation, model_path, path, filter=hoomd.filter.Tags([1, 2, 3]))
    with pytest.warns(RuntimeWarning, match="is written by another simulation, class") as warned:
        simulation.run(20)
    assert len(warned) == 1
    assert steps(path) == ([10, 20, 30] if begun else [10, 20])
    with open_trajectory(path) as trajectory:
        assert all((frame_labels(frame)[0] >= 0).mean() > 0.9 for frame in trajectory)
    assert len(first.result.label) == simulation.state.N_particles
    assert len(second.result.label) == 3


def test_any_error_while_labeling(simulation, model_path, tmp_path):
    class Failing(hoomd.filter.CustomFilter):
        """Everybody, until something breaks."""

        broken = False

        def __call__(self, state):
            if self.broken:
                raise ZeroDivisionError("a mistake of the user's")
            with state.cpu_local_snapshot as snapshot:
                return np.array(snapshot.particles.tag)

        def __hash__(self):
            return 0

        def __eq__(self, other):
            return self is other

    path, chosen = tmp_path / "labeled.gsd", Failing()
    classifier = attach(simulation, model_path, path, filter=chosen)
    simulation.run(10)
    chosen.broken = True
    with pytest.warns(RuntimeWarning, match=r"ZeroDivisionError: a mistake.*unknown") as warned:
        simulation.run(20)
    assert len(warned) == 1
    assert classifier.fraction("unknown") == 1
    with pytest.raises(InputError, match="no class 'none'"):
        classifier.clusters("none")
    chosen.broken = False
    simulation.run(10)
    with open_trajectory(path) as trajectory:
        known = [(frame_labels(frame)[0] >= 0).mean() > 0.9 for frame in trajectory]
    assert known == [True, False, False, True]
