"""How GSD frames hold labels: the one place that knows the names of the chunks.

Labels are stored as HOOMD's own logger stores them, so that a file looks the same whichever
program wrote it: per-particle quantities under ``log/particles/hoomd_gala/Classifier``, which OVITO
shows as particle properties, and per-frame ones under ``log/hoomd_gala/Classifier``. Where particle
types stand for structures, the simulation's own types are kept under ``hoomd_gala/simulation``.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

#: Where HOOMD's logger puts the quantities of ``hoomd_gala.Classifier``.
NAMESPACE = "hoomd_gala/Classifier"

LABEL, CONFIDENCE, EMBEDDING = (
    f"particles/{NAMESPACE}/{name}" for name in ("label", "confidence", "embedding")
)
#: Cluster of each particle, and numbers of them.
CLUSTER = f"particles/{NAMESPACE}/cluster"
LARGEST_CLUSTER, N_CLUSTERS = (f"{NAMESPACE}/{name}" for name in ("largest_cluster", "n_clusters"))

#: What is known of each particle, and the chunks that hold it.
CHUNKS = {"label": LABEL, "confidence": CONFIDENCE, "embedding": EMBEDDING}

#: What is known of clusters, and the chunks that hold it.
CLUSTER_CHUNKS = {
    "cluster": CLUSTER,
    "largest_cluster": LARGEST_CLUSTER,
    "n_clusters": N_CLUSTERS,
}

#: What is written of each particle unless something else is asked for. An embedding has 128 bytes,
#: sixteen times as many as the two of these.
QUANTITIES = ("label", "confidence")

FRACTIONS, NAMES = (f"{NAMESPACE}/{name}" for name in ("fractions", "names"))

#: The simulation's own types where particle types stand for structures.
OWN_TYPEID = "particles/hoomd_gala/simulation/typeid"
OWN_TYPES, OWN_SHAPES = (f"hoomd_gala/simulation/{name}" for name in ("types", "type_shapes"))


def ovito_name(chunk: str) -> str:
    """Return OVITO's name for the property that it makes of a logged per-particle quantity."""
    return chunk.removeprefix("particles/").replace("/", "_")


def own_typeid(frame: Any) -> Any:
    """Return the simulation's own particle types in a GSD frame or HOOMD snapshot."""
    typeid = frame.particles.typeid
    own = getattr(frame, "log", {}).get(OWN_TYPEID, typeid)
    # a frame that another program appended has those of the file's first one
    return typeid if own is None or len(own) != frame.particles.N else own


def decode_strings(rows: ArrayLike) -> list[str]:
    """Strings from the rows of null-padded UTF-8 that GSD holds."""
    return [np.asarray(row, np.int8).tobytes().split(b"\0")[0].decode() for row in np.asarray(rows)]


def own_type_names(frame: Any) -> list[str]:
    """Return the names of the simulation's own types in a GSD frame or HOOMD snapshot."""
    own = getattr(frame, "log", {}).get(OWN_TYPES)
    if own is not None and own_typeid(frame) is not frame.particles.typeid:
        return decode_strings(own)
    return list(frame.particles.types or ["A"])
