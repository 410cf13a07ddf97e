"""Compounds by positions alone, and by which particles are of one type as well.

``structures`` gives a compound the name of its parent lattice. ``auto`` takes the model
``compounds``, as there are several types, and says so once. Which of them is called what does not
matter: the last line is rocksalt with its types exchanged.
"""

import numpy as np

import hoomd_gala
from hoomd_gala.crystals import crystal, displace, unit_cell

rng = np.random.default_rng(1)
by_positions, by_types = hoomd_gala.Analyzer("structures"), hoomd_gala.Analyzer("auto")

for name in ("cP2-ClCs", "cF8-SZn", "cP4-AuCu3", "cF8-ClNa"):
    system = displace(crystal(unit_cell(name), 1000), 0.05, rng)
    print(f"{name} by positions: {by_positions.analyze(system)}")
    print(f"{name} by types:     {by_types.analyze(system)}")

exchanged = 1 - system.types
print(f"exchanged:         {by_types.analyze(system, types=exchanged)}")
