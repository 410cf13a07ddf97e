"""Labels by independent methods, through OVITO."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from ovito.data import DataCollection
from ovito.modifiers import (
    CommonNeighborAnalysisModifier,
    IdentifyDiamondModifier,
    PolyhedralTemplateMatchingModifier,
)

from hoomd_gala.systems import Array, System, lattice_vectors

#: Label of a particle that a method assigns none of its structures.
OTHER = "other"

#: Structures of polyhedral template matching: OVITO's names, and ours.
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

#: Structures of its variant for diamond; first and second neighbors of a particle with a complete
#: environment count.
DIAMONDS = {
    kind + shell: name
    for kind, name in (("CUBIC_DIAMOND", "cF8-C"), ("HEX_DIAMOND", "hP4-C.3"))
    for shell in ("", "_FIRST_NEIGHBOR", "_SECOND_NEIGHBOR")
}

#: Default RMSD cutoff of OVITO's template matching.
DEFAULT_CUTOFF = 0.1

#: RMSD cutoff of template matching for particles of a hot crystal.
HOT_CUTOFF = 0.15

#: Templates that make a particle crystalline.
CRYSTALLINE = ("cF4-Cu", "hP2-Mg", "cI2-W", "cF8-C", "hP4-C.3", "cP1-Po")

Labels = NDArray[np.str_]


def ovito_data(system: System) -> DataCollection:
    """Return a system as an OVITO data collection."""
    lattice = lattice_vectors(system.box)
    origin = -lattice.sum(axis=0) / 2
    data = DataCollection()
    data.create_cell(np.column_stack([lattice.T, origin]), pbc=(True, True, True))
    particles = data.create_particles(count=len(system.positions))
    particles.create_property("Position", data=system.positions)
    return data


def within(label: Labels, rmsd: NDArray[np.floating], cutoff: float) -> Labels:
    """Labels of template matching under an RMSD cutoff, (N,); 0 for no limit."""
    return np.where((rmsd <= cutoff) | (cutoff == 0), label, OTHER)


class TemplateMatch(NamedTuple):
    """Polyhedral template matching of all particles.

    Attributes
    ----------
    label : (N,) str
        Best template, by our names.
    rmsd : (N,) float64
        Deviation from it, in units of the mean neighbor distance.
    orientation : (N, 4) float64
        Rotation (x, y, z, w) from the template to the particle's environment.
    """

    label: Labels
    rmsd: Array
    orientation: Array

    def within(self, cutoff: float) -> Labels:
        """Labels under an RMSD cutoff, (N,); 0 for no limit."""
        return within(self.label, self.rmsd, cutoff)


def template_matching(
    system: System, cutoff: float = 0.0, templates: Iterable[str] = TEMPLATES
) -> TemplateMatch:
    """Polyhedral template matching by OVITO.

    Parameters
    ----------
    system : System
        The particles.
    cutoff : float
        RMSD above which a particle is other; 0 for no limit.
    templates : iterable of str
        Templates to try, by OVITO's names; all of them by default.
    """
    modifier = PolyhedralTemplateMatchingModifier(
        rmsd_cutoff=cutoff, output_rmsd=True, output_orientation=True
    )
    chosen = set(templates)
    for kind in TEMPLATES:
        modifier.structures[getattr(modifier.Type, kind)].enabled = kind in chosen
    data = ovito_data(system)
    data.apply(modifier)
    return TemplateMatch(
        found_labels(data, modifier, TEMPLATES),
        np.array(data.particles["RMSD"]),
        np.array(data.particles["Orientation"]),
    )


def crystalline(system: System) -> float:
    """Fraction of crystalline particles by template matching, in a crystal that may be hot."""
    return float(np.isin(template_matching(system, HOT_CUTOFF).label, CRYSTALLINE).mean())


def adaptive_common_neighbors(system: System) -> Labels:
    """Labels by common neighbor analysis with adaptive cutoff, (N,)."""
    data = ovito_data(system)
    modifier = CommonNeighborAnalysisModifier()
    data.apply(modifier)
    return found_labels(data, modifier, COMMON_NEIGHBORS)


def identify_diamond(system: System) -> Labels:
    """Labels by the variant of common neighbor analysis for diamond, (N,)."""
    data = ovito_data(system)
    modifier = IdentifyDiamondModifier()
    data.apply(modifier)
    return found_labels(data, modifier, DIAMONDS)


def common_neighbor_analysis(system: System) -> Labels:
    """Labels by common neighbor analysis, (N,): the variant for diamond, else adaptive cutoff."""
    diamonds = identify_diamond(system)
    return np.where(diamonds == OTHER, adaptive_common_neighbors(system), diamonds)


def found_labels(data: DataCollection, modifier: Any, names: Mapping[str, str]) -> Labels:
    """Labels that a modifier of structure types found, (N,), by our names for OVITO's."""
    kinds = {int(getattr(modifier.Type, kind)): name for kind, name in names.items()}
    structure = np.asarray(data.particles["Structure Type"])
    table = np.array([kinds.get(i, OTHER) for i in range(structure.max() + 1)])
    found: Labels = table[structure]
    return found
