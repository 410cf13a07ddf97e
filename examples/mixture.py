"""A crystal of one species among another: who is a neighbor decides what is seen.

A warm bcc crystal of A is in a solvent of B. Among all particles it looks disordered; among
particles of A it is a crystal. The same works for the oxygens of ice among hydrogens, for colloids
among depletants, in ``hoomd_gala.Classifier(neighbors=hoomd.filter.Type(["A"]))`` and on the
command line: ``hoomd-gala label run.gsd out.gsd --types A --neighbors A``.
"""

import numpy as np

import hoomd_gala
from hoomd_gala.crystals import crystal, displace, unit_cell
from hoomd_gala.files import make_frame
from hoomd_gala.systems import make_system

rng = np.random.default_rng(1)
solid = displace(crystal(unit_cell("bcc"), 1000), 0.04, rng)
solvent = rng.uniform(-0.5, 0.5, (3 * len(solid.positions), 3)) * solid.box[:3]
types = np.repeat([0, 1], [len(solid.positions), len(solvent)])
system = make_system(np.concatenate((solid.positions, solvent)), solid.box, types)
frame = make_frame(system, 0, ["A", "B"])

analyzer = hoomd_gala.Analyzer("structures")
everybody = analyzer.analyze(frame, particles="A")
print(
    f"A among all: {everybody.fraction('bcc'):.1%} bcc, {everybody.fraction('unknown'):.1%} unknown"
)
alone = analyzer.analyze(frame, particles="A", neighbors="A")
print(f"A among A: {alone.fraction('bcc'):.1%} bcc")
