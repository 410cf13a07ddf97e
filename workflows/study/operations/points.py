"""Whether the operations on a job can begin with what its study's file says: before it is made."""

import functools
import inspect
from typing import Any, get_type_hints

from msgspec import UNSET, Struct, UnsetType, defstruct

from hoomd_gala.files.fields import fill
from study.flow import schema
from study.operations.quality import ABOUT, maker


def check_job(kind: str, values: dict[str, Any]) -> None:
    """Check that a job can be carried out, in as far as that takes no time.

    Parameters
    ----------
    kind : str
        Of the job.
    values : dict
        What its state point has beside that and the study.

    Raises
    ------
    ValueError
        If its potential has no cutoff, its box is too small for that, or the function that makes
        its system does not take the parameters that there are.
    """
    if issubclass(schema.KINDS[kind], schema.Cooled):
        from study.simulation import protocol

        protocol.check_box(protocol.Protocol.of(values), protocol.pair_potential(values))
    elif kind == "quality_system":
        how = {key: value for key, value in values.items() if key not in ABOUT}
        fill(parameters(values["make"]), how)
        if {"form", "symbol"} <= set(how):
            from study.simulation.forces import ELEMENTS

            if how["symbol"] not in ELEMENTS.get(how["form"], {}):
                raise ValueError(f"there is no potential {how['form']!r} of {how['symbol']!r}")


@functools.cache
def parameters(make: str) -> type[Struct]:
    """Return what a function takes that makes samples: its parameters by name, type and bounds."""
    function = maker(make)
    types = get_type_hints(function) | schema.PARAMETERS
    fields: list[Any] = []
    declared = inspect.signature(function).parameters
    passes_on = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in declared.values())
    for name, parameter in declared.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            continue
        has_default = parameter.default is not inspect.Parameter.empty
        fields.append(
            (name, types[name], parameter.default) if has_default else (name, types[name])
        )
    if passes_on:
        others = {name: kind for name, kind in schema.PARAMETERS.items() if name not in declared}
        fields += [(name, kind | UnsetType, UNSET) for name, kind in others.items()]
    return defstruct("Parameters", fields, forbid_unknown_fields=not passes_on)
