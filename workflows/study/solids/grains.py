"""Grains of a polycrystal from orientations, what they are worth, and pictures of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_array
from scipy.spatial.transform import Rotation
from sklearn.cluster import DBSCAN
from sklearn.metrics import adjusted_rand_score

from hoomd_gala.neighbors.environments import PeriodicTree
from study.comparison.measures import area_under_roc
from study.figures.analysis import matplotlib, plt, save_figure
from study.solids.orientations import Oriented
from study.solids.polycrystals import Integers, Polycrystal, misorientation, symmetry

#: Degrees that orientations of the same grain differ by at most.
_SAME = 10.0

#: Of 20 neighbors, those that have to agree with a particle for it to pass its grain on to them.
_AGREEING = 12

#: Pairs of particles whose orientations are compared.
_N_PAIRS = 20_000


def segment(found: Oriented, neighbors: Integers, group: Rotation) -> Integers:
    """Number of the grain that each particle is in, (N,): neighbors of one orientation share it.

    A density-based clustering, so that a chance agreement does not join two grains. Particles in
    none are grains of their own.
    """
    total = len(neighbors)
    place = np.full(total, -1)
    place[found.rows] = np.arange(len(found.rows))
    first, second = np.repeat(np.arange(total), neighbors.shape[1]), neighbors.ravel()
    known = (place[first] >= 0) & (place[second] >= 0)
    first, second = first[known], second[known]
    apart = misorientation(found.turned[place[first]], found.turned[place[second]], group)
    graph = csr_array((apart, (first, second)), shape=(total, total))
    clusters = DBSCAN(eps=_SAME, min_samples=_AGREEING, metric="precomputed").fit_predict(graph)
    return np.where(clusters >= 0, clusters, total + np.arange(total))


def scores(
    sample: Polycrystal, noise: float, found: Mapping[str, Oriented], seed: int
) -> list[dict[str, Any]]:
    """How well a method finds the orientations and the grains that a polycrystal was made with.

    Shares are of all particles, so that one without an orientation counts as missed. Inside are
    those whose 20 neighbors are of their own grain. An area under the ROC curve of 1 tells all
    pairs of the same grain from all others by their misorientation, one of 0.5 none; pairs are of
    particles with an orientation.
    """
    known = symmetry(sample.cell)
    tree = PeriodicTree.build(sample.system.positions, sample.system.box)
    neighbors = tree.nearest().neighbors
    inside = (sample.grain[neighbors] == sample.grain[:, None]).all(axis=1)
    table = []
    for method, oriented in found.items():
        rows, turned = oriented
        error = misorientation(turned, sample.truth[rows], known.group)
        right = np.zeros(len(sample.site), bool)
        right[rows] = error < _SAME
        first, second = np.random.default_rng(seed).integers(len(rows), size=(2, _N_PAIRS))
        apart = misorientation(turned[first], turned[second], known.group)
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
            f"within {_SAME:g} degrees": float(right.mean()),
            f"within {_SAME:g} degrees, inside": float(right[inside].mean()),
            "area under ROC": area_under_roc(apart[~same], apart[same]),
            "adjusted Rand index": float(adjusted_rand_score(sample.grain, parts)),
        }
        if "PTM" in found:
            _, here, there = np.intersect1d(rows, found["PTM"].rows, return_indices=True)
            between = misorientation(turned[here], found["PTM"].turned[there], known.group)
            row["median misorientation to PTM"] = float(np.median(between))
        else:
            row["median misorientation to PTM"] = None
        table.append(row)
    return table


#: What a figure shows, and what it is called there.
_SHOWN = {
    "frames": "frame of each particle",
    "frames around": "frames of a neighborhood",
    "bonds around": "bonds of a neighborhood",
    "PTM": "template matching",
}


def draw(
    path: Path, samples: Sequence[tuple[Polycrystal, Mapping[str, Oriented]]], title: str
) -> None:
    """A slice of each polycrystal: its grains, and which grain's orientation a method finds."""
    columns = 1 + len(_SHOWN)
    figure, axes = plt.subplots(
        len(samples),
        columns,
        figsize=(3.6 * columns, 3.9 * len(samples)),
        layout="constrained",
        squeeze=False,
    )
    for parts, (sample, found) in zip(axes, samples, strict=True):
        group = symmetry(sample.cell).group
        every = np.arange(len(sample.site))
        palette = plt.get_cmap("tab10")(np.arange(len(sample.turned)) % 10)
        shown = {f"{sample.cell}: grains": Oriented(every, sample.truth)}
        shown |= {_SHOWN[method]: found[method] for method in _SHOWN if method in found}
        layer = abs(sample.system.positions[:, 2]) < 0.8
        points = sample.system.positions[layer, :2]
        for part in parts[len(shown) :]:
            part.set_axis_off()
            part.text(0.5, 0.5, "no template", ha="center", transform=part.transAxes)
        for part, (name, (rows, turned)) in zip(parts, shown.items(), strict=False):
            colors = np.full((len(every), 4), matplotlib.colors.to_rgba("0.87"))
            colors[rows] = matplotlib.colors.to_rgba("0.35")
            for number, color in enumerate(palette):
                truth = sample.turned[np.full(len(rows), number)]
                colors[rows[misorientation(turned, truth, group) < _SAME]] = color
            part.scatter(*points.T, s=22, c=colors[layer], linewidths=0)
            part.set(aspect="equal", xticks=[], yticks=[], title=name)
    figure.suptitle(
        f"{title}\ncolored by the grain whose orientation is found within {_SAME:g} degrees; "
        "dark grey: another orientation; light grey: none"
    )
    save_figure(path, figure)
