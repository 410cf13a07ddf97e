"""Operations of the study that measures models: making systems, labeling them, and the report."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hoomd_gala.errors import InputError
from hoomd_gala.threads import cores, spare_threads
from study.comparison.names import CLASSICAL, REPORT, SAMPLES
from study.flow.jobs import (
    ON_CPU,
    copy,
    every,
    has,
    kind,
    of_kind,
    operation,
    summary_folder,
)

#: Keys of a state point that do not say how the system is made.
ABOUT = ("study", "kind", "group", "name", "make")


#: Modules and functions that make the samples of a system, by name. Each loads what it needs alone:
#: there are many short jobs.
_MAKERS = {
    "displaced": "simulation.ideal.displaced",
    "left out": "simulation.ideal.left_out",
    "strained": "simulation.ideal.strained",
    "axial": "simulation.ideal.axial",
    "vacancies": "solids.defects.vacancies",
    "interstitials": "solids.defects.interstitials",
    "stacking": "solids.defects.stacking",
    "boundary": "solids.defects.boundary",
    "slab": "solids.defects.slab",
    "nanoparticle": "solids.defects.nanoparticle",
    "grains": "solids.defects.grains",
    "element": "simulation.heated.element",
    "model": "simulation.heated.model",
    "coexistence": "simulation.coexistence.coexistence",
    "element coexistence": "simulation.coexistence.element_coexistence",
    "fluid": "simulation.fluids.model_fluid",
    "melt": "simulation.fluids.melt",
    "packing": "simulation.fluids.packing",
    "points": "simulation.fluids.points",
    "clusters": "simulation.fluids.clusters",
    "molecules": "simulation.fluids.molecules",
    "water": "simulation.fluids.water",
}


def maker(name: str) -> Callable[..., Any]:
    """Return the function that makes samples.

    Raises
    ------
    InputError
        If there is none of this name.
    """
    if name not in _MAKERS:
        raise InputError(f"no system is made by {name!r}; there are {', '.join(_MAKERS)}.")
    module, _, function = _MAKERS[name].rpartition(".")
    found: Callable[..., Any] = getattr(importlib.import_module(f"study.{module}"), function)
    return found


@operation(kind("quality_system"), post=has(SAMPLES), directives=ON_CPU)
def make_samples(job: Any) -> None:
    """Make the samples of a system."""
    from study.simulation.samples import write_samples

    how = {key: value for key, value in job.sp().items() if key not in ABOUT}
    write_samples(Path(job.fn(SAMPLES)), maker(job.sp.make)(**how))


@operation(kind("quality_system"), has(SAMPLES), post=has(CLASSICAL), directives=ON_CPU)
def label_classically(job: Any) -> None:
    """Label the samples of a system by all methods that are not ours."""
    from study.comparison import labelers
    from study.simulation.samples import read_samples

    samples = read_samples(Path(job.fn(SAMPLES)))
    labelers.write_labels(Path(job.fn(CLASSICAL)), labelers.label_classically(samples))


def system_folders(jobs: list[Any]) -> list[Any]:
    """Where the systems of a study are that are made and labeled by all other methods."""
    from study.reports.scoreboard import SystemFolder

    return [
        SystemFolder(job.sp.group, job.sp.name, Path(job.path))
        for job in sorted(jobs, key=lambda job: (job.sp.group, job.sp.name))
        if job.isfile(CLASSICAL)
    ]


def model_files(job: Any) -> dict[str, str]:
    """Hashes of the files of a study's models, by model."""
    from hoomd_gala.files.atomic import sha256
    from hoomd_gala.files.models import find_model

    return {model: sha256(find_model(model)) for model in job.sp.models}


def reported(job: Any) -> bool:
    """Condition: there is a report, and the models are still those that it is about."""
    reports = job.isfile(REPORT) and (summary_folder(job) / REPORT).is_file()
    return bool(reports) and job.doc.get("models") == model_files(job)


def quality_systems(job: Any) -> list[Any]:
    """Return the systems that a study's models are measured on."""
    return of_kind(job, "quality_system")


@operation(
    kind("quality"),
    every("quality_system", has(CLASSICAL)),
    post=reported,
    directives=ON_CPU,
    of=quality_systems,
)
def measure_models(job: Any) -> None:
    """Label all samples by the study's models, and report how they compare."""
    import torch

    from study.reports import scoreboard

    torch.set_num_threads(spare_threads(cores()))
    folders = system_folders(quality_systems(job))
    text = scoreboard.run(summary_folder(job), folders, list(job.sp.models))
    print(text)
    copy(summary_folder(job) / REPORT, Path(job.fn(REPORT)))
    job.doc.models = model_files(job)
