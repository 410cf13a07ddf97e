"""Which modules are public, and the names that modules had before they were in packages."""

import importlib
import sys
import warnings
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

#: Modules and packages that are imported when they are first used. Those for HOOMD-blue, OpenMM
#: and OVITO, which need not be installed, have short names as well.
PUBLIC = (
    "analyzer",
    "clusters",
    "colors",
    "crystals",
    "denoised_copies",
    "errors",
    "files",
    "integrations",
    "labeling",
    "learning",
    "names",
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

#: Until version 0.3: former modules, and where their contents are now.
MOVED = {
    "classifier": ("integrations.hoomd.classifier", "results"),
    "datasets": ("learning.datasets",),
    "environments": ("neighbors.environments",),
    "few_shot": ("learning.few_shot", "learning.calibration"),
    "fitting": ("learning.fitting",),
    "models": ("files.models", "files.cards", "files.atomic", "results"),
    "plots": ("plotting.plots",),
    "structures": ("crystals.prototypes",),
    "tasks": ("learning.tasks",),
    "training": ("learning.training",),
    "trajectories": ("files", "schema"),
}


class _Alias:
    """Finds modules under other names; an importer as :mod:`importlib` wants it."""

    def __init__(self, package: str) -> None:
        self._package = package

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package, _, short = name.partition(".")
        if package != self._package or short not in _SHORT | MOVED:
            return None
        if short in MOVED:
            homes = " and ".join(f"{package}.{home}" for home in MOVED[short])
            warnings.warn(
                f"{name} is deprecated and will be removed in version 0.3; what it held is in "
                f"{homes} now.",
                DeprecationWarning,
                stacklevel=2,
            )
        return ModuleSpec(name, self)  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        short = spec.name.partition(".")[2]
        if short in _SHORT:
            module = importlib.import_module(f"{self._package}.{_SHORT[short]}")
            self._spec = module.__spec__
            return module
        homes = [importlib.import_module(f"{self._package}.{home}") for home in MOVED[short]]
        return _stand_in(spec.name, homes)

    def exec_module(self, module: ModuleType) -> None:
        if module.__name__.startswith(f"{self._package}.integrations."):
            # the module has run already, and importlib has put the alias's description on it
            module.__spec__ = self._spec


def _stand_in(name: str, homes: Sequence[ModuleType]) -> ModuleType:
    """Make a module that has what several others have."""
    module = ModuleType(name, f"Deprecated: see {', '.join(home.__name__ for home in homes)}.")

    def find(attribute: str) -> Any:
        for home in homes:
            if attribute in vars(home):
                return vars(home)[attribute]
        raise AttributeError(f"module {name!r} has no attribute {attribute!r}")

    module.__getattr__ = find  # type: ignore[method-assign]
    return module


sys.meta_path.append(_Alias(__package__))
