"""Simulations of all kinds of jobs, and the operation on fluids: examples of disorder."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hoomd_gala.errors import InputError
from study.flow.jobs import (
    TRAJECTORY,
    every,
    kind,
    of_kind,
    operation,
    siblings,
    simulated,
    threads,
)


def title(job: Any) -> str:
    """Name of a simulated system in figures, tables and messages."""
    from study.simulation import protocol

    return protocol.pair_potential(job.sp).name


def names(jobs: Sequence[Any], leave_out: Sequence[str] = ()) -> dict[str, str]:
    """Names of simulated systems by the id of their jobs: titles, and in what those alike differ.

    They name folders, and lines of tables.

    Parameters
    ----------
    jobs : sequence of Job
        All that have to be told apart.
    leave_out : sequence of str
        Keys of state points that names are without. Jobs that differ in these alone have one name.
    """
    alike: dict[str, list[Any]] = {}
    for job in jobs:
        alike.setdefault(title(job), []).append(job)
    found = {}
    for name, same in alike.items():
        keys = sorted({key for job in same for key in job.sp})
        differ = [key for key in keys if len({str(job.sp.get(key)) for job in same}) > 1]
        differ = [key for key in differ if key not in leave_out]
        for job in same:
            own = (f"{key}={job.sp[key]}" for key in differ if key in job.sp)
            found[str(job.id)] = " ".join([name, *own])
    return found


def name_of(job: Any) -> str:
    """Name of a simulated system that no other of its kind in the study has."""
    return names(siblings(job))[job.id]


def system_of(job: Any) -> str:
    """Name that a simulated system has in common with those that differ in the seed only."""
    return names(siblings(job), leave_out=("seed",))[job.id]


#: Key of a job's document with when its simulation began, and the seconds that it ran before.
_STRETCHES = "simulation so far"


def seconds_before(job: Any) -> float:
    """Seconds that a simulation ran in stretches that were interrupted; a new one begins now.

    A process that is killed cannot say how long it ran: it is taken to have ended when it last
    wrote to the trajectory.
    """
    noted = dict(job.doc.get(_STRETCHES, {}))
    seconds, trajectory = noted.get("seconds", 0.0), Path(job.fn(TRAJECTORY))
    if noted and trajectory.is_file():
        seconds += max(0.0, trajectory.stat().st_mtime - noted["began"])
    job.doc[_STRETCHES] = {"began": time.time(), "seconds": seconds}
    return float(seconds)


def run_simulation(job: Any, model: Path | None) -> None:
    """Run a job's simulation to its end, and record the engine that ran it.

    Raises
    ------
    InputError
        If the box is too small for the potential, or the simulation fails.
    """
    import torch
    from tqdm.auto import tqdm

    from study.simulation import engines, protocol

    n_threads = threads(job)
    torch.set_num_threads(n_threads)
    steps, potential = protocol.Protocol.of(job.sp), protocol.pair_potential(job.sp)
    protocol.check_box(steps, potential)
    before = seconds_before(job)
    started = time.monotonic()
    with tqdm(
        total=steps.total_steps,
        desc="simulation",
        unit="step",
        mininterval=1.0,
    ) as bar:
        try:
            ran = engines.pick().run(steps, potential, Path(job.path), model, n_threads, bar)
        except RuntimeError as error:
            raise InputError(
                f"the simulation of {title(job)} failed after timestep {bar.n} ({error}); if it "
                "is unstable, use a smaller dt."
            ) from error
    seconds = round(before + time.monotonic() - started, 1)
    job.doc.simulation = ran | {"threads": n_threads, "seconds": seconds}
    job.doc.pop(_STRETCHES, None)


def fluids(job: Any) -> list[Any]:
    """Return the study's disordered simulations."""
    return of_kind(job, "fluid")


#: Condition: all of the study's disordered simulations are complete.
has_fluids = every("fluid", simulated)


@operation(kind("fluid"), post=simulated)
def simulate_fluid(job: Any) -> None:
    """Quench a gas or liquid too fast to freeze: examples of disorder."""
    run_simulation(job, model=None)
