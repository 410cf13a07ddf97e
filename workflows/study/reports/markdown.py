"""Tables and numbers in Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """Markdown table of rows, with the keys of the first one as header; "none" of no rows."""
    if not rows:
        return "none\n"
    head = list(rows[0])
    lines = [head, ["---"] * len(head), *([str(row[key]) for key in head] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def percent(value: float) -> str:
    """Return a fraction in percent, with one decimal."""
    return f"{100 * value:.1f}"
