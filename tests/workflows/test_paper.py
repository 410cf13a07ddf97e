"""The paper's results from end to end, on next to nothing."""

import pytest
from pictures import check_colors, pixels
from test_workflow import fresh_copy, run

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
    # gains frozen and free; changes of phases by each measure; descriptors by both classifiers
    check_colors(summary / "transfer.png", ["tab:blue", "tab:red", "k"])
    for name in ("unseen.png", "OPP_k=6.25_phi=0.62/phases.png"):
        check_colors(summary / name, ["tab:red", "tab:blue", "tab:green"])
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
        assert float(row["condensation, kT"]) >= float(row["freezing, kT"])


def test_liquids_are_compared_by_every_descriptor(summary):
    compared = read_table(summary / "liquids.csv")
    assert len(compared) == 2 * 5
    assert all(0.3 < float(row["accuracy"]) <= 1 for row in compared)
    assert len(read_table(summary / "liquid_runs.csv")) == 4


def test_transfers_have_every_pair_and_amount(summary):
    table = read_table(summary / "transfer.csv")
    kinds = {(row["source"], row["target"], row["mode"]) for row in table}
    pairs = (("denoising", "noisy-bonds"), ("noisy-bonds", "denoising"))
    expected = {(*pair, mode) for pair in pairs for mode in ("frozen", "free")}
    assert kinds == expected | {("", task, "direct") for task in ("denoising", "noisy-bonds")}
    assert {row["amount"] for row in table} == {"16", "32"}
    assert {row["replicas"] for row in table} == {"2"}
    assert (summary / "transfer.md").read_text().strip()


def test_phases_of_the_learned_and_of_the_unseen_trajectory(summary):
    for table in (summary / "OPP_k=6.25_phi=0.62" / "phases.csv", summary / "unseen.csv"):
        measures = {row["measure"]: row for row in read_table(table)}
        assert set(measures) == {"predicted frames", "energy and density", "PTM"}
        first = measures["predicted frames"]
        assert int(first["condensation, timestep"]) < int(first["freezing, timestep"])
        assert measures["PTM"]["freezing, timestep"] == ""


def test_grains_are_scored_by_every_method(summary):
    methods = {row["method"] for row in read_table(summary / "grains.csv")}
    assert {"frames", "frames around", "PTM"} <= methods


def test_a_box_that_is_too_small_for_the_forces_is_refused(folder):
    """A simulation that cannot be run says why, and what it would take."""
    code, output = run(folder, "init", "--study", "paper-smoke")
    assert code == 0, output
    study = folder / "studies" / "paper-smoke.toml"
    study.write_text(study.read_text().replace("n_particles = 343\n", "n_particles = 120\n"))
    code, output = run(folder, "run", "--study", "paper-smoke", "-o", "simulate_liquid")
    assert code != 0
    assert "120 particles at number density" in output
