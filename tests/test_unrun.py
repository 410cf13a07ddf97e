"""Tests that did not run are counted one by one, and fail where they have to run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from unrun import REQUIRE, count_tests

#: As modules here skip themselves: as a whole, test by test, and within a test.
WHOLE = """
import pytest
pytest.importorskip("no_such_engine", reason="NoSuch-engine is not installed")
SIZES = (1, 2, 3)

@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("a", "b"), [(1, 2), (3, 4)])
def test_six(size, a, b): ...

@pytest.mark.parametrize("i", range(1, 5))
def test_four(i): ...

@pytest.mark.slow
def test_one(): ...

class TestTwo:
    def test_a(self): ...
    def test_b(self): ...

def helper(): ...
"""
SINGLE = """
import pytest

@pytest.mark.skipif(True, reason="NoSuch-engine is not installed")
def test_marked(): ...

def test_inside():
    pytest.skip("there is no GPU")

@pytest.mark.xfail
def test_expected(): assert False

def test_fine(): ...
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "test_whole.py").write_text(WHOLE)
    (tmp_path / "test_single.py").write_text(SINGLE)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n    slow: takes long\n")
    return tmp_path


def run(folder, *options, require=None):
    """Exit code and output of a run of pytest with these hooks and no other plugins of ours."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    environment.pop(REQUIRE, None)
    if require is not None:
        environment[REQUIRE] = require
    command = [sys.executable, "-m", "pytest", "-p", "unrun", "-p", "no:cacheprovider", *options]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout


def test_modules_skipped_as_a_whole_count_their_tests(folder):
    code, output = run(folder)
    assert code == 0
    assert "15 tests did not run" in output
    assert "14 x NoSuch-engine is not installed" in output
    assert "1 x there is no GPU" in output


def test_counted_without_importing_as_pytest_collects_them(folder):
    path = folder / "test_whole.py"
    path.write_text("\n".join(line for line in WHOLE.splitlines() if "importorskip" not in line))
    _, output = run(folder, "--collect-only", "-q", path.name)
    assert count_tests(path) == output.count("test_whole.py::") == 13


def test_what_was_left_out_on_request_is_counted_as_such(folder):
    _, output = run(folder, "-k", "fine")
    assert "left out on request (-m, -k): 3" in output


def test_a_required_package_makes_skips_fail(folder):
    code, output = run(folder, "--continue-on-collection-errors", require="other,nosuch")
    assert code == 1
    assert "1 passed, 1 skipped, 1 xfailed, 2 errors" in output
    assert f"NoSuch-engine is not installed, but {REQUIRE}=other,nosuch" in output


@pytest.mark.parametrize("require", ["", "no,gpu"])
def test_other_skips_stay_skips(folder, require):
    code, output = run(folder, require=require)
    assert code == 0
    assert "1 passed" in output
