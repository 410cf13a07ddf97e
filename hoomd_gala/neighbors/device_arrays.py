"""Arrays that lie on a GPU, taken by torch without a copy through the host."""

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from ..systems import System


def in_tag_order(position: Any, typeid: Any, tag: Any, box: ArrayLike) -> System:
    """A system whose positions and types are tensors on the GPU, in the order of tags.

    Parameters
    ----------
    position : (N, 3), typeid : (N,), tag : (N,)
        Anything with ``__cuda_array_interface__``, such as the arrays of HOOMD's
        ``gpu_local_snapshot``, strided or not. What is returned is a copy on the GPU and stays
        valid when the snapshot is closed.
    box : (6,)
        ``[Lx, Ly, Lz, xy, xz, yz]``.
    """
    order = torch.argsort(torch.as_tensor(tag, device="cuda").to(torch.int64))
    positions = torch.as_tensor(position, device="cuda")[order].to(torch.float64)
    types = torch.as_tensor(typeid, device="cuda").to(torch.int64)[order]
    return System(positions, np.asarray(box, np.float64), types)  # type: ignore[arg-type]


def host_system(system: System) -> System:
    """The same system in the host's memory."""
    if isinstance(system.positions, torch.Tensor):
        return System(system.positions.cpu().numpy(), system.box, system.types.cpu().numpy())  # type: ignore[attr-defined]
    return system
