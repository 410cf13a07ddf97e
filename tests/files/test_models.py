"""Model files: round trip, and clear errors for files that are not models."""

import hashlib
import json

import pytest
import torch
from safetensors.torch import save_file

from hoomd_gala.errors import InputError
from hoomd_gala.files.cards import write_card
from hoomd_gala.files.models import describe, load_model, pick_device, save_model, shipped_models


def test_round_trip(trained, model_path):
    loaded = load_model(model_path)
    assert loaded.info == trained.info
    for key, tensor in trained.network.state_dict().items():
        assert torch.equal(tensor, loaded.network.state_dict()[key])
    assert not list(model_path.parent.glob("*.part"))


def test_card_matches_its_file(trained, model_path, tmp_path):
    write_card(tmp_path / "small.json", model_path)
    card = json.loads((tmp_path / "small.json").read_text())
    assert card["sha256"] == hashlib.sha256(model_path.read_bytes()).hexdigest()
    assert card["class_names"] == list(trained.info.class_names)
    assert card["card"]["metrics"]["validation_accuracy"] > 0.9


@pytest.mark.parametrize("name", shipped_models())
def test_shipped_models_have_cards_that_match(name):
    path = shipped_models()[name]
    card = json.loads(path.with_suffix(".json").read_text())
    assert card["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    info = load_model(name).info
    assert card["class_names"] == list(info.class_names)
    assert card["card"] == info.card
    assert card["card"]["command"]


def test_unknown_name_is_answered_with_the_known_ones():
    known = ", ".join(sorted(shipped_models())) or "none"
    with pytest.raises(InputError, match=f"no model is named 'nothing'; .*: {known}"):
        load_model("nothing")


def test_missing_file():
    with pytest.raises(InputError, match=r"there is no model file nowhere.safetensors"):
        load_model("nowhere.safetensors")


def test_damaged_file(model_path, tmp_path):
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(model_path.read_bytes()[:-500])
    with pytest.raises(InputError, match=r"damaged.safetensors is not a complete safetensors file"):
        load_model(damaged)


def test_foreign_file(tmp_path):
    foreign = tmp_path / "foreign.safetensors"
    save_file({"weight": torch.zeros(3)}, foreign)
    with pytest.raises(InputError, match="is not a model of this version of hoomd-gala"):
        load_model(foreign)


def test_file_with_other_weights(trained, tmp_path):
    wrong = tmp_path / "wrong.safetensors"
    save_model(wrong, trained)
    header = {"hoomd_gala": json.dumps({"core": {"width": 8}, "class_names": ["a"]})}
    save_file(dict(trained.network.state_dict()), wrong, metadata=header)
    with pytest.raises(InputError, match="is not a model of this version of hoomd-gala"):
        load_model(wrong)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"rings": 3}, "it has 3 rings of neighbors, not 1 or 2"),
        ({"asks_order": True}, "it asks for order and has no class 'disordered'"),
    ],
)
def test_descriptions_that_do_not_fit_are_refused(wrong, reason, trained, tmp_path):
    description = describe(trained.info) | {"class_names": ["a", "b", "c"]}
    path = tmp_path / "wrong.safetensors"
    header = {"hoomd_gala": json.dumps(description | wrong)}
    save_file(dict(trained.network.state_dict()), path, metadata=header)
    with pytest.raises(InputError, match=f"is not a model of this version of hoomd-gala .{reason}"):
        load_model(path)


def test_device_that_is_not_there():
    assert pick_device("cpu") == torch.device("cpu")
    with pytest.raises(InputError, match="device 'abacus' cannot be used"):
        pick_device("abacus")
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="device 'cuda' cannot be used"):
            pick_device("cuda")
