"""Which kernels are used: by device, precision, the user's choice, and whether they work."""

import functools
import importlib
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import ModuleType

import torch

from ...errors import InputError

#: Environment variable that overrules the choice.
VARIABLE = "HOOMD_GALA_KERNELS"

#: Compiled kernels where they work; plain torch; compiled kernels or an error.
CHOICES = ("auto", "reference", "fused")

#: Modules of the compiled kernels for each type of device: sums over pairs, embeddings, and what
#: surrounds particles.
BACKENDS = {
    "cpu": {
        "name": "numba",
        "pairs": ".cpu.pair_sums",
        "embed": ".cpu.embed",
        "around": ".cpu.around",
    },
    "cuda": {"name": "Triton", "pairs": ".triton", "embed": ".triton_embed"},
}

#: How far results may be from the reference, relative to their norm. Rounding gives 1e-6, on matrix
#: units 1e-5, and in gradients 1e-3 where it decides whether a hidden unit is active; a wrong sign
#: or index gives 0.1 or more.
TOLERANCE = {"values": 1e-3, "gradients": 2e-2}

_chosen: ContextVar[str | None] = ContextVar("kernels", default=None)

# devices with the tasks that agree with the reference there, and those where something does not
_verified: set[tuple[torch.device, str]] = set()
_broken: dict[torch.device, str] = {}


@contextmanager
def use(kernels: str | None) -> Iterator[None]:
    """Choose the kernels of everything computed within.

    Parameters
    ----------
    kernels : str, optional
        One of :data:`CHOICES`; if not given, the choice stays what it is.

    Raises
    ------
    InputError
        For any other name.
    """
    if kernels is not None:
        _check(kernels, "kernels is")
    token = _chosen.set(_chosen.get() if kernels is None else kernels)
    try:
        yield
    finally:
        _chosen.reset(token)


def choice() -> str:
    """Return what :func:`use` or the environment variable says."""
    name = _chosen.get()
    if name is None:
        name = os.environ.get(VARIABLE) or "auto"
        _check(name, f"{VARIABLE} is")
    return name


def _check(name: str, what: str) -> None:
    if name not in CHOICES:
        raise InputError(f"{what} {name!r}; use one of {', '.join(CHOICES)}.")


@functools.cache
def _load(module: str) -> ModuleType:
    return importlib.import_module(module, __package__)


def compiled(device: torch.device, part: str = "pairs") -> ModuleType:
    """Import a device's compiled kernels when they are needed: compilers load slowly."""
    return _load(BACKENDS[device.type][part])


def takes_compiled(
    device: torch.device, dtype: torch.dtype, task: str, error: Callable[[], dict[str, float]]
) -> bool:
    """Whether the compiled kernels do a task on a device.

    Parameters
    ----------
    device : torch.device
        Where the tensors are.
    dtype : torch.dtype
        Of the tensors; kernels take float32 only.
    task : str
        What is to be verified when it is first done.
    error : callable
        Runs the kernels and gives their relative error in each kind of result, the keys of
        :data:`TOLERANCE`.

    Raises
    ------
    RuntimeError
        If they must do it and cannot.
    """
    chosen = choice()
    if chosen == "reference" or dtype != torch.float32 or device.type not in BACKENDS:
        return False
    if device not in _broken and (device, task) not in _verified:
        reason = _fault(device, error)
        if reason is None:
            _verified.add((device, task))
        else:
            _broken[device] = f"{BACKENDS[device.type]['name']} kernels on {device} {reason}"
            if chosen != "fused":
                warnings.warn(
                    f"{_broken[device]}; plain torch is used instead, which is slower.",
                    RuntimeWarning,
                    stacklevel=3,
                )
    if chosen == "fused" and device in _broken:
        raise RuntimeError(f"{_broken[device]}.")
    return device not in _broken


def _fault(device: torch.device, error: Callable[[], dict[str, float]]) -> str | None:
    """Find out what is wrong with the kernels, if anything."""
    try:
        if device.type == "cuda":
            _check_gpu(device)
        with torch.inference_mode(False):
            errors = error()
    except Exception as caught:  # whatever keeps a compiler or its kernels from working here
        lines = str(caught).splitlines() or [type(caught).__name__]
        return f"do not work: {lines[0].rstrip('.')}"
    for kind, size in errors.items():
        if not size <= TOLERANCE[kind]:  # nor if it is not a number
            return f"differ from the reference by a relative {size:.1e} in {kind}"
    return None


def _check_gpu(device: torch.device) -> None:
    if torch.version.cuda is None:
        raise RuntimeError("they are for NVIDIA GPUs only.")
    if torch.cuda.get_device_capability(device) < (8, 0):
        raise RuntimeError("they need compute capability 8.0 or newer.")
