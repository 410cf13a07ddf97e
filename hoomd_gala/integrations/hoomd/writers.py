"""Writers of a simulation that are to log what they cannot hold."""

from typing import Any

import hoomd

from ...errors import InputError


def check_writers(simulation: Any, classifier: Any) -> None:
    """Refuse writers of some particles that are to log a classifier's quantities of all.

    HOOMD writes what it is given, and such a file cannot be read.

    Raises
    ------
    InputError
        If there is one.
    """
    for writer in simulation.operations.writers:
        if not isinstance(writer, hoomd.write.GSD) or writer.logger is None:
            continue
        if isinstance(writer.filter, hoomd.filter.All):
            continue
        if any(
            getattr(entry.obj, "action", entry.obj) is classifier
            for entry in _per_particle_entries(writer)
        ):
            raise InputError(
                f"hoomd.write.GSD writes some particles to {writer.filename}, by its filter, "
                "and the classifier in its logger has quantities of all; remove that filter "
                "or let the classifier write a file of its own (filename=). With the same "
                "filter for both, log (lambda: classifier.result.label, 'particle') instead."
            )


def _per_particle_entries(writer: Any) -> list[Any]:
    """List what a writer logs per particle: HOOMD's entries of an object and its attribute.

    The writer may keep its logger wrapped, and has no public way to ask a logger for objects.
    """
    logger = getattr(writer.logger, "logger", writer.logger)
    found: list[Any] = []
    pending = [getattr(logger, "_dict", {})]
    while pending:
        for value in pending.pop().values():
            (pending if isinstance(value, dict) else found).append(value)
    return [e for e in found if e.category == hoomd.logging.LoggerCategories.particle]
