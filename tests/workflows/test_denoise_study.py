"""How the model that takes thermal displacements out learns: pairs, loss, and the table."""

import numpy as np
import pytest
import torch
from study.comparison import denoising as comparison
from study.reports import denoising as reports
from study.training import denoising
from study.training.names import CURVE, DENOISE_TABLE, DENOISER, DENOISER_CARD

from hoomd_gala.analyzer import Analyzer
from hoomd_gala.crystals.prototypes import UnitCell, crystal, displace, unit_cell
from hoomd_gala.files.atomic import read_table
from hoomd_gala.files.models import Model, ModelInfo, load_model, save_model
from hoomd_gala.neighbors import nearest_neighbors
from hoomd_gala.networks import CoreConfig, Denoiser
from hoomd_gala.systems import System

COMMON = ["cF4-Cu", "cI2-W"]


@pytest.fixture
def plan(monkeypatch):
    """Few cells, and one system of disorder."""
    cells = {name: unit_cell(name) for name in (*COMMON, "cP8-Cr3Si", "cF8-C")}
    monkeypatch.setattr(denoising, "unit_cells", lambda: cells)
    rng = np.random.default_rng(1)
    points = System(
        rng.uniform(-5, 5, (800, 3)), np.array([10.0, 10, 10, 0, 0, 0]), np.ones(800, int)
    )
    solid = np.arange(800) < 30
    quenched = points._replace(types=(~solid).astype(np.int64))
    monkeypatch.setattr(denoising.disorder, "read", lambda path: [quenched])
    other = UnitCell("0", 1, unit_cell("cP1-Po").system)
    return denoising.Plan(
        COMMON, {"common": 0.1, "other": 0.08}, [other], ["cF8-C"], [("mixture", None)]
    )


def test_every_part_says_where_particles_belong(plan, tmp_path):
    rng = np.random.default_rng(2)
    for part, make in denoising.PARTS.items():
        pairs = list(make(plan, 2, rng))
        path = tmp_path / f"{part}.npz"
        denoising.write(path, iter(pairs), part)
        for made, pair in zip(pairs, denoising.read(path), strict=True):
            np.testing.assert_array_equal(pair.system.positions, made.system.positions)
            np.testing.assert_allclose(pair.shifts, made.shifts, atol=1e-6)
            assert pair.amount == made.amount
            # what is left is not further apart than the particles of anything
            bonds = nearest_neighbors(pair.system.positions + pair.shifts, pair.system.box).bonds
            shortest = np.linalg.norm(bonds, axis=-1).min()
            if part == "disordered":
                assert not pair.shifts.any()
                assert (~pair.judged).sum() == 30
            else:
                assert pair.judged.all()
                assert shortest > 0.6


def test_nothing_is_learned_from_cells_that_are_left_out(plan):
    learned = [len(pair.judged) for pair in denoising.cells(plan, 1, np.random.default_rng(1))]
    assert len(learned) == 1
    everything = plan._replace(left_out=[])
    assert len(list(denoising.cells(everything, 1, np.random.default_rng(1)))) == 2


def test_crystals_go_where_they_were_and_their_melt_stays():
    still = crystal(unit_cell("cF4-Cu"), 200)
    types = np.arange(len(still.positions)) % 2
    pair = denoising._heated(still._replace(types=types), 0.08, np.random.default_rng(3))
    goal = pair.system.positions + pair.shifts
    shift = goal[0] - still.positions[0]
    np.testing.assert_allclose(goal, still.positions + shift, atol=1e-5)
    assert np.abs(pair.shifts[types == 0]).max() < 1e-5
    assert pair.amount == pytest.approx(np.sqrt((pair.shifts[types == 1] ** 2).mean()), rel=1e-6)


def test_what_relaxes_around_a_vacancy_or_bends_stays():
    whole = crystal(unit_cell("cF4-Cu"), 200)
    left = denoising.with_vacancy(whole, np.random.default_rng(4))
    assert len(left.positions) == len(whole.positions) - 1
    rows = [np.abs(whole.positions - p).sum(axis=1).argmin() for p in left.positions]
    moved = np.linalg.norm(left.positions - whole.positions[rows], axis=1)
    assert 0 < moved.max() <= denoising.RELAXED + 1e-9
    assert (moved > 0).sum() == 20
    bent = denoising.bend(whole, np.random.default_rng(5))
    bonds = nearest_neighbors(bent.positions, bent.box, n=12).bonds
    lengths = np.linalg.norm(bonds, axis=-1)
    assert 1e-3 < np.abs(lengths - 1).max() < 1.5 * denoising.BENT


def _pairs(n, noise=0.08):
    rng = np.random.default_rng(6)
    still = denoising._whole(crystal(unit_cell("cF4-Cu"), 100))
    hot = [displace(still, noise, rng) for _ in range(n)]
    everyone = np.ones(len(still.positions), bool)
    return [denoising.Pair(one, still.positions - one.positions, everyone, noise) for one in hot]


def test_the_loss_is_the_share_that_is_left():
    network = Denoiser(CoreConfig(width=8, hidden=8, blocks=1, tied=True)).train()
    with torch.no_grad():
        network.correct.covariant_weights.zero_()
    pairs = _pairs(3)
    batch = {"sample": torch.arange(3)}
    with torch.no_grad():
        value, _ = denoising.PairLoss(pairs)(network, batch)
    assert float(value) == pytest.approx(0.08**2 / (0.08**2 + denoising.LEAST**2), rel=0.1)
    # all particles together somewhere else is no error; and nothing is judged that is not known
    moved = [pair._replace(shifts=pair.shifts + np.array([1.0, 2.0, 3.0])) for pair in pairs]
    with torch.no_grad():
        shifted, _ = denoising.PairLoss(moved)(network, batch)
    assert float(shifted) == pytest.approx(float(value))
    wrong = pairs[0].shifts + (np.arange(len(pairs[0].judged)) == 5)[:, None]
    judged = pairs[0].judged & (np.arange(len(wrong)) != 5)
    known = [pairs[0]._replace(shifts=wrong, judged=judged), *pairs[1:]]
    with torch.no_grad():
        masked, _ = denoising.PairLoss(known)(network, batch)
    assert float(masked) == pytest.approx(float(value), rel=0.1)


def test_a_short_training_takes_displacements_out(tmp_path):
    pairs = _pairs(24)
    denoising.write(tmp_path / "pairs.npz", iter(pairs), "pairs")
    parameters = {
        "width": 16, "hidden": 16, "blocks": 1, "epochs": 4, "batch_size": 2,
        "learning_rate": 0.01, "validation_fraction": 0.1, "seed": 1,
    }  # fmt: skip
    denoising.learn(tmp_path, parameters, {"pairs": tmp_path / "pairs.npz"})
    curve = [float(row["validation_after 4"]) for row in read_table(tmp_path / CURVE)]
    assert curve[-1] < 0.3 < curve[0]
    # what is left of the displacements between neighbors
    hot = pairs[0]
    after = Analyzer(tmp_path / DENOISER, "cpu").denoise(hot.system.positions, hot.system.box)
    goal = hot.system.positions + hot.shifts
    neighbors = nearest_neighbors(goal, hot.system.box).neighbors
    error = after - goal
    left, before = (np.std(x[neighbors] - x[:, None]) for x in (error, hot.shifts))
    assert left < 0.5 * before


def test_table_and_card(tmp_path, monkeypatch):
    core = CoreConfig(width=8, hidden=8, blocks=1, tied=True)
    info = ModelInfo(core, (), task="denoising", card={"metrics": {"validation_loss": 0.5}})
    network = Denoiser(core).requires_grad_(False)
    network.correct.covariant_weights.zero_()
    save_model(tmp_path / DENOISER, Model(network, info))
    monkeypatch.setattr(comparison, "_N_PARTICLES", 300)
    monkeypatch.setattr(comparison, "CRYSTALLINE", ("cF4-Cu",))
    monkeypatch.setattr(comparison, "seconds", lambda *_: {"time of a step / µs": 1.0})
    reports.publish(tmp_path, ["perfect crystal"], ["cP8-Cr3Si"], {"command": "none"})
    rows = read_table(tmp_path / DENOISE_TABLE)
    assert [row["case"] for row in rows][:2] == ["cF4-Cu, Gaussian 0.06", "cF4-Cu, springs 0.06"]
    assert [row["case"] for row in rows][-1] == "cP8-Cr3Si, springs 0.1"
    for row in rows:
        assert row["displacement before"] == row["displacement after"]
        level = float(row["case"].rpartition(" ")[2])
        assert float(row["displacement before"]) == pytest.approx(level, rel=0.3)
        if row["group"] == comparison.LEFT_OUT:
            continue
        # a network that moves nothing changes nothing
        assert row["agree before"] == row["agree after"]
        assert row["crystalline still"] == "1.0"
    card = load_model(tmp_path / DENOISER).info.card
    least = min(float(row["agree after"]) for row in rows)
    assert card["metrics"]["agreement, perfect crystal, least"] == least
    assert card["metrics"]["time of a step / µs"] == 1
    assert card["metrics"]["displacement left, left-out crystal, most"] == 1
    baseline = card["baselines"]["positions left as they are"]
    assert baseline["agreement, perfect crystal, least"] == least
    assert (tmp_path / DENOISER_CARD).is_file()


def test_dislocations_are_there_before_they_are_heated():
    positions = comparison.crystal(unit_cell("cF4-Cu"), 500)
    assert comparison.line_length(positions) == 0
