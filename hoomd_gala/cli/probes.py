"""What ``hoomd-gala doctor`` finds out, each thing in a process of its own.

A package may raise anything when it is imported, or end the process; and several are imported at
the same time. This file is run as a script, which takes the name of a probe, or of a module, and
prints a JSON object for each thing that it has found, at once, so that what comes later cannot take
it away. It imports of this package no more than a probe is about.
"""

import ctypes
import importlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

#: What was found, by a word for it.
Facts = dict[str, str]


def _package(name: str) -> Iterator[Facts]:
    module = importlib.import_module(name)
    yield {"version": str(getattr(module, "__version__", ""))}


def _hoomd() -> Iterator[Facts]:
    from hoomd import version

    parts = [name for name in ("gpu", "mpi") if getattr(version, f"{name}_enabled", False)]
    built = " and ".join(part.upper() for part in parts)
    yield {"version": version.version, "note": f"built with {built}" if built else "for the CPU"}


def _openmm() -> Iterator[Facts]:
    import openmm

    count = openmm.Platform.getNumPlatforms()
    names = [openmm.Platform.getPlatform(k).getName() for k in range(count)]
    yield {"version": openmm.__version__, "note": f"platforms {', '.join(names)}"}


def _mpi4py() -> Iterator[Facts]:
    import mpi4py
    from mpi4py import MPI

    library = MPI.Get_library_version().split(",")[0].split("\n")[0]
    yield {"version": mpi4py.__version__, "note": library.strip("\0 ")}


def _torch() -> Iterator[Facts]:
    """Find out about torch, a GPU, and the kernels that go with both."""
    import torch

    yield {"version": torch.__version__, "threads": str(torch.get_num_threads())}
    if torch.cuda.is_available():
        name = torch.cuda.get_device_name(0)
        yield {"gpu": f"{name}, CUDA {torch.version.cuda}"}
    elif torch.version.cuda is None:
        yield {"no gpu": f"torch {torch.__version__} is built without CUDA"}
    else:
        yield {"no gpu": "torch finds none"}
    from hoomd_gala.networks.inference import embedding_error
    from hoomd_gala.networks.kernels import choice
    from hoomd_gala.networks.kernels.cpu import amx, passes, simd

    yield {
        "kernels": choice.choice(),
        "processor": f"vectors of {simd.LANES} numbers, "
        + ("matrix units (AMX)" if amx.are_usable() else "no matrix units (AMX)"),
    }
    folder = passes.embed.stats.cache_path
    yield {
        "cache": "" if folder is None else str(folder),
        "writable": "yes" if folder and _can_write(Path(folder)) else "",
    }
    if folder is not None and passes.are_cached("embed"):
        errors = embedding_error(torch.device("cpu"), tied=True, pooled=True)
        wrong = [kind for kind, size in errors.items() if not size <= choice.TOLERANCE[kind]]
        yield {"error": f"{max(errors.values()):.0e}", "wrong": " and ".join(wrong)}


def _can_write(folder: Path) -> bool:
    """Whether there can be a file in a folder, which need not exist."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return os.access(folder, os.W_OK)


class _Instance(ctypes.Structure):
    """VkInstanceCreateInfo, of which nothing but the type has to be set."""

    _fields_ = (
        ("type", ctypes.c_uint32),
        ("next", ctypes.c_void_p),
        ("flags", ctypes.c_uint32),
        ("application", ctypes.c_void_p),
        ("n_layers", ctypes.c_uint32),
        ("layers", ctypes.c_void_p),
        ("n_extensions", ctypes.c_uint32),
        ("extensions", ctypes.c_void_p),
    )


def _vulkan() -> Iterator[Facts]:
    """Count the devices that OVITO could render with."""
    library = ctypes.CDLL("libvulkan.so.1")
    instance, count = ctypes.c_void_p(), ctypes.c_uint32()
    if library.vkCreateInstance(ctypes.byref(_Instance(1)), None, ctypes.byref(instance)):
        raise RuntimeError("there is no driver")
    library.vkEnumeratePhysicalDevices(instance, ctypes.byref(count), None)
    if not count.value:
        raise RuntimeError("there is no device")
    yield {"note": f"devices: {count.value}"}


#: Those that say more than a version.
PROBES: dict[str, Callable[[], Iterator[Facts]]] = {
    "hoomd": _hoomd,
    "openmm": _openmm,
    "mpi4py": _mpi4py,
    "torch": _torch,
    "vulkan": _vulkan,
}


def main(name: str) -> None:
    """Print what there is to know of something; raises whatever that raises."""
    found: Any = PROBES[name]() if name in PROBES else _package(name)
    for facts in found:
        print(json.dumps(facts), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
