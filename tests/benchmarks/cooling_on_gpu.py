"""What labels cost cooling runs on OpenMM's CUDA platform.

The systems of the default study, larger, for a part of their protocol: the same run bare, and
labeled every ``period`` timesteps of the study. ``python tests/benchmarks/cooling_on_gpu.py``
prints wall times and the share of labeling; it needs an NVIDIA GPU and OpenMM-CUDA.
"""

import argparse
import sys
import tempfile
import time
from dataclasses import fields, replace
from pathlib import Path

import openmm
import torch
from tqdm.auto import tqdm

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "workflows"))

from study.flow import studies  # noqa: E402
from study.simulation import engine_openmm  # noqa: E402
from study.simulation.protocol import Protocol, pair_potential  # noqa: E402

from hoomd_gala.files import frame_labels, open_trajectory  # noqa: E402


def options() -> argparse.Namespace:
    """What is to be measured."""
    parser = argparse.ArgumentParser(description="Cost of labels in cooling runs on a GPU.")
    parser.add_argument("--particles", type=int, nargs="+", default=[4096, 32_000])
    parser.add_argument("--steps", type=int, default=20_000, help="timesteps of each run")
    parser.add_argument("--model", default="structures")
    return parser.parse_args()


def seconds(protocol: Protocol, potential: object, model: str | None, folder: Path) -> float:
    """Wall time of a run, its start-up included."""
    started = time.perf_counter()
    with tqdm(total=protocol.total_steps, desc=folder.name, leave=False) as bar:
        ran = engine_openmm.run(protocol, potential, folder, model, 1, bar)  # type: ignore[arg-type]
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    assert ran["device"] == ("CUDA" if torch.cuda.is_available() else "CPU"), ran
    return time.perf_counter() - started


def main() -> None:
    """Measure and print."""
    chosen = options()
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    print(f"OpenMM {openmm.Platform.getOpenMMVersion()}, {device}, {chosen.model}")
    study = studies.load("default")
    print(f"{'system':24} {'N':>6} {'steps':>6} {'frames':>6} {'bare':>8} {'labeled':>8} share")
    for system in study["systems"]:
        point = study["protocol"] | system
        known = {field.name: point[field.name] for field in fields(Protocol)}
        potential = pair_potential(point)
        for n_particles in chosen.particles:
            gas = min(known["gas_steps"], chosen.steps // 4)
            protocol = replace(
                Protocol(**known),
                n_particles=n_particles,
                gas_steps=gas,
                cooling_steps=chosen.steps - gas,
            )
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                for part in ("warm-up", "bare", "labeled"):
                    (folder / part).mkdir()
                # the first labels of a process compile kernels
                short = replace(protocol, cooling_steps=protocol.period)
                seconds(short, potential, chosen.model, folder / "warm-up")
                bare = seconds(protocol, potential, None, folder / "bare")
                labeled = seconds(protocol, potential, chosen.model, folder / "labeled")
                with open_trajectory(folder / "labeled/trajectory.gsd") as frames:
                    count = len(frames)
                    assert len(frame_labels(frames[-1])[0]) == n_particles
            share = (labeled - bare) / labeled
            print(
                f"{potential.name:24} {n_particles:6} {protocol.total_steps:6} {count:6} "
                f"{bare:7.1f}s {labeled:7.1f}s {share:5.1%}",
                flush=True,
            )


if __name__ == "__main__":
    main()
