"""What the shipped model says of a solid, to stand beside what is known of it without learning."""

from collections import Counter
from typing import Any

from hoomd_gala.analyzer import Analyzer
from hoomd_gala.systems import System
from study.solids.order import bulk

MODEL = "structures"

#: Column of a table that it goes to.
COLUMN = f"labels by {MODEL}"


def of_bulk(warm: System, quenched: System) -> dict[str, Any]:
    """Most frequent labels of the bulk of a warm solid, whose bulk is told without its heat."""
    result = Analyzer(MODEL).analyze_system(warm)
    labels = result.names[bulk(quenched)].tolist()
    shares = Counter(labels).most_common(3)
    return {
        COLUMN: ", ".join(f"{name} {100 * count / len(labels):.0f} %" for name, count in shares)
    }
