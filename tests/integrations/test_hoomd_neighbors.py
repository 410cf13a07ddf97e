"""Who is labeled and who is a neighbor in HOOMD-blue: rigid bodies, and a crystal in a solvent."""

import warnings

import numpy as np
import pytest
from conftest import HAS_HOOMD

if not HAS_HOOMD:
    pytest.skip("HOOMD-blue is not installed", allow_module_level=True)

import hoomd
from mixtures import simulation_of, write_bodies, write_solution

import hoomd_gala
from hoomd_gala.errors import InputError
from hoomd_gala.files import frame_labels, open_trajectory
from hoomd_gala.results import Fractions
from hoomd_gala.selection import rigid_centers


@pytest.fixture
def bodies(tmp_path):
    write_bodies(tmp_path / "bodies.gsd")
    return simulation_of(tmp_path / "bodies.gsd")


@pytest.fixture
def solution(tmp_path):
    write_solution(tmp_path / "solution.gsd")
    return simulation_of(tmp_path / "solution.gsd")


def attach(simulation, *arguments, **options):
    classifier = hoomd_gala.Classifier(*arguments, **options)
    writer = hoomd.write.CustomWriter(action=classifier, trigger=10)
    simulation.operations.writers.append(writer)
    simulation.run(0)
    return classifier


@pytest.mark.parametrize(
    ("free", "options", "name"),
    [
        (False, {}, "structures"),
        (True, {}, "compounds"),
        (False, {"neighbors": hoomd.filter.All()}, "compounds"),
    ],
)
def test_types_of_constituents_do_not_count(free, options, name, tmp_path):
    write_bodies(tmp_path / "bodies.gsd", free)
    classifier = attach(simulation_of(tmp_path / "bodies.gsd"), "auto", **options)
    assert classifier.class_names == hoomd_gala.Analyzer(name).class_names


def kinds_of(simulation):
    particles = simulation.state.get_snapshot().particles
    return np.array(particles.types)[particles.typeid], particles.body


def test_the_center_of_a_body_counts_and_all_of_it_has_one_label(bodies, model_path, tmp_path):
    own, logged = tmp_path / "own.gsd", tmp_path / "logged.gsd"
    everything = ("label", "confidence", "embedding")
    classifier = attach(bodies, model_path, own, quantities=everything)
    logger = hoomd.logging.Logger(categories=["particle", "sequence"])
    logger.add(classifier)
    writer = hoomd.write.GSD(trigger=10, filename=str(logged), mode="xb", logger=logger)
    bodies.operations.writers.append(writer)
    bodies.run(10)
    writer.flush()
    kinds, body = kinds_of(bodies)
    counted = np.flatnonzero(kinds != "A")
    assert len(kinds) > len(counted) + 6 * 400
    np.testing.assert_array_equal(classifier.particles, counted)
    # the right answer: that of the centers and free particles alone
    snapshot = bodies.state.get_snapshot()
    expected = classifier.analyzer.analyze(
        snapshot.particles.position[counted], snapshot.configuration.box
    )
    assert expected.fractions["cF4-Cu"] > 0.95
    np.testing.assert_array_equal(classifier.result.label, expected.label)
    label, fractions = classifier.label, Fractions.of_labels(classifier.class_names, expected.label)
    assert classifier.fractions == fractions
    np.testing.assert_array_equal(label[counted], expected.label)
    np.testing.assert_array_equal(label[kinds == "A"], label[body[kinds == "A"]])
    for path in (own, logged):
        with open_trajectory(path) as trajectory:
            log = trajectory[-1].log
            np.testing.assert_array_equal(frame_labels(trajectory[-1])[0], label)
        for name in ("confidence", "embedding"):
            np.testing.assert_array_equal(
                log[f"particles/hoomd_gala/Classifier/{name}"], getattr(classifier, name)
            )
        np.testing.assert_array_equal(log["hoomd_gala/Classifier/fractions"], np.asarray(fractions))
    assert (classifier.confidence[kinds == "A"] > 0).all()


def test_a_filter_picks_some_of_the_bodies(bodies, model_path):
    everyone = attach(bodies, model_path).label
    classifier = attach(bodies, model_path, filter=hoomd.filter.Rigid(("center",)))
    kinds, _ = kinds_of(bodies)
    np.testing.assert_array_equal(classifier.particles, np.flatnonzero(kinds == "R"))
    np.testing.assert_array_equal(classifier.label[kinds != "F"], everyone[kinds != "F"])
    assert (classifier.label[kinds == "F"] == -1).all()
    assert classifier.fraction("cF4-Cu") == (everyone[kinds == "R"] == 0).mean()


def test_constituents_count_where_that_is_asked_for(bodies, model_path):
    only = hoomd.filter.Type(["A"])
    classifier = attach(bodies, model_path, filter=only)
    with pytest.warns(UserWarning, match="no particle is labeled"):
        fractions = classifier.fractions
    assert sum(fractions.values()) == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bodies.run(1)  # said once
        assert (classifier.label == -1).all()
        classifier = attach(bodies, model_path, neighbors=only)
        kinds, _ = kinds_of(bodies)
        np.testing.assert_array_equal(classifier.particles, np.flatnonzero(kinds == "A"))
        assert classifier.fraction("cF4-Cu") < 0.1
    assert (classifier.label[kinds != "A"] == -1).all()


def test_filters_that_pick_nobody_or_cannot_be_evaluated(solution, model_path):
    for option, words in (
        ("filter", "the filter of hoomd_gala.Classifier picks none of the neighbors"),
        ("neighbors", "the neighbors of hoomd_gala.Classifier pick no particle"),
    ):
        classifier = attach(solution, model_path, **{option: hoomd.filter.Null()})
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            assert (classifier.label == -1).all()
        assert [words in str(warning.message) for warning in said] == [True]
        with pytest.raises(InputError, match=f"{option} of .* types of this simulation are A, B"):
            attach(solution, model_path, **{option: hoomd.filter.Type(["Z"])})
        del solution.operations.writers[-1]


def test_a_crystal_in_a_solvent(solution, model_path):
    solute = hoomd.filter.Type(["A"])
    kinds, _ = kinds_of(solution)
    # solvent as neighbors: asked wrongly
    assert attach(solution, model_path, filter=solute).fraction("cI2-W") < 0.1
    for options in ({"neighbors": solute}, {"neighbors": solute, "filter": solute}):
        classifier = attach(solution, model_path, **options)
        assert classifier.fraction("cI2-W") > 0.95
        assert classifier.label.shape == kinds.shape
        assert (classifier.label[kinds == "B"] == -1).all()
        assert classifier.result.label.shape == ((kinds == "A").sum(),)
    whole = classifier.label
    some = hoomd.filter.Tags([300, 5, 17, 1000])
    classifier = attach(solution, model_path, neighbors=solute, filter=some)
    np.testing.assert_array_equal(classifier.particles, [5, 17, 300])
    np.testing.assert_array_equal(classifier.label[[5, 17, 300]], whole[[5, 17, 300]])
    assert classifier.label[1000] == -1


def test_bodies_of_frames():
    none = np.full(5, -1)
    assert rigid_centers(none) is None
    assert rigid_centers(none.astype(np.uint32)) is None
    assert rigid_centers([0, 1, 2]) is None  # without constituents
    # a center, two constituents, a floppy body, one whose center is gone
    np.testing.assert_array_equal(rigid_centers([0, 0, -1, 0, -3, 77]), [0, 0, 2, 0, 4, 5])
    # bodies are tags, which have gaps
    np.testing.assert_array_equal(
        rigid_centers([20, 20, -1, 30, 30], [7, 20, 21, 30, 31]), [1, 1, 2, 3, 3]
    )
