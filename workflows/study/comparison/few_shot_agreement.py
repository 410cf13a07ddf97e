"""How well 20 labelled particles of each structure carry over what a model knows.

``python few_shot_agreement.py run.gsd [more.gsd]`` takes the last frame of each trajectory, draws
particles of each structure that ``structures`` names there as labels, ten times, trains a few-shot
model on them from several sources, and compares it with ``structures`` on all other particles that
it names. Agreement is not correctness: reference and source may be the same network.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from hoomd_gala.analyzer import Analyzer
from hoomd_gala.errors import InputError
from hoomd_gala.files.models import load_model
from hoomd_gala.files.trajectories import open_trajectory
from hoomd_gala.learning.few_shot import Labeled, few_shot
from hoomd_gala.results import UNKNOWN
from hoomd_gala.systems import System, as_system
from study.comparison.quality import percent
from study.figures.text_tables import markdown

#: Labelled particles of each structure, draws, and particles that a structure needs to count.
N_LABELS, N_DRAWS, AT_LEAST = 20, 10, 40


def agreement(system: System, labels: Any, names: Sequence[str], source: str, draw: int) -> float:
    """Share of particles on which a model learned from a few labels agrees with all labels.

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


def measure(path: Path, reference: Analyzer, sources: Sequence[str]) -> list[dict[str, str]]:
    """Rows of the table for the last frame of a trajectory."""
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
                "agreement / %": percent(float(np.mean(shares))),
                "worst draw / %": percent(min(shares)),
            }
        )
    return rows


def main() -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(description="Agreement of few-shot models with all labels.")
    parser.add_argument("files", nargs="+", type=Path, metavar="RUN.gsd")
    parser.add_argument("--source", nargs="+", default=["structures", "denoising"])
    options = parser.parse_args()
    try:
        reference = Analyzer("structures")
        rows = [row for path in options.files for row in measure(path, reference, options.source)]
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(markdown(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
