"""Markdown tables of the evidence of all assemblies, one by one and over seeds."""

from collections.abc import Mapping, Sequence
from typing import Any

from study.comparison.seeds import DEVIATION, SEEDS
from study.comparison.shipped_labels import COLUMN
from study.reports.markdown import markdown
from study.solids.evidence import ICOSAHEDRAL_DEGREES, OTHER_DEGREES
from study.solids.references import CRYSTALLINE


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Markdown table of rows of :func:`study.solids.evidence.row` and what a study adds to them."""
    return markdown(
        [
            {
                "system": row["system"],
                "particles, timesteps, seed": (
                    f"{row['particles']}, {row['timesteps']}, {row['seed']}"
                ),
                "identified as": row["verdict"],
                "nearest cell (distance; off-stoichiometry)": (
                    f"{row['nearest cell']} ({row['distance']}; {row['proportions']})"
                ),
                "other evidence": _other(row),
                "liquid, solid from kT": (
                    f"{row['condensation, kT']:.2f}, {row['freezing, kT']:.2f}"
                ),
                "labels of the bulk by the shipped model": row[COLUMN],
            }
            for row in rows
        ]
    )


def over_seeds(rows: Sequence[Mapping[str, Any]]) -> str:
    """Markdown table of rows of :func:`study.comparison.seeds.assembly`, with several."""
    several = [row for row in rows if row[SEEDS] > 1]
    if not several:
        return "One seed of each system: how much these numbers vary with it is not known.\n"
    shown = ("condensation, kT", "freezing, kT", "bulk particles", "energy of the bulk", "distance")
    lines = [
        {key: row[key] for key in ("system", SEEDS, "identified as")}
        | {key: f"{row[key]} ± {row[f'{key}, {DEVIATION}']}" for key in shown}
        for row in several
    ]
    about = "Mean over seeds ± standard deviation of a single one; all other systems have one seed."
    return f"{about}\n\n{markdown(lines)}"


def _other(row: Mapping[str, Any]) -> str:
    """Return the most important evidence besides unit cells, which depends on the structure."""
    if row["PTM"] in CRYSTALLINE:
        text = f"PTM {row['PTM']} {100 * row['PTM share']:.0f} %"
        other = row["PTM, close-packed"] - row["PTM share"]
        return text if other < 0.01 else f"{text}, {100 * other:.0f} % in other stackings"
    if row["verdict"].startswith("icosahedral"):
        return (
            f"tenfold diffraction ({row['tenfold']}); global bond order of degrees "
            f"{_degrees(row, ICOSAHEDRAL_DEGREES)} against {_degrees(row, OTHER_DEGREES)}"
        )
    fold = max(("fourfold", "sixfold", "twelvefold"), key=lambda name: row[name])
    return (
        f"first shell {_first(row['first shell'], 1)}; Voronoi {_first(row['Voronoi'], 3)} "
        f"({_first(row['Voronoi, ideal'], 3)} in the cell); diffraction {fold} ({row[fold]})"
    )


def _degrees(row: Mapping[str, Any], degrees: Sequence[int]) -> str:
    return ", ".join(f"{degree} ({row[f'Q{degree}']})" for degree in degrees)


def _first(shares: str, n: int) -> str:
    """Return the first n shares of coordination numbers: ``14: 54 %, 12: 36 %``."""
    return ", ".join(shares.split(", ")[:n])
