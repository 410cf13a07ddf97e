"""Fractions of structures along a labeled trajectory, and checks of its labels."""

from pathlib import Path
from typing import Any

import numpy as np

from hoomd_gala.files import decode_strings, open_trajectory
from hoomd_gala.results import DISORDERED, UNKNOWN_NAME
from hoomd_gala.schema import FRACTIONS, LABEL, NAMES
from hoomd_gala.systems import as_system
from study.simulation.protocol import Protocol
from study.solids.references import HOT_CUTOFF, template_matching

#: Our structures that are checked by polyhedral template matching, with OVITO's names.
PTM_STRUCTURES = {"cF4-Cu": "FCC", "hP2-Mg": "HCP", "cI2-W": "BCC"}

#: Temperature above which everything is fluid.
FLUID_KT = 0.8


def fractions(trajectory: Path, protocol: Protocol) -> tuple[list[str], list[dict[str, float]]]:
    """Timestep, temperature, energy and fraction of each structure, frame by frame."""
    rows = []
    with open_trajectory(trajectory) as frames:
        names = [*decode_strings(frames[0].log[NAMES]), UNKNOWN_NAME]
        for frame in frames:
            step = int(frame.configuration.step)
            energy = float(frame.log["md/compute/ThermodynamicQuantities/potential_energy"][0])
            shares = frame.log[FRACTIONS].tolist()
            rows.append(
                {"timestep": step, "kT": protocol.kT(step), "energy": energy / frame.particles.N}
                | dict(zip(names, shares, strict=True))
            )
    return names, rows


def checks(trajectory: Path, protocol: Protocol) -> list[dict[str, Any]]:
    """Check labels against template matching in the last frame, and against the temperature.

    Returns
    -------
    list of dict
        For each check, what is compared, the number of particles and the fraction that agrees.
    """
    with open_trajectory(trajectory) as frames:
        names = decode_strings(frames[0].log[NAMES])
        steps = [int(frame.configuration.step) for frame in frames]
        labels = [frame.log[LABEL] for frame in frames]
        last = as_system(frames[-1])
    reference = template_matching(last, HOT_CUTOFF, PTM_STRUCTURES.values()).label
    rows = []
    for name, structure in PTM_STRUCTURES.items():
        chosen = reference == name
        if name in names and chosen.any():
            agree = float((labels[-1][chosen] == names.index(name)).mean())
            what = f"{structure} by PTM labeled {name}, last frame"
            rows.append({"check": what, "particles": int(chosen.sum()), "agreement": agree})
    fluid = [
        label for step, label in zip(steps, labels, strict=True) if protocol.kT(step) > FLUID_KT
    ]
    if fluid and DISORDERED in names:
        flat = np.concatenate(fluid)
        agree = float((flat == names.index(DISORDERED)).mean())
        what = f"frames above kT = {FLUID_KT} labeled disordered"
        rows.append({"check": what, "particles": len(flat), "agreement": agree})
    return rows
