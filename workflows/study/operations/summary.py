"""When a study is finished, and its summary."""

import os
from typing import Any

from hoomd_gala.files.atomic import replacing
from study.flow.jobs import (
    ON_CPU,
    OPERATIONS,
    kind,
    operation,
    study_jobs,
    summary_folder,
)
from study.operations import (  # noqa: F401  (their operations are registered)
    assemblies,
    compounds_model,
    denoise_model,
    disorder,
    embedding_map,
    embedding_model,
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
from study.operations.simulations import name_of, system_of

#: All operations but the summary.
_RESULTS = tuple(OPERATIONS)


def finished(job: Any) -> bool:
    """Condition: everything but the summary is there."""
    return all(one.done(job) for one in _RESULTS if one.whose(job))


def study_finished(job: Any) -> bool:
    """Condition: everything in the study but its summary is there."""
    return all(map(finished, study_jobs(job)))


def summarized(job: Any) -> bool:
    """Condition: the study's summary is written."""
    from study.reports import summary

    folder = summary_folder(job)
    return all((folder / name).is_file() for name in ("summary.md", *summary.TABLES))


@operation(
    kind("structure_model"), study_finished, post=summarized, directives=ON_CPU, of=study_jobs
)
def summarize(job: Any) -> None:
    """Report what ran, the results, and where the files are."""
    from study.reports import summary

    folder = summary_folder(job)
    folder.mkdir(parents=True, exist_ok=True)
    jobs = study_jobs(job)
    simulated = [other for other in jobs if "potential" in other.sp]
    named = {other.id: name_of(other) for other in simulated}
    text = summary.write(jobs, folder, named, {it.id: system_of(it) for it in simulated})
    with replacing(folder / "summary.md") as part:
        part.write_text(text)
    print(f"\n{text}\nThis summary: {os.path.relpath(folder / 'summary.md')}", flush=True)
