"""What is built from the checkout, and what it does with nothing but what it declares.

``make package`` does the same with a real empty environment, which needs the package index.
"""

import os
import subprocess
import sys
import zipfile
from importlib.metadata import distribution, distributions, packages_distributions
from pathlib import Path

import pytest
from installed import CRYSTAL, LABELS, ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

#: Bytes of the weights and of the whole wheel at most.
LARGEST = 10 * 2**20

#: As ``sitecustomize``: packages that an installation without extras does not bring are not found.
HIDE = """
import sys
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name in {hidden!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Hide())
"""


def required(texts):
    """Names of distributions, with all that these need, without extras."""
    found, waiting = set(), list(texts)
    while waiting:
        need = Requirement(waiting.pop())
        name = canonicalize_name(need.name)
        if name in found or (need.marker is not None and not need.marker.evaluate({"extra": ""})):
            continue
        found.add(name)
        waiting += distribution(name).requires or []
    return found


def build(*command, cwd):
    subprocess.run([sys.executable, "-m", *command], cwd=cwd, check=True, capture_output=True)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from the sdist as a package index would."""
    folder = tmp_path_factory.mktemp("built")
    build("hatchling", "build", "-t", "sdist", "-d", str(folder), cwd=ROOT)
    (sdist,) = folder.glob("*.tar.gz")
    offline = ("--no-deps", "--no-index")
    build("pip", "wheel", *offline, "--no-build-isolation", "-w", ".", str(sdist), cwd=folder)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory):
    """Variables of processes that have the wheel, and of all else what it declares."""
    folder = tmp_path_factory.mktemp("user") / "site-packages"
    target = ("--no-deps", "--no-index", "--target", str(folder))
    build("pip", "install", *target, str(wheel), cwd=folder.parent)
    (own,) = distributions(name="hoomd-gala", path=[str(folder)])
    needed = {"hoomd-gala"} | required(own.requires)
    hidden = {
        module
        for module, owners in packages_distributions().items()
        if needed.isdisjoint(map(canonicalize_name, owners))
    }
    assert {"matplotlib", "openmm", "ovito", "signac"} <= hidden
    assert hidden.isdisjoint({"torch", "numpy", "gsd", "numba", "hoomd_gala"})
    (folder / "sitecustomize.py").write_text(HIDE.format(hidden=hidden))
    # kernels would be compiled again for the new place
    return os.environ | {"PYTHONPATH": str(folder), "HOOMD_GALA_KERNELS": "reference"}


def test_wheel_is_small_and_has_all_models(wheel):
    with zipfile.ZipFile(wheel) as file:
        sizes = {Path(info.filename): info.file_size for info in file.infolist()}
    weights = {path.name: n for path, n in sizes.items() if path.suffix == ".safetensors"}
    assert set(weights) == {path.name for path in (ROOT / "models").glob("*.safetensors")}
    assert sum(weights.values()) < LARGEST
    assert wheel.stat().st_size < LARGEST
    assert Path("hoomd_gala/py.typed") in sizes
    top = {path.parts[0] for path in sizes}
    assert {name for name in top if not name.endswith(".dist-info")} == {"hoomd_gala"}


def test_an_installation_without_extras_labels_a_file(environment, tmp_path):
    def run(*command):
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    command = Path(environment["PYTHONPATH"]) / "bin" / "hoomd-gala"
    run(sys.executable, "-c", CRYSTAL)
    run(command, "label", "bcc.gsd", "labeled.gsd", "--model", "structures-fast")
    run(sys.executable, "-c", LABELS)
    found = run(sys.executable, "-c", "import hoomd_gala; print(hoomd_gala.__file__)")
    assert found.strip().startswith(str(Path(environment["PYTHONPATH"])))


def test_what_is_hidden_is_missed(environment, tmp_path):
    """The test above can fail."""
    code = "import torch\ntry:\n import ovito\nexcept ImportError as it: print(it.name)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "ovito\n"
