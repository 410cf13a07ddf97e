"""How the model whose purpose is its embedding learns: frames, training, and the card."""

import numpy as np
import pytest
import torch
from study.reports import representations as reports
from study.training import embedding, samples
from study.training.kinds import IGNORED
from study.training.names import CURVE, EMBEDDING, EMBEDDING_CARD

from hoomd_gala.analyzer import Analyzer
from hoomd_gala.crystals.prototypes import UnitCell, crystal, displace, unit_cell
from hoomd_gala.files.atomic import read_table
from hoomd_gala.files.models import load_model
from hoomd_gala.systems import System

NAMES = ["cF4-Cu", "cP8-Cr3Si", "cF8-C"]


@pytest.fixture
def plan(monkeypatch):
    """Three cells of the database, one of which is left out, a random cell, and one liquid."""
    monkeypatch.setattr(embedding, "unit_cells", lambda: dict.fromkeys(NAMES))
    rng = np.random.default_rng(1)
    points = System(rng.uniform(-4, 4, (400, 3)), np.array([8.0, 8, 8, 0, 0, 0]), np.ones(400, int))
    solid = points._replace(types=(np.arange(400) >= 30).astype(np.int64))
    monkeypatch.setattr(embedding.disorder, "read", lambda path: [points, solid, solid])
    other = UnitCell("0", 1, unit_cell("cP1-Po").system)
    return embedding.Plan(0.06, ["cF8-C"], [other], ["liquid"])


@pytest.fixture
def files(plan, tmp_path):
    made = {}
    for part, make in embedding.PARTS.items():
        made[part] = tmp_path / f"{part}.npz"
        samples.write(made[part], make(plan, 20 if part != "disordered" else 2, 1), part)
    return made


def test_frames_are_sites_and_liquids(plan):
    cells = list(embedding.prototypes(plan, 6, 1))
    assert len(cells) == 12
    # the second cell has two kinds of site, one to three particles of which are of the first
    assert [set(sample.types.tolist()) for sample in cells] == 6 * [{0}] + 6 * [{1, 2}]
    counts = np.bincount(cells[-1].types, minlength=3)
    assert sorted(counts[1:] / counts.sum()) == pytest.approx([0.25, 0.75], abs=0.03)
    # some have vacancies
    assert len({len(sample.types) for sample in cells[:6]}) > 1
    liquid = list(embedding.disordered(plan, 2, 1))
    assert [(one.types == IGNORED).sum() for one in liquid] == [30, 30]
    assert {*liquid[0].types.tolist()} == {0, IGNORED}


def test_parts_have_frames_of_their_own(files):
    first, total = embedding.offsets(files)
    assert first == {"cells": 0, "random": 3, "disordered": 4}
    assert total == 5


def test_training_tells_frames_apart(files, model_path, tmp_path, monkeypatch):
    monkeypatch.setattr(embedding, "ASKED", 0.8)
    parameters = {"source": str(model_path), "context": 6, "epochs": 10, "seed": 1}
    embedding.learn(tmp_path, parameters, files)
    source, model = load_model(model_path), load_model(tmp_path / EMBEDDING)
    assert model.info.task == "embedding"
    assert model.info.embedding_size == 16 + 2 * 6
    learned = model.network.state_dict()
    for key, weight in source.network.state_dict().items():
        if key.startswith(("core", "pool", "norm")):
            assert torch.equal(learned[key], weight)
    losses = [float(row["training_loss"]) for row in read_table(tmp_path / CURVE)]
    assert losses[-1] < 0.7 * losses[0]
    system = displace(crystal(unit_cell("cF4-Cu"), 200), 0.04, np.random.default_rng(1))
    found = Analyzer(model, "cpu").analyze_system(system).embedding
    assert found.shape == (len(system.positions), 28)
    assert np.abs(found).mean() < 5

    rows = [
        {"measure": "purity", "embedding": 0.9, "SOAP": 0.8},
        {"measure": "time, of the first", "embedding": 1, "SOAP": 9},
    ]
    reports.publish(tmp_path, rows, {"command": "none", "seed": 1})
    card = load_model(tmp_path / EMBEDDING).info.card
    assert card["metrics"]["purity"] == 0.9
    assert card["baselines"]["SOAP"] == {"purity": 0.8, "time, of the first": 9}
    assert card["frames"] == 5
    assert (tmp_path / EMBEDDING_CARD).is_file()
