"""The OpenMM adapter: a reporter that labels the particles of a running simulation."""

import os
from collections.abc import Sequence
from typing import Any

import gsd.hoomd
import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import unit

from ..analyzer import Analyzer
from ..errors import InputError
from ..files.labels import add_labels
from ..files.trajectories import append_frame, make_frame
from ..results import Result
from ..systems import as_system, box_from_lattice, lattice_vectors, make_system

#: Where HOOMD's logger puts the energies of the system.
THERMODYNAMICS = "md/compute/ThermodynamicQuantities"


def make_openmm_frame(simulation: Any, state: openmm.State) -> gsd.hoomd.Frame:
    """Make a GSD frame of an OpenMM state with positions and energies, as HOOMD would write it.

    Lengths are in nm, energies in kJ/mol; particle types are the names of the topology's atoms.

    Parameters
    ----------
    simulation : openmm.app.Simulation
        Gives the timestep and the topology.
    state : openmm.State
        With positions and energies.

    Raises
    ------
    InputError
        For a system without periodic boundaries.
    """
    _check_boundaries(simulation)
    vectors = np.array(state.getPeriodicBoxVectors().value_in_unit(unit.nanometer))
    box = box_from_lattice(vectors)
    positions = state.getPositions(asNumpy=True).value_in_unit(unit.nanometer)
    # OpenMM's box starts at the origin, HOOMD's is centered on it
    positions = positions - lattice_vectors(box).sum(axis=0) / 2
    names = [atom.name for atom in simulation.topology.atoms()]
    type_names = list(dict.fromkeys(names))
    types = np.array([type_names.index(name) for name in names])
    frame = make_frame(make_system(positions, box, types), simulation.currentStep, type_names)
    for name, energy in (
        ("potential_energy", state.getPotentialEnergy()),
        ("kinetic_energy", state.getKineticEnergy()),
    ):
        value = energy.value_in_unit(unit.kilojoule_per_mole)
        frame.log[f"{THERMODYNAMICS}/{name}"] = np.array([value])
    return frame


def _check_boundaries(simulation: Any) -> None:
    """Refuse systems whose box is only OpenMM's default: 2 nm, whatever the sample's size."""
    if not simulation.system.usesPeriodicBoundaryConditions():
        raise InputError(
            "no force of this OpenMM system uses periodic boundaries, so that it has no box to "
            "find neighbors or write positions in; use forces with periodic boundaries, in a "
            "box with empty space around the sample if need be."
        )


class ClassifierReporter:
    """Appends labeled frames to a GSD file, for ``openmm.app.Simulation.reporters``.

    The file is what :class:`hoomd_gala.Classifier` writes: its particle types are the structures,
    which OVITO shows by name and color, and the simulation's own types are logged quantities.

    Parameters
    ----------
    file : str or path, optional
        GSD file, appended to if it exists; with None, only :attr:`result` is set.
    reportInterval : int
        Timesteps between frames.
    model : str or path
        A shipped model's name, or a model file.
    device : str or torch.device
        Where the network runs; ``"auto"`` is the GPU where there is one.
    particles : sequence of int or of bool, optional
        Indices of the particles to label, or a mask; all if not given. All others are still
        neighbors; their label is -1 and fractions are of those chosen.
    keep_types : bool
        Leave the simulation's own types in ``file`` as they are.

    Attributes
    ----------
    result : Result or None
        The latest labels, in the order of the particles' indices.

    Raises
    ------
    InputError
        When the run starts, for a system without periodic boundaries; when it reports, for
        particles that the simulation does not have.
    """

    def __init__(
        self,
        file: str | os.PathLike[str] | None,
        reportInterval: int,
        model: str | os.PathLike[str] = "structures",
        device: str = "auto",
        particles: Sequence[int] | None = None,
        keep_types: bool = False,
    ) -> None:
        self.file = file
        self.interval = reportInterval
        self.analyzer = Analyzer(model, device)
        self.particles: NDArray[np.int64] | None = None
        if particles is not None:
            chosen = np.asarray(particles)
            mask = chosen.dtype == bool
            self.particles = np.flatnonzero(chosen) if mask else np.unique(chosen.astype(np.int64))
        self.keep_types = keep_types
        self.result: Result | None = None

    def describeNextReport(self, simulation: Any) -> dict[str, Any]:
        """Return the steps until the next report, and what it needs of the state."""
        _check_boundaries(simulation)
        steps = self.interval - simulation.currentStep % self.interval
        return {"steps": steps, "periodic": False, "include": ["positions", "energy"]}

    def report(self, simulation: Any, state: openmm.State) -> None:
        """Label the particles and append a frame."""
        frame = make_openmm_frame(simulation, state)
        chosen, total = self.particles, frame.particles.N
        if chosen is not None and not ((chosen >= 0) & (chosen < total)).all():
            raise InputError(f"particles must be 0 to {total - 1}, not {chosen}.")
        self.result = self.analyzer.analyze_running(as_system(frame), chosen)
        if self.file is not None:
            append_frame(self.file, add_labels(frame, self.result, chosen), self.keep_types)
