"""The training loop: exact resume, checkpoints, calibration."""

import csv
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import gas, needs_cuda

from hoomd_gala.errors import InputError
from hoomd_gala.files.atomic import write_table
from hoomd_gala.learning import datasets
from hoomd_gala.learning.calibration import calibrate
from hoomd_gala.learning.config import TASK_NAMES
from hoomd_gala.learning.tasks import TASKS
from hoomd_gala.learning.tasks import frame_classification as task
from hoomd_gala.learning.training import TrainingConfig, evaluate, seeded, split, train
from hoomd_gala.networks import CoreConfig, FrameClassifier, make_network

CONFIG = TrainingConfig(epochs=5, batch_size=16)


class InterruptionError(Exception):
    """Stands for a kill between two epochs."""


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(1)
    crystal = datasets.crystal_frames(["cI2-W"], [0.14], 200, None, rng, n_particles=500)
    frames = datasets.join([crystal, datasets.take(gas(400, rng), 1, 200, rng)])
    return split(datasets.to_tensors(frames, CoreConfig(), None), 0.3, seed=1)


@pytest.fixture
def few(data):
    """A little of the data, where nothing is to be learned."""
    return [{key: value[:48] for key, value in part.items()} for part in data]


def network():
    torch.manual_seed(1)
    return FrameClassifier(CoreConfig(width=16, hidden=16, blocks=1, tied=True), 2)


def stopping(epochs, total):
    """A loss that dies after so many epochs, in the middle of the next one, which is lost."""
    calls = 0

    def loss(net, batch):
        nonlocal calls
        calls += net.training
        if calls > epochs * -(-total // CONFIG.batch_size) + 2:
            raise InterruptionError
        return task.loss(net, batch)

    return loss


def test_split_keeps_every_row_once(data):
    training, validation = data
    total = len(training["labels"]) + len(validation["labels"])
    assert len(validation["labels"]) == round(0.3 * total)
    rows = torch.cat([training["bonds"], validation["bonds"]]).flatten(1)
    assert len(torch.unique(rows, dim=0)) == total


def test_training_learns_and_repeats_exactly(data):
    curves, weights = [], []
    for _ in range(2):
        net = network()
        curves.append(train(net, task.loss, *data, CONFIG).curve)
        weights.append(net.state_dict())
    assert curves[0] == curves[1]
    assert curves[0][-1]["validation_loss"] < 0.7 * curves[0][0]["validation_loss"]
    for key, tensor in weights[0].items():
        assert torch.equal(tensor, weights[1][key])


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=needs_cuda)])
@pytest.mark.parametrize("stop_after", [1, 3])
def test_resumed_training_is_bit_identical_to_an_unbroken_one(data, tmp_path, stop_after, device):
    whole = network().to(device)
    curve = train(whole, task.loss, *data, CONFIG).curve
    checkpoint = tmp_path / "checkpoint.pt"
    interrupted = stopping(stop_after, len(data[0]["labels"]))
    with pytest.raises(InterruptionError):
        train(network().to(device), interrupted, *data, CONFIG, checkpoint)
    resumed = network().to(device)
    resumed_curve = train(resumed, task.loss, *data, CONFIG, checkpoint).curve
    assert resumed_curve == curve
    for key, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[key])


def test_a_checkpoint_of_a_gpu_goes_on_on_a_cpu(data, tmp_path):
    whole = network()
    curve = train(whole, task.loss, *data, CONFIG).curve
    path = tmp_path / "checkpoint.pt"
    with pytest.raises(InterruptionError):
        train(network(), stopping(3, len(data[0]["labels"])), *data, CONFIG, path)
    state = torch.load(path, weights_only=True)
    for group in state["optimizer"]["param_groups"]:
        group["fused"] = True  # as on a GPU
    torch.save(state, path)
    resumed = network()
    assert train(resumed, task.loss, *data, CONFIG, path).curve == curve
    assert torch.load(path, weights_only=True)["optimizer"]["param_groups"][0]["fused"] is False


@needs_cuda
def test_a_gpu_learns_what_a_cpu_learns(data):
    losses = [
        train(network().to(device), task.loss, *data, CONFIG).curve[-1]["validation_loss"]
        for device in ("cpu", "cuda")
    ]
    assert losses[1] == pytest.approx(losses[0], rel=0.05)


@needs_cuda
@pytest.mark.parametrize("name", TASK_NAMES)
def test_a_recorded_step_is_the_step_itself(data, name, tmp_path):
    """Whatever the task, a last batch of fewer rows and an interruption included."""
    functions = TASKS[name]
    clean = data[0], functions.corrupt(data[1], seeded(1, device="cpu"))

    def make():
        torch.manual_seed(1)
        return make_network(name, CoreConfig(width=16, hidden=16, blocks=1, tied=True), 2).cuda()

    def interrupted(batch, generator):
        nonlocal calls
        calls += 1
        if calls > 3 * -(-len(data[0]["labels"]) // CONFIG.batch_size) + 2:
            raise InterruptionError
        return functions.corrupt(batch, generator)

    def run(net, path=None, corrupt=functions.corrupt, cuda_graph=True):
        return train(
            net, functions.loss, *clean, CONFIG, path, corrupt=corrupt, cuda_graph=cuda_graph
        ).curve

    assert len(data[0]["labels"]) % CONFIG.batch_size
    step_by_step = run(make(), cuda_graph=False)
    whole = make()
    recorded = run(whole)
    for row, expected in zip(recorded, step_by_step, strict=True):
        assert row == pytest.approx(expected, rel=1e-3)
    calls = 0
    with pytest.raises(InterruptionError):
        run(make(), tmp_path / "checkpoint.pt", interrupted)
    resumed = make()
    assert run(resumed, tmp_path / "checkpoint.pt") == recorded
    for key, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[key])


STOPPING = replace(CONFIG, epochs=8, patience=2)


def overfitting(stop_in_epoch=None):
    """A loss that gets better in training forever, and in validation until the third epoch."""
    epoch = 0

    def loss(net, batch):
        nonlocal epoch
        value, metrics = task.loss(net, batch)
        if net.training:
            if epoch == stop_in_epoch:
                raise InterruptionError
            return value, metrics
        # evaluation comes once an epoch, in one batch
        epoch = int(net.epochs_seen) + 1
        net.epochs_seen += 1
        return value * 0 + abs(epoch - 3), metrics

    return loss


def counting_network():
    """The network, with a count of its evaluations that checkpoints carry along."""
    net = network()
    net.register_buffer("epochs_seen", torch.zeros(()))
    return net


def test_early_stopping_keeps_the_best_weights(few):
    net = counting_network()
    curve, kept, _ = train(net, overfitting(), *few, STOPPING)
    assert [row["validation_loss"] for row in curve] == [2, 1, 0, 1, 2]
    assert kept == 2
    three = counting_network()
    with pytest.raises(InterruptionError):
        train(three, overfitting(stop_in_epoch=3), *few, STOPPING)
    for key, tensor in three.state_dict().items():
        assert torch.equal(tensor, net.state_dict()[key])


@pytest.mark.parametrize("stop_in_epoch", [2, 4])
def test_early_stopping_resumes_exactly(few, tmp_path, stop_in_epoch):
    whole = counting_network()
    expected = train(whole, overfitting(), *few, STOPPING)
    checkpoint = tmp_path / "checkpoint.pt"
    with pytest.raises(InterruptionError):
        train(counting_network(), overfitting(stop_in_epoch), *few, STOPPING, checkpoint)
    resumed = counting_network()
    result = train(resumed, overfitting(), *few, STOPPING, checkpoint)
    assert (result.curve, result.kept) == (expected.curve, expected.kept)
    for key, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[key])
    # a training that is over stays so
    again = counting_network()
    assert train(again, overfitting(0), *few, STOPPING, checkpoint).curve == expected.curve
    assert torch.equal(again.core.embed_types.weight, whole.core.embed_types.weight)


def test_checkpoint_of_another_training_is_refused(few, tmp_path):
    checkpoint = tmp_path / "checkpoint.pt"
    config = replace(CONFIG, epochs=1)
    train(network(), task.loss, *few, config, checkpoint, options={"cells": ["cI2-W"]})
    before = checkpoint.read_bytes()
    for other, options, named in (
        (replace(config, batch_size=8), {"cells": ["cI2-W"]}, "batch_size"),
        (config, {"cells": ["cF4-Cu"]}, "cells"),
    ):
        with pytest.raises(InputError, match=rf"other options \({named}\)"):
            train(network(), task.loss, *few, other, checkpoint, options=options)
    assert checkpoint.read_bytes() == before


def test_temperature_recovers_the_scale_of_the_logits(data):
    net = network()
    train(net, task.loss, *data, CONFIG)
    temperature = calibrate(net, data[1])
    with torch.no_grad():
        net.classify[-1].weight.mul_(3)
        net.classify[-1].bias.mul_(3)
    assert calibrate(net, data[1]) == pytest.approx(3 * temperature, rel=0.05)


def test_evaluation_is_the_mean_over_all_rows(data):
    net = network()
    loss, _ = task.loss(net, data[1])
    assert evaluate(net, task.loss, data[1], batch_size=7)["loss"] == pytest.approx(
        float(loss.detach()), rel=1e-5
    )


def test_curve_is_written_as_csv(tmp_path):
    write_table(tmp_path / "curve.csv", [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}])
    with open(tmp_path / "curve.csv", newline="") as file:
        assert [float(row["loss"]) for row in csv.DictReader(file)] == [0.5, 0.25]


def change(*keys, to):
    """Change one value of a checkpoint."""

    def changed(state):
        inner = state
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] = to
        return state

    return changed


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (change("network", to={}), "it.network has not the keys that it should have"),
        (change("network", "core.embed_types.bias", to=torch.zeros(2)), "is not a tensor of shape"),
        (change("network", "core.embed_types.bias", to="x"), "is not a tensor of shape"),
        (
            change("network", "core.embed_types.bias", to=torch.full((16,), torch.nan)),
            "it.network.core.embed_types.bias has numbers that are not finite",
        ),
        (change("optimizer", to=3), "it.optimizer has not the keys"),
        (change("optimizer", "state", 0, "step", to=None), "is not a tensor of shape"),
        (change("optimizer", "param_groups", 0, "lr", to="fast"), "lr is not a number"),
        (change("schedule", "last_epoch", to=float("inf")), "it.schedule.last_epoch is not a num"),
        (change("curve", to=[]), "its curve has 0 epochs"),
        (change("curve", to=[{"epoch": 1}]), "its curve has not the same losses"),
        (change("curve", to=3), "its curve: expected array, got int"),
        (change("seconds", to="long"), "it.seconds is not a number"),
        (lambda state: {key: state[key] for key in state if key != "best"}, "it has no best"),
        (lambda state: [state], "is not a checkpoint of a training"),
    ],
)
def test_damaged_checkpoints_are_refused(damage, reason, few, tmp_path):
    checkpoint = tmp_path / "checkpoint.pt"
    config = replace(CONFIG, epochs=1)
    train(network(), task.loss, *few, config, checkpoint)
    torch.save(damage(torch.load(checkpoint, weights_only=True)), checkpoint)
    with pytest.raises(InputError, match=re.escape(reason)):
        train(network(), task.loss, *few, config, checkpoint)
