"""Map of simulated structures by a model that has only seen unit cells (figure 3a of the paper)."""

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

#: Neighbors of a point whose structure is compared with its own.
N_NEAREST = 15

#: What surface particles are called.
SURFACE = "surface"


class Solid(NamedTuple):
    """A simulated solid.

    Attributes
    ----------
    system : System
        Its last frame, warm as it is.
    inside : (N,) bool
        Its bulk.
    structure : (N,) str
        What each particle was identified as, by methods that learn nothing; empty for those of the
        bulk that were not, such as defects.
    """

    system: System
    inside: NDArray[np.bool_]
    structure: NDArray[np.str_]


def solid(warm: System, quenched: System, verdict: str) -> Solid:
    """A solid whose particles are what it was identified as, one by one where that can be told.

    Template matching of the quenched solid tells them one by one where it knows the structure; a
    close-packed solid may be of two. Otherwise all of the bulk is what the solid as a whole is.
    """
    if verdict in references.CRYSTALLINE or verdict == CLOSE_PACKED:
        found = references.template_matching(quenched, references.DEFAULT_CUTOFF).label
        structure = np.where(np.isin(found, references.CRYSTALLINE), found, "")
    else:
        structure = np.full(len(quenched.positions), verdict)
    return Solid(warm, bulk(quenched), structure)


class Points(NamedTuple):
    """Particles of all solids, and what they are.

    Attributes
    ----------
    group : (M,) str
        Structure, or SURFACE.
    solid : (M,) int64
        Which solid it is from.
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
    """Describe at most so many particles of the bulk and of the surface of each solid."""
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
    """Share of nearest neighbors of the same group, all groups with equal weight."""
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
