"""Several at once, in threads and in processes: all results are those of one alone.

Prints what was done, how often, and how many results were others than they should be.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import gsd.hoomd
import numpy as np

from hoomd_gala.analyzer import Analyzer
from hoomd_gala.crystals.prototypes import crystal, displace, unit_cell
from hoomd_gala.files import frame_labels, make_frame, open_trajectory
from hoomd_gala.results import Result
from hoomd_gala.systems import System

Labels = list[tuple[bytes, bytes]]

THREADS = 4
#: What one of two processes says that want to make the same file.
SORRY = b"is being made by another process"


def _systems(count: int) -> list[System]:
    """Crystals of different sizes, and what is almost a liquid."""
    systems = []
    for i in range(count):
        rng = np.random.default_rng(i)
        cell = unit_cell(("cI2-W", "cF4-Cu", "hP2-Mg")[i % 3])
        systems.append(displace(crystal(cell, 50 + 97 * i % 1000), 0.02 + 0.05 * (i % 4), rng))
    return systems


def _bytes(result: Result) -> bytes:
    return b"".join(part.tobytes() for part in (result.label, result.confidence, result.embedding))


def _one_analyzer_each(model: str, count: int) -> tuple[int, int]:
    """Analyzers, one a thread, each of which labels all systems."""
    systems = _systems(count)
    expected = [_bytes(Analyzer(model, "cpu").analyze_system(system)) for system in systems]

    def work(_: int) -> int:
        analyzer = Analyzer(model, "cpu")
        found = [_bytes(analyzer.analyze_system(system)) for system in systems]
        return sum(a != b for a, b in zip(expected, found, strict=True))

    with ThreadPoolExecutor(THREADS) as pool:
        return THREADS * count, sum(pool.map(work, range(THREADS)))


def _one_analyzer_for_all(model: str, count: int) -> tuple[int, int]:
    """One Analyzer, which all threads use."""
    systems, analyzer = _systems(count), Analyzer(model, "cpu")
    expected = [_bytes(analyzer.analyze_system(system)) for system in systems]
    with ThreadPoolExecutor(THREADS) as pool:
        jobs = [k % count for k in range(THREADS * count)]
        found = pool.map(lambda k: _bytes(analyzer.analyze_system(systems[k])), jobs)
        return len(jobs), sum(expected[k] != it for k, it in zip(jobs, found, strict=True))


def _source(folder: Path, frames: int) -> Path:
    path, system = folder / "run.gsd", crystal(unit_cell("cI2-W"), 250)
    with gsd.hoomd.open(path, "w") as trajectory:
        for step in range(frames):
            rng = np.random.default_rng(step)
            trajectory.append(make_frame(displace(system, 0.1, rng), step))
    return path


def _start(*arguments: object) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "hoomd_gala.cli", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def _labels(path: Path) -> Labels:
    with open_trajectory(path) as trajectory:
        frames = list(trajectory)
    assert all(frame_labels(frame) is not None for frame in frames)
    return [
        (frame.particles.position.tobytes(), frame_labels(frame)[0].tobytes())  # type: ignore
        for frame in frames
    ]


def _two_files(model: str, count: int) -> tuple[int, int]:
    """Two ``label`` of one trajectory, to two files."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = _source(folder, 20 * count)
        started = [_start("label", source, folder / f"{k}.gsd", "--model", model) for k in range(3)]
        for process in started:
            _, error = process.communicate()
            assert not process.returncode, error.decode()
        one, *others = (_labels(folder / f"{k}.gsd") for k in range(3))
        return len(started), sum(it != one for it in others)


def _one_file(command: str) -> Callable[[str, int], tuple[int, int]]:
    """Several of the same command at once, to one file: one makes it, and the others say so."""

    def work(model: str, count: int) -> tuple[int, int]:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            source, out = _source(folder, 20 * count), folder / "out.gsd"
            options = ["--model", model]
            if command == "view":
                labeled = folder / "labeled.gsd"
                assert not _start("label", source, labeled, *options).wait()
                source, options = labeled, []
            started = [_start(command, source, out, *options) for _ in range(3)]
            errors = [process.communicate()[1] for process in started]
            won = [process.returncode == 0 for process in started]
            sorry = [SORRY in error or b"exists" in error for error in errors]
            bad = sum(a == b for a, b in zip(won, sorry, strict=True)) + (sum(won) != 1)
            bad += len(_labels(out)) != 20 * count
            return len(started), bad + (len(list(folder.iterdir())) != 2 + (command == "view"))

    return work


KINDS: dict[str, Callable[[str, int], tuple[int, int]]] = {
    "analyzers in threads of their own": _one_analyzer_each,
    "one analyzer in all threads": _one_analyzer_for_all,
    "label, to a file each": _two_files,
    "label, to one file": _one_file("label"),
    "view, to one file": _one_file("view"),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=12)
    parser.add_argument("--model", default="structures-fast")
    options = parser.parse_args()
    print("| several at once | results | wrong |\n| --- | --- | --- |")
    for name, work in KINDS.items():
        print("| " + " | ".join(map(str, (name, *work(options.model, options.count)))) + " |")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
