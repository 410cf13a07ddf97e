"""Neighbors: from positions in a box to the environment of every particle."""

from .environments import (
    N_NEIGHBORS,
    Environments,
    PeriodicTree,
    mean_bond_length,
    nearest_neighbors,
    scale_bonds,
    shortest_distance,
)

__all__ = [
    "N_NEIGHBORS",
    "Environments",
    "PeriodicTree",
    "mean_bond_length",
    "nearest_neighbors",
    "scale_bonds",
    "shortest_distance",
]
