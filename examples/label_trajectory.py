"""Label an existing trajectory.

``old.gsd`` stands for yours: a bcc crystal that loses its order. The same from a shell:
``hoomd-gala label old.gsd labeled.gsd``. OVITO shows names and colors of structures in
``labeled.gsd``, whose particle types they are.
"""

from pathlib import Path

import gsd.hoomd
import numpy as np

from hoomd_gala.crystals import crystal, displace, unit_cell
from hoomd_gala.files import frame_labels, make_frame, open_trajectory
from hoomd_gala.labeling import label_trajectory

rng = np.random.default_rng(1)
cell = crystal(unit_cell("cI2-W"), 700)
with gsd.hoomd.open("old.gsd", "w") as trajectory:
    for step, displacement in enumerate((0.02, 0.08, 0.3)):
        trajectory.append(make_frame(displace(cell, displacement, rng), step))

Path("labeled.gsd").unlink(missing_ok=True)  # of an earlier run: nothing is overwritten
label_trajectory("old.gsd", "labeled.gsd", model="structures")

with open_trajectory("labeled.gsd") as trajectory:
    for frame in trajectory:
        label, names = frame_labels(frame)
        share = np.mean(label == names.index("cI2-W"))
        print(f"timestep {frame.configuration.step}: {share:6.1%} cI2-W")
