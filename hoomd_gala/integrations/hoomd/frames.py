"""GSD frames of HOOMD-blue's snapshots."""

from typing import Any

import gsd.hoomd
import numpy as np

#: What a snapshot and a frame know of each particle, but for types.
_PARTICLES = (
    "position",
    "orientation",
    "typeid",
    "mass",
    "charge",
    "diameter",
    "body",
    "moment_inertia",
    "velocity",
    "angmom",
    "image",
)

#: Groups of particles that have types.
_GROUPS = ("bonds", "angles", "dihedrals", "impropers", "pairs")


def snapshot_frame(snapshot: Any, step: int) -> gsd.hoomd.Frame:
    """Make a GSD frame with everything that a snapshot holds.

    Parameters
    ----------
    snapshot : hoomd.Snapshot
        On rank 0.
    step : int
        Timestep of the frame.
    """
    frame = gsd.hoomd.Frame()
    frame.configuration.step = int(step)
    frame.configuration.box = np.array(snapshot.configuration.box)
    frame.particles.N = snapshot.particles.N
    frame.particles.types = list(snapshot.particles.types)
    for name in _PARTICLES:
        setattr(frame.particles, name, np.array(getattr(snapshot.particles, name)))
    for name in _GROUPS:
        held, group = getattr(snapshot, name), getattr(frame, name)
        if held.N:
            group.N, group.types = held.N, list(held.types)
            group.typeid, group.group = np.array(held.typeid), np.array(held.group)
    constraints = snapshot.constraints
    if constraints.N:
        frame.constraints.N = constraints.N
        frame.constraints.value = np.array(constraints.value)
        frame.constraints.group = np.array(constraints.group)
    return frame
