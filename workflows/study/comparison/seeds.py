"""Numbers of systems that were simulated with several seeds: means, and how much they vary."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

#: Columns beside a number that depends on the seed.
DEVIATION, SEEDS = "standard deviation", "seeds"

#: Numbers of the evidence on a solid that mean the same whatever was found, and their decimals.
_EVIDENCE = {
    "condensation, kT": 3,
    "freezing, kT": 3,
    "bulk particles": 0,
    "energy of the bulk": 3,
    "distance": 3,
    "PTM, close-packed": 3,
    "fourfold": 2,
    "sixfold": 2,
    "tenfold": 2,
    "twelvefold": 2,
}


def mean_and_deviation(values: Sequence[float], digits: int) -> tuple[str, str]:
    """Mean over seeds, and the standard deviation of a single seed: empty where there is one.

    The deviation has n - 1 in the denominator. It estimates how far another seed would be from the
    mean; the error of the mean is smaller by the square root of n.

    Parameters
    ----------
    values : (n,) float
        The same number with each seed.
    digits : int
        Decimals.
    """
    mean = f"{np.mean(values):.{digits}f}"
    return mean, f"{np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else ""


def columns(name: str, values: Sequence[float], digits: int = 3) -> dict[str, Any]:
    """Three columns: the mean, the standard deviation and the number of seeds."""
    mean, deviation = mean_and_deviation(values, digits)
    return {name: mean, DEVIATION: deviation, SEEDS: len(values)}


def in_words(row: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a row with these columns in one: ``0.52 ± 0.03 (4 seeds)``, ``0.52 (one seed)``."""
    seeds = "one seed" if row[SEEDS] == 1 else f"{row[SEEDS]} seeds"
    around = f" ± {row[DEVIATION]}" if row[DEVIATION] else ""
    kept = {key: value for key, value in row.items() if key not in (DEVIATION, SEEDS)}
    return kept | {name: f"{row[name]}{around} ({seeds})"}


def assembly(system: str, evidence: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Row of a table: what a system assembled into with each seed, and the spread of its numbers.

    Parameters
    ----------
    system : str
        Name that all have in common.
    evidence : sequence of dict
        Of each seed; see :func:`study.solids.evidence.row`.
    """
    verdicts = Counter(numbers["verdict"] for numbers in evidence).most_common()
    row: dict[str, Any] = {
        "system": system,
        SEEDS: len(evidence),
        "identified as": ", ".join(f"{name} ({count})" for name, count in verdicts),
    }
    for key, digits in _EVIDENCE.items():
        mean, deviation = mean_and_deviation([numbers[key] for numbers in evidence], digits)
        row |= {key: mean, f"{key}, {DEVIATION}": deviation}
    return row
