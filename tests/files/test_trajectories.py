"""GSD files: labels in and out, damaged files, runs that go on."""

import os
import subprocess
import sys

import gsd.fl
import gsd.hoomd
import numpy as np
import pytest
from conftest import gas
from ovito.io import import_file

from hoomd_gala.errors import InputError
from hoomd_gala.files import (
    add_labels,
    append_frame,
    count_recoverable_frames,
    decode_strings,
    encode_strings,
    frame_labels,
    make_frame,
    open_trajectory,
    read_frame,
    recover,
    trim,
)
from hoomd_gala.results import Result
from hoomd_gala.schema import QUANTITIES
from hoomd_gala.systems import as_system

EVERYTHING = ("label", "confidence", "embedding")
EMBEDDING = "particles/hoomd_gala/Classifier/embedding"


def steps(path):
    with open_trajectory(path) as trajectory:
        return [frame.configuration.step for frame in trajectory]


@pytest.fixture
def long_path(bcc, tmp_path):
    """A file like that of a long run: flushed now and then, its index moved several times."""
    path = tmp_path / "long.gsd"
    with gsd.hoomd.open(path, "w") as trajectory:
        for i in range(300):
            frame = make_frame(bcc._replace(positions=bcc.positions[:50], types=bcc.types[:50]), i)
            frame.log["number"] = np.array([float(i)])
            trajectory.append(frame)
            if i % 10 == 9:
                trajectory.flush()
    return path


def test_strings_survive():
    names = ["cI2-W", "σ tP30-CrFe", ""]
    assert decode_strings(encode_strings(names)) == names


def test_labels_survive_the_file(bcc, tmp_path):
    n = len(bcc.positions)
    rng = np.random.default_rng(1)
    label = rng.integers(-1, 2, n).astype(np.int32)
    result = Result(
        label, rng.random(n, np.float32), rng.random((n, 4), np.float32), ("cF4-Cu", "cI2-W")
    )
    path = tmp_path / "labeled.gsd"
    append_frame(path, add_labels(make_frame(bcc, 5), result, quantities=EVERYTHING))
    with open_trajectory(path) as trajectory:
        frame = trajectory[0]
    found, names = frame_labels(frame)
    np.testing.assert_array_equal(found, label)
    assert names == ["cF4-Cu", "cI2-W"]
    shares = frame.log["hoomd_gala/Classifier/fractions"]
    np.testing.assert_allclose(shares, [(label == i).mean() for i in (0, 1, -1)])
    np.testing.assert_array_equal(
        frame.log["particles/hoomd_gala/Classifier/embedding"], result.embedding
    )


def test_unlabeled_frame_has_no_labels(trajectory_path):
    with open_trajectory(trajectory_path) as trajectory:
        assert frame_labels(trajectory[0]) is None


@pytest.mark.parametrize("keep", [0.999, 0.9, 0.6, 0.3])
def test_cut_file_is_named_with_its_last_good_frame_and_recovered(long_path, tmp_path, keep):
    with open_trajectory(long_path) as trajectory:
        originals = [frame.particles.position for frame in trajectory]
    os.truncate(long_path, int(long_path.stat().st_size * keep))
    good = count_recoverable_frames(long_path)
    # at worst the index has just been moved to the part that is lost, and half of it is left
    assert 300 * keep * 0.4 < good < 300
    with pytest.raises(InputError, match=f"damaged.*last good frame is {good - 1}"):
        steps(long_path)
    target = tmp_path / "recovered.gsd"
    assert recover(long_path, target) == good
    assert steps(target) == list(range(good))
    with open_trajectory(target) as trajectory:
        for frame, positions in zip(trajectory, originals, strict=False):
            np.testing.assert_array_equal(frame.particles.position, positions)
            assert frame.log["number"][0] == frame.configuration.step


def test_file_that_was_never_flushed_has_nothing_to_recover(bcc, tmp_path):
    path = tmp_path / "lost.gsd"
    with gsd.hoomd.open(path, "w") as trajectory:
        for i in range(200):
            trajectory.append(make_frame(bcc, i))
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(InputError, match="none of its frames is complete"):
        steps(path)
    with pytest.raises(InputError, match="holds no complete frame"):
        recover(path, tmp_path / "recovered.gsd")


def test_what_is_no_gsd_file_is_called_so(tmp_path):
    path = tmp_path / "letter.gsd"
    path.write_text("Dear Sir or Madam, " * 100)
    with pytest.raises(InputError, match=r"letter.gsd is not a GSD file"):
        steps(path)
    with pytest.raises(InputError, match=r"there is no file .*missing.gsd"):
        steps(tmp_path / "missing.gsd")


def test_trim_drops_what_comes_after_a_restart(trajectory_path):
    assert trim(trajectory_path, 20) == 3
    assert steps(trajectory_path) == [0, 10, 20]
    assert trim(trajectory_path, 99) == 3
    assert not list(trajectory_path.parent.glob("*.part"))


def test_trim_recovers_a_damaged_file_first(long_path):
    os.truncate(long_path, int(long_path.stat().st_size * 0.9))
    good = count_recoverable_frames(long_path)
    assert trim(long_path, 50) == min(good, 51)


def test_trim_drops_later_frames_wherever_they_stand(bcc, tmp_path):
    path = tmp_path / "twice.gsd"
    with gsd.hoomd.open(path, "w") as trajectory:
        for step in (30, 0, 10, 20, 10):
            frame = make_frame(bcc, step)
            frame.log["step"] = np.array([float(step)])
            trajectory.append(frame)
    assert trim(path, 10) == 3
    assert steps(path) == [0, 10, 10]
    with open_trajectory(path) as trajectory:
        assert [frame.log["step"][0] for frame in trajectory] == [0, 10, 10]
        np.testing.assert_array_equal(
            trajectory[0].particles.position,
            make_frame(bcc, 0).particles.position.astype(np.float32),
        )
    assert trim(path, -1) == 0
    assert steps(path) == []


def test_trim_keeps_all_that_is_stored(tmp_path):
    path = tmp_path / "double.gsd"
    about = {"application": "other", "schema": "hoomd", "schema_version": (1, 4)}
    with gsd.fl.open(path, "w", **about) as file:
        for step in (0, 10, 20):
            file.write_chunk("configuration/step", np.array([step], np.uint64))
            file.write_chunk("mine/numbers", np.array([step / 3]))
            file.end_frame()
    assert trim(path, 10) == 2
    with gsd.fl.open(path, "r") as file:
        assert file.read_chunk(1, "mine/numbers") == [10 / 3]
        assert (file.application, file.schema_version) == ("other", (1, 4))


def test_whole_file_is_recovered_whole(long_path, tmp_path):
    target = tmp_path / "recovered.gsd"
    assert recover(long_path, target) == 300
    assert target.read_bytes() == long_path.read_bytes()


def test_recovery_says_how_many_frames_there_are(long_path, tmp_path):
    # the index is whole, and points to a frame whose data are not
    raw = long_path.read_bytes()
    entry = _index_entry(raw, 211)
    broken = raw.replace(entry, entry[:8] + (2**40).to_bytes(8, "little") + entry[16:])
    long_path.write_bytes(broken)
    target = tmp_path / "recovered.gsd"
    frames = recover(long_path, target)
    assert 200 < frames < 300
    assert steps(target) == sorted(steps(target))
    assert len(steps(target)) == frames


def _index_entry(raw, frame):
    """The last entry of a frame in the index of a GSD file."""
    location, allocated = np.frombuffer(raw, np.uint64, 2, 8).tolist()
    entries = [raw[i : i + 32] for i in range(location, location + 32 * allocated, 32)]
    return next(e for e in reversed(entries) if int.from_bytes(e[:8], "little") == frame)


@pytest.mark.parametrize("keep", [0.0, 0.02, 0.35, 0.5])
def test_trim_of_what_cannot_be_mended_ends_and_leaves_it(bcc, tmp_path, keep):
    path = tmp_path / "lost.gsd"
    with gsd.hoomd.open(path, "w") as trajectory:
        for i in range(200):
            trajectory.append(make_frame(bcc, i))
    os.truncate(path, int(path.stat().st_size * keep))
    before = path.read_bytes()
    for _ in range(2):
        with pytest.raises(InputError, match="holds no complete frame"):
            trim(path, 10)
    assert path.read_bytes() == before
    assert [other.name for other in tmp_path.iterdir()] == ["lost.gsd"]


def test_damage_never_costs_more_than_what_it_hits(long_path):
    whole = long_path.read_bytes()
    rng = np.random.default_rng(1)
    for _ in range(20):
        raw = bytearray(whole)
        start = int(rng.integers(256, len(raw) - 300))
        raw[start : start + 300] = rng.bytes(300)
        long_path.write_bytes(raw)
        try:
            left = trim(long_path, 1000)
        except InputError:
            assert long_path.read_bytes() == raw
        else:
            assert len(steps(long_path)) == left > 250


def test_another_schema_is_named(tmp_path):
    path = tmp_path / "other.gsd"
    with gsd.fl.open(path, "w", application="x", schema="mine", schema_version=(3, 1)) as file:
        file.write_chunk("data", np.arange(3))
        file.end_frame()
    before = path.read_bytes()
    for action in (steps, lambda path: trim(path, 5), lambda path: recover(path, path)):
        with pytest.raises(InputError, match=r"schema 'mine', version 3\.1 and not of HOOMD's"):
            action(path)
    assert path.read_bytes() == before


def test_reading_a_file_loads_no_torch(trajectory_path):
    code = (
        "import sys; from hoomd_gala.files.trajectories import open_trajectory\n"
        f"with open_trajectory({str(trajectory_path)!r}) as t: print(len(t))\n"
        "assert 'torch' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout


def test_appending_never_repeats_a_timestep_nor_overwrites_later_ones(bcc, tmp_path):
    path = tmp_path / "run.gsd"
    for step in (10, 20, 20):
        append_frame(path, make_frame(bcc, step))
    assert steps(path) == [10, 20]
    with pytest.raises(InputError, match="already holds frames up to timestep 20"):
        append_frame(path, make_frame(bcc, 15))
    with pytest.raises(InputError, match=r"/proc/run\.gsd cannot be written"):
        append_frame("/proc/run.gsd", make_frame(bcc, 15))


def labeled_frame(
    step, types=("A", "B"), names=("cI2-W", "disordered"), n=30, quantities=QUANTITIES
):
    rng = np.random.default_rng(step)
    system = gas(n, rng)._replace(types=np.arange(n) % 2)
    result = Result(
        np.zeros(n, np.int32) - (not names), np.ones(n, np.float32), np.zeros((n, 2)), tuple(names)
    )
    return add_labels(make_frame(system, step, types), result, quantities=quantities)


@pytest.mark.parametrize("first", [True, False])
def test_a_file_goes_on_as_it_began(tmp_path, first):
    path = tmp_path / "run.gsd"
    for step, keep in enumerate((first, not first, first, not first)):
        append_frame(path, labeled_frame(step), keep)
    # of a model without names, and without labels
    append_frame(path, labeled_frame(4, names=()), not first)
    append_frame(path, make_frame(gas(30, np.random.default_rng(1)), 5, ("A",)), not first)
    import_file(str(path))  # refuses files in which a quantity comes in later
    with gsd.hoomd.open(path) as trajectory:
        frames = list(trajectory)
    assert [frame.particles.types == ["A", "B"] for frame in frames[:4]] == [first] * 4
    for index in range(5):
        own = read_frame(path, index)
        assert own.particles.types == ["A", "B"]
        np.testing.assert_array_equal(own.particles.typeid, np.arange(30) % 2)
        np.testing.assert_array_equal(as_system(frames[index]).types, np.arange(30) % 2)
    assert read_frame(path, 5).particles.types == ["A"]
    assert trim(path, 100) == 6


def test_only_what_is_asked_for_is_written(tmp_path):
    sizes = {}
    for quantities in (("label",), QUANTITIES, EVERYTHING):
        path = tmp_path / f"{len(quantities)}.gsd"
        append_frame(path, labeled_frame(0, quantities=EVERYTHING), quantities=quantities)
        with open_trajectory(path) as trajectory:
            log = trajectory[0].log
        held = [name for name in EVERYTHING if f"particles/hoomd_gala/Classifier/{name}" in log]
        assert held == list(quantities)
        again = labeled_frame(0, quantities=quantities)
        assert {*again.log} == {*log}
        sizes[quantities] = path.stat().st_size
    assert list(sizes.values()) == sorted(sizes.values())
    # a model without classes has nothing else
    assert EMBEDDING in labeled_frame(0, names=(), quantities=("label",)).log
    with pytest.raises(InputError, match="no quantity 'labels' of particles, only label, conf"):
        labeled_frame(0, quantities=("labels",))
    with pytest.raises(InputError, match="labels cannot be left out"):
        labeled_frame(0, quantities=("embedding",))


def test_embeddings_go_on_as_the_file_began(tmp_path):
    with_them, without = tmp_path / "with.gsd", tmp_path / "without.gsd"
    append_frame(with_them, labeled_frame(0, quantities=EVERYTHING))
    append_frame(without, labeled_frame(0))
    for path in (with_them, without):
        append_frame(path, labeled_frame(1, quantities=EVERYTHING), quantities=QUANTITIES)
        with gsd.fl.open(path, "r") as file:
            assert file.chunk_exists(1, f"log/{EMBEDDING}") is (path == with_them)
        import_file(str(path))
    # readers would take them from the first frame
    with pytest.raises(InputError, match=r"have the embedding of each particle, which this one"):
        append_frame(with_them, labeled_frame(2))
    assert steps(with_them) == [0, 1]


def test_labeling_again_leaves_nothing_of_the_first_time():
    frame = labeled_frame(0, quantities=EVERYTHING)
    result = Result(np.zeros(30, np.int32), np.ones(30, np.float32), np.ones((30, 9)), ("a",))
    assert EMBEDDING not in add_labels(frame, result).log


def test_shapes_that_come_later_can_be_labeled(tmp_path):
    path = tmp_path / "run.gsd"
    for step in range(3):
        frame = labeled_frame(step)
        if step == 1:
            frame.particles.type_shapes = [{"type": "Sphere", "diameter": 0.5}]
        append_frame(path, frame, False)
    import_file(str(path))
    shapes = [read_frame(path, index).particles.type_shapes for index in range(3)]
    assert shapes == [[{}], [{"type": "Sphere", "diameter": 0.5}], [{}]]


def test_types_of_frames_that_others_appended_are_their_own(tmp_path):
    path = tmp_path / "run.gsd"
    append_frame(path, labeled_frame(0), False)
    with gsd.hoomd.open(path, "a") as trajectory:
        frame = make_frame(gas(25, np.random.default_rng(1)), 1, ("A",))
        trajectory.append(frame)
    with gsd.hoomd.open(path) as trajectory:
        assert len(as_system(trajectory[1]).types) == 25
    again = read_frame(path, 1)
    assert len(again.particles.typeid) == 25
    assert again.particles.types == ["A"]


def test_trim_keeps_frames_with_quantities_of_their_own(tmp_path):
    path = tmp_path / "run.gsd"
    with gsd.hoomd.open(path, "w") as trajectory:
        for step in range(4):
            frame = make_frame(gas(30, np.random.default_rng(step)), step)
            if step == 1:
                frame.log["x"] = np.array([1.0])
            trajectory.append(frame)
    before = path.read_bytes()
    assert trim(path, 100) == 4
    assert path.read_bytes() == before
    assert trim(path, 2) == 3
    with gsd.fl.open(path, "r") as file:
        assert file.nframes == 3
        assert file.read_chunk(1, "log/x")[0] == 1


def test_trim_counts_frames_that_are_all_alike(tmp_path):
    path = tmp_path / "run.gsd"
    frame = make_frame(gas(30, np.random.default_rng(1)), 0)
    with gsd.hoomd.open(path, "w") as trajectory:
        for step in (0, 0, 20):
            frame.configuration.step = step
            trajectory.append(frame)
    assert trim(path, 10) == 2
    with gsd.hoomd.open(path) as trajectory:
        assert len(trajectory) == 2


@pytest.mark.parametrize("keep_types", [True, False])
def test_types_of_any_name(tmp_path, keep_types):
    path = tmp_path / "run.gsd"
    for step in range(2):
        append_frame(path, labeled_frame(step, types=("Ä", "σ")), keep_types)
    assert read_frame(path).particles.types == ["Ä", "σ"]


def test_names_that_are_no_text_leave_nothing_behind(tmp_path):
    path = tmp_path / "run.gsd"
    for step in range(3):
        append_frame(path, labeled_frame(step))
    raw = path.read_bytes()
    at = raw.index(b"hoomd_gala/Classifier/fractions")
    path.write_bytes(raw[:at] + b"\x88" + raw[at + 1 :])
    with pytest.raises(InputError, match="holds no complete frame"):
        trim(path, 1)
    assert [file.name for file in tmp_path.iterdir()] == ["run.gsd"]
