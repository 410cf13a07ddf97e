"""The plugin in a real HOOMD-blue simulation, both ways of attaching."""

import copy
import pickle

import numpy as np
import pytest
from conftest import HAS_HOOMD

if not HAS_HOOMD:
    pytest.skip("HOOMD-blue is not installed", allow_module_level=True)

import hoomd

import hoomd_gala
from hoomd_gala.errors import InputError
from hoomd_gala.trajectories import decode_strings, frame_labels, make_frame, open_trajectory


@pytest.fixture
def simulation(bcc):
    """Lennard-Jones particles on bcc sites, warm, ready to run."""
    snapshot = hoomd.Snapshot()
    snapshot.configuration.box = bcc.box
    snapshot.particles.N = len(bcc.positions)
    snapshot.particles.types = ["A", "B"]
    snapshot.particles.position[:] = make_frame(bcc, 0).particles.position
    snapshot.particles.typeid[:] = np.arange(len(bcc.positions)) % 2
    sim = hoomd.Simulation(hoomd.device.CPU(), seed=1)
    sim.create_state_from_snapshot(snapshot)
    sim.state.thermalize_particle_momenta(hoomd.filter.All(), 0.1)
    lj = hoomd.md.pair.LJ(hoomd.md.nlist.Cell(buffer=0.4), default_r_cut=2.0)
    lj.params[(["A", "B"], ["A", "B"])] = {"epsilon": 0.1, "sigma": 0.85}
    langevin = hoomd.md.methods.Langevin(hoomd.filter.All(), kT=0.1)
    sim.operations.integrator = hoomd.md.Integrator(dt=0.002, methods=[langevin], forces=[lj])
    return sim


@pytest.fixture
def count(monkeypatch):
    """How often an analysis has been made."""
    calls = []
    original = hoomd_gala.Analyzer.analyze_system

    def counted(self, system):
        calls.append(1)
        return original(self, system)

    monkeypatch.setattr(hoomd_gala.Analyzer, "analyze_system", counted)
    return calls


def attach(sim, classifier, trigger=10):
    writer = hoomd.write.CustomWriter(action=classifier, trigger=hoomd.trigger.Periodic(trigger))
    sim.operations.writers.append(writer)
    return writer


def test_writes_its_own_labelled_file(simulation, model_path, tmp_path, count):
    path = tmp_path / "labeled.gsd"
    classifier = hoomd_gala.Classifier(model=model_path, filename=path)
    attach(simulation, classifier)
    simulation.run(40)
    with open_trajectory(path) as trajectory:
        assert [frame.configuration.step for frame in trajectory] == [10, 20, 30, 40]
        last = trajectory[-1]
    labels, names = frame_labels(last)
    assert (labels == names.index("cI2-W")).mean() > 0.9
    assert last.particles.types == ["A", "B"]
    # the file's particles are in the order of their tags, and so are the labels
    snapshot = simulation.state.get_snapshot()
    np.testing.assert_allclose(last.particles.position, snapshot.particles.position, atol=1e-5)
    np.testing.assert_array_equal(last.particles.typeid, snapshot.particles.typeid)
    again = hoomd_gala.Analyzer(model_path).analyze(snapshot)
    assert (again.label == labels).mean() > 0.999
    assert len(count) == 4 + 1


def test_labels_through_the_logger_and_the_gsd_writer(simulation, model_path, tmp_path, count):
    classifier = hoomd_gala.Classifier(model=model_path)
    logger = hoomd.logging.Logger(categories=["particle", "sequence"])
    logger.add(classifier)
    attach(simulation, classifier)
    path = tmp_path / "run.gsd"
    simulation.operations.writers.append(
        hoomd.write.GSD(trigger=20, filename=str(path), mode="xb", logger=logger)
    )
    simulation.run(60)
    assert len(count) == 3  # once for each frame that was written, not for the other triggers
    for writer in simulation.operations.writers:
        if isinstance(writer, hoomd.write.GSD):
            writer.flush()
    with open_trajectory(path) as trajectory:
        assert len(trajectory) == 3
        log = trajectory[-1].log
    assert {key for key in log if "hoomd_gala" in key} == {
        "particles/hoomd_gala/Classifier/label",
        "particles/hoomd_gala/Classifier/confidence",
        "particles/hoomd_gala/Classifier/embedding",
        "hoomd_gala/Classifier/fractions",
        "hoomd_gala/Classifier/names",
    }
    np.testing.assert_array_equal(log["particles/hoomd_gala/Classifier/label"], classifier.label)
    np.testing.assert_allclose(
        log["hoomd_gala/Classifier/fractions"], list(classifier.result.fractions.values())
    )
    assert decode_strings(log["hoomd_gala/Classifier/names"]) == list(classifier.class_names)


def test_model_without_classes_writes_embeddings_both_ways(
    simulation, embedding_model_path, tmp_path
):
    own, path = tmp_path / "own.gsd", tmp_path / "run.gsd"
    classifier = hoomd_gala.Classifier(model=embedding_model_path, filename=own)
    logger = hoomd.logging.Logger(categories=["particle", "sequence"])
    logger.add(classifier)
    attach(simulation, classifier)
    writer = hoomd.write.GSD(trigger=10, filename=str(path), mode="xb", logger=logger)
    simulation.operations.writers.append(writer)
    simulation.run(10)
    writer.flush()
    for file in (own, path):
        with open_trajectory(file) as trajectory:
            frame = trajectory[-1]
        assert frame_labels(frame)[1] == []
        assert (frame.log["particles/hoomd_gala/Classifier/label"] == -1).all()
        embedding = frame.log["particles/hoomd_gala/Classifier/embedding"]
        np.testing.assert_allclose(embedding, classifier.embedding, rtol=1e-5)


def test_costs_nothing_until_asked_and_once_per_timestep(simulation, model_path, count):
    classifier = hoomd_gala.Classifier(model=model_path)
    attach(simulation, classifier, trigger=1)
    simulation.run(10)
    assert not count
    assert classifier.label.shape == classifier.confidence.shape
    assert classifier.fractions.sum() == pytest.approx(1)
    assert len(count) == 1
    simulation.run(1)
    assert classifier.embedding.shape == (simulation.state.N_particles, 16)
    assert len(count) == 2


def test_detached_classifier_gives_nothing_and_can_be_attached_again(simulation, model_path):
    classifier = hoomd_gala.Classifier(model=model_path)
    with pytest.raises(hoomd.error.DataAccessError):
        _ = classifier.label
    writer = attach(simulation, classifier)
    simulation.run(10)
    before = classifier.label.copy()
    simulation.operations.writers.remove(writer)
    with pytest.raises(hoomd.error.DataAccessError):
        _ = classifier.label
    attach(simulation, classifier)
    simulation.run(0)
    np.testing.assert_array_equal(classifier.label, before)


def test_pickle_and_copy_leave_the_simulation_behind(simulation, model_path):
    classifier = hoomd_gala.Classifier(model=model_path, filename="x.gsd")
    attach(simulation, classifier, trigger=1000)
    simulation.run(10)
    for twin in (pickle.loads(pickle.dumps(classifier)), copy.deepcopy(classifier)):
        assert twin.filename == "x.gsd"
        assert twin.class_names == classifier.class_names
        with pytest.raises(hoomd.error.DataAccessError):
            _ = twin.label


def test_a_later_file_is_not_overwritten(simulation, model_path, tmp_path):
    path = tmp_path / "labeled.gsd"
    attach(simulation, hoomd_gala.Classifier(model=model_path, filename=path))
    simulation.run(20)
    before = path.read_bytes()
    twin = hoomd.Simulation(hoomd.device.CPU(), seed=1)
    twin.create_state_from_snapshot(simulation.state.get_snapshot())
    attach(twin, hoomd_gala.Classifier(model=model_path, filename=path))
    with pytest.raises((InputError, RuntimeError), match="already holds frames"):
        twin.run(10)
    assert path.read_bytes() == before
