"""``hoomd-gala plot frame``: what OVITO renders, and the legend beside it."""

import functools

import gsd.hoomd
import numpy as np
import pytest
from commands import fails
from ovito_pictures import count_pixels
from pictures import pixels

from hoomd_gala.cli import main
from hoomd_gala.colors import COLORS
from hoomd_gala.files import add_labels, make_frame
from hoomd_gala.plotting.frames import _mark, read_shown
from hoomd_gala.results import Result
from hoomd_gala.systems import as_system, make_system

NAMED = ("cF4-Cu", "cI2-W", "hP2-Mg", "disordered")
EDGE = 8


def grid():
    places = np.stack(np.meshgrid(*[np.arange(EDGE)] * 3, indexing="ij"), -1)
    return places.reshape(-1, 3) - EDGE / 2 + 0.5


@pytest.fixture
def labeled(tmp_path):
    """A block, all hcp in the first frame; then fcc behind and bcc in front, in a box of liquid."""
    positions = grid()
    behind = np.where(positions[:, 1] > 0, 0, 1)
    outside = np.abs(positions).max(axis=1) > 2
    path = tmp_path / "run.gsd"
    with gsd.hoomd.open(path, "w") as trajectory:
        for step, label in enumerate((np.full(len(positions), 2), np.where(outside, 3, behind))):
            label = label.astype(np.int32)
            n = len(label)
            result = Result(label, np.ones(n, np.float32), np.zeros((n, 2), np.float32), NAMED)
            system = make_system(positions, [EDGE, EDGE, EDGE, 0, 0, 0])
            trajectory.append(add_labels(make_frame(system, 100 * step), result))
    return path


def seen(path):
    """Structures whose color covers some of the picture, beside its mark in the legend."""
    picture = pixels(path)
    rendered = picture[:, : int(picture.shape[0] * 1.1)]
    return {
        name
        for name in ("cF4-Cu", "cI2-W", "hP2-Mg")
        if count_pixels(rendered, COLORS[name]) > 2000
    }


def frame(path, output, *more):
    return main(["plot", "frame", str(path), "--output", str(output), *more])


@pytest.mark.slow
def test_frames_are_rendered_with_a_legend(labeled, tmp_path, figures, monkeypatch):
    from hoomd_gala.integrations import ovito_render

    small = functools.partial(ovito_render.render_particles, size=250)
    monkeypatch.setattr(ovito_render, "render_particles", small)
    for options, names, listed in (
        (["--frame", "0"], {"hP2-Mg"}, ["hcp (hP2-Mg), 100.0%"]),
        (["--cut"], {"cF4-Cu"}, ["disordered, 87.5%", "fcc (cF4-Cu), 6.2%"]),
        (["--only-solid"], {"cF4-Cu", "cI2-W"}, ["fcc (cF4-Cu), 6.2%", "bcc (cI2-W), 6.2%"]),
    ):
        picture = tmp_path / f"{options[0]}.png"
        assert frame(labeled, picture, *options) == 0
        assert seen(picture) == names
        [legend] = figures[-1].legends
        assert [text.get_text() for text in legend.get_texts()] == listed
        # nothing is cut off at the right, where the legend is
        assert (pixels(picture)[:, -4:] == 1).all()
    assert figures[-1].axes[0].get_title() == "timestep 100"


@pytest.mark.parametrize(("ending", "begins"), [("pdf", b"%PDF"), ("svg", b"<?xml")])
def test_frames_in_other_formats(labeled, tmp_path, ending, begins, monkeypatch):
    monkeypatch.setattr(
        "hoomd_gala.integrations.ovito_render.render_particles",
        lambda *_: np.zeros((300, 300, 3), np.uint8),
    )
    picture = tmp_path / f"a.{ending}"
    assert frame(labeled, picture) == 0
    assert picture.read_bytes().startswith(begins)


def test_a_droplet_on_the_boundary_is_shown_in_one_piece(tmp_path):
    rng = np.random.default_rng(1)
    edge = 20.0
    corner = np.array([edge / 2, 0, -edge / 2])  # an edge of the box
    points = corner + rng.normal(size=(200, 3))
    system = make_system(points, [edge, edge, edge, 0, 0, 0])
    label = np.zeros(200, np.int32)
    result = Result(label, np.ones(200, np.float32), np.zeros((200, 2), np.float32), NAMED)
    with gsd.hoomd.open(tmp_path / "a.gsd", "w") as trajectory:
        trajectory.append(add_labels(make_frame(system, 0), result))
    shown = read_shown(tmp_path / "a.gsd")
    assert np.abs(shown.positions).max() < 5
    assert shown.positions.mean(axis=0) == pytest.approx(0, abs=0.3)


def test_shares_are_of_what_was_labeled(labeled, tmp_path):
    with gsd.hoomd.open(labeled) as trajectory:
        frame = make_frame(as_system(trajectory[0]), 0)
    half = np.arange(frame.particles.N // 2)
    n = len(half)
    label = np.where(half < 64, -1, 0).astype(np.int32)
    result = Result(label, np.ones(n, np.float32), np.zeros((n, 2), np.float32), NAMED)
    for chosen, name in ((half, "some"), (None, "all")):
        if chosen is None:
            frame = make_frame(as_system(frame)._replace(
                positions=frame.particles.position[:n], types=np.zeros(n, int)), 0)  # fmt: skip
        with gsd.hoomd.open(tmp_path / f"{name}.gsd", "w") as trajectory:
            trajectory.append(add_labels(frame, result, chosen))
    some, everything = (read_shown(tmp_path / f"{name}.gsd") for name in ("some", "all"))
    assert some.fractions == pytest.approx({"cF4-Cu": 0.75, "unknown": 0.25})
    assert everything.fractions == pytest.approx(some.fractions)
    # what was not labeled looks as if it were unknown, and the legend says so
    marks = [_mark("unknown", shown).get_label() for shown in (some, everything)]
    assert marks == ["unknown, 25.0%, and not labeled", "unknown, 25.0%"]


def test_frames_that_cannot_be_shown(labeled, trajectory_path, tmp_path, capsys, monkeypatch):
    output = ["--output", tmp_path / "a.png"]
    assert "has 2 frames and no frame 2" in fails(
        capsys, "plot", "frame", labeled, *output, "--frame", 2
    )
    assert "holds no labels" in fails(capsys, "plot", "frame", trajectory_path, *output)
    with gsd.hoomd.open(labeled, "r") as trajectory:
        liquid = trajectory[0]
    liquid.log["particles/hoomd_gala/Classifier/label"][:] = 3
    with gsd.hoomd.open(tmp_path / "liquid.gsd", "w") as trajectory:
        trajectory.append(liquid)
    error = fails(capsys, "plot", "frame", tmp_path / "liquid.gsd", *output, "--only-solid")
    assert "has no solid particles to show" in error
    # a first nucleus of one particle is cut in the middle
    liquid.log["particles/hoomd_gala/Classifier/label"][100] = 0
    liquid.configuration.box = [*liquid.configuration.box[:3], 0, 0, 0]
    with gsd.hoomd.open(tmp_path / "nucleus.gsd", "w") as trajectory:
        trajectory.append(liquid)
    error = fails(
        capsys, "plot", "frame", tmp_path / "nucleus.gsd", *output, "--only-solid", "--cut"
    )
    assert "has nothing to show in its rear half; leave out the cut" in error
    liquid.configuration.box = [EDGE, EDGE, 0, 0, 0, 0]
    liquid.configuration.dimensions = 2
    with gsd.hoomd.open(tmp_path / "flat.gsd", "w") as trajectory:
        trajectory.append(liquid)
    error = fails(capsys, "plot", "frame", tmp_path / "flat.gsd", *output)
    assert "frame 0 of" in error
    assert "is two-dimensional; pictures show three dimensions" in error
    monkeypatch.setattr("hoomd_gala.files.sources.has_ovito", lambda: False)
    error = fails(capsys, "plot", "frame", labeled, *output)
    assert 'rendered by OVITO, which is not installed: pip install "hoomd-gala[ovito]".' in error
    assert not (tmp_path / "a.png").exists()


def test_without_a_graphics_driver_there_is_a_sentence(labeled, tmp_path, capsys, monkeypatch):
    import ovito.vis

    def fail(*_, **__):
        raise RuntimeError("No Vulkan device.\nmore")

    monkeypatch.setattr(ovito.vis.Viewport, "render_image", fail)
    error = fails(capsys, "plot", "frame", labeled, "--output", tmp_path / "a.png")
    assert "OVITO cannot render here (No Vulkan device); it needs a Vulkan driver" in error
    assert "mesa-vulkan-drivers" in error
