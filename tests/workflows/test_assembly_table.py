"""The table of assemblies that one reads."""

from study.reports import assemblies

ROW = {
    "system": "OPP k=6.25 phi=4.1007",
    "particles": 800,
    "timesteps": 416000,
    "seed": 3,
    "verdict": "cP8-Cr3Si",
    "nearest cell": "cP8-Cr3Si",
    "distance": 0.073,
    "proportions": 0.04,
    "PTM": "other",
    "PTM share": 0.8,
    "PTM, close-packed": 0.0,
    "first shell": "14: 54 %, 12: 36 %",
    "Voronoi": "14: 55 %, 12: 28 %, 13: 11 %, 15: 3 %",
    "Voronoi, ideal": "14: 74 %, 12: 26 %",
    "fourfold": 0.91,
    "sixfold": 0.2,
    "twelvefold": 0.1,
    "tenfold": 0.78,
    "condensation, kT": 0.864,
    "freezing, kT": 0.6912,
    "labels by structures": "cP8-Cr3Si 67 %, tP30-CrFe 21 %",
} | {f"Q{degree}": degree / 100 for degree in (2, 4, 6, 8, 10, 12)}


def cells(row):
    """What stands in the line of an assembly."""
    line = assemblies.table([row]).splitlines()[2]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_line_says_what_formed_and_why():
    assert cells(ROW) == [
        "OPP k=6.25 phi=4.1007",
        "800, 416000, 3",
        "cP8-Cr3Si",
        "cP8-Cr3Si (0.073; 0.04)",
        "first shell 14: 54 %; Voronoi 14: 55 %, 12: 28 %, 13: 11 % (14: 74 %, 12: 26 % in the "
        "cell); diffraction fourfold (0.91)",
        "0.86, 0.69",
        "cP8-Cr3Si 67 %, tP30-CrFe 21 %",
    ]


def test_templates_count_where_there_is_one():
    row = ROW | {"PTM": "hP2-Mg", "PTM share": 0.48, "PTM, close-packed": 0.7}
    assert cells(row)[4] == "PTM hP2-Mg 48 %, 22 % in other stackings"
    assert cells(row | {"PTM, close-packed": 0.48})[4] == "PTM hP2-Mg 48 %"


def test_a_quasicrystal_is_told_by_its_symmetry():
    assert cells(ROW | {"verdict": "icosahedral quasicrystal"})[4] == (
        "tenfold diffraction (0.78); global bond order of degrees 6 (0.06), 10 (0.1), 12 (0.12) "
        "against 2 (0.02), 4 (0.04), 8 (0.08)"
    )
