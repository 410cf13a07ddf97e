"""Cards of models, as JSON and as pages."""

import hashlib
import json

from hoomd_gala.files.cards import card_page, source_card, write_card
from hoomd_gala.files.models import load_model

CARD = {
    "file": "mine.safetensors",
    "sha256": "ab12",
    "task": "frame-classification",
    "classes": [f"c{i}" for i in range(25)],
    "card": {
        "task": "frame-classification",
        "command": "hoomd-gala train",
        "metrics": {"validation_accuracy": 0.98765, "validation_loss": 0.1},
        "baselines": {"chance": {"accuracy": 0.5}},
        "data": {"crystals": {"cells": ["cI2-W", "cF4-Cu"]}, "noise": 0.05},
        "seed": 3,
    },
}


def test_page_has_metrics_beside_baselines_and_then_everything_else():
    assert card_page(CARD).splitlines() == [
        "# mine",
        "",
        "Trained on frame-classification.",
        "",
        "Made by",
        "",
        "```",
        "hoomd-gala train",
        "```",
        "",
        "| | validation_accuracy | validation_loss |",
        "| --- | --- | --- |",
        "| network | 0.9877 | 0.1 |",
        "| chance | 0.5 |  |",
        "",
        "- data:",
        "  - crystals:",
        "    - cells (2): cI2-W, cF4-Cu",
        "  - noise: 0.05",
        "- seed: 3",
        "- file: mine.safetensors",
        "- sha256: ab12",
        "- classes (25): " + ", ".join(f"c{i}" for i in range(20)) + ", …",
    ]
    # the card itself stays what it was
    assert CARD["card"]["metrics"]["validation_loss"] == 0.1


def test_page_of_a_model_of_which_nothing_is_known():
    page = card_page({"file": "a.safetensors", "task": "denoising", "card": {}})
    assert page.splitlines() == ["# a", "", "Trained on denoising.", "", "- file: a.safetensors"]


def test_card_describes_the_file_that_is_there(model_path, tmp_path):
    write_card(tmp_path / "card.json", model_path)
    card = json.loads((tmp_path / "card.json").read_text())
    assert card["file"] == model_path.name
    assert card["sha256"] == hashlib.sha256(model_path.read_bytes()).hexdigest()
    info = load_model(model_path).info
    assert card["task"] == info.task == "frame-classification"
    assert card["card"] == info.card
    assert (tmp_path / "card.md").read_text() == card_page(card)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["card.json", "card.md"]


def test_source_of_a_model_is_named_with_its_hash(model_path):
    expected = hashlib.sha256(model_path.read_bytes()).hexdigest()
    assert source_card(model_path, load_model(model_path).info) == {
        "model": "small",
        "sha256": expected,
        "trained on": "frame-classification",
    }
    shipped = source_card("denoising", load_model("denoising").info)
    assert shipped["model"] == shipped["trained on"] == "denoising"
