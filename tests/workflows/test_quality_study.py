"""The study that measures models: potentials, samples, scores, and the whole on tiny systems."""

import inspect
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pictures import check_colors
from study.comparison import labelers, scores
from study.comparison.labelers import Labeling
from study.comparison.scores import Knowledge, Measured
from study.flow import studies
from study.operations import quality as operations
from study.reports import scoreboard
from study.simulation import coexistence, fluids, forces, heated, ideal, thermal
from study.simulation.dynamics import Dynamics
from study.simulation.samples import UNNAMED, Sample, read_samples, uniform, write_samples
from study.solids import defects, references
from test_workflow import fresh_copy, run

from hoomd_gala.crystals.prototypes import crystal, displace, scaled, unit_cell
from hoomd_gala.errors import InputError
from hoomd_gala.files.atomic import read_table
from hoomd_gala.files.models import ModelInfo
from hoomd_gala.neighbors.environments import nearest_neighbors
from hoomd_gala.networks import CoreConfig
from hoomd_gala.results import DISORDERED, UNKNOWN_NAME
from hoomd_gala.systems import System

MODELS = Path(__file__).parents[2] / "models"


def lengths(system, n=20):
    """Sorted distances to the nearest neighbors, (N, n)."""
    return np.linalg.norm(nearest_neighbors(system.positions, system.box, n=n).bonds, axis=-1)


# ---- potentials ----


def energy_per_atom(form, symbol, scale):
    it = forces.ELEMENTS[form][symbol]
    structure = "cI2-W" if form == "Finnis-Sinclair" else "hP2-Mg" if it.ratio else "cF4-Cu"
    made = scaled(heated.at_density(structure, it.ratio, 1 / it.volume, 450), scale)
    motion = Dynamics(made, forces.interaction({"form": form, "symbol": symbol}), 0.05, 1)
    return motion.energy() / len(made.positions)


@pytest.mark.parametrize(
    ("form", "symbol"), [(form, one) for form, table in forces.ELEMENTS.items() for one in table]
)
def test_elements_have_the_cohesive_energy_and_lattice_constant_of_the_paper(form, symbol):
    energies = [energy_per_atom(form, symbol, scale) for scale in (0.98, 1.0, 1.02)]
    published = forces.ELEMENTS[form][symbol].energy
    assert -energies[1] == pytest.approx(published, rel=0.007)
    # the minimum of the parabola through these
    curvature = energies[0] + energies[2] - 2 * energies[1]
    shift = 0.02 * (energies[0] - energies[2]) / (2 * curvature)
    assert shift == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("three_body", [21.0, 23.15])
def test_stillinger_weber_diamond_has_two_units_of_energy_a_particle(three_body):
    interaction = forces.interaction({"form": "Stillinger-Weber", "three_body": three_body})
    energies = [
        Dynamics(heated.at_density("cF8-C", 0.0, density, 200), interaction, 0.02, 1).energy() / 216
        for density in (0.44, 0.4593, 0.48)
    ]
    # the crystal's lattice constant is 2.592 and its energy -2 whatever the three-body term
    assert energies[1] == pytest.approx(-2, abs=1e-4)
    assert min(energies) == energies[1]


def test_three_body_term_costs_what_the_paper_says():
    angles, r = np.deg2rad(90), 1.1
    points = np.array([[0, 0, 0], [r, 0, 0], [r * np.cos(angles), r * np.sin(angles), 0]])
    system = System(points, np.array([9.0, 9, 9, 0, 0, 0]), np.zeros(3, int))

    def energy(three_body):
        interaction = forces.interaction({"form": "Stillinger-Weber", "three_body": three_body})
        return Dynamics(system, interaction, 0.02, 1).energy()

    # of the angles at the ends, as well: both bonds are within the range
    def term(a, b, cosine):
        return np.exp(1.2 / (a - 1.8) + 1.2 / (b - 1.8)) * (cosine + 1 / 3) ** 2

    far = r * 2**0.5
    expected = term(r, r, 0) + 2 * term(r, far, 2**-0.5)
    assert energy(21.0) - energy(0.0) == pytest.approx(21 * expected, rel=1e-4)


def test_types_of_a_mixture_have_their_own_lengths_and_energies():
    interaction = forces.pair("1/x", 2.0, [[1.0, 0.8], [0.8, 0.5]], [[1.0, 3.0], [3.0, 2.0]])
    box = np.array([9.0, 9, 9, 0, 0, 0])
    for types, expected in (((0, 0), 1 / 1.2), ((0, 1), 3 * 0.8 / 1.2), ((1, 1), 0)):
        pair = System(np.array([[0, 0, 0], [1.2, 0, 0]]), box, np.array(types))
        assert Dynamics(pair, interaction, 0.01, 1).energy() == pytest.approx(expected, rel=1e-5)


def test_sodium_chloride_has_about_its_lattice_energy():
    rocksalt = crystal(unit_cell("cF8-ClNa"), 512)
    made = scaled(rocksalt, 2.82)
    energy = Dynamics(made, forces.sodium_chloride(), 0.05, 1).energy() / len(made.positions) * 2
    # 764 to 788 kJ/mol a pair by different experiments
    assert -energy * 96.485 == pytest.approx(770, rel=0.03)


def test_unknown_interaction_is_named():
    with pytest.raises(InputError, match="no interaction 'springs'; there are Finnis-Sinclair"):
        forces.interaction({"form": "springs"})


# ---- samples ----


def test_samples_are_read_as_they_were_written(tmp_path):
    system = ideal.perfect("cI2-W", 100)
    n = len(system.positions)
    truth = np.where(np.arange(n) % 3 > 0, "cI2-W", UNNAMED)
    samples = [
        Sample("first", system, truth, np.arange(n) % 2 == 0),
        uniform("second", ideal.perfect("cF4-Cu", 200), DISORDERED),
    ]
    path = tmp_path / "samples.gsd"
    write_samples(path, samples)
    for one, other in zip(samples, read_samples(path), strict=True):
        assert one.name == other.name
        np.testing.assert_array_equal(one.truth, other.truth)
        np.testing.assert_array_equal(one.judged, other.judged)
        assert lengths(other.system)[:, 0] == pytest.approx(1, abs=1e-4)


def test_a_system_without_samples_leaves_no_file(tmp_path):
    with pytest.raises(InputError, match="all crystals have melted"):
        write_samples(tmp_path / "samples.gsd", [])
    assert not list(tmp_path.iterdir())


def test_displacements_are_as_large_as_asked_for_and_springs_make_neighbors_move_together():
    made = {one.name: one for one in ideal.displaced("cF4-Cu", [0.0, 0.08], 1000, 1)}
    assert list(made) == ["perfect", "independent 8 %", "elastic 8 %"]
    still = made["perfect"].system
    neighbors = nearest_neighbors(still.positions, still.box, n=12).neighbors
    relative = {}
    for kind in ("independent", "elastic"):
        system = made[f"{kind} 8 %"].system
        assert thermal.rms_displacement(system, still) == pytest.approx(0.08, rel=0.03)
        shifts = thermal.displacements(system, still)
        relative[kind] = np.sqrt(((shifts[:, None] - shifts[neighbors]) ** 2).mean() / 2) / 0.08
    assert relative["independent"] == pytest.approx(1, abs=0.05)
    assert relative["elastic"] < 0.95


def test_cells_that_the_database_does_not_have():
    # Frank-Kasper polyhedra: 12, 14 and 15 neighbors in the Z phase, in shares of 3, 2 and 2
    counts = (lengths(ideal.perfect("Zr4Al3", 500)) < 1.35).sum(axis=1)
    shares = dict(zip(*np.unique(counts, return_counts=True), strict=True))
    assert {n: share / len(counts) for n, share in shares.items()} == pytest.approx(
        {12: 3 / 7, 14: 2 / 7, 15: 2 / 7}
    )
    # every site of the clathrate is tetrahedral
    distances = lengths(ideal.perfect("sII", 200))
    assert distances[:, 3].max() < 1.05
    assert distances[:, 4].min() > 1.5


def test_strained_crystals_have_the_strain_of_their_name():
    made = {
        one.name: one.system
        for one in ideal.strained("cP1-Po", [-0.1], [0.15], [0.0], 200, 1)
    }  # fmt: skip
    volume = {
        name: np.prod(system.box[:3]) / len(system.positions) for name, system in made.items()
    }
    for axis in ("100", "110", "111"):
        assert volume[f"[{axis}] -10 %, displaced 0 %"] == pytest.approx(0.9)
    assert volume["isotropic -10 %, displaced 0 %"] == pytest.approx(0.729)
    assert volume["shear 15 %, displaced 0 %"] == pytest.approx(1)
    shortest = {name: lengths(system)[:, 0].min() for name, system in made.items()}
    assert shortest["[100] -10 %, displaced 0 %"] == pytest.approx(0.9)
    assert shortest["[110] -10 %, displaced 0 %"] > 0.94


def test_axial_ratios_change_the_layers_alone():
    for one in ideal.axial("hP2-Mg", [1.4, 1.886], [0.0], 300, 1):
        ratio = float(one.name.split()[1].rstrip(","))
        found = np.unique(lengths(one.system, 12).round(4))
        # in the plane a = 1, between planes √(1/3 + (c/a)² / 4)
        expected = sorted([1.0, np.sqrt(1 / 3 + ratio**2 / 4)])
        scale = found[-1] / expected[-1]
        assert found / scale == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize(
    ("sequence", "diamond"),
    [("ABCABABCABC", False), ("ABCABACABC", False), ("ABCABCACBACB", False), ("ABCABCACB", True)],
)
def test_layers_are_called_as_common_neighbor_analysis_calls_them(sequence, diamond):
    (one,) = defects.stacking(sequence, [0.0], 6, 1, diamond)
    assert len(np.unique(one.truth)) == 2
    np.testing.assert_array_equal(references.common_neighbor_analysis(one.system), one.truth)


def test_what_interstitials_touch_is_not_judged():
    (one,) = defects.interstitials("cI2-W", [0.01], [0.0], 1000, 1)
    assert 0.8 < one.judged.mean() < 0.95
    assert (references.template_matching(one.system, 0.1).label == "cI2-W")[one.judged].all()


@pytest.mark.parametrize("structure", ["cF4-Cu", "cI2-W", "cF8-C"])
def test_judged_particles_of_slabs_and_grains_are_whole(structure):
    (slab,) = defects.slab(structure, [0.0], 1000, 1)
    (grains,) = defects.grains(structure, 3, 12.0, [0.0], 1)
    for one in (slab, grains):
        assert 0.2 < one.judged.mean() < 0.95
        right = references.template_matching(one.system, 0.1).label == structure
        assert right[one.judged].mean() > 0.98


def test_fivefold_axes_have_no_name():
    (one,) = defects.nanoparticle("icosahedral", 5, [0.0], 1)
    inside = np.linalg.norm(one.system.positions, axis=1)[one.judged]
    truth = one.truth[one.judged]
    # the center and twelve axes, on which there is a particle in each shell
    assert (truth == UNNAMED).sum() == 1 + 12 * 3
    assert truth[inside.argmin()] == UNNAMED
    assert {"cF4-Cu", "hP2-Mg"} <= set(truth)


def test_boundary_is_relaxed_and_crystalline_beyond():
    (one,) = defects.boundary(
        "tight binding", "Cu", "cF4-Cu", thickness=2, depth=2, fractions=[0.0], steps=1, dt=0.05,
        seed=1,
    )  # fmt: skip
    labels = references.template_matching(one.system, 0.1).label
    assert (labels == "cF4-Cu")[one.judged].all()
    assert (labels != "cF4-Cu")[~one.judged].mean() > 0.2


def test_melted_crystals_are_left_out():
    how = {"form": "tight binding", "symbol": "Al", "structure": "cF4-Cu", "steps": 150, "dt": 0.05}
    warm = list(heated.element(**how, fractions=[0.0, 0.5, 6.0], n_particles=300, seed=1))
    assert [one.name for one in warm] == ["0 of melting", "0.5 of melting"]
    assert lengths(warm[0].system, 12).std() < 1e-3
    assert lengths(warm[1].system, 12).std() > 0.05


def test_crystal_and_liquid_side_by_side():
    frames = coexistence.coexistence(
        {"form": "pair", "expression": "x^-12", "cutoff": 2.2}, "cF4-Cu", "half", 1.0, (3.0, 600),
        (0.5, 50), 12, 0.005, 1000, 1,
    )  # fmt: skip
    for one in frames:
        labels = references.template_matching(one.system, 0.15).label
        solid, liquid = (one.judged & (one.truth == name) for name in ("cF4-Cu", DISORDERED))
        assert solid.mean() > 0.2
        assert liquid.mean() > 0.2
        assert (labels == "cF4-Cu")[solid].mean() > 0.9
        assert (labels == "cF4-Cu")[liquid].mean() < 0.1


def test_a_hot_crystal_is_not_taken_for_its_liquid():
    # heated so shortly that all is in its place, though bonds are bent: superheated, not molten
    frames = coexistence.coexistence(
        {"form": "Stillinger-Weber", "three_body": 23.15}, "cF8-C", "half", 0.452, (0.2, 60),
        (0.08, 20), 4, 0.02, 400, 1,
    )  # fmt: skip
    with pytest.raises(InputError, match=r"cF8-C has not melted, .* 0\.[01]\d of the shortest"):
        list(frames)


def test_water_has_the_structure_of_water():
    (one,) = fluids.water("tip3p", 300.0, 100, 300, 1, 1)
    assert lengths(one.system, 4).mean() == pytest.approx(0.285, abs=0.02)
    assert (one.truth == DISORDERED).all()


@pytest.mark.parametrize(("beads", "ring"), [(2, False), (6, True)])
def test_molecules_hold_together(beads, ring):
    one, _ = fluids.molecules(beads, ring, 0.0, 0.7, 1.0, 100, 240, 1)
    points, edge = one.system.positions.reshape(-1, beads, 3), one.system.box[0]
    steps = np.diff(np.concatenate([points, points[:, :1]], axis=1), axis=1)
    bonds = np.linalg.norm(steps - edge * np.round(steps / edge), axis=-1)
    assert (np.abs(bonds[:, : None if ring else -1] - 1) < 0.3).all()
    assert lengths(one.system, 1).min() > 0.75


# ---- scores ----


def measured(truth, labels, confidence=None, group="cells", judged=None, system="one", name="s"):
    truth = np.array(truth)
    n = len(truth)
    sample = Sample(
        name,
        System(np.zeros((n, 3)), np.array([9.0, 9, 9, 0, 0, 0]), np.zeros(n, int)),
        truth,
        np.ones(n, bool) if judged is None else np.array(judged),
    )
    score = np.zeros(n, np.float32) if confidence is None else np.array(confidence, np.float32)
    return Measured(group, system, sample, {"m": Labeling(np.array(labels), score)})


MODEL = Knowledge({"cF4-Cu": {"cF4-Cu"}, "cF8-ClNa": {"cP1-Po"}}, True)
OTHER = Knowledge({"cF4-Cu": {"cF4-Cu"}}, False)


def test_shares_of_a_crystal():
    one = measured(
        ["cF4-Cu"] * 6,
        ["cF4-Cu", UNKNOWN_NAME, DISORDERED, "hP2-Mg", "hP2-Mg", "hP2-Mg"],
        [0.99, 0.2, 0.6, 0.95, 0.7, 0.99],
        judged=[True] * 5 + [False],
    )
    score = scores.score([one], "m", MODEL)
    assert score[:6] == pytest.approx((0.2, 0.2, 0.2, 0.6, 0.6, 0.2))
    assert score.confidence == pytest.approx([0.99, 0.6, 0.95, 0.7])
    assert score.correct.tolist() == [True, False, False, False]


def test_a_particle_of_one_structure_is_not_right_by_the_name_of_another():
    knowledge = Knowledge({name: {name} for name in ("cF4-Cu", "hP2-Mg")}, True)
    twin = measured(["cF4-Cu", "hP2-Mg"], ["hP2-Mg", "hP2-Mg"])
    assert scores.score([twin], "m", knowledge).right == 0.5


def test_merged_classes_are_right():
    one = measured(["cF8-ClNa"], ["cP1-Po"])
    assert scores.score([one], "m", MODEL).right == 1
    info = ModelInfo(CoreConfig(), ("cF136-Si",))
    assert scores.model_knowledge(info, ["sII", "cF4-Cu"]).accepted == {"sII": {"cF136-Si"}}


def test_disorder_is_disordered_for_a_model_and_without_a_name_for_others():
    labels = [DISORDERED, UNKNOWN_NAME, "other", "icosahedral", "cF4-Cu"]
    one = measured([DISORDERED] * 5, labels, group=scores.DISORDER)
    assert scores.score([one], "m", MODEL).right == pytest.approx(0.2)
    assert scores.score([one], "m", OTHER).right == pytest.approx(0.8)
    assert scores.score([one], "m", MODEL).named == pytest.approx(0.2)


def test_an_axis_without_a_name_may_be_called_anything_but_a_crystal():
    labels = [DISORDERED, UNKNOWN_NAME, "other", "icosahedral", "cF4-Cu"]
    one = measured([UNNAMED] * 5, labels)
    for knowledge in (MODEL, OTHER):
        assert scores.score([one], "m", knowledge).right == pytest.approx(0.8)


def test_what_is_left_out_is_unknown_unless_a_model_knows_it():
    labels = [UNKNOWN_NAME, DISORDERED, "cF4-Cu"]
    strange = measured(["oP8-BFe"] * 3, labels, group=scores.LEFT_OUT)
    assert scores.score([strange], "m", MODEL).right == pytest.approx(1 / 3)
    familiar = measured(["cF4-Cu"] * 3, labels, group=scores.LEFT_OUT)
    assert scores.score([familiar], "m", MODEL).right == pytest.approx(1 / 3)
    assert scores.score([familiar], "m", MODEL).wrong == pytest.approx(1 / 3)
    assert not scores.knows(strange, OTHER)
    assert not scores.knows(strange._replace(group="cells"), MODEL)


def both(truth, ours, theirs, **how):
    one = measured(truth, ours, **how)
    return one._replace(
        labelings={"ours": one.labelings["m"], "theirs": measured(truth, theirs).labelings["m"]}
    )


def some_rows():
    parts = [
        # two frames of a sample
        both(["cF4-Cu"] * 2, ["cF4-Cu", UNKNOWN_NAME], ["cF4-Cu"] * 2, name="perfect"),
        both(["cF4-Cu"] * 2, ["cF4-Cu"] * 2, ["cF4-Cu"] * 2, name="perfect"),
        both(["cF8-ClNa"] * 2, ["cP1-Po"] * 2, ["other"] * 2, system="two"),
        both([DISORDERED] * 2, [DISORDERED, "cF4-Cu"], ["other"] * 2, group=scores.DISORDER),
        both(["oP8-BFe"], [UNKNOWN_NAME], ["other"], group=scores.LEFT_OUT),
        both(["cF4-Cu"], ["cF4-Cu"], ["other"], judged=[False], name="nothing judged"),
    ]
    return scores.score_all(parts, {"ours": MODEL, "theirs": OTHER})


def test_means_of_groups_are_over_what_others_know():
    means = {mean.group: mean for mean in scores.group_means(some_rows(), ["theirs"], ["ours"])}
    cells = means["cells"]
    assert (cells.samples, cells.comparable) == (2, 1)
    assert cells.right == pytest.approx({"theirs": 1.0, "ours": 0.75})
    assert cells.known == pytest.approx({"ours": 0.875})
    assert means[scores.DISORDER].right == pytest.approx({"theirs": 1.0, "ours": 0.5})
    assert means[scores.LEFT_OUT].right == {}
    assert means[scores.LEFT_OUT].known == {"ours": 1.0}


def test_samples_on_which_a_model_is_behind_are_listed():
    (late,) = scores.behind(some_rows(), ["theirs"], "ours")
    assert late["sample"] == "perfect"
    assert (late["right"], late["best"], late["method"]) == (0.75, 1.0, "theirs")


def test_targets_and_what_is_not_measured():
    rows = some_rows()
    found = scores.targets(rows, scores.group_means(rows, ["theirs"], ["ours"]), ["theirs"], "ours")
    by_name = {target.what: target for target in found}
    ahead = by_name["within 0.5 % of the best other method in every group"]
    assert (ahead.reached, ahead.value, ahead.where) == (False, -0.25, "cells")
    assert by_name["perfect crystals: right ≥ 99 %"].value == 0.75
    assert by_name["crystals of the list: right ≥ 98.5 %"].value == 0.875
    assert by_name["disorder: named ≤ 0.5 %"].value == 0.5
    assert by_name["left out: unknown ≥ 92 %"].reached
    assert by_name["copper at 3400 K: right ≥ 99.5 %"].reached is None


def test_what_labels_above_a_confidence_are_worth():
    fcc, hcp = "cF4-Cu", "hP2-Mg"
    parts = [
        measured([fcc] * 4, [fcc, fcc, hcp, UNKNOWN_NAME], [0.9995, 0.95, 0.95, 0.4], name="hot"),
        measured([fcc] * 2, [fcc, fcc], [0.995, 0.6], name="cold"),
        # disorder counts among labels, but is no crystal
        measured([DISORDERED] * 2, [hcp, DISORDERED], [0.9999] * 2, group=scores.DISORDER),
    ]
    rows = scores.score_all(parts, {"m": MODEL})
    half, sure, surer, surest = scores.levels(rows, "m")
    assert half == (0.5, 1.0, 5 / 7, 1, 2, 0.25)
    assert sure == (0.9, 6 / 7, 4 / 6, 1, 2, 0.25)
    assert surer == (0.99, 4 / 7, 3 / 4, 0, 2, 0.0)
    assert surest[1:3] == (3 / 7, 2 / 3)
    assert scores.levels(scores.score_all(parts, {"m": OTHER})[-1:], "m") == []


def test_best_cutoff_names_crystals_and_not_disorder():
    crystal_part = measured(["cF4-Cu"] * 10, ["cF4-Cu"] * 10)
    fluid_part = measured([DISORDERED] * 10, ["cF4-Cu"] * 10, group=scores.DISORDER)
    # one particle of the crystal is farther from its template than all of the fluid
    close, far = np.append(np.linspace(0.1, 0.19, 9), 0.28), np.linspace(0.205, 0.27, 10)
    parts = [
        part._replace(labelings={"PTM": Labeling(part.labelings["m"].label, rmsd)})
        for part, rmsd in ((crystal_part, close), (fluid_part, far))
    ]
    assert scores.best_cutoff(scores.cutoff_table(parts)) in (0.19, 0.2)


def test_ice_and_clathrates_by_chill_plus():
    for structure, name in (
        ("cF8-C", "cF8-C"), ("hP4-C.3", "hP4-C.3"), ("cP46-Si", labelers.HYDRATE),
    ):  # fmt: skip
        warm = displace(ideal.perfect(structure, 400), 0.02, np.random.default_rng(1))
        assert (labelers.chill_plus(warm) == name).mean() > 0.9


def test_labels_are_read_as_they_were_written(tmp_path):
    samples = [
        uniform("", ideal.perfect("cI2-W", n), "cI2-W")._replace(judged=np.array([]))
        for n in (100, 200)
    ]
    rng = np.random.default_rng(1)
    written = {
        name: [
            Labeling(rng.choice(["a", "longer"], len(one.truth)), rng.random(len(one.truth)))
            for one in samples
        ]
        for name in ("PTM", "CHILL+")
    }
    labelers.write_labels(tmp_path / "labels.npz", written)
    for name, parts in labelers.read_labels(tmp_path / "labels.npz", samples).items():
        for one, other in zip(written[name], parts, strict=True):
            np.testing.assert_array_equal(one.label, other.label)
            np.testing.assert_array_equal(one.score, other.score)


# ---- the study ----


@pytest.mark.parametrize("study", ["quality", "quality-smoke"])
def test_every_system_says_all_that_its_maker_needs(study):
    points = [one for one in studies.state_points(study) if one["kind"] == "quality_system"]
    names = [(one["group"], one["name"]) for one in points]
    assert len(set(names)) == len(names)
    for one in points:
        how = {key: value for key, value in one.items() if key not in operations.ABOUT}
        # fails where something is missing or unheard of
        inspect.signature(operations.maker(one["make"])).bind(**how)
        if "potential" in how:
            forces.interaction(how["potential"])
        for structure in [*how.get("structures", []), how.get("structure", "cF4-Cu")]:
            ideal.cell_of(structure)


def test_every_class_of_the_shipped_models_is_measured():
    cells = {
        one["structure"] for one in studies.state_points("quality") if one.get("group") == "cells"
    }
    for model in studies.load("quality")["quality"]["models"]:
        names = set(json.loads((MODELS / f"{model}.json").read_text())["class_names"])
        assert names - {DISORDERED} <= cells


def test_a_system_that_nobody_makes_is_named():
    with pytest.raises(InputError, match="no system is made by 'magic'; there are displaced"):
        operations.maker("magic")


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    folder = fresh_copy(tmp_path_factory.mktemp("quality") / "workflows")
    code, output = run(folder, "run", "--study", "quality-smoke")
    assert code == 0, output
    return folder, output


def test_smoke_study_from_start_to_end(smoke):
    folder, output = smoke
    summary = folder / "summary" / "quality-smoke"
    text = (summary / "quality.md").read_text()
    assert text in output
    assert "| structures-fast | 0.99 |" in text
    rows = {(row["system"], row["sample"]): row for row in read_table(summary / "samples.csv")}
    perfect = rows["cF4-Cu", "perfect"]
    assert float(perfect["PTM, 0.10"]) == 1
    assert float(perfect["structures-fast"]) == 1
    assert perfect["diamond"] == ""
    random = rows["random points", ""]
    shares = [
        float(random[f"structures-fast: {what}"]) for what in ("unknown", "disordered", "named")
    ]
    assert sum(shares) == pytest.approx(1, abs=1e-4)
    assert {row["group"] for row in read_table(summary / "groups.csv")} == {
        "cells", "defects", "disorder", "elements", "left out",
    }  # fmt: skip
    for group in ("cells", "disorder", "left-out"):
        check_colors(summary / f"{group}.png", ["tab:orange"], least=1e-5)
    assert len(read_table(summary / "targets.csv")) == 11
    code, output = run(folder, "run", "--study", "quality-smoke")
    assert code == 0
    assert "7 jobs, 7 finished" in output


def measure(folder, *arguments):
    command = [sys.executable, str(folder / "measure.py"), "--study", "quality-smoke", *arguments]
    done = subprocess.run(command, cwd=folder, text=True, capture_output=True)
    return done.returncode, done.stdout + done.stderr


def test_another_model_file_labels_systems_that_are_there(smoke, tmp_path):
    folder, _ = smoke
    new = tmp_path / "new.safetensors"
    shutil.copy(MODELS / "structures.safetensors", new)
    before = set(folder.glob("workspace/*/labels-*.npz"))
    models = ["--model", str(new), "--model", "structures-fast"]
    code, output = measure(folder, *models, "--output", str(tmp_path / "first"))
    assert code == 0, output
    added = set(folder.glob("workspace/*/labels-*.npz")) - before
    # by the new model alone: labels of the other are there
    assert len(added) == len(list(folder.glob("workspace/*/samples.gsd")))
    times = {path: path.stat().st_mtime_ns for path in added}
    second = ["--group", "cells", "--denoise", "1", "--output", str(tmp_path / "second")]
    code, output = measure(folder, *models, *second)
    assert code == 0, output
    assert {path: path.stat().st_mtime_ns for path in added} == times
    (group,) = read_table(tmp_path / "second" / "groups.csv")
    assert group["group"] == "cells"
    # with denoising as well, whose labels have files of their own
    assert float(group["new"]) > 0.99
    assert float(group["new, denoise 1"]) > 0.99
    assert "structures-fast, denoise 1" in group
    # of two systems by two models
    assert len(list(folder.glob("workspace/*/labels-*-1.npz"))) == 4


def test_bad_input_to_measure_gets_a_sentence(smoke, tmp_path):
    folder, _ = smoke
    output = ["--output", str(tmp_path / "none")]
    for arguments, sentence in (
        (["--model", "nonsense"], "no model is named 'nonsense'"),
        (["--model", "denoising"], "denoising has no classes"),
        (["--model", "structures", "--group", "nonsense"], "has made no such systems"),
        (["--model", "structures", "--study", "nonsense"], "there is no study 'nonsense'"),
    ):
        code, text = measure(folder, *arguments, *output)
        assert code == 2
        assert sentence in text
        assert "Traceback" not in text
    assert not (tmp_path / "none").exists()


def test_an_unfinished_study_is_measured_as_far_as_it_is(smoke, tmp_path):
    folder, _ = smoke
    name = scoreboard.CLASSICAL
    (one,) = [path for path in folder.glob(f"workspace/*/{name}") if b"points" in
              (path.parent / "signac_statepoint.json").read_bytes()]  # fmt: skip
    moved = one.rename(tmp_path / name)
    try:
        code, output = measure(
            folder, "--model", "structures-fast", "--output", str(tmp_path / "part")
        )  # fmt: skip
    finally:
        moved.rename(one)
    assert code == 0, output
    assert "disorder" not in {row["group"] for row in read_table(tmp_path / "part" / "groups.csv")}
