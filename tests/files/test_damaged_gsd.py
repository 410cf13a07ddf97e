"""GSD files that do not hold what they say: a sentence with file, frame and chunk, and no more."""

import re
import warnings

import gsd.fl
import gsd.hoomd
import numpy as np
import pytest
from conftest import gas
from fuzzing import BAD, run
from fuzzing_gsd import ENTRY, HEADER, LABEL, N_FRAMES, N_PARTICLES, NAMES, entries_of, example
from lowest_versions import ROOT

from hoomd_gala.errors import InputError
from hoomd_gala.files import (
    append_frame,
    make_frame,
    open_trajectory,
    read_frame,
    recover,
    trim,
)
from hoomd_gala.files.layout import find_faults, read_layout
from hoomd_gala.labeling import view_trajectory
from hoomd_gala.sampling import sample_files

GROUPS = ("particles", "bonds", "angles", "dihedrals", "impropers", "constraints", "pairs")


@pytest.fixture
def path(tmp_path):
    """A labeled file of six frames."""
    path = tmp_path / "run.gsd"
    path.write_bytes(example())
    return path


def read_all(path):
    with open_trajectory(path) as trajectory:
        return list(trajectory)


def names_of(path):
    return [name.decode() for name in path.read_bytes()[NAMES:].split(b"\0\0")[0].split(b"\0")]


def change(path, at, name, **fields):
    """Change the entry of a chunk in the index, and return what it was."""
    data = bytearray(path.read_bytes())
    index = np.frombuffer(data, ENTRY, 128, HEADER)
    key = dict(
        zip(("frame", "N", "location", "M", "id", "type", "flags"), ENTRY.names, strict=True)
    )
    used = index[key["location"]] > 0
    of_name = index[key["id"]] == names_of(path).index(name)
    place = np.flatnonzero(used & of_name & (index[key["frame"]] == at))[0]
    before = index[place].copy()
    for field, value in fields.items():
        index[key[field]][place] = value
    path.write_bytes(data)
    return before


def overwrite(path, frame, name, numbers):
    """Replace the numbers at the beginning of a chunk."""
    start = int(change(path, frame, name)["f2"])
    data, raw = bytearray(path.read_bytes()), numbers.tobytes()
    data[start : start + len(raw)] = raw
    path.write_bytes(data)


def same(found, expected):
    if isinstance(expected, np.ndarray):
        np.testing.assert_array_equal(found, expected, strict=True)
        assert found.flags.writeable == expected.flags.writeable
    else:
        assert found == expected
        assert type(found) is type(expected)


def same_frames(path):
    """Frames are, to the bit and the type, those that gsd's own reader gives."""
    with gsd.hoomd.open(path, "r") as theirs, open_trajectory(path) as ours:
        assert len(ours) == len(theirs) > 0
        for found, expected in zip(ours, theirs, strict=True):
            for group in ("configuration", *GROUPS):
                part = getattr(expected, group)
                for name in part._default_value:
                    same(getattr(getattr(found, group), name), getattr(part, name))
            assert list(found.log) == list(expected.log)
            for name, values in expected.log.items():
                same(found.log[name], values)
        assert [f.configuration.step for f in ours[1::2]] == [
            f.configuration.step for f in theirs[1::2]
        ]
        with pytest.raises(IndexError):
            _ = ours[len(ours)]


def test_frames_are_those_of_gsd(path, tmp_path, rng):
    same_frames(path)
    rich = tmp_path / "rich.gsd"
    with gsd.hoomd.open(rich, "w") as trajectory:
        for i, n in enumerate((30, 30, 40, 0, 1, 30)):
            frame = make_frame(gas(n, rng), 7 * i, ("A", "ß"))
            frame.particles.types = [b"A", "ß".encode()]
            if i != 1:
                frame.particles.velocity = rng.normal(size=(n, 3))
            if n > 1:
                frame.bonds.N, frame.bonds.types = 2, ["b"]
                frame.bonds.group, frame.bonds.typeid = [[0, 1], [1, i]], [0, 0]
            frame.log["number"] = np.array([i])
            frame.log["particles/vector"] = rng.normal(size=(n, 3))
            trajectory.append(frame)
    same_frames(rich)


def test_files_of_version_1_are_read(path, tmp_path, rng):
    old = tmp_path / "old.gsd"
    with gsd.hoomd.open(old, "w") as trajectory:
        for i in range(3):
            trajectory.append(make_frame(gas(30, rng), i))
    data = bytearray(old.read_bytes())
    for i, name in enumerate(names_of(old)):
        data[NAMES + 64 * i : NAMES + 64 * (i + 1)] = name.encode().ljust(64, b"\0")
    data[44:48] = (1 << 16).to_bytes(4, "little")
    old.write_bytes(data)
    same_frames(old)


def test_a_quantity_that_other_frames_have_stops_nothing(tmp_path, rng):
    path = tmp_path / "run.gsd"
    with gsd.hoomd.open(path, "w") as trajectory:
        for i in range(3):
            frame = make_frame(gas(30, rng), i)
            if i == 1:
                frame.log["x"] = np.array([1.0])
            trajectory.append(frame)
    assert [list(frame.log) for frame in read_all(path)] == [[], ["x"], []]


@pytest.mark.parametrize(
    ("name", "fields", "what"),
    [
        ("particles/position", {"N": 10**12}, "would extend past the end of the file"),
        ("particles/position", {"location": 2**62}, "would extend past the end of the file"),
        ("particles/position", {"type": 77}, "is of no known kind"),
        ("particles/position", {"M": 0}, "is of no known kind"),
        ("particles/position", {"frame": 3}, "is out of order"),
        ("particles/position", {"location": 300}, "has bytes in common with another one"),
        ("particles/position", {"N": N_PARTICLES + 1}, "has bytes in common with another one"),
    ],
)
def test_an_index_that_cannot_be_is_a_damaged_file(path, name, fields, what):
    change(path, 2, name, **fields)
    layout, _ = read_layout(path)
    assert any(message.startswith(what) for _, message in find_faults(layout))
    with pytest.raises(InputError, match=r"run\.gsd is damaged, .*\(chunk .* of frame [123] .*\)"):
        read_all(path)
    assert 0 < recover(path, path.with_name("good.gsd")) < N_FRAMES
    found = [frame.configuration.step for frame in read_all(path.with_name("good.gsd"))]
    assert set(found) < {10 * i for i in range(N_FRAMES)}
    assert {0, 40, 50} <= set(found)


@pytest.mark.parametrize(
    ("name", "fields", "what"),
    [
        (
            "particles/position",
            {"N": 20},
            r"there are 40 particles and no chunk particles/position",
        ),
        (
            "particles/position",
            {"type": 7},
            r"position of frame 2 has numbers of type int",
        ),
        (
            "particles/typeid",
            {"N": 39},
            r"typeid of frame 2 has 39 rows, and there are 40",
        ),
        ("configuration/box", {"N": 5}, r"configuration/box of frame 2 has 5 rows, and it takes 6"),
        (f"log/{LABEL}", {"N": 39}, r"confidence is of 40 particles, and labels are of 39"),
        (f"log/{LABEL}", {"type": 9}, rf"log/{LABEL} has numbers of type float32"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*belong to no frame")
def test_chunks_that_do_not_fit_together_are_named(path, name, fields, what):
    change(path, 2, name, **fields)
    with pytest.raises(InputError, match=rf"frame 2 of .*run\.gsd: .*{what}"):
        read_all(path)
    # only what is damaged is lost
    before = path.read_bytes()
    assert recover(path, path.with_name("good.gsd")) == N_FRAMES - 1
    assert path.read_bytes() == before
    assert trim(path, 1000) == N_FRAMES - 1
    assert [frame.configuration.step for frame in read_all(path)] == [0, 10, 30, 40, 50]


@pytest.mark.parametrize(
    ("name", "number", "what"),
    [
        ("particles/N", np.uint32(10**9), "there are 1000000000 particles and no chunk"),
        ("bonds/N", np.uint32(10**9), "there are 1000000000 bonds and no chunk bonds/group"),
        ("bonds/group", np.uint32(N_PARTICLES), "bonds/group has 40, and there are 40 particles"),
        ("particles/typeid", np.uint32(99), "particles/typeid has 99, and there are . types"),
        (f"log/{LABEL}", np.int32(3), "has 3, and there are 3 names in log/hoomd_gala"),
        (f"log/{LABEL}", np.int32(-2), "has -2, and there are 3 names in log/hoomd_gala"),
        ("log/particles/hoomd_gala/simulation/typeid", np.int32(-1), "has .*there are 2 names"),
        ("particles/types", np.int8(-1), "particles/types of frame 0 is not text"),
        ("particles/type_shapes", np.frombuffer(b"[[", np.int8), "has no shapes of types in JSON"),
    ],
)
def test_numbers_outside_of_what_they_index_are_named(path, name, number, what):
    overwrite(path, 0, name, number)
    for read in (
        read_all,
        lambda path: read_frame(path, 0),
        view_trajectory,
        lambda path: sample_files(None, [f"{path}@0"], 10),
        lambda path: append_frame(path, make_frame(gas(30, np.random.default_rng(1)), 100)),
    ):
        with pytest.raises(InputError, match=rf"frame \d of .*run\.gsd: .*{what}"):
            read(path)


def test_json_of_any_depth_is_a_sentence(tmp_path, rng):
    path = tmp_path / "run.gsd"
    frame = make_frame(gas(30, rng), 0)
    with gsd.hoomd.open(path, "w") as trajectory:
        trajectory.append(frame)
    with gsd.fl.open(path, "r+") as file:
        file.write_chunk("particles/type_shapes", np.full((1, 10**5), ord("["), np.int8))
        file.end_frame()
    with pytest.raises(InputError, match=r"frame 1 of .* has no shapes of types in JSON"):
        read_all(path)


@pytest.mark.parametrize(
    ("at", "number", "what"),
    [
        (40, 3 << 16, r"of schema 'hoomd', version 3\.0 and not of HOOMD's"),
        (40, 7, r"of schema 'hoomd', version 0\.7 and not of HOOMD's"),
        (44, 3 << 16 | 1, r"GSD file of version 3\.1, .*only versions 1 and 2 can be read"),
    ],
)
def test_a_whole_file_of_another_version_is_not_damaged(path, at, number, what):
    data = bytearray(path.read_bytes())
    data[at : at + 4] = number.to_bytes(4, "little")
    path.write_bytes(data)
    for action in (read_all, lambda path: trim(path, 10), lambda path: recover(path, path)):
        with pytest.raises(InputError, match=what) as error:
            action(path)
        assert "damaged" not in str(error.value)
    assert path.read_bytes() == data
    assert [file.name for file in path.parent.iterdir()] == ["run.gsd"]


@pytest.mark.parametrize(
    ("at", "number", "what"),
    [
        (8, 2**62, "index is cut off or cannot be found"),
        (8, 0, "index is cut off or cannot be found"),
        (16, 0, "index is cut off or cannot be found"),
        (16, 2**60 + 128, "index is cut off or cannot be found"),
        (24, 10**6, "names of its chunks cannot be found"),
        (32, 17, "names of its chunks cannot be found"),
    ],
)
def test_a_header_that_leads_nowhere_is_damage(path, at, number, what):
    data = bytearray(path.read_bytes())
    data[at : at + 8] = number.to_bytes(8, "little")
    path.write_bytes(data)
    with pytest.raises(InputError, match=rf"run\.gsd is damaged, .*{what}"):
        read_all(path)


def test_what_is_lost_without_a_trace_in_the_index_is_a_warning(path):
    # the last entry's frame comes later, or the entry is gone
    data = bytearray(path.read_bytes())
    last = HEADER + 32 * (len(entries_of(bytes(data))) - 1)
    gone = bytearray(data)
    gone[last : last + 32] = bytes(32)
    path.write_bytes(gone)
    with pytest.warns(UserWarning, match=r"run\.gsd has 8 bytes from .* that belong to no frame"):
        read_all(path)
    data[last] += 1
    path.write_bytes(data)
    with (
        pytest.warns(UserWarning, match=r"frame 5 of .*run\.gsd has no configuration/step of its"),
        pytest.warns(UserWarning, match=r"frame 6 of .*run\.gsd has no particles/position of its"),
    ):
        read_all(path)


def test_whole_files_are_read_without_a_warning(path, tmp_path, rng):
    long_path = tmp_path / "long.gsd"
    with gsd.hoomd.open(long_path, "w") as trajectory:
        for i in range(60):  # the index moves, and so do the names, already in the first frame
            frame = make_frame(gas(25, rng), i)
            frame.log |= {f"number/{k}": np.array([i / 3]) for k in range(150)}
            trajectory.append(frame)
            if i % 10 == 9:
                trajectory.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_all(path)
        assert len(read_all(long_path)) == 60


def test_recovered_frames_keep_what_they_have_of_each_particle(tmp_path, rng):
    path = tmp_path / "run.gsd"
    with gsd.hoomd.open(path, "w") as trajectory:
        for i, n in enumerate((30, 40, 40, 30)):
            frame = make_frame(gas(n, rng), i)
            if i < 2:
                frame.particles.velocity = rng.normal(size=(n, 3))
            trajectory.append(frame)
    originals = read_all(path)
    change(path, 0, "particles/position", N=29)
    with pytest.warns(UserWarning, match="belong to no frame"):
        assert trim(path, 100) == 3
    for found, expected in zip(read_all(path), originals[1:], strict=True):
        for name in ("position", "velocity", "typeid"):
            np.testing.assert_array_equal(
                getattr(found.particles, name), getattr(expected.particles, name)
            )


def test_a_file_that_is_cut_and_whose_first_index_is_empty(tmp_path):
    path, cut = tmp_path / "run.gsd", tmp_path / "cut.gsd"
    about = {"application": "engine", "schema": "hoomd", "schema_version": [1, 4]}
    with gsd.fl.open(path, "w", **about) as file:
        for step in range(300):
            file.write_chunk("configuration/step", np.array([step], np.uint64))
            if not step:
                file.write_chunk("configuration/box", np.array([9, 9, 9, 0, 0, 0], np.float32))
                file.write_chunk("particles/N", np.array([60], np.uint32))
            file.write_chunk("particles/position", np.full((60, 3), step / 100, np.float32))
            file.end_frame()
            if step % 100 == 99:
                file.flush()
    whole = path.read_bytes()
    assert not any(whole[HEADER : HEADER + ENTRY.itemsize])
    cut.write_bytes(whole[: int(0.7 * len(whole))])
    frames = recover(cut, cut)
    assert 100 <= frames < 300
    found = read_all(cut)
    assert [frame.configuration.step for frame in found] == list(range(frames))
    assert all(
        (frame.particles.position == np.float32(k / 100)).all() for k, frame in enumerate(found)
    )


def test_what_a_stopped_run_left_at_the_end_goes(path, tmp_path, recwarn):
    good = path.read_bytes()
    with open(path, "ab") as file:
        file.write(b"half a frame")
    with pytest.warns(UserWarning, match="12 bytes from byte"):
        assert trim(path, 10 * N_FRAMES) == N_FRAMES
    assert path.read_bytes() == good


def test_frames_come_through_the_reader_alone():
    for folder in ("hoomd_gala", "workflows"):
        for path in (ROOT / folder).rglob("*.py"):
            opened = re.findall(r"gsd\.(?:hoomd|fl)\.open\((.*)", path.read_text())
            assert not [line for line in opened if not re.search(r'"(?:[wax]|r\+)"', line)], path


def test_files_damaged_by_chance_end_in_sentences():
    calls = list(run("gsd", range(40)))
    assert [call for call in calls if call.outcome in BAD] == []
    outcomes = [call.outcome for call in calls]
    assert min(outcomes.count("right"), outcomes.count("InputError")) > len(calls) / 10
