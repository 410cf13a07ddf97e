"""Neighbors: from positions in a box to the environment of every particle."""

from .boundaries import holding_box, vacuum_box
from .environments import (
    N_NEIGHBORS,
    Environments,
    PeriodicTree,
    mean_bond_length,
    nearest_distance,
    nearest_neighbors,
    scale_bonds,
    shortest_distance,
)

__all__ = [
    "N_NEIGHBORS",
    "Environments",
    "PeriodicTree",
    "holding_box",
    "mean_bond_length",
    "nearest_distance",
    "nearest_neighbors",
    "scale_bonds",
    "shortest_distance",
    "vacuum_box",
]
