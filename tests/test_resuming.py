"""Copies of trajectories that are stopped: nothing is lost, and nothing in the way is left."""

import os
import re
import signal
import subprocess
import sys
import time
import warnings

import ase
import ase.io
import gsd.hoomd
import numpy as np
import pytest
from commands import fails, free, steps

from hoomd_gala.analyzer import Analyzer
from hoomd_gala.cli import main
from hoomd_gala.crystals.prototypes import crystal, displace, unit_cell
from hoomd_gala.errors import InputError
from hoomd_gala.files import frame_labels, make_frame, open_trajectory, read_frame
from hoomd_gala.files.resuming import making, making_whole
from hoomd_gala.labeling import label_trajectory

SYSTEM = crystal(unit_cell("cI2-W"), 250)


def write_source(path, numbers):
    """Frames of a crystal, each as its number says; odd ones have an energy and other types."""
    with gsd.hoomd.open(path, "w") as trajectory:
        for number in numbers:
            rng = np.random.default_rng(number)
            frame = make_frame(displace(SYSTEM, 0.03 + 0.05 * (number % 2), rng), number, ("A",))
            frame.log["energy"] = np.array([float(number)])
            trajectory.append(frame)


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "run.gsd"
    write_source(path, range(6))
    return path


@pytest.fixture
def stopping(monkeypatch):
    """Makes the n-th analysis from now on raise something."""
    original = Analyzer.analyze

    def stop(n, error=KeyboardInterrupt):
        left = [n]

        def analyze(self, *arguments, **options):
            left[0] -= 1
            if not left[0] and error is not None:
                raise error
            return original(self, *arguments, **options)

        monkeypatch.setattr(Analyzer, "analyze", analyze)
        return left

    return stop


def contents(path):
    """All that a file holds, in bytes or, of a GSD file, whose index may differ, by chunk."""
    if path.suffix != ".gsd":
        return path.read_bytes()
    with gsd.hoomd.open(path, "r") as trajectory:
        file = trajectory.file
        return [
            {
                name: file.read_chunk(k, name).tobytes()
                for name in file.find_matching_chunk_names("")
                if file.chunk_exists(k, name)
            }
            for k in range(len(trajectory))
        ]


def left(folder):
    return sorted(path.name for path in folder.iterdir() if "out" in path.name)


@pytest.mark.parametrize("end", ["gsd", "xyz", "dump"])
@pytest.mark.parametrize("workers", [1, 2])
def test_the_same_command_goes_on_where_it_was(
    end, workers, source, model_path, tmp_path, stopping, capsys
):
    unbroken, out = tmp_path / f"all.{end}", tmp_path / f"out.{end}"
    options = {"clusters": True, "workers": workers}
    expected = label_trajectory(source, unbroken, model_path, **options)
    stopping(3)
    with pytest.raises(KeyboardInterrupt, match=r"^the .*frames? before .* in .*\.part; the same"):
        label_trajectory(source, out, model_path, **options)
    assert left(tmp_path) == [f"out.{end}.part", f"out.{end}.part.journal"]
    again = stopping(0)
    assert label_trajectory(source, out, model_path, **options) == expected
    # the last frame of a text file comes again
    assert -again[0] <= {1: 4, 2: 5}[workers] + (end != "gsd")
    assert "going on after" in capsys.readouterr().err
    assert contents(out) == contents(unbroken)
    assert left(tmp_path) == [f"out.{end}"]


def test_all_frames_may_be_there_already(source, model_path, tmp_path, stopping, monkeypatch):
    out = tmp_path / "out.gsd"
    expected = label_trajectory(source, tmp_path / "all.gsd", model_path)
    replace = os.replace

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            label_trajectory(source, out, model_path)
    assert os.replace is replace
    stopping(1)
    assert label_trajectory(source, out, model_path, workers=2) == expected
    assert steps(out) == list(range(6))


def test_kills_at_any_time_change_nothing(model_path, tmp_path):
    source, out, unbroken = tmp_path / "run.gsd", tmp_path / "out.gsd", tmp_path / "all.gsd"
    write_source(source, range(300))
    label_trajectory(source, unbroken, model_path)
    command = [sys.executable, "-m", "hoomd_gala.cli", "label", str(source), str(out)]
    part, sizes = tmp_path / "out.gsd.part", [0]
    for delay in (0, 0.07, 0.31):
        with subprocess.Popen(
            [*command, "--model", str(model_path)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as child:
            while child.poll() is None and (
                not part.exists() or part.stat().st_size <= sizes[-1] + 20_000
            ):
                time.sleep(0.01)
            time.sleep(delay)
            child.send_signal(signal.SIGKILL)
        assert child.returncode == -signal.SIGKILL
        sizes.append(part.stat().st_size)
    assert sizes == sorted(set(sizes))  # each went on
    done = subprocess.run([*command, "--model", str(model_path)], check=True, capture_output=True)
    assert b"going on after" in done.stderr
    assert contents(out) == contents(unbroken)
    assert left(tmp_path) == ["out.gsd"]


@pytest.mark.parametrize("end", ["gsd", "xyz"])
def test_a_torn_end_is_not_used(end, source, model_path, tmp_path, stopping):
    unbroken, out = tmp_path / f"all.{end}", tmp_path / f"out.{end}"
    label_trajectory(source, unbroken, model_path)
    stopping(4)
    with pytest.raises(KeyboardInterrupt):
        label_trajectory(source, out, model_path)
    for path in (tmp_path / f"out.{end}.part", tmp_path / f"out.{end}.part.journal"):
        with open(path, "ab") as file:
            file.write(b"[12")
    stopping(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        label_trajectory(source, out, model_path)
        # nor is anything left of it that readers are warned of
        assert end != "gsd" or steps(out) == list(range(6))
    assert contents(out) == contents(unbroken)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"quantities": ("label",)}, "it was made with another quantities"),
        ({"keep_types": True, "types": ["A"]}, "with another keep_types and types"),
        ({"frames": slice(1, None)}, "frame 1 of .*run.gsd is another now"),
        ({"frames": slice(0, 2)}, "there were more frames"),
        ({"source": [0, 9, 2, 3]}, "frame 1 of .*run.gsd is another now"),
        ({"restart": True}, None),
        # a run that goes on
        ({"source": range(8)}, None),
        ({"workers": 2}, None),
    ],
)
def test_other_settings_and_sources_begin_anew(
    change, why, source, model_path, tmp_path, stopping, recwarn
):
    out = tmp_path / "out.gsd"
    stopping(4)
    with pytest.raises(KeyboardInterrupt):
        label_trajectory(source, out, model_path)
    change = dict(change)
    numbers = change.pop("source", range(6))
    write_source(source, numbers)
    numbers = list(numbers)[change.get("frames", slice(None))]
    made = stopping(0)
    label_trajectory(source, out, model_path, **change)
    assert steps(out) == numbers
    said = [str(one.message) for one in recwarn if "begun anew" in str(one.message)]
    assert len(said) == (why is not None)
    assert why is None or re.search(why, said[0])
    kept = 0 if why or "restart" in change else 3
    assert -made[0] == len(numbers) - kept


def test_a_mistake_in_the_command_costs_nothing(source, model_path, tmp_path, stopping, capsys):
    out = tmp_path / "out.gsd"
    stopping(4)
    with pytest.raises(KeyboardInterrupt):
        label_trajectory(source, out, model_path)
    made = stopping(0)
    fails(capsys, "label", source, out, "--model", model_path, "--types", "Q")
    label_trajectory(source, out, model_path)
    assert -made[0] == 3


def test_one_of_two_makes_a_file(source, model_path, tmp_path, capsys):
    out = tmp_path / "out.gsd"
    with making(out, {}, False) as copy:
        copy.part.write_bytes(b"frames")
        error = fails(capsys, "label", source, out, "--model", model_path)
        assert "out.gsd is being made by another process" in error
        assert copy.part.read_bytes() == b"frames"
    # whose settings were others, and who has been killed
    assert main(["label", str(source), str(out), "--model", str(model_path)]) == 0
    assert left(tmp_path) == ["out.gsd"]


def test_one_of_two_makes_a_view(source, model_path, tmp_path, capsys):
    labeled, out = tmp_path / "labeled.gsd", tmp_path / "out.gsd"
    label_trajectory(source, labeled, model_path)
    with making_whole(out) as part:
        error = fails(capsys, "view", labeled, out)
        assert "out.gsd is being made by another process" in error
        part.write_bytes(b"frames")
    assert out.read_bytes() == b"frames"
    with pytest.raises(OSError, match="full"), making_whole(tmp_path / "out.xyz"):
        raise OSError("full")
    assert left(tmp_path) == ["out.gsd"]


@pytest.mark.parametrize("end", ["gsd", "xyz"])
def test_a_full_disk_is_gone_on_with(end, source, model_path, tmp_path, small_disk, capsys):
    unbroken, out = tmp_path / f"all.{end}", small_disk / f"out.{end}"
    label_trajectory(source, unbroken, model_path)
    filling = small_disk / "filling"
    filling.write_bytes(bytes(free(small_disk) - unbroken.stat().st_size // 2))
    error = fails(capsys, "label", source, out, "--model", model_path)
    assert "cannot be written ([Errno 28] No space left on device" in error
    assert re.search(rf"before (is|are) in {out}.part; the same command goes on", error)
    if end == "gsd":
        assert 0 < len(steps(small_disk / "out.gsd.part")) < 6
    filling.unlink()
    label_trajectory(source, out, model_path)
    assert contents(out) == contents(unbroken)
    assert left(small_disk) == [out.name]


def test_a_disk_without_any_room(source, model_path, small_disk, capsys):
    filling = small_disk / "filling"
    filling.write_bytes(bytes(free(small_disk)))
    error = fails(capsys, "label", source, small_disk / "out.gsd", "--model", model_path)
    assert "No space left on device" in error
    assert left(small_disk) == []


def test_a_disk_that_cannot_be_written(source, model_path, read_only_disk, capsys):
    error = fails(capsys, "label", source, read_only_disk / "out.gsd", "--model", model_path)
    assert "out.gsd cannot be written (Read-only file system)" in error


def test_errors_leave_nothing_behind(source, model_path, tmp_path, stopping, capsys):
    out = tmp_path / "out.gsd"
    for options in (["--types", "Q"], ["--model", "none"], ["--frames", "9:"]):
        fails(capsys, "label", source, out, "--model", model_path, *options)
        assert left(tmp_path) == []
    stopping(1, InputError("bad."))
    fails(capsys, "label", source, out, "--model", model_path)
    assert left(tmp_path) == []
    stopping(3, InputError("bad."))
    error = fails(capsys, "label", source, out, "--model", model_path)
    assert "frame 2 of" in error
    assert "bad. The 2 frames before are labeled in" in error
    assert left(tmp_path) == ["out.gsd"]


def flat(frame):
    frame.configuration.dimensions = 2
    frame.configuration.box = [*frame.configuration.box[:2], 0, 0, 0, 0]
    frame.particles.position[:, 2] = 0
    return frame


@pytest.mark.parametrize("end", ["gsd", "xyz", "dump"])
def test_frames_without_environments_are_unknown(end, model_path, tmp_path, capsys):
    source, out = tmp_path / "run.gsd", tmp_path / f"out.{end}"
    with gsd.hoomd.open(source, "w") as trajectory:
        for step in range(4):
            frame = make_frame(displace(SYSTEM, 0.03, np.random.default_rng(step)), step)
            trajectory.append(flat(frame) if step in (1, 2) else frame)
    options = ["--model", model_path, "--clusters"]
    assert main([*map(str, ("label", source, out, *options))]) == 0
    said = capsys.readouterr().err
    assert said.count("2 frames of 4 cannot be labeled; all particles are unknown there.") == 1
    assert "The first is frame 1 of" in said
    assert "the frame is two-dimensional" in said
    if end == "gsd":
        with open_trajectory(out) as trajectory:
            known = [(frame_labels(frame)[0] >= 0).mean() > 0.9 for frame in trajectory]
        assert known == [True, False, False, True]
        assert (frame_labels(read_frame(out, 1))[0] == -1).all()


def test_a_droplet_that_grows(model_path, tmp_path, capsys):
    source, out = tmp_path / "run.xyz", tmp_path / "out.gsd"
    images = [
        ase.Atoms(numbers=[26] * n, positions=2.5 * SYSTEM.positions[:n]) for n in (5, 20, 250)
    ]
    ase.io.write(source, images, format="extxyz")
    assert main(["label", str(source), str(out), "--model", str(model_path)]) == 0
    said = capsys.readouterr().err
    assert "2 frames of 3 cannot be labeled" in said
    assert "there are 5 particles without periodic boundaries" in said
    with open_trajectory(out) as trajectory:
        assert [frame.particles.N for frame in trajectory] == [5, 20, 250]
        assert (frame_labels(trajectory[1])[0] == -1).all()
        assert trajectory[1].log["hoomd_gala/Classifier/fractions"][-1] == 1


def test_a_file_of_frames_without_environments_is_refused(model_path, tmp_path, capsys):
    source, out = tmp_path / "run.gsd", tmp_path / "out.gsd"
    with gsd.hoomd.open(source, "w") as trajectory:
        trajectory.append(flat(make_frame(SYSTEM, 0)))
    error = fails(capsys, "label", source, out, "--model", model_path)
    assert "frame 0 of" in error
    assert "the frame is two-dimensional" in error
    assert left(tmp_path) == []
