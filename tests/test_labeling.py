"""Whole trajectories: what survives, which frames are taken, several at a time, less on disk."""

import threading

import gsd.fl
import gsd.hoomd
import numpy as np
import pytest
import torch
from commands import fails
from conftest import gas
from ovito.io import export_file, import_file

from hoomd_gala.analyzer import Analyzer
from hoomd_gala.cli import main
from hoomd_gala.crystals.prototypes import crystal, displace, unit_cell
from hoomd_gala.errors import InputError
from hoomd_gala.files import frame_labels, make_frame, open_trajectory, read_frame
from hoomd_gala.files.reader import Trajectory
from hoomd_gala.files.sources import find_files
from hoomd_gala.labeling import label_trajectory, view_trajectory
from hoomd_gala.systems import make_system

PREFIX = "particles/hoomd_gala/Classifier/"


def command(*arguments):
    return main([str(argument) for argument in arguments])


def rich_frame(step, rng, n=40):
    """A frame with something of everything that HOOMD's schema has."""
    frame = make_frame(gas(n, rng), step, ("A", "B"))
    particles = frame.particles
    particles.typeid = rng.integers(0, 2, n).astype(np.uint32)
    particles.type_shapes = [{"type": "Sphere", "diameter": 2.0}, {"type": "Sphere", "diameter": 1}]
    for name, width in (
        ("mass", 0), ("charge", 0), ("diameter", 0), ("moment_inertia", 3),
        ("orientation", 4), ("velocity", 3), ("angmom", 4),
    ):  # fmt: skip
        setattr(particles, name, rng.random((n, width) if width else n).astype(np.float32))
    particles.body = rng.integers(-1, 9, n).astype(np.int32)
    particles.image = rng.integers(-3, 3, (n, 3)).astype(np.int32)
    for name, size in (
        ("bonds", 2),
        ("angles", 3),
        ("dihedrals", 4),
        ("impropers", 4),
        ("pairs", 2),
    ):
        group = getattr(frame, name)
        group.N, group.types = 5, ["one", "two"]
        group.typeid = rng.integers(0, 2, 5).astype(np.uint32)
        group.group = rng.integers(0, n, (5, size)).astype(np.int32)
    frame.constraints.N = 3
    frame.constraints.value = rng.random(3).astype(np.float32)
    frame.constraints.group = rng.integers(0, n, (3, 2)).astype(np.int32)
    frame.log = {
        "md/pressure": rng.random(1),
        "particles/mine/energy": rng.random(n).astype(np.float32),
        "mine/count": np.array([step], np.int64),
    }
    return frame


def chunks(path, index):
    """All that gsd's readers find in a frame, by name."""
    with gsd.hoomd.open(path, "r") as trajectory:
        file, frame = trajectory.file, trajectory[index]
        found = {f"log/{name}": values for name, values in frame.log.items()}
        for group, container in vars(frame).items():
            if group != "log":
                values = {
                    name: one for name, one in vars(container).items() if "default" not in name
                }
                found |= {f"{group}/{name}": one for name, one in values.items()}
        for name in file.find_matching_chunk_names("state/"):
            found[name] = file.read_chunk(index if file.chunk_exists(index, name) else 0, name)
    return found


@pytest.fixture
def rich_path(tmp_path, rng):
    path = tmp_path / "rich.gsd"
    with gsd.hoomd.open(path, "w") as trajectory:
        for step in (0, 7, 9):
            # what HOOMD's integrators keep, which gsd's frames do not have
            if step != 9:
                trajectory.file.write_chunk("state/hpmc/sphere/radius", rng.random(2))
            trajectory.append(rich_frame(step, rng))
        # defaults, where the first frame has something else
        trajectory.append(make_frame(gas(40, rng), 11, ("A", "B")))
    return path


@pytest.mark.parametrize("view", [False, True])
def test_all_chunks_survive(rich_path, model_path, tmp_path, view):
    out = tmp_path / "out.gsd"
    label_trajectory(rich_path, out, model_path, keep_types=not view)
    if view:
        out = view_trajectory(out)
    for index in range(4):
        before, after = chunks(rich_path, index), chunks(out, index)
        if view:  # the simulation's own types are elsewhere
            own = read_frame(out, index).particles
            after |= {f"particles/{k}": getattr(own, k) for k in ("types", "typeid", "type_shapes")}
        assert len(before) > 40
        for name, values in before.items():
            np.testing.assert_array_equal(after[name], values, err_msg=name, strict=True)
        assert {name.rpartition("/")[2] for name in after.keys() - before.keys()} >= {"label"}


def test_types_of_any_name(trajectory_path, model_path, tmp_path):
    source, out = tmp_path / "named.gsd", tmp_path / "out.gsd"
    frame = read_frame(trajectory_path)
    frame.particles.types, frame.bonds.types = ["σ".encode()], ["ß".encode()]
    with gsd.hoomd.open(source, "w") as trajectory:
        trajectory.append(frame)
    for keep in (True, False):
        out = tmp_path / f"{keep}.gsd"
        label_trajectory(source, out, model_path, keep_types=keep)
        assert read_frame(out).particles.types == ["σ"]
        assert read_frame(out).bonds.types == ["ß"]


def test_positions_in_double_precision_survive(tmp_path, model_path, rng):
    gsd_5 = "precision" in gsd.hoomd.open.__code__.co_varnames
    if not gsd_5:
        pytest.skip("gsd 5 or newer is not installed, which has files in double precision")
    source, out = tmp_path / "double.gsd", tmp_path / "out.gsd"
    frame = make_frame(gas(40, rng), 0)
    with gsd.hoomd.open(source, "w", precision="double") as trajectory:
        trajectory.append(frame)
    label_trajectory(source, out, model_path)
    np.testing.assert_array_equal(
        read_frame(out).particles.position, frame.particles.position, strict=True
    )


def test_default_leaves_embeddings_out(trajectory_path, model_path, tmp_path, capsys):
    small, large = tmp_path / "small.gsd", tmp_path / "large.gsd"
    everything = ["--quantities", "label,confidence,embedding"]
    assert command("label", trajectory_path, small, "--model", model_path) == 0
    assert command("label", trajectory_path, large, "--model", model_path, *everything) == 0
    frames = [read_frame(path) for path in (small, large)]
    assert [f"{PREFIX}embedding" in frame.log for frame in frames] == [False, True]
    for name in ("label", "confidence"):
        np.testing.assert_array_equal(*(frame.log[PREFIX + name] for frame in frames))
    # 5 frames of 1024 particles, 16 numbers each
    assert large.stat().st_size - small.stat().st_size >= 5 * 1024 * 64
    error = fails(capsys, "plot", "embedding", "--gsd", small, "--output", tmp_path / "map.png")
    assert "holds no embeddings; give a model with --model, or label with --quant" in error
    error = fails(capsys, "label", small, tmp_path / "x.gsd", "--quantities", "label,colour")
    assert "no quantity 'colour'" in error
    # what was there of another model goes
    again = tmp_path / "again.gsd"
    label_trajectory(large, again, model_path, quantities=("label",))
    assert [k for k in read_frame(again).log if k.startswith(PREFIX)] == [f"{PREFIX}label"]


def test_model_without_classes_gives_embeddings(trajectory_path, embedding_model_path, tmp_path):
    out = tmp_path / "out.gsd"
    label_trajectory(trajectory_path, out, embedding_model_path)
    assert read_frame(out).log[f"{PREFIX}embedding"].shape == (1024, 8)


def steps(path):
    with open_trajectory(path) as trajectory:
        return [frame.configuration.step for frame in trajectory]


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        (["--frames", "1:4:2"], [10, 30]),
        (["--frames", "3"], [30]),
        (["--frames", "-1"], [40]),
        (["--frames=-2:"], [30, 40]),
        (["--frames", "::-2"], [40, 20, 0]),
    ],
)
def test_range_of_frames(trajectory_path, model_path, tmp_path, frames, expected):
    out = tmp_path / "out.gsd"
    assert command("label", trajectory_path, out, "--model", model_path, *frames) == 0
    assert steps(out) == expected


def test_range_without_frames(trajectory_path, model_path, tmp_path, capsys):
    out = tmp_path / "out.gsd"
    error = fails(capsys, "label", trajectory_path, out, "--model", model_path, "--frames", "9:")
    assert "there are 5 frames, and none in the requested range" in error
    with pytest.raises(SystemExit):
        command("label", trajectory_path, out, "--frames", "1-3")
    assert "START:STOP:STEP as a Python slice" in capsys.readouterr().err
    assert not out.exists()


@pytest.fixture
def parts(tmp_path, bcc):
    """Three files of two frames each, of a crystal and of a gas."""
    rng = np.random.default_rng(1)
    for number in (2, 10, 100):
        with gsd.hoomd.open(tmp_path / f"run.{number}.gsd", "w") as trajectory:
            for k in range(2):
                system = gas(300, rng) if k else bcc
                trajectory.append(make_frame(system, number + k))
    return tmp_path


def test_several_files_and_patterns(parts, model_path):
    out = parts / "out.gsd"
    pattern = parts / "run.*.gsd"
    assert command("label", pattern, out, "--model", model_path, "--frames", "1:") == 0
    assert steps(out) == [3, 10, 11, 100, 101]
    first, last = parts / "run.100.gsd", parts / "run.2.gsd"
    assert label_trajectory([first, last], parts / "two.gsd", model_path)["disordered"] > 0.9
    assert steps(parts / "two.gsd") == [100, 101, 2, 3]
    with pytest.raises(InputError, match=r"no file that matches .*none\.\*"):
        find_files([parts / "none.*"])
    # a name that is there is no pattern
    odd = parts / "a[1].gsd"
    odd.touch()
    assert find_files([odd]) == [odd]


def test_a_pattern_does_not_find_what_it_is_made_into(tmp_path):
    names = ["dump.0", "dump.100", "dump.gsd", "dump.gsd.part", "dump.gsd.part.journal"]
    for name in [*names, "dump.gsd.part.frame", "dump.gsd.party"]:
        (tmp_path / name).touch()
    found = find_files([tmp_path / "dump.*"], tmp_path / "dump.gsd")
    assert [path.name for path in found] == ["dump.0", "dump.100", "dump.gsd.party"]
    # what is named is taken: it is refused in a sentence of its own
    assert find_files([tmp_path / "dump.gsd"], tmp_path / "dump.gsd") == [tmp_path / "dump.gsd"]
    with pytest.raises(InputError, match="no file that matches"):
        find_files([tmp_path / "dump.gsd.part.*"], tmp_path / "dump.gsd")


def test_quantities_that_later_files_lack_are_not_made_up(parts, model_path, rng):
    logged = parts / "logged.gsd"
    with gsd.hoomd.open(logged, "w") as trajectory:
        frame = make_frame(gas(40, rng), 0)
        frame.log["energy"] = np.array([1.0])
        trajectory.append(frame)
    files = [logged, parts / "run.2.gsd"]
    with pytest.raises(InputError, match=r"frame 0 of .*run\.2\.gsd: it has no energy") as error:
        label_trajectory(files, parts / "out.gsd", model_path)
    assert "The frame before is labeled in" in str(error.value)


@pytest.mark.parametrize("workers", [2, 5])
def test_workers_give_the_same_in_the_same_order(parts, model_path, workers, monkeypatch):
    alone, together = parts / "alone.gsd", parts / "together.gsd"
    label_trajectory(parts / "run.*.gsd", alone, model_path)
    threads, waiting, most = set(), set(), []
    original = Analyzer.analyze

    def seen(self, frame):
        # the first frame is labeled alone
        assert torch.get_num_threads() == (1 if threads else 3)
        threads.add(threading.get_ident())
        waiting.add(frame.configuration.step)
        most.append(len(waiting))
        result = original(self, frame)
        waiting.discard(frame.configuration.step)
        return result

    monkeypatch.setattr(Analyzer, "analyze", seen)
    torch.set_num_threads(3)
    try:
        files = [parts / "run.*.gsd"] * 4
        assert command("label", *files, together, "--model", model_path, "--workers", workers) == 0
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(1)
    assert 2 <= len(threads) <= workers + 1
    assert max(most) <= workers
    assert steps(together) == steps(alone) * 4
    with open_trajectory(alone) as one, open_trajectory(together) as other:
        for k in range(len(other)):
            label, names = frame_labels(one[k % len(one)])
            np.testing.assert_array_equal(frame_labels(other[k])[0], label)
            assert frame_labels(other[k])[1] == names


def test_workers_keep_what_is_before_a_bad_frame(model_path, tmp_path, rng):
    source, out = tmp_path / "bad.gsd", tmp_path / "out.gsd"
    with gsd.hoomd.open(source, "w") as trajectory:
        for k in range(8):
            frame = make_frame(gas(60, rng), k)
            frame.particles.position[4] *= np.nan if k == 5 else 1
            trajectory.append(frame)
    with pytest.raises(InputError, match=r"frame 5 of .* The 5 frames before are labeled"):
        label_trajectory(source, out, model_path, workers=3)
    assert steps(out) == [0, 1, 2, 3, 4]


def test_frames_are_read_as_they_are_needed(model_path, tmp_path, rng, monkeypatch):
    source = tmp_path / "long.gsd"
    with gsd.hoomd.open(source, "w") as trajectory:
        for k in range(12):
            trajectory.append(make_frame(gas(60, rng), k))
    read, ahead = [], []
    original, analyze = Trajectory.read, Analyzer.analyze
    monkeypatch.setattr(
        Trajectory, "read", lambda self, index: read.append(index) or original(self, index)
    )

    def seen(self, frame):
        ahead.append(len(read) - frame.configuration.step)
        return analyze(self, frame)

    monkeypatch.setattr(Analyzer, "analyze", seen)
    label_trajectory(source, tmp_path / "out.gsd", model_path, workers=2)
    assert len(read) == 12
    assert max(ahead) <= 4


def test_crystal_of_one_type_is_found_by_its_name(tmp_path, model_path, capsys):
    source = tmp_path / "run.gsd"
    system = displace(crystal(unit_cell("cI2-W"), 1000), 0.02, np.random.default_rng(1))
    with gsd.hoomd.open(source, "w") as trajectory:
        trajectory.append(make_frame(system, 0, ("A",)))
    error = fails(
        capsys, "label", source, tmp_path / "o.gsd", "--model", model_path, "--types", "B"
    )
    assert "there is no type 'B' of particles, only A" in error


@pytest.mark.parametrize("ending", ["gsd", "xyz"])
def test_two_dimensions_that_a_file_does_not_speak_of_are_said_once(
    ending, model_path, tmp_path, rng, capsys
):
    flat, run = tmp_path / "flat.gsd", tmp_path / f"run.{ending}"
    with gsd.hoomd.open(flat, "w") as trajectory:
        for step in range(3):
            points = rng.random((100, 3)) * [10, 10, 0] - [5, 5, 0]
            trajectory.append(make_frame(make_system(points, [10, 10, 1]), step))
    if ending == "gsd":
        run = flat
    else:
        pipeline = import_file(str(flat))
        export_file(pipeline, str(run), "xyz", multiple_frames=True, columns=["Position"])
    assert command("label", run, tmp_path / "out.gsd", "--model", model_path, "--clusters") == 0
    assert capsys.readouterr().err.count("all particles are in one plane; if the system is") == 1
