"""The command line: labels in OVITO's eyes, and errors in one line."""

import re
import signal
import subprocess
import sys
import time

import gsd.hoomd
import numpy as np
import pytest
import torch
from commands import fails
from conftest import gas

from hoomd_gala.analyzer import Analyzer
from hoomd_gala.cli import main
from hoomd_gala.files import frame_labels, make_frame, open_trajectory, read_frame
from hoomd_gala.files.cards import card_page
from hoomd_gala.files.models import Model, ModelInfo, describe, read_info, save_model
from hoomd_gala.learning.datasets import FrameRange, trajectory_frames
from hoomd_gala.learning.hand_labels import HandLabel, labeled_systems
from hoomd_gala.networks import CoreConfig

EMBEDDINGS = ["--quantities", "label,confidence,embedding"]


def test_labeled_file_opens_in_ovito_with_particle_properties(
    trajectory_path, model_path, tmp_path, capsys
):
    from ovito.io import import_file

    out = tmp_path / "out.gsd"
    command = ["label", str(trajectory_path), str(out), "--model", str(model_path), *EMBEDDINGS]
    assert main(command) == 0
    assert "\n  bcc (cI2-W) " in capsys.readouterr().out
    pipeline = import_file(str(out))
    assert pipeline.source.num_frames == 5
    data = pipeline.compute(4)
    with open_trajectory(out) as trajectory:
        labels, names = frame_labels(trajectory[4])
        confidence = trajectory[4].log["particles/hoomd_gala/Classifier/confidence"]
        embedding = trajectory[4].log["particles/hoomd_gala/Classifier/embedding"]
        assert trajectory[4].log["energy"][0] == 4  # what was there stays
    assert names == ["cF4-Cu", "cI2-W", "disordered"]
    assert (labels == 1).mean() > 0.9
    prefix = "hoomd_gala_Classifier_"
    np.testing.assert_array_equal(data.particles[prefix + "label"], labels)
    np.testing.assert_array_equal(data.particles[prefix + "confidence"], confidence)
    np.testing.assert_array_equal(data.particles[prefix + "embedding"], embedding)


def labeled_twice(source, tmp_path, model):
    """Label a file, and then what came out."""
    once, twice = tmp_path / "once.gsd", tmp_path / "twice.gsd"
    for start, out in ((source, once), (once, twice)):
        assert main(["label", str(start), str(out), "--model", str(model), *EMBEDDINGS]) == 0
    return once, twice


def test_labels_of_a_labeled_file_are_of_the_simulations_own_types(bcc, tmp_path):
    # a model that sees types, and names of its own for two sublattices
    types = (np.arange(len(bcc.positions)) % 2).astype(int)
    source = tmp_path / "run.gsd"
    with gsd.hoomd.open(source, "w") as trajectory:
        trajectory.append(make_frame(bcc._replace(types=types), 0, ("Na", "Cl")))
    torch.manual_seed(1)
    core = CoreConfig(width=8, hidden=8, blocks=1, tied=True, max_types=2)
    info = ModelInfo(core, ("one", "two"))
    model = tmp_path / "typed.safetensors"
    save_model(model, Model(info.make_network(), info))
    once, twice = labeled_twice(source, tmp_path, model)
    frames = [read_frame(path) for path in (once, twice)]
    for frame in frames:
        assert frame.particles.types == ["Na", "Cl"]
        np.testing.assert_array_equal(frame.particles.typeid, types)
    embeddings = [frame.log["particles/hoomd_gala/Classifier/embedding"] for frame in frames]
    np.testing.assert_array_equal(*embeddings)
    # as the embeddings differ with types, they show that these were read
    other = Analyzer(model).analyze(bcc).embedding
    assert np.abs(other - embeddings[0]).mean() > 0.01
    # whoever reads the file gets the same environments: training, few-shot, the analyzer
    for path in (once, twice):
        with gsd.hoomd.open(path, "r") as trajectory:
            result = Analyzer(model).analyze(trajectory[0])
        np.testing.assert_array_equal(result.embedding, embeddings[0])
        rng = np.random.default_rng(1)
        frames, _ = trajectory_frames([FrameRange(path, slice(None))], 50, rng)
        assert frames.max_types == 2
        [system] = labeled_systems("x.csv", [str(path)], [HandLabel(0, 0, 5, "a", 2)], ["a"])
        np.testing.assert_array_equal(system.system.types, types)


def test_types_are_kept_where_that_is_asked_for(trajectory_path, model_path, tmp_path):
    out = tmp_path / "out.gsd"
    command = ["label", trajectory_path, out, "--model", model_path, "--keep-types"]
    assert main(list(map(str, command))) == 0
    with open_trajectory(out) as trajectory:
        assert trajectory[4].particles.types == ["A"]
        assert frame_labels(trajectory[4]) is not None


def test_bad_input_is_answered_with_a_sentence(trajectory_path, model_path, tmp_path, capsys):
    out = tmp_path / "out.gsd"
    label = ["--model", model_path]
    assert "there is no file" in fails(capsys, "label", tmp_path / "no.gsd", out, *label)
    assert "no model is named 'nope'" in fails(
        capsys, "label", trajectory_path, out, "--model", "nope"
    )
    assert "exists; remove it" in fails(capsys, "label", trajectory_path, trajectory_path, *label)
    assert "there is no folder" in fails(
        capsys, "label", trajectory_path, tmp_path / "no" / "out.gsd", *label
    )
    assert not out.exists()


def test_frames_before_a_bad_one_are_kept(model_path, tmp_path, capsys):
    source, out = tmp_path / "bad.gsd", tmp_path / "out.gsd"
    rng = np.random.default_rng(1)
    with gsd.hoomd.open(source, "w") as trajectory:
        for i in range(3):
            frame = make_frame(gas(100, rng), i)
            if i == 2:
                frame.particles.position[4] = np.nan
            trajectory.append(frame)
    error = fails(capsys, "label", source, out, "--model", model_path)
    assert "frame 2" in error
    assert "first at index 4" in error
    assert "2 frames before are labeled" in error
    with open_trajectory(out) as trajectory:
        assert len(trajectory) == 2
        assert frame_labels(trajectory[1]) is not None


@pytest.mark.parametrize("command", ["label", "view", "plot", "train", "finetune", "few"])
@pytest.mark.parametrize("folder", ["/proc", "long"])
def test_output_that_cannot_be_written_is_said_before_any_work(
    command, folder, trajectory_path, model_path, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(Analyzer, "analyze", lambda *_: pytest.fail("work was done"))
    monkeypatch.setattr("hoomd_gala.learning.fitting.fit", lambda *_: pytest.fail("work was done"))
    name = "x" if folder == "/proc" else str(tmp_path / ("x" * 300))
    end = {"label": ".gsd", "view": ".gsd", "plot": ".png"}.get(command, ".safetensors")
    out = f"{folder}/{name}{end}" if folder == "/proc" else name + end
    labels = tmp_path / "labels.csv"
    labels.write_text("frame,particle,name\n0,1,a\n0,2,a\n0,3,b\n0,4,b\n")
    task = ["--task", "denoising", "--output", out]
    arguments = {
        "label": [trajectory_path, out, "--model", model_path],
        "view": [trajectory_path, out],
        "plot": ["embedding", "--gsd", trajectory_path, "--model", model_path, "--output", out],
        "train": [*task, "--gsd", trajectory_path],
        "finetune": [model_path, *task, "--gsd", trajectory_path],
        "few": [model_path, "--gsd", trajectory_path, "--labels", labels, "--output", out],
    }[command]
    error = fails(capsys, command.replace("few", "finetune"), *arguments)
    # the output is blamed, and not the input
    assert error.startswith(f"hoomd-gala: error: {out[: len(out) - len(end)]}")
    assert "cannot be written (" in error


def test_interrupt_takes_one_line_and_exit_code_130(trajectory_path, model_path, tmp_path):
    with gsd.hoomd.open(trajectory_path, "r") as trajectory:
        frame = trajectory[0]
    source, out = tmp_path / "long.gsd", tmp_path / "out.gsd"
    with gsd.hoomd.open(source, "w") as trajectory:
        for i in range(5000):
            frame.configuration.step = i
            trajectory.append(frame)
    command = ["-m", "hoomd_gala.cli", "label", str(source), str(out), "--model", str(model_path)]
    with subprocess.Popen([sys.executable, *command], stderr=subprocess.PIPE, text=True) as child:
        part = tmp_path / "out.gsd.part"
        while not part.is_file() and child.poll() is None:
            time.sleep(0.05)
        time.sleep(1)
        child.send_signal(signal.SIGINT)
        output = child.stderr.read()
    assert child.returncode == 130
    assert "Traceback" not in output
    *_, last = output.strip().splitlines()
    with open_trajectory(part) as trajectory:
        said = re.search(rf"the (\d+) frames before are in {re.escape(str(part))}; the same", last)
        # it may have been stopped after a frame was written and before it was counted
        assert len(trajectory) - int(said[1]) in (0, 1)
        assert all(frame_labels(trajectory[k]) is not None for k in (0, -1))
    assert not out.exists()


@pytest.mark.parametrize("command", [["models"], ["models", "structures"]])
def test_output_that_nobody_reads_ends_a_command_quietly(command):
    with subprocess.Popen(
        [sys.executable, "-m", "hoomd_gala.cli", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        child.stdout.close()
        assert child.stderr.read() == ""
    assert child.returncode == 141  # as of a program that SIGPIPE has ended


def test_models_are_listed(capsys):
    assert main(["models"]) == 0
    shown = capsys.readouterr().out.splitlines()
    lines = dict(line.split(": ", 1) for line in shown if ": " in line)
    assert lines["denoising"] == "embeddings from denoising"
    assert lines["structures"].startswith("88 classes: fcc (cF4-Cu), hcp (hP2-Mg), bcc (cI2-W), ")
    assert all(len(line) < 120 for line in shown)


def test_structures_of_a_model_are_a_table(capsys):
    assert main(["models", "structures"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: line for line in lines}
    assert head.split()[:3] == ["class", "name", "Strukturbericht"]
    assert rows["cF4-Cu"].split()[:6] == ["cF4-Cu", "fcc", "A1", "cF4", "225", "12"]
    sigma = rows["tP30-CrFe"]
    assert sigma[head.index("coordination") :].startswith("12, 14, 15")
    assert rows["disordered"] == "disordered"
    assert rows["cF136-Si"].split()[1:3] == ["clathrate", "II"]
    assert main(["models", "denoising"]) == 0
    assert "embeddings from denoising" in capsys.readouterr().out


def test_what_a_model_sees_of_types_is_said(capsys):
    assert main(["models"]) == 0
    listed = capsys.readouterr().out
    (compounds,) = (line for line in listed.splitlines() if line.startswith("compounds: "))
    assert ", by positions and types: fcc (cF4-Cu), " in compounds
    (structures,) = (line for line in listed.splitlines() if line.startswith("structures: "))
    assert "types" not in structures
    assert main(["models", "compounds"]) == 0
    said = "positions and which particles are of one type, whatever the types are called"
    assert capsys.readouterr().out.endswith(f"compounds sees {said}\n")
    assert f"It sees {said}.\n" in card_page({"file": "a"} | describe(read_info("compounds")))


def test_help_is_there(capsys):
    with pytest.raises(SystemExit) as done:
        main(["label", "--help"])
    assert done.value.code == 0
    assert "OUT.gsd" in capsys.readouterr().out
