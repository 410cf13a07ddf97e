"""The OVITO adapter: a modifier that names and colors structures in a pipeline."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from ovito.data import DataCollection, DataTable
from ovito.pipeline import ModifierInterface
from traits.api import Bool, Str

from ..analyzer import Analyzer
from ..colors import label_colors, structure_color
from ..errors import InputError
from ..files.labels import fill
from ..results import UNKNOWN, UNKNOWN_NAME
from ..schema import CONFIDENCE, LABEL, NAMES, ovito_name


class ClassifierModifier(ModifierInterface):
    """Names and colors the structure around every particle of whatever a pipeline loads.

    Particles get the typed property ``Structure Type``, with names and colors, and ``Confidence``,
    and take the structure's ``Color``. The attributes ``hoomd_gala.fraction.NAME`` hold the
    fractions of all structures that the model knows, 0 where there are none, and the table
    ``structures`` the numbers of particles of those that occur. A legend of these is one of the
    property ``structures/Structure Type``.

    Parameters
    ----------
    model : str
        A shipped model's name, or a model file. Empty, the default: the labels that the file
        already holds are shown, and where it holds none the model is ``structures``.
    device : str
        Where the network runs; ``"auto"`` is the GPU where there is one.
    only_selected : bool
        As in OVITO's own structure identification, particles that are not selected have no
        structure and are nobody's neighbors. Fractions and the table are of the selected ones;
        labels that the file holds, which others are neighbors in, are not shown.

    Raises
    ------
    InputError
        When the pipeline is evaluated, for ``only_selected`` where nothing has been selected, and
        for data that :class:`hoomd_gala.Analyzer` refuses.

    Examples
    --------
    >>> pipeline = ovito.io.import_file("run.gsd")
    >>> pipeline.modifiers.append(hoomd_gala.ovito.ClassifierModifier())
    >>> data = pipeline.compute()
    >>> data.particles["Structure Type"]
    """

    model = Str("", label="Model")
    device = Str("auto", label="Device")
    only_selected = Bool(False, label="Use only selected particles")

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        self._analyzer: tuple[tuple[str, str], Analyzer] | None = None

    def modify(self, data: DataCollection, **_: Any) -> None:
        """Name and color the particles of a frame; called by OVITO."""
        if self.only_selected:
            selected = _selected(data)
            label, confidence, names = self._analyze(data, selected)
            label = fill(label, selected, data.particles.count, UNKNOWN)
            confidence = fill(confidence, selected, data.particles.count, 0)
            show_labels(data, label, confidence, names, selected)
        else:
            held = None if self.model else _held_labels(data)
            show_labels(data, *(held or self._analyze(data)))

    def _analyze(
        self, data: DataCollection, selected: NDArray[np.int64] | None = None
    ) -> "_Labels":
        wanted = (self.model or "structures", self.device)
        if self._analyzer is None or self._analyzer[0] != wanted:
            self._analyzer = wanted, Analyzer(*wanted)
        result = self._analyzer[1].analyze(data, neighbors=selected)
        return result.label, result.confidence, result.class_names


_Labels = tuple[NDArray[np.int32], NDArray[np.float32], tuple[str, ...]]


def _selected(data: DataCollection) -> NDArray[np.int64]:
    """Find the indices of the selected particles."""
    selection = data.particles.selection
    if selection is None:
        raise InputError(
            "only selected particles are to be used, and no particles are selected; put a modifier "
            "that selects some before this one, such as Select type."
        )
    return np.flatnonzero(selection)


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
    return (
        label,
        np.full(len(label), np.nan, np.float32) if confidence is None else np.array(confidence),
        tuple(name.decode() for name in text.split(b"\0") if name),
    )


def show_labels(
    data: DataCollection,
    label: NDArray[np.int32],
    confidence: NDArray[np.float32],
    class_names: tuple[str, ...],
    chosen: NDArray[np.int64] | None = None,
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
    """
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
    names = (UNKNOWN_NAME, *class_names)
    counted = kinds if chosen is None else kinds[chosen]
    counts = np.bincount(counted, minlength=len(names))
    occurring = np.flatnonzero(counts)
    # the table of another modifier before this one has other columns
    if "structures" in data.tables:
        del data.tables["structures"]  # type: ignore[attr-defined]
    table = data.tables.create(
        identifier="structures", title="Structures", plot_mode=DataTable.PlotMode.BarChart
    )
    table.x = table.create_property("Structure Type", data=occurring.astype(np.int32))
    table.y = table.create_property("Count", data=counts[occurring])
    # types and attributes are the same in all frames: other modifiers and plots refer to them
    for kind, name in enumerate(names):
        # the table's are those that occur, for legends
        for typed, owner in ((structure, particles), *([(table.x, table)] if counts[kind] else [])):
            entry = typed.add_type_id(kind, owner)
            entry.name, entry.color = name, structure_color(name)
        data.attributes[f"hoomd_gala.fraction.{name}"] = counts[kind] / max(len(counted), 1)
    particles.create_property("Confidence", data=confidence)
    particles.create_property("Color", data=label_colors(label, class_names))
