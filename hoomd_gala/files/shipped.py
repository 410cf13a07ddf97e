"""Which models there are, found without loading torch."""

import os
from pathlib import Path
from typing import Any

from ..errors import InputError

#: Where shipped models lie inside an installed package, and in a checkout.
_INSTALLED = Path(__file__).parents[1] / "weights"
_CHECKOUT = Path(__file__).parents[2] / "models"

#: The one that takes thermal displacements out of positions, and how many steps it does this in
#: unless somebody says otherwise: more change little.
DENOISE, DENOISE_STEPS = "denoise", 8

#: What stands for one of two models, by the types of particles, and these two.
AUTO, STRUCTURES, COMPOUNDS = "auto", "structures", "compounds"


def shipped_models() -> dict[str, Path]:
    """Models that come with hoomd-gala, by name."""
    folder = _INSTALLED if _INSTALLED.is_dir() else _CHECKOUT
    return {path.stem: path for path in sorted(folder.glob("*.safetensors"))}


def auto_model(types: Any) -> str:
    """Name of the model that "auto" stands for.

    Parameters
    ----------
    types : (N,) int
        Types of the particles that may be neighbors, an array or a tensor on any device.
    """
    return COMPOUNDS if len(types) and bool((types != types[0]).any()) else STRUCTURES


def said_of_auto(name: str) -> str:
    """Say which model "auto" stands for, and why."""
    many = "several types" if name == COMPOUNDS else "one type"
    return f"the model is {name}, as the particles are of {many}"


def find_model(name: str | os.PathLike[str]) -> Path:
    """Path of a shipped model's name, or of a file.

    Raises
    ------
    InputError
        If it is neither; the message lists the shipped models.
    """
    shipped = shipped_models()
    if str(name) in shipped:
        return shipped[str(name)]
    path = Path(name)
    if path.is_file():
        return path
    if path.suffix:
        raise InputError(f"there is no model file {path}.")
    known = ", ".join(sorted(shipped)) or "none"
    raise InputError(f"no model is named {str(name)!r}; give a file, or one of: {known}.")
