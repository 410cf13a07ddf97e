"""Crystals: unit cells, what is made of them, and which of their sites are alike."""

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
