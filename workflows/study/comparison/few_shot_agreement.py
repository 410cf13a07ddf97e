"""How well a few labeled particles of each structure carry over what a model knows.

Particles of each structure that a reference model names in a frame are drawn as labels, several
times. A few-shot model trained on them is compared with the reference on all other particles that
it names. Agreement is not correctness: reference and source may be the same network.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from hoomd_gala.analyzer import Analyzer
from hoomd_gala.files.models import load_model
from hoomd_gala.files.trajectories import open_trajectory
from hoomd_gala.learning.few_shot import Labeled, few_shot
from hoomd_gala.results import UNKNOWN
from hoomd_gala.systems import System, as_system

#: Labeled particles of each structure, draws, and the fewest particles of a structure.
N_LABELS, N_DRAWS, AT_LEAST = 20, 10, 40


def agreement(system: System, labels: Any, names: Sequence[str], source: str, draw: int) -> float:
    """Share of particles on which a model trained on a few labels agrees with all labels.

    Parameters
    ----------
    system : System
        The frame.
    labels : (N,) int
        Index into ``names``, or UNKNOWN for particles to leave out.
    names : sequence of str
        Structures.
    source : str
        Model to start from.
    draw : int
        Seed of the draw of labels.
    """
    rng = np.random.default_rng(draw)
    drawn = np.concatenate(
        [rng.permutation(np.flatnonzero(labels == i))[:N_LABELS] for i in range(len(names))]
    )
    model = few_shot(load_model(source), [Labeled(system, drawn, labels[drawn])], list(names), draw)
    others = np.setdiff1d(np.flatnonzero(labels != UNKNOWN), drawn)
    return float((Analyzer(model).analyze_system(system).label == labels)[others].mean())


def measure(path: Path, reference: Analyzer, sources: Sequence[str]) -> list[dict[str, Any]]:
    """Measure agreement on the last frame of a trajectory.

    Returns
    -------
    list of dict
        For each source, the structures and how many particles have them, and the mean and the
        worst share of particles that agree, over draws.
    """
    with open_trajectory(path) as trajectory:
        system = as_system(trajectory[-1])
    found = reference.analyze_system(system).label
    counts = np.bincount(found[found != UNKNOWN], minlength=len(reference.class_names))
    kept = np.flatnonzero(counts >= AT_LEAST)
    names = [reference.class_names[i] for i in kept]
    labels = np.full(len(found), UNKNOWN)
    for i, kind in enumerate(kept):
        labels[found == kind] = i
    rows = []
    for source in sources:
        shares = [
            agreement(system, labels, names, source, draw)
            for draw in tqdm(range(N_DRAWS), desc=f"{path.name} from {source}", unit="draw")
        ]
        rows.append(
            {
                "trajectory": path.name,
                "structures": ", ".join(
                    f"{n} ({counts[k]})" for n, k in zip(names, kept, strict=True)
                ),
                "from": source,
                "agreement": float(np.mean(shares)),
                "worst draw": min(shares),
            }
        )
    return rows
