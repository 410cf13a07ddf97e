"""Runs that are killed again and again, and what they end with beside an unbroken one.

Each kind runs once from start to end, and once more with kills (SIGKILL) that are spread over its
whole course: the k-th of n comes some time after the run has made the k-th of n + 1 equal parts of
what the unbroken one makes. Then it runs to its end, and all that both have
made is compared. ``--count 20`` takes about ten minutes on one core.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import NamedTuple

import gsd.hoomd
import numpy as np
import torch

from hoomd_gala.crystals.prototypes import crystal, displace, unit_cell
from hoomd_gala.files import make_frame, open_trajectory
from hoomd_gala.files.atomic import read_table

Contents = dict[str, bytes]

MODEL = "structures-fast"


class Kind(NamedTuple):
    """Something that runs for long.

    Attributes
    ----------
    begin : callable
        Puts its input into an empty folder and returns the command, which runs there.
    marks : callable
        What the folder shows of the run's progress: marks that come one after the other, and,
        where something is done again, come again.
    results : callable
        All that it has made, by name, without times and dates.
    """

    begin: Callable[[Path], list[str]]
    marks: Callable[[Path], set[Hashable]]
    results: Callable[[Path], Contents]


def chunks(path: Path) -> bytes:
    """All chunks of a GSD file, whose index may have another size."""
    with open_trajectory(path) as trajectory:
        file = trajectory.file
        found = [
            (name, np.asarray(file.read_chunk(k, name)).tobytes())
            for k in range(len(trajectory))
            for name in sorted(file.chunks(k))
        ]
    return repr(found).encode()


# ---- label ----


def _begin_label(folder: Path) -> list[str]:
    system = crystal(unit_cell("cI2-W"), 250)
    with gsd.hoomd.open(folder / "run.gsd", "w") as trajectory:
        for step in range(500):
            noise = 0.03 + 0.0003 * step
            moved = displace(system, noise, np.random.default_rng(step))
            trajectory.append(make_frame(moved, step))
    return ["-m", "hoomd_gala.cli", "label", "run.gsd", "out.gsd", "--model", MODEL]


def _lines(folder: Path) -> set[Hashable]:
    journal = folder / "out.gsd.part.journal"
    return set(range(journal.read_bytes().count(b"\n"))) if journal.is_file() else set()


# ---- train ----


def _begin_train(folder: Path) -> list[str]:
    options = "--cells cF4-Cu cI2-W --blind --environments 60 --epochs 80 --batch-size 16"
    size = "--width 8 --hidden 8 --blocks 1 --output out.safetensors"
    command = ["-m", "hoomd_gala.cli", "train", "--task", "frame-classification"]
    return [*command, *options.split(), *size.split()]


def _epochs(folder: Path) -> set[Hashable]:
    path = folder / "out.checkpoint.pt"
    return set(range(len(torch.load(path)["curve"]))) if path.is_file() else set()


# ---- a classifier that is attached to a run of HOOMD-blue ----

RUN = f"""
from pathlib import Path
import hoomd, hoomd_gala
from hoomd_gala.files import trim
from hoomd_gala.files.atomic import replacing

restart, timestep = Path("restart.gsd"), 0
while timestep < 15_000:
    # every stretch begins with what a file holds, an unbroken run's too
    simulation = hoomd.Simulation(hoomd.device.CPU(), seed=1)
    simulation.create_state_from_gsd(str(restart if restart.exists() else "run.gsd"))
    trim("out.gsd", simulation.timestep)
    lj = hoomd.md.pair.LJ(hoomd.md.nlist.Cell(buffer=0.4), default_r_cut=2.0)
    lj.params[("A", "A")] = dict(epsilon=1, sigma=1)
    methods = [hoomd.md.methods.Langevin(hoomd.filter.All(), kT=0.7)]
    simulation.operations.integrator = hoomd.md.Integrator(0.002, methods=methods, forces=[lj])
    classifier = hoomd_gala.Classifier("{MODEL}", "out.gsd")
    writer = hoomd.write.CustomWriter(action=classifier, trigger=100)
    simulation.operations.writers.append(writer)
    simulation.run(500)
    timestep = simulation.timestep
    with replacing(restart) as part:
        hoomd.write.GSD.write(simulation.state, filename=str(part), mode="wb")
"""


def _begin_hoomd(folder: Path) -> list[str]:
    system = displace(crystal(unit_cell("cF4-Cu"), 250), 0.03, np.random.default_rng(1))
    with gsd.hoomd.open(folder / "run.gsd", "w") as trajectory:
        trajectory.append(make_frame(system, 0))
    return ["-c", RUN]


def _labeled(folder: Path) -> set[Hashable]:
    path = folder / "out.gsd"
    return set(range(path.stat().st_size // 10_000)) if path.is_file() else set()


# ---- a study ----

WORKFLOWS = Path(__file__).parents[2] / "workflows"

#: Folder of what hides HOOMD-blue from a study.
_HIDDEN = ".hidden"


def _begin_study(folder: Path) -> list[str]:
    not_these = shutil.ignore_patterns("workspace", "summary", ".signac")
    shutil.copytree(WORKFLOWS, folder, ignore=not_these, dirs_exist_ok=True)
    return ["project.py", "run", "--study", "smoke"]


def _begin_openmm_study(folder: Path) -> list[str]:
    (folder / _HIDDEN).mkdir()
    (folder / _HIDDEN / "sitecustomize.py").write_text("import sys; sys.modules['hoomd'] = None")
    return _begin_study(folder)


def _made(folder: Path) -> list[Path]:
    """Files that a study has made; what signac and flow keep for themselves is left out."""
    files = [*folder.glob("workspace/*/*"), *folder.glob("summary/**/*")]
    hidden = (".", "signac_")
    return [path for path in files if path.is_file() and not path.name.startswith(hidden)]


def _files(folder: Path) -> set[Hashable]:
    marks: set[Hashable] = set()
    for path in _made(folder):
        if path.suffix not in (".part", ".png"):
            marks.add((path, path.stat().st_size if path.suffix == ".gsd" else None))
    return marks


def _study(folder: Path) -> Contents:
    # a checkpoint is what the model that is there came from, and has its seconds
    made = [path for path in _made(folder) if path.suffix != ".pt"]
    return {str(path.relative_to(folder)): _timeless(path) for path in made}


#: Of what depends on the clock: seconds, the hash of a file that has them in its description, and,
#: in a summary, lines of simulations with theirs.
_TIMED = ("seconds", "sha256", "| HOOMD-blue", "| OpenMM")


def _timeless(path: Path) -> bytes:
    """What is in a file, without what depends on the clock."""
    if path.suffix == ".gsd":
        return chunks(path)
    if path.suffix == ".safetensors":
        return weights(path)
    if path.suffix == ".csv":
        rows = [{k: v for k, v in row.items() if k not in _TIMED} for row in read_table(path)]
        return json.dumps(rows).encode()
    if path.suffix in (".json", ".md"):
        lines = path.read_text().splitlines()
        return "\n".join(line for line in lines if not any(it in line for it in _TIMED)).encode()
    return path.read_bytes()


def weights(path: Path) -> bytes:
    """Weights of a model file; its description has the seconds of the training."""
    content = path.read_bytes()
    return content[8 + int.from_bytes(content[:8], "little") :]


KINDS = {
    "label": Kind(_begin_label, _lines, lambda folder: {"frames": chunks(folder / "out.gsd")}),
    "train": Kind(
        _begin_train,
        _epochs,
        lambda folder: {
            "weights": weights(folder / "out.safetensors"),
            "curve": (folder / "out.csv").read_bytes(),
        },
    ),
    "HOOMD-blue": Kind(
        _begin_hoomd, _labeled, lambda folder: {"frames": chunks(folder / "out.gsd")}
    ),
    "study": Kind(_begin_study, _files, _study),
    "study, OpenMM": Kind(_begin_openmm_study, _files, _study),
}


def _start(command: list[str], folder: Path) -> subprocess.Popen[bytes]:
    paths = [str(folder / _HIDDEN), *filter(None, [os.environ.get("PYTHONPATH")])]
    with open(folder / ".log", "ab") as log:
        return subprocess.Popen(
            [sys.executable, *command],
            cwd=folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        )


def _wait(process: subprocess.Popen[bytes], folder: Path) -> None:
    if process.wait():
        raise SystemExit((folder / ".log").read_text())


def unbroken(kind: Kind, folder: Path) -> tuple[int, float, Contents]:
    """How many marks a run makes from start to end, its seconds, and its results."""
    seen: set[Hashable] = set()
    process, began = _start(kind.begin(folder), folder), time.monotonic()
    while process.poll() is None:
        seen |= kind.marks(folder)
        time.sleep(0.01)
    seconds = time.monotonic() - began
    _wait(process, folder)
    return len(seen), seconds, kind.results(folder)


def killed(
    kind: Kind, folder: Path, count: int, marks: int, seconds: float
) -> tuple[int, Contents]:
    """Kill a run so often; returns how many of these reached it before its end, and its results.

    Every other time the process that was started is killed alone, and what it has started lives on.
    """
    rng = np.random.default_rng(count)
    command, kills = kind.begin(folder), 0
    seen: set[Hashable] = set()
    started = []
    for k in range(1, count + 1):
        process = _start(command, folder)
        started.append(process.pid)
        while process.poll() is None and len(seen) < marks * k / (count + 1):
            seen |= kind.marks(folder)
            time.sleep(0.01)
        time.sleep(rng.uniform(0, seconds / (count + 1)))
        if process.poll() is None:
            kills += 1
            if k % 2:
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
        elif not process.returncode:
            break
        process.wait()
    else:
        process = _start(command, folder)
    _wait(process, folder)
    while any(map(_lives, started)):
        time.sleep(0.1)
    return kills, kind.results(folder)


def _lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def compare(name: str, count: int) -> tuple[int, int, list[str]]:
    """Kills that reached a run, what it has made, and what of this is not the same bit by bit."""
    kind = KINDS[name]
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        marks, seconds, expected = unbroken(kind, Path(one))
        kills, found = killed(kind, Path(other), count, marks, seconds)
    names = sorted(expected.keys() | found.keys())
    return kills, len(names), [it for it in names if expected.get(it) != found.get(it)]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    options = parser.parse_args()
    # numbers of threads follow from the cores that are idle, and sums from the number of threads
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    print("| | kills | results | not identical | seconds |\n| --- | --- | --- | --- | --- |")
    for kind in options.kinds:
        start = time.monotonic()
        kills, results, different = compare(kind, options.count)
        seconds = time.monotonic() - start
        which = f" ({', '.join(different)})" if different else ""
        print(f"| {kind} | {kills} | {results} | {len(different)}{which} | {seconds:.0f} |")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
