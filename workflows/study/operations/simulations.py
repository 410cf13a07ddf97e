"""Simulations of all kinds of jobs, and the operation on fluids: examples of disorder."""

import sys
import time
from pathlib import Path
from typing import Any

from hoomd_gala.errors import InputError
from study.flow.jobs import Condition, every, kind, of_kind, operation, siblings, simulated, threads


def title(job: Any) -> str:
    """Name of a simulated system in figures, tables and messages."""
    from study.simulation import protocol

    return protocol.pair_potential(job.sp).name


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

    torch.set_num_threads(threads(job))
    steps, potential = protocol.Protocol.of(job.sp), protocol.pair_potential(job.sp)
    protocol.check_box(steps, potential)
    started = time.monotonic()
    with tqdm(
        total=steps.total_steps,
        desc=f"{job.sp.kind} {title(job)}",
        unit="step",
        position=siblings(job).index(job) if sys.stderr.isatty() else 0,
        mininterval=0.5 if sys.stderr.isatty() else 20,
    ) as bar:
        try:
            ran = engines.pick().run(steps, potential, Path(job.path), model, threads(job), bar)
        except RuntimeError as error:
            raise InputError(
                f"the simulation of {title(job)} failed after timestep {bar.n} ({error}); if it "
                "is unstable, use a smaller dt."
            ) from error
    job.doc.simulation = ran | {"seconds": round(time.monotonic() - started, 1)}


def fluids(job: Any) -> list[Any]:
    """Return the study's disordered simulations."""
    return of_kind(job, "fluid")


#: Condition: all of the study's disordered simulations are complete.
has_fluids = every("fluid", simulated)


@operation(kind("fluid"), post=simulated)
def simulate_fluid(job: Any) -> None:
    """Quench a gas or liquid too fast to freeze: examples of disorder."""
    run_simulation(job, model=None)


#: When all operations on a job of a kind are done.
FINISHED: dict[str, Condition] = {"fluid": simulated}
