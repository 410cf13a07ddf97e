"""Studies: small files that say what to simulate and train, and the state points they stand for."""

import tomllib
from pathlib import Path
from typing import Any

from hoomd_gala.errors import InputError

FOLDER = Path(__file__).parent / "studies"


def names() -> list[str]:
    """Names of all studies."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load(name: str) -> dict[str, Any]:
    """The content of a study's file; InputError with the known names if there is none."""
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
        shipped = dict(study["shipped_model"])
        # the same model from several starts, to see what learning without labels brought
        for source in shipped.pop("sources"):
            models.append(common | {"kind": "shipped_model", "source": source} | shipped)
    systems = [
        common | {"kind": "system"} | study["protocol"] | system
        for system in study.get("systems", [])
    ]
    fluids = [
        common | {"kind": "fluid"} | study["protocol"] | study["fluid_protocol"] | fluid
        for fluid in study.get("fluids", [])
    ]
    assemblies = [
        common | {"kind": "assembly"} | study["protocol"] | assembly
        for assembly in study.get("assemblies", [])
    ]
    references = [common | {"kind": "reference"} | study.get("reference", {})] if assemblies else []
    return [*fluids, *models, *systems, *assemblies, *references]
