"""Labels of samples by methods that are not ours, and how labels are stored.

This does not load torch, which only models need: there are many short jobs.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from ovito.data import DataCollection
from ovito.modifiers import ChillPlusModifier

from hoomd_gala.files.atomic import replacing
from hoomd_gala.neighbors.environments import nearest_neighbors
from hoomd_gala.systems import System
from study.simulation.samples import Sample
from study.solids import references
from study.solids.references import Labels

#: CHILL+'s structures of complete environments: OVITO's names, and ours. Hydrate is any clathrate.
HYDRATE = "hydrate"
CHILL = {"HEXAGONAL_ICE": "hP4-C.3", "CUBIC_ICE": "cF8-C", "HYDRATE": HYDRATE}

#: Its cutoff between the first and the second shell of water, 3.5 Å, in units of the mean distance
#: of the four nearest neighbors.
_CHILL_CUTOFF = 3.5 / 2.76


class Labeling(NamedTuple):
    """Labels of a sample's particles by one method.

    Attributes
    ----------
    label : (N,) str
        Names.
    score : (N,) float32
        Confidence of a model, RMSD of template matching, 0 otherwise.
    """

    label: Labels
    score: NDArray[np.float32]


def chill_plus(system: System) -> Labels:
    """Labels by CHILL+ (Nguyen and Molinero, J. Phys. Chem. B 119, 9369 (2015)), (N,)."""
    bonds = nearest_neighbors(system.positions, system.box, n=4).bonds
    cutoff = _CHILL_CUTOFF * float(np.median(np.linalg.norm(bonds, axis=-1)))
    data: DataCollection = references.ovito_data(system)
    modifier = ChillPlusModifier(cutoff=cutoff)
    data.apply(modifier)
    return references.found_labels(data, modifier, CHILL)


def label_classically(samples: Sequence[Sample]) -> dict[str, list[Labeling]]:
    """Label samples by template matching without a limit, and by all methods that have none."""
    found: dict[str, list[Labeling]] = {"PTM": [], "CNA": [], "diamond": [], "CHILL+": []}
    for sample in samples:
        match = references.template_matching(sample.system)
        found["PTM"].append(Labeling(match.label, match.rmsd.astype(np.float32)))
        for name, method in (
            ("CNA", references.adaptive_common_neighbors),
            ("diamond", references.identify_diamond),
            ("CHILL+", chill_plus),
        ):
            labels = method(sample.system)
            found[name].append(Labeling(labels, np.zeros(len(labels), np.float32)))
    return found


def write_labels(path: Path, labelings: dict[str, list[Labeling]]) -> None:
    """Write labels of samples by methods, for each name of a method."""
    arrays: dict[str, NDArray[np.generic]] = {}
    for name, parts in labelings.items():
        label = np.concatenate([part.label for part in parts])
        names, index = np.unique(label, return_inverse=True)
        arrays |= {f"{name}/names": names, f"{name}/label": index.astype(np.int16)}
        arrays[f"{name}/score"] = np.concatenate([part.score for part in parts])
    with replacing(path) as part, open(part, "wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def read_labels(path: Path, samples: Sequence[Sample]) -> dict[str, list[Labeling]]:
    """Read what :func:`write_labels` wrote about samples."""
    ends = np.cumsum([len(sample.truth) for sample in samples])[:-1]
    found = {}
    with np.load(path) as arrays:
        for key in arrays.files:
            name, _, what = key.rpartition("/")
            if what == "names":
                label = arrays[key][arrays[f"{name}/label"]]
                parts = np.split(label, ends), np.split(arrays[f"{name}/score"], ends)
                found[name] = [Labeling(*both) for both in zip(*parts, strict=True)]
    return found
