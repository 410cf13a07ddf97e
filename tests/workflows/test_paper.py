"""The paper's results from end to end, on next to nothing."""

import numpy as np
import pytest
from pictures import check_colors, pixels
from test_workflow import fresh_copy, run

from hoomd_gala.colors import structure_color
from hoomd_gala.crystals.sites import SIMILAR
from hoomd_gala.files.atomic import read_table

PICTURES = [
    "assemblies.png", "embedding_map.png", "liquids.png", "transfer.png", "unseen.png",
    "grains.png", "OPP_k=6.25_phi=0.62/phases.png", "OPP_k=6.25_phi=0.62/snapshots.png",
    "OPP_k=6.25_phi=0.62/evidence.png", "Lennard-Jones/evidence.png",
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The smoke study of the paper, run to its end."""
    folder = fresh_copy(tmp_path_factory.mktemp("paper") / "workflows")
    code, output = run(folder, "run", "--study", "paper-smoke")
    assert code == 0, output
    return folder


@pytest.fixture(scope="module")
def summary(folder):
    return folder / "summary" / "paper-smoke"


def test_nothing_is_left_to_do(folder):
    code, output = run(folder, "status", "--study", "paper-smoke")
    assert code == 0, output
    assert "0 jobs/aggregates with eligible operations" in output
    code, output = run(folder, "run", "--study", "paper-smoke")
    assert code == 0, output
    assert "18 jobs, 18 finished" in output


def test_every_figure_is_drawn(summary):
    for name in PICTURES:
        pixels(summary / name)
    # gains frozen and free; phases by measures with and without a liquid, and the crystalline
    # fraction; descriptors by both classifiers
    check_colors(summary / "transfer.png", ["tab:blue", "tab:red", "k"])
    for name in ("unseen.png", "OPP_k=6.25_phi=0.62/phases.png"):
        check_colors(summary / name, ["tab:blue", "tab:orange", "lightsteelblue", "tab:green"])
    # disordered particles, in the colors of structures, and diffraction patterns
    check_colors(summary / "assemblies.png", [structure_color("disordered"), "k"])
    check_colors(summary / "liquids.png", ["C0", "C1"], least=1e-2)
    for name in ("OPP_k=6.25_phi=0.62/evidence.png", "Lennard-Jones/evidence.png"):
        check_colors(summary / name, ["C0", "C1"], least=1e-3)


def test_assemblies_stand_beside_the_labels_of_the_shipped_model(summary):
    found = {row["system"]: row for row in read_table(summary / "assemblies.csv")}
    assert set(found) == {"OPP k=6.25 phi=0.62", "Lennard-Jones"}
    for row in found.values():
        # nothing freezes in so few steps, and nothing says that it did
        assert row["verdict"] == "not identified"
        assert row["labels by structures"].startswith("disordered")
        assert float(row["distance"]) > SIMILAR
        assert row["PTM"] == row["CNA"] == "other"
        assert 1.0 > float(row["condensation, kT"]) > float(row["freezing, kT"]) > 0.3
    for name, cell, energy in (
        # of cI2-W and of hP2-Mg, at their best densities; cF4-Cu is higher by a thousandth
        ("OPP k=6.25 phi=0.62", "cI2-W", -7.37),
        ("Lennard-Jones", "hP2-Mg", -8.16),
    ):
        assert found[name]["lowest cells"].startswith(f"{cell} {energy}")
        # a droplet of liquid is above the crystal, and far below a gas
        assert energy < float(found[name]["energy of the bulk"]) < 0.6 * energy


def test_liquids_are_compared_by_every_descriptor(summary):
    compared = read_table(summary / "liquids.csv")
    sizes = {
        "embedding": 32, "Steinhardt": 11, "Steinhardt, averaged": 11, "SOAP-like": 252,
        "distances": 20,
    }  # fmt: skip
    names = [row["descriptor"] for row in compared]
    assert names == [*sizes] * 2
    assert [int(row["numbers"]) for row in compared] == [*sizes.values()] * 2
    for first, rows in ((compared[0], compared[:5]), (compared[5], compared[5:])):
        # two runs of two liquids, 60 particles of each; guessing is right for half of them, give
        # or take 0.03
        assert {row["particles"] for row in rows} == {"240"}
        assert {row["runs"] for row in rows} == {"2"}
        assert float(first["accuracy"]) > 0.53
        assert max(float(row["accuracy"]) for row in rows) > 0.6
        for row in rows:
            loss = float(first["accuracy"]) - float(row["accuracy"])
            assert float(row["loses by"]) == pytest.approx(loss, abs=1e-9)
    runs = read_table(summary / "liquid_runs.csv")
    assert {(row["structure"], row["run"]) for row in runs} == {
        (name, run) for name in ("cI2-W", "close-packed layers") for run in "12"
    }
    for row in runs:
        # neighbors change, but not all of them in so short a time, and nothing is crystalline
        assert 0.2 < float(row["neighbors kept"]) < 0.8
        assert float(row["crystalline by PTM"]) < 0.05


def test_transfers_have_every_pair_and_amount(summary):
    table = read_table(summary / "transfer.csv")
    kinds = {(row["source"], row["target"], row["mode"]) for row in table}
    pairs = (("denoising", "noisy-bonds"), ("noisy-bonds", "denoising"))
    expected = {(*pair, mode) for pair in pairs for mode in ("frozen", "free")}
    assert kinds == expected | {("", task, "direct") for task in ("denoising", "noisy-bonds")}
    assert {row["amount"] for row in table} == {"16", "32"}
    assert {row["replicas"] for row in table} == {"2"}
    for row in table:
        # so little training is as good as none, which has the loss of the baseline
        loss, baseline = float(row["loss"]), float(row["baseline"])
        assert loss == pytest.approx(baseline, rel=0.05)
        assert 0 < float(row["loss, standard error"]) < 0.05 * baseline
        # bonds are displaced by 0.1 from a noise with its mean removed; or half of them, or not
        expected = {"denoising": 0.01, "noisy-bonds": np.log(2)}[row["target"]]
        assert baseline == pytest.approx(expected, rel=0.05)
        assert (row["accuracy"] == "") == (row["target"] == "denoising")
    # the same task, learned from other amounts or in other ways, is not the same training
    assert len({row["loss"] for row in table}) == len(table)
    assert (summary / "transfer.md").read_text().strip()


def test_phases_of_the_learned_and_of_the_unseen_trajectory(summary):
    for table in (summary / "OPP_k=6.25_phi=0.62" / "phases.csv", summary / "unseen.csv"):
        measures = {row["measure"]: row for row in read_table(table)}
        assert set(measures) == {"predicted frames", "energy and density", "PTM"}
        for name in ("predicted frames", "energy and density"):
            row = measures[name]
            assert int(row["condensation, timestep"]) < int(row["freezing, timestep"])
            for change in ("condensation", "freezing"):
                # held for 1000 timesteps, then cooled from 1.0 to 0.3 over 5000
                step = int(row[f"{change}, timestep"])
                assert float(row[f"{change}, kT"]) == pytest.approx(
                    1.0 - 0.7 * (step - 1000) / 5000, abs=0.006
                )
        # the two agree on when the gas condenses, within two frames
        steps = [int(row["condensation, timestep"] or 0) for row in measures.values()][:2]
        assert abs(steps[0] - steps[1]) <= 1000
        # nothing that template matching knows forms
        assert measures["PTM"]["condensation, timestep"] == ""
        assert measures["PTM"]["freezing, timestep"] == ""


def test_grains_are_scored_by_every_method(summary):
    rows = {row["method"]: row for row in read_table(summary / "grains.csv")}
    assert [*rows] == ["frames", "frames around", "bonds", "bonds around", "PTM"]
    assert {row["cell"] for row in rows.values()} == {"cI2-W"}
    assert len({row["particles"] for row in rows.values()}) == 1
    within = {name: float(row["within 10 degrees"]) for name, row in rows.items()}
    # orientations of a neighborhood are better than those of a particle
    assert within["frames around"] > within["frames"] + 0.1
    assert within["bonds around"] > within["bonds"] + 0.1
    assert within["bonds around"] > 0.8
    # template matching has few of the particles, as there are surfaces and boundaries, but is right
    matched = rows["PTM"]
    assert float(matched["median misorientation to the truth"]) < 1.5
    assert within["PTM"] == pytest.approx(float(matched["with an orientation"]), abs=0.01)
    assert float(matched["within 10 degrees, inside"]) > 0.8
    assert float(matched["area under ROC"]) > 0.95


def test_a_box_that_is_too_small_for_the_forces_is_refused(folder):
    """A simulation that cannot be run says why, and what it would take."""
    code, output = run(folder, "init", "--study", "paper-smoke")
    assert code == 0, output
    study = folder / "studies" / "paper-smoke.toml"
    study.write_text(study.read_text().replace("n_particles = 343\n", "n_particles = 120\n"))
    code, output = run(folder, "run", "--study", "paper-smoke", "-o", "simulate_liquid")
    assert code != 0
    assert "120 particles at number density" in output
