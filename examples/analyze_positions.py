"""Label positions given as arrays: a warm bcc crystal, then a random gas."""

import numpy as np

import hoomd_gala
from hoomd_gala.crystals import crystal, displace, unit_cell

rng = np.random.default_rng(1)
analyzer = hoomd_gala.Analyzer("structures")

system = displace(crystal(unit_cell("cI2-W"), 2000), 0.05, rng)
result = analyzer.analyze(system.positions, system.box)
print(f"bcc with displacements of 0.05: {result.fractions['cI2-W']:.1%} cI2-W")

gas = rng.uniform(-10, 10, size=(2000, 3))
result = analyzer.analyze(gas, [20, 20, 20, 0, 0, 0])
crystalline = 1 - result.fractions["disordered"] - result.fractions["unknown"]
print(f"random gas: {crystalline:.1%} called crystalline")
