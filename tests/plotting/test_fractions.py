"""``hoomd-gala plot fractions``: what is seen of a labeled file, whoever wrote it."""

import csv

import gsd.hoomd
import numpy as np
import pytest
from commands import fails
from conftest import needs_hoomd
from matplotlib import image
from pictures import share

from hoomd_gala.cli import main
from hoomd_gala.colors import COLORS
from hoomd_gala.files import add_labels, make_frame
from hoomd_gala.plotting import fractions as plotted
from hoomd_gala.plotting.fractions import draw_course, read_course
from hoomd_gala.results import Clusters, Result
from hoomd_gala.schema import FRACTIONS, LABEL, NAMES
from hoomd_gala.systems import make_system

NAMED = ("hP2-Mg", "cF4-Cu", "disordered")


def frame_of(label, step, clusters=None):
    """A frame of particles with some labels."""
    label = np.asarray(label, np.int32)
    system = make_system(np.arange(3 * len(label)).reshape(-1, 3) % 9 - 4.0, [9, 9, 9, 0, 0, 0])
    n = len(label)
    result = Result(label, np.ones(n, np.float32), np.zeros((n, 2), np.float32), NAMED)
    if clusters is not None:
        clusters = Clusters(np.full(n, -1, np.int32), np.array([clusters]))
    return add_labels(make_frame(system, step), result, clusters=clusters)


def write(path, frames):
    with gsd.hoomd.open(path, "w") as trajectory:
        for frame in frames:
            trajectory.append(frame)
    return path


@pytest.fixture
def freezing(tmp_path):
    """A liquid of ten particles, half of which become fcc, and one hcp; one is unknown."""
    frames = [
        frame_of([2] * 9 + [-1], 0, 0),
        frame_of([1] * 3 + [2] * 6 + [-1], 20_000, 3),
        frame_of([1] * 5 + [0] + [2] * 3 + [-1], 40_000, 6),
    ]
    return write(tmp_path / "run.gsd", frames)


def test_fractions_are_drawn_in_colors_with_a_legend(freezing, tmp_path, capsys, figures):
    assert main(["plot", "fractions", str(freezing)]) == 0
    picture = tmp_path / "run-fractions.png"
    assert capsys.readouterr().out == f"written: {picture}\n"
    [figure] = figures
    [legend] = figure.legends
    # the uppermost area first
    shown = [text.get_text() for text in legend.get_texts()]
    assert shown == ["unknown", "disordered", "hcp (hP2-Mg)", "fcc (cF4-Cu)"]
    # means over time; the panel is two fifths of the picture
    for name, mean in (("disordered", 0.6), ("cF4-Cu", 0.275), ("unknown", 0.1), ("hP2-Mg", 0.025)):
        area = share(picture, COLORS[name])
        panel = share(picture, COLORS["unknown"]) / 0.1
        assert area == pytest.approx(mean * panel, rel=0.15, abs=0.003), name
    top, bottom = figure.axes
    assert (top.get_ylabel(), top.get_title()) == ("fraction of particles", "run.gsd")
    assert bottom.get_ylabel() == "particles in the\nlargest cluster"
    assert [*bottom.lines[0].get_ydata()] == [0, 3, 6]
    assert bottom.get_xlabel() == "timestep / 1000"
    assert {text.get_text() for text in bottom.get_xticklabels()} >= {"0", "10", "40"}
    # nothing is cut off at the right, where the legend is
    pixels = image.imread(picture)[..., :3]
    assert (pixels[:, -4:] == 1).all()


def test_fractions_as_a_table(freezing, tmp_path):
    table = tmp_path / "run.csv"
    assert main(["plot", "fractions", str(freezing), "--output", str(table)]) == 0
    with open(table, newline="") as file:
        rows = [*csv.DictReader(file)]
    columns = ["frame", "timestep", "cF4-Cu", "hP2-Mg", "disordered", "unknown", "largest_cluster"]
    assert [*rows[0]] == columns
    assert [*rows[2].values()] == ["2", "40000", "0.5", "0.1", "0.3", "0.1", "6"]


@pytest.mark.parametrize(("ending", "begins"), [("pdf", b"%PDF"), ("svg", b"<?xml")])
def test_fractions_as_vector_graphics(freezing, tmp_path, ending, begins):
    picture = tmp_path / f"a.{ending}"
    assert main(["plot", "fractions", str(freezing), "--output", str(picture)]) == 0
    assert picture.read_bytes().startswith(begins)


@pytest.mark.parametrize("left_out", [LABEL, FRACTIONS])
def test_labels_or_fractions_are_enough(left_out, freezing, tmp_path):
    with gsd.hoomd.open(freezing, "r") as trajectory:
        frames = [*trajectory]
    for frame in frames:
        del frame.log[left_out]
    course = read_course(write(tmp_path / "less.gsd", frames))
    np.testing.assert_allclose(course.fractions["cF4-Cu"], [0, 0.3, 0.5])
    np.testing.assert_allclose(course.fractions["unknown"], 0.1)


def test_runs_one_after_the_other_are_drawn_by_frame(tmp_path, figures):
    frames = [frame_of([1] * 10, step) for step in (5, 9, 7)]
    course = read_course(write(tmp_path / "two.gsd", frames))
    draw_course(tmp_path / "two.png", "two", course)
    [axes] = figures[0].axes
    assert (axes.get_xlabel(), axes.get_xlim()) == ("frame", (0, 2))


def test_a_single_frame_is_seen(tmp_path):
    path = write(tmp_path / "one.gsd", [frame_of([1] * 5 + [0] * 5, 7)])
    assert main(["plot", "fractions", str(path)]) == 0
    picture = tmp_path / "one-fractions.png"
    assert share(picture, COLORS["cF4-Cu"]) == pytest.approx(
        share(picture, COLORS["hP2-Mg"]), rel=0.1
    )
    assert share(picture, COLORS["cF4-Cu"]) > 0.1


def test_many_rare_structures_are_drawn_together():
    many = {f"cell {k}": np.array([0.001, 0.002]) for k in range(20)}
    most = {"cF4-Cu": np.array([0.5, 0.6])} | many | {"disordered": np.array([0.4, 0.3])}
    found = plotted._grouped(most)
    assert [*found] == ["cF4-Cu", "other structures", "disordered"]
    np.testing.assert_allclose(found["other structures"], [0.02, 0.04])


def test_files_without_fractions_are_answered_with_a_sentence(
    trajectory_path, freezing, tmp_path, capsys
):
    error = fails(capsys, "plot", "fractions", trajectory_path)
    assert "frame 0 of" in error
    assert "holds no labels; hoomd-gala label adds them." in error
    with gsd.hoomd.open(freezing, "r") as trajectory:
        frames = [*trajectory]
    frames[1].log[FRACTIONS] = np.ones(2)
    nobody = frames[0]
    nobody.log[FRACTIONS] = np.zeros(4)
    error = fails(capsys, "plot", "fractions", write(tmp_path / "nobody.gsd", [nobody]))
    assert "no particle was labeled in any frame; there is nothing to draw" in error
    broken = write(tmp_path / "broken.gsd", frames)
    error = fails(capsys, "plot", "fractions", broken)
    assert f"frame 1 of {broken} has 2 fractions in log/{FRACTIONS}" in error
    assert f"3 names in log/{NAMES}" in error
    assert "it must end in .png, .pdf, .svg or .csv" in fails(
        capsys, "plot", "fractions", freezing, "--output", tmp_path / "a.gif"
    )


def test_models_without_classes_have_no_fractions(
    trajectory_path, embedding_model_path, tmp_path, capsys
):
    out = tmp_path / "out.gsd"
    label = ["label", trajectory_path, out, "--model", embedding_model_path, "--frames", "0"]
    assert main(list(map(str, label))) == 0
    assert "names no structures" in fails(capsys, "plot", "fractions", out)


@needs_hoomd
@pytest.mark.parametrize("by", ["writer", "classifier"])
def test_files_of_hoomd(by, bcc, model_path, tmp_path):
    import hoomd

    import hoomd_gala

    path = tmp_path / "run.gsd"
    sim = hoomd.Simulation(hoomd.device.CPU(), seed=1)
    sim.create_state_from_snapshot(
        hoomd.Snapshot.from_gsd_frame(make_frame(bcc, 0), sim.device.communicator)
    )
    own = path if by == "classifier" else None
    classifier = hoomd_gala.Classifier(model=model_path, filename=own, device="cpu")
    sim.operations.writers.append(hoomd.write.CustomWriter(action=classifier, trigger=1))
    if by == "writer":
        logger = hoomd.logging.Logger(categories=["particle", "sequence"])
        logger.add(classifier)
        writer = hoomd.write.GSD(trigger=1, filename=str(path), mode="xb", logger=logger)
        sim.operations.writers.append(writer)
    sim.run(3)
    if by == "writer":
        writer.flush()
    course = read_course(path)
    assert len(course.steps) >= 3
    assert course.fractions["cI2-W"].min() > 0.9
