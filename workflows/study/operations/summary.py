"""When a study is finished, and its summary."""

import os
from typing import Any

from hoomd_gala.files.atomic import replacing
from study.flow.jobs import ON_CPU, Condition, kind, operation, study_jobs, summary_folder
from study.operations import (
    assemblies,
    disorder,
    embedding_map,
    grains,
    liquids,
    quality,
    shipped_model,
    simulations,
    structure_model,
    systems,
    transfers,
    unseen,
)
from study.operations.simulations import title

#: When all operations on a job are done, by the kind of job.
FINISHED: dict[str, Condition] = {
    name: done
    for module in (
        assemblies,
        disorder,
        embedding_map,
        grains,
        liquids,
        quality,
        shipped_model,
        simulations,
        structure_model,
        systems,
        transfers,
        unseen,
    )
    for name, done in module.FINISHED.items()
}


def finished(job: Any) -> bool:
    """Condition: everything but the summary is there."""
    return FINISHED[job.sp.kind](job)


def study_finished(job: Any) -> bool:
    """Condition: everything in the study but its summary is there."""
    return all(map(finished, study_jobs(job)))


def summarized(job: Any) -> bool:
    """Condition: the study's summary is written."""
    return (summary_folder(job) / "summary.md").is_file()


@operation(kind("structure_model"), study_finished, post=summarized, directives=ON_CPU)
def summarize(job: Any) -> None:
    """Report what ran, the results, and where the files are."""
    from study.reports import summary

    folder = summary_folder(job)
    folder.mkdir(parents=True, exist_ok=True)
    text = summary.write(study_jobs(job), folder, title)
    with replacing(folder / "summary.md") as part:
        part.write_text(text)
    print(f"\n{text}\nThis summary: {os.path.relpath(folder / 'summary.md')}", flush=True)
