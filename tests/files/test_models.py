"""Model files: round trip, and clear errors for files that are not models."""

import hashlib
import json
import re
import time
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from hoomd_gala.errors import InputError
from hoomd_gala.files.cards import card_page, write_card
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


def test_files_of_before_there_were_relations(trained, tmp_path):
    path, description = tmp_path / "old.safetensors", describe(trained.info)
    del description["core"]["relations"]
    header = {"hoomd_gala": json.dumps(description)}
    save_file(dict(trained.network.state_dict()), path, metadata=header)
    assert load_model(path).info == trained.info


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
        ({"temperature": 0.0}, "temperature: expected float >= 1e-06"),
        ({"temperature": float("nan")}, "temperature: expected float"),
        ({"temperature": float("inf")}, "temperature: expected float"),
        ({"temperature": "warm"}, "temperature: expected float, got str"),
        ({"unknown_below": -0.1}, "unknown_below: expected float >= 0.0"),
        ({"unknown_below": 2}, "unknown_below: expected float <= 1.0"),
        ({"length_scale": 0.0, "length_convention": "shortest"}, "length_scale: expected float >="),
        ({"length_scale": [1], "length_convention": "absolute"}, "length_scale: expected float"),
        ({"class_names": ["a", 2, "c"]}, r"class_names\[1\]: expected str, got int"),
        ({"class_names": ["a", "\ud800", "c"]}, "text in it is not Unicode"),
        ({"class_names": ["a", "b\nb", "c"]}, r"a class cannot be named 'b\\nb'"),
        ({"class_names": ["a", "b", "c" * 10**5]}, "a class cannot be named 'c+' and 99800 more"),
        ({"class_names": ["a", "a", "c"]}, "two of its classes have the same name"),
        ({"class_names": ["a", "unknown", "c"]}, "a class cannot be named 'unknown'"),
        ({"class_names": []}, "it has 0 classes and its task is frame-classification"),
        ({"task": "napping"}, "there is no task 'napping'"),
        ({"context": -1}, "context: expected int >= 0"),
        ({"core": {"width": 10**400}}, "an integer in it has more than 64 bits"),
        ({"core": {"width": 4000, "hidden": 16000}}, "its network has 192004000 weights or more"),
        ({"core": {"blocks": 0}}, "core.blocks: expected int >= 1"),
        ({"core": {"width": True}}, "core.width: expected int, got bool"),
        ({"core": {"depth": 3}}, "there is no field 'depth'"),
        ({"core": {"relations": 1}}, "core.relations: expected bool, got int"),
        ({"core": {"relations": True}}, "core: it sees relations of types and max_types is 1, not"),
        ({"core": 3}, "core: expected object, got int"),
        ({"surprise": 3}, "there is no field 'surprise'"),
        ({"format": "3"}, "expected int, got str"),
        ({"format": 4}, "its format is 4, and this version reads up to 3"),
        ({"card": {"metrics": 3}}, "card.metrics: expected object, got int"),
        ({"card": {"baselines": {"chance": 3}}}, r"card.baselines\[...\]: expected object"),
        ({"card": {"about": json.loads("[" * 25 + "]" * 25)}}, "it is nested more than 20 deep"),
    ],
    ids=str,
)
def test_descriptions_that_do_not_fit_are_refused(wrong, reason, trained, tmp_path):
    description = describe(trained.info) | {"class_names": ["a", "b", "c"]}
    path = tmp_path / "wrong.safetensors"
    header = {"hoomd_gala": json.dumps(description | wrong)}
    save_file(dict(trained.network.state_dict()), path, metadata=header)
    started = time.process_time()
    with pytest.raises(InputError) as caught:
        load_model(path)
    assert re.search(f"is not a model of this version of hoomd-gala .{reason}", str(caught.value))
    assert len(str(caught.value)) < 600
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    "text",
    ["[" * 9000, "{", "[]", "3", "1" * 5000, f"[{'[],' * 500_000}[]]", f"[{'1e5,' * 400_000}1]"],
    ids=lambda text: text[:9],
)
def test_descriptions_that_are_none_are_refused(text, trained, tmp_path):
    path = tmp_path / "wrong.safetensors"
    save_file(dict(trained.network.state_dict()), path, metadata={"hoomd_gala": text})
    started = time.process_time()
    with pytest.raises(InputError, match="is not a model of this version of hoomd-gala"):
        load_model(path)
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda tensor: tensor.index_fill(0, torch.tensor(0), torch.nan), "not finite"),
        (lambda tensor: tensor.index_fill(0, torch.tensor(0), -torch.inf), "not finite"),
        (lambda tensor: tensor.double(), r"is F64 of shape \(16,\), not F32"),
        (lambda tensor: tensor[:8].clone(), r"is F32 of shape \(8,\), not F32 of shape \(16,\)"),
    ],
)
def test_weights_that_do_not_fit_are_refused(change, reason, trained, tmp_path):
    tensors = dict(trained.network.state_dict())
    tensors["norm.bias"] = change(tensors["norm.bias"])
    path = tmp_path / "wrong.safetensors"
    header = {"hoomd_gala": json.dumps(describe(trained.info))}
    save_file(tensors, path, metadata=header)
    with pytest.raises(InputError, match=f"tensor norm.bias .*{reason}"):
        load_model(path)


def test_header_of_claimed_gigabytes_is_refused(model_path, tmp_path):
    path = tmp_path / "wrong.safetensors"
    path.write_bytes((2**62).to_bytes(8, "little") + model_path.read_bytes()[8:])
    with pytest.raises(InputError, match=r"is not a complete safetensors file .a header of \d+ b"):
        load_model(path)


def test_card_with_a_number_that_is_none_is_read(trained, tmp_path):
    # a metric may be the mean of nothing
    path = tmp_path / "model.safetensors"
    card = {"metrics": {"validation_loss": float("nan")}}
    save_model(path, replace(trained, info=replace(trained.info, card=card)))
    assert "| network | nan |" in card_page({"file": "a"} | describe(load_model(path).info))


def test_device_that_is_not_there():
    assert pick_device("cpu") == torch.device("cpu")
    with pytest.raises(InputError, match="device 'abacus' cannot be used"):
        pick_device("abacus")
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="device 'cuda' cannot be used"):
            pick_device("cuda")
