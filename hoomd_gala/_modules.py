"""Which modules are public, and the names that modules had before they had folders."""

import importlib
import sys
import warnings
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

#: Modules and packages that are imported when they are touched. Those for HOOMD-blue, OpenMM and
#: OVITO, which need not be installed, are known by short names as well.
PUBLIC = (
    "analyzer",
    "colors",
    "crystals",
    "errors",
    "files",
    "integrations",
    "labeling",
    "learning",
    "neighbors",
    "networks",
    "openmm",
    "ovito",
    "plotting",
    "results",
    "systems",
    "threads",
    "triggers",
)

_SHORT = {
    "openmm": "integrations.openmm",
    "ovito": "integrations.ovito",
    "triggers": "integrations.hoomd.triggers",
}

#: Until version 0.3: where modules of version 0.1 are now.
MOVED = {
    "classifier": "integrations.hoomd.classifier",
    "datasets": "learning.datasets",
    "environments": "neighbors.environments",
    "few_shot": "learning.few_shot",
    "fitting": "learning.fitting",
    "models": "files.models",
    "plots": "plotting.plots",
    "structures": "crystals.prototypes",
    "tasks": "learning.tasks",
    "training": "learning.training",
    "trajectories": "files.trajectories",
}


class _Alias:
    """Finds a module under another name; an importer as :mod:`importlib` wants it."""

    def __init__(self, package: str) -> None:
        self._prefix = f"{package}."

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        short = name.removeprefix(self._prefix)
        if short == name or short not in _SHORT | MOVED:
            return None
        if short in MOVED:
            warnings.warn(
                f"{name} is now {self._prefix}{MOVED[short]}.", DeprecationWarning, stacklevel=2
            )
        return ModuleSpec(name, self)  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        home = (_SHORT | MOVED)[spec.name.removeprefix(self._prefix)]
        module = importlib.import_module(f"{self._prefix}{home}")
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        # the module has run already, and importlib has put the alias's description on it
        module.__spec__ = self._spec


sys.meta_path.append(_Alias(__package__))  # type: ignore[arg-type]
