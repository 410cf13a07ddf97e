"""Samples: systems in which it is known what every particle should be called.

A sample's GSD frame holds the truth as particle types, so that OVITO shows it, and what may be
judged as the chunk ``log/particles/judged``.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import gsd.hoomd
import numpy as np
from numpy.typing import NDArray

from hoomd_gala.errors import InputError
from hoomd_gala.files.atomic import replacing
from hoomd_gala.files.labels import encode_strings
from hoomd_gala.files.trajectories import make_frame, open_trajectory
from hoomd_gala.schema import decode_strings
from hoomd_gala.systems import System, as_system

#: Truth of a particle that is crystalline around an axis or a point that no crystal has: it must
#: not be called a crystal structure, and may be called anything else.
UNNAMED = "no crystal"

_NAME, _JUDGED = "sample", "particles/judged"


class Sample(NamedTuple):
    """A system and what its particles should be called.

    Attributes
    ----------
    name : str
        What is special about it among the samples of its job; frames of the same name count as one
        sample.
    system : System
        The particles, without types.
    truth : (N,) str
        For each the name of a unit cell, ``"disordered"``, or :data:`UNNAMED`.
    judged : (N,) bool
        Particles whose truth is certain.
    """

    name: str
    system: System
    truth: NDArray[np.str_]
    judged: NDArray[np.bool_]


def uniform(name: str, system: System, truth: str) -> Sample:
    """Return a sample all of whose particles should be called the same."""
    n = len(system.positions)
    blind = system._replace(types=np.zeros(n, np.int64))
    return Sample(name, blind, np.full(n, truth), np.ones(n, bool))


def write_samples(path: Path, samples: Iterable[Sample]) -> None:
    """Write samples, made one by one, as frames of a GSD file: all of them or none.

    Raises
    ------
    InputError
        If there are none.
    """
    with replacing(path) as part, gsd.hoomd.open(part, "w") as file:
        for step, sample in enumerate(samples):
            names, kinds = np.unique(sample.truth, return_inverse=True)
            frame = make_frame(sample.system._replace(types=kinds), step, names.tolist())
            frame.log[_NAME] = encode_strings([sample.name])
            frame.log[_JUDGED] = sample.judged.astype(np.uint8)
            file.append(frame)
        if not len(file):
            raise InputError(f"there are no samples for {path}; all crystals have melted.")


def read_samples(path: Path) -> list[Sample]:
    """Read the samples of a file that :func:`write_samples` wrote."""
    samples = []
    with open_trajectory(path) as frames:
        for frame in frames:
            system = as_system(frame)
            truth = np.array(frame.particles.types)[system.types]
            blind = System(system.positions, system.box, np.zeros_like(system.types))
            (name,) = decode_strings(frame.log[_NAME])
            samples.append(Sample(name, blind, truth, frame.log[_JUDGED].astype(bool)))
    return samples
