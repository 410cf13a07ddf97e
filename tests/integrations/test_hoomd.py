"""The plugin in a real HOOMD-blue simulation, both ways of attaching."""

import copy
import json
import os
import pickle
import signal
import subprocess
import sys
import time

import gsd.hoomd
import numpy as np
import pytest
from conftest import HAS_HOOMD

if not HAS_HOOMD:
    pytest.skip("HOOMD-blue is not installed", allow_module_level=True)

import hoomd

import hoomd_gala
from hoomd_gala.errors import InputError
from hoomd_gala.files import (
    count_recoverable_frames,
    decode_strings,
    frame_labels,
    make_frame,
    open_trajectory,
    read_frame,
    recover,
    trim,
)
from hoomd_gala.labeling import view_trajectory
from hoomd_gala.names import title
from hoomd_gala.schema import CHUNKS


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

    def counted(self, *arguments):
        calls.append(1)
        return original(self, *arguments)

    monkeypatch.setattr(hoomd_gala.Analyzer, "analyze_system", counted)
    return calls


def attach(sim, classifier, trigger=10):
    writer = hoomd.write.CustomWriter(action=classifier, trigger=hoomd.trigger.Periodic(trigger))
    sim.operations.writers.append(writer)
    return writer


def test_labels_without_heat_where_they_are_not_certain(simulation):
    classifier = hoomd_gala.Classifier("structures", denoise_steps=2)
    attach(simulation, classifier)
    # beyond melting, and nothing moves
    simulation.operations.integrator = None
    snapshot = simulation.state.get_snapshot()
    displacements = np.random.default_rng(1).normal(0, 0.17, snapshot.particles.position.shape)
    snapshot.particles.position[:] += displacements
    simulation.state.set_snapshot(snapshot)
    simulation.run(20)
    snapshot = simulation.state.get_snapshot()
    own = hoomd_gala.Analyzer("structures", denoise_steps=2).analyze(snapshot)
    np.testing.assert_array_equal(classifier.label, own.label)
    np.testing.assert_array_equal(classifier.confidence, own.confidence)
    plain = hoomd_gala.Analyzer("structures").analyze(snapshot)
    assert (plain.label != own.label).any()


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({}, "compounds"),
        ({"filter": hoomd.filter.Type(["B"])}, "compounds"),
        ({"neighbors": hoomd.filter.Type(["B"])}, "structures"),
    ],
)
def test_the_model_auto_is_decided_when_it_is_attached(simulation, tmp_path, options, name, capfd):
    path, classes = tmp_path / "labeled.gsd", hoomd_gala.Analyzer(name).class_names
    classifier = hoomd_gala.Classifier("auto", path, **options)
    for ask in (
        lambda: classifier.class_names,
        lambda: hoomd_gala.triggers.Fraction(classifier, "bcc", above=0.5),
    ):
        with pytest.raises(InputError, match='the model is "auto"'):
            ask()
    hoomd_gala.triggers.Fraction(classifier, above=0.5)
    logger = hoomd.logging.Logger(categories=["particle", "sequence"])
    logger.add(classifier, quantities=["names", "label"])
    attach(simulation, classifier)
    simulation.run(0)
    assert classifier.class_names == classes
    simulation.run(20)
    assert tuple(frame_labels(read_frame(path))[1]) == classes
    names, _ = logger.log()["hoomd_gala"]["Classifier"]["names"]
    assert tuple(decode_strings(names)) == classes
    assert capfd.readouterr().out.count(f"the model is {name}, as the particles are of ") == 1


def test_writes_its_own_labeled_file(simulation, model_path, tmp_path, count):
    path = tmp_path / "labeled.gsd"
    classifier = hoomd_gala.Classifier(model=model_path, filename=path)
    attach(simulation, classifier)
    simulation.run(40)
    with open_trajectory(path) as trajectory:
        assert [frame.configuration.step for frame in trajectory] == [10, 20, 30, 40]
        last = trajectory[-1]
    labels, names = frame_labels(last)
    assert (labels == names.index("cI2-W")).mean() > 0.9
    # structures are the types that OVITO shows; the simulation's own are kept
    kinds = np.array(last.particles.types)[last.particles.typeid]
    np.testing.assert_array_equal(kinds, np.array([*map(title, names), "unknown"])[labels])
    # the file's particles are in the order of their tags, and so are the labels
    snapshot = simulation.state.get_snapshot()
    np.testing.assert_allclose(last.particles.position, snapshot.particles.position, atol=1e-5)
    own = read_frame(path)
    assert own.particles.types == ["A", "B"]
    np.testing.assert_array_equal(own.particles.typeid, snapshot.particles.typeid)
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
    written = log["hoomd_gala/Classifier/fractions"]
    assert (written.dtype, written.shape) == (np.float64, (4,))
    np.testing.assert_array_equal(written, list(classifier.result.fractions.values()))
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
    assert sum(classifier.fractions.values()) == pytest.approx(1)
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
    with pytest.raises(InputError, match="already holds frames"):
        twin.run(0)  # before anything is simulated
    with pytest.raises((InputError, RuntimeError), match="already holds frames"):
        twin.run(10)
    assert path.read_bytes() == before


def test_filter_labels_the_chosen_among_all_neighbors(simulation, model_path, tmp_path):
    path = tmp_path / "labeled.gsd"
    tags = [700, 3, 4, 101]
    everyone = hoomd_gala.Classifier(model=model_path)
    some = hoomd_gala.Classifier(model=model_path, filename=path, filter=hoomd.filter.Tags(tags))
    second = hoomd_gala.Classifier(model=model_path, filter=hoomd.filter.Type(["B"]))
    for classifier in (everyone, some, second):
        attach(simulation, classifier)
    simulation.run(10)
    np.testing.assert_array_equal(some.particles, sorted(tags))
    np.testing.assert_array_equal(some.label[tags], everyone.label[tags])
    np.testing.assert_allclose(some.embedding[tags], everyone.embedding[tags], atol=1e-5)
    others = np.setdiff1d(np.arange(len(some.label)), tags)
    assert (some.label[others] == -1).all()
    assert not some.confidence[others].any()
    assert sum(some.fractions.values()) == pytest.approx(1)
    assert some.fraction("unknown") == (everyone.label[tags] == -1).mean()
    np.testing.assert_array_equal(second.particles, np.arange(1, len(second.label), 2))
    np.testing.assert_array_equal(second.label[1::2], everyone.label[1::2])
    with open_trajectory(path) as trajectory:
        np.testing.assert_array_equal(frame_labels(trajectory[-1])[0], some.label)
        fractions = trajectory[-1].log["hoomd_gala/Classifier/fractions"]
    np.testing.assert_array_equal(fractions, np.asarray(some.fractions))


@pytest.mark.filterwarnings("error::UserWarning")
def test_few_particles_have_images_as_neighbors(simulation, model_path, tmp_path):
    path = tmp_path / "labeled.gsd"
    classifier = hoomd_gala.Classifier(model_path, path)
    attach(simulation, classifier)
    simulation.run(10)
    assert classifier.fraction("unknown") < 0.1
    snapshot = simulation.state.get_snapshot()
    everyone = snapshot.particles.N
    positions = snapshot.particles.position.copy()
    few = hoomd.Snapshot()
    few.configuration.box = snapshot.configuration.box
    few.particles.N = 8
    few.particles.types = ["A", "B"]
    few.particles.position[:] = positions[:8]
    simulation.state.set_snapshot(few)
    simulation.run(20)
    state = simulation.state.get_snapshot()
    expected = classifier.analyzer.analyze(state)
    np.testing.assert_array_equal(classifier.label, expected.label)
    state.replicate(3, 3, 3)
    np.testing.assert_array_equal(classifier.analyzer.analyze(state).label[:8], expected.label)
    assert classifier.label.shape == (8,)
    assert classifier.embedding.shape == (8, 16)
    # enough again
    simulation.state.set_snapshot(snapshot)
    simulation.run(10)
    assert classifier.fraction("unknown") < 0.1
    with open_trajectory(path) as trajectory:
        assert [frame.particles.N for frame in trajectory] == [everyone, 8, 8, everyone]


@pytest.mark.parametrize("later", [False, True])
def test_a_writer_of_some_particles_cannot_log_quantities_of_all(
    simulation, model_path, tmp_path, later
):
    path = tmp_path / "solute.gsd"
    only = hoomd.filter.Type(["A"])
    classifier = hoomd_gala.Classifier(model_path, filter=only)
    logger = hoomd.logging.Logger(categories=["particle", "sequence"])
    logger.add(classifier)
    writer = hoomd.write.GSD(trigger=10, filename=str(path), mode="xb", filter=only, logger=logger)
    attach(simulation, classifier)
    if later:
        simulation.run(0)
    simulation.operations.writers.append(writer)
    if later:
        # a running simulation is not ended
        with pytest.warns(RuntimeWarning, match="writes some particles to .* No quantities of"):
            simulation.run(20)
        writer.flush()
        with open_trajectory(path) as trajectory:
            assert [sorted(frame.log) for frame in trajectory] == 2 * [
                ["hoomd_gala/Classifier/fractions", "hoomd_gala/Classifier/names"]
            ]
    else:
        with pytest.raises((InputError, RuntimeError), match="writes some particles to"):
            simulation.run(10)
        assert not path.exists() or not steps_of(path)
    # put right, the simulation goes on
    simulation.operations.writers.remove(writer)
    simulation.run(10)
    assert len(classifier.result.label) == simulation.state.N_particles // 2


def test_a_writer_of_some_particles_cannot_log_clusters_of_all(simulation, model_path, tmp_path):
    path = tmp_path / "solute.gsd"
    classifier = hoomd_gala.Classifier(model_path)
    logger = hoomd.logging.Logger(categories=["particle"])
    logger.add(classifier, quantities=["cluster"])
    attach(simulation, classifier)
    simulation.run(0)
    writer = hoomd.write.GSD(
        trigger=10, filename=str(path), filter=hoomd.filter.Type(["A"]), logger=logger
    )
    simulation.operations.writers.append(writer)
    with pytest.warns(RuntimeWarning, match="writes some particles to .* No quantities of"):
        simulation.run(20)
    writer.flush()
    with open_trajectory(path) as trajectory:
        assert [dict(frame.log) for frame in trajectory] == [{}, {}]


@pytest.mark.filterwarnings("error::UserWarning")
def test_particles_in_a_thin_box_have_their_own_images_as_neighbors(simulation, model_path):
    classifier = hoomd_gala.Classifier(model_path)
    attach(simulation, classifier)
    thin = hoomd.Snapshot()
    thin.configuration.box = [60, 5, 5, 0, 0, 0]
    thin.particles.N = 30
    thin.particles.types = ["A", "B"]
    thin.particles.position[:] = np.c_[np.linspace(-29, 29, 30), np.zeros((30, 2))]
    simulation.state.set_snapshot(thin)
    simulation.run(10)
    label = classifier.label
    state = simulation.state.get_snapshot()
    state.replicate(1, 4, 4)
    np.testing.assert_array_equal(classifier.analyzer.analyze(state).label[:30], label)


def test_the_same_filter_for_classifier_and_writer(simulation, model_path, tmp_path):
    path = tmp_path / "solute.gsd"
    only = hoomd.filter.Type(["A"])
    classifier = hoomd_gala.Classifier(model_path, filter=only)
    attach(simulation, classifier)
    logger = hoomd.logging.Logger(categories=["particle", "sequence"])
    logger.add(classifier, quantities=["names", "fractions"])
    label = ("hoomd_gala", "Classifier", "label")
    logger[label] = (lambda: classifier.result.label, "particle")
    writer = hoomd.write.GSD(trigger=10, filename=str(path), mode="xb", filter=only, logger=logger)
    simulation.operations.writers.append(writer)
    simulation.run(10)
    writer.flush()
    with open_trajectory(path) as trajectory:
        frame = trajectory[0]
    labels, names = frame_labels(frame)
    assert len(labels) == frame.particles.N == len(classifier.particles)
    np.testing.assert_array_equal(labels, classifier.label[classifier.particles])
    assert (labels == names.index("cI2-W")).mean() > 0.9


def test_several_classifiers_with_different_models(
    simulation, model_path, embedding_model_path, tmp_path
):
    classifiers = [hoomd_gala.Classifier(path) for path in (model_path, embedding_model_path)]
    logger = hoomd.logging.Logger(categories=["particle", "sequence"])
    for classifier in classifiers:
        attach(simulation, classifier)
        logger += classifier
    path = tmp_path / "run.gsd"
    writer = hoomd.write.GSD(trigger=10, filename=str(path), mode="xb", logger=logger)
    simulation.operations.writers.append(writer)
    simulation.run(10)
    writer.flush()
    with open_trajectory(path) as trajectory:
        log = trajectory[-1].log
    for classifier, name in zip(classifiers, ("Classifier", "Classifier_1"), strict=True):
        embedding = log[f"particles/hoomd_gala/{name}/embedding"]
        np.testing.assert_array_equal(embedding, classifier.embedding)


def test_run_goes_on_from_a_labeled_file_with_its_own_types(simulation, model_path, tmp_path):
    path = tmp_path / "labeled.gsd"
    attach(simulation, hoomd_gala.Classifier(model_path, path))
    simulation.run(20)
    before = simulation.state.get_snapshot()
    twin = hoomd.Simulation(hoomd.device.CPU(), seed=1)
    twin.create_state_from_snapshot(
        hoomd.Snapshot.from_gsd_frame(read_frame(path), twin.device.communicator)
    )
    after = twin.state.get_snapshot()
    assert twin.state.particle_types == ["A", "B"]
    np.testing.assert_array_equal(after.particles.typeid, before.particles.typeid)
    np.testing.assert_allclose(after.particles.position, before.particles.position, atol=1e-5)


def test_types_are_kept_where_that_is_asked_for(simulation, model_path, tmp_path):
    path = tmp_path / "labeled.gsd"
    attach(simulation, hoomd_gala.Classifier(model_path, path, keep_types=True))
    simulation.run(10)
    with open_trajectory(path) as trajectory:
        assert trajectory[0].particles.types == ["A", "B"]
        assert frame_labels(trajectory[0]) is not None


def test_file_of_the_gsd_writer_can_be_viewed(simulation, model_path, tmp_path):
    classifier = hoomd_gala.Classifier(model_path)
    attach(simulation, classifier)
    logger = hoomd.logging.Logger(categories=["particle", "sequence"])
    logger.add(classifier)
    path = tmp_path / "run.gsd"
    writer = hoomd.write.GSD(trigger=10, filename=str(path), mode="xb", logger=logger)
    simulation.operations.writers.append(writer)
    simulation.run(10)
    writer.flush()
    with open_trajectory(path) as trajectory:
        assert trajectory[0].particles.types == ["A", "B"]
    frame = read_frame(view_trajectory(path))
    assert frame.particles.types == ["A", "B"]
    with open_trajectory(tmp_path / "run-view.gsd") as trajectory:
        kinds = np.array(trajectory[0].particles.types)[trajectory[0].particles.typeid]
    names = np.array([*map(title, classifier.class_names), "unknown"])[classifier.label]
    np.testing.assert_array_equal(kinds, names)


def test_fractions_as_scalars_in_a_table_and_all_in_hdf5(simulation, model_path, tmp_path, count):
    h5py = pytest.importorskip("h5py", reason="h5py is not installed, which HDF5Log needs")
    classifier = hoomd_gala.Classifier(model_path)
    attach(simulation, classifier)
    scalars = hoomd.logging.Logger(categories=["scalar"])
    scalars.add(classifier)
    scalars["bcc"] = (lambda: classifier.fraction("cI2-W"), "scalar")
    everything = hoomd.logging.Logger(categories=hoomd.write.HDF5Log.accepted_categories)
    everything.add(classifier, quantities=["fractions", "solid_fraction"])
    with open(tmp_path / "table.txt", "w") as output:
        simulation.operations.writers.append(
            hoomd.write.Table(trigger=10, logger=scalars, output=output)
        )
        hdf5 = hoomd.write.HDF5Log(
            trigger=10, filename=str(tmp_path / "log.h5"), logger=everything, mode="w"
        )
        simulation.operations.writers.append(hdf5)
        simulation.run(20)
        hdf5.flush()
    assert len(count) == 2
    rows = (tmp_path / "table.txt").read_text().splitlines()
    solid, bcc = (float(word) for word in rows[-1].split())
    assert solid == pytest.approx(classifier.solid_fraction, rel=1e-4)
    assert bcc == pytest.approx(classifier.fraction("cI2-W"), rel=1e-4)
    with h5py.File(tmp_path / "log.h5") as file:
        group = file["hoomd-data/hoomd_gala/Classifier"]
        assert (group["fractions"].dtype, group["fractions"].shape) == (np.float64, (2, 4))
        np.testing.assert_array_equal(group["fractions"][-1], np.asarray(classifier.fractions))
        assert group["solid_fraction"].shape == (2,)


def test_fractions_are_one_mapping_and_positions_deprecated(simulation, model_path):
    classifier = hoomd_gala.Classifier(model_path)
    attach(simulation, classifier)
    simulation.run(10)
    fractions = classifier.fractions
    assert fractions == classifier.result.fractions
    assert list(fractions) == [*classifier.class_names, "unknown"]
    assert fractions["cI2-W"] == classifier.fraction("cI2-W") > 0.5
    assert classifier.solid_fraction == fractions["cF4-Cu"] + fractions["cI2-W"]
    with pytest.warns(DeprecationWarning, match="positions and slices are deprecated"):
        assert fractions[1] == fractions["cI2-W"]
    with pytest.warns(DeprecationWarning, match="positions and slices are deprecated"):
        np.testing.assert_array_equal(fractions[:-1], np.asarray(fractions)[:3])


def test_box_and_number_of_particles_may_change_at_any_time(simulation, model_path, count):
    classifier = hoomd_gala.Classifier(model_path)
    attach(simulation, classifier)
    analyzer = hoomd_gala.Analyzer(model_path)

    def check():
        expected = analyzer.analyze(simulation.state.get_snapshot())
        assert classifier.label.shape == (simulation.state.N_particles,)
        assert (classifier.label == expected.label).mean() > 0.999
        np.testing.assert_allclose(classifier.embedding, expected.embedding, atol=1e-3)
        return expected

    simulation.run(0)
    before = check()
    assert before.fraction("cI2-W") > 0.9
    # sheared and stretched at the same timestep
    box = simulation.state.box
    tilted = hoomd.Box(box.Lx, box.Ly, 1.5 * box.Lz, xy=0.35)
    hoomd.update.BoxResize.update(simulation.state, tilted)
    after = check()
    assert np.abs(after.embedding - before.embedding).mean() > 0.1
    # and the positions alone
    snapshot = simulation.state.get_snapshot()
    rng = np.random.default_rng(1)
    snapshot.particles.position[:] += rng.normal(0, 0.3, snapshot.particles.position.shape)
    snapshot.wrap()
    simulation.state.set_snapshot(snapshot)
    made = len(count)
    assert check().fraction("cI2-W") < 0.5
    assert len(count) == made + 2
    # as many particles again
    snapshot.replicate(2, 1, 1)
    simulation.state.set_snapshot(snapshot)
    check()


def start_again(simulation, path):
    """A simulation that goes on from a GSD file."""
    twin = hoomd.Simulation(hoomd.device.CPU(), seed=1)
    twin.create_state_from_gsd(str(path))
    integrator = simulation.operations.integrator
    simulation.operations.integrator = None
    twin.operations.integrator = integrator
    return twin


def steps_of(path):
    with open_trajectory(path) as trajectory:
        return [frame.configuration.step for frame in trajectory]


def test_restart_appends_without_frames_that_are_there_already(simulation, model_path, tmp_path):
    path, restart = tmp_path / "labeled.gsd", tmp_path / "restart.gsd"
    attach(simulation, hoomd_gala.Classifier(model_path, path))
    simulation.run(20)
    hoomd.write.GSD.write(simulation.state, filename=str(restart), mode="wb")
    simulation.run(10)
    # the run was cut off after frame 30; what it wrote after the restart file will come again
    twin = start_again(simulation, restart)
    assert trim(path, twin.timestep) == 2
    attach(twin, hoomd_gala.Classifier(model_path, path))
    # frame 20 is asked for again, and is there
    twin.run(20, write_at_start=True)
    assert steps_of(path) == [10, 20, 30, 40]


RUN = """
import json, signal, sys
# a background job may have been started with interrupts ignored
signal.signal(signal.SIGINT, signal.default_int_handler)
import gsd.hoomd, hoomd, hoomd_gala
model, start, path = sys.argv[1:]
simulation = hoomd.Simulation(hoomd.device.CPU(), seed=1)
simulation.create_state_from_gsd(start)
classifier = hoomd_gala.Classifier(model, path)
class Tell(hoomd.custom.Action):
    def act(self, timestep):
        print(json.dumps(timestep), flush=True)
for action in (classifier, Tell()):
    simulation.operations.writers.append(hoomd.write.CustomWriter(action=action, trigger=1))
simulation.run(1_000_000)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_death_by_signal_costs_the_frame_in_progress_at_most(bcc, model_path, tmp_path, number):
    start, path = tmp_path / "start.gsd", tmp_path / "labeled.gsd"
    with gsd.hoomd.open(start, "w") as trajectory:
        trajectory.append(make_frame(bcc, 0))
    command = [sys.executable, "-c", RUN, str(model_path), str(start), str(path)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as child:
        told = [json.loads(child.stdout.readline()) for _ in range(4)]
        time.sleep(0.05 * int(number))  # anywhere in a later frame
        os.kill(child.pid, number)
        told += [json.loads(line) for line in child.stdout.read().splitlines()]
    assert child.returncode != 0
    steps = steps_of(path)
    assert steps == list(range(1, len(steps) + 1))
    assert len(steps) >= len(told)
    with open_trajectory(path) as trajectory:
        assert all(frame_labels(frame) is not None for frame in trajectory)


def test_frames_before_a_torn_one_come_back(simulation, model_path, tmp_path):
    path = tmp_path / "labeled.gsd"
    attach(simulation, hoomd_gala.Classifier(model_path, path))
    simulation.run(40)
    whole = path.read_bytes()
    # as if the machine had gone down while the last frame was written
    path.write_bytes(whole[: int(0.9 * len(whole))])
    frames = count_recoverable_frames(path)
    assert frames >= 2
    assert recover(path, path) == frames
    assert steps_of(path) == [10, 20, 30, 40][:frames]


@pytest.mark.parametrize("after", [True, False])
@pytest.mark.parametrize("number", [1, 2])
def test_frames_go_on_after_an_interrupt(
    simulation, model_path, tmp_path, monkeypatch, after, number
):
    """Ctrl-C, while a frame is written or just after that, and another run, as in a notebook."""
    path = tmp_path / "labeled.gsd"
    attach(simulation, hoomd_gala.Classifier(model_path, path))
    original, asked = gsd.hoomd.HOOMDTrajectory.append, []

    def append(self, frame):
        asked.append(frame)
        if after or len(asked) != number:
            original(self, frame)
        if len(asked) == number:
            raise KeyboardInterrupt

    monkeypatch.setattr(gsd.hoomd.HOOMDTrajectory, "append", append)
    with pytest.raises(KeyboardInterrupt):
        simulation.run(30)
    assert simulation.timestep < 10 * number + 2
    simulation.run(40)
    lost = set() if after else {10 * number}
    assert steps_of(path) == sorted({*range(10, simulation.timestep + 1, 10)} - lost)


def test_arrays_that_users_change_are_their_own(simulation, model_path, tmp_path):
    path = tmp_path / "labeled.gsd"
    classifier = hoomd_gala.Classifier(model_path, path, quantities=tuple(CHUNKS))

    class Careless(hoomd.custom.Action):
        def act(self, timestep):
            result, nuclei = classifier.result, classifier.clusters()
            arrays = [classifier.label, classifier.confidence, classifier.embedding]
            arrays += [result.label, result.confidence, result.embedding]
            for array in (*arrays, classifier.cluster, nuclei.ids, nuclei.sizes):
                array[:] = 77

    simulation.operations.writers.append(hoomd.write.CustomWriter(action=Careless(), trigger=10))
    attach(simulation, classifier)
    simulation.run(10)
    with open_trajectory(path) as trajectory:
        frame = trajectory[-1]
    expected = hoomd_gala.Analyzer(model_path).analyze(simulation.state.get_snapshot())
    np.testing.assert_array_equal(frame_labels(frame)[0], expected.label)
    np.testing.assert_allclose(frame.log[CHUNKS["confidence"]], expected.confidence, atol=1e-5)
    np.testing.assert_allclose(frame.log[CHUNKS["embedding"]], expected.embedding, atol=1e-5)
    assert classifier.clusters().ids.max() < 77
    assert classifier.largest_cluster > 77


def test_of_two_writers_with_one_classifier_one_may_leave(simulation, model_path, tmp_path):
    path = tmp_path / "labeled.gsd"
    classifier = hoomd_gala.Classifier(model_path, path)
    attach(simulation, classifier, 10)
    second = attach(simulation, classifier, 15)
    simulation.run(30)
    simulation.operations.writers.remove(second)
    simulation.run(30)
    assert steps_of(path) == [10, 15, 20, 30, 40, 50, 60]
    assert classifier.fraction("cI2-W") > 0.9


def test_a_filter_that_is_changed_counts_at_once(simulation, model_path):
    classifier = hoomd_gala.Classifier(model_path)
    attach(simulation, classifier)
    simulation.run(10)
    everybody, _ = classifier.fraction("cI2-W"), classifier.clusters()
    assert everybody > 0.9
    half = hoomd.filter.Type(["A"])
    classifier.filter = classifier.neighbors = half
    own = hoomd_gala.Analyzer(model_path).analyze(simulation.state.get_snapshot(), neighbors="A")
    assert classifier.fraction("cI2-W") == own.fraction("cI2-W") != everybody
    np.testing.assert_array_equal(classifier.result.label, own.label)
    simulation.run(3)
    classifier.filter = classifier.neighbors = None
    assert classifier.recent_fraction("cI2-W", period=100) > 0.9


def test_names_of_bonds_beyond_ascii(simulation, model_path, tmp_path):
    path = tmp_path / "labeled.gsd"
    snapshot = simulation.state.get_snapshot()
    snapshot.bonds.types = ["Cα-N"]
    snapshot.bonds.N = 1
    snapshot.bonds.group[:] = [[0, 1]]
    bonded = hoomd.Simulation(hoomd.device.CPU(), seed=1)
    bonded.create_state_from_snapshot(snapshot)
    attach(bonded, hoomd_gala.Classifier(model_path, path))
    bonded.run(20)
    assert steps_of(path) == [10, 20]
    assert read_frame(path).bonds.types == ["Cα-N"]


def test_the_file_stays_where_it_was_begun(simulation, model_path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    attach(simulation, hoomd_gala.Classifier(model_path, "labeled.gsd"))
    simulation.run(20)
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    simulation.run(20)
    assert steps_of(tmp_path / "labeled.gsd") == [10, 20, 30, 40]


def test_what_cannot_be_a_file_or_a_filter_is_refused_when_attached(
    simulation, model_path, tmp_path
):
    attach(simulation, hoomd_gala.Classifier(model_path, tmp_path))
    with pytest.raises(InputError, match="is a folder; give the name of a file"):
        simulation.run(0)
    simulation.operations.writers.clear()

    class Mask(hoomd.filter.CustomFilter):
        def __call__(self, state):
            return np.ones(state.N_particles, bool)

        def __hash__(self):
            return 1

        def __eq__(self, other):
            return self is other

    attach(simulation, hoomd_gala.Classifier(model_path, filter=Mask()))
    with pytest.raises(InputError, match=r"filter of hoomd_gala\.Classifier gives a mask"):
        simulation.run(0)


def test_the_model_auto_is_decided_for_each_simulation(simulation):
    classifier = hoomd_gala.Classifier("auto")
    writer = attach(simulation, classifier)
    simulation.run(0)
    compounds = classifier.class_names
    simulation.operations.writers.remove(writer)
    snapshot = simulation.state.get_snapshot()
    snapshot.particles.typeid[:] = 0
    second = hoomd.Simulation(hoomd.device.CPU(), seed=1)
    second.create_state_from_snapshot(snapshot)
    attach(second, classifier)
    second.run(0)
    assert len(classifier.class_names) < len(compounds)
