"""Lists the unit cells of the database that look wrong: python tests/screen_cells.py

Four properties of each cell are checked: the number of particles in its Pearson symbol, its space
group as spglib finds it, the shortest bonds that its elements are known to make, and, where it is
known, the coordination of its sites.
"""

import re
from collections import Counter

import numpy as np
import spglib
from ase.data import atomic_numbers, covalent_radii

from hoomd_gala.crystals.prototypes import UnitCell, crystal, unit_cells
from hoomd_gala.neighbors.environments import PeriodicTree
from hoomd_gala.systems import lattice_vectors

#: Half of the shortest bond in Å that atoms make, single or not.
SHORTEST = {
    "H": 0.37,
    "C": 0.57,
    "N": 0.55,
    "O": 0.60,
    "F": 0.71,
    "P": 0.95,
    "S": 0.95,
    "Cl": 0.99,
}

#: The same of all other elements, in units of their covalent radius: that of Pu in its metal.
METAL = 0.69

#: Contacts shorter than this share of the shortest bond are suspicious.
TOO_SHORT = 0.9

#: Number of sites of a cell by coordination, and how many times the shortest distance bonds go to.
#: Of Frank-Kasper phases after Frank and Kasper, Acta Cryst. 12, 483 (1959).
COORDINATION: dict[str, tuple[float, dict[int, int]]] = {
    "cF4-Cu": (1.2, {12: 4}),
    "hP2-Mg": (1.1, {12: 2}),
    "cI2-W": (1.1, {8: 2}),
    "cP1-Po": (1.2, {6: 1}),
    "cF8-C": (1.3, {4: 8}),
    "hP4-C.3": (1.3, {4: 4}),
    "cI16-Si": (1.3, {4: 16}),
    "cP46-Si": (1.3, {4: 46}),
    "cF136-Si": (1.3, {4: 136}),
    "hP1-HgSn6-10": (1.15, {8: 1}),
    "hR1-Hg": (1.1, {6: 1}),
    "hR1-Po": (1.1, {6: 1}),
    "hP3-Se": (1.2, {2: 3}),
    "cP2-ClCs": (1.1, {8: 2}),
    "cF8-ClNa": (1.2, {6: 8}),
    "cF8-SZn": (1.3, {4: 8}),
    "hP4-SZn": (1.3, {4: 4}),
    "cF12-CaF2": (1.1, {4: 8, 8: 4}),
    "cP8-Cr3Si": (1.3, {12: 2, 14: 6}),
    "tP30-CrFe": (1.5, {12: 10, 14: 16, 15: 4}),
    "tP30-U": (1.5, {12: 10, 14: 16, 15: 4}),
    "cF24-Cu2Mg": (1.35, {12: 16, 16: 8}),
    "hP12-MgZn2": (1.35, {12: 8, 16: 4}),
    "hP24-MgNi2": (1.35, {12: 16, 16: 8}),
    "cI58-Mn": (1.5, {12: 24, 13: 24, 16: 10}),
    "cP20-Mn": (1.4, {12: 8, 14: 12}),
    "hR13-Fe7W6": (1.5, {12: 7, 14: 2, 15: 2, 16: 2}),
}


def elements(name: str) -> list[str]:
    """Symbols of the elements in a cell's name."""
    formula = re.sub(r"\.\d+$", "", name.split("-", 1)[1])
    return [symbol for symbol in re.findall(r"[A-Z][a-z]?", formula) if symbol in atomic_numbers]


def shortest_bond(name: str) -> float:
    """The shortest bond, in Å, that two atoms of any elements of a cell make."""
    radii = [SHORTEST.get(e, METAL * covalent_radii[atomic_numbers[e]]) for e in elements(name)]
    return 2 * min(radii)


def suspicions(cell: UnitCell) -> list[str]:
    """What is wrong with a cell, or may be."""
    system = cell.system
    found = []
    symbol = re.match(r"([a-z][A-Z])(\d+)", cell.name)
    assert symbol
    total, expected_total = len(system.positions), int(symbol[2])
    # rhombohedral symbols count the primitive cell, and the database has hexagonal ones
    threefold = symbol[1] == "hR" and total == 3 * expected_total
    if total != expected_total and not threefold:
        found.append(f"{total} particles")
    lattice = lattice_vectors(system.box)
    fractional = system.positions @ np.linalg.inv(lattice)
    symmetry = spglib.get_symmetry_dataset((lattice, fractional, system.types + 1), symprec=1e-2)
    number = None if symmetry is None else symmetry.number
    if number != cell.space_group:
        found.append(f"space group {number} and not {cell.space_group}")
    grown = crystal(cell, 200)  # in units of the shortest distance
    bonds = PeriodicTree.build(grown.positions, grown.box).nearest(np.arange(total)).bonds
    distances = np.linalg.norm(bonds, axis=-1)
    density = len(grown.positions) / np.linalg.det(lattice_vectors(grown.box))
    shortest = (density * np.linalg.det(lattice) / total) ** (1 / 3)
    if shortest < TOO_SHORT * shortest_bond(cell.name):
        found.append(f"particles {shortest:.2f} Å apart")
    if cell.name in COORDINATION:
        cutoff, expected = COORDINATION[cell.name]
        counts = Counter((distances < cutoff).sum(axis=1).tolist())
        if counts != {n: sites * (3 if threefold else 1) for n, sites in expected.items()}:
            found.append(f"coordination {dict(sorted(counts.items()))} and not {expected}")
    return found


if __name__ == "__main__":
    for name, cell in unit_cells().items():
        if found := suspicions(cell):
            print(f"{name}: {', '.join(found)}")
