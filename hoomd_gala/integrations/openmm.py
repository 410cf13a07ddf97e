"""The OpenMM adapter: a reporter that labels the particles of a running simulation."""

import os
from collections.abc import Sequence
from typing import Any

import gsd.hoomd
import numpy as np
import openmm
import torch
from openmm import unit

from ..analyzer import Analyzer
from ..clusters import find_clusters
from ..files.labels import add_labels, check_quantities
from ..files.trajectories import append_frame, make_frame
from ..results import UNKNOWN, Clusters, Result, class_indices
from ..schema import CHUNKS, QUANTITIES
from ..selection import among_neighbors, choose, fill
from ..systems import as_system, box_from_lattice, lattice_vectors, make_system

#: Where HOOMD's logger puts the energies of the system.
THERMODYNAMICS = "md/compute/ThermodynamicQuantities"


def make_openmm_frame(simulation: Any, state: openmm.State) -> gsd.hoomd.Frame:
    """Make a GSD frame of an OpenMM state with positions and energies, as HOOMD would write it.

    Lengths are in nm, energies in kJ/mol; particle types are the names of the topology's atoms. In
    a system without periodic boundaries, positions are OpenMM's own, and the box is large enough to
    hold them, the center at the origin, and to keep them from their images.

    Parameters
    ----------
    simulation : openmm.app.Simulation
        Gives the timestep and the topology.
    state : openmm.State
        With positions and energies.
    """
    positions = state.getPositions(asNumpy=True).value_in_unit(unit.nanometer)
    box, periodic = None, simulation.system.usesPeriodicBoundaryConditions()
    if periodic:  # or the vectors are OpenMM's default: 2 nm, whatever the sample's size
        vectors = np.array(state.getPeriodicBoxVectors().value_in_unit(unit.nanometer))
        box = box_from_lattice(vectors)
        # OpenMM's box starts at the origin, HOOMD's is centered on it
        positions = positions - lattice_vectors(box).sum(axis=0) / 2
    names = [atom.name for atom in simulation.topology.atoms()]
    type_names = list(dict.fromkeys(names))
    types = np.array([type_names.index(name) for name in names])
    system = make_system(positions, box, types, periodic)
    frame = make_frame(system, simulation.currentStep, type_names)
    for name, energy in (
        ("potential_energy", state.getPotentialEnergy()),
        ("kinetic_energy", state.getKineticEnergy()),
    ):
        value = energy.value_in_unit(unit.kilojoule_per_mole)
        frame.log[f"{THERMODYNAMICS}/{name}"] = np.array([value])
    return frame


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
    particles : optional
        Particles to label: indices, a mask, or names of the topology's atoms; all if not given, or
        all of ``neighbors`` where these are. All others have label -1 and fractions are of those
        chosen.
    keep_types : bool
        Leave the simulation's own types in ``file`` as they are.
    neighbors : optional
        Particles that may be neighbors, in the same forms, so that environments are made of them
        alone; they include all of ``particles``. All if not given.
    quantities : sequence of str
        Of ``"label"``, ``"confidence"`` and ``"embedding"``, those that are written to ``file``.
        Embeddings take 128 bytes per particle, and are written in any case if the model has no
        classes.
    clusters : bool, str or sequence of str
        Names of structures whose clusters are found for every report, with ``True`` those of
        anything solid; see :func:`hoomd_gala.clusters.find_clusters`. The cluster of each particle,
        the size of the largest and the number of clusters are written to ``file``.

    Attributes
    ----------
    result : Result or None
        The latest labels, in the order of the particles' indices.
    clusters : Clusters or None
        The latest clusters, of all particles; None where they are not found.

    Raises
    ------
    InputError
        If there is no class that ``clusters`` names, and, when it reports, for particles or
        neighbors that the simulation does not have.
    """

    def __init__(
        self,
        file: str | os.PathLike[str] | None,
        reportInterval: int,
        model: str | os.PathLike[str] = "structures",
        device: str = "auto",
        particles: Any = None,
        keep_types: bool = False,
        neighbors: Any = None,
        quantities: Sequence[str] = QUANTITIES,
        clusters: bool | str | Sequence[str] | None = None,
    ) -> None:
        self.file = file
        self.interval = reportInterval
        self.analyzer = Analyzer(model, device)
        self.particles = particles
        self.neighbors = neighbors
        self.keep_types = keep_types
        self.quantities = check_quantities(quantities, self.analyzer.class_names)
        self._finds_clusters = clusters is not False and clusters is not None
        self._structure = None if isinstance(clusters, bool) else clusters
        class_indices(self.analyzer.class_names, self._structure)
        self.result: Result | None = None
        self.clusters: Clusters | None = None

    @property
    def largest_cluster(self) -> int | None:
        """Particles in the largest cluster of the latest report; None where none are found."""
        return None if self.clusters is None else self.clusters.largest

    @property
    def n_clusters(self) -> int | None:
        """How many clusters there are in the latest report; None where none are found."""
        return None if self.clusters is None else len(self.clusters.sizes)

    def describeNextReport(self, simulation: Any) -> dict[str, Any]:
        """Return the steps until the next report, and what it needs of the state."""
        steps = self.interval - simulation.currentStep % self.interval
        return {"steps": steps, "periodic": False, "include": ["positions", "energy"]}

    def report(self, simulation: Any, state: openmm.State) -> None:
        """Label the particles and append a frame."""
        frame = make_openmm_frame(simulation, state)
        system = as_system(frame, periodic=simulation.system.usesPeriodicBoundaryConditions())
        choice = choose(system, self.particles, self.neighbors)
        if choice.particles is not None:
            choice = choice._replace(particles=np.unique(choice.particles))
        self.result = self.analyzer.analyze_running(*among_neighbors(system, choice))
        if self._finds_clusters:
            total = len(system.positions)
            self.clusters = find_clusters(
                system,
                fill(self.result.label, choice.labeled, total, UNKNOWN),
                self.analyzer.class_names,
                self._structure,
                workers=torch.get_num_threads(),
                neighbors=choice.neighbors,
            )
        if self.file is not None:
            add_labels(frame, self.result, choice.labeled, tuple(CHUNKS), self.clusters)
            append_frame(self.file, frame, self.keep_types, self.quantities)
