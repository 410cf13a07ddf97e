"""``hoomd-gala view`` writes OVITO sessions, which open without this package."""

import os
import shutil
import subprocess
import sys

import numpy as np
import ovito
import pytest
from ovito.qt_compat import QtGui
from ovito_pictures import count_pixels, pixels_of

from hoomd_gala.cli import main
from hoomd_gala.files import add_labels, append_frame, make_frame, open_trajectory, read_frame
from hoomd_gala.results import Result
from hoomd_gala.systems import make_system

#: Red, green and blue of OVITO's template matching.
GREEN, RED, BLUE = (0.4, 1.0, 0.4), (1.0, 0.4, 0.4), (0.4, 0.4, 1.0)

#: Opens a session in a process of its own, where the package cannot be imported, and saves a
#: picture of a frame with the legend and one without, and what it lists.
SCRIPT = """
import sys
sys.modules["hoomd_gala"] = None
import ovito
from ovito.vis import TachyonRenderer
session, frame = sys.argv[1], int(sys.argv[2])
ovito.scene.load(session)
[pipeline] = ovito.scene.pipelines
data = pipeline.compute(frame)
view = ovito.scene.viewports.active_vp
[legend] = view.overlays
print(legend.property)
listed = data.particles[legend.property.partition("/")[2]].types
print(*(kind.name for kind in listed), sep=";")
print(data.particles.vis.radius)
for enabled in (True, False):
    legend.enabled = enabled
    view.render_image(
        size=(400, 300), frame=frame, background=(0, 0, 0), filename=f"{session}-{enabled}.png",
        renderer=TachyonRenderer(ambient_occlusion=False, shadows=False),
    )
"""


@pytest.fixture
def labeled(tmp_path):
    """A file with the simulation's types, in whose second frame fcc, hcp and bcc come in thirds."""
    names = ("cF4-Cu", "hP2-Mg", "cI2-W", "tP30-CrFe", "disordered")
    places = np.stack(np.meshgrid(np.arange(6), [0], np.arange(6), indexing="ij"), -1)
    positions = places.reshape(-1, 3) * 1.5 - 4
    system = make_system(positions, [12, 12, 12, 0, 0, 0], np.arange(36) % 2)
    for step, label in enumerate((np.full(36, 4), np.repeat([0, 1, 2], 12))):
        label = label.astype(np.int32)
        result = Result(label, np.ones(36, np.float32), np.zeros((36, 2), np.float32), names)
        frame = add_labels(make_frame(system, step, ("A", "B")), result)
        append_frame(tmp_path / "run.gsd", frame, keep_types=True)
    return tmp_path / "run.gsd"


def open_session(session, frame):
    """Lines that the script prints, and the pictures with and without a legend."""
    command = [sys.executable, "-c", SCRIPT, str(session), str(frame)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    pictures = [pixels_of(QtGui.QImage(f"{session}-{shown}.png")) for shown in (True, False)]
    return done.stdout.splitlines(), *pictures


def test_session_opens_with_names_colors_and_a_legend(labeled, tmp_path, capsys):
    before = len(ovito.scene.pipelines)
    assert main(["view", str(labeled), str(tmp_path / "run.ovito")]) == 0
    written = [str(tmp_path / name) for name in ("run-view.gsd", "run.ovito")]
    assert capsys.readouterr().out.split() == written
    assert len(ovito.scene.pipelines) == before
    assert not ovito.scene.viewports.active_vp.overlays
    # the two may go somewhere else together
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    for name in written:
        shutil.move(name, folder)
    lines, shown, bare = open_session(folder / "run.ovito", 1)
    # of what occurs in any frame, and nothing else
    assert lines[1] == "fcc (cF4-Cu);hcp (hP2-Mg);bcc (cI2-W);disordered"
    # particles touch, 1.5 apart
    assert float(lines[2]) == pytest.approx(0.75)
    for color in (GREEN, RED, BLUE):
        assert count_pixels(bare, color) > 1500
        # boxes of the legend
        assert count_pixels(shown, color) > count_pixels(bare, color) + 100
    # dark letters on a light panel
    panel = shown[np.abs(shown - bare).max(axis=-1) > 0.1]
    is_gray = np.ptp(panel, axis=-1) < 0.05
    assert (is_gray & (panel.max(axis=-1) < 0.7)).sum() > 150
    assert (panel.min(axis=-1) > 0.9).sum() > 2000
    _, _, bare = open_session(folder / "run.ovito", 0)
    assert not any(count_pixels(bare, color) for color in (GREEN, RED, BLUE))


def test_sessions_that_cannot_be_written(labeled, tmp_path, capsys):
    session = tmp_path / "run.ovito"
    session.touch()
    assert main(["view", str(labeled), str(session)]) == 2
    assert "run.ovito exists; remove it or choose another name." in capsys.readouterr().err
    session.unlink()
    # somebody else's file
    (tmp_path / "run-view.gsd").touch()
    assert main(["view", str(labeled), str(session)]) == 2
    assert "run-view.gsd exists; remove it" in capsys.readouterr().err
    assert not session.exists()


def test_sessions_without_ovito(labeled, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("hoomd_gala.files.sources.has_ovito", lambda: False)
    assert main(["view", str(labeled), str(tmp_path / "run.ovito")]) == 2
    error = capsys.readouterr().err
    assert 'are written by OVITO: pip install "hoomd-gala[ovito]"; or give the name of' in error
    assert not (tmp_path / "run-view.gsd").exists()


def test_a_copy_that_view_made_serves_the_session_until_the_trajectory_grows(labeled, capsys):
    session = labeled.with_suffix(".ovito")
    assert main(["view", str(labeled)]) == 0
    copy = labeled.with_name("run-view.gsd")
    before = copy.stat().st_mtime_ns
    assert main(["view", str(labeled), str(session)]) == 0
    assert copy.stat().st_mtime_ns == before
    assert capsys.readouterr().out.split() == [str(copy), str(copy), str(session)]
    session.unlink()
    append_frame(labeled, read_frame(labeled), keep_types=True)  # of the same step: nothing
    later = read_frame(labeled)
    later.configuration.step = 5
    append_frame(labeled, later, keep_types=True)
    assert main(["view", str(labeled), str(session)]) == 2
    assert "run-view.gsd exists" in capsys.readouterr().err


def test_another_file_of_the_name_of_a_copy_is_not_shown(labeled, tmp_path, capsys):
    assert main(["view", str(labeled), str(tmp_path / "other-view.gsd")]) == 0
    source = tmp_path / "other.gsd"
    with open_trajectory(labeled) as frames:
        moved = list(frames)
    for frame in moved:
        frame.particles.position = frame.particles.position + 0.1
        append_frame(source, frame, keep_types=True)
    os.utime(source, (0, 0))
    assert main(["view", str(source), str(tmp_path / "other.ovito")]) == 2
    assert "other-view.gsd exists" in capsys.readouterr().err
