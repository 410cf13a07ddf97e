"""Names the structure around every particle while a HOOMD-blue simulation runs."""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .analyzer import Analyzer
    from .classifier import Classifier
    from .errors import InputError
    from .results import Result

__all__ = ["Analyzer", "Classifier", "InputError", "Result", "__version__"]

# imported when touched: torch takes a second, and Classifier needs HOOMD-blue
_HOMES = {
    "Analyzer": "analyzer",
    "Result": "results",
    "Classifier": "classifier",
    "InputError": "errors",
}

# public modules, imported when touched as well; openmm, ovito and triggers are for packages that
# need not be installed
_MODULES = (
    "colors",
    "datasets",
    "environments",
    "errors",
    "few_shot",
    "fitting",
    "labeling",
    "models",
    "networks",
    "openmm",
    "ovito",
    "plots",
    "structures",
    "systems",
    "tasks",
    "training",
    "trajectories",
    "triggers",
)


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _MODULES:
        return import_module(f".{name}", __name__)
    if name not in _HOMES:
        raise AttributeError(f"module 'hoomd_gala' has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})
