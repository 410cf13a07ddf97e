"""The summary of a study: what ran, the results, and where the files are."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hoomd_gala.files.atomic import read_table, write_table
from hoomd_gala.names import title
from study.flow.jobs import TRAJECTORY
from study.reports.markdown import markdown
from study.training.names import CURVE, FRAME_CURVE, FRAME_MODEL

#: Tables in the folder of a study's summary.
TABLES = ("simulations.csv", "fractions.csv", "checks.csv")

#: Particles below which a share of them says nothing.
_FEW = 50


def write(jobs: Sequence[Any], folder: Path, names: Mapping[str, str]) -> str:
    """Write a study's tables as CSV into a folder, and return the summary as Markdown.

    Parameters
    ----------
    jobs : sequence of Job
        All of the study.
    folder : Path
        Of the summary, where the files of systems have been copied.
    names : mapping
        Names of the simulated systems by the id of their jobs.
    """
    simulations, fractions, checks, trainings, files = [], [], [], [], []
    for job in jobs:
        if job.sp.kind == "structure_model":
            classes = [*job.sp.structures, "disordered"]
            trainings.append(_training("structures", job.fn(CURVE), len(classes)))
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
        rows = read_table(job.fn("structures.csv"))
        shares = {key: float(rows[-1][key]) for key in list(rows[-1])[3:]}
        shares = dict(sorted(shares.items(), key=lambda item: -item[1]))
        fractions += [
            {"system": name, "structure": title(key), "fraction at the end": f"{share:.3f}"}
            for key, share in shares.items()
            if share > 0
        ]
        checks += [
            {"system": name, "check": row["check"], "particles": row["particles"]}
            | {"agreement": agreement(float(row["agreement"]), int(row["particles"]))}
            for row in read_table(job.fn("checks.csv"))
        ]
        if job.isfile(FRAME_MODEL):
            trainings.append(_training(f"frames of {name}", job.fn(FRAME_CURVE), len(rows)))
        files.append(f"- {name}: {os.path.relpath(job.fn(TRAJECTORY))}")
    for table, found in zip(TABLES, (simulations, fractions, checks), strict=True):
        write_table(folder / table, found)
    copies = sorted(path for path in folder.rglob("*") if path.is_file())
    parts = [
        f"# Study {jobs[0].sp.study}\n",
        markdown(simulations),
        "## Networks\n",
        "Accuracy is the share of held-out environments that are given the right class, chance "
        "what guessing would reach. Frames of a trajectory that look alike cannot be told apart: "
        "an accuracy far below 1 is no fault, and one above chance says that they differ.\n",
        markdown(trainings),
        "## Structures at the end\n",
        markdown(fractions),
        "## Labels against independent methods\n",
        markdown(checks),
        "## Files\n",
        f"In {os.path.relpath(folder)}:\n",
        "".join(f"- {it.relative_to(folder)}\n" for it in copies if it.name != "summary.md"),
        "Trajectories with labels:\n",
        "\n".join(files) + "\n",
    ]
    return "\n".join(parts)


def agreement(share: float, particles: int) -> str:
    """Return the share of particles on which two methods agree, and what it is worth."""
    if particles < _FEW:
        return f"{round(share * particles)} of {particles}: too few to tell"
    return f"{share:.3f}"


def _training(what: str, curve: str, classes: int) -> dict[str, Any]:
    """Row on a training: its accuracy beside that of guessing one of so many classes."""
    accuracy = float(read_table(curve)[-1]["validation_accuracy"])
    return {
        "network of": what,
        "classes": classes,
        "accuracy": f"{accuracy:.3f}",
        "chance": f"{1 / classes:.3f}",
    }
