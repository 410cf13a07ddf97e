"""What is known of one state of a simulation: of a rank's particles, and of all if asked for."""

import dataclasses
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ...analyzer import Analyzer
from ...clusters import Clusters, find_clusters
from ...errors import InputError
from ...neighbors.device_arrays import host_system
from ...neighbors.environments import check_number
from ...results import UNKNOWN, Fractions, Result, no_clusters
from ...selection import (
    Choice,
    among_neighbors,
    bodies_once,
    fill,
    over_bodies,
    rigid_centers,
)
from ...systems import System
from .halo import Halo
from .ranks import collect, on_root, together, which_are_held, with_those_of_others

Integers = NDArray[np.int64]

#: All are labeled, and all are neighbors.
EVERYBODY = Choice(None, None)

#: What is known of those that are labeled alone.
RESULTS = ("label", "confidence", "embedding")


@dataclass
class Particles:
    """The particles of this rank, in the order of their tags, and which of them are labeled.

    Attributes
    ----------
    system : System
        N particles.
    tags : (N,) int64, optional
        Their tags, which insertions and removals leave gaps in; None for 0, 1, …
    bodies : (N,) int64, optional
        Their bodies; None if there are none.
    choice : Choice
        Who is labeled, and who may be a neighbor.
    is_part : bool
        Whether all ranks together label some of the particles only.
    """

    system: System
    tags: Integers | None = None
    bodies: Integers | None = None
    choice: Choice = EVERYBODY
    is_part: bool = False


def choose_alone(
    particles: Particles, picked: Integers | None, around: Integers | None
) -> Particles:
    """Choose whom to label and who is a neighbor in a simulation on one rank.

    Parameters
    ----------
    particles : Particles
        With tags and bodies.
    picked, around : (m,) int64, optional
        Tags of those to label, and of those that may be neighbors. If the latter are not given,
        constituents of rigid bodies are none.
    """
    tags, bodies = particles.tags, particles.bodies
    assert tags is not None
    neighbors = labeled = None
    if around is not None:
        neighbors = np.flatnonzero(np.isin(tags, around))
    else:
        neighbors = bodies_once(rigid_centers(bodies, tags))
    if picked is not None:
        labeled = np.flatnonzero(np.isin(tags, picked))
        if neighbors is not None:
            labeled = np.intersect1d(labeled, neighbors)
    choice = Choice(labeled, neighbors)
    return dataclasses.replace(particles, choice=choice, is_part=choice.labeled is not None)


def choose_over_ranks(
    ours: Any, particles: Particles, picked: Integers | None, around: Integers | None
) -> Particles:
    """As :func:`choose_alone`, of the particles of each rank.

    A filter may give tags of particles that are on other ranks.
    """
    tags, bodies = particles.tags, particles.bodies
    assert tags is not None
    assert bodies is not None
    own = np.arange(len(tags))
    neighbors = None
    if around is not None:
        neighbors = np.flatnonzero(np.isin(tags, with_those_of_others(ours, tags, around)))
    else:
        # the center of a constituent may be on another rank, or may not exist
        bound = np.flatnonzero((bodies >= 0) & (bodies != tags))
        centers = tags[bodies == tags]
        constituents = bound[which_are_held(ours, centers, bodies[bound])]
        if ours.allreduce(len(constituents)):
            neighbors = np.setdiff1d(own, constituents)
    labeled = own if neighbors is None else neighbors
    if picked is not None:
        chosen = np.isin(tags, with_those_of_others(ours, tags, picked))
        labeled = labeled[chosen[labeled]]
    is_part = picked is not None or neighbors is not None
    return dataclasses.replace(particles, choice=Choice(labeled, neighbors), is_part=is_part)


def check_ranks(ours: Any, analyzer: Analyzer) -> None:
    """Refuse an analyzer that needs all particles, where ranks have some of them each.

    Raises
    ------
    InputError
        On all ranks.
    """
    if ours is not None and analyzer.denoise_steps:
        raise InputError(
            "denoise_steps needs all particles on one MPI rank; label the file that the simulation "
            "writes, with hoomd-gala label --denoise."
        )


def label_over_ranks(analyzer: Analyzer, ours: Any, system: System, labeled: Integers) -> Result:
    """Label particles of each rank, whose neighbors may be on any rank.

    Parameters
    ----------
    analyzer : Analyzer
        Of the same model on all ranks.
    ours : mpi4py.MPI.Comm
        The ranks.
    system : System
        Those particles of this rank that may be neighbors.
    labeled : (m,) int64
        Indices of those to label.

    Raises
    ------
    InputError
        On all ranks, as :meth:`~hoomd_gala.Analyzer.analyze` does.
    """
    halo = Halo(ours, system)
    if not halo.total:
        check_number(system)
    info = analyzer.model.info
    halo.search(labeled)
    # from the outer ring to the inner one: around whom it is, and whom that takes
    steps, particles = [], labeled
    for _ in analyzer.embedder.rings:
        wanted = halo.wanted_by_any(particles)
        steps.append((particles, wanted))
        particles = wanted.particles
        halo.search(particles)
    length = info.length(halo.shortest_distance)
    positions, types = halo.points()
    values = together(
        ours, lambda: analyzer.embed_known(positions, types, halo.neighbors, particles, length)
    )
    of_labeled = []
    for context, (centers, wanted) in zip(analyzer.embedder.rings, reversed(steps), strict=True):
        everyone = wanted.exchange(values, len(positions))
        of_labeled.append(everyone[labeled])
        around = partial(analyzer.surround_known, context, everyone, halo.neighbors, centers)
        values = together(ours, around)
    return together(ours, lambda: analyzer.label_known(*of_labeled, values))


@dataclass
class Analysis:
    """The analysis of one state of the simulation.

    Methods that give something of all particles have to be called on all ranks; rank 0 gets it,
    and the others None.
    """

    #: Identifies the state.
    fingerprint: tuple[Any, ...]
    #: The ranks; None for one.
    ours: Any
    #: Particles on all of them.
    total: int
    #: Those of them that may be neighbors; 0 if nothing is known of the state.
    n_neighbors: int
    #: Those of this rank.
    particles: Particles
    #: The labels of those that are labeled.
    result: Result
    #: Fractions over all ranks.
    fractions: Fractions
    #: Clusters that were asked for, by structure and distance.
    clusters: dict[Any, Clusters] = field(default_factory=dict)
    #: Arrays that rank 0 has collected from the others so far.
    _collected: dict[str, NDArray[Any] | None] = field(default_factory=dict)

    @classmethod
    def of(
        cls, fingerprint: tuple[Any, ...], analyzer: Analyzer, ours: Any, particles: Particles
    ) -> "Analysis":
        """Label the particles of this rank.

        Raises
        ------
        Exception
            Whatever keeps them from being labeled, on all ranks.
        """
        part, places = among_neighbors(particles.system, particles.choice)
        n_neighbors = len(part.positions)
        total = len(particles.system.positions)
        if ours is not None:
            total, n_neighbors = ours.allreduce(np.array([total, n_neighbors])).tolist()
        if total and not n_neighbors:
            result = analyzer.unknown(0)
        elif places is None or ours is None:
            result = analyzer.analyze_system(part, places)
        else:
            result = label_over_ranks(analyzer, ours, part, places)
        return cls._over_ranks(fingerprint, ours, n_neighbors, particles, result)

    @classmethod
    def unknown(
        cls, fingerprint: tuple[Any, ...], analyzer: Analyzer, ours: Any, particles: Particles
    ) -> "Analysis":
        """Return the analysis of a state about which nothing can be said."""
        labeled = particles.choice.labeled
        count = len(particles.system.positions) if labeled is None else len(labeled)
        return cls._over_ranks(fingerprint, ours, 0, particles, analyzer.unknown(count))

    @classmethod
    def _over_ranks(
        cls,
        fingerprint: tuple[Any, ...],
        ours: Any,
        n_neighbors: int,
        particles: Particles,
        result: Result,
    ) -> "Analysis":
        fractions, total = result.fractions, len(particles.system.positions)
        if ours is not None:
            total = ours.allreduce(total)
            counts = ours.allreduce(np.asarray(fractions) * len(result.label))
            fractions = Fractions.from_array(result.class_names, counts / max(counts.sum(), 1))
        return cls(fingerprint, ours, total, n_neighbors, particles, result, fractions)

    def collect(self, name: str) -> NDArray[Any] | None:
        """Gather an array on rank 0, in the order of tags, if it has not been gathered before.

        Parameters
        ----------
        name : str
            ``"label"``, ``"confidence"`` or ``"embedding"`` of those that are labeled;
            ``"positions"``, ``"types"``, ``"tags"``, ``"bodies"``, ``"labeled"`` or ``"neighbors"``
            of all.
        """
        mine = self._mine(name)
        if self.ours is None:
            return mine
        if name not in self._collected:
            tags = self.particles.tags
            assert tags is not None
            if name in RESULTS and self.particles.choice.labeled is not None:
                tags = tags[self.particles.choice.labeled]
            order, everyone = collect(self.ours, tags), collect(self.ours, mine)
            if order is not None and everyone is not None:
                everyone = everyone[np.argsort(order)]
            self._collected[name] = everyone
        return self._collected[name]

    def _mine(self, name: str) -> NDArray[Any]:
        particles = self.particles
        values: NDArray[Any]
        if name in RESULTS:
            values = getattr(self.result, name)
        elif name in ("labeled", "neighbors"):
            values = np.ones(len(particles.system.positions), bool)
            chosen = getattr(particles.choice, name)
            if chosen is not None:
                values[:] = False
                values[chosen] = True
        elif name in ("positions", "types"):
            values = getattr(particles.system, name)
        else:
            values = getattr(particles, name)
        return values

    def _chosen(self, name: str) -> Integers | None:
        """Which of all particles are chosen; None for all, and on ranks other than 0."""
        if not self.particles.is_part or getattr(self.particles.choice, name) is None:
            return None
        mask = self.collect(name)
        return None if mask is None else np.flatnonzero(mask)

    @cached_property
    def labeled(self) -> Integers | None:
        """(m,) int64: which of all particles, in the order of tags, are labeled; None for all."""
        return self._chosen("labeled")

    @cached_property
    def centers(self) -> Integers | None:
        """Center of each particle's rigid body, of itself where there is none; None without."""
        if not self.particles.is_part:
            return None
        bodies, tags = self.collect("bodies"), self.collect("tags")
        return None if bodies is None else rigid_centers(bodies, tags)

    def of_all(self, name: str, missing: float) -> NDArray[Any] | None:
        """Gather an array of the result, filled up for particles that are not labeled."""
        values, labeled, centers = self.collect(name), self.labeled, self.centers
        if values is None:
            return None
        return over_bodies(fill(values, labeled, self.total, missing), labeled, centers)

    def find_clusters(
        self, class_names: tuple[str, ...], structure: Any, r_max: float | None
    ) -> Clusters:
        """:func:`hoomd_gala.clusters.find_clusters` of all particles, the same on all ranks."""
        system = self.particles.system
        label, labeled, centers = self.collect("label"), self.labeled, self.centers
        neighbors = self._chosen("neighbors")
        positions, types = self.collect("positions"), self.collect("types")

        def found() -> Clusters:
            assert label is not None
            everyone = fill(label, labeled, self.total, UNKNOWN)
            assert positions is not None
            assert types is not None
            if not self.n_neighbors:
                return no_clusters(self.total)
            whole = host_system(system._replace(positions=positions, types=types))
            workers = torch.get_num_threads()
            one = find_clusters(whole, everyone, class_names, structure, r_max, workers, neighbors)
            return one._replace(ids=over_bodies(one.ids, labeled, centers))

        return on_root(self.ours, found)
