"""What an analysis finds: a label for every particle, and fractions of structures.

Everything here needs numpy alone, so that files of labels can be read without loading torch.
"""

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .errors import InputError
from .names import STRUCTURES, find_class, title

#: Name of particles that belong to no solid, and of those whose structure a model does not know.
DISORDERED, UNKNOWN_NAME = "disordered", "unknown"

#: Label of a particle whose structure the model does not know.
UNKNOWN = -1

#: Up to how many classes a message lists them all, and how many similar ones otherwise.
_FEW, _SHOWN = 12, 3

#: Confidence below which particles are labeled unknown, unless a model says otherwise.
UNKNOWN_BELOW = 0.5

#: By how much the confidence of a second look must be higher for it to replace a name: the first
#: look is at the positions that particles have.
SURER = 0.2


class Fractions(dict[str, float]):
    """Fraction of particles in each structure, by name.

    The keys are the names of a model's classes in their order, followed by ``"unknown"``; common
    names find them as well. numpy takes it as the (C + 1,) array of its values, and so do
    HOOMD-blue's loggers.

    Examples
    --------
    >>> result.fractions["cI2-W"]
    0.54
    >>> result.fractions["bcc"]
    0.54
    >>> np.asarray(result.fractions)
    array([0.54, 0.4 , 0.06])
    """

    @classmethod
    def from_array(cls, class_names: Iterable[str], values: NDArray[np.float64]) -> Self:
        """Fractions from an array of C + 1 numbers, the last of which is the unknown fraction."""
        return cls(zip((*class_names, UNKNOWN_NAME), values.tolist(), strict=True))

    @classmethod
    def of_labels(cls, class_names: Sequence[str], label: NDArray[np.int32]) -> Self:
        """Fractions of (N,) labels; all are zero if there are none."""
        n_classes = len(class_names)
        counts = np.bincount(np.where(label == UNKNOWN, n_classes, label), minlength=n_classes + 1)
        return cls.from_array(class_names, counts / max(len(label), 1))

    def of(self, structure: str | Sequence[str] | None = None) -> float:
        """Fraction of particles in a structure, in any of several, or in any solid.

        Parameters
        ----------
        structure : str or sequence of str, optional
            Names of classes, such as ``"fcc"`` or ``"cF4-Cu"``, or ``"unknown"``. If not given, all
            that are neither disordered nor unknown.

        Raises
        ------
        InputError
            If there is no class of that name.
        """
        chosen = class_indices([name for name in self if name != UNKNOWN_NAME], structure)
        return float(np.asarray(self)[chosen].sum())

    def __missing__(self, name: str) -> float:
        """Fraction of a class by another name than its own; KeyError if there is none."""
        found = find_class(name, list(self))
        if found is None:
            raise KeyError(no_such_class(name, list(self)))
        return super().__getitem__(found)

    def __contains__(self, name: object) -> bool:
        """Whether there is a class of that name, its own or another."""
        return isinstance(name, str) and find_class(name, list(self)) is not None

    def get(self, name: Any, default: Any = None) -> Any:
        """Fraction of a class by any of its names, or the default if there is none."""
        found = find_class(name, list(self))
        return default if found is None else super().__getitem__(found)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """(C + 1,) array of the values, float64 unless another type is asked for."""
        if copy is False:
            raise ValueError("fractions cannot become an array without a copy.")
        return np.fromiter(self.values(), np.float64, len(self)).astype(dtype or np.float64)

    def __getitem__(self, name: Any) -> Any:
        """Fraction of a class by name; positions and slices are deprecated."""
        if isinstance(name, str):
            return super().__getitem__(name)
        warnings.warn(
            "fractions are a mapping from names to numbers; positions and slices are deprecated "
            "and will go with version 0.3. Use a name, or np.asarray(fractions).",
            DeprecationWarning,
            stacklevel=2,
        )
        return np.asarray(self)[name]


@dataclass(frozen=True, repr=False)
class Result:
    """Labels of particles, and what they rest on.

    Attributes
    ----------
    label : (N,) int32
        Index into ``class_names``; -1 for particles whose structure is unknown.
    confidence : (N,) float32
        Probability of the most likely class, in [0, 1], calibrated on held-out data.
    embedding : (N, D) float32
        The network's summary of each local environment.
    class_names : tuple of str
        Names of the classes; :attr:`names` gives the name for each particle.
    counted : (k,) int64, optional
        Indices of the particles that fractions are of; all if not given. Constituents of rigid
        bodies have what their center has, and are not counted.
    """

    label: NDArray[np.int32]
    confidence: NDArray[np.float32]
    embedding: NDArray[np.float32]
    class_names: tuple[str, ...]
    counted: NDArray[np.int64] | None = None

    def __repr__(self) -> str:
        """How many particles there are, and the structures that most of them have."""
        found = sorted(self.fractions.items(), key=lambda item: -item[1])
        parts = [f"{title(name)} {share:.3g}" for name, share in found if share]
        more = ", …" if len(parts) > 2 * _SHOWN else ""
        shown = ", ".join(parts[: 2 * _SHOWN]) or "no structures"
        return f"Result(of {len(self.label)} particles: {shown}{more})"

    @property
    def names(self) -> NDArray[np.str_]:
        """(N,) str: the structure of each particle by name, ``"unknown"`` where the label is -1."""
        return label_names(self.label, self.class_names)

    @property
    def fractions(self) -> Fractions:
        """Fraction of particles in each class by name, the unknown last."""
        counted = self.label if self.counted is None else self.label[self.counted]
        return Fractions.of_labels(self.class_names, counted)

    def fraction(self, structure: str | Sequence[str] | None = None) -> float:
        """Fraction of particles in a structure, in any of several, or in any solid.

        Parameters
        ----------
        structure : str or sequence of str, optional
            Names of classes, such as ``"fcc"`` or ``"cF4-Cu"``, or ``"unknown"``. If not given, all
            that are neither disordered nor unknown.

        Raises
        ------
        InputError
            If there is no class of that name.
        """
        return self.fractions.of(structure)

    @property
    def solid_fraction(self) -> float:
        """Fraction of particles that are neither disordered nor unknown, as :meth:`fraction`."""
        return self.fraction()

    @property
    def counts(self) -> NDArray[np.float64]:
        """Deprecated: use ``np.asarray(result.fractions)``."""
        warnings.warn(
            "Result.counts is deprecated and will go with version 0.3; "
            "use np.asarray(result.fractions).",
            DeprecationWarning,
            stacklevel=2,
        )
        return np.asarray(self.fractions)


def unlabeled(n: int, width: int, class_names: tuple[str, ...]) -> Result:
    """Return a result for n particles about which nothing is known; embeddings are zero."""
    return Result(
        np.full(n, UNKNOWN, np.int32),
        np.zeros(n, np.float32),
        np.zeros((n, width), np.float32),
        class_names,
    )


def doubtful(result: Result) -> NDArray[np.int64]:
    """Particles (m,) whose label a second look may change: see :func:`reconsider`."""
    open_to_it = (result.label == UNKNOWN) | (result.confidence < 1 - SURER)
    if DISORDERED in result.class_names:
        open_to_it &= result.label != result.class_names.index(DISORDERED)
    return np.flatnonzero(open_to_it)


def reconsider(result: Result, particles: NDArray[np.int64], second: Result) -> Result:
    """Return a result with the labels of a second look at some particles, where these are better.

    Parameters
    ----------
    result : Result
        Of N particles.
    particles : (m,) int64
        Those that were looked at again: :func:`doubtful` says which.
    second : Result
        Of these m, of the same classes. Where it has a label, that replaces an unknown one, and
        another one if its confidence is higher by more than 0.2.
    """
    first = result.confidence[particles]
    better = (result.label[particles] == UNKNOWN) | (second.confidence > first + SURER)
    better &= second.label != UNKNOWN
    label, confidence = result.label.copy(), result.confidence.copy()
    label[particles[better]] = second.label[better]
    confidence[particles[better]] = second.confidence[better]
    return replace(result, label=label, confidence=confidence)


def label_names(label: NDArray[np.int32], class_names: Sequence[str]) -> NDArray[np.str_]:
    """Names of labels (N,), ``"unknown"`` where the label is -1."""
    # -1 picks the last one
    return np.array([*class_names, UNKNOWN_NAME])[label]


def class_indices(
    class_names: Sequence[str], structure: str | Sequence[str] | None = None
) -> list[int]:
    """Positions of structures in the array that :class:`Fractions` becomes.

    Parameters
    ----------
    class_names : sequence of str
        Names of a model's classes.
    structure : str or sequence of str, optional
        Some of them, by any name that :data:`~hoomd_gala.names.STRUCTURES` has for them, or
        ``"unknown"``; if not given, all but the disordered one.

    Raises
    ------
    InputError
        If there is no class of that name.
    """
    if structure is None:
        return [i for i, name in enumerate(class_names) if name != DISORDERED]
    known = [*class_names, UNKNOWN_NAME]
    wanted = [structure] if isinstance(structure, str) else structure
    if not isinstance(wanted, Iterable) or not all(isinstance(name, str) for name in wanted):
        raise InputError(
            f"structures are given by name, such as 'fcc' or 'cF4-Cu', or several as a list of "
            f"names, and not as {structure!r}; class_names has the name of a label."
        )
    found: dict[int, None] = {}  # in order, each once
    for name in wanted:
        one = find_class(name, known)
        if one is None:
            raise InputError(no_such_class(name, known))
        found[known.index(one)] = None
    return list(found)


def no_such_class(name: str, class_names: Iterable[str]) -> str:
    """Sentence that says which names there are instead of one that there is not."""
    known = list(class_names)
    if len(known) <= _FEW:
        return f"the model has no class {name!r}; it knows {', '.join(map(title, known))}."
    names: dict[str, str] = {}
    for one in known:
        structure = STRUCTURES.get(one)
        others = (structure.name, *structure.others) if structure else ()
        names |= dict.fromkeys((one, *others), one)
    close = get_close_matches(name, names, n=_SHOWN, cutoff=0.5)
    alike = dict.fromkeys(title(names[text]) for text in close)
    if not alike:
        return f"the model has no class {name!r}; hoomd-gala models MODEL lists those that it has."
    return (
        f"the model has no class {name!r}; it has {', '.join(alike)}, and hoomd-gala models MODEL "
        "lists all."
    )


class Clusters(NamedTuple):
    """Clusters of a system.

    Attributes
    ----------
    ids : (N,) int32
        Cluster of each particle, 0 for the largest; -1 for particles in none.
    sizes : (k,) int64
        Particles in each cluster, in descending order.
    """

    ids: NDArray[np.int32]
    sizes: NDArray[np.int64]

    def __repr__(self) -> str:
        """How many there are, and how large the largest are."""
        sizes = ", ".join(map(str, self.sizes[:_SHOWN].tolist()))
        more = ", …" if len(self.sizes) > _SHOWN else ""
        found = f"{len(self.sizes)} clusters" + (f": {sizes}{more}" if sizes else "")
        return f"Clusters(of {len(self.ids)} particles, {found})"

    @property
    def largest(self) -> int:
        """Particles in the largest cluster; 0 if there is none."""
        return int(self.sizes[0]) if len(self.sizes) else 0


def no_clusters(n: int) -> Clusters:
    """Return what there is where none of n particles is in a cluster."""
    return Clusters(np.full(n, -1, np.int32), np.zeros(0, np.int64))
