"""Label a LAMMPS dump, for OVITO and for LAMMPS's own tools.

``melt.dump`` stands for yours: an fcc crystal that loses its order. The same from a shell:
``hoomd-gala label melt.dump labeled.gsd``. Any other file that OVITO or ASE reads goes the same
way. The labeled dump keeps all columns of the first one.
"""

from pathlib import Path

import numpy as np

from hoomd_gala.crystals import crystal, displace, unit_cell
from hoomd_gala.files import frame_labels, open_trajectory
from hoomd_gala.labeling import label_trajectory

rng = np.random.default_rng(1)
cell = crystal(unit_cell("cF4-Cu"), 800)
Lx, Ly, Lz = cell.box[:3]
with open("melt.dump", "w") as dump:
    for step, displacement in enumerate((0.02, 0.08, 0.3)):
        system = displace(cell, displacement, rng)
        print("ITEM: TIMESTEP", 1000 * step, sep="\n", file=dump)
        print("ITEM: NUMBER OF ATOMS", len(system.positions), sep="\n", file=dump)
        print("ITEM: BOX BOUNDS pp pp pp", file=dump)
        for length in (Lx, Ly, Lz):
            print(0, length, file=dump)
        print("ITEM: ATOMS id type x y z c_pe", file=dump)
        for i, (x, y, z) in enumerate(system.positions, 1):
            print(i, 1, x, y, z, rng.normal(-6.0, 0.1), file=dump)

for name in ("labeled.gsd", "labeled.lammpstrj"):
    Path(name).unlink(missing_ok=True)  # of an earlier run: nothing is overwritten
    label_trajectory("melt.dump", name, model="structures")

with open_trajectory("labeled.gsd") as trajectory:
    for frame in trajectory:
        label, names = frame_labels(frame)
        share = np.mean(label == names.index("cF4-Cu"))
        print(f"timestep {frame.configuration.step}: {share:6.1%} cF4-Cu")
