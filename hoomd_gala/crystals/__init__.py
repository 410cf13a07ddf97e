"""Crystals: unit cells, samples made of them, and their distinct local environments."""

from .prototypes import Droplet, UnitCell, crystal, displace, droplet, strain, unit_cell, unit_cells

__all__ = [
    "Droplet",
    "UnitCell",
    "crystal",
    "displace",
    "droplet",
    "strain",
    "unit_cell",
    "unit_cells",
]
