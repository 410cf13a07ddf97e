"""Memory and open files of labeling that goes on for long: over frames, they must not grow.

Each kind runs in this process; after a hundred frames, what the process holds is compared with what
it holds at the end. ``--frames 300`` takes a minute. ``--large`` labels one large system twice.
"""

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import gsd.hoomd
import numpy as np
import torch

from hoomd_gala.analyzer import Analyzer
from hoomd_gala.crystals.prototypes import crystal, displace, unit_cell
from hoomd_gala.files import make_frame
from hoomd_gala.labeling import label_trajectory
from hoomd_gala.systems import System

#: Frames after which everything is loaded, compiled and allocated.
_WARM = 100


def held() -> tuple[float, int]:
    """Memory of this process in MB, and its number of open files; on Linux."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6, len(os.listdir("/proc/self/fd"))


def label(system: System, frames: int, model: str, folder: Path) -> Callable[[int], None]:
    """Label a trajectory: some of its frames at a time, into one file each."""
    source = folder / "run.gsd"
    with gsd.hoomd.open(source, "w") as trajectory:
        for step in range(frames):
            rng = np.random.default_rng(step)
            trajectory.append(make_frame(displace(system, 0.03, rng), step))

    def go_on(count: int) -> None:
        label_trajectory(source, folder / f"{count}.gsd", model, frames=slice(0, count))

    return go_on


def in_hoomd(system: System, frames: int, model: str, folder: Path) -> Callable[[int], None]:
    """A classifier that writes a frame every ten timesteps."""
    import hoomd

    import hoomd_gala

    start = folder / "start.gsd"
    with gsd.hoomd.open(start, "w") as trajectory:
        trajectory.append(make_frame(system, 0))
    simulation = hoomd.Simulation(hoomd.device.CPU(), seed=1)
    simulation.create_state_from_gsd(str(start))
    methods = [hoomd.md.methods.Langevin(hoomd.filter.All(), kT=1e-4)]
    simulation.operations.integrator = hoomd.md.Integrator(0.001, methods=methods)
    classifier = hoomd_gala.Classifier(model, folder / "labeled.gsd")
    writer = hoomd.write.CustomWriter(action=classifier, trigger=10)
    simulation.operations.writers.append(writer)
    return lambda count: simulation.run(10 * count)


def in_openmm(system: System, frames: int, model: str, folder: Path) -> Callable[[int], None]:
    """A reporter that writes a frame every ten timesteps."""
    import openmm
    from openmm import app

    from hoomd_gala.integrations.openmm import ClassifierReporter
    from hoomd_gala.systems import lattice_vectors

    engine, topology = openmm.System(), app.Topology()
    force = openmm.CustomExternalForce("500*periodicdistance(x, y, z, x0, y0, z0)^2")
    for name in ("x0", "y0", "z0"):
        force.addPerParticleParameter(name)
    chain = topology.addChain()
    for i, site in enumerate(system.positions):
        engine.addParticle(1.0)
        force.addParticle(i, site)
        topology.addAtom("A", None, topology.addResidue("X", chain))
    engine.addForce(force)
    engine.setDefaultPeriodicBoxVectors(*lattice_vectors(system.box))
    integrator = openmm.LangevinMiddleIntegrator(10.0, 1.0, 0.001)
    platform = openmm.Platform.getPlatformByName("Reference")
    simulation = app.Simulation(topology, engine, integrator, platform)
    simulation.context.setPositions(system.positions)
    simulation.reporters.append(ClassifierReporter(folder / "labeled.gsd", 10, model))
    return lambda count: simulation.step(10 * count)


KINDS = {"label": label, "HOOMD-blue": in_hoomd, "OpenMM": in_openmm}


def growth(kind: str, particles: int, frames: int, model: str) -> tuple[float, int, float]:
    """Megabytes and open files that come after the first frames, and seconds of the others."""
    system = crystal(unit_cell("cI2-W"), particles)
    with tempfile.TemporaryDirectory() as folder:
        go_on = KINDS[kind](system, frames, model, Path(folder))
        go_on(_WARM)
        before, files = held()
        start = time.perf_counter()
        go_on(frames - _WARM)
        seconds = time.perf_counter() - start
        after, files_after = held()
    return after - before, files_after - files, seconds


def twice(particles: int, model: str) -> Iterator[tuple[str, float, int, float]]:
    """Memory, open files and most memory so far, before and after each of two analyses."""
    rng = np.random.default_rng(1)
    system = displace(crystal(unit_cell("cI2-W"), particles), 0.05, rng)
    analyzer = Analyzer(model, "cpu")
    analyzer.analyze_system(crystal(unit_cell("cI2-W"), 1000))
    yield "before", *held(), peak()
    for when in ("once", "twice"):
        analyzer.analyze_system(system)
        yield when, *held(), peak()


def peak() -> float:
    """Most memory that this process has held, in MB; on Linux."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--particles", type=int, default=1000)
    parser.add_argument("--model", default="structures-fast")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--large", type=int, metavar="N", help="label N particles instead")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.large:
        print("| | memory, MB | most so far, MB | open files |\n| --- | --- | --- | --- |")
        for when, memory, files, most in twice(options.large, options.model):
            print(f"| {when} | {memory:.0f} | {most:.0f} | {files} |", flush=True)
        return
    print("| | frames | memory, MB | open files | ms per frame |\n| --- | --- | --- | --- | --- |")
    for kind in options.kinds:
        memory, files, seconds = growth(kind, options.particles, options.frames, options.model)
        each = 1000 * seconds / (options.frames - _WARM)
        print(
            f"| {kind} | {options.frames} | {memory:+.1f} | {files:+d} | {each:.0f} |", flush=True
        )


if __name__ == "__main__":
    main()
