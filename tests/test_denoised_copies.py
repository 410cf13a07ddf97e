"""Copies of trajectories without thermal displacements, from the command line."""

import inspect

import ase.io
import gsd.hoomd
import numpy as np
import pytest

from hoomd_gala.analyzer import Analyzer
from hoomd_gala.cli import main, make_parser
from hoomd_gala.crystals.prototypes import crystal, displace, unit_cell
from hoomd_gala.denoised_copies import denoise_trajectory
from hoomd_gala.errors import InputError
from hoomd_gala.systems import lattice_vectors


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A trajectory of a hot crystal, with whatever a frame can have."""
    path = tmp_path_factory.mktemp("run") / "run.gsd"
    perfect = crystal(unit_cell("cF4-Cu"), 108)
    total = len(perfect.positions)
    rng = np.random.default_rng(2)
    lattice = lattice_vectors(perfect.box)
    with gsd.hoomd.open(path, "w") as file:
        for step in range(3):
            frame = gsd.hoomd.Frame()
            frame.configuration.step, frame.configuration.box = 100 * step, perfect.box
            hot = displace(perfect, 0.08, rng).positions
            cells = np.floor(hot @ np.linalg.inv(lattice) + 0.5)
            frame.particles.N = total
            frame.particles.position = hot - cells @ lattice
            frame.particles.image = rng.integers(-2, 3, (total, 3))
            frame.particles.velocity = rng.normal(size=(total, 3))
            frame.particles.types, frame.particles.typeid = ["Cu", "Ni"], np.arange(total) % 2
            frame.particles.mass = np.full(total, 3.0)
            frame.bonds.N, frame.bonds.types = 1, ["b"]
            frame.bonds.typeid, frame.bonds.group = [0], [[0, 1]]
            frame.log["particles/charge_of_mine"] = np.arange(total)
            frame.log["energy"] = np.array([float(step)])
            file.append(frame)
    return path


def read(path):
    with gsd.hoomd.open(path) as file:
        return [file[i] for i in range(len(file))]


def unwrapped(frame):
    lattice = lattice_vectors(frame.configuration.box)
    return frame.particles.position + frame.particles.image @ lattice


def test_only_positions_change(run, denoiser_path, tmp_path, capsys):
    target = tmp_path / "quiet.gsd"
    assert (
        main(["denoise", str(run), str(target), "--model", str(denoiser_path), "--steps", "2"]) == 0
    )
    assert "of the shortest distance" in capsys.readouterr().out
    analyzer = Analyzer(denoiser_path, "cpu")
    crossed = 0
    for before, after in zip(read(run), read(target), strict=True):
        expected = analyzer.denoise(before, steps=2) - before.particles.position
        # across the boundary as well
        np.testing.assert_allclose(unwrapped(after) - unwrapped(before), expected, atol=1e-5)
        edges = after.configuration.box[:3]
        assert (np.abs(after.particles.position) <= edges / 2 + 1e-5).all()
        crossed += (after.particles.image != before.particles.image).sum()
        for name in ("velocity", "typeid", "mass", "types", "body"):
            np.testing.assert_array_equal(
                getattr(after.particles, name), getattr(before.particles, name)
            )
        np.testing.assert_array_equal(after.configuration.box, before.configuration.box)
        assert after.configuration.step == before.configuration.step
        np.testing.assert_array_equal(after.bonds.group, before.bonds.group)
        assert after.log.keys() == before.log.keys()
        np.testing.assert_array_equal(after.log["energy"], before.log["energy"])
    assert crossed


def test_command_line_and_python_have_the_same_defaults():
    options = make_parser().parse_args(["denoise", "run.gsd", "quiet.gsd"])
    for name, parameter in inspect.signature(denoise_trajectory).parameters.items():
        if parameter.default is not inspect.Parameter.empty:
            assert getattr(options, name) == parameter.default, name


def test_a_stopped_copy_goes_on(run, denoiser_path, tmp_path, monkeypatch):
    whole, stopped = tmp_path / "whole.gsd", tmp_path / "stopped.gsd"
    denoise_trajectory(run, whole, denoiser_path, "cpu", steps=2)
    original, calls = Analyzer.denoise, []

    def stop(self, *arguments, **options):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(self, *arguments, **options)

    monkeypatch.setattr(Analyzer, "denoise", stop)
    with pytest.raises(KeyboardInterrupt, match="2 frames before are in"):
        denoise_trajectory(run, stopped, denoiser_path, "cpu", steps=2)
    assert not stopped.exists()
    # another number of steps is another copy
    with pytest.warns(UserWarning, match="another steps"):
        denoise_trajectory(run, stopped, denoiser_path, "cpu", steps=1)
    stopped.unlink()
    calls.clear()
    with pytest.raises(KeyboardInterrupt):
        denoise_trajectory(run, stopped, denoiser_path, "cpu", steps=2)
    denoise_trajectory(run, stopped, denoiser_path, "cpu", steps=2)
    assert len(calls) == 4
    for one, other in zip(read(whole), read(stopped), strict=True):
        np.testing.assert_array_equal(one.particles.position, other.particles.position)


@pytest.mark.parametrize("ending", ["xyz", "lammpstrj"])
def test_text_formats(run, denoiser_path, tmp_path, ending):
    target = tmp_path / f"quiet.{ending}"
    denoise_trajectory(run, target, denoiser_path, "cpu", steps=2, frames=slice(1, 2))
    form = {"xyz": "extxyz", "lammpstrj": "lammps-dump-text"}[ending]
    found = ase.io.read(target, format=form)
    frame = read(run)[1]
    expected = Analyzer(denoiser_path, "cpu").denoise(frame, steps=2)
    lattice = lattice_vectors(frame.configuration.box)
    # origins of boxes differ between formats
    apart = (found.positions - found.positions[0] - expected + expected[0]) @ np.linalg.inv(lattice)
    np.testing.assert_allclose(apart - np.round(apart), 0, atol=1e-4)
    # nothing was named
    assert "structure" not in found.arrays
    again = tmp_path / f"again.{ending}"
    denoise_trajectory(target, again, denoiser_path, "cpu", steps=1)
    twice = ase.io.read(again, format=form)
    expected = Analyzer(denoiser_path, "cpu").denoise(found, steps=1)
    apart = (twice.positions - expected) @ np.linalg.inv(lattice)
    np.testing.assert_allclose(apart - apart[0] - np.round(apart - apart[0]), 0, atol=1e-4)


def test_frames_without_environments_stay(denoiser_path, tmp_path):
    path, target = tmp_path / "flat.gsd", tmp_path / "quiet.gsd"
    rng = np.random.default_rng(5)
    with gsd.hoomd.open(path, "w") as file:
        for dimensions in (2, 3):
            frame = gsd.hoomd.Frame()
            frame.configuration.box = [5, 5, 5 if dimensions == 3 else 0, 0, 0, 0]
            frame.configuration.dimensions = dimensions
            frame.particles.N = 60
            frame.particles.position = rng.uniform(-2.5, 2.5, (60, 3)) * [1, 1, dimensions - 2]
            file.append(frame)
    with pytest.warns(UserWarning, match="1 frame of 2 cannot be denoised, and are as they were"):
        denoise_trajectory(path, target, denoiser_path, "cpu")
    first, _ = read(target)
    np.testing.assert_array_equal(first.particles.position, read(path)[0].particles.position)


def test_a_model_of_another_task_is_refused(run, tmp_path):
    with pytest.raises(InputError, match='use the model "denoise"'):
        denoise_trajectory(run, tmp_path / "quiet.gsd", "structures", "cpu")
    assert not list(tmp_path.iterdir())
