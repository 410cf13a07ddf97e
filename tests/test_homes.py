"""Commands without a home, and without any place to keep what they would find again."""

import os
import shutil
import subprocess
import sys

import pytest
from lowest_versions import ROOT

CODE = """
import sys
from hoomd_gala.cli import main

source, model = sys.argv[1:]
small = "--width 8 --hidden 8 --blocks 1 --environments 40 --epochs 2".split()
task = ["--task", "frame-classification", "--cells", "cF4-Cu", "cI2-W", "--blind"]
assert main(["label", source, "out.gsd", "--model", model]) == 0
assert main(["train", *task, *small, "--output", "out.safetensors"]) == 0
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("home", "cache"),
    [(None, None), ("/proc/none", "/proc/none")],
    ids=["no home", "no home that can be written, and no cache"],
)
def test_no_home_is_needed(home, cache, trajectory_path, model_path, tmp_path):
    folders = {"HOME": home, "XDG_CACHE_HOME": cache, "NUMBA_CACHE_DIR": cache}
    hidden = {*folders, "MPLCONFIGDIR", "XDG_CONFIG_HOME"}
    variables = {name: value for name, value in os.environ.items() if name not in hidden}
    variables |= {name: value for name, value in folders.items() if value is not None}
    if cache is not None:
        variables["HOOMD_GALA_KERNELS"] = "reference"  # compiling them takes half a minute
    work, study = tmp_path / "work", tmp_path / "workflows"
    work.mkdir()
    not_these = shutil.ignore_patterns("workspace", "summary", ".signac")
    shutil.copytree(ROOT / "workflows", study, ignore=not_these)
    commands = [
        (work, ["-c", CODE, str(trajectory_path), str(model_path)]),
        (study, ["project.py", "init", "--study", "smoke"]),
    ]
    for folder, command in commands:
        done = subprocess.run(
            [sys.executable, *command], cwd=folder, env=variables, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
    made = ["out.csv", "out.gsd", "out.json", "out.md", "out.png", "out.safetensors"]
    assert sorted(path.name for path in work.iterdir()) == made
