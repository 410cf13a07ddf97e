"""What ``import hoomd_gala`` gives, and what it costs."""

import re
import subprocess
import sys

import pytest
from lowest_versions import ROOT, declared

import hoomd_gala

#: Public modules that need nothing but the package's own dependencies.
MODULES = ["crystals", "files", "labeling", "learning", "neighbors", "networks", "systems"]


def run(code):
    """What Python prints that has imported the package and nothing else."""
    command = [sys.executable, "-c", f"import sys, hoomd_gala; {code}"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("name", MODULES)
def test_public_modules_are_reachable(name):
    assert run(f"print(hoomd_gala.{name}.__name__)").strip() == f"hoomd_gala.{name}"


def test_functions_that_messages_name_are_there():
    assert callable(hoomd_gala.files.trim)
    assert callable(hoomd_gala.files.recover)
    assert callable(hoomd_gala.files.read_frame)


def test_dir_lists_classes_and_modules_without_loading_torch():
    names = run("print(*dir(hoomd_gala)); assert 'torch' not in sys.modules").split()
    assert {"Analyzer", "Classifier", "InputError", "Result", *MODULES} <= set(names)


def test_files_and_systems_come_without_torch():
    touched = "hoomd_gala.files.trim, hoomd_gala.systems.as_system"
    run(f"{touched}; assert 'torch' not in sys.modules")


def test_unknown_names_are_unknown():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = hoomd_gala.nothing


#: Packages by their names on conda-forge, where these are others.
ON_CONDA = {"pytorch": "torch", "matplotlib-base": "matplotlib", "freud": "freud-analysis"}


def test_both_ways_to_install_declare_the_same_lowest_versions():
    text = (ROOT / "environment.yml").read_text()
    conda = dict(re.findall(r"- ([\w-]+) >=([\d.]+)", text))
    assert conda.pop("python") == "3.11"
    conda.pop("hoomd")
    pip = declared()
    assert conda == {name: pip[ON_CONDA.get(name, name)] for name in conda}
