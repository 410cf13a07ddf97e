"""Communication between the ranks of a domain-decomposed simulation, through mpi4py."""

import os
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from ...errors import InputError


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


class Shipment(NamedTuple):
    """Rows that a rank has from the others, or has for them.

    Attributes
    ----------
    rows : (n, ...)
        One rank's after the other's.
    counts : (ranks,) int64
        How many of them are each rank's.
    """

    rows: NDArray[Any]
    counts: NDArray[np.int64]


def ship(ours: Any, sent: Shipment) -> Shipment:
    """Send rows to the ranks that they are for, and receive those for this one.

    Ranks that have nothing for each other exchange that number alone.
    """
    rows = np.ascontiguousarray(sent.rows)
    expected = np.empty(ours.size, np.int64)
    ours.Alltoall(np.ascontiguousarray(sent.counts, np.int64), expected)
    received = np.empty((expected.sum(), *rows.shape[1:]), rows.dtype)
    requests = []
    for rank, part in _parts(received, expected):
        requests.append(ours.Irecv(part, rank))
    for rank, part in _parts(rows, sent.counts):
        requests.append(ours.Isend(part, rank))
    for request in requests:
        request.Wait()
    return Shipment(received, expected)


def _parts(
    rows: NDArray[Any], counts: NDArray[np.int64]
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Each rank's rows as bytes, for ranks that have any."""
    ends = np.cumsum(counts)
    for rank in np.flatnonzero(counts).tolist():
        part = rows[ends[rank] - counts[rank] : ends[rank]]
        yield rank, part.reshape(-1).view(np.uint8)


def by_rank(ranks: NDArray[np.int64], rows: NDArray[Any], size: int) -> Shipment:
    """Rows in the order of the ranks that they are for; rows for one rank keep their order."""
    order = np.argsort(ranks, kind="stable")
    return Shipment(rows[order], np.bincount(ranks, minlength=size))


def which_are_held(ours: Any, held: NDArray[np.int64], asked: NDArray[np.int64]) -> NDArray[Any]:
    """Find out which of some numbers any of the ranks has.

    The remainder of a number by the number of ranks is the rank that knows of it, so that none has
    to know of all.

    Parameters
    ----------
    held : (n,) int64
        Numbers, not negative, that this rank has.
    asked : (m,) int64
        Those that it asks for.

    Returns
    -------
    (m,) bool
    """
    known = ship(ours, by_rank(held % ours.size, held, ours.size))
    order = np.argsort(asked % ours.size, kind="stable")
    questions = ship(ours, by_rank(asked % ours.size, asked, ours.size))
    answers = ship(ours, Shipment(np.isin(questions.rows, known.rows), questions.counts))
    found = np.empty(len(asked), bool)
    found[order] = answers.rows
    return found


_Value = TypeVar("_Value")


def together(ours: Any, function: Callable[[], _Value]) -> _Value:
    """Call a function that does not communicate; if it raises on one rank, all ranks raise.

    A rank that went on alone would wait for the others forever.

    Parameters
    ----------
    ours : mpi4py.MPI.Comm or None
        None for a single rank.
    function : callable
        What each rank does.

    Raises
    ------
    InputError, RuntimeError
        On ranks where the function succeeded, with the message of the first where it did not.
    """
    if ours is None:
        return function()
    from mpi4py import MPI

    failed: Exception | None = None
    try:
        value = function()
    except Exception as error:
        failed = error
    first = ours.allreduce(ours.size if failed is None else ours.rank, MPI.MIN)
    if first == ours.size:
        return value
    refused, message = ours.bcast((isinstance(failed, InputError), str(failed)), first)
    if failed is not None:
        raise failed
    raise InputError(message) if refused else RuntimeError(f"on MPI rank {first}: {message}")


def on_root(ours: Any, function: Callable[[], _Value]) -> _Value:
    """Call a function on rank 0 and give all ranks what it returns, or raises."""
    if ours is None:
        return function()
    value: _Value = ours.bcast(together(ours, lambda: function() if ours.rank == 0 else None))
    return value


def with_those_of_others(
    ours: Any, own: NDArray[np.int64], picked: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Add what other ranks have picked of this rank's numbers to what it has itself.

    HOOMD's filters pick of the particles of their rank. One that a user wrote may pick any, and
    these alone are sent to all.

    Parameters
    ----------
    own : (n,) int64
        Numbers that are this rank's.
    picked : (m,) int64
        What this rank has picked.
    """
    strange = np.setdiff1d(picked, own)
    counts = np.array(ours.allgather(len(strange)))
    if not counts.sum():
        return picked
    everyones = np.empty(counts.sum(), strange.dtype)
    ours.Allgatherv(strange, (everyones, counts))
    return np.concatenate((picked, everyones))


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
