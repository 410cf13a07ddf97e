"""Install the lowest versions that pyproject.toml declares, and no others, and test with them.

``make lowest`` runs this in a fresh environment in a temporary folder. It takes a quarter of an
hour and, where torch comes with its CUDA packages, 6 GB; it is no part of ``make test``.
"""

import os
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent

#: What the tests beneath do without: tools, and what other packages choose the version of.
LEFT_OUT = {"geometric-algebra-attention", "h5py", "mpi4py", "mypy", "ruff", "triton"}

#: Files, labels, training, adapters and the command line: what each package is used for.
TESTS = [
    "analyzer",
    "few_shot",
    "inference",
    "kernels",
    "models",
    "openmm",
    "ovito",
    "package",
    "plots",
    "structures",
    "train_command",
    "trajectories",
]


def lowest(requirements: list[str]) -> dict[str, str]:
    """Lowest version by package name of requirements such as ``numpy>=1.26``."""
    versions = {}
    for requirement in requirements:
        name, _, version = requirement.partition(";")[0].partition(">=")
        versions[name.strip()] = version.partition(",")[0].strip()  # without an upper bound
    return versions


def declared() -> dict[str, str]:
    """Lowest versions of everything that pyproject.toml names."""
    about = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = about["project"]
    groups = [*project["optional-dependencies"].values(), *about["dependency-groups"].values()]
    return lowest([*project["dependencies"], *(one for group in groups for one in group)])


def main() -> int:
    """Returns the exit code of the tests."""
    wanted = [f"{name}=={v}" for name, v in declared().items() if name not in LEFT_OUT]
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = str(Path(folder) / "bin" / "python")
        pip = [python, "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, *wanted, "hatchling"], check=True)
        subprocess.run([*pip, "--no-deps", "--no-build-isolation", str(ROOT)], check=True)
        files = [str(ROOT / "tests" / f"test_{name}.py") for name in TESTS]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        command = [python, "-m", "pytest", "-q", "-rf", *files]
        return subprocess.run(command, cwd=ROOT, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
