"""Lists the unit cells of the database that look wrong: python tests/screen_cells.py [TABLE]

Four properties of each cell are checked: the number of particles in its Pearson symbol, its space
group as spglib finds it, the shortest distances of its elements, and, where that is known, the
coordination of its sites.

TABLE is another collection of the same prototypes, ``aflow_prototypes.json.gz`` of pymatgen. Then
structures of that table are listed that no cell is like.
"""

import gzip
import itertools
import json
import re
import sys
from collections import Counter, defaultdict

import numpy as np
import spglib
from ase.data import atomic_numbers, covalent_radii

from hoomd_gala.crystals.prototypes import UnitCell, crystal, unit_cells
from hoomd_gala.neighbors.environments import PeriodicTree
from hoomd_gala.systems import Array, System, lattice_vectors, make_system

#: Shortest distance of two atoms in units of the sum of their covalent radii. Most metals, in which
#: atoms are closest to each other, have 0.85 or more.
TOO_SHORT = 0.79

#: Cells with shorter distances that are right, or as the structure was described.
KNOWN_SHORT = {
    "5f metals": "aP4-Cf mC34-Pu mP16-Pu oC4-U oP8-Np tP30-U tP4-Np cI16-CoU tI16-SiU3",
    "metals under pressure": "hP6-Sc",
    "triple bonds": "cP8-CO cP8-N tP4-N hP36-Ag(CKN)2 hP3-AuCN oP6-CClN",
    "double bonds of metals with O": "mP16-O3W oP14-O5Ta2 oP16-MoO3 oP24-MoO4]2Pr[Rb oP32-O3W "
    "oP34-O4]2O5[Re2S tP26-Ba2O8Si2Ti",
    "chains of W in W5Si3": "tI32-Si3W5",
    # described so, and later found to be Mo2B4 and another Ca3Al2O6
    "as described": "hR7-B5Mo2 cP33-Al2Ca3O6",
    # by radii of atoms, which are larger than those of the ions
    "large cations": "oP28-La2NiO4 tP76-BaCr2O12Ru4",
}

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
    "tP4-PtS": (1.3, {4: 4}),
    "cP12-FeS2": (1.1, {4: 8, 6: 4}),
    "cP12-NiSSb": (1.11, {4: 8, 6: 4}),
    "tP6-O2Ti": (1.1, {3: 4, 6: 2}),
    "oP24-O2Ti": (1.15, {3: 16, 6: 8}),
    "cI80-Mn2O3": (1.25, {4: 48, 6: 32}),
    "cF12-CaF2": (1.1, {4: 8, 8: 4}),
    "oP8-BFe": (1.3, {7: 4, 9: 4}),
    "hP18-Mg2Ni": (1.05, {4: 12, 10: 6}),
    "cP8-Cr3Si": (1.3, {12: 2, 14: 6}),
    "tP30-CrFe": (1.5, {12: 10, 14: 16, 15: 4}),
    "tP30-U": (1.5, {12: 10, 14: 16, 15: 4}),
    "cF24-Cu2Mg": (1.35, {12: 16, 16: 8}),
    "hP12-MgZn2": (1.35, {12: 8, 16: 4}),
    "hP24-MgNi2": (1.35, {12: 16, 16: 8}),
    "cI58-Mn": (1.5, {12: 24, 13: 24, 16: 10}),
    "cP20-Mn": (1.4, {12: 8, 14: 12}),
    "hR13-Fe7W6": (1.5, {12: 7, 14: 2, 15: 2, 16: 2}),
    "cP36-BaHg11": (1.35, {10: 12, 12: 21, 20: 3}),
    "cI162-Al,Mg32(Zn)49": (1.5, {12: 98, 14: 12, 15: 12, 16: 40}),
}

#: Elements in names that are those of molecules and groups.
GROUPS = {"oP48-Be": "CH", "tP184-AsCeMe8P4Ph4S8": "AsCCePS"}


def formula(name: str) -> dict[str, int]:
    """Elements in a cell's name, with their numbers if these are all that there is."""
    text = GROUPS.get(name, re.sub(r"\.\d+$", "", name.split("-", 1)[1]))
    counts = {e: int(n or 1) for e, n in re.findall(r"([A-Z][a-z]?)(\d*)", text)}
    simple = re.fullmatch(r"([A-Z][a-z]?\d*)+", text) and name not in GROUPS
    return {e: n if simple else 0 for e, n in counts.items() if e in atomic_numbers}


def assignments(cell: UnitCell) -> list[tuple[str, ...]]:
    """Elements that the types of a cell may stand for; the order of types tells nothing."""
    sizes = np.bincount(cell.system.types)
    counts = formula(cell.name)
    present = list(counts)
    present += present[:1] * (len(sizes) - len(present))
    every = list(itertools.permutations(present, len(sizes)))
    numbers = [np.array([counts[e] for e in chosen]) for chosen in every]
    fitting = [
        chosen
        for chosen, wanted in zip(every, numbers, strict=True)
        if (sizes * wanted.sum() == wanted * sizes.sum()).all() and wanted.all()
    ]
    return fitting or every


def tightness(types: Array, neighbors: Array, distances: Array, chosen: tuple[str, ...]) -> float:
    """Shortest distance in units of the sum of the two elements' covalent radii."""
    radii = np.array([covalent_radii[atomic_numbers[e]] for e in chosen])
    return float((distances / (radii[types][:, None] + radii[neighbors])).min())


def volume_scaled(system: System, n: int = 20) -> tuple[Array, Array, float]:
    """Distances to (N, n) neighbors, whose types these are, and the length that is their unit."""
    count = len(system.positions)
    grown = crystal(UnitCell("", 1, system), 200)
    found = PeriodicTree.build(grown.positions, grown.box).nearest(np.arange(count), n=n)
    length = (np.linalg.det(lattice_vectors(grown.box)) / len(grown.positions)) ** (1 / 3)
    unit = (np.linalg.det(lattice_vectors(system.box)) / count) ** (1 / 3)
    distances = np.linalg.norm(found.bonds, axis=-1) / length
    return distances, grown.types[found.neighbors], float(unit)


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
    distances, neighbors, unit = volume_scaled(system)
    tightest = max(
        tightness(system.types, neighbors[:, :8], unit * distances[:, :8], chosen)
        for chosen in assignments(cell)
    )
    if tightest < TOO_SHORT and cell.name not in " ".join(KNOWN_SHORT.values()).split():
        found.append(f"particles {unit * distances.min():.2f} Å apart, {tightest:.2f} of the radii")
    if cell.name in COORDINATION:
        cutoff, expected = COORDINATION[cell.name]
        counts = Counter((distances < cutoff * distances.min()).sum(axis=1).tolist())
        if counts != {n: sites * (3 if threefold else 1) for n, sites in expected.items()}:
            found.append(f"coordination {dict(sorted(counts.items()))} and not {expected}")
    return found


def unlike_all(path: str) -> list[str]:
    """Structures of pymatgen's table whose environments no cell of the same symbol has."""
    known = defaultdict(list)
    for name, cell in unit_cells().items():
        known[name.split("-")[0], cell.space_group].append(volume_scaled(cell.system)[0])
    found = []
    with gzip.open(path) as file:
        table = json.load(file)
    for entry in table:
        tags, structure = entry["tags"], entry["snl"]
        # a box with its first edge along x and its second in the plane of x and y
        edges = np.linalg.qr(np.array(structure["lattice"]["matrix"]).T)[1].T
        edges *= np.sign(np.diag(edges))[None]
        (lx, xy, xz), (ly, yz), lz = edges[:, 0], edges[1:, 1], edges[2, 2]
        box = [lx, ly, lz, xy / ly, xz / lz, yz / lz]
        sites = np.array([site["abc"] for site in structure["sites"]])
        rows = volume_scaled(make_system(sites @ edges, box))[0]
        cells = known[tags["pearson"], int(tags["aflow"].split("_")[2])]
        differences = [np.abs(rows[:, None] - one[None]).max(axis=-1) for one in cells]
        # each site of one is a site of the other
        if not any(max(d.min(axis=0).max(), d.min(axis=1).max()) < 5e-3 for d in differences):
            found.append(f"{tags['aflow']} {tags['strukturbericht']} {tags['mineral']}")
    return found


if __name__ == "__main__":
    for name, cell in unit_cells().items():
        if found := suspicions(cell):
            print(f"{name}: {', '.join(found)}")
    if len(sys.argv) > 1:
        print("not among the cells:", *unlike_all(sys.argv[1]), sep="\n  ")
