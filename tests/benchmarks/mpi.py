"""What labeling costs an MPI rank, in bytes and memory, as the system grows with the ranks.

Each domain holds the same crystal. The table has, for fractions alone and with a frame written, the
most that any rank sends, and by how much its memory exceeds at most what it was before. Ranks may
be more than there are cores: no times are measured.
"""

import argparse
import json
import os
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import hoomd
import numpy as np

import hoomd_gala
from hoomd_gala.crystals.prototypes import crystal, displace, unit_cell
from hoomd_gala.systems import System

#: mpirun of Open MPI allows neither of these unless told; others do not look at it.
MPIRUN = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    "OMP_NUM_THREADS": "1",
}


def options() -> argparse.Namespace:
    """What is to be measured."""
    parser = argparse.ArgumentParser(description="Traffic and memory of MPI ranks.")
    parser.add_argument("--domains", nargs="+", default=["2,1,1", "4,1,1", "8,1,1", "2,2,2"])
    parser.add_argument("--particles", type=int, default=16_000, help="in each domain")
    parser.add_argument("--model", default="structures-fast")
    parser.add_argument("--rank", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


class Counting:
    """An MPI communicator that counts the bytes that it sends."""

    def __init__(self, communicator: Any) -> None:
        self._communicator = communicator
        self.sent = 0

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._communicator, name)
        if name.lower() not in COUNTED:
            return method

        def counted(*arguments: Any, **keywords: Any) -> Any:
            self.sent += self._bytes(name, *arguments)
            return method(*arguments, **keywords)

        return counted

    def _bytes(self, name: str, values: Any, *others: Any) -> int:
        ours = self._communicator
        if name == "Isend":
            return 0 if others[0] == ours.rank else values.nbytes
        if name == "Allgatherv":
            # what each has goes around the ring of all ranks
            return others[0][0].nbytes - values.nbytes
        size = values.nbytes if isinstance(values, np.ndarray) else len(pickle.dumps(values))
        # to one rank, to all others, or up and down a tree
        return size * {"gather": 1, "gatherv": 1}.get(name.lower(), ours.size - 1)


#: Operations that send something.
COUNTED = {
    "isend",
    "allgatherv",
    "alltoall",
    "allgather",
    "allreduce",
    "bcast",
    "gather",
    "gatherv",
}


def simulate(domains: list[int], particles: int) -> hoomd.Simulation:
    """A crystal in each domain, in which nothing moves."""
    communicator = hoomd.communicator.Communicator()
    simulation = hoomd.Simulation(hoomd.device.CPU(communicator=communicator), seed=1)
    snapshot = hoomd.Snapshot(communicator)
    if communicator.rank == 0:
        block = crystal(unit_cell("cF4-Cu"), particles)
        shifts = np.stack(np.meshgrid(*map(np.arange, domains)), -1).reshape(-1, 1, 3)
        low = -block.box[:3] * domains / 2
        inside = block.positions % block.box[:3]
        positions = (inside + shifts * block.box[:3]).reshape(-1, 3) + low
        box = np.concatenate((block.box[:3] * domains, np.zeros(3)))
        kinds = np.zeros(len(positions), int)
        warm = displace(System(positions, box, kinds), 0.05, np.random.default_rng(1))
        fractional = warm.positions / box[:3]
        snapshot.configuration.box = box
        snapshot.particles.N = len(positions)
        snapshot.particles.types = ["A"]
        snapshot.particles.position[:] = (fractional - np.round(fractional)) * box[:3]
    simulation.create_state_from_snapshot(snapshot, domain_decomposition=domains)
    simulation.operations.integrator = hoomd.md.Integrator(0.001)
    return simulation


def memory(name: str) -> int:
    """``VmRSS``, what this process holds, or ``VmHWM``, the most that it has held, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return 1024 * int(line.split()[1])
    raise ValueError(name)


def on_rank(domains: list[int], particles: int, model: str, folder: str) -> None:
    """Measure on one of the ranks; print on the first."""
    small = simulate(domains, 500)
    compiles = attached(small, model, None)
    _ = compiles.fractions
    simulation = simulate(domains, particles)
    found = []
    for filename in (None, f"{folder}/labeled.gsd"):
        classifier = attached(simulation, model, filename)
        world = classifier._communicator
        classifier._communicator = counting = Counting(world)
        held = memory("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # forgets the most so far
        _ = classifier.fractions
        classifier.act(simulation.timestep)
        cost = np.array([counting.sent, memory("VmHWM") - held])
        found.append(np.array(world.allgather(cost)).max(axis=0).tolist())
        classifier._communicator = world
        simulation.operations.writers.clear()
    if simulation.device.communicator.rank == 0:
        print(json.dumps([simulation.state.N_particles, *found]))


def attached(simulation: hoomd.Simulation, model: str, filename: str | None) -> Any:
    """A classifier that labels when it is asked to."""
    classifier = hoomd_gala.Classifier(model, filename)
    trigger = hoomd.trigger.On(10**9)
    simulation.operations.writers.append(
        hoomd.write.CustomWriter(action=classifier, trigger=trigger)
    )
    simulation.run(0)
    return classifier


def main() -> None:
    """Measure and print."""
    chosen = options()
    if chosen.rank:
        domains = [int(n) for n in chosen.domains[0].split(",")]
        with tempfile.TemporaryDirectory() as folder:
            on_rank(domains, chosen.particles, chosen.model, folder)
        return
    print(f"{'domains':>8} {'N':>8}   labeling: sent, memory   and writing: sent, memory (MB)")
    for text in chosen.domains:
        ranks = str(np.prod([int(n) for n in text.split(",")]))
        command = ["mpirun", "-n", ranks, sys.executable, __file__, "--rank", "--domains", text]
        command += ["--particles", str(chosen.particles), "--model", chosen.model]
        done = subprocess.run(
            command, env=dict(os.environ) | MPIRUN, check=True, capture_output=True, text=True
        )
        total, *costs = json.loads(done.stdout.strip().splitlines()[-1])
        cells = " ".join(f"{value / 1e6:10.2f}" for cost in costs for value in cost)
        print(f"{text:>8} {total:8} {cells}", flush=True)


if __name__ == "__main__":
    main()
