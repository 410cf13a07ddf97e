"""The HOOMD-blue plugin: an action that labels the particles of a running simulation."""

import dataclasses
import os
import warnings
import zlib
from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

try:
    import hoomd
except ImportError as error:
    raise ImportError(
        "hoomd_gala.Classifier needs HOOMD-blue, which is on conda-forge and not on the Python "
        "package index: conda install -c conda-forge hoomd (environment.yml has everything). "
        "Analyzer, the command line and hoomd_gala.openmm work without it."
    ) from error

from ...analyzer import Analyzer
from ...clusters import Clusters, check_reach
from ...colors import label_colors
from ...errors import InputError
from ...files.appending import Appender
from ...files.labels import add_labels, check_quantities, encode_strings
from ...files.shipped import auto_model, said_of_auto
from ...neighbors.device_arrays import has_bodies, in_tag_order
from ...results import UNKNOWN, Fractions, Result, class_indices, no_clusters
from ...schema import CHUNKS, QUANTITIES
from ...selection import among_neighbors, over_bodies
from ...systems import System, make_system
from ..errors import NO_CLUSTERS, NO_LABELS, NO_QUANTITIES, ErrorPolicy, no_frames
from .analysis import (
    RESULTS,
    Analysis,
    Particles,
    check_ranks,
    choose_alone,
    choose_over_ranks,
)
from .frames import snapshot_frame
from .ranks import on_root, open_communicator, together
from .writers import check_writers

_Value = TypeVar("_Value")


def _loggable(
    category: str, requires_run: bool = True, default: bool = True
) -> Callable[[Callable[[Any], _Value]], _Value]:
    """:func:`hoomd.logging.log`; to type checkers, what it makes is a property's value."""
    decorate: Any = hoomd.logging.log(category=category, requires_run=requires_run, default=default)
    return lambda method: decorate(method)


class Classifier(hoomd.custom.Action):  # type: ignore[misc]
    """Labels the structure around every particle of a simulation.

    Attach it as the action of a :class:`hoomd.write.CustomWriter` to write labeled frames to its
    own file, or add it to a :class:`hoomd.logging.Logger` and let :class:`hoomd.write.GSD` write
    the labels beside the particles. Labels are computed when they are needed, once per
    timestep; other steps cost nothing.

    Parameters
    ----------
    model : str or path
        A shipped model's name, or a model file. On a CPU use ``"structures-fast"``, which costs
        about half of what ``"structures"`` does. With ``"auto"`` the simulation decides when the
        classifier is attached: ``"compounds"`` if particles that may be neighbors are of several
        types, ``"structures"`` otherwise, which is said as HOOMD's notices are.
    filename : str or path, optional
        GSD file that :meth:`act` appends labeled frames to; none is written if not given. Its
        particle types are the structures, which OVITO shows by name and color; the simulation's
        own types are kept as logged quantities, which all readers of this package take.
    device : str or torch.device
        Where the network runs; ``"auto"`` is the GPU where there is one.
    filter : hoomd.filter.filter_like, optional
        Particles to label, of the neighbors; all if not given. All others have label -1, and
        fractions are of those chosen. Filters are evaluated each time that labels are computed.
    keep_types : bool
        Leave the simulation's own types in ``filename`` as they are: OVITO then shows no structures
        unless ``hoomd-gala view`` or the modifier in :mod:`hoomd_gala.ovito` is used.
    neighbors : hoomd.filter.filter_like, optional
        Particles that may be neighbors, so that environments are made of them alone, as if there
        were no others; particles that are none of these are not labeled. If not given, all, but
        for the constituents of rigid bodies, of which the center alone counts.
    quantities : sequence of str
        Of ``"label"``, ``"confidence"`` and ``"embedding"``, those written to ``filename``.
        Embeddings take 128 bytes per particle, and are written in any case if the model has no
        classes.
    errors : str
        What becomes of errors while particles are labeled or frames written, such as those of
        two-dimensional systems or a full disk. ``"warn"``: the simulation goes on, with one
        RuntimeWarning, particles are labeled unknown or frames not written until this changes.
        ``"raise"``: they are raised, and end the simulation.
    denoise_steps : int
        Of the model ``denoise``, before particles whose label is not certain are labeled again, as
        :class:`~hoomd_gala.Analyzer` does; not in simulations decomposed over MPI ranks.

    Raises
    ------
    InputError
        For a model, filters, quantities and so on that cannot be used; when it is attached, for
        filters that cannot be evaluated, and a file that frames could not be appended to.

    Notes
    -----
    Constituents of rigid bodies that are not labeled themselves have the label, confidence and
    embedding of their body's center in files and in what is logged per particle, so that a body
    has one color. In fractions, they do not count.

    Of several that write to one ``filename``, the first one goes on; the others warn and do not. A
    :class:`hoomd.write.GSD` whose filter leaves out particles that it is to log labels of is
    refused when the classifier is attached.

    In simulations decomposed over MPI ranks, each rank labels the particles of its own domain and
    rank 0 collects what is logged per particle: as with HOOMD's own per-particle quantities,
    :attr:`label`, :attr:`confidence`, :attr:`embedding`, :attr:`color` and :attr:`result` are None
    on other ranks, and all ranks have to ask for them. Fractions and clusters are the same on all
    ranks, and all have to ask for these, too. This needs mpi4py.

    Examples
    --------
    >>> classifier = hoomd_gala.Classifier(model="structures", filename="labeled.gsd")
    >>> writer = hoomd.write.CustomWriter(action=classifier, trigger=1_000)
    >>> simulation.operations.writers.append(writer)
    """

    # HOOMD logs, and pickle stores, a class under its module: the name that users know it by
    __module__ = "hoomd_gala"

    def __init__(
        self,
        model: str | os.PathLike[str] = "structures",
        filename: str | os.PathLike[str] | None = None,
        device: str = "auto",
        filter: Any = None,
        keep_types: bool = False,
        neighbors: Any = None,
        quantities: Sequence[str] = QUANTITIES,
        errors: str = "warn",
        denoise_steps: int = 0,
    ) -> None:
        super().__init__()
        self._policy = ErrorPolicy(errors)
        self.analyzer = Analyzer(model, device, denoise_steps=denoise_steps)
        self.filename = filename
        self.filter = filter
        self.neighbors = neighbors
        self.keep_types = keep_types
        for option, value in (("filter", filter), ("neighbors", neighbors)):
            if value is not None and not callable(value):
                raise InputError(
                    f"{option} is a {type(value).__name__}; give a HOOMD filter, such as "
                    "hoomd.filter.Type(['A'])."
                )
        self.quantities = check_quantities(quantities, self.analyzer.has_classes)
        self._has_warned = False
        self._is_auto = self.analyzer.is_undecided
        self._forget()

    def _forget(self) -> None:
        self._attachments = 0
        self._simulation: Any = None
        self._communicator: Any = None
        self._appender: Appender | None = None
        self._latest: Analysis | None = None
        self._labeled_checksum = 0

    def attach(self, simulation: Any) -> None:
        """Join a simulation; called by HOOMD.

        Raises
        ------
        InputError
            If ``filename`` cannot be appended to, filters cannot be evaluated, a
            :class:`hoomd.write.GSD` that writes some of the particles logs this classifier's
            quantities of all, or ranks cannot take steps of denoising.
        """
        super().attach(simulation)
        if simulation is self._simulation:  # as the action of a second writer
            check_writers(simulation, self)
            self._attachments += 1
            return
        self._forget()
        self._attachments = 1
        self._communicator = ours = open_communicator(simulation.device.communicator)
        self._simulation = simulation
        # HOOMD does not attach an action again: all that is needed is there before it is refused
        check_writers(simulation, self)
        check_ranks(ours, self.analyzer)
        # not at the first frame, which may be hours away
        picked = together(ours, self._pick)
        if self._is_auto:
            self._decide(*picked)
        self._appender = on_root(ours, self._open_file)
        if simulation.state.box.is2D:
            two = "the simulation is two-dimensional, and environments need three dimensions."
            self._policy.take(InputError(two), NO_LABELS)

    def _decide(self, picked: NDArray[np.int64] | None, around: NDArray[np.int64] | None) -> None:
        """Load the model for the types of all ranks' particles that may be neighbors."""
        particles = self._choose_by(self._read(), picked, around)
        types = np.unique(among_neighbors(particles.system, particles.choice)[0].types)
        if self._communicator is not None:
            types = np.concatenate(self._communicator.allgather(types))
        name = auto_model(types)
        self._simulation.device.notice(f"hoomd-gala: {said_of_auto(name)}")
        self.analyzer = Analyzer(name, self.analyzer.device, None, self.analyzer.denoise_steps)

    def _open_file(self) -> Appender | None:
        if self.filename is None:
            return None
        return Appender(self.filename, self._simulation.timestep)

    def detach(self) -> None:
        """Leave the simulation; called by HOOMD."""
        self._attachments -= 1
        if self._attachments > 0:  # another writer has it still
            return
        super().detach()
        if self._communicator is not None:
            self._communicator.Free()
        self._forget()

    def __getstate__(self) -> dict[str, Any]:
        simulation = ("_state", "_simulation", "_communicator", "_appender", "_latest")
        return self.__dict__ | dict.fromkeys(simulation)

    def act(self, timestep: int) -> None:
        """Append a labeled frame to the file, if there is one."""
        if self.filename is None:
            return
        if self._appender is None:  # it was refused when attached, which HOOMD does only once
            self._appender = on_root(self._communicator, self._open_file)
        analysis = self._analysis()
        try:
            self._write(timestep, analysis)
        except Exception as error:  # whatever it is, the simulation needs no labeled frames
            self._policy.take(error, no_frames(self.filename))

    def _write(self, timestep: int, analysis: Analysis) -> None:
        ours = self._communicator

        def names() -> Collection[str]:
            assert self._appender is not None
            return {*self.quantities, *self._appender.quantities}

        # embeddings are many times larger than all else, and stay where they are if not written
        wanted = [name for name in CHUNKS if name in on_root(ours, names)]
        values: dict[str, Any] = {name: analysis.collect(name) for name in wanted}
        labeled, centers = analysis.labeled, analysis.centers
        snapshot = self._state.get_snapshot()

        def write() -> None:
            if values["label"] is None:
                return
            nothing = self.analyzer.unknown(len(values["label"]))
            result = dataclasses.replace(nothing, **values)
            frame = add_labels(snapshot_frame(snapshot, timestep), result, labeled, wanted)
            for name in wanted:
                chunk = CHUNKS[name]
                frame.log[chunk] = over_bodies(frame.log[chunk], labeled, centers)
            assert self._appender is not None
            self._appender.append(frame, self.keep_types, self.quantities)

        together(ours, write)

    def _analysis(self) -> Analysis:
        """Labels of the current state, computed unless they are known."""
        if self._simulation is None:
            raise hoomd.error.DataAccessError("label")
        fingerprint = self._fingerprint()
        latest = self._latest
        if latest is None or latest.fingerprint != fingerprint or self._has_changed():
            self._latest = self._analyze(fingerprint)
            if self._communicator is not None:
                self._labeled_checksum = self._checksum()
        assert self._latest is not None
        return self._latest

    @property
    def _on_gpu(self) -> bool:
        """Whether positions stay on the GPU all the way to the network."""
        return (
            isinstance(self._simulation.device, hoomd.device.GPU)
            and self.analyzer.device.type == "cuda"
            and self._communicator is None
            and self.filter is None
            and self.neighbors is None
        )

    def _fingerprint(self) -> tuple[Any, ...]:
        """Return what changes with the state, which users may change between runs.

        Ranks must agree without communicating, and waiting for a GPU is slow, so that positions
        count on a single CPU only.
        """
        mark = self._checksum() if self._communicator is None and not self._on_gpu else 0
        state = (self._simulation.timestep, self._state.N_particles, *self._edges, mark)
        return (*state, self.filter, self.neighbors)

    def _checksum(self) -> int:
        """Return a checksum of what labels of this rank's particles depend on."""
        mark = 0
        with self._state.cpu_local_snapshot as snapshot:
            for array in (snapshot.particles.position, snapshot.particles.typeid):
                mark = zlib.crc32(np.ascontiguousarray(array).data, mark)
        return mark

    def _has_changed(self) -> bool:
        """Whether a user has changed the state within the timestep.

        With several ranks, the fingerprint cannot tell; all of them have to ask here.
        """
        ours = self._communicator
        if ours is None:
            return False
        return bool(ours.allreduce(int(self._checksum() != self._labeled_checksum)))

    def _analyze(self, fingerprint: tuple[Any, ...]) -> Analysis:
        ours = self._communicator
        particles: Particles | None = None
        try:
            particles = self._read_on_gpu() if self._on_gpu else None
            if particles is None:
                particles = self._read()
                particles = self._choose(particles)
            analysis = Analysis.of(fingerprint, self.analyzer, ours, particles)
        except Exception as error:  # whatever it is, the simulation needs no labels
            self._policy.take(error, NO_LABELS)
            return Analysis.unknown(fingerprint, self.analyzer, ours, particles or self._read())
        if particles.is_part and analysis.total and not sum(analysis.fractions.values()):
            self._warn_of_nobody(analysis.n_neighbors)
        return analysis

    def _read_on_gpu(self) -> Particles | None:
        """Particles in the GPU's memory, unless there are rigid bodies."""
        with self._state.gpu_local_snapshot as snapshot:
            local = snapshot.particles
            if has_bodies(local.body):
                return None
            return Particles(in_tag_order(local.position, local.typeid, local.tag, self._edges))

    def _choose(self, particles: Particles) -> Particles:
        """Check the particles, and choose whom to label and who is a neighbor."""
        ours = self._communicator
        system = together(ours, lambda: make_system(*particles.system[:3]))
        particles = dataclasses.replace(particles, system=system)
        return self._choose_by(particles, *together(ours, self._pick))

    def _choose_by(
        self,
        particles: Particles,
        picked: NDArray[np.int64] | None,
        around: NDArray[np.int64] | None,
    ) -> Particles:
        """Choose by the tags that the filters pick."""
        if self._communicator is None:
            return choose_alone(particles, picked, around)
        return choose_over_ranks(self._communicator, particles, picked, around)

    @property
    def _edges(self) -> list[float]:
        box = self._state.box
        return [box.Lx, box.Ly, box.Lz, box.xy, box.xz, box.yz]

    def _read(self) -> Particles:
        """Copy this rank's particles from the simulation, whatever they are."""
        with self._state.cpu_local_snapshot as snapshot:
            local = snapshot.particles
            tags = np.array(local.tag).astype(np.int64)
            order = np.argsort(tags)
            positions = np.array(local.position, np.float64)[order]
            types = np.array(local.typeid)[order].astype(np.int64)
            # -1 of those without a body is unsigned
            bodies = np.array(local.body)[order].astype(np.int32).astype(np.int64)
        return Particles(System(positions, np.array(self._edges), types), tags[order], bodies)

    def _pick(self) -> tuple[NDArray[np.int64] | None, NDArray[np.int64] | None]:
        """Tags that the filters pick of this rank's particles."""
        return self._picked("filter"), self._picked("neighbors")

    def _picked(self, option: str) -> NDArray[np.int64] | None:
        """Tags of particles that a filter picks; None if there is none."""
        chosen = getattr(self, option)
        if chosen is None:
            return None
        try:
            tags = np.array(chosen(self._state))
        except RuntimeError as error:
            # HOOMD's words for a type that does not exist
            raise InputError(
                f"{option} of hoomd_gala.Classifier cannot be evaluated ({error}); the types of "
                f"this simulation are {', '.join(self._state.particle_types)}."
            ) from error
        if tags.dtype == bool:
            raise InputError(
                f"{option} of hoomd_gala.Classifier gives a mask; HOOMD's filters give tags of "
                "particles."
            )
        return tags.astype(np.int64).reshape(-1)

    def _warn_of_nobody(self, n_neighbors: int) -> None:
        if self._has_warned:
            return
        self._has_warned = True
        why = (
            "filter of hoomd_gala.Classifier picks none of the neighbors, which constituents of "
            "rigid bodies are only if neighbors= includes them."
            if n_neighbors
            else "neighbors of hoomd_gala.Classifier pick no particle."
        )
        warnings.warn(f"no particle is labeled: the {why}", stacklevel=2)

    def _may_log(self) -> bool:
        """Whether all writers can hold quantities of all particles: some may be new."""
        try:
            if self._simulation is not None:
                check_writers(self._simulation, self)
        except InputError as error:
            self._policy.take(error, NO_QUANTITIES)
            return False
        return True

    def _of_all(self, name: str, missing: float) -> NDArray[Any] | None:
        """Gather an array of the result for all particles on rank 0."""
        values = self._analysis().of_all(name, missing) if self._may_log() else None
        return None if values is None else values.copy()  # which users may change

    @property
    def result(self) -> Result | None:
        """:class:`hoomd_gala.Result` of the current state, in the order of :attr:`particles`.

        None on MPI ranks other than 0.
        """
        analysis = self._analysis()
        label, confidence, embedding = (analysis.collect(name) for name in RESULTS)
        if label is None or confidence is None or embedding is None:
            return None
        # copies, which users may change
        return Result(label.copy(), confidence.copy(), embedding.copy(), self.class_names)

    @property
    def particles(self) -> NDArray[np.int64] | None:
        """(*m*, ) int64: which particles, in the order of tags, are labeled; None for all."""
        return self._analysis().labeled

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes that labels index."""
        return self.analyzer.class_names

    @property
    def color(self) -> NDArray[np.float32] | None:
        """(*N*, 3) float32: red, green and blue of each particle's structure, for renderers.

        A logged color is a number like any other to OVITO and colors nothing.
        """
        label = self.label
        return None if label is None else label_colors(label, self.class_names)

    def fraction(self, structure: str | Sequence[str] | None = None) -> float:
        """Fraction of particles in a structure, in any of several, or in anything solid.

        To log it as a scalar, for :class:`hoomd.write.Table` or :class:`hoomd.write.HDF5Log`:
        ``logger["cF4-Cu"] = (lambda: classifier.fraction("cF4-Cu"), "scalar")``.

        Parameters
        ----------
        structure : str or sequence of str, optional
            Names of classes, or ``"unknown"``; if not given, all that are neither disordered nor
            unknown.
        """
        return self.fractions.of(structure)

    def recent_fraction(
        self, structure: str | Sequence[str] | None = None, period: int = 1
    ) -> float:
        """As :meth:`fraction`, of labels that are less than ``period`` timesteps old."""
        recent = self._recent(period)
        return self.fraction(structure) if recent is None else recent.fractions.of(structure)

    def _recent(self, period: int) -> Analysis | None:
        """Return the latest analysis if it is of an earlier timestep, less than ``period`` ago."""
        if self._latest is None or self._simulation is None:
            return None
        if self._latest.fingerprint[-2:] != (self.filter, self.neighbors):
            return None
        age = self._simulation.timestep - self._latest.fingerprint[0]
        return self._latest if 0 < age < period else None

    def clusters(
        self,
        structure: str | Sequence[str] | None = None,
        r_max: float | None = None,
        period: int = 1,
    ) -> Clusters:
        """Find nuclei or grains: see :func:`hoomd_gala.clusters.find_clusters`.

        Parameters
        ----------
        structure : str or sequence of str, optional
            Names of classes, or ``"unknown"``; if not given, all that are neither disordered nor
            unknown, connected whatever their structures.
        r_max : float, optional
            Largest distance of particles that are connected; if not given, it follows from the
            first shell of each particle.
        period : int
            Clusters that were found less than so many timesteps ago will do.

        Returns
        -------
        Clusters
            Of all particles, in the order of tags; constituents of rigid bodies are where their
            body is, and sizes are numbers of labeled particles. All MPI ranks have to ask for them,
            and get the same.
        """
        which = structure if structure is None or isinstance(structure, str) else (*structure,)
        key = which, r_max
        recent = self._recent(period)
        analysis = recent if recent and key in recent.clusters else self._analysis()
        if key not in analysis.clusters:
            analysis.clusters[key] = self._find_clusters(analysis, structure, r_max)
        found = analysis.clusters[key]
        return Clusters(found.ids.copy(), found.sizes.copy())  # which users may change

    def _find_clusters(
        self, analysis: Analysis, structure: str | Sequence[str] | None, r_max: float | None
    ) -> Clusters:
        class_indices(self.class_names, structure)
        if r_max is not None:
            check_reach(r_max)
        try:
            return analysis.find_clusters(self.class_names, structure, r_max)
        except Exception as error:  # whatever it is, the simulation needs no clusters
            self._policy.take(error, NO_CLUSTERS)
        return no_clusters(analysis.total)

    @_loggable(category="scalar", default=False)
    def largest_cluster(self) -> int:
        """Particles in the largest cluster of anything solid; 0 if there is none."""
        return self.clusters().largest

    @_loggable(category="scalar", default=False)
    def n_clusters(self) -> int:
        """How many clusters of anything solid there are."""
        return len(self.clusters().sizes)

    @_loggable(category="particle", default=False)
    def cluster(self) -> NDArray[np.int32] | None:
        """(*N*, ) int32: solid cluster by particle tag, 0 for the largest, -1 for none."""
        return self.clusters().ids if self._may_log() else None

    @_loggable(category="particle")
    def label(self) -> NDArray[np.int32] | None:
        """(*N*, ) int32: index into :attr:`class_names` by particle tag, -1 where unknown."""
        return self._of_all("label", UNKNOWN)

    @_loggable(category="particle")
    def confidence(self) -> NDArray[np.float32] | None:
        """(*N*, ) float32: calibrated probability of the label."""
        return self._of_all("confidence", 0)

    @_loggable(category="particle")
    def embedding(self) -> NDArray[np.float32] | None:
        """(*N*, *D*) float32: the network's summary of each environment."""
        return self._of_all("embedding", 0)

    @_loggable(category="sequence")
    def fractions(self) -> Fractions:
        """Fraction of particles in each class by name, the unknown last.

        Loggers write it as the (*C* + 1, ) float64 array of its values.
        """
        return self._analysis().fractions

    @_loggable(category="scalar")
    def solid_fraction(self) -> float:
        """Fraction of particles that are neither disordered nor unknown."""
        return self.fraction()

    @_loggable(category="sequence", requires_run=False)
    def names(self) -> NDArray[np.int8]:
        """(*C*, *width*) int8: the class names as GSD holds strings, for the files' readers."""
        return encode_strings(self.class_names)
