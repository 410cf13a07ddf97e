"""Labels of the shipped model for a solid, to compare with its identification."""

from collections import Counter
from typing import Any

from hoomd_gala.analyzer import Analyzer
from hoomd_gala.systems import System
from study.solids.order import bulk

MODEL = "structures"

#: Its column of a table.
COLUMN = f"labels by {MODEL}"


def of_bulk(warm: System, quenched: System) -> dict[str, Any]:
    """Most frequent labels of a warm solid, in the bulk of its inherent structure."""
    result = Analyzer(MODEL).analyze_system(warm)
    labels = result.names[bulk(quenched)].tolist()
    shares = Counter(labels).most_common(3)
    return {
        COLUMN: ", ".join(f"{name} {100 * count / len(labels):.0f} %" for name, count in shares)
    }
