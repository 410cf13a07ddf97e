"""The examples run as they stand."""

import subprocess
import sys
from pathlib import Path

from conftest import needs_hoomd

from hoomd_gala.trajectories import open_trajectory

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(name, folder):
    return subprocess.run(
        [sys.executable, str(EXAMPLES / name)],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
        timeout=300,
    ).stdout


def percent(line):
    """First percentage in a line, as a fraction."""
    return float(line.split("%")[0].split()[-1]) / 100


def test_analyze_positions(tmp_path):
    crystal, gas = run("analyze_positions.py", tmp_path).strip().splitlines()
    assert percent(crystal) > 0.95
    assert percent(gas) < 0.01


def test_few_shot(tmp_path):
    *_, inside, outside = run("few_shot.py", tmp_path).strip().splitlines()
    assert percent(inside) > 0.95
    assert percent(outside) > 0.95
    assert (tmp_path / "mine.safetensors").is_file()


@needs_hoomd
def test_attach_to_hoomd_melts_its_crystal(tmp_path):
    lines = run("attach_to_hoomd.py", tmp_path).strip().splitlines()
    assert len(lines) == 8
    assert percent(lines[0]) > 0.9
    assert percent(lines[-1]) < 0.1
    for name in ("labeled.gsd", "run.gsd"):
        with open_trajectory(tmp_path / name) as trajectory:
            assert [frame.configuration.step for frame in trajectory] == list(range(500, 4001, 500))
