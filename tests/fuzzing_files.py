"""Damage to the files that are read: models, studies, labels of particles, checkpoints.

Each kind in :data:`KINDS` is a :class:`fuzzing.Kind` with one reader. It is right about a damaged
file too where what it took from it can be.
"""

import contextlib
import io
import json
import math
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fuzzing import Kind
from study.flow import schema, studies
from study.operations.points import check_job
from study.simulation import protocol

from hoomd_gala.analyzer import Analyzer
from hoomd_gala.crystals.prototypes import crystal, unit_cell
from hoomd_gala.files.cards import card_page
from hoomd_gala.files.models import Model, ModelInfo, describe, load_model, save_model
from hoomd_gala.learning.config import TrainingConfig
from hoomd_gala.learning.hand_labels import read_labels
from hoomd_gala.learning.training import train
from hoomd_gala.networks import CoreConfig

Rng = np.random.Generator


# ---- damage to anything ----


def mutate_bytes(content: bytes, rng: Rng) -> bytes:
    """Flip bits, overwrite, cut, or repeat a part."""
    data = bytearray(content)
    at = int(rng.integers(len(data)))
    size = min(int(2 ** rng.uniform(0, 8)), len(data) - at)
    how = rng.integers(5)
    if how == 0:
        for place in rng.integers(len(data), size=rng.integers(1, 6)):
            data[place] ^= 1 << int(rng.integers(8))
    elif how == 1:
        data[at : at + size] = bytes(size)
    elif how == 2:
        data[at : at + size] = rng.bytes(size)
    elif how == 3:
        del data[at:]
    else:
        data[at:at] = data[at : at + size]
    return bytes(data)


#: What stands where something else should.
STRANGE: list[Any] = [
    0, -1, 1, 7, 2.5, 10**6, 10**9, 2**63, 10**400, 1e308, 1e-300, -0.0,
    math.nan, math.inf, -math.inf, True, None, "", "x", "7", "\ud800", "a\nb", "a\0b", "n" * 10**5,
    [], {}, ["x"], [[]], {"x": 1},
]  # fmt: skip


def _strange(rng: Rng) -> Any:
    if rng.random() < 0.03:
        deep: Any = 1
        for _ in range(int(rng.choice([25, 150]))):
            deep = [deep] if rng.random() < 0.5 else {"x": deep}
        return deep
    return STRANGE[rng.integers(len(STRANGE))]


def mutate_values(value: Any, rng: Rng) -> Any:
    """Replace, remove or add one value somewhere in what JSON can hold."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = list(value)[rng.integers(len(value))]
        how = rng.random()
        if how < 0.05:
            return {other: item for other, item in value.items() if other != key}
        if how < 0.08:
            return value | {"surprise": _strange(rng)}
        return value | {key: mutate_values(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.7:
        at = int(rng.integers(len(value)))
        how = rng.random()
        if how < 0.2:
            return value[:at] + value[at + 1 :]
        if how < 0.4:
            return [*value, value[at]]
        return [*value[:at], mutate_values(value[at], rng), *value[at + 1 :]]
    return _strange(rng)


# ---- models ----


def _model_example(folder: Path) -> bytes:
    torch.manual_seed(3)
    info = ModelInfo(
        CoreConfig(max_types=3, width=8, hidden=8, blocks=1, tied=True, relations=True),
        ("cF4-Cu", "cI2-W", "disordered"),
        1.0,
        1.2,
        0.3,
        {"command": "hoomd-gala train", "metrics": {"validation_accuracy": 0.9, "epoch": 3},
         "baselines": {"chance": {"accuracy": 0.3}}, "merged": {"cF4-Cu": ["cF4-Cu", "hP2-Mg"]}},
        length_convention="shortest",
        context=4,
        knows_unknown=True,
        withheld=("cI2-W",),
    )  # fmt: skip
    path = folder / "example.safetensors"
    save_model(path, Model(info.make_network(), info))
    return path.read_bytes()


def _mutate_model(content: bytes, rng: Rng) -> bytes:
    if rng.random() < 0.3:
        return mutate_bytes(content, rng)
    size = int.from_bytes(content[:8], "little")
    header, data = json.loads(content[8 : 8 + size]), content[8 + size :]
    how = rng.random()
    if how < 0.6:
        description = mutate_values(json.loads(header["__metadata__"]["hoomd_gala"]), rng)
        header["__metadata__"]["hoomd_gala"] = json.dumps(description)
    elif how < 0.7:
        header = mutate_values(header, rng)
    else:
        numbers = np.frombuffer(data, np.float32).copy()
        strange = [math.nan, math.inf, -math.inf, 3e38, -1e30, 1e20]
        numbers[rng.integers(len(numbers), size=rng.integers(1, 4))] = rng.choice(strange)
        data = numbers.tobytes()
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def _read_model(path: Path) -> None:
    model = load_model(path)
    card_page({"file": path.name} | describe(model.info))
    result = Analyzer(path).analyze_system(crystal(unit_cell("cF4-Cu"), 32))
    n_classes = len(result.class_names)
    assert ((result.label >= -1) & (result.label < n_classes)).all(), "label without a class"
    confidence = result.confidence
    assert ((confidence >= 0) & (confidence <= 1.0001)).all(), "confidence outside of [0, 1]"
    assert len(result.fractions) == n_classes + 1, "classes of one name"
    "".join(result.names).encode()


# ---- text ----

_JUNK = [
    "nan", "inf", "-inf", "-1", "0", "1e308", "1" * 5000, "1979-05-27", "true", '""', "[]", "{}",
    '"x"', "0.5.1", "2 kT", "\x00", "\ufeff", "²", "٣", "1_000", "[", "]]", "#", "= =", '"' * 3,
    "\n", ",", "\\", "9" * 30, "[[x]]\n", "1e-300",
]  # fmt: skip


def mutate_text(content: bytes, rng: Rng) -> bytes:
    """Replace words or numbers of a text, or lose, repeat or swap its lines; or its bytes."""
    if rng.random() < 0.15:
        return mutate_bytes(content, rng)
    text = content.decode()
    how = rng.random()
    if how < 0.65:
        words = list(re.finditer(r"[A-Za-z_]+|-?[0-9.]+|[][=\",]", text))
        word = words[rng.integers(len(words))]
        junk = _JUNK[rng.integers(len(_JUNK))]
        if rng.random() < 0.1:
            junk = junk * 10_000
        return (text[: word.start()] + junk + text[word.end() :]).encode()
    lines = text.splitlines(keepends=True)
    at, other = rng.integers(len(lines), size=2)
    if how < 0.78:
        del lines[at]
    elif how < 0.9:
        lines.insert(other, lines[at])
    else:
        lines[at], lines[other] = lines[other], lines[at]
    return "".join(lines).encode()


def _study(name: str) -> Kind:
    """One of the studies."""

    def example(folder: Path) -> bytes:
        return (studies.FOLDER / f"{name}.toml").read_bytes()

    return Kind(".toml", example, mutate_text, {"read": _read_study})


def _numbers(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [number for item in value.values() for number in _numbers(item)]
    if isinstance(value, list):
        return [number for item in value for number in _numbers(item)]
    return [value] if isinstance(value, int | float) else []


def _read_study(path: Path) -> None:
    points = studies.points_of(path, check_job)
    for point in points:
        json.dumps(point)
        assert all(map(math.isfinite, _numbers(point))), "a job of a number that is none"
        assert point["kind"] in schema.KINDS, "a job of no kind"
        if "potential" in point:
            # what the operations of such a job begin with
            protocol.Protocol.of(point)
            potential = protocol.pair_potential(point)
            assert math.isfinite(potential.r_cut), "a potential without a cutoff"
    assert len({json.dumps(point, sort_keys=True) for point in points}) == len(points), "job twice"


_FILES = ("a.gsd", "b.gsd")


def _labels_example(folder: Path) -> bytes:
    rows = [(file, i % 3, 7 * i, ["bcc", "fcc"][i % 2]) for i in range(10) for file in _FILES]
    lines = ["file,frame,particle,name", *(",".join(map(str, row)) for row in rows)]
    return "\n".join(lines).encode()


def _read_labels(path: Path) -> None:
    for label in read_labels(path, _FILES):
        assert label.frame >= 0 <= label.particle, "index below 0"
        assert label.file in (0, 1), "no such file"
        np.int64(label.particle)
        label.name.encode()


# ---- checkpoints ----


class _InterruptedError(Exception):
    """Stands for a kill after the first epoch."""


def _train(path: Path, stop_after: int | None = None) -> list[dict[str, float]]:
    """Train a line through points for two epochs, from the checkpoint if there is one."""
    torch.manual_seed(1)
    network = torch.nn.Linear(3, 1)
    data = {"x": torch.randn(32, 3, generator=torch.Generator().manual_seed(2))}
    calls = 0

    def loss(network: torch.nn.Module, batch: dict[str, torch.Tensor]) -> Any:
        nonlocal calls
        calls += 1
        if stop_after is not None and calls > stop_after:
            raise _InterruptedError
        return (network(batch["x"]) - batch["x"].sum(-1, keepdim=True)).square().mean(), {}

    config = TrainingConfig(epochs=2, batch_size=16)
    return train(network, loss, data, data, config, path, options={"task": "line"}).curve


def _checkpoint_example(folder: Path) -> bytes:
    path = folder / "example.pt"
    path.unlink(missing_ok=True)
    with contextlib.suppress(_InterruptedError):
        _train(path, stop_after=3)
    return path.read_bytes()


def _mutate_checkpoint(content: bytes, rng: Rng) -> bytes:
    if rng.random() < 0.5:
        return mutate_bytes(content, rng)
    state = torch.load(io.BytesIO(content), weights_only=True)
    if rng.random() < 0.3:
        weight = state["network"]["weight"]
        weight.view(-1)[0] = math.nan
    else:
        state = mutate_values(state, rng)
    changed = io.BytesIO()
    torch.save(state, changed)
    return changed.getvalue()


def _read_checkpoint(path: Path) -> None:
    curve = _train(path)
    assert len(curve) == 2, "not all epochs"


KINDS = {
    "models": Kind(".safetensors", _model_example, _mutate_model, {"read": _read_model}),
    **{f"study-{name}": _study(name) for name in ("smoke", "scan-smoke", "paper-smoke")},
    "study-quality": _study("quality-smoke"),
    "labels": Kind(".csv", _labels_example, mutate_text, {"read": _read_labels}),
    "checkpoints": Kind(".pt", _checkpoint_example, _mutate_checkpoint, {"read": _read_checkpoint}),
}


def examples() -> dict[str, bytes]:
    """Content of a good file of each kind."""
    with tempfile.TemporaryDirectory() as folder:
        return {name: kind.example(Path(folder)) for name, kind in KINDS.items()}
