"""Names of crystal structures as people use them.

Classes of models are named for AFLOW prototypes, by Pearson symbol and formula. People say fcc, A15
or sigma. This table has every structure that ``structures`` knows, and of those that ``compounds``
does, those that people call something else; names and Strukturbericht designations are those of the
AFLOW library (Mehl et al., Comput. Mater. Sci. 136, S1 (2017)).
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
    # those that only the model of compounds knows, in as far as they have names
    "cF8-ClNa": Structure("rocksalt", "B1", 225, (6,), ("NaCl", "rock salt", "halite")),
    "cP2-ClCs": Structure("CsCl", "B2", 221, (14,), ("caesium chloride", "cesium chloride")),
    "cF8-SZn": Structure("zincblende", "B3", 216, (4,), ("ZnS", "sphalerite", "zinc blende")),
    "hP4-SZn": Structure("wurtzite", "B4", 186, (4,)),
    "cP4-AuCu3": Structure("Cu3Au", "L1_2", 221, (12,), ("AuCu3", "L12")),
    "tP2-AuCu": Structure("CuAu", "L1_0", 123, (12,), ("AuCu", "L10")),
    "hR2-CuPt": Structure("CuPt", "L1_1", 166, (12,), ("L11",)),
    "cF16-BiF3": Structure("BiF3", "D0_3", 225, (14,), ("Fe3Al", "D03")),
    "cF16-NaTl": Structure("NaTl", "B32", 227, (14,)),
    "cF12-AgAsMg": Structure("half-Heusler", "C1_b", 216, (8, 10), ("half Heusler", "AgAsMg")),
    "cF16-AlCu2Mn": Structure("Heusler", "L2_1", 225, (14,), ("full Heusler", "Cu2MnAl")),
    "cP5-CaO3Ti": Structure("perovskite", "E2_1", 221, (6, 12, 14), ("CaTiO3", "cubic perovskite")),
    "cF56-Al2MgO4": Structure("spinel", "H1_1", 227, (4, 6), ("MgAl2O4",)),
    "hR10-Al2O3": Structure("corundum", "D5_1", 167, (4, 6), ("Al2O3",)),
    "cP6-Cu2O": Structure("cuprite", "C3", 224, (2, 4), ("Cu2O",)),
    "hP6-MoS2": Structure("molybdenite", "C7", 194, (3, 6), ("MoS2",)),
    "tI6-MoSi2": Structure("MoSi2", "C11_b", 139, (14,)),
    "tI12-O2Ti": Structure("anatase", "C5", 141, (3, 6)),
    "oP24-O2Ti": Structure("brookite", "C21", 61, (3, 6)),
    "hR10-CCaO3": Structure("calcite", "G0_1", 167, (1, 3, 6), ("CaCO3",)),
    "hP8-Ni3Sn": Structure("Ni3Sn", "D0_19", 194, (12,)),
    "tI8-Al3Ti": Structure("Al3Ti", "D0_22", 139, (12,), ("TiAl3",)),
    "tI16-Al3Zr": Structure("Al3Zr", "D0_23", 139, (12,), ("ZrAl3",)),
    "hP16-Ni3Ti": Structure("Ni3Ti", "D0_24", 194, (12,)),
    "tI10-Al4Ba": Structure("BaAl4", "D1_3", 139, (5, 12, 16), ("Al4Ba",)),
    "tI10-MoNi4": Structure("Ni4Mo", "D1_a", 87, (12,), ("MoNi4",)),
    "cF24-AuBe5": Structure("AuBe5", "C15_b", 216, (12, 16)),
    "hP5-La2O3": Structure("La2O3", "D5_2", 164, (4, 7, 12)),
    "hR5-Bi2Te3": Structure("tetradymite", "C33", 166, (6,), ("Bi2Te3",)),
    "cP36-BaHg11": Structure("BaHg11", "D2_e", 221, (6, 8, 9, 12)),
    "tI16-CuFeS2": Structure("chalcopyrite", "E1_1", 122, (4,), ("CuFeS2",)),
    "tI16-Cu2FeS4Sn": Structure("stannite", "H2_6", 121, (4,)),
    "cI80-Mn2O3": Structure("bixbyite", "D5_3", 206, (6, 14), ("Mn2O3",)),
    "hR10-FeO3Ti": Structure("ilmenite", "E2_2", 148, (4, 6), ("FeTiO3",)),
    "tP4-OPb": Structure("litharge", "B10", 129, (4, 8), ("PbO",)),
    "oP8-MnP": Structure("MnP", "B31", 62, (8, 12)),
    "oP8-BFe": Structure("FeB", "B27", 62, (9, 17)),
    "oP16-CFe3": Structure("cementite", "D0_11", 62, (2, 8, 14), ("Fe3C",)),
    "cP8-Cu3S4V": Structure("sulvanite", "H2_4", 215, (4, 6, 10)),
    "cF36-Cl6K2Pt": Structure("K2PtCl6", "J1_1", 225, (1, 6, 12)),
    "cI32-As3Co": Structure("skutterudite", "D0_2", 204, (4, 6), ("CoAs3",)),
    "cF116-Mn23Th6": Structure("Th6Mn23", "D8_a", 225, (8, 12, 13, 17), ("Mn23Th6",)),
    "oC8-BCr": Structure("CrB", "B33", 63, (9, 17)),
    "hP6-InNi2": Structure("Ni2In", "B8_2", 194, (11, 14), ("InNi2",)),
    "cP12-NiSSb": Structure("ullmannite", "F0_1", 198, (4, 6)),
    "tP6-Cu2Sb": Structure("Cu2Sb", "C38", 129, (9, 12)),
    "tP10-Si2U3": Structure("U3Si2", "D5_a", 127, (9, 14, 17)),
    "hP6-CoSn": Structure("CoSn", "B35", 191, (6, 9, 10)),
    "tI12-Si2Th": Structure("ThSi2", "C_c", 141, (3, 12)),
    "oP12-Cl2Pb": Structure("cotunnite", "C23", 62, (9, 12, 18), ("PbCl2",)),
    "tI8-NbP": Structure("NbP", "", 141, (16,)),
    "hP6-CaIn2": Structure("CaIn2", "", 194, (10, 14)),
    "cF32-Ca7Ge": Structure("Ca7Ge", "", 225, (12,)),
    "cP6-NbO": Structure("NbO", "", 221, (4,)),
    "cP52-Al4Cu9": Structure("gamma-brass Al4Cu9", "D8_3", 215, (11, 12, 13), ("Cu9Al4",)),
    "hP14-N4Si3": Structure("beta-Si3N4", "", 173, (3, 4)),
    "tP4-CuTi": Structure("CuTi", "B11", 129, (14,)),
    "oP4-AuCd": Structure("AuCd", "B19", 51, (12,)),
    "mP4-NiTi": Structure("NiTi martensite", "", 11, (11, 16)),
    "hR6-NiS": Structure("millerite", "B13", 160, (5, 7), ("NiS",)),
    "hP6-HgS": Structure("cinnabar", "B9", 154, (2,), ("HgS",)),
    "tP16-PdS": Structure("PdS", "B34", 84, (4,)),
    "oP8-GeS": Structure("GeS", "B16", 62, (6,)),
    "oI6-MoPt2": Structure("MoPt2", "", 71, (12,)),
    "cP12-Si2Sr": Structure("SrSi2", "", 212, (3, 8)),
    "hP3-BaPtSb": Structure("BaPtSb", "", 187, (3, 12)),
    "tI14-CuLa2O4": Structure("La2CuO4", "", 139, (2, 6, 9, 18), ("K2NiF4",)),
    "cF88-Eu2Ir2O7": Structure("pyrochlore", "", 227, (2, 4, 6, 8)),
    "cI160-Al2Co3O12Si3": Structure("garnet", "S1_4", 230, (2, 4, 6, 8)),
    "hP18-Mg2Ni": Structure("Mg2Ni", "C_a", 180, (10, 15)),
    "oC8-CdPt3": Structure("CdPt3", "", 65, (12,)),
    "hP24-Cu3P": Structure("Cu3P", "D0_21", 165, (6, 8, 11, 12)),
    "tI32-Ni3P": Structure("Ni3P", "D0_e", 82, (9, 13, 14)),
    "cI54-Sb2Tl7": Structure("Tl7Sb2", "L2_2", 229, (14,)),
    "cI76-Cu15Si4": Structure("Cu15Si4", "D8_6", 220, (12, 13)),
    "hP4-NRe3": Structure("Re3N", "", 187, (6, 12, 13)),
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
