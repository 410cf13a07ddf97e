"""Simulations in which not everybody is a neighbor; also for scripts that run on MPI ranks."""

import gsd.hoomd
import hoomd
import numpy as np
from scipy.spatial import KDTree

from hoomd_gala.crystals.prototypes import crystal, displace, unit_cell
from hoomd_gala.files import make_frame
from hoomd_gala.systems import System

#: Constituents of a body, around its center.
AROUND = [tuple(site) for site in np.concatenate([np.eye(3), -np.eye(3)]).tolist()]


def write_bodies(path, free=True):
    """Centers of bodies ("R") on fcc sites as a GSD file; a ninth may be free particles ("F")."""
    rng = np.random.default_rng(5)
    sites = displace(crystal(unit_cell("cF4-Cu"), 500), 0.03, rng)
    total = len(sites.positions)
    kinds = np.where(free & (np.arange(total) % 9 == 4), 2, 0)
    box = sites.box * [3.2, 3.2, 3.2, 1, 1, 1]
    frame = make_frame(System(3.2 * sites.positions, box, kinds), 0, ["R", "A", "F"])
    frame.particles.moment_inertia = np.ones((total, 3))
    frame.particles.body = np.where(kinds == 0, np.arange(total), -1)
    turns = rng.normal(size=(total, 4))
    frame.particles.orientation = turns / np.linalg.norm(turns, axis=1)[:, None]
    with gsd.hoomd.open(path, "w") as trajectory:
        trajectory.append(frame)


def write_solution(path):
    """A bcc crystal of "A" among twice as many "B" as a GSD file."""
    rng = np.random.default_rng(6)
    sites = displace(crystal(unit_cell("cI2-W"), 432), 0.03, rng)
    box = sites.box * [2, 2, 2, 1, 1, 1]
    solute = 2 * sites.positions % box[:3]
    solvent = rng.random((6000, 3)) * box[:3]
    away = KDTree(solute, boxsize=box[:3]).query(solvent)[0] > 1
    positions = np.concatenate([solute, solvent[away][: 2 * len(solute)]])
    kinds = (np.arange(len(positions)) >= len(solute)).astype(int)
    with gsd.hoomd.open(path, "w") as trajectory:
        trajectory.append(make_frame(System(positions, box, kinds), 0, ["A", "B"]))


def simulation_of(path, communicator=None, domains=(None, None, None)):
    """A simulation of either, in which nothing moves until it is given velocities."""
    simulation = hoomd.Simulation(hoomd.device.CPU(communicator=communicator), seed=1)
    simulation.create_state_from_gsd(str(path), domain_decomposition=domains)
    integrator = hoomd.md.Integrator(0.001)
    moving = hoomd.filter.All()
    if "R" in simulation.state.particle_types:
        rigid = hoomd.md.constrain.Rigid()
        rigid.body["R"] = {
            "constituent_types": ["A"] * len(AROUND),
            "positions": AROUND,
            "orientations": [(1, 0, 0, 0)] * len(AROUND),
        }
        rigid.create_bodies(simulation.state)
        integrator.integrate_rotational_dof = True
        integrator.rigid = rigid
        moving = hoomd.filter.Rigid(("center", "free"))
    integrator.methods.append(hoomd.md.methods.ConstantVolume(moving))
    simulation.operations.integrator = integrator
    return simulation
