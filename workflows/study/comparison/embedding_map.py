"""Embeddings of simulated solids by a model trained on unit cells only, and their scores."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import silhouette_score
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from hoomd_gala.systems import System
from study.comparison.descriptors import Descriptor
from study.solids import references
from study.solids.evidence import CLOSE_PACKED
from study.solids.order import bulk

#: Neighbors of a point that are compared with it.
N_NEAREST = 15

#: Group of surface particles.
SURFACE = "surface"


class Solid(NamedTuple):
    """A simulated solid.

    Attributes
    ----------
    system : System
        Its last frame, at its temperature.
    inside : (N,) bool
        Its bulk.
    structure : (N,) str
        Structure of each particle by methods without learning; empty for particles of the bulk
        without one, such as defects.
    """

    system: System
    inside: NDArray[np.bool_]
    structure: NDArray[np.str_]


def solid(warm: System, quenched: System, verdict: str) -> Solid:
    """Return a solid with the structure of each particle, from its identification as a whole.

    Where template matching knows the structure, it classifies the particles of the quenched solid
    one by one, as a close-packed solid may have two. Otherwise all have the structure of the whole.
    """
    if verdict in references.CRYSTALLINE or verdict == CLOSE_PACKED:
        found = references.template_matching(quenched, references.DEFAULT_CUTOFF).label
        structure = np.where(np.isin(found, references.CRYSTALLINE), found, "")
    else:
        structure = np.full(len(quenched.positions), verdict)
    return Solid(warm, bulk(quenched), structure)


class Points(NamedTuple):
    """Particles of all solids.

    Attributes
    ----------
    group : (M,) str
        Structure, or SURFACE.
    solid : (M,) int64
        Index of the solid.
    features : dict of str to (M, D)
        By descriptor.
    """

    group: NDArray[np.str_]
    solid: NDArray[np.int64]
    features: dict[str, NDArray[np.floating]]


def collect(
    solids: Sequence[Solid],
    descriptors: Mapping[str, Descriptor],
    n_bulk: int,
    n_surface: int,
    rng: np.random.Generator,
) -> Points:
    """Describe at most ``n_bulk`` and ``n_surface`` random particles of each solid."""
    groups: list[str] = []
    origin: list[int] = []
    features: dict[str, list[NDArray[np.floating]]] = {name: [] for name in descriptors}
    for index, solid in enumerate(solids):
        order = rng.permutation(len(solid.inside))
        chosen = solid.inside & (solid.structure != "")
        inner = order[chosen[order]][:n_bulk]
        surface = order[~solid.inside[order]][:n_surface]
        groups += [*solid.structure[inner], *[SURFACE] * len(surface)]
        origin += [index] * (len(inner) + len(surface))
        for name, descriptor in descriptors.items():
            features[name].append(descriptor(solid.system, np.concatenate((inner, surface))))
    return Points(
        np.array(groups),
        np.array(origin),
        {name: np.concatenate(parts) for name, parts in features.items()},
    )


def purity(features: NDArray[np.floating], group: NDArray[np.str_]) -> float:
    """Mean share of nearest neighbors in the same group, with equal weight for all groups.

    Parameters
    ----------
    features : (M, D) float
        Coordinates in the space of a descriptor.
    group : (M,) str
        Structure of each particle.
    """
    search = NearestNeighbors(n_neighbors=min(N_NEAREST + 1, len(features))).fit(features)
    near = search.kneighbors(features, return_distance=False)[:, 1:]
    same = (group[near] == group[:, None]).mean(axis=1)
    return float(np.mean([same[group == name].mean() for name in np.unique(group)]))


def scores(points: Points) -> list[dict[str, Any]]:
    """Purity and silhouette of the bulk in the space of each descriptor.

    Each number of a descriptor is standardized, so that its units do not matter.
    """
    inner = points.group != SURFACE
    rows = []
    for name, features in points.features.items():
        scaled = StandardScaler().fit_transform(features[inner])
        several = len(np.unique(points.group[inner])) > 1
        rows.append(
            {
                "descriptor": name,
                "numbers": features.shape[1],
                "purity": purity(scaled, points.group[inner]),
                "silhouette": float(silhouette_score(scaled, points.group[inner]))
                if several
                else np.nan,
                "particles": int(inner.sum()),
            }
        )
    return rows
