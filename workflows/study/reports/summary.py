"""The summary of a study: what ran, the results, and where the files are."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hoomd_gala.files.atomic import read_table, write_table
from hoomd_gala.names import title
from study.comparison import seeds
from study.flow.jobs import TRAJECTORY
from study.reports.markdown import markdown
from study.training.names import CURVE, FRAME_CURVE, FRAME_MODEL

#: Tables in the folder of a study's summary.
TABLES = ("simulations.csv", "fractions.csv", "checks.csv", "phases.csv")

#: Particles below which a share of them says nothing.
_FEW = 50

_SHARE = "fraction at the end"


def write(
    jobs: Sequence[Any], folder: Path, names: Mapping[str, str], systems: Mapping[str, str]
) -> str:
    """Write a study's tables as CSV into a folder, and return the summary as Markdown.

    Parameters
    ----------
    jobs : sequence of Job
        All of the study.
    folder : Path
        Of the summary, where the files of systems have been copied.
    names : mapping
        Names of the simulated systems by the id of their jobs.
    systems : mapping
        Names that those have in common which differ in the seed only, by the id of their jobs.
    """
    simulations, files = [], []
    # of each system, what there is with each seed
    alike: dict[str, list[Any]] = {}
    trainings = []
    for job in jobs:
        if job.sp.kind == "structure_model":
            classes = [*job.sp.structures, "disordered"]
            trainings.append(_training("structures", [job.fn(CURVE)], len(classes)))
            continue
        if job.id not in names:
            continue
        name = names[job.id]
        ran = job.doc.simulation
        simulations.append(
            {
                "system": name,
                "kind": job.sp.kind,
                "engine": f"{ran['engine']} {ran['version']}",
                "device": ran["device"],
                "seconds": f"{ran['seconds']:.0f}",
            }
        )
        if job.sp.kind != "system":
            continue
        alike.setdefault(systems[job.id], []).append(job)
        files.append(f"- {name}: {os.path.relpath(job.fn(TRAJECTORY))}")
    fractions: list[dict[str, Any]] = []
    checks: list[dict[str, Any]] = []
    phases: list[dict[str, Any]] = []
    for system, same in alike.items():
        fractions += _fractions(system, same)
        checks += _checks(system, same)
        curves = [job.fn(FRAME_CURVE) for job in same if job.isfile(FRAME_MODEL)]
        if curves:
            frames = len(read_table(same[0].fn("structures.csv")))
            trainings.append(_training(f"frames of {system}", curves, frames))
        phases += _phases(system, same)
    for table, found in zip(TABLES, (simulations, fractions, checks, phases), strict=True):
        write_table(folder / table, found)
    copies = sorted(path for path in folder.rglob("*") if path.is_file())
    parts = [
        f"# Study {jobs[0].sp.study}\n",
        "Where a system has several seeds, numbers are means over these, with the standard "
        "deviation of a single one behind the ±. How much a number of one seed varies with it is "
        "not known.\n",
        markdown(simulations),
        "## Networks\n",
        "Accuracy is the share of held-out environments that are given the right class, chance "
        "what guessing would reach. Frames of a trajectory that look alike cannot be told apart: "
        "an accuracy far below 1 is no fault, and one above chance says that they differ.\n",
        markdown([seeds.in_words(row, "accuracy") for row in trainings]),
        "## Structures at the end\n",
        markdown([seeds.in_words(row, _SHARE) for row in fractions]),
        "## Labels against independent methods\n",
        markdown([seeds.in_words(row, "agreement") for row in checks]),
        "## Changes of phase\n",
        "Temperatures at which systems condense and freeze, in simulations whose frames a network "
        "has learned; seeds without such a change do not count.\n",
        markdown([seeds.in_words(row, "kT") for row in phases]),
        "## Files\n",
        f"In {os.path.relpath(folder)}:\n",
        "".join(f"- {it.relative_to(folder)}\n" for it in copies if it.name != "summary.md"),
        "Trajectories with labels:\n",
        "\n".join(files) + "\n",
    ]
    return "\n".join(parts)


def _fractions(system: str, jobs: Sequence[Any]) -> list[dict[str, Any]]:
    """Rows on the structures at the end of simulations that differ in the seed, most first."""
    ends = [dict(list(read_table(job.fn("structures.csv"))[-1].items())[3:]) for job in jobs]
    # all have the classes of the study's model
    shares = {name: [float(end[name]) for end in ends] for name in ends[0]}
    order = sorted(shares, key=lambda name: -sum(shares[name]))
    return [
        {"system": system, "structure": title(name)} | seeds.columns(_SHARE, shares[name])
        for name in order
        if any(shares[name])
    ]


def _checks(system: str, jobs: Sequence[Any]) -> list[dict[str, Any]]:
    """Rows on checks of simulations that differ in the seed."""
    found: dict[str, list[tuple[float, int]]] = {}
    for job in jobs:
        for row in read_table(job.fn("checks.csv")):
            own = (float(row["agreement"]), int(row["particles"]))
            found.setdefault(row["check"], []).append(own)
    return [
        {"system": system, "check": check} | agreement(*zip(*own, strict=True))
        for check, own in found.items()
    ]


def agreement(shares: Sequence[float], particles: Sequence[int]) -> dict[str, Any]:
    """Return the share of particles on which two methods agree, and what it is worth.

    Parameters
    ----------
    shares : (n,) float
        With each seed.
    particles : (n,) int
        That were compared. Seeds with few of them do not count, unless all have few.
    """
    pairs = list(zip(shares, particles, strict=True))
    enough = [(share, n) for share, n in pairs if n >= _FEW]
    told = enough or pairs
    row: dict[str, Any] = {"particles": sum(n for _, n in told)}
    row |= seeds.columns("agreement", [share for share, _ in told])
    if not enough:
        right = sum(round(share * n) for share, n in pairs)
        row["agreement"] = f"{right} of {row['particles']}: too few to tell"
        row[seeds.DEVIATION] = ""
    return row


def _phases(system: str, jobs: Sequence[Any]) -> list[dict[str, Any]]:
    """Rows on changes of phase by each measure, of simulations that differ in the seed."""
    found: dict[tuple[str, str], list[float]] = {}
    for job in jobs:
        for row in read_table(job.fn("phases.csv")) if job.isfile("phases.csv") else []:
            for change in ("condensation", "freezing"):
                if row[f"{change}, kT"]:
                    kT = float(row[f"{change}, kT"])
                    found.setdefault((row["measure"], change), []).append(kT)
    return [
        {"system": system, "measure": measure, "change": change} | seeds.columns("kT", temperatures)
        for (measure, change), temperatures in found.items()
    ]


def _training(what: str, curves: Sequence[str], classes: int) -> dict[str, Any]:
    """Row on trainings that differ in the seed: accuracy beside that of guessing a class."""
    last = [float(read_table(curve)[-1]["validation_accuracy"]) for curve in curves]
    row = {"network of": what, "classes": classes} | seeds.columns("accuracy", last)
    return row | {"chance": f"{1 / classes:.3f}"}
