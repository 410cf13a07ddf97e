"""The summary of a study: what ran, the results, and where the files are."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hoomd_gala.files.atomic import read_table, write_table
from study.flow.jobs import VIEW
from study.reports.markdown import markdown
from study.training.names import CURVE

#: Tables in the folder of a study's summary.
TABLES = ("simulations.csv", "fractions.csv", "checks.csv")


def write(jobs: Sequence[Any], folder: Path, title: Callable[[Any], str]) -> str:
    """Write a study's tables as CSV into a folder, and return the summary as Markdown."""
    simulations, fractions, checks, files = [], [], [], []
    for job in jobs:
        where = os.path.relpath(job.path)
        if job.sp.kind == "structure_model":
            last = read_table(job.fn(CURVE))[-1]
            accuracy = float(last["validation_accuracy"])
            model = f"Structure model: validation accuracy {accuracy:.3f}, in {where}.\n"
            continue
        ran = job.doc.simulation
        simulations.append(
            {
                "system": title(job),
                "kind": job.sp.kind,
                "engine": f"{ran['engine']} {ran['version']}",
                "device": ran["device"],
                "seconds": f"{ran['seconds']:.0f}",
            }
        )
        if job.sp.kind != "system":
            continue
        last = read_table(job.fn("structures.csv"))[-1]
        shares = {key: float(last[key]) for key in list(last)[3:]}
        shares = dict(sorted(shares.items(), key=lambda item: -item[1]))
        fractions += [
            {"system": title(job), "structure": name, "fraction at the end": f"{share:.3f}"}
            for name, share in shares.items()
            if share > 0
        ]
        checks += [
            {"system": title(job), "check": row["check"], "particles": row["particles"]}
            | {"agreement": f"{float(row['agreement']):.3f}"}
            for row in read_table(job.fn("checks.csv"))
        ]
        shown = [VIEW, "trajectory.gsd", "structures.png", "last_frame.png"]
        shown += ["phases.csv", "phases.png", "snapshots.png"]
        files += [f"- {os.path.join(where, name)}" for name in shown if job.isfile(name)]
    for name, rows in zip(TABLES, (simulations, fractions, checks), strict=True):
        write_table(folder / name, rows)
    parts = [
        f"# Study {jobs[0].sp.study}\n",
        markdown(simulations),
        model,
        "## Structures at the end\n",
        markdown(fractions),
        "## Labels against independent methods\n",
        markdown(checks),
        "## Files\n",
        "\n".join(files) + "\n",
    ]
    return "\n".join(parts)
