"""``hoomd-gala finetune``: what it takes from a model, what it leaves alone, how it goes on."""

import gsd.hoomd
import pytest
import torch
from commands import fails
from conftest import gas
from test_train_command import CELLS, small_cells, train  # noqa: F401

from hoomd_gala.cli import main
from hoomd_gala.files import make_frame
from hoomd_gala.files.atomic import sha256
from hoomd_gala.files.models import Model as ModelFile
from hoomd_gala.files.models import ModelInfo, load_model, save_model
from hoomd_gala.learning import training
from hoomd_gala.learning.datasets import take, to_tensors
from hoomd_gala.networks import CoreConfig, Denoiser, convert_types, encode_types, inherit

TINY = ["--epochs", "2", "--batch-size", "32", "--device", "cpu"]


def finetune(model, task, output, *more):
    arguments = ["finetune", model, "--task", task, "--output", output, *TINY, *more]
    return main(list(map(str, arguments)))


def same(ours, theirs, part):
    """Whether a part of two networks has equal weights."""
    pairs = zip(
        getattr(ours, part).state_dict().values(),
        getattr(theirs, part).state_dict().values(),
        strict=True,
    )
    return all(torch.equal(own, other) for own, other in pairs)


def outputs(network, environments, max_types):
    data = to_tensors(environments, CoreConfig(max_types), None)
    with torch.inference_mode():
        return network.core(data["bonds"], data["types"])[1]


@pytest.mark.parametrize("old", [1, 2, 5])
@pytest.mark.parametrize("new", [1, 2, 5])
def test_converted_types_change_no_output(old, new, rng):
    torch.manual_seed(1)
    source = Denoiser(CoreConfig(old, width=8, hidden=8, blocks=1))
    network = Denoiser(CoreConfig(new, width=8, hidden=8, blocks=1))
    inherit(network, source)
    environments = take(gas(100, rng), 0, 20, rng)
    expected = outputs(source, environments, old)
    torch.testing.assert_close(outputs(network, environments, new), expected)
    # with as many types as both tell apart; types that the source does not know look like the first
    kinds = rng.integers(0, new, (20, 21))
    seen = kinds * (kinds < old)
    mixed, shown = (
        environments._replace(types=types[:, 0], neighbor_types=types[:, 1:])
        for types in (kinds, seen)
    )
    if new >= old:
        torch.testing.assert_close(outputs(network, mixed, new), outputs(source, shown, old))
    else:
        torch.testing.assert_close(outputs(network, mixed, new), outputs(source, mixed, old))


def test_converted_weights_have_their_columns():
    weight = torch.arange(6.0).unsqueeze(0)  # differences 0 1 2, sums 3 4 5
    assert convert_types(weight, 1).tolist() == [[0, 3]]
    assert convert_types(weight, 2).tolist() == [[0, 1, 3, 4]]
    assert convert_types(weight, 4).tolist() == [[0, 1, 2, 0, 3, 4, 5, 3]]
    one = torch.zeros(1, dtype=torch.int64)
    assert (encode_types(one, one.unsqueeze(0), 3) @ weight.T).item() == 6


@pytest.fixture
def context_model_path(trained, tmp_path):
    """A model whose labels depend on the neighbors' embeddings, with random weights for that."""
    path = tmp_path / "context.safetensors"
    torch.manual_seed(3)
    info = ModelInfo(trained.info.core, ("a", "b", "c"), context=8, knows_unknown=True)
    network = info.make_network()
    inherit(network, trained.network)
    save_model(path, ModelFile(network, info))
    return path


def test_frozen_parts_stay_and_free_ones_move(context_model_path, tmp_path):
    source = load_model(context_model_path).network
    frozen, free = tmp_path / "frozen.safetensors", tmp_path / "free.safetensors"
    task = "frame-classification"
    assert finetune(context_model_path, task, frozen, *CELLS, "--freeze-core") == 0
    assert finetune(context_model_path, task, free, *CELLS) == 0
    for part in ("core", "pool", "norm"):
        assert same(load_model(frozen).network, source, part)
        assert not same(load_model(free).network, source, part)
    heads = [load_model(path).network.classify.state_dict() for path in (frozen, free)]
    assert not torch.equal(heads[0]["2.weight"], heads[1]["2.weight"])
    info = load_model(frozen).info
    assert info.length_scale is None  # as the source
    assert (info.context, info.knows_unknown, len(info.class_names)) == (0, False, 4)
    assert info.card["frozen"] is True
    assert info.card["source"] == {
        "model": "context",
        "sha256": sha256(context_model_path),
        "trained on": task,
    }
    assert info.card["command"].startswith(f"hoomd-gala finetune {context_model_path}")
    assert {path.name for path in tmp_path.glob("free.*")} == {
        f"free{suffix}" for suffix in (".safetensors", ".json", ".md", ".csv", ".png")
    }


def test_core_without_pool_goes_to_another_task(embedding_model_path, tmp_path):
    output = tmp_path / "model.safetensors"
    assert finetune(embedding_model_path, "noisy-bonds", output, *CELLS, "--freeze-core") == 0
    assert same(load_model(output).network, load_model(embedding_model_path).network, "core")


def test_more_types_than_the_source_knows(embedding_model_path, tmp_path, capsys):
    output = tmp_path / "model.safetensors"
    data = ["--cells", "cP2-ClCs", "--noise", "0.05", "--environments", "30"]
    arguments = ["finetune", embedding_model_path, "--task", "denoising", "--output", output]
    error = fails(capsys, *arguments, *TINY, *data, "--freeze-core")
    assert "1 type(s) of particles and the data have 2" in error
    assert finetune(embedding_model_path, "denoising", output, *data) == 0
    assert load_model(output).info.core.max_types == 2


@pytest.fixture
def mixture_path(bcc, tmp_path, rng):
    """A crystal whose particles are of many types."""
    path = tmp_path / "mixture.gsd"
    types = rng.integers(0, 9, len(bcc.positions))
    with gsd.hoomd.open(path, "w") as trajectory:
        trajectory.append(make_frame(bcc._replace(types=types), 0, "ABCDEFGHI"))
    return path


@pytest.mark.parametrize("more", [[], ["--freeze-core"]])
def test_relations_of_types_stay_whatever_the_types(related_path, mixture_path, tmp_path, more):
    output, source = tmp_path / "model.safetensors", load_model(related_path)
    data = ["--gsd", mixture_path, "--environments", "60", *more]
    assert finetune(related_path, "denoising", output, *data) == 0
    tuned = load_model(output)
    assert tuned.info.core == source.info.core
    assert same(tuned.network, source.network, "core") == bool(more)
    # ignored, they are those of one type
    blind = tmp_path / "blind.safetensors"
    assert finetune(related_path, "denoising", blind, *data, "--blind") == 0
    core = load_model(blind).info.core
    assert (core.max_types, core.relations) == (1, False)


def test_limit_is_for_learning_alone(embedding_model_path, tmp_path):
    direct, tuned = tmp_path / "direct.safetensors", tmp_path / "tuned.safetensors"
    assert train("denoising", direct, *CELLS, "--limit", 20) == 0
    assert finetune(embedding_model_path, "denoising", tuned, *CELLS, "--limit", 20) == 0
    cards = [load_model(path).info.card for path in (direct, tuned)]
    assert [card["learned from"] for card in cards] == [20, 20]
    assert [card["limit"] for card in cards] == [20, 20]
    # validated on the same environments with the same noise
    noise = [card["baselines"]["bonds left as they are"]["loss"] for card in cards]
    assert noise[0] == pytest.approx(noise[1])


def test_interrupted_finetuning_goes_on_to_the_same_model(model_path, tmp_path, monkeypatch):
    whole, broken = tmp_path / "whole.safetensors", tmp_path / "broken.safetensors"
    more = [*CELLS, "--freeze-core", "--limit", 64, "--epochs", 3]
    assert finetune(model_path, "frame-classification", whole, *more) == 0
    real = training.evaluate
    calls = []

    def dies(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments)

    with monkeypatch.context() as context:
        context.setattr(training, "evaluate", dies)
        assert finetune(model_path, "frame-classification", broken, *more) == 130
    assert finetune(model_path, "frame-classification", broken, *more) == 0
    ours, theirs = load_model(whole), load_model(broken)
    assert ours.info.card["metrics"] == theirs.info.card["metrics"]
    for key, tensor in ours.network.state_dict().items():
        assert torch.equal(tensor, theirs.network.state_dict()[key])


def test_bad_source_is_answered_with_a_sentence(tmp_path, capsys):
    output = tmp_path / "model.safetensors"
    arguments = ["--task", "denoising", "--output", output, *TINY, *CELLS]
    assert "no model is named 'nope'" in fails(capsys, "finetune", "nope", *arguments)
    assert not list(tmp_path.iterdir())


def test_help(capsys):
    with pytest.raises(SystemExit) as done:
        main(["finetune", "--help"])
    assert done.value.code == 0
    text = capsys.readouterr().out
    assert all(word in text for word in ("--freeze-core", "--limit", "MODEL", "examples:"))
