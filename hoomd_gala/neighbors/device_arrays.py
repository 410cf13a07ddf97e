"""Systems whose arrays are on a GPU: torch takes these without a copy through the host."""

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from ..errors import InputError
from ..systems import System, check_finite, check_shape, make_system


def device_system(positions: Any, box: Any, types: Any = None, periodic: Any = None) -> System:
    """Make a system whose positions and types are tensors on the device of the positions.

    Parameters
    ----------
    positions : (N, 3)
        A tensor, or anything with ``__cuda_array_interface__``; not copied.
    box
        ``[Lx, Ly, Lz, xy, xz, yz]``, or anything else that :func:`~hoomd_gala.systems.as_box`
        takes, in the memory of the host.
    types : (N,) int, optional
        Type of each particle; all the same if not given.
    periodic : bool or three of bool, optional
        As in :func:`~hoomd_gala.systems.make_system`.

    Raises
    ------
    InputError
        As :func:`~hoomd_gala.systems.make_system`.
    """
    points = _tensor(positions)
    # of no particles: what says whether the system goes on
    empty = make_system(np.zeros((0, 3)), box, periodic=periodic)
    check_shape(points)
    check_finite(points)
    if types is None:
        types = torch.zeros(len(points), dtype=torch.int64)
    kinds = torch.as_tensor(types, device=points.device)
    if kinds.shape != points.shape[:1] or kinds.is_floating_point():
        raise InputError(
            f"types have shape {tuple(kinds.shape)} and dtype {kinds.dtype}; give one integer for "
            f"each of the {len(points)} particles."
        )
    return _of_tensors(points, empty.box, kinds)._replace(periodic=empty.periodic)


def in_tag_order(position: Any, typeid: Any, tag: Any, box: ArrayLike) -> System:
    """Copy particles into a system like that of :func:`device_system`, in the order of tags.

    It is not checked, so that a simulation goes on: the search for neighbors does that.

    Parameters
    ----------
    position : (N, 3), typeid : (N,), tag : (N,)
        Tensors, or anything with ``__cuda_array_interface__``, strided or not, such as the arrays
        of HOOMD's ``gpu_local_snapshot``. The copy stays valid when the snapshot is closed.
    box : (6,)
        ``[Lx, Ly, Lz, xy, xz, yz]``.
    """
    order = torch.argsort(_tensor(tag).to(torch.int64))
    positions = _tensor(position)[order].to(torch.float64)
    kinds = _tensor(typeid).to(torch.int64)[order]
    return _of_tensors(positions, np.asarray(box, np.float64), kinds)


def has_bodies(body: Any) -> bool:
    """Whether any of the particles, with (N,) bodies as HOOMD has them, is in a rigid one."""
    # without a body, the number is -1 or its unsigned form
    bodies = _tensor(body).to(torch.int64)
    return bool(((bodies >= 0) & (bodies < 1 << 31)).any())


def host_system(system: System) -> System:
    """Bring a system into the memory of the host, if it is not there."""
    arrays: list[Any] = [system.positions, system.types]
    positions, types = (x.cpu().numpy() if isinstance(x, torch.Tensor) else x for x in arrays)
    return system._replace(positions=positions, types=types)


def _tensor(array: Any) -> torch.Tensor:
    """Take a tensor as it is, and other arrays where they are, which is on the GPU."""
    if isinstance(array, torch.Tensor):
        return array
    # without the device, torch would bring it to the CPU
    return torch.as_tensor(array, device="cuda")


def _of_tensors(positions: torch.Tensor, box: Any, types: torch.Tensor) -> System:
    """Make a system of tensors, which otherwise is one of arrays."""
    return System(positions, box, types)  # type: ignore[arg-type]
