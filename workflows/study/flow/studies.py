"""Studies: files of what to simulate and train, and the state points of their jobs."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hoomd_gala.errors import InputError

#: Whether samples are learned from or held out.
LEARNED, HELD_OUT = "learned", "held out"

#: Of the samples of each part, one of so many is held out besides.
_HELD_OUT = 7

FOLDER = Path(__file__).resolve().parents[2] / "studies"


def names() -> list[str]:
    """Names of all studies."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load(name: str) -> dict[str, Any]:
    """Content of a study's file; InputError with the known names if there is none."""
    path = FOLDER / f"{name}.toml"
    if not path.is_file():
        raise InputError(f"there is no study {name!r}; there are {', '.join(names())}.")
    return tomllib.loads(path.read_text())


def state_points(name: str) -> list[dict[str, Any]]:
    """State points of a study's jobs, flat so that ``signac find`` filters read well."""
    study = load(name)
    common = {"study": name}
    models = []
    if "structure_model" in study:
        models.append(common | {"kind": "structure_model"} | study["structure_model"])
    if "shipped_model" in study:
        models += _shipped_points(dict(study["shipped_model"]), common)
    systems = [
        common | {"kind": "system"} | study["protocol"] | system
        for system in study.get("systems", [])
    ]
    fluids = [
        common | {"kind": "fluid"} | study["protocol"] | study["fluid_protocol"] | fluid
        for fluid in study.get("fluids", [])
    ]
    measured = [*_quality_points(study, common)]
    return [
        *_disorder_points(study, common),
        *fluids,
        *models,
        *systems,
        *measured,
        *_paper_points(study, common),
    ]


def _disorder_points(study: dict[str, Any], common: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """State points of the disorder that shipped models learn from."""
    for kind, n in study.get("disorder", {}).items():
        for seed in range(1, n + 1):
            yield common | {"kind": "disorder", "of": kind, "seed": seed}


def _shipped_points(model: dict[str, Any], common: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """State points of the shipped models, and of the samples that they learn from."""
    for part, n in model.pop("samples").items():
        held_out = max(1, n // _HELD_OUT)
        for role, number in ((LEARNED, n), (HELD_OUT, held_out)):
            yield common | {"kind": "samples", "part": part, "role": role, "n": number}
    yield common | {"kind": "shipped_model"} | model


def _quality_points(study: dict[str, Any], common: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """State points of systems that models are measured on, and of the measurement.

    Where ``structure`` or ``symbol`` is a list, there is a system of each, named for it.
    """
    for system in study.get("quality_systems", []):
        for key in ("structure", "symbol"):
            if isinstance(system.get(key), list):
                each = [
                    system | {key: value, "name": f"{system.get('name', '')} {value}".strip()}
                    for value in system[key]
                ]
                break
        else:
            each = [system]
        for one in each:
            yield common | {"kind": "quality_system"} | one
    if "quality" in study:
        yield common | {"kind": "quality"} | study["quality"]


def _paper_points(study: dict[str, Any], common: dict[str, Any]) -> list[dict[str, Any]]:
    """State points for results of the paper: assemblies, liquids, transfers, and comparisons."""
    points = [
        common | {"kind": "assembly"} | study["protocol"] | assembly
        for assembly in study.get("assemblies", [])
    ]
    if points:
        points.append(common | {"kind": "reference"} | study.get("reference", {}))
    for liquid in study.get("liquids", []):
        seeds = range(1, study["liquid_comparison"]["n_runs"] + 1)
        shared = common | {"kind": "liquid"} | study["protocol"] | study["liquid_protocol"]
        points += [shared | liquid | {"seed": seed} for seed in seeds]
    for name in ("liquid_comparison", "embedding_map", "unseen", "grains"):
        if name in study:
            points.append(common | {"kind": name} | study[name])
    if "transfer" in study:
        points += _transfer_points(dict(study["transfer"]), common)
    return points


def _transfer_points(transfer: dict[str, Any], common: dict[str, Any]) -> list[dict[str, Any]]:
    """State points of a source for each task, of each pair and each task alone, and the table."""
    tasks = transfer.pop("tasks")
    of_source, of_target = transfer.pop("source"), transfer.pop("target")
    points = [
        common | {"kind": "transfer_source", "task": task} | transfer | of_source for task in tasks
    ]
    for target in tasks:
        for source in ("", *tasks):
            if source != target:
                pair = {"kind": "transfer", "source": source, "target": target}
                points.append(common | pair | transfer | of_target)
    return [*points, common | {"kind": "transfer_table"}]
