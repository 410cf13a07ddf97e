"""Labels in GSD frames.

OVITO takes names and colors from particle types and from nothing else in a GSD file. Where these
stand for structures, the simulation's own types are kept in the frame's log.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import gsd.hoomd
import numpy as np
from numpy.typing import NDArray

from ..colors import structure_types
from ..errors import InputError
from ..names import title
from ..results import UNKNOWN, UNKNOWN_NAME, Clusters, Result
from ..schema import (
    CHUNKS,
    CLUSTER,
    CLUSTER_CHUNKS,
    CONFIDENCE,
    EMBEDDING,
    FRACTIONS,
    LABEL,
    LARGEST_CLUSTER,
    N_CLUSTERS,
    NAMES,
    OWN_SHAPES,
    OWN_TYPEID,
    OWN_TYPES,
    QUANTITIES,
    decode_strings,
    own_typeid,
)
from ..selection import fill, over_bodies


def encode_strings(strings: Sequence[str]) -> NDArray[np.int8]:
    """Strings as GSD holds them: rows of null-padded UTF-8."""
    rows = [string.encode() + b"\0" for string in strings]
    width = max(map(len, rows), default=1)
    return np.array(rows, dtype=f"S{width}").view(np.int8).reshape(len(rows), width)


def frame_labels(frame: gsd.hoomd.Frame) -> tuple[NDArray[np.int32], list[str]] | None:
    """Labels and class names of a labeled frame, or None if it has none."""
    label, names = frame.log.get(LABEL), frame.log.get(NAMES)
    if label is None or names is None:
        return None
    return np.asarray(label, np.int32), decode_strings(names)


def check_logged(frame: gsd.hoomd.Frame) -> None:
    """Refuse a frame whose labels and own types are not what this package writes.

    Raises
    ------
    InputError
        If names are not text, labels or types are outside of the names that they index, or what a
        frame has of each particle is of different numbers of particles.
    """
    log = frame.log
    texts = {name: _texts(log, name) for name in (NAMES, OWN_TYPES, OWN_SHAPES) if name in log}
    for name in {NAMES, OWN_TYPES} & set(texts):
        check_different(texts[name], f"log/{name}")
    for text in texts.get(OWN_SHAPES, ()):
        read_shape(text, f"log/{OWN_SHAPES}")
    if OWN_TYPES in log and OWN_TYPEID not in log:
        raise InputError(f"there is a chunk log/{OWN_TYPES} and none log/{OWN_TYPEID}.")
    for name, columns, kinds, names in (
        (LABEL, 1, "iu", NAMES),
        (CONFIDENCE, 1, "f", None),
        (EMBEDDING, 2, "f", None),
        (OWN_TYPEID, 1, "iu", OWN_TYPES),
    ):
        if name not in log:
            continue
        values = np.asarray(log[name])
        if values.ndim != columns or values.dtype.kind not in kinds:
            raise InputError(
                f"chunk log/{name} has numbers of type {values.dtype} and shape {values.shape}."
            )
        if LABEL in log and name in CHUNKS.values() and len(values) != len(log[LABEL]):
            raise InputError(
                f"chunk log/{name} is of {len(values)} particles, and labels are of "
                f"{len(log[LABEL])}."
            )
        if names in texts:
            outside = (values < (UNKNOWN if name == LABEL else 0)) | (values >= len(texts[names]))
            if outside.any():
                raise InputError(
                    f"chunk log/{name} has {values[outside][0]}, and there are "
                    f"{len(texts[names])} names in log/{names}, counted from 0."
                )


def _texts(log: Mapping[str, Any], name: str) -> list[str]:
    rows = np.asarray(log[name])
    try:
        if rows.dtype.itemsize > 1 or rows.ndim not in (1, 2):
            raise ValueError
        return decode_strings(rows)
    except ValueError:  # UnicodeDecodeError is one
        raise InputError(f"chunk log/{name} is not text.") from None


def check_different(names: Sequence[str], chunk: str) -> None:
    """Refuse names of types or classes of which two are the same.

    Raises
    ------
    InputError
    """
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"chunk {chunk} has the name {twice!r} twice.")


def read_shape(text: str, chunk: str) -> dict[str, Any]:
    """Shape of a type from its JSON.

    Raises
    ------
    InputError
        If it is none: no JSON, nested too deeply, with numbers that are too long.
    """
    try:
        shape = json.loads(text)
    except (ValueError, RecursionError):
        shape = None
    if not isinstance(shape, dict):
        raise InputError(f"chunk {chunk} has no shapes of types in JSON.")
    return shape


def check_quantities(quantities: Sequence[str], has_classes: bool) -> tuple[str, ...]:
    """Quantities to write, in their order; of a model without classes embeddings are among them.

    Raises
    ------
    InputError
        If there is no such quantity, or labels are left out.
    """
    if isinstance(quantities, str):
        quantities = (quantities,)
    for name in quantities:
        if name not in CHUNKS:
            raise InputError(
                f"there is no quantity {name!r} of particles, only {', '.join(CHUNKS)}."
            )
    if "label" not in quantities:
        raise InputError(
            "labels cannot be left out; quantities are label and, if need be, confidence and "
            "embedding."
        )
    return tuple(
        name for name in CHUNKS if name in quantities or (name == "embedding" and not has_classes)
    )


def add_labels(
    frame: gsd.hoomd.Frame,
    result: Result,
    particles: NDArray[np.int64] | None = None,
    quantities: Sequence[str] = QUANTITIES,
    clusters: Clusters | None = None,
) -> gsd.hoomd.Frame:
    """Put the labels of a frame's particles into the frame, where HOOMD's logger puts them.

    What the frame held of an earlier labeling goes.

    Parameters
    ----------
    frame : gsd.hoomd.Frame
        With N particles.
    result : Result
        Of m particles.
    particles : (m,) int, optional
        Which ones these are; all if not given. The others get label -1 and confidence 0.
    quantities : sequence of str
        Of ``"label"``, ``"confidence"`` and ``"embedding"``, those to put there. Embeddings are
        there in any case if the model has no classes.
    clusters : Clusters, optional
        Of the N particles.

    Raises
    ------
    InputError
        As :func:`check_quantities` does.
    """
    wanted = check_quantities(quantities, bool(result.class_names))
    for name, chunk in CHUNKS.items():
        frame.log.pop(chunk, None)
        if name in wanted:
            frame.log[chunk] = of_all(result, name, particles, frame.particles.N)
    for chunk in CLUSTER_CHUNKS.values():
        frame.log.pop(chunk, None)
    if clusters is not None:
        frame.log[CLUSTER] = clusters.ids
        frame.log[LARGEST_CLUSTER] = np.array([clusters.largest])
        frame.log[N_CLUSTERS] = np.array([len(clusters.sizes)])
    frame.log[FRACTIONS] = np.asarray(result.fractions)
    frame.log[NAMES] = encode_strings(result.class_names)
    return frame


def of_all(
    result: Result, name: str, particles: NDArray[np.int64] | None, total: int
) -> NDArray[Any]:
    """Label, confidence or embedding of all particles: -1 or 0 where there is none.

    Parameters
    ----------
    result : Result
        Of m particles.
    name : str
        ``"label"``, ``"confidence"`` or ``"embedding"``.
    particles : (m,) int, optional
        Which ones these are; all if not given.
    total : int
        Number of all particles.
    """
    return fill(getattr(result, name), particles, total, UNKNOWN if name == "label" else 0)


def of_everyone(result: Result, particles: NDArray[np.int64], centers: NDArray[np.int64]) -> Result:
    """Extend the result of some particles of a frame with rigid bodies to all.

    Parameters
    ----------
    result : Result
        Of m particles.
    particles : (m,) int
        Which ones these are. Fractions stay theirs.
    centers : (N,) int
        Center of each particle's body, as :func:`~hoomd_gala.selection.rigid_centers` gives them.
        Constituents get what their center has.
    """
    label, confidence, embedding = (
        over_bodies(of_all(result, name, particles, len(centers)), particles, centers)
        for name in CHUNKS
    )
    return Result(label, confidence, embedding, result.class_names, counted=particles)


def types_so_far(earlier: Sequence[str], frame: gsd.hoomd.Frame) -> list[str]:
    """Particle types for the structures of a labeled frame and of those before it.

    Parameters
    ----------
    earlier : sequence of str
        Types that stand for structures in earlier frames of the file.
    frame : gsd.hoomd.Frame
        With labels.
    """
    label, class_names = _labels_or_unknown(frame)
    # -1 picks the last one
    names = [*class_names, UNKNOWN_NAME]
    return structure_types(earlier, class_names, [names[k] for k in np.unique(label)])


def _labels_or_unknown(frame: gsd.hoomd.Frame) -> tuple[NDArray[np.int32], list[str]]:
    """Return labels and class names of a frame; without names all are unknown."""
    labels = frame_labels(frame)
    if labels is None or not labels[1]:
        return np.full(frame.particles.N, UNKNOWN, np.int32), []
    return labels


def as_written(names: Sequence[Any]) -> list[Any]:
    """Encode names of types that gsd cannot write as text, which it does in ASCII only.

    It writes bytes as they are, and reads UTF-8.
    """
    return [
        name.encode() if isinstance(name, str) and not name.isascii() else name for name in names
    ]


def encode_types(frame: gsd.hoomd.Frame) -> None:
    """Let gsd write the names of types, of particles, bonds and so on, as :func:`as_written`."""
    for container in vars(frame).values():
        if getattr(container, "types", None):
            container.types = as_written(container.types)


def structures_as_types(frame: gsd.hoomd.Frame, types: Sequence[str]) -> gsd.hoomd.Frame:
    """Replace the particle types of a frame by structures; its own types go to the log.

    All that is kept of them is written into every frame: what a frame of a GSD file does not hold
    is taken from the file's first one.

    Parameters
    ----------
    frame : gsd.hoomd.Frame
        Of the simulation's own types.
    types : sequence of str
        As :func:`types_so_far` gives them.
    """
    label, class_names = _labels_or_unknown(frame)
    particles = frame.particles
    own = particles.types or ["A"]
    typeid = particles.typeid
    frame.log[OWN_TYPEID] = np.zeros(particles.N, np.uint32) if typeid is None else typeid
    frame.log[OWN_TYPES] = encode_strings(own)
    shapes = particles.type_shapes or [{}]
    frame.log[OWN_SHAPES] = encode_strings([json.dumps(shape) for shape in shapes])
    # a shape that all types share remains valid under other names
    shared = len(shapes) >= len(own) and all(one == shapes[0] for one in shapes)
    particles.type_shapes = [shapes[0]] * len(types) if shared else [{}]
    number = {name: k for k, name in enumerate(types)}
    ids = [number.get(name, 0) for name in (*class_names, UNKNOWN_NAME)]
    particles.types = as_written([title(name) for name in types])
    particles.typeid = np.array(ids, np.uint32)[label]
    return frame


def restore_types(frame: gsd.hoomd.Frame) -> gsd.hoomd.Frame:
    """Restore the simulation's own types in a frame whose types stand for structures."""
    if OWN_TYPES in frame.log:
        own, shown = own_typeid(frame), frame.particles.typeid
        del frame.log[OWN_TYPEID]
        types = decode_strings(frame.log.pop(OWN_TYPES))
        shapes = decode_strings(frame.log.pop(OWN_SHAPES, []))
        if own is not shown:
            frame.particles.typeid, frame.particles.types = own, types
            frame.particles.type_shapes = [json.loads(shape) for shape in shapes] or [{}]
    return frame
