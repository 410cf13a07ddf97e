"""Names of crystal structures as people use them.

Classes of models are named for AFLOW prototypes, by Pearson symbol and formula. People say fcc, A15
or sigma. This table has every structure that the shipped models know; names and Strukturbericht
designations are those of the AFLOW library (Mehl et al., Comput. Mater. Sci. 136, S1 (2017)).
"""

import unicodedata
from collections.abc import Sequence
from typing import NamedTuple


class Structure(NamedTuple):
    """A crystal structure.

    Attributes
    ----------
    name : str
        Its common name.
    strukturbericht : str
        Strukturbericht designation; empty if there is none.
    space_group : int
        Number of the space group.
    coordination : tuple of int
        Coordination numbers of its sites: neighbors before the largest relative gap between the
        distances of the 20 nearest.
    others : tuple of str
        Further names that it is found by.
    """

    name: str
    strukturbericht: str
    space_group: int
    coordination: tuple[int, ...]
    others: tuple[str, ...] = ()


#: Structures by the name of their class.
STRUCTURES = {
    "cF4-Cu": Structure(
        "fcc", "A1", 225, (12,), ("face-centered cubic", "ccp", "cubic close-packed")
    ),
    "hP2-Mg": Structure("hcp", "A3", 194, (12,), ("hexagonal close-packed",)),
    "cI2-W": Structure("bcc", "A2", 229, (14,), ("body-centered cubic",)),
    "cP1-Po": Structure("sc", "A_h", 221, (6,), ("simple cubic", "primitive cubic")),
    "cF8-C": Structure("cubic diamond", "A4", 227, (4,), ("diamond", "dia", "ice Ic")),
    "hP4-C.3": Structure(
        "hexagonal diamond", "", 194, (4,), ("lonsdaleite", "ice Ih", "wurtzite lattice")
    ),
    "cP8-Cr3Si": Structure("A15", "A15", 223, (12, 14), ("beta-W", "Cr3Si", "Weaire-Phelan")),
    "tP30-CrFe": Structure(
        "sigma", "D8_b", 136, (12, 14, 15), ("sigma phase", "CrFe", "Frank-Kasper sigma")
    ),
    "hP1-HgSn6-10": Structure("simple hexagonal", "A_f", 191, (8,), ("sh", "primitive hexagonal")),
    "tI2-Pa": Structure("bct", "A_a", 139, (14,), ("body-centered tetragonal", "alpha-Pa")),
    "hP2-CW": Structure("WC", "B_h", 187, (6,), ("tungsten carbide",)),
    "hP3-Se": Structure("gamma-Se", "A8", 152, (2,), ("trigonal selenium", "gray selenium")),
    "hR1-Po": Structure("beta-Po", "A_i", 166, (6,), ("simple rhombohedral",)),
    "hR1-Hg": Structure("alpha-Hg", "A10", 166, (12,), ()),
    "hP3-AlB2": Structure("AlB2", "C32", 191, (3, 12), ("aluminum diboride", "hexagonal omega")),
    "hP3-CdI2": Structure("CdI2", "C6", 164, (3, 6), ("trigonal omega",)),
    "aP4-Cf": Structure("high-pressure Cf", "", 2, (10, 12, 13), ()),
    "hP4-C": Structure("buckled graphite", "", 186, (3,), ()),
    "hP4-C.2": Structure("graphite", "A9", 194, (3,), ("hexagonal graphite",)),
    "mC4-O": Structure("alpha-O", "", 12, (1,), ()),
    "mP4-Te": Structure("Te-II", "", 4, (12, 14), ("high-pressure Te",)),
    "oC4-U": Structure("alpha-U", "A20", 63, (16,), ()),
    "tI4-Si": Structure("BCT5", "", 139, (5,), ("bct-5 Si",)),
    "tI4-Sn": Structure("beta-Sn", "A5", 141, (6,), ("white tin",)),
    "tP4-Np": Structure("beta-Np", "A_d", 129, (14,), ()),
    "tP4-N": Structure("gamma-N", "", 136, (1,), ()),
    "hP4-AsNi": Structure("NiAs", "B8_1", 194, (6, 8), ("nickeline", "nickel arsenide")),
    "cP4-O3Re": Structure("ReO3", "D0_9", 221, (6, 10), ("rhenium trioxide",)),
    "tP4-PtS": Structure("PtS", "B17", 131, (4,), ("cooperite",)),
    "hP6-Sc": Structure("Sc-V", "", 178, (14,), ("high-pressure Sc",)),
    "hP6-C": Structure("hP6 carbon", "", 194, (4,), ()),
    "hR2-C": Structure("rhombohedral graphite", "", 166, (3,), ()),
    "hR2-As": Structure("alpha-As", "A7", 166, (3,), ("gray arsenic",)),
    "hR2-O": Structure("beta-O", "", 166, (1,), ()),
    "hP6-CaCu5": Structure("CaCu5", "D2_d", 191, (8, 12, 18), ()),
    "tP6-O2Ti": Structure("rutile", "C4", 136, (3, 6), ("TiO2",)),
    "cP7-B6Ca": Structure("CaB6", "D2_1", 221, (5, 12), ("calcium hexaboride",)),
    "cP8-N": Structure("alpha-N", "", 198, (1,), ()),
    "mP8-C": Structure("mP8 carbon", "", 10, (4,), ()),
    "oC8-Ga": Structure("alpha-Ga", "A11", 64, (7,), ()),
    "oC8-P": Structure("black phosphorus", "A17", 64, (3,), ("black P",)),
    "oF8-Pu": Structure("gamma-Pu", "", 70, (14,), ()),
    "oP8-Np": Structure("alpha-Np", "A_c", 62, (14, 16), ()),
    "tI8-C": Structure("bct-C4", "", 139, (4,), ("bct carbon",)),
    "cP8-FeSi": Structure("FeSi", "B20", 198, (13,), ()),
    "hP9-S": Structure("hP9 sulfur", "", 154, (2,), ()),
    "oF24-Si2Ti": Structure("TiSi2", "C54", 70, (14,), ()),
    "hP4-La": Structure("dhcp", "", 194, (12,), ("double hexagonal close-packed", "alpha-La")),
    "hP9-CrSi2": Structure("CrSi2", "C40", 180, (14,), ()),
    "mC12-Po": Structure("mC12 polonium", "A19", 5, (3,), ()),
    "tP12-C": Structure("tP12 carbon", "", 138, (4,), ()),
    "tP12-Si": Structure("ST12", "", 96, (4,), ("tP12 silicon", "Ge-III")),
    "hP12-MgZn2": Structure("C14", "C14", 194, (12, 16), ("hexagonal Laves", "MgZn2", "Laves C14")),
    "cF12-CaF2": Structure("fluorite", "C1", 225, (8, 10), ("CaF2",)),
    "cP12-FeS2": Structure("pyrite", "C2", 205, (4, 6), ("FeS2",)),
    "tI12-Al2Cu": Structure("CuAl2", "C16", 140, (10, 15), ("Al2Cu", "khatyrkite")),
    "oP16-C": Structure("oP16 carbon", "", 55, (4,), ()),
    "cI16-Si": Structure("BC8", "", 206, (4,), ("gamma-Si", "Si-III")),
    "cI16-Li": Structure("cI16 lithium", "", 220, (11,), ("high-pressure Li",)),
    "mC16-C": Structure("M-carbon", "", 12, (4,), ()),
    "mP16-Pu": Structure("alpha-Pu", "", 11, (4, 5, 14, 16), ()),
    "tI16-S": Structure("S-III", "", 142, (2,), ("tI16 sulfur",)),
    "tP16-Cl": Structure("tP16 chlorine", "A18", 138, (1,), ()),
    "cP20-Mn": Structure("beta-Mn", "A13", 213, (12,), ()),
    "mC24-H": Structure("H-III", "", 15, (1,), ("mC24 hydrogen",)),
    "cF24-Cu2Mg": Structure("C15", "C15", 227, (12, 16), ("cubic Laves", "MgCu2", "Laves C15")),
    "hP24-MgNi2": Structure("C36", "C36", 194, (12, 16), ("MgNi2", "Laves C36")),
    "cI26-Al12W": Structure("Al12W", "", 204, (11, 12), ()),
    "tI26-Mn12Th": Structure("ThMn12", "D2_b", 139, (12, 14), ("Mn12Th",)),
    "cI28-P4Th3": Structure("Th3P4", "D7_3", 220, (8, 17), ("P4Th3",)),
    "tP30-U": Structure("beta-U", "A_b", 136, (12, 14, 15), ()),
    "mP32-Se": Structure("beta-Se", "A_l", 14, (2,), ()),
    "mC34-Pu": Structure("beta-Pu", "", 12, (4, 12, 13, 14, 15), ()),
    "hR12-B": Structure("alpha-B", "", 166, (6, 7), ()),
    "hR13-Fe7W6": Structure(
        "mu", "D8_5", 166, (12, 14, 15, 16), ("mu phase", "Fe7W6", "Frank-Kasper mu")
    ),
    "cP39-Mg2Zn11": Structure("Mg2Zn11", "D8_c", 200, (10, 12, 13, 17), ()),
    "cP46-Si": Structure("clathrate I", "", 223, (4,), ("sI", "clathrate sI")),
    "tP50-B": Structure("T-50 boron", "A_g", 134, (4, 6), ()),
    "cI52-Cu5Zn8": Structure("gamma-brass", "D8_2", 217, (11, 12, 13), ("Cu5Zn8", "gamma brass")),
    "cF52-B12U": Structure("UB12", "D2_f", 225, (4, 5, 12), ("B12U",)),
    "cI58-Mn": Structure("alpha-Mn", "A12", 217, (12, 13, 16), ()),
    "mP84-P": Structure("Hittorf's phosphorus", "", 13, (3,), ("violet phosphorus",)),
    "cF96-NiTi2": Structure("NiTi2", "", 227, (12, 14), ("Ti2Ni",)),
    "cF112-NaZn": Structure("NaZn13", "D2_3", 226, (3, 4, 5, 6, 10, 12), ()),
    "cF116-C6Cr23": Structure("Cr23C6", "D8_4", 225, (8, 13, 14, 16, 18), ("C6Cr23",)),
    "oF128-S": Structure("alpha-S", "A16", 70, (2,), ("orthorhombic sulfur",)),
    "cF136-Si": Structure("clathrate II", "", 227, (4,), ("sII", "clathrate sII")),
    "cI162-Al,Mg32(Zn)49": Structure(
        "Bergman", "", 204, (12, 14, 15, 16), ("Mg32(Zn,Al)49", "Bergman phase")
    ),
    "cF240-C": Structure("C60 fullerite", "", 202, (3,), ("fcc fullerite",)),
    "cP240-C": Structure("C60 fullerite, ordered", "", 205, (3,), ("simple cubic fullerite",)),
    "hR105-B": Structure("beta-B", "", 166, (6, 8, 9), ()),
}


#: Characters of the longest name of a class.
LONGEST_NAME = 200


def is_name(text: str) -> bool:
    """Whether a text can name a class in files, tables and figures: one line, not too long."""
    return 0 < len(text) <= LONGEST_NAME and not any(
        unicodedata.category(letter) in ("Cc", "Cs") for letter in text
    )


def pearson_symbol(class_name: str) -> str:
    """Return the Pearson symbol that the name of a class begins with."""
    return class_name.partition("-")[0]


def title(class_name: str) -> str:
    """Return a class as legends show it: ``"fcc (cF4-Cu)"``, or as it is if it has one name."""
    known = STRUCTURES.get(class_name)
    return class_name if known is None else f"{known.name} ({class_name})"


def class_of_title(text: str) -> str:
    """Return the class that :func:`title` made a text of; a class's own name stands for itself."""
    _, bracket, rest = text.partition(" (")
    return rest[:-1] if bracket and text.endswith(")") and title(rest[:-1]) == text else text


def find_class(name: str, class_names: Sequence[str]) -> str | None:
    """Return the class that a name stands for.

    Parameters
    ----------
    name : str
        The class's own name, or any name or designation in :data:`STRUCTURES`. Spaces, hyphens and
        underscores do not matter, nor do capitals in names of more than two letters: Sc and Si are
        elements. Of other classes, capitals do not matter if a single one is meant.
    class_names : sequence of str
        The classes to choose from.

    Returns
    -------
    str or None
        None if none of them has this name.
    """
    if name in class_names:
        return name
    wanted = _letters(name)
    for one in class_names:
        if one in STRUCTURES:
            known = STRUCTURES[one]
            names = (one, title(one), known.name, known.strukturbericht, *known.others)
            if wanted and wanted in map(_letters, names):
                return one
    alike = [one for one in class_names if one.casefold() == name.casefold()]
    return alike[0] if len(alike) == 1 else None


def _letters(name: str) -> str:
    letters = "".join(letter for letter in name if letter.isalnum())
    return letters if len(letters) < 3 and letters.isalpha() else letters.casefold()
