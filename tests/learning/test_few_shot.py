"""Naming structures after a few labeled particles."""

import csv
import json
import time
import warnings

import gsd.hoomd
import numpy as np
import pytest
import torch
from commands import fails
from conftest import gas, needs_hoomd

from hoomd_gala.analyzer import Analyzer
from hoomd_gala.cli import main
from hoomd_gala.crystals.prototypes import crystal, displace, unit_cell
from hoomd_gala.errors import InputError
from hoomd_gala.files import frame_labels, make_frame, open_trajectory
from hoomd_gala.files.models import Model, ModelInfo, load_model, save_model
from hoomd_gala.learning.calibration import few_temperature
from hoomd_gala.learning.few_shot import (
    Labeled,
    LinearMap,
    _classifier,
    few_shot,
    fit_logistic,
    set_head,
)
from hoomd_gala.learning.hand_labels import labeled_systems, read_labels
from hoomd_gala.networks import CoreConfig, FrameClassifier, inherit

NAMES = ("my bcc", "my fcc", "gas")


@pytest.fixture
def systems(rng):
    """Warm bcc, warm fcc, and a gas."""
    crystals = [displace(crystal(unit_cell(name), 500), 0.04, rng) for name in ("cI2-W", "cF4-Cu")]
    return [*crystals, gas(500, rng)]


@pytest.fixture
def run_path(systems, tmp_path):
    """One frame of each of them."""
    path = tmp_path / "run.gsd"
    with gsd.hoomd.open(path, "w") as trajectory:
        for i, system in enumerate(systems):
            trajectory.append(make_frame(system, i))
    return path


def write(path, rows, header="frame,particle,name"):
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n")
    return path


@pytest.fixture
def labels_path(tmp_path, systems, rng):
    """Twenty particles of each frame."""
    rows = [
        (frame, particle, NAMES[frame])
        for frame, system in enumerate(systems)
        for particle in rng.permutation(len(system.positions))[:20]
    ]
    return write(tmp_path / "labels.csv", rows)


@pytest.fixture
def context_path(trained, tmp_path):
    """A model with context."""
    path = tmp_path / "context.safetensors"
    info = ModelInfo(trained.info.core, ("a", "b", "c"), context=8, knows_unknown=True)
    network = info.make_network()
    inherit(network, trained.network)
    save_model(path, Model(network, info))
    return path


@pytest.fixture(
    params=[
        "model_path",
        "context_path",
        "two_rings_path",
        "related_path",
        "embedding_model_path",
        "multiscale_path",
    ]
)
def source_path(request):
    """Models with classes, context, two rings; of random weights: one that sees types as relations,
    one of another task; and one of several scales."""
    return request.getfixturevalue(request.param)


def learn(source, run, labels, output):
    arguments = ["finetune", source, "--gsd", run, "--labels", labels, "--output", output]
    return main([str(argument) for argument in arguments])


def test_twenty_labels_of_each_are_enough(
    source_path, run_path, labels_path, systems, tmp_path, capsys
):
    output, labeled = tmp_path / "mine.safetensors", tmp_path / "labeled.gsd"
    assert learn(source_path, run_path, labels_path, output) == 0
    shown = capsys.readouterr()
    assert "60 labeled particles of 3 structures" in shown.out
    said = 'particles labeled gas will count as solid; name what has no order "disordered".\n'
    assert shown.err.count(said) == 1
    analyzer = Analyzer(output, device="cpu")
    for i, system in enumerate(systems):
        assert analyzer.class_names == NAMES
        assert (analyzer.analyze(system).label == i).mean() > 0.95
    assert main(["label", str(run_path), str(labeled), "--model", str(output)]) == 0
    with open_trajectory(labeled) as trajectory:
        label, names = frame_labels(trajectory[1])
    assert names == list(NAMES)
    assert (label == 1).mean() > 0.95
    card = json.loads((tmp_path / "mine.json").read_text())["card"]
    assert card["labelled particles"] == dict.fromkeys(NAMES, 20)
    assert card["source"]["model"] == source_path.stem
    assert card["metrics"]["validation_accuracy"] > 0.9
    core = load_model(source_path).network.core.state_dict()
    for key, tensor in load_model(output).network.core.state_dict().items():
        assert torch.equal(tensor, core[key])


def test_all_scales_of_an_embedding_are_learned_from(multiscale_path, systems):
    source = load_model(multiscale_path)
    some = np.arange(20)
    labeled = [Labeled(system, some, np.full(20, i)) for i, system in enumerate(systems)]
    model = few_shot(source, labeled, ("a", "b", "c"), 1)
    assert (model.info.context, model.info.rings) == (12, 2)
    # the head is a linear map of the embedding: hidden units pass all of its numbers on
    found = Analyzer(source, "cpu").analyze(systems[0]).embedding
    embedding = torch.as_tensor(found) * source.network.spread + source.network.center
    first, _, last = model.network.classify
    hidden = torch.relu(first(embedding))
    shift = hidden[:, :16] - embedding[:, :16]
    torch.testing.assert_close(shift, shift[0, 0].expand_as(shift), atol=1e-4, rtol=0)
    torch.testing.assert_close(hidden[:, 16:40], embedding[:, 16:], atol=1e-4, rtol=0)
    logits = last(hidden) / model.info.temperature
    label = Analyzer(model, "cpu").analyze(systems[0]).label
    assert (logits.argmax(-1).numpy()[label >= 0] == label[label >= 0]).all()
    assert (label == 0).mean() > 0.95
    # and the rings take part
    assert last.weight[:, len(source.network.norm.weight) :].abs().max() > 1e-3


@needs_hoomd
def test_classifier_takes_it(model_path, run_path, labels_path, tmp_path):
    import hoomd

    import hoomd_gala

    output = tmp_path / "mine.safetensors"
    assert learn(model_path, run_path, labels_path, output) == 0
    simulation = hoomd.Simulation(hoomd.device.CPU(), seed=1)
    simulation.create_state_from_gsd(str(run_path), frame=0)
    simulation.operations.integrator = hoomd.md.Integrator(dt=0.001)
    classifier = hoomd_gala.Classifier(output, tmp_path / "labeled.gsd", device="cpu")
    writer = hoomd.write.CustomWriter(action=classifier, trigger=hoomd.trigger.Periodic(1))
    simulation.operations.writers.append(writer)
    simulation.run(1)
    assert classifier.result.fractions["my bcc"] > 0.95


def test_names_of_what_has_no_order_are_said_to_be_solid(trained, systems):
    labeled = [Labeled(systems[0], np.arange(20), np.arange(20) % 2)]
    with pytest.warns(UserWarning, match="labeled Liquid and MELT will count as solid"):
        few_shot(trained, labeled, ["Liquid", "MELT"], 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        few_shot(trained, labeled, ["disordered", "liquid crystal"], 0)


def test_relations_of_types_tell_what_positions_do_not(related, rng):
    sites = displace(crystal(unit_cell("cP1-Po"), 500), 0.03, rng)
    checkered = np.round(sites.positions - sites.positions[0]).astype(int).sum(axis=1) % 2
    particles = rng.permutation(len(checkered))[:20]
    systems = [sites._replace(types=types) for types in (0 * checkered, checkered)]
    labeled = [Labeled(system, particles, np.full(20, i)) for i, system in enumerate(systems)]
    model = few_shot(related, labeled, ["element", "salt"], 1)
    assert model.info.core == related.info.core
    # of any other two types
    for i, types in enumerate((checkered * 0 + 5, 9 - 2 * checkered)):
        found = Analyzer(model, "cpu").analyze(sites._replace(types=types))
        assert (found.label == i).mean() > 0.95


def test_head_is_the_linear_map():
    torch.manual_seed(2)
    core = CoreConfig(width=8, hidden=8, blocks=1)
    source = FrameClassifier(core, 2)
    torch.nn.init.normal_(source.norm.weight)
    torch.nn.init.normal_(source.norm.bias)
    network = _classifier(
        Model(source, ModelInfo(CoreConfig(width=8, hidden=8, blocks=1), ())), 3, 1
    )
    linear = LinearMap(torch.randn(16, 3).double(), torch.randn(3).double())
    set_head(network, linear)
    own, around = (network.norm(10 * torch.randn(*shape, 8)) for shape in ((50,), (50, 20)))
    features = torch.cat((own, around.mean(1)), dim=-1).double()
    expected = features @ linear.weight + linear.bias
    found = network.name(own, network.context(own, around)).double()
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_classes_count_the_same_however_many_are_labeled():
    """Two overlapping Gaussians, one labeled ten times as often: the border is in the middle."""
    generator = torch.Generator().manual_seed(1)
    numbers = torch.randn(2200, 1, generator=generator).double()
    labels = (torch.arange(2200) >= 2000).long()
    numbers[labels == 1] += 2
    weight, bias = fit_logistic(numbers, labels)
    border = -(bias[1] - bias[0]) / (weight[0, 1] - weight[0, 0])
    assert float(border) == pytest.approx(1, abs=0.1)


def test_confidence_stays_below_certainty():
    labels = torch.tensor([0, 1] * 10)
    logits = 50.0 * torch.nn.functional.one_hot(labels, 2).double()
    confidence = torch.softmax(logits / few_temperature(logits, labels), -1).max(-1).values
    assert 0.9 < float(confidence.min()) < 0.99


def test_several_files(model_path, run_path, systems, tmp_path):
    other = tmp_path / "other.gsd"
    with gsd.hoomd.open(other, "w") as trajectory:
        trajectory.append(make_frame(systems[2], 0))
    rows = [("run.gsd", 0, i, "a") for i in range(9)] + [(other, 0, i, "b") for i in range(9)]
    labels = write(tmp_path / "labels.csv", rows, "file,frame,particle,name")
    output = tmp_path / "mine.safetensors"
    arguments = ["--gsd", run_path, other, "--labels", labels, "--output", output]
    assert main(["finetune", str(model_path), *map(str, arguments)]) == 0
    assert load_model(output).info.card["labelled particles"] == {"a": 9, "b": 9}


def test_bad_labels_are_answered_with_their_line(model_path, run_path, tmp_path, capsys):
    path, output = tmp_path / "labels.csv", tmp_path / "mine.safetensors"
    good = [(0, 0, "a"), (0, 1, "a"), (1, 0, "b"), (1, 1, "b")]

    def refuses(rows, *more, header="frame,particle,name", files=(run_path,)):
        write(path, rows, header)
        arguments = ["--gsd", *files, "--labels", path, "--output", output]
        return fails(capsys, "finetune", model_path, *arguments, *more)

    assert "line 6: there is no frame 3" in refuses([*good, (3, 0, "a")])
    assert "line 6: there is no particle 99999 in frame 1" in refuses([*good, (1, 99999, "a")])
    assert "line 6: particle '-1' is not a non-negative integer" in refuses([*good, (0, -1, "a")])
    assert "line 6: frame 'x' is not a non-negative integer" in refuses([*good, ("x", 1, "a")])
    assert "line 6: there is no frame '9999999999999999'" in refuses([*good, ("9" * 16, 1, "a")])
    error = refuses([*good, (0, "9" * 5000, "a")])
    assert f"line 6: there is no particle '{'9' * 40}…'" in error
    error = refuses([*good, (0, 1, "b" * 10_000)])
    assert f"line 6: the name '{'b' * 40}…' has more than 200 characters" in error
    assert r"the name 'b\x07' has more than 200 characters, or some" in refuses(
        [*good, (0, 1, "b\a")]
    )
    assert len(refuses(good, header=",".join(f"column{i}" for i in range(10_000)))) < 500
    assert "line 6: the name is empty" in refuses([*good, (0, 2, " ")])
    assert "line 6: the name 'unknown' is reserved" in refuses([*good, (0, 2, "unknown")])
    assert "line 6: the number of fields is not that of the first" in refuses([*good, (0, 2)])
    error = refuses([*good, (0, 1, "b")])
    assert "line 6: particle 1 of frame 0 is 'b' here and 'a' in line 3" in error
    assert "unknown column 'nmae'" in refuses(good, header="frame,particle,nmae")
    assert "a column twice" in refuses(good, header="frame,particle,name,name")
    assert "names only 'a'" in refuses(good[:2])
    assert "names nothing" in refuses([])
    assert "only one particle named 'b'" in refuses(good[:3])
    assert "no column file" in refuses(good, files=(run_path, run_path))
    error = refuses([("x.gsd", *row) for row in good], header="file,frame,particle,name")
    assert "line 2: no trajectory is named 'x.gsd'" in error
    assert "line 6: the name 'unknown' is reserved" in refuses([*good, (0, 2, "Unknown")])
    assert "--neighbors is for --labels only" in fails(
        capsys, "finetune", model_path, "--gsd", run_path, "--output", output, "--neighbors", "A"
    )
    assert "there is no type 'B'" in refuses(good, "--neighbors", "B")
    assert "--task cannot be used with --labels" in refuses(good, "--task", "denoising")
    assert "--epochs cannot be used with --labels" in refuses(good, "--epochs", 3)
    path.write_bytes(b"frame,particle,name\n0,0,\xff\n")
    arguments = ["finetune", model_path, "--gsd", run_path, "--output", output]
    assert "is not a CSV file in UTF-8" in fails(capsys, *arguments, "--labels", path)
    assert "there is no file" in fails(capsys, *arguments, "--labels", tmp_path / "no.csv")
    assert "give --task, or --labels" in fails(capsys, *arguments)
    arguments = ["finetune", model_path, "--labels", path, "--output", output]
    assert "give these with --gsd" in fails(capsys, *arguments)
    assert not output.exists()


def test_disordered_is_what_it_is_with_capitals(run_path, tmp_path):
    rows = [(0, 0, "Disordered"), (0, 1, "DISORDERED"), (1, 0, "Bcc"), (1, 1, "Bcc")]
    labels = read_labels(write(tmp_path / "labels.csv", rows), [run_path])
    assert [label.name for label in labels] == ["disordered", "disordered", "Bcc", "Bcc"]


def test_many_labels_are_read_in_no_time(run_path, tmp_path):
    rows = [(i % 3, i, f"name {i // 2}") for i in range(40_000)]
    path = write(tmp_path / "labels.csv", rows)
    started = time.process_time()
    labels = read_labels(path, [run_path])
    names = list(dict.fromkeys(label.name for label in labels))
    with pytest.raises(InputError, match=r"line \d+: there is no particle \d+ in frame 0"):
        labeled_systems(path, [run_path], labels, names)
    # one look at all lines for each name would be 20 times slower
    assert time.process_time() - started < 3


def test_the_same_label_twice_counts_once(model_path, run_path, tmp_path):
    rows = [(0, 0, "a"), (0, 0, "a"), (0, 1, "a"), (1, 0, "b"), (1, 1, "b")]
    labels, output = write(tmp_path / "labels.csv", rows), tmp_path / "mine.safetensors"
    assert learn(model_path, run_path, labels, output) == 0
    assert load_model(output).info.card["labelled particles"] == {"a": 2, "b": 2}
    with open(labels, newline="") as file:
        assert len(list(csv.reader(file))) == 6
    assert np.isfinite(load_model(output).info.temperature)
