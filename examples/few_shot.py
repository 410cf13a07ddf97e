"""Teach a model names of your own with 20 labeled particles of each structure.

The sample is a droplet of σ, a Frank-Kasper phase, in a gas. ``labels.csv`` stands for labels given
by hand: 20 particles of the droplet and 20 of the gas. The new model ``mine.safetensors`` names all
others.
"""

import csv
from pathlib import Path

import gsd.hoomd
import numpy as np

import hoomd_gala
from hoomd_gala.cli import main
from hoomd_gala.crystals import crystal, displace, droplet, unit_cell
from hoomd_gala.files import make_frame
from hoomd_gala.systems import System

rng = np.random.default_rng(1)
ball = displace(droplet(crystal(unit_cell("tP30-CrFe"), 4000), 0.8).system, 0.04, rng)
box = ball.box * [1.5, 1.5, 1.5, 1, 1, 1]
gas = (rng.random((2000, 3)) - 0.5) * box[:3]
# no gas where the droplet is
gas = gas[np.linalg.norm(gas, axis=1) > np.linalg.norm(ball.positions, axis=1).max() + 1]
positions = np.concatenate((ball.positions, gas))
system = System(positions, box, np.zeros(len(positions), int))
with gsd.hoomd.open("run.gsd", "w") as trajectory:
    trajectory.append(make_frame(system, step=0))

# inside the droplet, and outside
distance = np.linalg.norm(positions, axis=1)
radius = distance[: len(ball.positions)].max()
inside, outside = np.flatnonzero(distance < radius - 1.5), np.flatnonzero(distance > radius)
with open("labels.csv", "w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["frame", "particle", "name"])
    for name, particles in (("sigma", inside), ("gas", outside)):
        writer.writerows([0, particle, name] for particle in rng.permutation(particles)[:20])

Path("mine.safetensors").unlink(missing_ok=True)  # of an earlier run: nothing is overwritten
command = "finetune structures --gsd run.gsd --labels labels.csv --output mine.safetensors"
if main(command.split()) == 0:
    analyzer = hoomd_gala.Analyzer("mine.safetensors")
    names = analyzer.analyze(system.positions, system.box).names
    print(f"inside the droplet: {np.mean(names[inside] == 'sigma'):.1%} sigma")
    print(f"outside: {np.mean(names[outside] == 'gas'):.1%} gas")
