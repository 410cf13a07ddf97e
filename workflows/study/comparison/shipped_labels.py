"""Labels of the shipped model for a solid, to compare with its identification."""

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hoomd_gala.analyzer import Analyzer
from hoomd_gala.systems import System
from study.solids.order import bulk

MODEL = "structures"

#: Its column of a table.
COLUMN = f"labels by {MODEL}"


def label(system: System) -> NDArray[np.str_]:
    """Name of each particle's structure, (N,)."""
    return Analyzer(MODEL).analyze_system(system).names


def of_bulk(names: NDArray[np.str_], quenched: System) -> dict[str, Any]:
    """Most frequent labels of a warm solid, (N,), in the bulk of its inherent structure."""
    labels = names[bulk(quenched)].tolist()
    shares = Counter(labels).most_common(3)
    return {
        COLUMN: ", ".join(f"{name} {100 * count / len(labels):.0f} %" for name, count in shares)
    }
