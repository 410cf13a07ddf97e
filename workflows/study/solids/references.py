"""Labels by methods that have nothing to do with ours, through OVITO."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ovito.data import DataCollection
from ovito.modifiers import (
    CommonNeighborAnalysisModifier,
    IdentifyDiamondModifier,
    PolyhedralTemplateMatchingModifier,
)

from hoomd_gala.systems import Array, System, lattice_vectors

#: The label of a particle that a method takes for none of its structures.
OTHER = "other"

#: Structures of polyhedral template matching, by OVITO's names, and what we call them.
TEMPLATES = {
    "FCC": "cF4-Cu",
    "HCP": "hP2-Mg",
    "BCC": "cI2-W",
    "SC": "cP1-Po",
    "CUBIC_DIAMOND": "cF8-C",
    "HEX_DIAMOND": "hP4-C.3",
    "GRAPHENE": "graphene",
    "ICO": "icosahedral",
}

#: Structures of common neighbor analysis.
COMMON_NEIGHBORS = {"FCC": "cF4-Cu", "HCP": "hP2-Mg", "BCC": "cI2-W", "ICO": "icosahedral"}

#: Structures of its variant for diamonds; a first or second neighbor of a particle with a whole
#: environment counts.
DIAMONDS = {
    kind + shell: name
    for kind, name in (("CUBIC_DIAMOND", "cF8-C"), ("HEX_DIAMOND", "hP4-C.3"))
    for shell in ("", "_FIRST_NEIGHBOR", "_SECOND_NEIGHBOR")
}

#: RMSD above which OVITO's template matching calls a particle other, unless told otherwise.
DEFAULT_CUTOFF = 0.1

#: RMSD up to which template matching counts a particle of a hot crystal as crystalline.
HOT_CUTOFF = 0.15

#: Templates that make a particle crystalline.
CRYSTALLINE = ("cF4-Cu", "hP2-Mg", "cI2-W", "cF8-C", "hP4-C.3", "cP1-Po")

Labels = NDArray[np.str_]


def ovito_data(system: System) -> DataCollection:
    """A system as OVITO has it."""
    lattice = lattice_vectors(system.box)
    origin = -lattice.sum(axis=0) / 2
    data = DataCollection()
    data.create_cell(np.column_stack([lattice.T, origin]), pbc=(True, True, True))
    particles = data.create_particles(count=len(system.positions))
    particles.create_property("Position", data=system.positions)
    return data


def template_matching(system: System, cutoff: float = 0.0) -> tuple[Labels, Array]:
    """Polyhedral template matching with all of OVITO's structures.

    Parameters
    ----------
    system : System
        The particles.
    cutoff : float
        RMSD above which a particle is other; 0 for no limit.

    Returns
    -------
    labels : (N,) str
        Best template, by our names.
    rmsd : (N,) float64
        Deviation from it, in units of the mean neighbor distance. :func:`within` applies any
        cut-off to labels that were had without.
    """
    modifier = PolyhedralTemplateMatchingModifier(rmsd_cutoff=cutoff, output_rmsd=True)
    for kind in TEMPLATES:
        modifier.structures[getattr(modifier.Type, kind)].enabled = True
    data = ovito_data(system)
    data.apply(modifier)
    return _labels(data, modifier, TEMPLATES), np.array(data.particles["RMSD"])


def within(labels: Labels, rmsd: Array, cutoff: float) -> Labels:
    """Labels of template matching under a cut-off; 0 for no limit."""
    return np.where((rmsd <= cutoff) | (cutoff == 0), labels, OTHER)


def crystalline(system: System) -> float:
    """Fraction of particles that template matching finds in a crystal, which may be hot."""
    labels, _ = template_matching(system, HOT_CUTOFF)
    return float(np.isin(labels, CRYSTALLINE).mean())


def common_neighbor_analysis(system: System) -> Labels:
    """Common neighbor analysis: the variant for diamonds, else the adaptive cut-off."""
    data = ovito_data(system)
    second = IdentifyDiamondModifier()
    data.apply(second)
    diamonds = _labels(data, second, DIAMONDS)
    first = CommonNeighborAnalysisModifier()
    data.apply(first)
    return np.where(diamonds == OTHER, _labels(data, first, COMMON_NEIGHBORS), diamonds)


def _labels(data: DataCollection, modifier: Any, names: Mapping[str, str]) -> Labels:
    kinds = {int(getattr(modifier.Type, kind)): name for kind, name in names.items()}
    structure = np.asarray(data.particles["Structure Type"])
    table = np.array([kinds.get(i, OTHER) for i in range(structure.max() + 1)])
    return table[structure]
