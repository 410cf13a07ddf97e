"""Cards of models: descriptions of model files, as JSON and as a page of Markdown."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .atomic import replacing, sha256
from .models import ModelInfo, describe, find_model, load_model

#: What a model sees whose core has relations of types.
RELATIONS = "positions and which particles are of one type, whatever the types are called"


def source_card(name: str | os.PathLike[str], info: ModelInfo) -> dict[str, str]:
    """Describe the model that another one started from, for the card of the latter."""
    path = find_model(name)
    return {"model": path.stem, "sha256": sha256(path), "trained on": info.task}


def write_card(path: str | os.PathLike[str], model_path: str | os.PathLike[str]) -> None:
    """Write a model's description, with the hash of its file.

    As JSON to ``path``, and as a page of Markdown beside it.
    """
    info = load_model(model_path).info
    card = {"file": Path(model_path).name, "sha256": sha256(model_path)} | describe(info)
    with replacing(path) as part:
        part.write_text(json.dumps(card, indent=2) + "\n")
    with replacing(Path(path).with_suffix(".md")) as part:
        part.write_text(card_page(card))


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _items(values: Mapping[str, Any], indent: str = "") -> list[str]:
    """Bullets, nested where the values are."""
    lines = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            lines += [f"{indent}- {key}:", *_items(value, indent + "  ")]
        elif isinstance(value, list | tuple):
            # a model may have thousands of classes and a thousand unit cells
            shown = ", ".join(map(_number, value[:20])) + (", …" if len(value) > 20 else "")
            lines.append(f"{indent}- {key} ({len(value)}): {shown}")
        else:
            lines.append(f"{indent}- {key}: {_number(value)}")
    return lines


def card_page(card: Mapping[str, Any]) -> str:
    """Format a card as Markdown: metrics beside the baselines, then everything else."""
    about = dict(card["card"])
    metrics = about.pop("metrics", {})
    baselines = about.pop("baselines", {})
    command = about.pop("command", None)
    about.pop("task", None)
    # one model is named for what it is for
    task = (
        "frame classification, for its embedding" if card["task"] == "embedding" else card["task"]
    )
    lines = [f"# {Path(card['file']).stem}", "", f"Trained on {task}.", ""]
    if card.get("core", {}).get("relations"):
        lines += [f"It sees {RELATIONS}.", ""]
    if command:
        lines += ["Made by", "", "```", command, "```", ""]
    if metrics:
        lines += ["| | " + " | ".join(metrics) + " |", "| --- |" + " --- |" * len(metrics)]
        lines.append("| network | " + " | ".join(map(_number, metrics.values())) + " |")
        for name, row in baselines.items():
            cells = [_number(row.get(key.removeprefix("validation_"), "")) for key in metrics]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
        lines.append("")
    described = {key: value for key, value in card.items() if key not in ("card", "task")}
    return "\n".join([*lines, *_items(about), *_items(described)]) + "\n"
