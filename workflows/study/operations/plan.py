"""What a run of a study will do, and what it has made, in words."""

import os
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from study.flow import studies
from study.flow.jobs import FOLDER, OPERATIONS, Registered, is_current, summary_folder
from study.operations import summary  # with the modules of all operations
from study.operations.simulations import name_of

#: Pictures and files of a summary in the order in which they are worth a look, and what they show.
_WORTH_A_LOOK = {
    "last_frame.png": "the last frame, colored by structure",
    "structures.png": "structures, energy and temperature against time",
    "phases.png": "gas, liquid and solid, as a network that learned the frames sees them",
    "assemblies.png": "what the systems assembled into",
    "representations.png": "what representations of environments are worth, side by side",
    "embedding_map.png": "a map of the structures by their embeddings",
    "transfer.png": "what a network that learned one task is worth for another",
    "accuracy.png": "accuracy on hot crystals, beside other methods",
    "reliability.png": "how far a confidence can be trusted",
    "cells.png": "accuracy on unit cells, beside other methods",
    "lattice_energies.png": "which unit cells have the lowest energy",
}

#: How many of these a run ends with.
_PICTURES = 3

#: Files with everything in words, or to be opened elsewhere.
_TEXTS = ("summary.md", "quality.md", "assemblies.md", "transfer.md", "structures.md")


def describe(job: Any) -> str:
    """Say what a job is of, in few words."""
    point = job.sp
    for keys in (("group", "name"), ("of", "seed"), ("part", "role"), ("part",), ("task",)):
        if all(key in point for key in keys):
            return " ".join(str(point[key]) for key in keys if point[key])
    # after those: a system that models are measured on may have a potential as well
    if "potential" in point:
        return name_of(job)
    if "target" in point:
        return f"{point.source or 'nothing'} to {point.target}"
    return str(point.study)


def left(jobs: Iterable[Any]) -> tuple[Counter[Registered], int]:
    """Count the steps that are left, by operation, and all steps of some jobs."""
    missing: Counter[Registered] = Counter()
    total = 0
    for job in jobs:
        for one in OPERATIONS:
            if one.whose(job):
                total += 1
                missing[one] += not one.done(job)
    return +missing, total


def jobs_of(project: Any, study: str) -> list[Any]:
    """Jobs that a study's file has as it is now."""
    return [job for job in project.find_jobs({"study": study}) if is_current(job)]


def plan(study: str, jobs: Sequence[Any]) -> str:
    """Say what a run of a study is about to do, how long that takes, and where results will be."""
    about, minutes = studies.about(study), studies.load(study)["minutes"]
    missing, total = left(jobs)
    finished = sum(map(summary.finished, jobs))
    width = shutil.get_terminal_size((100, 24)).columns
    lines = [
        f"Study {study}: {about}",
        f"  {len(jobs)} jobs, {finished} finished; {total} steps, "
        f"{total - missing.total()} done"
        + (", in this order as far as they depend on each other:" if missing else "."),
    ]
    for one in sorted(missing, key=OPERATIONS.index):
        line = f"  {missing[one]:4d} × {one.name.replace('_', ' '):20s} {one.about}"
        lines.append(line if len(line) <= width else f"{line[: width - 1]}…")
    if missing:
        lines += [
            f"  About {minutes} min from start to end on two idle cores. Interrupt it whenever "
            "you like, and run it again.",
            f"  Results: {_shown(summary_folder(jobs[0]))}",
        ]
    return "\n".join(lines)


def results(jobs: Sequence[Any]) -> str:
    """Say where the results of a study's jobs are, the most important ones first."""
    folder = summary_folder(jobs[0])
    lines: list[str] = []
    for name, what in _WORTH_A_LOOK.items():
        found = sorted(folder.rglob(name))
        if found and len(lines) < _PICTURES:
            lines.append(f"  {_shown(found[0])}\n      {what}")
    texts = [found[0] for name in _TEXTS if (found := sorted(folder.rglob(name)))]
    lines += [f"  {_shown(path)}\n      the results in words" for path in texts[:1]]
    views = sorted(folder.rglob("trajectory-view.gsd"))
    lines += [f"  {_shown(path)}\n      for OVITO: structures by name and color" for path in views]
    here = os.path.relpath(FOLDER)
    lines.append(
        f"All of it is in {_shown(folder)}; signac finds its jobs from the folder of the project: "
        f"cd {here} && signac find study {jobs[0].sp.study}"
    )
    return "\n".join(lines)


def _shown(path: Path) -> str:
    """Path as one would type it here."""
    return os.path.relpath(path)
