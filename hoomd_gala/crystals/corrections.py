"""What is wrong with unit cells of the database: corrected, or left out where that is not certain.

The cells are those of the AFLOW library, in whose parameters the same numbers are wrong. In
each, particles nearly coincide, or sites have a coordination that the structure is not known for.
Fractional coordinates are by index in the cell of pyriodic-aflow, whose origin is shifted by
(1/2, 1/2, 1/2) against that of the references. ``python tests/screen_cells.py`` finds such cells.
"""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from ..systems import Array


class Correction(NamedTuple):
    """What is to be changed in a unit cell.

    Attributes
    ----------
    sites : mapping of int to (3,) float
        Fractional coordinates of particles, by index.
    lengths : tuple of float, or None
        Lx, Ly and Lz of the box in Å, with the same fractional coordinates; None leaves them.
    """

    sites: Mapping[int, Sequence[float]] = MappingProxyType({})
    lengths: tuple[float, float, float] | None = None


def _threefold_sites(x: float) -> Array:
    """(32, 3) fractional coordinates of site 32e of Fd-3m, (x, x, x) with the origin at -3m."""
    one = np.array(
        [
            (x, x, x),
            (0.75 - x, 0.25 - x, x + 0.5),
            (0.25 - x, x + 0.5, 0.75 - x),
            (x + 0.5, 0.75 - x, 0.25 - x),
        ]
    )
    centering = np.array([(0, 0, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0)])
    both = np.concatenate((one, -one))
    sites: Array = (both[:, None] + centering).reshape(-1, 3) % 1
    return sites


def _from(first: int, sites: Iterable[Sequence[float]]) -> dict[int, Sequence[float]]:
    return dict(enumerate(sites, start=first))


#: Corrections by the name of the cell.
CORRECTIONS: dict[str, Correction] = {
    # the 2a site of P4_2/mnm is given at 2b (Bergman and Shoemaker, Acta Cryst. 7, 857 (1954));
    # corrected, it has the coordination polyhedra of a Frank-Kasper phase, as the next one has
    "tP30-CrFe": Correction({28: (0.5, 0.5, 0.5), 29: (0.0, 0.0, 0.0)}),
    # z of the 4e site is 0.094 (Komura and Tokunaga, Acta Cryst. B 36, 1548 (1980))
    "hP24-MgNi2": Correction(
        _from(20, [(0.5, 0.5, 0.094), (0.5, 0.5, 0.594), (0.5, 0.5, 0.906), (0.5, 0.5, 0.406)])
    ),
    # x of the 32e site of Fd-3m is given as 0.2624 and should be 0.2177, beside 8a (1/8, 1/8, 1/8)
    # and 96g (0.182, 0.182, 0.370): all have four neighbors then
    "cF136-Si": Correction(_from(96, _threefold_sites(0.2177) + 0.5)),
    # a is that of the doubled cell, c that of the primitive one; Pt-S is 2.31 and not 2.89 Å
    # (Grønvold, Haraldsen and Kjekshus, Acta Chem. Scand. 14, 1879 (1960))
    "tP4-PtS": Correction(lengths=(3.470, 3.470, 6.110)),
    # a is 4.12 Å: Si 1.43 Å apart (6.636 Å: Kasper and Richards, Acta Cryst. 17, 752 (1964))
    "cI16-Si": Correction(lengths=(6.636, 6.636, 6.636)),
    # b is given as 3.449 and should be 5.449 (Meagher and Lager, Can. Mineral. 17, 77 (1979))
    "oP24-O2Ti": Correction(lengths=(9.174, 5.449, 5.138)),
    # a and b are those of Pmnb, the coordinates those of Pnma (Zintl and Harder, Z. Elektrochem.
    # 41, 33 (1935)); H 1.94 Å apart before, and 2.74 Å now
    "oP12-H2Sr": Correction(lengths=(6.364, 3.875, 7.343)),
    # x of Sb is given as 0.875 and should be 0.625 (Takéuchi, Mineral. J. 2, 90 (1957)); all sites
    # have the coordination of pyrite then, of which this is an ordered variant
    "cP12-NiSSb": Correction(
        _from(
            0,
            [
                (0.375, 0.875, 0.625),
                (0.875, 0.625, 0.375),
                (0.625, 0.375, 0.875),
                (0.125, 0.125, 0.125),
            ],
        )
    ),
    # Ti is given at y = 1/4 and is at 3/4 with these coordinates, which is (0.4113, 1/4, 0.2816)
    # (Bührer et al., J. Phys. F 13, L77 (1983)); Ni-Ti is 1.45 Å before, and 2.51 Å now
    "mP4-NiTi": Correction({0: (0.9113, 0.75, 0.7816), 1: (0.0887, 0.25, 0.2184)}),
    # B is given at (0.125, 1/4, 0.690) and Fe with x = -0.180; B has seven or nine Fe and two B
    # around it with the coordinates of B27 (Bjurström, Ark. Kemi Mineral. Geol. 11A, 12 (1933))
    "oP8-BFe": Correction(
        _from(
            0,
            [
                (0.180, 0.75, 0.875),
                (0.680, 0.75, 0.625),
                (0.820, 0.25, 0.125),
                (0.320, 0.25, 0.375),
                (0.036, 0.75, 0.390),
                (0.536, 0.75, 0.110),
                (0.964, 0.25, 0.610),
                (0.464, 0.25, 0.890),
            ],
        )
    ),
    # z of 6f and x of 6i are exchanged (Schefer et al., J. Less-Common Met. 74, 65 (1980)); Mg is
    # 2.06 Å apart before, and 2.94 Å now
    "hP18-Mg2Ni": Correction(
        _from(
            0,
            [
                (0.174, 0.337, 1 / 6),
                (0.337, 0.663, 5 / 6),
                (0.663, 0.826, 0.5),
                (0.826, 0.663, 1 / 6),
                (0.663, 0.337, 5 / 6),
                (0.337, 0.174, 0.5),
                (0.5, 0.0, 0.05257),
                (0.0, 0.0, 0.71923),
                (0.0, 0.5, 0.38590),
                (0.5, 0.0, 0.28077),
                (0.0, 0.0, 0.94743),
                (0.0, 0.5, 0.61410),
            ],
        )
    ),
    # z of the second 6c site of Th is given as 0.31 and should be 0.03 (Florio, Baenziger and
    # Rundle, Acta Cryst. 9, 367 (1956)); Th is 2.60 Å apart before, and 3.42 Å now
    "hP20-Fe3Th7": Correction(
        _from(
            0,
            [
                (0.956, 0.044, 0.03),
                (0.044, 0.588, 0.53),
                (0.588, 0.044, 0.03),
                (0.044, 0.956, 0.53),
                (0.956, 0.412, 0.03),
                (0.412, 0.956, 0.53),
            ],
        )
    ),
    # y of 12j is given as 0.115 and should be 0.155 (Peyronel, Gazz. Chim. Ital. 82, 679 (1952));
    # Hg is 2.21 Å apart before, and 2.98 Å now
    "cP36-BaHg11": Correction(
        _from(
            0,
            [
                (0.345, 0.345, 0.0),
                (0.345, 0.655, 0.0),
                (0.655, 0.345, 0.0),
                (0.655, 0.655, 0.0),
                (0.0, 0.345, 0.655),
                (0.0, 0.655, 0.345),
                (0.0, 0.345, 0.345),
                (0.0, 0.655, 0.655),
                (0.345, 0.0, 0.655),
                (0.345, 0.0, 0.345),
                (0.655, 0.0, 0.345),
                (0.655, 0.0, 0.655),
            ],
        )
    ),
    # 8b of Ia-3 is given at 8a (Pauling and Shappell, Z. Kristallogr. 75, 128 (1930), and later
    # versions of AFLOW); Mn has six O around it then
    "cI80-Mn2O3": Correction(
        _from(
            72,
            [
                (0.25, 0.75, 0.25),
                (0.75, 0.25, 0.25),
                (0.25, 0.25, 0.75),
                (0.25, 0.25, 0.25),
                (0.75, 0.25, 0.75),
                (0.25, 0.75, 0.75),
                (0.75, 0.75, 0.25),
                (0.75, 0.75, 0.75),
            ],
        )
    ),
}

#: Cells that are left out, and why: distances in Å that these atoms do not have.
LEFT_OUT: dict[str, str] = {
    "cF104-F6KP": "disordered F, on sites that are filled to a quarter: F-F 0.90 Å",
    "cP16-H3P": "P without H in bonding distance (2.27 Å), H-H 0.83 Å",
    "cP264-Al2Ca3O6": "Ca-O 1.59 Å",
    "cP64-CCs2Fe[N]6Zn": "C-N 0.40 Å",
    "hP10-Er3Ru2": "Ru-Ru 1.97 Å",
    "hP12-MoS2": "Mo-S 1.98 Å",
    "hR6-ISSm": "Sm-S 2.28 Å",
    "mP13-Mo8P5": "Mo-P 1.82 Å",
    "oC22-MoO8V2": "Mo-V 0.97 Å, O-O 0.99 Å",
    "oF72-GeS2": "S-S 1.28 Å without a bond",
    "oP12-Ag2Se.2": "Ag-Se 2.07 Å, Ag-Ag 2.32 Å",
    "oP16-NiTaTe2": "Ni-Te 1.49 Å",
    "oP24-CsMoO4]2Pr[": "Mo-O 1.44 Å, Mo-Mo 2.55 Å",
    "oP46-Bi5Nb3O15": "Nb-Nb 1.17 Å, Bi-Bi 1.39 Å",
    "tI20-Sb2TlZn2": "Tl-Zn 1.89 Å",
    "tI24-Co5Ge7": "Co-Ge 0.33 Å",
    "tP12-HgI2": "I-I 0.36 Å",
    "tP20-As2BaGe2": "As-Ge 1.84 Å",
    "tP32-BaSi": "Ba-Si 2.49 Å beside 3.50 Å",
    "tP40-Al7Cu2Fe": "Al-Al 2.04 Å",
    "tP40-H2Na4O22[O]4Si8Ti2": "Si-O 0.76 Å",
    "tP64-B2H)6MgOO(": "O-H 0.57 Å, and H without O in bonding distance",
    "tP64-H]3NaOZn[": "O-H 0.45 Å",
    "tP88-As2O7Sr2": "As-O 1.21 Å",
}
