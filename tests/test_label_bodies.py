"""Frames with rigid bodies: centers and free particles count, constituents have their labels."""

from dataclasses import replace

import gsd.hoomd
import numpy as np
import pytest
from commands import fails

from hoomd_gala import Analyzer, InputError
from hoomd_gala.cli import main
from hoomd_gala.clusters import find_clusters
from hoomd_gala.crystals import crystal, displace, unit_cell
from hoomd_gala.files import frame_labels, make_frame, open_trajectory, read_frame
from hoomd_gala.labeling import label_trajectory
from hoomd_gala.learning.datasets import parse_range, trajectory_frames
from hoomd_gala.learning.hand_labels import labeled_systems, read_labels
from hoomd_gala.sampling import sample_files
from hoomd_gala.systems import make_system

MODEL = "structures-fast"


@pytest.fixture(scope="module")
def frame():
    """Bodies of a center R and six constituents A, and free particles F, on sites of fcc."""
    rng = np.random.default_rng(0)
    sites = displace(crystal(unit_cell("fcc"), 500), 0.05, rng)
    n = len(sites.positions)
    n_free = n // 10
    arms = 0.31 * np.concatenate((np.eye(3), -np.eye(3)))
    # bodies come first, as HOOMD orders them
    bodies = np.arange(n - n_free)
    constituents = (sites.positions[bodies, None] + arms).reshape(-1, 3)
    positions = np.concatenate((sites.positions, constituents))
    types = np.repeat([0, 2, 1], [len(bodies), n_free, len(constituents)])
    made = make_frame(make_system(positions, sites.box, types), 0, ("R", "A", "F"))
    made.particles.body = np.concatenate((bodies, np.full(n_free, -1), np.repeat(bodies, 6)))
    return made


@pytest.fixture(scope="module")
def centers_alone(frame):
    chosen = frame.particles.typeid != 1
    result = Analyzer(MODEL).analyze(frame.particles.position[chosen], frame.configuration.box)
    assert result.fraction("fcc") > 0.95
    return result


def of_bodies(values, frame):
    """Values of all particles from those of bodies and free particles."""
    body, n = frame.particles.body, len(values)
    return values[np.where(np.arange(len(body)) < n, np.arange(len(body)), body)]


def test_constituents_have_the_label_of_their_body(frame, centers_alone):
    result = Analyzer(MODEL).analyze(frame)
    for name in ("label", "confidence"):
        expected = of_bodies(getattr(centers_alone, name), frame)
        np.testing.assert_array_equal(getattr(result, name), expected)
    assert result.embedding.shape == (frame.particles.N, centers_alone.embedding.shape[1])
    # fractions are of what was labeled
    assert result.fractions == centers_alone.fractions
    others = np.where(frame.particles.typeid == 1, -1, result.label)
    assert replace(result, label=others).fractions == result.fractions


def test_neighbors_that_are_asked_for_are_taken(frame):
    analyzer = Analyzer(MODEL)
    everybody = analyzer.analyze(frame, neighbors=["R", "A", "F"])
    assert len(everybody.label) == frame.particles.N
    assert everybody.fraction("fcc") < 0.1
    # some of the centers, among all of them
    bodies = analyzer.analyze(frame, particles="R")
    assert bodies.fraction("fcc") > 0.95
    with pytest.raises(InputError, match=r"are not among the neighbors; give .* constituents"):
        analyzer.analyze(frame, particles=["R", "A"])


def test_frames_without_constituents_are_what_they_were(frame, centers_alone):
    chosen = frame.particles.typeid != 1
    bare = gsd.hoomd.Frame()
    bare.configuration.box = frame.configuration.box
    bare.particles.N = chosen.sum()
    bare.particles.position = frame.particles.position[chosen]
    bare.particles.body = frame.particles.body[chosen]
    result = Analyzer(MODEL).analyze(bare)
    np.testing.assert_array_equal(result.label, centers_alone.label)
    assert result.counted is None


@pytest.mark.parametrize("ending", ["gsd", "xyz"])
def test_bodies_have_one_color_in_labeled_files(frame, centers_alone, tmp_path, ending, capsys):
    source, out = tmp_path / "run.gsd", tmp_path / f"out.{ending}"
    with gsd.hoomd.open(source, "w") as trajectory:
        trajectory.append(frame)
    label = ["label", str(source), str(out), "--model", MODEL]
    assert main([*label, "--clusters", "fcc"]) == 0
    share = f"{centers_alone.fraction('fcc'):.1%}"
    shown = capsys.readouterr().out
    assert f"fcc (cF4-Cu)  {share:>7}" in " ".join(shown.split("\n")) or share in shown
    expected = of_bodies(centers_alone.label, frame)
    largest = int((centers_alone.label == 0).sum())
    assert f"clusters: 1, particles in the largest: {largest}" in shown
    if ending == "xyz":
        from ovito.io import import_file

        data = import_file(str(out)).compute()
        np.testing.assert_array_equal(data.particles["label"], expected)
        return
    written = read_frame(out)
    np.testing.assert_array_equal(frame_labels(written)[0], expected)
    np.testing.assert_array_equal(written.particles.body, frame.particles.body)
    np.testing.assert_array_equal(
        written.log["particles/hoomd_gala/Classifier/cluster"], np.where(expected == 0, 0, -1)
    )
    with open_trajectory(out) as trajectory:
        again = Analyzer(MODEL).analyze(trajectory[0])
    np.testing.assert_array_equal(again.label, expected)


def test_types_of_bodies_from_the_command_line(frame, tmp_path, capsys):
    source, out = tmp_path / "run.gsd", tmp_path / "out.gsd"
    with gsd.hoomd.open(source, "w") as trajectory:
        trajectory.append(frame)
    label = ["label", str(source), str(out), "--model", MODEL]
    assert main([*label, "--types", "R", "--clusters"]) == 0
    found, classes = frame_labels(read_frame(out))
    body, typeid = frame.particles.body, frame.particles.typeid
    assert (found[typeid == 0] == classes.index("cF4-Cu")).mean() > 0.95
    assert (found[typeid == 2] == -1).all()
    np.testing.assert_array_equal(found[typeid == 1], found[body[typeid == 1]])
    cluster = read_frame(out).log["particles/hoomd_gala/Classifier/cluster"]
    np.testing.assert_array_equal(cluster[typeid == 1], cluster[body[typeid == 1]])
    assert (cluster[typeid == 2] == -1).all()
    out.unlink()
    assert main([*label, "--neighbors", "R,A,F"]) == 0
    assert (frame_labels(read_frame(out))[0] == classes.index("cF4-Cu")).mean() < 0.1
    out.unlink()
    assert "not among the neighbors" in fails(capsys, *label, "--types", "A")


def test_clusters_of_bodies_are_counted_in_bodies(frame):
    label = np.zeros(frame.particles.N, np.int32)
    found = find_clusters(frame, label, ["cF4-Cu"])
    assert found.sizes.tolist() == [(frame.particles.typeid != 1).sum()]
    assert (found.ids == 0).all()


@pytest.fixture
def written(frame, tmp_path):
    """It as a file, and where in it there are centers and free particles."""
    path = tmp_path / "bodies.gsd"
    with gsd.hoomd.open(path, "w") as trajectory:
        trajectory.append(frame)
    return path, np.flatnonzero(frame.particles.typeid != 1)


def labels_of(path, rows):
    path.write_text("frame,particle,name\n" + "".join(f"0,{i},{name}\n" for i, name in rows))
    return read_labels(path, ["bodies.gsd"])


def test_names_are_learned_from_what_is_labeled(written, frame, tmp_path):
    """Bodies as a whole, of which a constituent stands for its own."""
    path, centers = written
    arm = len(centers) + 6 * 4 + 1  # of body 4
    labels = labels_of(tmp_path / "a.csv", [(3, "a"), (arm, "a"), (centers[-1], "b"), (7, "b")])
    (learned,) = labeled_systems("a.csv", [path], labels, ["a", "b"])
    whole = frame.particles.position[centers]
    np.testing.assert_allclose(learned.system.positions, whole, atol=1e-6)
    assert learned.particles.tolist() == [3, 4, len(centers) - 1, 7]
    labels = labels_of(tmp_path / "b.csv", [(4, "a"), (arm, "b"), (5, "a"), (6, "b")])
    said = f"line 3: particle {arm} of frame 0 is 'b', and particle 4 of the same rigid body is 'a'"
    with pytest.raises(InputError, match=said):
        labeled_systems("b.csv", [path], labels, ["a", "b"])


def test_neighbors_that_names_are_learned_with(written, frame, tmp_path):
    path, _ = written
    labels = labels_of(tmp_path / "a.csv", [(3, "a"), (4, "a"), (5, "b"), (6, "b")])
    (learned,) = labeled_systems("a.csv", [path], labels, ["a", "b"], ["R"])
    assert (learned.system.types == 0).all()
    assert len(learned.system.positions) == (frame.particles.typeid == 0).sum()
    (learned,) = labeled_systems("a.csv", [path], labels, ["a", "b"], ["A", "R"])
    assert set(learned.system.types) == {0, 1}
    with pytest.raises(InputError, match="4 of the 4 particles to label are not among"):
        labeled_systems("a.csv", [path], labels, ["a", "b"], ["F"])
    with pytest.raises(InputError, match="there is no type 'X'"):
        labeled_systems("a.csv", [path], labels, ["a", "b"], ["X"])


def test_tasks_are_learned_from_bodies_as_a_whole(written):
    path, _ = written
    rng = np.random.default_rng(1)
    found, _ = trajectory_frames([parse_range(str(path))], 200, rng)
    # in units of the mean length of 20 bonds; constituents are at 0.4 of that
    assert np.linalg.norm(found.bonds, axis=-1).min() > 0.7


def test_maps_show_bodies_once(written, frame, centers_alone, tmp_path):
    path, centers = written
    (sample,) = sample_files(Analyzer(MODEL), [str(path)], 10_000)
    assert len(sample.embedding) == len(centers)
    assert (sample.about["structure"] == "cF4-Cu").mean() == centers_alone.fraction("fcc")
    # and of files only what has an embedding
    labeled = tmp_path / "free.gsd"
    label_trajectory(
        path, labeled, MODEL, types=["F"], quantities=("label", "confidence", "embedding")
    )
    (sample,) = sample_files(None, [str(labeled)], 10_000)
    assert len(sample.embedding) == (frame.particles.typeid == 2).sum()
    with gsd.hoomd.open(labeled) as trajectory:
        none = trajectory[0]
    none.log["particles/hoomd_gala/Classifier/embedding"][:] = 0
    with gsd.hoomd.open(tmp_path / "none.gsd", "w") as trajectory:
        trajectory.append(none)
    with pytest.raises(InputError, match="no particle in these frames has an embedding"):
        sample_files(None, [str(tmp_path / "none.gsd")], 10)
