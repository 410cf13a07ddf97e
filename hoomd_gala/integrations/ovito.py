"""The OVITO adapter: modifiers that name and color structures, and take heat out of positions."""

import os
import sys
from collections.abc import Generator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from ovito.data import DataCollection, DataTable
from ovito.pipeline import ModifierInterface
from ovito.traits import Color as ColorTrait
from ovito.traits import FilePath
from traits.api import Bool, ComparisonMode, Dict, Enum, Range, Str, observe

from ..analyzer import Analyzer
from ..clusters import find_clusters
from ..colors import COLORS, Color, structure_color, structure_colors
from ..errors import InputError
from ..files.models import ModelInfo, read_info
from ..files.shipped import (
    AUTO,
    DENOISE,
    DENOISE_STEPS,
    auto_model,
    said_of_auto,
    shipped_models,
)
from ..names import STRUCTURES, find_class, title
from ..results import UNKNOWN, UNKNOWN_NAME
from ..schema import CONFIDENCE, FRACTIONS, LABEL, NAMES, ovito_name
from ..selection import (
    Choice,
    among_neighbors,
    bodies_once,
    fill,
    over_bodies,
    rigid_centers,
)
from ..systems import System, as_system, turned_back
from ..systems_from import held_sample

#: OVITO's name of the rigid bodies in a GSD file, which it has no property of its own for.
BODY = "particles_body"

#: Structures to choose from, those with colors of their own first, by the names that people see.
_STRUCTURES = {title(name): name for name in (*COLORS, *STRUCTURES)}

_Integers = NDArray[np.int64]


class _ModelName(Enum):
    """A list of names to choose from, which also takes the path of a file."""

    def init_fast_validate(self, *_: Any) -> None:
        """Leave checks to :meth:`validate`; the list's own takes nothing but the names."""

    def validate(self, owner: Any, name: str, value: Any) -> str:
        """Check what somebody sets; whether there is such a model, loading it shows."""
        if not isinstance(value, str | os.PathLike):
            self.error(owner, name, value)
        return os.fspath(value) or str(self.default_value)


class _Labels(NamedTuple):
    """Labels of some particles, or of all, as :class:`~hoomd_gala.results.Result` has them.

    Embeddings are kept of models that name nothing.
    """

    label: NDArray[np.int32]
    confidence: NDArray[np.float32]
    class_names: tuple[str, ...]
    embedding: NDArray[np.float32] | None = None


def _says_more(info: ModelInfo) -> bool:
    """Whether a model names structures or is made for its embedding: the others learned a task."""
    return bool(info.class_names) or info.task == "embedding"


class _Chosen(NamedTuple):
    """Whom the modifier labels.

    Attributes
    ----------
    particles : (m,) int64 or None
        Indices of those that are labeled and are each other's neighbors; None for all.
    centers : (N,) int64 or None
        Where the center of each particle's rigid body is; None without rigid bodies.
    """

    particles: _Integers | None
    centers: _Integers | None

    def spread(self, values: NDArray[Any], total: int, missing: float) -> NDArray[Any]:
        """Values of all particles: constituents that are not labeled have their center's."""
        everyone = fill(values, self.particles, total, missing)
        return over_bodies(everyone, self.particles, self.centers)


class ClassifierModifier(ModifierInterface):
    """Names and colors the structure around every particle of whatever a pipeline loads.

    Particles get the typed property ``Structure Type``, with names such as ``fcc (cF4-Cu)`` and
    colors, and ``Confidence``, and take the structure's ``Color``. The attributes
    ``hoomd_gala.counts.NAME`` and ``hoomd_gala.fraction.NAME`` hold the numbers and fractions of
    particles in all structures that the model knows, by the names of its classes, 0 where there are
    none, and the table ``structures`` the numbers of those that occur. A legend of these is one of
    the property ``structures/Structure Type``.

    A model without classes, such as ``embedding``, names and colors nothing: particles get the
    vector property ``Embedding``, by whose components *Color coding* colors them.

    Of rigid bodies in a GSD file, centers are labeled and are each other's neighbors, and
    constituents are shown with the label of their center. The file names bodies by the order of its
    particles, so that modifiers which delete some belong after this one.

    Parameters
    ----------
    model : str or path
        A shipped model's name, or a model file. ``"auto"``, the default: the labels that the file
        already holds are shown, and where it holds none the model is ``compounds`` for particles of
        several types, of those that may be neighbors, and ``structures`` otherwise.
    model_file : str
        A model file, in place of ``model``.
    device : str
        Where the network runs; ``"auto"`` is the GPU where there is one.
    only_selected : bool
        As in OVITO's own structure identification, particles that are not selected have no
        structure and are nobody's neighbors. Fractions and the table are of the selected ones;
        labels that the file holds, which others are neighbors in, are not shown.
    clusters : bool
        Also find the clusters of :func:`~hoomd_gala.clusters.find_clusters`, of anything solid: the
        property ``Cluster`` is 0 for particles in the largest one and -1 for those in none, and the
        attributes ``hoomd_gala.largest_cluster`` and ``hoomd_gala.n_clusters`` are its size and
        their number.
    colors : dict
        Red, green and blue, in [0, 1], of structures that are to have other colors than their own,
        by any of their names: ``modifier.colors["fcc"] = (1, 0.5, 0)``.
    edited_structure, edited_color
        A structure, and its color to edit; changes are kept in ``colors``. This is how OVITO Pro's
        panel shows them.

    Raises
    ------
    InputError
        When the pipeline is evaluated, for a model that does not exist, ``only_selected`` where
        nothing has been selected, a color of no structure, and for data that
        :class:`hoomd_gala.Analyzer` refuses.

    Examples
    --------
    >>> pipeline = ovito.io.import_file("run.gsd")
    >>> pipeline.modifiers.append(hoomd_gala.ovito.ClassifierModifier())
    >>> data = pipeline.compute()
    >>> data.particles["Structure Type"]
    """

    model = _ModelName(
        AUTO,
        [AUTO, *(name for name, at in shipped_models().items() if _says_more(read_info(at)))],
        label="Model",
    )
    model_file = FilePath("", label="Model file", ovito_placeholder="‹one of the above›")
    device = Str("auto", label="Device")
    only_selected = Bool(False, label="Use only selected particles")
    clusters = Bool(False, label="Find clusters of solid particles")
    edited_structure = Enum(
        list(_STRUCTURES),
        label="Structure",
        ovito_group="Colors",
        transient=True,
    )
    edited_color = ColorTrait(
        next(iter(COLORS.values())), label="Color", ovito_group="Colors", transient=True
    )
    # setting it to what it has become has to count as a change: that is what OVITO sees
    colors = Dict(Str, ColorTrait(), comparison_mode=ComparisonMode.none)

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        self._analyzer: tuple[tuple[str, str], Analyzer] | None = None
        self._latest: tuple[System, _Labels] | None = None

    @observe("edited_structure, colors")  # type: ignore[untyped-decorator]
    def _show_color(self, _: Any) -> None:
        self.edited_color = self._color_to_edit()

    @observe("edited_color")  # type: ignore[untyped-decorator]
    def _keep_color(self, _: Any) -> None:
        if self.edited_color != self._color_to_edit():
            own = [_STRUCTURES[self.edited_structure]]
            # whatever else the structure may have been called
            others = {key: c for key, c in self.colors.items() if find_class(key, own) is None}
            self.colors = {**others, self.edited_structure: self.edited_color}

    @observe("colors:items")  # type: ignore[untyped-decorator]
    def _announce_colors(self, _: Any) -> None:
        self.colors = dict(self.colors)

    def _color_to_edit(self) -> Color:
        name = _STRUCTURES[self.edited_structure]
        # colors that make no sense are refused where the pipeline is evaluated
        own = [color for key, color in self.colors.items() if find_class(key, [name])]
        return own[-1] if own else structure_color(name)

    def modify(self, data: DataCollection, **_: Any) -> Generator[str]:
        """Name and color the particles of a frame; called by OVITO, which shows what it yields."""
        chosen = _choose(data, self.only_selected)
        held, unlabeled = None, 0
        if self.model == AUTO and not self.model_file and not self.only_selected:
            held = _held_labels(data)
            unlabeled = _unlabeled(data, held, chosen)
        if held is None:
            yield "Naming structures"
            found = self._analyze(data, chosen.particles)
            total = data.particles.count
            label = chosen.spread(found.label, total, UNKNOWN)
            held = _Labels(label, chosen.spread(found.confidence, total, 0), found.class_names)
            if found.embedding is not None:
                embedding = chosen.spread(found.embedding, total, 0)
                data.particles_.create_property("Embedding", data=embedding)
                return
        show_labels(data, *held[:3], chosen.particles, self.colors, unlabeled)
        if self.clusters:
            yield "Finding clusters"
            _show_clusters(data, held, chosen)

    def _analyze(self, data: DataCollection, particles: _Integers | None) -> _Labels:
        system, _ = among_neighbors(as_system(data), Choice(None, particles))
        chosen = self.model_file or self.model
        model = auto_model(system.types) if chosen == AUTO else chosen
        wanted = (model, self.device)
        if self._analyzer is None or self._analyzer[0] != wanted:
            self._latest, self._analyzer = None, (wanted, Analyzer(*wanted))
            if chosen == AUTO:
                print(f"hoomd-gala: {said_of_auto(model)}", file=sys.stderr)
        # OVITO evaluates a modifier again whenever any of its traits changes, a color for example
        if self._latest is None or not _are_equal(self._latest[0], system):
            result = self._analyzer[1].analyze_system(system)
            embedding = None if result.class_names else result.embedding
            labels = _Labels(result.label, result.confidence, result.class_names, embedding)
            # positions may be OVITO's own memory
            self._latest = system._replace(positions=system.positions.copy()), labels
        return self._latest[1]


class DenoiseModifier(ModifierInterface):
    """Takes thermal displacements out of the positions of whatever a pipeline loads.

    Put before template matching, common neighbor analysis or dislocation extraction, which then see
    crystals without the noise; vacancies, faults, boundaries and disorder stay. Positions alone
    change. Rigid bodies in a GSD file move with their centers, which are each other's neighbors.

    Parameters
    ----------
    model : str or path
        A model of the task ``denoising``: a shipped one's name, or a model file.
    model_file : str
        A model file, in place of ``model``.
    device : str
        Where the network runs; ``"auto"`` is the GPU where there is one.
    steps : int
        Steps of denoising; see :meth:`hoomd_gala.Analyzer.denoise`.

    Raises
    ------
    InputError
        When the pipeline is evaluated, for a model that does not exist or is of another task, and
        for data that :class:`hoomd_gala.Analyzer` refuses.

    Examples
    --------
    >>> pipeline = ovito.io.import_file("run.gsd")
    >>> pipeline.modifiers.append(hoomd_gala.ovito.DenoiseModifier())
    >>> pipeline.modifiers.append(ovito.modifiers.PolyhedralTemplateMatchingModifier())
    >>> data = pipeline.compute()
    """

    model = _ModelName(DENOISE, [DENOISE], label="Model")
    model_file = FilePath("", label="Model file", ovito_placeholder="‹the one above›")
    device = Str("auto", label="Device")
    steps = Range(0, 1000, DENOISE_STEPS, label="Steps")

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        self._analyzer: tuple[tuple[str, str], Analyzer] | None = None

    def modify(self, data: DataCollection, **_: Any) -> Generator[str | float]:
        """Move the particles of a frame; called by OVITO, which shows what it yields."""
        yield "Taking out thermal displacements"
        wanted = (self.model_file or self.model, self.device)
        if self._analyzer is None or self._analyzer[0] != wanted:
            self._analyzer = wanted, Analyzer(*wanted)
        body = data.particles.get(BODY)
        centers = None if body is None else rigid_centers(body)
        start = system = as_system(data)
        steps = int(self.steps)
        for step in range(steps):
            yield step / steps
            moved = self._analyzer[1].denoise_system(system, 1, centers)
            system = system._replace(positions=system.positions + moved)
        held = held_sample(data)
        assert held is not None
        moved = turned_back(system.positions - start.positions, held)
        data.particles_.positions_[...] = held.positions + moved


def _are_equal(one: System, other: System) -> bool:
    return all(
        np.array_equal(np.asarray(a), np.asarray(b)) for a, b in zip(one, other, strict=True)
    )


def _choose(data: DataCollection, only_selected: bool) -> _Chosen:
    """Find out whom to label."""
    body = data.particles.get(BODY)
    centers = None if body is None else rigid_centers(body)
    if only_selected:
        selection = data.particles.selection
        if selection is None:
            raise InputError(
                "only selected particles are to be used, and no particles are selected; put a "
                "modifier that selects some before this one, such as Select type."
            )
        return _Chosen(np.flatnonzero(selection), centers)
    return _Chosen(bodies_once(centers), centers)


def _held_labels(data: DataCollection) -> _Labels | None:
    """Labels, confidences and class names that the file holds."""
    names = data.attributes.get(NAMES)
    if names is None or ovito_name(LABEL) not in data.particles:
        return None
    # OVITO gives the rows of null-padded text as one flat sequence of numbers
    text = np.atleast_1d(np.asarray(names, np.int8)).tobytes()
    label = np.array(data.particles[ovito_name(LABEL)])
    # which need not have been written
    confidence = data.particles.get(ovito_name(CONFIDENCE))
    return _Labels(
        label,
        np.full(len(label), np.nan, np.float32) if confidence is None else np.array(confidence),
        tuple(name.decode() for name in text.split(b"\0") if name),
    )


def _unlabeled(data: DataCollection, held: _Labels | None, chosen: _Chosen) -> int:
    """How many of the particles that count a file holds no label of, by its fractions."""
    shares = np.ravel(data.attributes.get(FRACTIONS, ()))
    if held is None or len(shares) != len(held.class_names) + 1:
        return 0
    label = held.label if chosen.particles is None else held.label[chosen.particles]
    if not shares.any():
        return len(label)
    named = int((label != UNKNOWN).sum())
    # where nothing has a name, nothing tells how many there are
    labeled = round(named / shares[:-1].sum()) if named else len(label)
    return max(len(label) - labeled, 0)


def show_labels(
    data: DataCollection,
    label: NDArray[np.int32],
    confidence: NDArray[np.float32],
    class_names: tuple[str, ...],
    chosen: NDArray[np.int64] | None = None,
    colors: Mapping[str, Color] | None = None,
    unlabeled: int = 0,
) -> None:
    """Put labels into OVITO's data as a typed property with names and colors.

    Parameters
    ----------
    data : ovito.data.DataCollection
        With N particles.
    label : (N,) int32
        Indices into ``class_names``, -1 for unknown.
    confidence : (N,) float32
        Probabilities of the labels.
    class_names : tuple of str
        Names of the classes.
    chosen : (m,) int, optional
        Indices of the particles that counts and fractions are of; all if not given.
    colors : mapping, optional
        As :func:`~hoomd_gala.colors.structure_colors` takes them.
    unlabeled : int
        How many of these particles have label -1 because they were not labeled; they do not count.
    """
    names = (UNKNOWN_NAME, *class_names)
    palette = structure_colors(names, colors or {})
    particles = data.particles_
    # a logged "Color" is a user property to OVITO and colors nothing
    logged: Any = particles.get("Color")
    if logged is not None and not logged.type_id:
        del particles["Color"]
    # as in OVITO's own structure identification, 0 stands for no structure
    kinds = label - UNKNOWN
    if "Structure Type" in particles:
        del particles["Structure Type"]  # with the types of another modifier
    structure = particles.create_property("Structure Type", data=kinds)
    counted = kinds if chosen is None else kinds[chosen]
    counts = np.bincount(counted, minlength=len(names))
    counts[0] -= unlabeled
    total = max(len(counted) - unlabeled, 1)
    occurring = np.flatnonzero(counts)
    # the table of another modifier before this one has other columns
    if "structures" in data.tables:
        del data.tables["structures"]  # type: ignore[attr-defined]
    table = data.tables.create(
        identifier="structures", title="Structure counts", plot_mode=DataTable.PlotMode.BarChart
    )
    table.x = table.create_property("Structure Type", data=occurring.astype(np.int32))
    table.y = table.create_property("Count", data=counts[occurring])
    # types and attributes are the same in all frames: other modifiers and plots refer to them
    for kind, name in enumerate(names):
        # the table's are those that occur, for legends
        for typed, owner in ((structure, particles), *([(table.x, table)] if counts[kind] else [])):
            entry = typed.add_type_id(kind, owner)
            entry.name, entry.color = title(name), palette[kind]
        data.attributes[f"hoomd_gala.counts.{name}"] = int(counts[kind])
        data.attributes[f"hoomd_gala.fraction.{name}"] = counts[kind] / total
    particles.create_property("Confidence", data=confidence)
    particles.create_property("Color", data=np.array(palette, np.float32)[kinds])


def _show_clusters(data: DataCollection, labels: _Labels, chosen: _Chosen) -> None:
    """Put clusters of anything solid into OVITO's data."""
    found = find_clusters(
        as_system(data),
        labels.label,
        labels.class_names,
        workers=torch.get_num_threads(),
        neighbors=chosen.particles,
    )
    ids = over_bodies(found.ids, chosen.particles, chosen.centers)
    data.particles_.create_property("Cluster", data=ids)
    data.attributes["hoomd_gala.largest_cluster"] = found.largest
    data.attributes["hoomd_gala.n_clusters"] = len(found.sizes)
