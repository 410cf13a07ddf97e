"""Transfers between tasks: what is planned, learned, compared and drawn."""

import csv

import numpy as np
import pytest
import torch
from pictures import check_colors
from study.comparison import transfer as comparison
from study.reports import transfer as report
from study.training import transfer

from hoomd_gala.errors import InputError
from hoomd_gala.files.atomic import read_table
from hoomd_gala.files.models import load_model, save_model

PARAMETERS = {
    "cells": ["cF4-Cu", "cI2-W"],
    "noise_levels": [0.05],
    "n_environments": 60,
    "n_particles": 200,
    "width": 8,
    "hidden": 8,
    "blocks": 1,
    "tied": True,
    "seed": 1,
    "source_epochs": 2,
    "amounts": [16, 64],
    "replicas": 2,
    "steps": 8,
    "epochs": 2,
    "learning_rate": 8e-3,
}


def made_up(losses):
    """Rows of trainings with the losses of each (target, source, mode, amount)."""
    return [
        {
            "target": target,
            "source": source,
            "mode": mode,
            "amount": str(amount),
            "replica": str(replica),
            "loss": str(loss),
            "accuracy": "0.5" if target == "noisy-bonds" else "",
            "baseline": "6.0",
        }
        for (target, source, mode, amount), values in losses.items()
        for replica, loss in enumerate(values)
    ]


@pytest.fixture
def rows():
    """Of two tasks: one transfer helps, one harms, one is too noisy to be significant."""
    return made_up(
        {
            # hard and easy data: what is gained is the same
            ("denoising", "", "direct", 16): [4.0, 8.2, 1.9],
            ("denoising", "noisy-bonds", "frozen", 16): [1.0, 2.0, 0.5],
            ("denoising", "noisy-bonds", "free", 16): [8.0, 16.0, 4.0],
            ("noisy-bonds", "", "direct", 16): [7.0, 7.1, 6.9],
            ("noisy-bonds", "denoising", "frozen", 16): [1.0, 12.0, 5.0],
            ("noisy-bonds", "denoising", "free", 16): [7.0, 7.1, 6.9],
        }
    )


@pytest.fixture
def table(rows):
    """Means of these."""
    return comparison.means(rows)


def test_plan_has_every_training_once():
    direct = transfer.plan(None, PARAMETERS)
    assert {trial.mode for trial in direct} == {"direct"}
    both = transfer.plan("denoising", PARAMETERS)
    assert {trial.mode for trial in both} == {"frozen", "free"}
    assert (len(direct), len(both)) == (4, 8)
    assert len(set(both)) == 8
    # the first replica is whole before the second begins
    assert [trial.replica for trial in both] == [0] * 4 + [1] * 4


def test_means_and_standard_errors(table):
    row = next(row for row in table if (row["target"], row["mode"]) == ("denoising", "direct"))
    assert row["replicas"] == 3
    assert row["loss"] == pytest.approx(4.7)
    assert row["loss, standard error"] == pytest.approx(np.std([4.0, 8.2, 1.9], ddof=1) / 3**0.5)
    assert row["accuracy"] == ""
    assert {row["accuracy"] for row in table if row["target"] == "noisy-bonds"} == {0.5}
    (single,) = comparison.means(made_up({("denoising", "", "direct", 16): [4.0]}))
    assert np.isnan(single["loss, standard error"])


def test_gains_are_distinguished_from_chance(rows):
    found = comparison.gains(rows)
    assert len(found) == 4
    expected = [(4 * 4.1 * 3.8) ** (1 / 3), (7 * 7.1 / 12 * 6.9 / 5) ** (1 / 3), 1, 0.496]
    assert [row["times smaller"] for row in found] == pytest.approx(expected, abs=1e-3)
    clear = [row["p"] < report.CLEAR for row in found]
    assert clear == [True, False, False, True]


def test_summary_counts_and_names(rows):
    text = report.summary(comparison.gains(rows), 3)
    assert "1 of 2 help significantly and 0 harm with the core frozen" in text
    assert "0 of 2 help significantly and 1 harm with the core free" in text
    assert "With the core frozen, 2 of 2 transfers end at a smaller loss." in text
    assert "over sources: noisy-bonds 1.00, denoising 0.50; and over targets:" in text
    pair = "noisy-bonds → denoising"
    assert f"gains: {pair} (frozen, 16 environments, loss 3.96 times smaller)." in text
    assert f"Losses: {pair} (free, 16 environments, loss 2.02 times larger)." in text
    # direct training is below the best guess at one of the tasks alone
    assert "does not beat the best guess at noisy-bonds:" in text


def test_one_replica_gives_no_significance():
    rows = made_up(
        {
            ("denoising", "", "direct", 16): [4.0],
            ("denoising", "noisy-bonds", "frozen", 16): [1.0],
            ("denoising", "noisy-bonds", "free", 16): [2.0],
        }
    )
    assert [row["p"] for row in comparison.gains(rows)] == [1.0, 1.0]


def test_grid_has_a_panel_for_each_pair(table, tmp_path, monkeypatch):
    kept = []
    save = report.save_figure
    monkeypatch.setattr(
        report, "save_figure", lambda path, figure: (kept.append(figure), save(path, figure))
    )
    report.draw(tmp_path / "grid.png", table)
    check_colors(tmp_path / "grid.png", ["tab:blue", "tab:red", "k", "0.5"])
    (figure,) = kept
    assert len(figure.axes) == 4
    # names are broken at their hyphens: panels are narrow
    titles = ["to denoising", "to noisy-\nbonds", "", ""]
    assert [part.get_title() for part in figure.axes] == titles
    assert [part.get_ylabel() for part in figure.axes] == [
        "from denoising",
        "",
        "from noisy-\nbonds",
        "",
    ]
    # best guess and direct on the diagonal; beside it the core frozen and free as well
    assert [len(part.lines) for part in figure.axes] == [2, 4, 4, 2]
    assert [len(part.collections) for part in figure.axes] == [1, 2, 2, 1]
    dashed = [part.lines[1].get_linestyle() for part in figure.axes]
    assert dashed == ["-", "--", "--", "-"]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A network that has learned to denoise, a little."""
    folder = tmp_path_factory.mktemp("source")
    model, curve = transfer.learn_source("denoising", PARAMETERS, folder / "checkpoint.pt")
    assert len(curve) == PARAMETERS["source_epochs"]
    save_model(folder / "source.safetensors", model)
    return folder / "source.safetensors"


def learned(path, source, stop_after=None):
    """Rows of a table after so many of its trainings."""
    trainings = transfer.learn_all(path, "noisy-bonds", "denoising", source, PARAMETERS)
    for count, _ in enumerate(trainings, start=1):
        if count == stop_after:
            break
    return read_table(path)


def test_interrupted_trainings_go_on_where_they_were(source, tmp_path):
    whole = learned(tmp_path / "whole.csv", source)
    assert len(whole) == 8
    assert len(learned(tmp_path / "part.csv", source, stop_after=3)) == 3
    assert learned(tmp_path / "part.csv", source) == whole
    with open(tmp_path / "whole.csv", newline="") as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    # neither replicas nor modes nor amounts are the same training twice
    assert len(set(losses)) == 8
    assert {float(row["baseline"]) for row in whole} == {np.log(2)}


@pytest.mark.parametrize("mode", ["frozen", "free"])
def test_only_a_free_core_learns_further(source, mode, monkeypatch):
    models = []
    fit = transfer.fit

    def spy(*args, **kwargs):
        result = fit(*args, **kwargs)
        models.append(result.model)
        return result

    monkeypatch.setattr(transfer, "fit", spy)
    data = transfer.make_data(PARAMETERS, 1)
    for replica in range(2):
        trial = transfer.Trial(mode, 64, replica)
        transfer.learn_target(trial, "noisy-bonds", data, source, PARAMETERS)
    start = load_model(source).network.core.state_dict()
    for model in models:
        same = [
            torch.equal(value, start[key]) for key, value in model.network.core.named_parameters()
        ]
        assert all(same) if mode == "frozen" else sum(same) < len(same) / 2
        assert model.info.card["learned from"] == 64
    heads = [model.network.classify[0].weight for model in models]
    assert not torch.equal(*heads)


def test_all_trainings_of_a_replica_are_tested_on_the_same(source, monkeypatch):
    seen = []
    train = transfer.fit.__globals__["train"]

    def spy(network, loss, training, validation, *rest, **options):
        seen.append((training["bonds"], validation["bonds"]))
        return train(network, loss, training, validation, *rest, **options)

    monkeypatch.setitem(transfer.fit.__globals__, "train", spy)
    data = transfer.make_data(PARAMETERS, 1)
    for mode, amount in (("direct", 16), ("frozen", 64), ("free", 16)):
        start = None if mode == "direct" else source
        trial = transfer.Trial(mode, amount, 0)
        transfer.learn_target(trial, "nearest-bond", data, start, PARAMETERS)
    first, second, third = seen
    assert torch.equal(first[1], second[1])
    assert torch.equal(first[0], third[0])
    # 8 steps of 64 rows in 2 epochs, whatever the amount; the smaller is part of the larger
    assert [len(training) for training, _ in seen] == [256, 256, 256]
    assert torch.equal(first[0][:16], second[0][:16])
    # nothing that a source learns from is in what a target is tested on
    others = transfer.make_data(PARAMETERS, transfer.source_seed(PARAMETERS))
    assert not np.isin(others.frames.bonds, data.frames.bonds).any()


def test_more_than_there_is_cannot_be_learned_from(source):
    data = transfer.make_data(PARAMETERS, 1)
    trial = transfer.Trial("direct", 100, 0)
    with pytest.raises(InputError, match="from 100 environments: there are 84"):
        transfer.learn_target(trial, "denoising", data, None, PARAMETERS)
