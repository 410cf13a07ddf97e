"""What an analysis says of each particle."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .errors import InputError

#: What a particle is called that is in no solid, and one whose structure a model does not know.
DISORDERED, UNKNOWN_NAME = "disordered", "unknown"

#: Label of a particle whose structure the model does not know.
UNKNOWN = -1


@dataclass(frozen=True)
class Result:
    """What an analysis says of each particle.

    Attributes
    ----------
    label : (N,) int32
        Index into ``class_names``; -1 for particles whose structure is unknown.
    confidence : (N,) float32
        Probability of the most likely class, in [0, 1], calibrated on held-out data.
    embedding : (N, D) float32
        The network's summary of each environment.
    class_names : tuple of str
        Names of the classes; :attr:`names` has that of each particle.
    """

    label: NDArray[np.int32]
    confidence: NDArray[np.float32]
    embedding: NDArray[np.float32]
    class_names: tuple[str, ...]

    @property
    def names(self) -> NDArray[np.str_]:
        """(N,) str: the structure of each particle by name, ``"unknown"`` where the label is -1."""
        # the last one is what -1 picks
        return np.array([*self.class_names, UNKNOWN_NAME])[self.label]

    @property
    def counts(self) -> NDArray[np.float64]:
        """Fraction of particles in each class, followed by the fraction that is unknown."""
        n_classes = len(self.class_names)
        labels = np.where(self.label == UNKNOWN, n_classes, self.label)
        return np.bincount(labels, minlength=n_classes + 1) / max(len(labels), 1)

    @property
    def fractions(self) -> dict[str, float]:
        """Fraction of particles by class name, and by ``"unknown"`` for those labelled -1."""
        names = (*self.class_names, UNKNOWN_NAME)
        return dict(zip(names, self.counts.tolist(), strict=True))

    def fraction(self, structure: str | Sequence[str] | None = None) -> float:
        """Fraction of particles in a structure, in any of several, or in anything solid.

        Parameters
        ----------
        structure : str or sequence of str, optional
            Names of classes, or ``"unknown"``; if not given, all that are neither disordered nor
            unknown.

        Raises
        ------
        InputError
            If there is no class of that name.
        """
        chosen = class_indices(self.class_names, structure)
        return float(self.counts[chosen].sum())


def class_indices(
    class_names: Sequence[str], structure: str | Sequence[str] | None = None
) -> list[int]:
    """Where the fractions of structures stand in :attr:`Result.counts`.

    Parameters
    ----------
    class_names : sequence of str
        Names of a model's classes.
    structure : str or sequence of str, optional
        Some of them, or ``"unknown"``; if not given, all but the disordered one.

    Raises
    ------
    InputError
        If there is no class of that name.
    """
    if structure is None:
        return [i for i, name in enumerate(class_names) if name != DISORDERED]
    known = [*class_names, UNKNOWN_NAME]
    wanted = [structure] if isinstance(structure, str) else list(structure)
    for name in wanted:
        if name not in known:
            raise InputError(f"the model has no class {name!r}; it knows {', '.join(known)}.")
    return [known.index(name) for name in dict.fromkeys(wanted)]
