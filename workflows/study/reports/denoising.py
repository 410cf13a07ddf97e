"""Table and card of the model that takes thermal displacements out of positions."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from hoomd_gala.analyzer import Analyzer
from hoomd_gala.files.atomic import write_table
from hoomd_gala.files.cards import write_card
from hoomd_gala.files.models import Model, load_model, save_model
from study.comparison import denoising
from study.training.names import DENOISE_TABLE, DENOISER, DENOISER_CARD


def publish(
    folder: Path, groups: Sequence[str], left_out: Sequence[str], about: Mapping[str, Any]
) -> None:
    """Measure a model, and write the table, the model with all that was measured, and its card.

    Parameters
    ----------
    folder : Path
        Where the model is, and all of these go.
    groups : sequence of str
        Cases of :data:`study.comparison.denoising.CASES` to measure.
    left_out : sequence of str
        Unit cells that it has not learned from, to measure.
    about : mapping
        What the card says of the training.
    """
    analyzer = Analyzer(folder / DENOISER)
    cases = {group: denoising.CASES[group]() for group in groups}
    cases[denoising.LEFT_OUT] = denoising.left_out_crystals(left_out)
    rows = [
        denoising.row(analyzer, group, case)
        for group, some in cases.items()
        for case in tqdm(some, f"measure {group}", unit="case")
    ]
    write_table(folder / DENOISE_TABLE, rows)
    model = load_model(folder / DENOISER)
    speed = denoising.seconds(Analyzer(folder / DENOISER, "cpu"), Analyzer("structures", "cpu"))
    metrics = dict(model.info.card["metrics"]) | summary(rows, "after") | speed
    baselines = {"positions left as they are": summary(rows, "before")}
    card = dict(about) | model.info.card | {"metrics": metrics, "baselines": baselines}
    save_model(folder / DENOISER, Model(model.network, dataclasses.replace(model.info, card=card)))
    write_card(folder / DENOISER_CARD, folder / DENOISER)


def summary(rows: Sequence[Mapping[str, Any]], when: str) -> dict[str, float]:
    """Worst agreement with what there is without displacements, of each group of cases.

    Parameters
    ----------
    rows : sequence of mapping
        Of :func:`study.comparison.denoising.row`.
    when : str
        ``"before"`` or ``"after"``.
    """
    found: dict[str, float] = {}
    for row in rows:
        if row["group"] == "liquid":
            key, value = "liquid called crystalline, most", float(row[f"crystalline {when}"])
            found[key] = max(found.get(key, 0.0), value)
        elif row["group"] == denoising.LEFT_OUT:
            key, value = (
                "displacement left, left-out crystal, most",
                (float(row[f"displacement {when}"]) / float(row["displacement before"])),
            )
            found[key] = max(found.get(key, 0.0), round(value, 4))
        else:
            key, value = f"agreement, {row['group']}, least", float(row[f"agree {when}"])
            found[key] = min(found.get(key, 1.0), value)
    return found
