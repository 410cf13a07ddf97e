"""``hoomd-gala train``: what it writes, how it goes on, what it refuses."""

import csv
import hashlib
import json
import sys

import numpy as np
import pytest
import torch
from commands import fails
from matplotlib import image
from matplotlib.colors import to_rgb

from hoomd_gala.analyzer import Analyzer
from hoomd_gala.cli import main
from hoomd_gala.files import frame_labels, open_trajectory
from hoomd_gala.files.models import load_model
from hoomd_gala.learning import sources, training
from hoomd_gala.learning.tasks import TASKS

TINY = [
    *("--epochs", "2", "--batch-size", "32"),
    *("--width", "8", "--hidden", "8", "--blocks", "1"),
    *("--device", "cpu"),
]
CELLS = ["--cells", "cF4-Cu", "cI2-W", "--noise", "0.02", "0.05", "--environments", "30"]


@pytest.fixture(autouse=True)
def small_cells(monkeypatch):
    """Crystals of some hundred particles, which are quick to make."""
    real = sources.cell_frames
    monkeypatch.setattr(
        sources,
        "cell_frames",
        lambda *arguments, **more: real(*arguments, n_particles=300, **more),
    )


def train(task, output, *more):
    return main(["train", "--task", task, "--output", str(output), *TINY, *map(str, more)])


@pytest.mark.parametrize("task", TASKS)
def test_model_card_and_curve_match(task, tmp_path, capsys):
    output = tmp_path / "model.safetensors"
    assert train(task, output, *CELLS) == 0
    assert "network: loss" in capsys.readouterr().out
    info = load_model(output).info
    assert info.task == task
    assert bool(info.class_names) == (task == "frame-classification")
    card = json.loads((tmp_path / "model.json").read_text())
    assert card["sha256"] == hashlib.sha256(output.read_bytes()).hexdigest()
    with open(tmp_path / "model.csv", newline="") as file:
        last = {key: float(value) for key, value in list(csv.DictReader(file))[-1].items()}
    assert card["card"]["metrics"] == info.card["metrics"] == last
    assert card["card"]["command"].startswith(f"hoomd-gala train --task {task}")
    assert "GPL-3" in card["card"]["data"]["licence"]
    page = (tmp_path / "model.md").read_text()
    assert card["sha256"] in page
    assert all(name in page for name in card["card"]["baselines"])
    pixels = image.imread(tmp_path / "model.png")[..., :3]
    accurate = "validation_accuracy" in last  # a second panel, below the losses
    assert pixels.shape == (750 if accurate else 525, 750, 3)
    for color in ("C0", "C1") if accurate else ("C0",):
        assert (np.abs(pixels - to_rgb(color)).max(axis=-1) < 0.01).sum() > 100
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [
        ".csv",
        ".json",
        ".md",
        ".png",
        ".safetensors",
    ]


def test_trajectories_with_ranges(trajectory_path, tmp_path):
    output = tmp_path / "run.safetensors"
    files = ["--gsd", f"{trajectory_path}@1:4:2", "--environments", "40"]
    assert train("frame-classification", output, *files) == 0
    info = load_model(output).info
    assert info.class_names == ("bcc.gsd:10", "bcc.gsd:30")
    assert info.length_scale > 0
    assert info.card["environments"] == 80


def test_model_without_classes_writes_embeddings(trajectory_path, bcc, tmp_path):
    output, labeled = tmp_path / "denoising.safetensors", tmp_path / "labeled.gsd"
    assert train("denoising", output, "--gsd", trajectory_path, "--environments", "20") == 0
    result = Analyzer(output, device="cpu").analyze(bcc)
    assert (result.label == -1).all()
    assert (result.confidence == 0).all()
    assert result.embedding.shape == (len(bcc.positions), 8)
    assert np.ptp(result.embedding, axis=0).max() > 0
    assert result.class_names == ()
    assert result.fractions == {"unknown": 1.0}
    assert main(["label", str(trajectory_path), str(labeled), "--model", str(output)]) == 0
    with open_trajectory(labeled) as trajectory:
        frame = trajectory[2]
        assert frame.log["particles/hoomd_gala/Classifier/embedding"].shape[1] == 8
        found, names = frame_labels(frame)
    assert names == []
    assert (found == -1).all()


@pytest.mark.parametrize("task", ["noisy-bonds", "autoencoding"])
def test_interrupted_command_goes_on_to_the_same_model(task, tmp_path, monkeypatch, capsys):
    whole, broken = tmp_path / "whole.safetensors", tmp_path / "broken.safetensors"
    patience = ["--patience", 1, "--epochs", 4]
    assert train(task, whole, *CELLS, *patience) == 0
    real = training.evaluate
    calls = 0

    def dies(*arguments):
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt  # between two epochs
        return real(*arguments)

    with monkeypatch.context() as context:
        context.setattr(training, "evaluate", dies)
        assert train(task, broken, *CELLS, *patience) == 130
    *_, last = capsys.readouterr().err.strip().splitlines()
    assert (
        last == "hoomd-gala: interrupted; the same command continues after the last complete epoch."
    )
    assert not broken.exists()
    assert (tmp_path / "broken.checkpoint.pt").is_file()
    error = fails(
        capsys, "train", "--task", task, "--output", broken, *TINY, *CELLS, *patience, "--seed", 2
    )
    assert "broken.checkpoint.pt is of a training with other options" in error
    assert "seed" in error
    assert train(task, broken, *CELLS, *patience) == 0
    assert not (tmp_path / "broken.checkpoint.pt").exists()
    ours, theirs = (load_model(path) for path in (whole, broken))
    assert ours.info.card["metrics"] == theirs.info.card["metrics"]
    for key, tensor in ours.network.state_dict().items():
        assert torch.equal(tensor, theirs.network.state_dict()[key])


def test_bad_options_are_answered_with_a_sentence(trajectory_path, tmp_path, capsys):
    output = tmp_path / "model.safetensors"

    def refuses(*more, path=output):
        return fails(capsys, "train", "--task", "denoising", "--output", path, *TINY, *more)

    assert "no unit cell is named 'cI2-Unobtainium'" in refuses("--cells", "cI2-Unobtainium")
    assert "are for unit cells" in refuses("--gsd", trajectory_path, "--noise", "0.1")
    assert "is not a range of frames" in refuses("--gsd", f"{trajectory_path}@x")
    assert "it must end in .safetensors" in refuses(path=tmp_path / "model.pt")
    assert "there is no folder" in refuses(path=tmp_path / "no" / "model.safetensors")
    nowhere = tmp_path / "no" / "there.pt"
    assert f"no folder {nowhere.parent} for there.pt" in refuses(*CELLS, "--checkpoint", nowhere)
    assert "too few to hold some out" in refuses(
        "--cells", "cI2-W", "--noise", "0", "--environments", 1
    )
    (tmp_path / "model.checkpoint.pt").write_bytes(b"not a checkpoint")
    assert "is not a checkpoint" in refuses(*CELLS)
    output.write_bytes(b"precious")
    assert "model.safetensors exists; remove it" in refuses(*CELLS)
    assert output.read_bytes() == b"precious"


def test_without_matplotlib_nothing_is_trained(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    output = tmp_path / "model.safetensors"
    error = fails(capsys, "train", "--task", "denoising", "--output", output, *TINY, *CELLS)
    assert 'pip install "hoomd-gala[train]"' in error
    assert not list(tmp_path.iterdir())


def test_help_names_every_task(capsys):
    with pytest.raises(SystemExit) as done:
        main(["train", "--help"])
    assert done.value.code == 0
    text = capsys.readouterr().out
    assert all(task in text for task in TASKS)
    assert "examples:" in text
