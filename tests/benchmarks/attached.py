"""What an attached classifier costs a HOOMD-blue run, as a ratio to the bare run.

Stretches of the same run with and without a classifier that labels and writes once alternate; the
table has medians. Times are those of the processor, all threads together, so that other jobs on the
machine do not count; on a GPU give --wall. ``--help`` has what can be chosen: with
``--particles 1000 --periods 100 --rounds 3`` it takes seconds.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import hoomd
import numpy as np
import torch
from tqdm.auto import tqdm

import hoomd_gala
from hoomd_gala.crystals.prototypes import crystal, unit_cell
from hoomd_gala.files import add_labels, append_frame, make_frame
from hoomd_gala.integrations.hoomd.frames import snapshot_frame
from hoomd_gala.neighbors import device_search as cells
from hoomd_gala.neighbors.environments import nearest_neighbors
from hoomd_gala.systems import System, as_system


def options() -> argparse.Namespace:
    """What is to be measured."""
    parser = argparse.ArgumentParser(description="Cost of an attached classifier.")
    parser.add_argument("--particles", type=int, nargs="+", default=[1000, 4000, 32_000])
    parser.add_argument("--periods", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--rounds", type=int, default=3, help="stretches of each kind")
    parser.add_argument("--threads", type=int, default=1, help="of the classifier; HOOMD has one")
    parser.add_argument("--model", default="structures")
    parser.add_argument("--wall", action="store_true", help="wall time, not processor time")
    return parser.parse_args()


def simulate(n_particles: int) -> hoomd.Simulation:
    """A warm Lennard-Jones crystal."""
    system = crystal(unit_cell("cF4-Cu"), n_particles)
    snapshot = hoomd.Snapshot()
    snapshot.configuration.box = system.box
    snapshot.particles.N = len(system.positions)
    snapshot.particles.types = ["A"]
    snapshot.particles.position[:] = make_frame(system, 0).particles.position
    simulation = hoomd.Simulation(hoomd.device.auto_select(), seed=1)
    simulation.create_state_from_snapshot(snapshot)
    lj = hoomd.md.pair.LJ(hoomd.md.nlist.Cell(buffer=0.4), default_r_cut=2.5)
    lj.params[("A", "A")] = {"epsilon": 1.0, "sigma": 2 ** (-1 / 6)}
    langevin = hoomd.md.methods.Langevin(hoomd.filter.All(), kT=0.3)
    simulation.operations.integrator = hoomd.md.Integrator(
        dt=0.005, methods=[langevin], forces=[lj]
    )
    simulation.run(100)
    return simulation


Clock = Callable[[], float]


def seconds(clock: Clock, function: Callable[[], object]) -> float:
    """Time of one call."""
    started = clock()
    function()
    return clock() - started


def find_neighbors(system: System, classifier: hoomd_gala.Classifier) -> None:
    """Search where the classifier does."""
    if classifier.analyzer.device.type == "cuda":
        cells.nearest_neighbors(torch.as_tensor(system.positions, device="cuda"), system.box)
        torch.cuda.synchronize()
    else:
        nearest_neighbors(system.positions, system.box)


def measure(
    simulation: hoomd.Simulation, period: int, rounds: int, model: str, folder: Path, clock: Clock
) -> list[float]:
    """Seconds of a bare and an attached stretch, of search, network and writing; and the ratio."""
    classifier = hoomd_gala.Classifier(model, folder / f"{simulation.timestep}.gsd")
    writers = simulation.operations.writers
    rows = []

    def attached() -> None:
        trigger = hoomd.trigger.On(simulation.timestep + period)
        writers.append(hoomd.write.CustomWriter(action=classifier, trigger=trigger))
        simulation.run(period)

    attached()  # warms up
    writers.clear()
    for _ in tqdm(range(rounds), desc=f"period {period}", leave=False):
        bare = seconds(clock, lambda: simulation.run(period))
        with_labels = seconds(clock, attached)
        result = classifier.result
        writers.clear()
        system = as_system(simulation.state.get_snapshot())
        search = seconds(clock, lambda: find_neighbors(system, classifier))  # noqa: B023
        labels = seconds(clock, lambda: classifier.analyzer.analyze_system(system))  # noqa: B023
        # as the classifier writes it; the first time makes the file
        target = folder / f"frame-{simulation.timestep}.gsd"

        def write(step: int) -> None:
            frame = snapshot_frame(simulation.state.get_snapshot(), step)
            append_frame(target, add_labels(frame, result), False)  # noqa: B023

        write(simulation.timestep)
        writing = seconds(clock, lambda: write(simulation.timestep + 1))
        rows.append([bare, with_labels, search, labels - search, writing, with_labels / bare])
    return [statistics.median(column) for column in np.transpose(rows)]


def main() -> None:
    """Measure and print."""
    chosen = options()
    torch.set_num_threads(chosen.threads)
    what = "wall" if chosen.wall else "processor"
    print(f"{what} time, {chosen.threads} thread(s), HOOMD-blue {hoomd.version.version}")
    print(f"{'N':>6} {'period':>6} {'bare':>8} {'ratio':>6}   milliseconds of labeling once")
    print(f"{'':>6} {'':>6} {'ms':>8} {'':>6} {'search':>8} {'network':>8} {'writing':>8}")
    for n_particles in chosen.particles:
        simulation = simulate(n_particles)
        for period in chosen.periods:
            with tempfile.TemporaryDirectory() as folder:
                bare, _, *parts, ratio = measure(
                    simulation,
                    period,
                    chosen.rounds,
                    chosen.model,
                    Path(folder),
                    time.perf_counter if chosen.wall else time.process_time,
                )
            cells = " ".join(f"{1e3 * part:8.1f}" for part in parts)
            total = simulation.state.N_particles
            print(f"{total:6} {period:6} {1e3 * bare:8.1f} {ratio:6.2f} {cells}", flush=True)


if __name__ == "__main__":
    main()
