"""Names the structure around every particle while a HOOMD-blue simulation runs."""

from typing import TYPE_CHECKING, Any

from . import _modules, threads

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .analyzer import Analyzer
    from .errors import InputError
    from .integrations.hoomd import Classifier
    from .results import Result

__all__ = ["Analyzer", "Classifier", "InputError", "Result", "__version__"]

# before anything imports torch
threads.wait_passively()

# imported when touched: torch takes a second, and Classifier needs HOOMD-blue
_HOMES = {
    "Analyzer": "analyzer",
    "Result": "results",
    "Classifier": "integrations.hoomd",
    "InputError": "errors",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    if name in _modules.PUBLIC or name in _modules.MOVED:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_modules.PUBLIC})
