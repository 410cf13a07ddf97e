"""Files with gaps: incomplete and empty frames, types that come and go, timesteps that go back."""

import ase.build
import ase.io
import gsd.hoomd
import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from commands import fails
from ovito.io import import_file
from test_formats import dump, without

from hoomd_gala.analyzer import Analyzer
from hoomd_gala.cli import main
from hoomd_gala.files import frame_labels, make_frame, open_trajectory, read_frame
from hoomd_gala.files.sources import open_source
from hoomd_gala.labeling import label_trajectory
from hoomd_gala.systems import as_system, make_system


@pytest.fixture
def iron():
    """A bcc crystal of 128 particles."""
    cell = ase.build.bulk("Fe", cubic=True).repeat(4)
    cell.rattle(0.05, seed=2)
    return cell


def steps(path):
    with open_trajectory(path) as trajectory:
        return [int(frame.configuration.step) for frame in trajectory]


def counts(path):
    with open_trajectory(path) as trajectory:
        return [int(frame.particles.N) for frame in trajectory]


#: Bytes that are missing at the end: part of a number, lines, all lines of particles and more.
CUTS = {"number": 5, "lines": 900, "one line": None, "header": -30}


@pytest.mark.parametrize("missing", ["", "ovito"])
@pytest.mark.parametrize("cut", CUTS)
def test_a_dump_that_ends_within_a_frame_is_labeled_up_to_it(
    cut, missing, iron, model_path, tmp_path, capsys, monkeypatch
):
    source, out = tmp_path / "run.dump", tmp_path / "out.gsd"
    for step in (0, 10, 20):
        dump(source, iron, step)
    text = source.read_text()
    end = CUTS[cut]
    if cut == "one line":
        source.write_text(text[: text.rstrip().rindex("\n") + 1])
    elif cut == "header":
        source.write_text(text[: text.rindex("ITEM: ATOMS") + end])
    else:
        source.write_text(text[:-end])
    without(monkeypatch, missing)
    if missing and cut in ("lines", "header"):  # ASE reads all frames at once
        assert "cannot be read (ASE: " in fails(capsys, "label", source, out)
        return
    assert main(["label", str(source), str(out), "--model", str(model_path)]) == 0
    said = capsys.readouterr().err.splitlines()
    (line,) = [line for line in said if "incomplete" in line]
    assert line.startswith(f"hoomd-gala: frame 2 of {source} is incomplete and left out")
    assert not [line for line in said if "WARNING" in line]
    assert steps(out) == ([0, 10] if not missing else [0, 1])
    assert counts(out) == [128, 128]


@pytest.mark.parametrize("missing", ["", "ovito"])
def test_extended_xyz_that_ends_within_a_frame(iron, missing, tmp_path, monkeypatch):
    path = tmp_path / "run.xyz"
    ase.io.write(path, [iron] * 3, format="extxyz")
    path.write_text(path.read_text()[:-900])
    without(monkeypatch, missing)
    with pytest.warns(UserWarning, match=r"frame 2 of .* is incomplete"), open_source(path) as file:
        assert file.total == 2


def test_whole_files_are_said_nothing_of(iron, tmp_path, recwarn):
    for name in ("run.dump", "run.xyz"):
        dump(tmp_path / "run.dump", iron, 0)
        ase.io.write(tmp_path / "run.xyz", [iron] * 2, format="extxyz")
        with open_source(tmp_path / name):
            pass
    assert not [one for one in recwarn if "incomplete" in str(one.message)]


@pytest.mark.parametrize("missing", ["", "ovito"])
@pytest.mark.parametrize("empty", [0, 1])
@pytest.mark.parametrize("end", ["gsd", "xyz", "dump"])
def test_a_frame_without_particles_stops_nothing(
    end, empty, missing, iron, model_path, tmp_path, monkeypatch
):
    if missing and end == "dump":
        pytest.skip("dumps are written by OVITO")
    source, out = tmp_path / "run.dump", tmp_path / f"out.{end}"
    for step in range(3):
        dump(source, iron[:0] if step == empty else iron, step)
    without(monkeypatch, missing)
    fractions = label_trajectory(source, out, model_path)
    assert fractions["cI2-W"] == 1
    expected = [0 if step == empty else 128 for step in range(3)]
    if end == "gsd":
        assert counts(out) == expected
        label, names = frame_labels(read_frame(out))
        assert (label == names.index("cI2-W")).all()
        assert len(frame_labels(read_frame(out, empty))[0]) == 0
    else:
        pipeline = import_file(str(out))
        assert [pipeline.compute(k).particles.count for k in range(3)] == expected


def test_a_file_of_empty_frames_is_refused(iron, tmp_path, model_path, capsys):
    source, out = tmp_path / "run.dump", tmp_path / "out.gsd"
    for step in range(2):
        dump(source, iron[:0], step)
    error = fails(capsys, "label", source, out, "--model", model_path)
    assert "there are no particles in any frame" in error
    assert list(tmp_path.iterdir()) == [source]


def test_types_may_come_later_and_go(iron, tmp_path, model_path, capsys):
    source, out = tmp_path / "run.gsd", tmp_path / "out.gsd"
    system = as_system(iron)
    with gsd.hoomd.open(source, "w") as trajectory:
        for step, names in enumerate((["A"], ["A", "B"], ["C"])):
            types = np.full(128, len(names) - 1)
            trajectory.append(make_frame(system._replace(types=types), step, names))
    label = ["label", source, out, "--model", model_path]
    assert main([*map(str, label), "--types", "B", "--neighbors", "B"]) == 0
    assert "cI2-W" not in capsys.readouterr().out  # of the last frame
    for index in range(3):
        found, names = frame_labels(read_frame(out, index))
        assert (found == (names.index("cI2-W") if index == 1 else -1)).all()
    out.unlink()
    error = fails(capsys, *label, "--types", "B,Q")
    assert "there is no type 'Q' of particles, only A, B, C." in error
    assert not out.exists()


def test_timesteps_that_go_back_are_said_once(iron, tmp_path, model_path, capsys):
    for name in ("a", "b"):
        for step in (0, 10, 20):
            dump(tmp_path / f"{name}.dump", iron, step)
    out = tmp_path / "out.gsd"
    files = [tmp_path / f"{name}.dump" for name in "aba"]
    assert main(["label", *map(str, files), str(out), "--model", str(model_path)]) == 0
    assert steps(out) == [0, 10, 20] * 3
    assert capsys.readouterr().err.count("timesteps go back from 20 to 0; frames are in") == 1


@pytest.mark.parametrize("source", ["run.traj", "run.xyz"])
@pytest.mark.parametrize("missing", ["", "ovito"])
def test_extended_xyz_keeps_what_ase_has(source, missing, iron, model_path, tmp_path, monkeypatch):
    if not missing and source == "run.xyz":
        iron.info["note"] = "two words"  # OVITO reads it, and so it has to write it
    iron.info |= {"temperature": 300.5, "cold": False, "field": np.arange(3)}
    iron.set_tags(np.arange(128))
    iron.set_initial_charges(np.arange(128) / 8)
    if source == "run.xyz":  # of which a .traj file holds a few only
        iron.new_array("local_q6", np.arange(128) / 4)
    forces = np.random.default_rng(1).random((128, 3))
    iron.calc = SinglePointCalculator(iron, energy=-3.25, forces=forces)
    path, out = tmp_path / source, tmp_path / "out.xyz"
    ase.io.write(path, iron, format="extxyz" if source == "run.xyz" else "traj")
    without(monkeypatch, missing)
    label_trajectory(path, out, model_path)
    found = ase.io.read(out, format="extxyz")
    for name in ("tags", "initial_charges", "local_q6")[: 3 if source == "run.xyz" else 2]:
        # OVITO has a name of its own for charges
        held = {"initial_charges": found.arrays.get("charge")} | found.arrays
        np.testing.assert_allclose(held[name], iron.arrays[name], atol=1e-6)
    assert found.get_potential_energy() == -3.25
    np.testing.assert_allclose(
        found.arrays["force"] if "force" in found.arrays else found.get_forces(), forces, atol=1e-6
    )
    assert found.info["temperature"] == 300.5
    assert not found.info["cold"]
    assert list(found.info["field"]) == [0, 1, 2]
    if "note" in iron.info:
        assert found.info["note"] == "two words"
    assert set(found.arrays["structure"]) == {"cI2-W"}


def test_what_ase_has_twice_is_written_once(iron, model_path, tmp_path):
    iron.info["energy"] = 1.5
    iron.calc = SinglePointCalculator(iron, energy=-3.25)
    path, out = tmp_path / "run.traj", tmp_path / "out.xyz"
    ase.io.write(path, iron)
    label_trajectory(path, out, model_path)
    assert ase.io.read(out, format="extxyz").get_potential_energy() == -3.25


@pytest.mark.parametrize("kind", ["traj", "xyz"])
@pytest.mark.parametrize("flags", [(0, 0, 0), (1, 1, 0)])
@pytest.mark.parametrize("end", ["gsd", "xyz"])
def test_far_from_the_origin_files_hold_the_right_positions(
    end, flags, kind, iron, model_path, tmp_path
):
    iron.pbc = flags
    path, out = tmp_path / f"run.{kind}", tmp_path / f"out.{end}"
    near = Analyzer(model_path).analyze(iron).label
    iron.positions += [-1e6, 2e6, 1e6]
    if not any(flags):
        iron.cell = None
    ase.io.write(path, iron, format="extxyz" if kind == "xyz" else "traj")
    label_trajectory(path, out, model_path)
    if end == "xyz":
        found = ase.io.read(out, format="extxyz")
        np.testing.assert_array_equal(found.arrays["label"], near)
        np.testing.assert_array_equal(Analyzer(model_path).analyze(found).label, near)
        return
    frame = read_frame(out)
    np.testing.assert_array_equal(frame_labels(frame)[0], near)
    np.testing.assert_array_equal(Analyzer(model_path).analyze(frame).label, near)
    assert np.abs(frame.particles.position).max() < 30
    # a cluster near the origin stays where it is
    moved = make_system(iron.positions - iron.positions.mean(axis=0) + 40, None, periodic=False)
    kept = make_frame(moved, 0).particles.position
    np.testing.assert_allclose(kept, moved.positions, rtol=1e-6)


def test_one_that_flew_away_blurs_no_others(iron):
    points = np.vstack([iron.positions + 1e6, [[3e6, 0, 0]]])
    frame = make_frame(make_system(points, None, periodic=False), 0)
    written = frame.particles.position.astype(np.float32).astype(float)[:-1]
    bonds = np.diff(iron.positions, axis=0)
    np.testing.assert_allclose(np.diff(written, axis=0), bonds, atol=1e-5)
