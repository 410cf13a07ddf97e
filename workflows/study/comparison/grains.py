"""How well methods find the orientations and the grains of polycrystals."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.metrics import adjusted_rand_score

from hoomd_gala.neighbors.environments import PeriodicTree
from study.comparison.measures import area_under_roc
from study.solids.grains import WITHIN_GRAIN, segment
from study.solids.orientations import Oriented
from study.solids.polycrystals import Polycrystal, misorientation, symmetry

#: Pairs of particles whose orientations are compared.
_N_PAIRS = 20_000


def scores(
    sample: Polycrystal, noise: float, found: Mapping[str, Oriented], seed: int
) -> list[dict[str, Any]]:
    """Score how well methods find the orientations and the grains of a polycrystal.

    Fractions are of all particles: one without an orientation counts as missed. Inside are those
    whose 20 neighbors are in the same grain. The area under the ROC curve is of the
    misorientation of random pairs with an orientation: 1 if it separates all pairs of the same
    grain from all others, 0.5 by chance.
    """
    known = symmetry(sample.cell)
    tree = PeriodicTree.build(sample.system.positions, sample.system.box)
    neighbors = tree.nearest().neighbors
    inside = (sample.grain[neighbors] == sample.grain[:, None]).all(axis=1)
    table = []
    for method, oriented in found.items():
        rows, rotation = oriented
        error = misorientation(rotation, sample.truth[rows], known.group)
        right = np.zeros(len(sample.site), bool)
        right[rows] = error < WITHIN_GRAIN
        first, second = np.random.default_rng(seed).integers(len(rows), size=(2, _N_PAIRS))
        apart = misorientation(rotation[first], rotation[second], known.group)
        same = sample.grain[rows[first]] == sample.grain[rows[second]]
        parts = segment(oriented, neighbors, known.group)
        row: dict[str, Any] = {
            "cell": sample.cell,
            "freedom": " ".join(map(str, known.freedom)),
            "noise": noise,
            "method": method,
            "particles": len(sample.site),
            "with an orientation": len(rows) / len(sample.site),
            "median misorientation to the truth": float(np.median(error)),
            f"within {WITHIN_GRAIN:g} degrees": float(right.mean()),
            f"within {WITHIN_GRAIN:g} degrees, inside": float(right[inside].mean()),
            "area under ROC": area_under_roc(apart[~same], apart[same]),
            "adjusted Rand index": float(adjusted_rand_score(sample.grain, parts)),
        }
        if "PTM" in found:
            _, here, there = np.intersect1d(rows, found["PTM"].rows, return_indices=True)
            between = misorientation(rotation[here], found["PTM"].rotation[there], known.group)
            row["median misorientation to PTM"] = float(np.median(between))
        else:
            row["median misorientation to PTM"] = None
        table.append(row)
    return table
