"""The operation on the study's structure model, which labels simulations while they run."""

from pathlib import Path
from typing import Any

from hoomd_gala.threads import cores, spare_threads
from study.flow.jobs import (
    DIRECTIVES,
    TRAJECTORY,
    find_file,
    has,
    kind,
    of_kind,
    operation,
    published,
)
from study.operations.disorder import has_disorder
from study.operations.simulations import fluids, has_fluids, title
from study.training.names import CURVE, MODEL, MODEL_CARD


def structure_model(job: Any) -> Path | None:
    """Path of the study's structure model, or None while it is not trained."""
    return find_file(job, "structure_model", MODEL)


def has_structure_model(job: Any) -> bool:
    """Condition: the study's structure model is trained."""
    return structure_model(job) is not None


@operation(
    kind("structure_model"),
    has_fluids,
    has_disorder,
    post=has(MODEL, MODEL_CARD),
    directives=DIRECTIVES | {"np": 2},
    publishes=published(MODEL, MODEL_CARD, Path(CURVE).with_suffix(".png").name),
)
def train_structures(job: Any) -> None:
    """Train the network that names structures, on unit cells and simulated disorder."""
    import torch

    from study.training import learning

    torch.set_num_threads(spare_threads(cores()))
    others = of_kind(job, "disorder")
    data = {
        "crystals": "AFLOW prototypes from pyriodic-aflow (GPL-3), replicated, strained, "
        "displaced, with and without surfaces",
        "strain": job.sp.strain,
        "noise_levels": list(job.sp.noise_levels),
        "disordered": [
            f"{title(fluid)} at number density {fluid.sp.number_density}, quenched from kT = "
            f"{fluid.sp.gas_kT} to {fluid.sp.end_kT} on {fluid.doc.simulation['engine']} "
            f"{fluid.doc.simulation['version']}"
            for fluid in fluids(job)
        ]
        + [f"{other.sp['of']} {other.sp.seed}, with an interaction of its own" for other in others],
    }
    paths = [Path(fluid.fn(TRAJECTORY)) for fluid in fluids(job)]
    more = [Path(other.fn(TRAJECTORY)) for other in others]
    learning.structure_model(Path(job.path), job.sp, paths, more, data)
