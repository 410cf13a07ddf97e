"""``hoomd-gala doctor``: what is installed, what works, and what the rest would give."""

import argparse
import importlib.util
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from .. import __version__
from ..threads import cores
from . import probes
from .arguments import Commands, add_command
from .probes import Facts
from .terminal import colored, columns, has_colors

SUMMARY = "what is installed, what works, and what is missing"

_DESCRIPTION = """\
Prints what is installed and whether it can be imported, which engines, graphics processors and
compiled kernels there are, and what each missing package would give. Nothing is compiled. Please
send what it prints with reports of errors. The exit code is 1 if something that the package needs
does not work.
"""

_MORE = """\
examples:
  hoomd-gala doctor
"""


class Package(NamedTuple):
    """A package that may be installed.

    Attributes
    ----------
    title : str
        What people call it.
    module : str
        What is imported.
    gives : str
        What it is for.
    get : str
        How it is installed.
    needed : bool
        Whether nothing works without it.
    """

    title: str
    module: str
    gives: str
    get: str
    needed: bool = False


_AGAIN = "pip install --force-reinstall hoomd-gala"

#: By group. Those that take the longest to import are first.
PACKAGES = {
    "needed": [
        Package("torch", "torch", "networks", _AGAIN, True),
        Package("numba", "numba", "kernels that are compiled for the CPU", _AGAIN, True),
        Package("SciPy", "scipy", "clusters", _AGAIN, True),
        Package("gsd", "gsd", "GSD files", _AGAIN, True),
    ],
    "simulation engines": [
        Package(
            "HOOMD-blue",
            "hoomd",
            "labels while a simulation runs: hoomd_gala.Classifier",
            "conda install -c conda-forge hoomd",
        ),
        Package(
            "OpenMM",
            "openmm",
            "the same in OpenMM: hoomd_gala.openmm.ClassifierReporter",
            'pip install "hoomd-gala[openmm]"',
        ),
        Package(
            "mpi4py",
            "mpi4py",
            "labels in simulations on several ranks; with the MPI library of HOOMD-blue",
            'pip install "hoomd-gala[mpi]"',
        ),
    ],
    "files and pictures": [
        Package(
            "OVITO",
            "ovito",
            "pictures of frames, a modifier, and files of LAMMPS and others",
            'pip install "hoomd-gala[ovito]"',
        ),
        Package(
            "ASE",
            "ase",
            "files of POSCAR, CIF, extended XYZ and others where there is no OVITO, which reads "
            "these too; ASE's own .traj files, of which OVITO loses a part; and ASE's Atoms",
            "pip install ase",
        ),
        Package(
            "Matplotlib",
            "matplotlib",
            "figures, and learning curves of train",
            'pip install "hoomd-gala[train]"',
        ),
        Package(
            "pyriodic-aflow",
            "pyriodic_aflow",
            "unit cells to train on and to draw",
            'pip install "hoomd-gala[train]"',
        ),
    ],
}

#: Seconds after which an import is given up.
_PATIENCE = 60

#: Colors of what there may be to say of a thing.
_COLORS = {"ok": (0.2, 0.8, 0.2), "missing": (0.8, 0.6, 0.2), "broken": (1.0, 0.2, 0.2)}


class Finding(NamedTuple):
    """What was found out about something.

    Attributes
    ----------
    state : str
        ``"ok"``, ``"missing"`` or ``"broken"``.
    facts : dict of str to str
        What its probe said.
    error : str
        Why it does not work.
    """

    state: str
    facts: Facts
    error: str = ""


def add(commands: Commands) -> None:
    """Add the command."""
    doctor = add_command(commands, "doctor", SUMMARY, _DESCRIPTION, _MORE)
    doctor.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Find out, and print; returns the exit code."""
    everything = [package for group in PACKAGES.values() for package in group]
    names = [package.module for package in everything]
    if sys.platform == "linux":
        names.insert(1, "vulkan")
    with ThreadPoolExecutor(max(2, cores())) as pool:
        found = dict(zip(names, pool.map(examine, names), strict=True))
    print(
        f"hoomd-gala {__version__}, Python {platform.python_version()}, "
        f"{platform.system()} on {platform.machine()}"
    )
    print(f"in {Path(__file__).parents[1]}, run by {sys.executable}")
    for group, packages in PACKAGES.items():
        print(f"\n{group}")
        for package in packages:
            _print(package.title, *_said_of(package, found[package.module]))
    print("\nspeed")
    for line in _speed(found["torch"]):
        _print(*line)
    if "vulkan" in found:
        print("\nrendering by OVITO")
        _print("Vulkan", *_vulkan(found["vulkan"]))
    return int(any(found[one.module].state != "ok" for one in everything if one.needed))


def examine(name: str) -> Finding:
    """Run a probe in a process of its own."""
    if name != "vulkan" and importlib.util.find_spec(name) is None:
        return Finding("missing", {})
    # -P: not with the folder of the script in front of what is imported from
    command = [sys.executable, "-P", probes.__file__, name]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_PATIENCE, env=environment
        )
    except subprocess.TimeoutExpired:
        return Finding("broken", {}, f"not imported within {_PATIENCE} seconds")
    facts: Facts = {}
    for line in done.stdout.splitlines():
        if line.startswith("{"):
            facts |= json.loads(line)
    if done.returncode == 0:
        return Finding("ok", facts)
    if done.returncode < 0:
        return Finding("broken", facts, f"ends with {signal.Signals(-done.returncode).name}")
    reasons = [line for line in done.stderr.splitlines() if line and not line.startswith(" ")]
    return Finding("broken", facts, reasons[-1] if reasons else f"exit code {done.returncode}")


def _said_of(package: Package, found: Finding) -> tuple[str, str, str]:
    """State of a package, what there is to say of it, and the command that gets it."""
    if found.state == "missing":
        return "missing", f"for {package.gives}", package.get
    version = found.facts.get("version") or _version(package.module)
    if found.state == "broken" and "version" not in found.facts:
        return "broken", f"{version} {found.error}; for {package.gives}".strip(), package.get
    note = found.facts.get("note", "")
    return "ok", f"{version}, {note}" if note else version, ""


def _version(module: str) -> str:
    try:
        return metadata.version(module.replace("_", "-"))
    except metadata.PackageNotFoundError:
        return ""


def _speed(found: Finding) -> Iterable[tuple[str, ...]]:
    """Lines about the GPU, kernels, their cache and threads."""
    facts = found.facts
    if "gpu" in facts:
        yield "GPU", "ok", f"{facts['gpu']}; its kernels are verified when they are first used"
    elif "no gpu" in facts:
        hint = "; pip install torch brings a build with CUDA" if shutil.which("nvidia-smi") else ""
        yield "GPU", "missing", f"{facts['no gpu']}{hint}. An NVIDIA GPU labels faster"
    if "processor" in facts:
        yield "processor", "ok", facts["processor"]
    if "error" in facts and not facts["wrong"]:
        said = f"compiled, verified: they differ from plain torch by {facts['error']}"
        yield "kernels", "ok", said + _chosen(facts)
    elif "error" in facts:
        said = f"they differ from plain torch by {facts['error']}, which is used instead, slower"
        yield "kernels", "broken", said + _chosen(facts)
    elif found.state == "broken":
        yield "kernels", "broken", f"{found.error}; without them, plain torch is used, slower"
    elif "kernels" in facts:
        said = "are compiled, and verified, when particles are first labeled, once on a machine"
        yield "kernels", "ok", said + _chosen(facts)
    if facts.get("writable"):
        yield "cache", "ok", f"of compiled kernels: {facts['cache']}"
    elif "cache" in facts:
        said = (
            "no folder for compiled kernels can be written: every process compiles them again. Set "
            "NUMBA_CACHE_DIR to one that can"
        )
        yield "cache", "missing", said
    limit = os.environ.get("OMP_NUM_THREADS")
    threads = f", torch uses {facts['threads']}" if "threads" in facts else ""
    yield (
        "threads",
        "ok",
        f"{cores()} cores{threads}" + (f" (OMP_NUM_THREADS is {limit})" if limit else ""),
    )


def _chosen(facts: Facts) -> str:
    """Say what HOOMD_GALA_KERNELS is, if it is set."""
    name = facts.get("kernels", "auto")
    return "" if name == "auto" else f" (HOOMD_GALA_KERNELS is {name})"


def _vulkan(found: Finding) -> tuple[str, str, str]:
    if found.state == "ok":
        return "ok", found.facts["note"], ""
    return (
        "missing",
        f"{found.error}: without a driver, which needs no GPU, OVITO renders no pictures",
        "apt install libvulkan1 mesa-vulkan-drivers",
    )


def _print(title: str, state: str, text: str, command: str = "") -> None:
    """Print a line, folded to the terminal, with the state in color where there is one.

    The command that gets what is missing is on a line of its own, from where it can be copied.
    """
    shown = f"{state:8}"
    first, *others = textwrap.wrap(text, max(columns() - 27, 30), break_on_hyphens=False) or [""]
    print(f"  {title:15} {colored(shown, _COLORS[state]) if has_colors() else shown} {first}")
    for line in (*others, command):
        if line:
            print(f"{'':27}{line}")
