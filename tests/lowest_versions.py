"""Install the lowest versions that pyproject.toml declares, and no others, and test with them.

``make lowest`` runs this in a fresh environment in a temporary folder. It takes a quarter of an
hour and, where torch comes with its CUDA packages, 6 GB; ``make test`` does not include it.
"""

import os
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent

#: What the tests below do without: tools, and packages whose versions others choose.
LEFT_OUT = {
    "geometric-algebra-attention",
    "h5py",
    "MDAnalysis",
    "mpi4py",
    "mypy",
    "pymatgen",
    "ruff",
    "triton",
}

#: Environments, networks, files, labels, training, adapters, commands and the workflow: what
#: each package is used for. Paths below this folder, or single tests.
TESTS = [
    "cli",
    "crystals",
    "files",
    "integrations/test_openmm.py",
    "integrations/test_ovito.py",
    "learning/test_calibration.py",
    "learning/test_few_shot.py",
    "neighbors",
    "networks/test_core.py",
    "networks/test_inference.py",
    "networks/kernels/test_cpu_kernels.py",
    "plotting",
    "test_analyzer.py",
    "test_clusters.py",
    "test_decision.py",
    "test_labeling.py",
    "test_package.py",
    "test_systems.py",
    "test_systems_from.py",
    # signac and signac-flow, scikit-learn, change points
    "workflows/test_jobs.py",
    "workflows/test_liquids.py",
    "workflows/test_phases.py",
    "workflows/test_workflow.py::test_init_status_submit",
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
    """Return the exit code of the tests."""
    wanted = [f"{name}=={v}" for name, v in declared().items() if name not in LEFT_OUT]
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = str(Path(folder) / "bin" / "python")
        pip = [python, "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, *wanted, "hatchling"], check=True)
        subprocess.run([*pip, "--no-deps", "--no-build-isolation", str(ROOT)], check=True)
        files = [str(ROOT / "tests" / name) for name in TESTS]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        command = [python, "-m", "pytest", "-q", "-rf", *files]
        return subprocess.run(command, cwd=ROOT, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
