"""The OpenMM adapter: a reporter that labels the particles of a running simulation."""

import os
from collections.abc import Sequence
from typing import Any

import gsd.hoomd
import numpy as np
import openmm
import torch
from numpy.typing import NDArray
from openmm import unit

from ..analyzer import Analyzer
from ..clusters import find_clusters
from ..files.appending import Appender
from ..files.labels import add_labels, check_quantities
from ..files.shipped import AUTO
from ..files.trajectories import make_frame
from ..results import UNKNOWN, Clusters, Result, class_indices, no_clusters
from ..schema import CHUNKS, QUANTITIES
from ..selection import Choice, among_neighbors, choose, fill
from ..systems import System, as_system, box_from_lattice, lattice_vectors, make_system
from .errors import NO_LABELS, ErrorPolicy, no_frames

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
    type_names, types = _named_types(simulation)
    system = make_system(positions, box, types, periodic)
    frame = make_frame(system, simulation.currentStep, type_names)
    for name, energy in (
        ("potential_energy", state.getPotentialEnergy()),
        ("kinetic_energy", state.getKineticEnergy()),
    ):
        value = energy.value_in_unit(unit.kilojoule_per_mole)
        frame.log[f"{THERMODYNAMICS}/{name}"] = np.array([value])
    return frame


def _named_types(simulation: Any) -> tuple[list[str], NDArray[np.int64]]:
    """Names of the topology's atoms, each once, and which one each particle has."""
    names = [atom.name for atom in simulation.topology.atoms()]
    index = {name: k for k, name in enumerate(dict.fromkeys(names))}
    return list(index), np.array([index[name] for name in names], np.int64)


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
        A shipped model's name, or a model file. With ``"auto"`` the first simulation decides before
        its first step: ``"compounds"`` if those of its particles that may be neighbors are of
        several types (names of the topology's atoms), ``"structures"`` otherwise, which is said on
        the standard error.
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
    errors : str
        What becomes of errors while particles are labeled or frames written, such as those of too
        few particles or a full disk. ``"warn"``: the simulation goes on, with one RuntimeWarning,
        particles are labeled unknown or frames not written until this changes. ``"raise"``: they
        are raised, and end the simulation.
    denoise_steps : int
        Steps of the model ``denoise``, before particles whose label is not certain are labeled
        again, for crystals near melting, as :class:`~hoomd_gala.Analyzer` does.

    Attributes
    ----------
    result : Result or None
        The latest labels, in the order of the particles' indices.
    clusters : Clusters or None
        The latest clusters, of all particles; None where they are not found.

    Raises
    ------
    InputError
        If there is no class that ``clusters`` names, and, when the simulation goes on for the first
        time, for particles or neighbors that it does not have, and for a file that frames could not
        be appended to.

    Notes
    -----
    Of several that write to one ``file``, the first one goes on; the others warn and do not.
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
        errors: str = "warn",
        denoise_steps: int = 0,
    ) -> None:
        self.file = file
        self.interval = reportInterval
        self.analyzer = Analyzer(model, device, denoise_steps=denoise_steps)
        self.particles = particles
        self.neighbors = neighbors
        self.keep_types = keep_types
        self.quantities = check_quantities(quantities, self.analyzer.has_classes)
        self._finds_clusters = clusters is not False and clusters is not None
        self._structure = None if isinstance(clusters, bool) else clusters
        if self._structure is not None:
            class_indices(self.analyzer.class_names, self._structure)
        self._policy = ErrorPolicy(errors)
        self._is_auto = self.analyzer.is_undecided
        # what belongs to a simulation, and the one it belongs to
        self._simulation: Any = None
        self._choice: Choice | None = None
        self._appender: Appender | None = None
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
        self._join(simulation)
        steps = self.interval - simulation.currentStep % self.interval
        return {"steps": steps, "periodic": False, "include": ["positions", "energy"]}

    def _join(self, simulation: Any) -> Choice:
        """Check, before the first step, what is wrong with the reporter and not with a frame."""
        if self._choice is None or simulation is not self._simulation:
            self._choice = None
            names, types = _named_types(simulation)
            nowhere = System(np.zeros((len(types), 3)), np.zeros(6), types, type_names=tuple(names))
            choice = choose(nowhere, self.particles, self.neighbors)
            if choice.particles is not None:
                choice = choice._replace(particles=np.unique(choice.particles))
            if self._is_auto:
                steps = self.analyzer.denoise_steps
                self.analyzer = Analyzer(AUTO, self.analyzer.device, denoise_steps=steps)
                self.analyzer.decide(among_neighbors(nowhere, choice)[0].types)
            if self.file is not None:
                self._appender = Appender(self.file, simulation.currentStep, self._finds_clusters)
            self._choice, self._simulation = choice, simulation
        return self._choice

    def report(self, simulation: Any, state: openmm.State) -> None:
        """Label the particles and append a frame."""
        choice, frame = self._join(simulation), None
        try:
            frame = make_openmm_frame(simulation, state)
            periodic = simulation.system.usesPeriodicBoundaryConditions()
            self._analyze(as_system(frame, periodic=periodic), choice)
        except Exception as error:  # whatever it is, the simulation needs no labels
            self._policy.take(error, NO_LABELS)
            total = simulation.topology.getNumAtoms()
            self.result = self.analyzer.unknown(
                total if choice.labeled is None else len(choice.labeled)
            )
            self.clusters = no_clusters(total) if self._finds_clusters else None
            if frame is None and self._appender is not None:  # not even positions
                self._policy.take(error, no_frames(self.file))
        if self._appender is None or frame is None:
            return
        try:
            assert self.result is not None
            add_labels(frame, self.result, choice.labeled, tuple(CHUNKS), self.clusters)
            self._appender.append(frame, self.keep_types, self.quantities)
        except Exception as error:  # nor labeled frames
            self._policy.take(error, no_frames(self.file))

    def _analyze(self, system: System, choice: Choice) -> None:
        self.result = self.analyzer.analyze_system(*among_neighbors(system, choice))
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
