"""Communication between the ranks of a domain-decomposed simulation, through mpi4py."""

import os
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray


def open_communicator(communicator: Any) -> Any:
    """Return the mpi4py communicator of a simulation's ranks, or None if there is only one.

    Parameters
    ----------
    communicator : hoomd.communicator.Communicator
        The one of the simulation's device.

    Raises
    ------
    ImportError
        If there are several ranks and mpi4py is not installed.
    RuntimeError
        If the simulation was given an MPI communicator of its own, which HOOMD does not hand out.
    """
    ranks = communicator.num_ranks
    if ranks == 1:
        return None
    try:
        from mpi4py import MPI
    except ImportError as error:
        raise ImportError(
            f"this simulation is decomposed over {ranks} ranks; hoomd_gala.Classifier needs mpi4py "
            "then: pip install mpi4py (it must use the MPI library that HOOMD-blue was built with)."
        ) from error
    world = MPI.COMM_WORLD
    if world.size != ranks * communicator.num_partitions:
        raise RuntimeError(
            "this simulation runs on an MPI communicator of its own, which hoomd_gala.Classifier "
            "cannot access; divide the ranks with "
            "hoomd.communicator.Communicator(ranks_per_partition=...) instead."
        )
    first = communicator.partition * ranks
    members = world.group.Incl(list(range(first, first + ranks)))
    ours = world.Create_group(members)
    _share_cores(ours)
    return ours


def _share_cores(ours: Any) -> None:
    """Give each rank its part of the cores, where torch would give all of them to every rank.

    Threads of several ranks on one core wait for each other, and do so by spinning: two ranks with
    two threads each on two cores took 15 times the processor time of two ranks with one thread.
    """
    from mpi4py import MPI

    here = ours.Split_type(MPI.COMM_TYPE_SHARED)
    if hasattr(os, "sched_getaffinity"):
        cores = len(set().union(*here.allgather(os.sched_getaffinity(0))))
    else:
        cores = os.cpu_count() or 1
    torch.set_num_threads(max(1, min(torch.get_num_threads(), cores // here.size)))
    here.Free()


def share(ours: Any, values: NDArray[Any]) -> NDArray[Any]:
    """Rows of all ranks, one rank after the other, on every rank."""
    rows = np.ascontiguousarray(values)
    counts = np.array(ours.allgather(len(rows)))
    everyone = np.empty((counts.sum(), *rows.shape[1:]), rows.dtype)
    width = int(np.prod(rows.shape[1:], dtype=int))
    ours.Allgatherv(rows, (everyone, counts * width))
    return everyone


def collect(ours: Any, values: NDArray[Any]) -> NDArray[Any] | None:
    """Rows of all ranks, one rank after the other, on rank 0; None on the others."""
    rows = np.ascontiguousarray(values)
    counts = ours.gather(len(rows))
    if counts is None:
        ours.Gatherv(rows, None)
        return None
    everyone = np.empty((sum(counts), *rows.shape[1:]), rows.dtype)
    width = int(np.prod(rows.shape[1:], dtype=int))
    ours.Gatherv(rows, (everyone, np.array(counts) * width))
    return everyone
