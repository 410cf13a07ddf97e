"""Clusters and slabs: systems that are not periodic, or not in all directions.

An fcc ball in vacuum has no images, so that its inside is fcc and its surface is not; a slab is
periodic along two directions. Both come from any object that says so (freud's boxes, ASE's ``pbc``,
OVITO's cells), or with ``periodic=``.
"""

import numpy as np

import hoomd_gala
from hoomd_gala.crystals import crystal, displace, unit_cell

rng = np.random.default_rng(1)
analyzer = hoomd_gala.Analyzer("structures")
bulk = displace(crystal(unit_cell("fcc"), 4000), 0.04, rng)

distance = np.linalg.norm(bulk.positions - bulk.positions.mean(axis=0), axis=1)
ball = bulk.positions[distance < 6]
result = analyzer.analyze(ball, periodic=False)
inside = np.sort(distance[distance < 6])[len(ball) // 3]
core = distance[distance < 6] < inside
fcc = result.names == "cF4-Cu"
print(f"ball of {len(ball)}: {fcc.mean():.1%} fcc, {fcc[core].mean():.1%} of the inner third")

slab = analyzer.analyze(bulk.positions, bulk.box, periodic=(True, True, False))
print(f"slab of {len(bulk.positions)}: {slab.fraction('fcc'):.1%} fcc")
infinite = analyzer.analyze(bulk.positions, bulk.box)
print(f"the same in bulk: {infinite.fraction('fcc'):.1%} fcc")
