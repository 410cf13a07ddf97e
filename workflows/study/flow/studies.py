"""Studies: files of what to simulate and train, and the state points of their jobs."""

import itertools
import json
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from hoomd_gala.errors import InputError
from hoomd_gala.files.fields import fill, short_reason
from study.flow import schema

#: Whether samples are learned from or held out.
LEARNED, HELD_OUT = "learned", "held out"

#: Of the samples of each part, one of so many is held out besides.
_HELD_OUT = 7

FOLDER = Path(__file__).resolve().parents[2] / "studies"


#: Bytes of a study's file at most; a number of millions of digits takes gigabytes to read.
_LARGEST = 1 << 20

#: Parts of a key, such as a.b.c, that are more than any study has.
_DEEPEST = 100


def names() -> list[str]:
    """Names of all studies."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def path_of(name: str) -> Path:
    """Path that the file of a study has, or would have."""
    return FOLDER / f"{name}.toml"


def about(name: str) -> str:
    """Say what a study is: the first sentence of its file, a comment.

    Raises
    ------
    InputError
        If there is no such study.
    """
    lines = _existing(name).read_text(encoding="utf-8").splitlines()
    comment = itertools.takewhile(lambda line: line.startswith("# "), lines)
    return " ".join(line.removeprefix("# ") for line in comment).partition(". ")[0].rstrip(".")


def load(name: str) -> dict[str, Any]:
    """Content of a study's file.

    Raises
    ------
    InputError
        If there is none, with the known names, or if something in it is wrong, with its line or
        key.
    """
    return read(_existing(name))


def _existing(name: str) -> Path:
    path = path_of(name)
    if not path.is_file():
        raise InputError(f"there is no study {name!r}; there are {', '.join(names())}.")
    return path


def read(path: Path) -> dict[str, Any]:
    """Content of the file of a study; see :func:`load`."""
    if path.stat().st_size > _LARGEST:
        raise InputError(f"{path} has {path.stat().st_size} bytes, too many for a study.")
    deep = InputError(f"{path} is not a TOML file (it is nested too deep).")
    try:
        study = tomllib.loads(_shallow(path.read_text(encoding="utf-8")))
    except RecursionError:
        raise deep from None
    except ValueError as error:
        raise InputError(f"{path} is not a TOML file ({_short(error)}).") from None
    try:
        schema.check_finite(study)
        fill(schema.File, study)
    except RecursionError:
        raise deep from None
    except ValueError as error:
        raise InputError(f"{path}: {_short(error)}.") from None
    return study


def _shallow(text: str) -> str:
    """Return a text of TOML, or raise a RecursionError for keys of too many parts.

    For each part, the parser makes a copy of all parts before.
    """
    if any(piece.count(".") > _DEEPEST for piece in re.split("[=,\n]", text)):
        raise RecursionError
    return text


def _short(error: ValueError) -> str:
    """Message of an error in one line."""
    return short_reason(" ".join(str(error).split()).rstrip("."))


#: Raises a ValueError if something is wrong with a job of a kind and its values.
Check = Callable[[str, dict[str, Any]], None]


def state_points(name: str, check: Check | None = None) -> list[dict[str, Any]]:
    """State points of a study's jobs, flat so that ``signac find`` filters read well.

    Parameters
    ----------
    name : str
        Of the study.
    check : callable, optional
        Looks at each job after its types and bounds have been found right.

    Raises
    ------
    InputError
        As :func:`load` does, or where a job is wrong.
    """
    return points_of(_existing(name), check)


def points_of(path: Path, check: Check | None = None) -> list[dict[str, Any]]:
    """State points of the jobs of the study in a file; see :func:`state_points`."""
    study = read(path)
    points = []
    seen: dict[str, str] = {}
    for where, kind, values in _jobs(study):
        point = {"study": path.stem, "kind": kind} | values
        same = seen.setdefault(json.dumps(point, sort_keys=True), where)
        try:
            schema.check_job(kind, values)
            if same != where:
                raise ValueError(f"the same as {same}")
            if check is not None:
                check(kind, values)
        except ValueError as error:
            raise InputError(f"{path}, {where}: {_short(error)}.") from None
        points.append(point)
    return points


class _Job(NamedTuple):
    """A job to be.

    Attributes
    ----------
    where : str
        Tables of the study's file that it is of.
    kind : str
        One of :data:`study.flow.schema.KINDS`.
    values : dict
        What its state point has beside study and kind.
    """

    where: str
    kind: str
    values: dict[str, Any]


def _jobs(study: dict[str, Any]) -> Iterator[_Job]:
    """Yield all jobs of a study."""
    for kind, n in study.get("disorder", {}).items():
        for seed in range(1, n + 1):
            yield _Job("disorder", "disorder", {"of": kind, "seed": seed})
    protocol = study.get("protocol", {})
    yield from _each(study, "fluids", "fluid", protocol | study.get("fluid_protocol", {}))
    if "structure_model" in study:
        yield _Job("structure_model", "structure_model", study["structure_model"])
    for name, part in (("shipped_model", "samples"), ("compounds_model", "compounds_samples")):
        if name in study:
            yield from _shipped_jobs(name, part, dict(study[name]))
    if "denoise_model" in study:
        model = dict(study["denoise_model"])
        for part, n in model.pop("samples").items():
            values = {"part": part, "n": n}
            yield _Job("denoise_model.samples", "denoise_samples", values)
        yield _Job("denoise_model", "denoise_model", model)
    if "embedding_model" in study:
        model = dict(study["embedding_model"])
        for part, n in model.pop("samples").items():
            values = {"part": part, "n": n}
            yield _Job("embedding_model.samples", "embedding_samples", values)
        yield _Job("embedding_model", "embedding_model", model)
    yield from _each(study, "systems", "system", protocol)
    yield from _quality_jobs(study)
    yield from _paper_jobs(study, protocol)


def _each(study: dict[str, Any], table: str, kind: str, shared: dict[str, Any]) -> Iterator[_Job]:
    """Yield jobs of a table of which there are several, with what they share."""
    for i, values in enumerate(study.get(table, [])):
        yield _Job(f"{table}[{i}]", kind, shared | values)


def _shipped_jobs(name: str, part_of: str, model: dict[str, Any]) -> Iterator[_Job]:
    """Yield shipped models, and the samples that they learn from, jobs of two kinds."""
    for part, n in model.pop("samples").items():
        held_out = max(1, n // _HELD_OUT)
        for role, number in ((LEARNED, n), (HELD_OUT, held_out)):
            values = {"part": part, "role": role, "n": number}
            yield _Job(f"{name}.samples", part_of, values)
    yield _Job(name, name, model)


def _quality_jobs(study: dict[str, Any]) -> Iterator[_Job]:
    """Yield systems that models are measured on, and the measurement.

    Where ``structure`` or ``symbol`` is a list, there is a system of each, named for it.
    """
    for i, system in enumerate(study.get("quality_systems", [])):
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
            yield _Job(f"quality_systems[{i}]", "quality_system", one)
    if "quality" in study:
        yield _Job("quality", "quality", study["quality"])


def _paper_jobs(study: dict[str, Any], protocol: dict[str, Any]) -> Iterator[_Job]:
    """Yield jobs for results of the paper: assemblies, liquids, transfers, and comparisons."""
    yield from _each(study, "assemblies", "assembly", protocol)
    if study.get("assemblies"):
        yield _Job("reference", "reference", study.get("reference", {}))
    for i, liquid in enumerate(study.get("liquids", [])):
        shared = protocol | study["liquid_protocol"] | liquid
        compared = study.get("liquid_comparison") or study["representations"]
        for seed in range(1, compared["n_runs"] + 1):
            yield _Job(f"liquids[{i}]", "liquid", shared | {"seed": seed})
    for name in ("representations", "liquid_comparison", "embedding_map", "unseen", "grains"):
        if name in study:
            yield _Job(name, name, study[name])
    if "transfer" in study:
        yield from _transfer_jobs(dict(study["transfer"]))


def _transfer_jobs(transfer: dict[str, Any]) -> Iterator[_Job]:
    """Yield a source for each task, each pair and each task alone, and the table."""
    tasks = transfer.pop("tasks")
    of_source, of_target = transfer.pop("source"), transfer.pop("target")
    for task in tasks:
        values = {"task": task} | transfer | of_source
        yield _Job("transfer.source", "transfer_source", values)
    for target in tasks:
        for source in ("", *tasks):
            if source != target:
                pair = {"source": source, "target": target}
                yield _Job("transfer.target", "transfer", pair | transfer | of_target)
    yield _Job("transfer", "transfer_table", {})
