"""Cards of the shipped models, with all that was measured."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hoomd_gala.files.atomic import read_table
from hoomd_gala.files.cards import write_card
from hoomd_gala.files.models import Model, load_model, save_model

#: What the study ``quality`` showed that the models cannot do.
CANNOT = [
    "tell compounds from their parent lattices: they are blind to types",
    "name many crystals that are displaced by more than a tenth of the shortest distance, the "
    "common ones apart",
    "tell dhcp from fcc with as many stacking faults: each layer of a stacking has the name that "
    "common neighbor analysis gives it; or hot oF8-Pu from hP9-CrSi2",
    "leave every structure that they have not learned without a name: see the area under ROC",
    "name particles at a surface or a boundary, which are mostly unknown or disordered",
]


def measured(folder: Path, name: str) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """Read the numbers of a model, and of other methods, from tables that ``quality`` wrote."""

    def read(table: str) -> list[dict[str, str]]:
        return read_table(folder / f"{table}.csv")

    means = read("mean_accuracy")
    columns = [key for key in means[0] if key not in ("kind", "level", "rms")]
    methods = [key for key in columns if not key.endswith(": of known")]
    numbers: dict[str, dict[str, float]] = {method: {} for method in methods}
    for row in means:
        if row["level"] in ("0.08", "0.1"):
            for method, own in numbers.items():
                own[f"accuracy, {row['kind']} {row['level']}"] = float(row[method])
    liquids = read("liquids")
    for method, own in numbers.items():
        shares = [float(row[method]) for row in liquids]
        own["liquid called crystalline"] = round(sum(shares) / len(shares), 5)
    for row in read("calibration"):
        error = float(row["expected calibration error"])
        numbers[row["model"]]["expected calibration error"] = error
    for row in read("unknown"):
        area = float(row["area under ROC"])
        numbers[row["model"]][f"area under ROC, {Path(row['file']).stem}"] = area
    own = numbers.pop(name)
    return own, numbers


def publish(target: Path, source: Path, folder: Path, about: Mapping[str, Any]) -> None:
    """Write a model and its card, with everything that was measured."""
    model = load_model(source)
    metrics, baselines = measured(folder, source.stem)
    found = {"metrics": metrics, "baselines": baselines, "cannot": "; ".join(CANNOT)}
    card = dict(about) | found | model.info.card
    save_model(target, Model(model.network, dataclasses.replace(model.info, card=card)))
    write_card(target.with_suffix(".json"), target)
