"""Representations side by side: what is measured of each, with those whose answer is known."""

import numpy as np
import pytest
from study.comparison import descriptors, embedding_map, liquids, representations
from study.reports import representations as report

from hoomd_gala.crystals.prototypes import crystal, displace, unit_cell
from hoomd_gala.neighbors.environments import nearest_neighbors
from hoomd_gala.systems import make_system

CELLS = ["cF4-Cu", "cI2-W", "cF8-C"]


def nothing(system, particles):
    """A representation that is the same for all."""
    return np.zeros((len(particles), 3))


def coordinates(system, particles):
    """One that changes with the order of particles: as good as none, and never the same."""
    return np.random.default_rng(int(1e6 * system.positions[0, 0] % 1e6)).normal(
        size=(len(particles), 3)
    )


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(representations, "N_PARTICLES", 120)
    monkeypatch.setattr(representations, "_WITH_DEFECTS", ("cF4-Cu",))
    monkeypatch.setattr(representations, "unit_cells", lambda: dict.fromkeys(CELLS))


@pytest.fixture
def data():
    rng = np.random.default_rng(1)
    solids = []
    for name in CELLS[:2]:
        system = displace(crystal(unit_cell(name), 120), 0.04, rng)
        n = len(system.positions)
        solids.append(embedding_map.Solid(system, np.ones(n, bool), np.full(n, name)))
    some = np.arange(60)
    fluids = [
        liquids.Sample(displace(crystal(unit_cell(name), 120), 0.1, rng), some, name, run)
        for name in CELLS[:2]
        for run in (1, 2)
    ]
    return representations.Data(solids, fluids, CELLS, [0.05], [12], 60, 1)


def test_each_is_measured_alike_and_what_sees_nothing_guesses(data):
    compared = {"Steinhardt": descriptors.steinhardt, "noise": coordinates}
    rows = {row["measure"]: row for row in representations.compare(compared, data)}
    for what in (
        "assembled structures, purity",
        "liquids before they freeze, logistic regression",
        "new prototypes, 12 particles of each, displaced 5 %",
        "nearest of all prototypes, displaced 5 %",
    ):
        assert rows[what]["Steinhardt"] > 0.8
        assert rows[what]["noise"] < 0.65
    for what in ("vacancies", "surfaces", "grain boundaries"):
        assert rows[f"{what} against bulk"]["Steinhardt"] > 0.8
        assert rows[f"{what} against bulk"]["noise"] == pytest.approx(0.5, abs=0.12)
    assert rows["time, of the first"]["Steinhardt"] == 1
    assert rows["numbers"]["Steinhardt"] == 11


def test_vacancies_are_where_neighbors_are_missing():
    system, beside, bulk = representations.with_vacancies("cF4-Cu", 1)
    assert not (beside & bulk).any()
    near = np.linalg.norm(nearest_neighbors(system.positions, system.box).bonds, axis=-1)
    coordination = (near < 1.25).sum(axis=1)
    assert coordination[bulk].mean() > 11.7
    assert coordination[beside].mean() < 11.2


def test_what_is_the_same_for_all_has_no_anomalies():
    found = representations.anomalies(nothing, 1)
    assert set(found.values()) == {0.5}


def test_soap_is_invariant_and_its_best_settings_are_chosen(data, monkeypatch):
    pytest.importorskip("dscribe")
    settings = representations.Settings(1.6, 3, 3, 0.3)
    describe = representations.soap(settings)
    system = displace(crystal(unit_cell("cI2-W"), 120), 0.05, np.random.default_rng(1))
    some = np.arange(5)
    rows = describe(system, some)
    twice = make_system(2 * system.positions, system.box * [2, 2, 2, 1, 1, 1])
    np.testing.assert_allclose(describe(twice, some), rows, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1)
    turn = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    box = system.box[[1, 0, 2, 3, 4, 5]]
    np.testing.assert_allclose(
        describe(make_system(system.positions @ turn.T, box), some), rows, atol=1e-6
    )
    monkeypatch.setattr(representations, "_CUTOFFS", (1.01, 1.6))
    monkeypatch.setattr(representations, "_ORDERS", ((3, 3),))
    monkeypatch.setattr(representations, "_WIDTHS", (0.3,))
    # hardly anything is within the nearest distance of a warm crystal
    best, tried = representations.tune(CELLS, data.liquids)
    assert best == settings
    assert tried[0]["liquids"] < tried[1]["liquids"]


def test_the_highest_of_each_row_is_bold(tmp_path):
    rows = [
        {"measure": "a", "embedding": 0.9, "SOAP": 0.95},
        {"measure": "time, of the first", "embedding": 1, "SOAP": 12.5},
    ]
    tried = [{"cutoff": 1.6, "retrieval": 0.5}]
    report.write(tmp_path, ("a.csv", "a.md", "a.png"), rows, tried, "settings")
    text = (tmp_path / "a.md").read_text()
    assert "| a | 0.900 | **0.950** |" in text
    assert "| time, of the first | 1 | 12.5 |" in text
    assert (tmp_path / "a.png").stat().st_size > 5000
