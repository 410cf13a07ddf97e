"""Operations on transfers between tasks (figure 4 of the paper)."""

from pathlib import Path
from typing import Any

from hoomd_gala.files.atomic import read_table, write_table
from study.flow.jobs import (
    ON_CPU,
    every,
    has,
    kind,
    of_kind,
    operation,
    published,
    threads,
)
from study.training.names import CHECKPOINT, CURVE, SOURCE_MODEL


@operation(kind("transfer_source"), post=has(SOURCE_MODEL))
def learn_source(job: Any) -> None:
    """Learn one of the tasks from all data."""
    import torch

    from hoomd_gala.files.models import save_model
    from hoomd_gala.learning.tasks import TASKS
    from study.training import transfer
    from study.training.curves import write_curve

    torch.set_num_threads(threads(job))
    model, curve = transfer.learn_source(job.sp.task, job.sp, Path(job.fn(CHECKPOINT)))
    write_curve(Path(job.fn(CURVE)), job.sp.task, curve, loss=TASKS[job.sp.task].LOSS)
    save_model(job.fn(SOURCE_MODEL), model)


def source_model(job: Any) -> Path | None:
    """Path of the model that a transfer starts from; None for direct training."""
    for other in of_kind(job, "transfer_source"):
        if other.sp.task == job.sp.source:
            return Path(other.fn(SOURCE_MODEL))
    return None


def has_source(job: Any) -> bool:
    """Condition: the model that a transfer starts from is trained, if there is one."""
    path = source_model(job)
    return job.sp.source == "" or (path is not None and path.is_file())


def transferred(job: Any) -> bool:
    """Condition: all trainings of a transfer are done."""
    if job.sp.kind != "transfer" or not job.isfile("transfer.csv"):
        return False
    # counted here, as status asks for it and would have to import torch otherwise
    modes = 1 if job.sp.source == "" else 2
    expected = modes * len(job.sp.amounts) * job.sp.replicas
    with open(job.fn("transfer.csv")) as file:
        return bool(sum(1 for _ in file) - 1 == expected)


@operation(kind("transfer"), has_source, post=transferred)
def learn_targets(job: Any) -> None:
    """Learn a target task from several amounts of data, several times."""
    import torch
    from tqdm.auto import tqdm

    from study.training import transfer

    torch.set_num_threads(threads(job))
    trials = transfer.plan(job.sp.source or None, job.sp)
    description = f"{job.sp.source or 'direct'} → {job.sp.target}"
    done = transfer.learn_all(
        Path(job.fn("transfer.csv")), job.sp.target, job.sp.source, source_model(job), job.sp
    )
    for _ in tqdm(done, desc=description, total=len(trials), unit="training"):
        pass


def transfers(job: Any) -> list[Any]:
    """Return the study's transfers."""
    return of_kind(job, "transfer")


@operation(
    kind("transfer_table"),
    every("transfer", transferred),
    post=has("transfer.md", "transfer.csv", "transfer.png"),
    directives=ON_CPU,
    publishes=published("transfer.csv", "transfer.png", "gains.csv", "transfer.md"),
    of=transfers,
)
def tabulate_transfers(job: Any) -> None:
    """Tabulate and draw means and standard errors of all transfers, as in the paper."""
    from hoomd_gala.files.atomic import replacing
    from study.comparison import transfer
    from study.reports import transfer as report

    rows = [row for other in transfers(job) for row in read_table(other.fn("transfer.csv"))]
    table = transfer.means(rows)
    write_table(Path(job.fn("transfer.csv")), table)
    report.draw(Path(job.fn("transfer.png")), table)
    found = transfer.gains(rows)
    write_table(Path(job.fn("gains.csv")), found)
    with replacing(job.fn("transfer.md")) as part:
        part.write_text(report.summary(found, max(row["replicas"] for row in table)) + "\n")
