"""Table and figure of representations side by side, and the card of the one that is shipped."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hoomd_gala.files.atomic import replacing, write_table
from hoomd_gala.files.cards import write_card
from hoomd_gala.files.models import Model, load_model, save_model
from study.reports.canvas import method_colors, plt, save_figure
from study.reports.markdown import markdown
from study.training.names import EMBEDDING, EMBEDDING_CARD

#: First words of rows that are no scores, of which more is better.
_NO_SCORES = ("time", "numbers")


def is_score(row: Mapping[str, Any]) -> bool:
    """Whether a row is a score, and not a cost."""
    return not str(row["measure"]).startswith(_NO_SCORES)


def text(rows: Sequence[Mapping[str, Any]], tuning: Sequence[Mapping[str, Any]], best: Any) -> str:
    """Both tables in Markdown, the highest score of each row in bold."""
    shown = []
    for row in rows:
        values = {key: value for key, value in row.items() if key != "measure"}
        highest = max(values.values())
        shown.append(
            {"": row["measure"]}
            | {
                key: f"**{value:.3f}**" if value == highest else f"{value:.3f}"
                for key, value in values.items()
            }
            if is_score(row)
            else {"": row["measure"]} | {key: f"{value:g}" for key, value in values.items()}
        )
    return "\n".join(
        [
            "# Representations side by side\n",
            "Of scores, 1 is the best and the highest of each row is in bold; times are of one "
            "run on one core.\n",
            markdown(shown),
            f"SOAP has the best settings of those that follow, {best}, as mean of both scores; "
            "these are of crystals and liquids that nothing else is measured on.\n",
            markdown([{key: f"{value:g}" for key, value in row.items()} for row in tuning]),
        ]
    )


def draw(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Draw all scores, one line each, with a dot for each representation."""
    scores = [row for row in rows if is_score(row)]
    names = [name for name in scores[0] if name != "measure"]
    figure, axes = plt.subplots(figsize=(9, 0.34 * len(scores) + 1.4), layout="constrained")
    places = np.arange(len(scores))[::-1]
    markers, palette = dict(zip(names, "osD^vP*X", strict=False)), method_colors(names)
    # the first on top
    for name in reversed(names):
        values = [row[name] for row in scores]
        axes.plot(
            values,
            places,
            ls="",
            marker=markers.get(name, "."),
            color=palette[name],
            ms=6,
            label=name,
        )
    axes.hlines(places, 0, 1, color="0.9", zorder=0)
    axes.set_yticks(places, [row["measure"] for row in scores], fontsize=9)
    axes.set(xlim=(min(0.0, *(row[n] for row in scores for n in names)), 1.01), xlabel="score")
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles[::-1], labels[::-1], loc="outside upper center", ncols=4, frameon=False, fontsize=9
    )
    save_figure(path, figure)


def write(
    folder: Path,
    names: tuple[str, str, str],
    rows: Sequence[Mapping[str, Any]],
    tuning: Sequence[Mapping[str, Any]],
    best: Any,
) -> None:
    """Write table, text and figure under three names into a folder."""
    table, words, figure = names
    write_table(folder / table, list(rows))
    with replacing(folder / words) as part:
        part.write_text(text(rows, tuning, best))
    draw(folder / figure, rows)


def publish(folder: Path, rows: Sequence[Mapping[str, Any]], about: Mapping[str, Any]) -> None:
    """Put what was measured on a model's card, and write it beside the model.

    Parameters
    ----------
    folder : Path
        Where the model is.
    rows : sequence of mapping
        Of :func:`study.comparison.representations.compare`.
    about : mapping
        What the card says of the training.
    """
    model = load_model(folder / EMBEDDING)
    name, *others = [key for key in rows[0] if key != "measure"]

    def column(of: str) -> dict[str, float]:
        return {row["measure"]: float(row[of]) for row in rows}

    metrics = dict(model.info.card["metrics"]) | column(name)
    baselines = dict(model.info.card["baselines"]) | {other: column(other) for other in others}
    card = model.info.card | dict(about) | {"metrics": metrics, "baselines": baselines}
    save_model(folder / EMBEDDING, Model(model.network, dataclasses.replace(model.info, card=card)))
    write_card(folder / EMBEDDING_CARD, folder / EMBEDDING)
