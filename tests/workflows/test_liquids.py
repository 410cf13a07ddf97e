"""Comparison of liquids: folds by run, intervals, and what counts as liquid."""

import gsd.hoomd
import matplotlib
import numpy as np
import pytest
from pictures import check_colors, share
from study.comparison import liquids
from study.reports import liquids as report

from hoomd_gala.crystals.prototypes import crystal, displace, unit_cell
from hoomd_gala.errors import InputError
from hoomd_gala.files.trajectories import make_frame
from hoomd_gala.systems import make_system

N_RUNS, N_PARTICLES = 4, 120


def samples():
    """Two synthetic liquids of four runs each; the features of a particle are its positions."""
    rng = np.random.default_rng(1)
    box = np.array([50.0, 50, 50, 0, 0, 0])
    found = []
    for structure, shift in (("cF4-Cu", 0.0), ("cI2-W", 2.0)):
        for run in range(N_RUNS):
            points = rng.normal(size=(N_PARTICLES, 3))
            points[:, 0] += shift
            found.append(
                liquids.Sample(make_system(points, box), np.arange(N_PARTICLES), structure, run)
            )
    return found


def informative(system, particles):
    return system.positions[particles]


def blind(system, particles):
    return system.positions[particles][:, 1:]


def test_what_differs_is_found_and_what_does_not_is_left_to_chance():
    comparison = liquids.compare(samples(), {"informative": informative, "blind": blind})
    assert comparison.names == ["cF4-Cu", "cI2-W"]
    assert len(comparison.rows) == 2 * len(liquids.CLASSIFIERS)
    for row in comparison.rows:
        # two Gaussians two standard deviations apart: 84 % at best
        best = 0.84 if row["descriptor"] == "informative" else 0.5
        assert row["accuracy"] == pytest.approx(best, abs=0.05)
        assert row["runs"] == N_RUNS
        assert row["particles"] == 2 * N_RUNS * N_PARTICLES
        if row["descriptor"] == "blind":
            assert row["loses by"] > row["loses by, margin"] > 0
    for shares in comparison.confusion.values():
        np.testing.assert_allclose(shares.sum(axis=1), 1)


def test_a_run_is_never_learned_from_and_tested_on():
    """Each run has a feature of its own that gives the liquid away, to whom has seen the run."""
    rng = np.random.default_rng(2)
    run = np.repeat(np.arange(N_RUNS), 2 * 50)
    structure = np.tile(np.repeat(["cF4-Cu", "cI2-W"], 50), N_RUNS)
    own = np.where(structure == "cF4-Cu", 1.0, -1.0)[:, None] * np.eye(N_RUNS)[run]
    table = liquids.Table(own + 0.01 * rng.normal(size=own.shape), structure, run)
    accuracy = liquids.run_accuracies(table, liquids.predictions(table, "logistic regression"))
    assert accuracy.mean() < 0.8


def test_margin_is_students():
    # mean 2, standard error 0.5, t of 0.975 with two degrees of freedom 4.303
    values = np.array([2 - 0.5 * np.sqrt(3), 2.0, 2 + 0.5 * np.sqrt(3)])
    assert liquids.margin(values) == pytest.approx(0.5 * 4.3027, rel=1e-4)


def test_neighbors_are_kept_in_a_crystal_and_not_in_a_gas():
    rng = np.random.default_rng(3)
    perfect = crystal(unit_cell("cF4-Cu"), 500)
    warm = displace(perfect, 0.03, rng)
    assert liquids.kept_neighbors(perfect, warm) > 0.95
    gas = make_system(
        rng.uniform(-0.5, 0.5, perfect.positions.shape) * perfect.box[:3], perfect.box
    )
    assert liquids.kept_neighbors(perfect, gas) < 0.1


def test_a_liquid_that_has_frozen_is_refused(tmp_path):
    frozen = displace(crystal(unit_cell("cI2-W"), 500), 0.05, np.random.default_rng(4))
    with gsd.hoomd.open(tmp_path / "run.gsd", "w") as file:
        file.append(make_frame(frozen, 0))
        file.append(make_frame(frozen, 100))
    with pytest.raises(
        InputError,
        match=r"run 3 of the liquid that forms cI2-W has begun to freeze: [0-9]+% of it is cry",
    ):
        liquids.check(tmp_path / "run.gsd", "cI2-W", 3)


def test_liquids_are_drawn(tmp_path):
    comparison = liquids.compare(samples(), {"informative": informative, "blind": blind})
    report.draw(tmp_path / "liquids.png", comparison)
    # a bar for each classifier, and confusion from white to the darkest blue of the map
    check_colors(tmp_path / "liquids.png", ["C0", "C1"], least=1e-2)
    for descriptor in ("informative", "blind"):
        for value in comparison.confusion[descriptor].ravel():
            color = matplotlib.colormaps["Blues"](value)
            assert share(tmp_path / "liquids.png", color[:3], within=0.01) > 1e-3
