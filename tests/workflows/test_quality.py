"""Hot crystals, the methods that models are compared with, and the comparison."""

import csv
import importlib.util
from pathlib import Path

import gsd.hoomd
import numpy as np
import pytest
from conftest import needs_hoomd
from pictures import check_colors
from study.comparison import measures, methods
from study.reports import quality
from study.simulation import engine_openmm, engines, thermal
from study.solids import references

from hoomd_gala.crystals import potentials
from hoomd_gala.crystals.prototypes import crystal, displace, unit_cell
from hoomd_gala.errors import InputError
from hoomd_gala.files.models import ModelInfo, load_model
from hoomd_gala.files.trajectories import make_frame
from hoomd_gala.networks import CoreConfig

ENGINES = [pytest.param("HOOMD-blue", marks=needs_hoomd), "OpenMM"]


def use(engine, monkeypatch):
    """Let one engine be the one that is picked."""
    if engine == "OpenMM":
        monkeypatch.setattr(engines, "pick", lambda: engine_openmm)


# ---- hot crystals ----


def test_random_displacements_are_what_was_asked_for():
    for hot in thermal.gaussian("cI2-W", 8000, 1):
        assert hot.rms == pytest.approx(hot.level, rel=0.02)


def test_displacements_ignore_motion_of_the_whole_and_periodic_images():
    perfect = crystal(unit_cell("hP2-Mg"), 500)
    moved = displace(perfect, 0.05, np.random.default_rng(1))
    expected = thermal.rms_displacement(moved, perfect)
    lattice = thermal.lattice_vectors(perfect.box)
    images = np.random.default_rng(2).integers(-1, 2, size=moved.positions.shape) @ lattice
    shifted = moved._replace(positions=moved.positions + images + 0.3)
    assert thermal.rms_displacement(shifted, perfect) == pytest.approx(expected)


@pytest.mark.parametrize("structure", thermal.STRUCTURES)
def test_springs_hold_every_structure(structure):
    perfect = crystal(unit_cell(structure), 500)
    pairs, lengths = thermal.springs(perfect).pairs, thermal.springs(perfect).lengths
    assert len(np.unique(np.sort(pairs, axis=1), axis=0)) == len(pairs)
    assert lengths.max() < thermal.SPRING_RANGE
    # a rigid network has at least three springs a particle
    assert len(pairs) >= 6 * len(perfect.positions)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("structure", ["hP4-C.3", "tP30-CrFe"])
def test_crystal_is_the_least_energy_of_its_springs(structure, engine, monkeypatch):
    use(engine, monkeypatch)
    perfect = crystal(unit_cell(structure), 500)
    equilibrate = engines.pick().solid(perfect, thermal.springs(perfect), 1)
    cold = perfect._replace(positions=equilibrate(1e-8, 200))
    assert thermal.rms_displacement(cold, perfect) < 1e-4


@pytest.mark.parametrize("engine", ENGINES)
def test_displacement_grows_as_the_root_of_the_temperature(engine, monkeypatch):
    use(engine, monkeypatch)
    perfect = crystal(unit_cell("cF4-Cu"), 1000)
    equilibrate = engines.pick().solid(perfect, thermal.springs(perfect), 1)
    ratios = []
    for kT in (0.1, 0.4, 1.6):
        hot = perfect._replace(positions=equilibrate(kT, 400))
        ratios.append(thermal.rms_displacement(hot, perfect) / kT**0.5)
    assert ratios == pytest.approx([np.mean(ratios)] * 3, rel=0.15)


@pytest.mark.parametrize("engine", ENGINES)
def test_pair_potential_is_heated_until_it_melts(engine, monkeypatch):
    use(engine, monkeypatch)
    monkeypatch.setattr(thermal, "LEVELS", (0.04, 0.08, 0.14))
    monkeypatch.setattr(thermal, "STEPS", 400)
    potential, _ = thermal.POTENTIALS[0]
    series = list(thermal.simulated("cF4-Cu", potential, 500, 1))
    assert [hot.level for hot in series] == [0.04, 0.08]
    assert series[0].rms == pytest.approx(0.04, rel=0.3)
    assert series[1].kT > series[0].kT > 0


def test_relaxed_lennard_jones_has_the_textbook_density():
    perfect = crystal(unit_cell("cF4-Cu"), 1500)
    relaxed = thermal.relaxed(perfect, potentials.ljg(0.0, 1.0))
    # 0.9713 with all shells; those within 2.5 pull less
    assert relaxed.box[0] / perfect.box[0] == pytest.approx(0.975, abs=0.005)


def test_stored_crystals_are_read_back_not_made_again(tmp_path, monkeypatch):
    made = thermal.stored(tmp_path, "cI2-W", "Gaussian", 500)
    monkeypatch.setattr(thermal, "sources", None)
    again = thermal.stored(tmp_path, "cI2-W", "Gaussian", 500)
    assert [hot[:5] for hot in again] == [hot[:5] for hot in made]
    assert [hot.level for hot in made] == list(thermal.LEVELS)


# ---- methods that are not ours ----


@pytest.mark.parametrize("structure", list(thermal.STRUCTURES)[:6])
def test_references_name_perfect_crystals(structure):
    system = crystal(unit_cell(structure), 500)
    labels = references.template_matching(system).label
    assert (labels == structure).all()
    if structure != "cP1-Po":  # common neighbor analysis does not know it
        assert (references.common_neighbor_analysis(system) == structure).all()


def test_bcc_at_seven_percent_is_labeled_as_often_as_the_convention_says():
    perfect = crystal(unit_cell("cI2-W"), 8000)
    system = displace(perfect, 0.07, np.random.default_rng(1))
    labels = references.template_matching(system, references.DEFAULT_CUTOFF).label
    assert (labels == "cI2-W").mean() == pytest.approx(0.42, abs=0.02)
    assert (references.common_neighbor_analysis(system) == "cI2-W").mean() == pytest.approx(
        0.78, abs=0.02
    )


@pytest.mark.parametrize("cutoff", [0.08, 0.1, 0.15])
def test_cutoff_afterwards_equals_cutoff_in_ovito(cutoff):
    for structure in ("cI2-W", "cF8-C", "tP30-CrFe"):
        system = displace(crystal(unit_cell(structure), 500), 0.08, np.random.default_rng(1))
        expected = references.template_matching(system, cutoff).label
        found = references.template_matching(system).within(cutoff)
        np.testing.assert_array_equal(found, expected)


# ---- measures ----


def test_area_under_roc_counts_pairs():
    rng = np.random.default_rng(1)
    high, low = rng.integers(3, 10, 50), rng.integers(0, 8, 70)
    pairs = (high[:, None] > low) + 0.5 * (high[:, None] == low)
    assert measures.area_under_roc(high, low) == pytest.approx(pairs.mean())
    assert measures.area_under_roc([2, 3], [0, 1]) == 1


def test_calibration_error():
    rng = np.random.default_rng(1)
    confidence = rng.uniform(0.2, 1, 200_000)
    right = rng.random(200_000) < confidence
    assert measures.calibration_error(confidence, right) < 0.01
    boast = np.full(1000, 0.9)
    assert measures.calibration_error(boast, np.arange(1000) < 600) == pytest.approx(0.3)
    _, _, counts = measures.reliability(np.array([0.0, 1.0]), np.array([False, True]))
    assert counts[[0, -1]].tolist() == [1, 1]


# ---- the comparison ----


def test_classes_that_a_structure_is_merged_into_are_right():
    card = {"merged": {"cF8-C": ["hP4-C.3"]}}
    info = ModelInfo(CoreConfig(), ("cF8-C", "cI2-W"), card=card)
    assert methods.accepted_classes(info, "hP4-C.3") == {"cF8-C"}
    assert methods.accepted_classes(info, "cI2-W") == {"cI2-W"}
    assert not methods.accepted_classes(info, "tP30-CrFe")


def write_frames(path, *systems):
    with gsd.hoomd.open(path, "w") as file:
        for step, system in enumerate(systems):
            file.append(make_frame(system, step))
    return path


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_quality_of_the_shipped_model_from_start_to_end(tmp_path, monkeypatch):
    monkeypatch.setattr(thermal, "STEPS", 100)
    monkeypatch.setattr(thermal, "POTENTIALS", ())
    rng = np.random.default_rng(1)
    box = np.array([8.0, 8, 8, 0, 0, 0])
    fluid = thermal.System(rng.uniform(-4, 4, (400, 3)), box, np.zeros(400, int))
    # none of the structures that the model knows is like it
    strange = displace(crystal(unit_cell("cF56-Co3O4"), 400), 0.03, rng)
    liquid = write_frames(tmp_path / "liquid.gsd", fluid, fluid)
    unknown = write_frames(tmp_path / "unknown.gsd", strange._replace(types=0 * strange.types))
    output = tmp_path / "output"
    structures = ["cI2-W", "hP4-C.3"]
    text = quality.run(output, ["structures"], [liquid], [unknown], structures, 300)

    rows = rows_of(output / "accuracy.csv")
    assert len(rows) == 2 * 2 * len(thermal.LEVELS)
    assert rows[0]["structure"] == "cI2-W"
    for method in ("PTM", "PTM, best cutoff", "CNA", "structures"):
        assert float(rows[0][method]) == 1
    classes = load_model("structures").info.class_names
    for row in rows:
        assert ("structures" in row["not in repertoire"]) == (row["structure"] not in classes)
        # what is unknown is not right
        assert float(row["structures"]) + float(row["structures: unknown"]) <= 1
        if row["level"] == "0.02":
            assert float(row["structures: unknown"]) < 0.05
    assert float(rows_of(output / "liquids.csv")[0]["structures"]) < 0.1
    assert rows_of(output / "liquids.csv")[0]["particles"] == "800"
    (strangers,) = rows_of(output / "unknown.csv")
    assert float(strangers["area under ROC"]) > 0.9
    assert float(strangers["unknown"]) > 0.5
    shares = [float(strangers[key]) for key in ("unknown", "disordered", "named")]
    assert sum(shares) == pytest.approx(1, abs=1e-4)
    (calibration,) = rows_of(output / "calibration.csv")
    assert float(calibration["accuracy"]) > 0.9
    assert float(calibration["expected calibration error"]) < 0.1
    # those that three methods and the model have in all figures
    colors = ["tab:green", "tab:purple", "tab:brown", "tab:blue"]
    check_colors(output / "accuracy.png", colors)
    check_colors(output / "reliability.png", ["C0", "0.6"])
    assert (output / "quality.md").read_text() == text
    assert "| cI2-W, bcc | Gaussian |" in text
    assert not list(tmp_path.rglob("*.part"))


@pytest.fixture(scope="module")
def command():
    """The command line of ``quality.py``."""
    path = Path(__file__).parents[2] / "workflows" / "quality.py"
    spec = importlib.util.spec_from_file_location("quality_command", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


def test_bad_input_is_named_before_anything_is_simulated(command, tmp_path, capsys):
    output = tmp_path / "output"
    missing = str(tmp_path / "missing.gsd")
    assert command(["--model", "nonsense", "--output", str(output)]) == 2
    assert "no model is named 'nonsense'" in capsys.readouterr().err
    arguments = ["--model", "structures", "--liquid", missing, "--output", str(output)]
    assert command(arguments) == 2
    assert missing in capsys.readouterr().err
    assert not output.exists()
    with pytest.raises(InputError, match="structures has none of the structures cX1-Nothing"):
        quality.run(output, ["structures"], structures=["cX1-Nothing"])
