"""Names the structure around every particle while a HOOMD-blue simulation runs.

In a simulation, on positions, and in OVITO::

    classifier = hoomd_gala.Classifier("structures", filename="labeled.gsd")  # HOOMD-blue
    sim.operations.writers.append(hoomd.write.CustomWriter(action=classifier, trigger=1_000))

    reporter = hoomd_gala.openmm.ClassifierReporter("labeled.gsd", 1_000)  # OpenMM
    simulation.reporters.append(reporter)

    result = hoomd_gala.Analyzer("structures").analyze(positions, box)  # arrays, frames, snapshots
    result.names, result.confidence, result.fractions["fcc"]

    pipeline.modifiers.append(hoomd_gala.ovito.ClassifierModifier())  # OVITO

On files, the command line does the same: ``hoomd-gala --help``, or ``python -m hoomd_gala --help``.

A label is an index into ``class_names``, or -1, *unknown*: an order that the model has no name for,
or one that it is not certain of. *disordered* is a class of its own, of gases, liquids, glasses and
surfaces. What is neither is solid.

======================================  ==========================================================
:class:`Analyzer`, :class:`Result`      labels of positions
:class:`Classifier`, ``triggers``       in HOOMD-blue; ``openmm`` and ``ovito`` in the other two
:class:`InputError`                     what is wrong with an input, in a sentence
``clusters``                            nuclei and grains
``files``                               labeled GSD files, models, repair of damaged files
``labeling``                            whole trajectories
``names``, ``colors``                   what people and OVITO call structures, and their colors
``crystals``, ``learning``              unit cells, and networks that learn from them
======================================  ==========================================================
"""

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

#: What has to be installed for some of these.
_ENGINES = {"Classifier": "hoomd", "triggers": "hoomd", "openmm": "openmm", "ovito": "ovito"}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    if name in _modules.PUBLIC or name in _modules.MOVED:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    from importlib.util import find_spec

    # help() touches all of them, which must not fail where one has nothing to work with
    names = {*globals(), *__all__, *_modules.PUBLIC}
    missing = {name for name, engine in _ENGINES.items() if find_spec(engine) is None}
    return sorted(names - missing)
