"""How the shipped model learns: local environments, samples, merging, and context."""

import numpy as np
import pytest
import torch
from conftest import gas
from pictures import pixels
from study.training import (
    classes,
    disorder,
    held_out,
    kinds,
    lattices,
    patchwork,
    samples,
    shipped,
    twins,
)
from study.training.labels import add_prior, learn_labels

from hoomd_gala.analyzer import Analyzer
from hoomd_gala.crystals import tilings
from hoomd_gala.crystals.prototypes import UnitCell, crystal, deform, displace, unit_cell
from hoomd_gala.crystals.sites import EQUIVALENT
from hoomd_gala.decision import decide
from hoomd_gala.errors import InputError
from hoomd_gala.files.atomic import read_table
from hoomd_gala.files.models import Model, ModelInfo, load_model, save_model
from hoomd_gala.files.trajectories import make_frame
from hoomd_gala.neighbors.environments import nearest_neighbors
from hoomd_gala.networks import CoreConfig, FrameClassifier

SMALL = (
    "cF4-Cu",
    "hP2-Mg",
    "hP4-La",
    "cI2-W",
    "cP2-ClCs",
    "cF8-C",
    "hP4-C.3",
    "cP8-Cr3Si",
    "cP1-Po",
)


@pytest.fixture
def few_cells(monkeypatch):
    """A database of nine unit cells."""
    cells = {name: unit_cell(name) for name in SMALL}
    monkeypatch.setattr(kinds, "unit_cells", lambda: cells)


def test_same_sites_of_different_cells_are_one_kind(few_cells):
    found = kinds.find_kinds(SMALL[:-1], ["cP1-Po"])
    assert found.cells.count("cI2-W") == 1
    assert "cP2-ClCs" not in found.cells
    np.testing.assert_array_equal(found.labels["cP2-ClCs"], [found.labels["cI2-W"][0]] * 2)
    assert found.left_out == ("cP1-Po",)
    assert (found.labels["cP1-Po"] == found.other).all()
    with pytest.raises(InputError, match="cP2-ClCs cannot be left out"):
        kinds.find_kinds(["cI2-W", "cF4-Cu"], ["cP2-ClCs"])


def test_a_distorted_lattice_has_the_name_of_what_it_is_a_distortion_of(monkeypatch):
    names = ("cF4-Cu", "cI2-W", "cP1-Po", "tI2-Pa", "tI2-In", "hR1-Po", "hP2-Mg")
    cells = {name: unit_cell(name) for name in names}
    monkeypatch.setattr(kinds, "unit_cells", lambda: cells)
    found = kinds.find_kinds(names, [])
    assert found.labels["tI2-Pa"].tolist() == found.labels["cI2-W"].tolist()
    assert set(found.labels["tI2-In"]) == set(found.labels["cF4-Cu"])
    # by 12.5 % from simple cubic
    assert "hR1-Po" in found.cells


def test_layers_of_stackings_have_the_names_of_common_neighbor_analysis(monkeypatch):
    packed, diamond = ("cF4-Cu", "hP2-Mg"), ("cF8-C", "hP4-C.3")
    names = (*packed, *diamond, "hP4-La", "hR3-Sm", "hR10-CSi", "hR5-Bi2Te3")
    cells = {name: unit_cell(name) for name in names}
    monkeypatch.setattr(kinds, "unit_cells", lambda: cells)
    found = kinds.find_kinds([*packed, *diamond, "hP4-La"], [])
    # nothing but the four kinds of layers has a label of its own
    assert found.cells == (*packed, *diamond)
    cubic, hexagonal, *of_diamond = range(4)
    assert np.bincount(found.labels["hP4-La"]).tolist() == [2, 2]
    assert np.bincount(found.labels["hR3-Sm"]).tolist() == [3, 6]
    assert set(found.labels["hR10-CSi"]) == set(of_diamond)
    # the topology of fcc, stretched until nothing else of it is left
    assert set(found.labels["hR5-Bi2Te3"]) == {found.other}
    # a cell of no database that is a stacking: the layers of samarium, compressed a little
    samarium = deform(unit_cell("hR3-Sm").system, np.diag([1, 1, 0.99]))
    cell = UnitCell("found", 1, samarium)
    known = kinds.known_sites(found)
    layers = kinds.label_sites(cell, found, known, kinds.known_lattices(found))
    assert layers.tolist() == found.labels["hR3-Sm"].tolist()
    assert {cubic, hexagonal} == set(layers)


def test_a_random_cell_that_is_a_strained_lattice_is_no_example_of_the_unnamed(few_cells):
    found = kinds.find_kinds(SMALL, [])
    known, lattices_known = kinds.known_sites(found), kinds.known_lattices(found)
    cubic = unit_cell("cI2-W")

    def labels(c_over_a):
        box = cubic.system.box * [1, 1, c_over_a, 1, 1, 1]
        positions = cubic.system.positions * [1, 1, c_over_a]
        cell = cubic._replace(system=cubic.system._replace(box=box, positions=positions))
        return set(kinds.label_sites(cell, found, known, lattices_known).tolist())

    assert labels(0.85) == set(found.labels["cI2-W"].tolist())
    # nearer to bcc than 0.2, farther than 0.12, and not as near to anything else
    assert labels(0.74) == {kinds.IGNORED}
    assert labels(0.55) == {found.other}


def test_tilings_without_a_name_are_examples_of_that(few_cells):
    found = kinds.find_kinds(SMALL, [])
    known = kinds.known_sites(found)
    phase = tilings.rows_of_tiles([False, False], "Z phase")
    assert kinds.IGNORED in kinds.label_sites(phase, found, known, {})
    strict = kinds.label_sites(phase, found, known, {}, similar=EQUIVALENT)
    assert set(strict.tolist()) == {found.other}


def test_cold_crystals_are_small_and_almost_without_displacements(few_cells):
    found = kinds.find_kinds(SMALL, [])
    plan = samples.Plan(found, ["cI2-W"], {}, [], [], [])
    made = list(samples.cold(plan, 1, np.random.default_rng(1)))
    # six of bcc, and one of each other cell with a name
    assert len(made) == 6 + len(set(found.cells)) - 1
    for sample in made[:6]:
        assert len(sample.positions) < 200
        lengths = np.linalg.norm(nearest_neighbors(sample.positions, sample.box).bonds, axis=-1)
        assert np.ptp(lengths, axis=0).max() < 0.2


def test_hot_crystals_with_names_are_near_the_highest_displacement(few_cells):
    found = kinds.find_kinds(SMALL, [])
    plan = samples.Plan(found, ["cI2-W"], {"named": 0.1}, [], [], [])
    made = list(samples.hot(plan, 1, np.random.default_rng(1)))
    assert len(made) == len(plan.named)
    for sample in made:
        assert not {found.other, found.disordered} & set(sample.types)
        # particles that strain alone would leave alike differ in the distances of their neighbors
        lengths = np.linalg.norm(nearest_neighbors(sample.positions, sample.box).bonds, axis=-1)
        alike = sample.types == sample.types[0]
        # all but the nearest, which may have been pushed apart
        assert lengths[alike, 3:].std(axis=0).min() > 0.025


def test_strain_between_lattices_is_that_of_the_best_choice_of_vectors():
    cubic, tetragonal = np.eye(3), np.diag([1.0, 1.0, 1.21])
    assert lattices.strain_between(cubic, tetragonal) == pytest.approx(0.1)
    sheared = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 1.0]])  # of the same cubic lattice
    assert lattices.strain_between(cubic, 3 * sheared) == pytest.approx(0, abs=1e-9)
    # along the Bain path, c/a from 1 to the square root of 2
    bcc, fcc = (lattices.primitive_vectors(unit_cell(name)) for name in ("cI2-W", "cF4-Cu"))
    assert lattices.strain_between(bcc, fcc) == pytest.approx(2**0.25 - 1, abs=1e-3)
    # two particles per primitive cell, or eight of two lattices
    assert lattices.primitive_vectors(unit_cell("hP2-Mg")) is None
    assert lattices.primitive_vectors(unit_cell("cF8-C")) is None


def test_hot_crystals_keep_their_labels(few_cells):
    rng = np.random.default_rng(4)
    found = kinds.find_kinds(SMALL, [])
    whole = samples.hot_crystal("cP8-Cr3Si", found, 0.05, 0.05, rng, defects=0)
    chromium, silicon = (found.cells.index("cP8-Cr3Si") + i for i in (0, 1))
    assert sorted(np.bincount(whole.types)[[chromium, silicon]] / len(whole.types)) == [0.25, 0.75]
    # without displacements, every particle is where the strained lattice has it
    spreads = []
    for _ in range(10):
        still = samples.hot_crystal("cI2-W", found, 0.0, 0.1, rng, defects=0)
        lengths = np.linalg.norm(nearest_neighbors(still.positions, still.box).bonds, axis=-1)
        assert np.ptp(lengths, axis=0).max() < 1e-5
        spreads.append(np.ptp(lengths[0][:8]))
    assert 0.05 < max(spreads) < 0.25
    assert len(set(samples.take_each(whole, 5, rng).labels)) == 2


def test_point_defects_change_what_is_beside_them_only(few_cells):
    rng = np.random.default_rng(8)
    found = kinds.find_kinds(SMALL, [])
    whole = samples.hot_crystal("cF4-Cu", found, 0.0, 0.0, rng, defects=0)
    holes = samples.with_vacancies(whole, rng)
    assert 0.93 < len(holes.positions) / len(whole.positions) < 1
    assert (holes.types == found.labels["cF4-Cu"][0]).all()
    more = samples.with_interstitials(whole, rng)
    added = len(more.positions) - len(whole.positions)
    assert added >= 1
    ignored = (more.types == kinds.IGNORED).sum()
    assert added < ignored <= 9 * added
    closest = nearest_neighbors(more.positions, more.box, n=1).bonds
    assert np.linalg.norm(closest, axis=-1).min() > 0.6


def test_strain_and_displacement_are_drawn_from_zero_to_the_largest():
    rng = np.random.default_rng(3)
    stretches = [np.linalg.svd(samples.random_stretch(0.1, rng))[1] for _ in range(400)]
    strains = np.abs(np.array(stretches) - 1).max(axis=1)
    assert (strains < 1e-12).mean() == pytest.approx(0.2, abs=0.06)
    assert 0.09 < strains.max() < 0.1 + 1e-9
    amounts = np.array([samples.random_amount(0.13, rng) for _ in range(400)])
    assert (amounts == 0).mean() == pytest.approx(0.1, abs=0.05)
    assert 0.12 < amounts.max() < 0.13


def test_pieces_keep_their_labels_inside_and_lose_them_where_they_end(few_cells):
    rng = np.random.default_rng(2)
    found = kinds.find_kinds(SMALL, [])
    fcc = int(found.labels["cF4-Cu"][0])
    crystal_piece = crystal(unit_cell("cF4-Cu"), 500)
    piece = patchwork.Piece(
        crystal_piece._replace(types=np.full(len(crystal_piece.positions), fcc)), 12
    )
    edge = 14.0
    # a slab and vacuum, whose faces are halfway between the centers
    centers = np.array([[7.0, 7, 3.5], [7, 7, 10.5]])
    slab = patchwork.fill([piece, None], centers, edge, kinds.IGNORED, 99, rng).system
    inside = np.abs(slab.positions + edge / 2 - centers[0])
    # of the faces along z, and of those where the slab meets an image of itself
    depth = np.min([3.5, 7, 7] - inside[:, [2, 0, 1]], axis=1)
    assert depth.min() > -1e-6
    assert (slab.types[depth > 1.5] == fcc).all()
    surface = (inside[:, 2] > 3.2) & (inside[:, :2] < 5).all(axis=1)
    assert (slab.types[surface] != fcc).all()
    assert (slab.types == 99).any()
    assert (slab.types == kinds.IGNORED).any()
    # two grains: no two particles are too close, and what is inside is whole
    grains = patchwork.fill([piece, piece], centers, edge, kinds.IGNORED, 99, rng).system
    bonds = nearest_neighbors(grains.positions, grains.box, n=1).bonds
    assert np.linalg.norm(bonds, axis=-1).min() >= patchwork.TOO_CLOSE
    assert (grains.types == fcc).mean() > 0.4


def test_twinned_particles_are_labeled_as_common_neighbor_analysis_does():
    rng = np.random.default_rng(1)
    for _ in range(6):
        particle = twins.twinned_particle(1, 2, 3, 4, rng)
        labels, counts = np.unique(particle.types, return_counts=True)
        found = dict(zip(labels.tolist(), counts.tolist(), strict=True))
        # of an icosahedron, twelve axes and the center; of a decahedron, one axis
        axis = particle.types == 3
        assert found[2] > found[3] > 2
        # axes go through the center
        middle = np.linalg.norm(particle.positions[axis], axis=1).min()
        assert middle < 0.6
        assert found[4] >= 12


def test_disorder_is_of_all_kinds_and_not_solid(tmp_path, monkeypatch):
    monkeypatch.setattr(disorder, "N_STEPS", 80)
    monkeypatch.setattr(disorder, "N_PARTICLES", 216)
    for kind in disorder.KINDS:
        path = tmp_path / f"{kind}.gsd"
        disorder.write(path, kind, 3)
        systems = disorder.read(path)
        assert len(systems) == disorder.N_FRAMES
        for system in systems:
            assert np.isfinite(system.positions).all()
            assert (system.types == 1).mean() > 0.9
    # what has the order of a crystal is no example
    for name in ("cF4-Cu", "cI2-W", "cF8-C", "hP4-C.3"):
        hot = displace(crystal(unit_cell(name), 500), 0.04, np.random.default_rng(1))
        assert disorder.solid_like(hot).mean() > 0.9, name
    assert disorder.solid_like(gas(2000, np.random.default_rng(1))).mean() < 0.01


def test_three_body_energy_is_the_sum_over_triplets():
    rng = np.random.default_rng(5)
    positions = torch.as_tensor(rng.uniform(0, 3.2, (12, 3)))
    pairs = torch.combinations(torch.arange(12))
    bonds = positions[pairs[:, 1]] - positions[pairs[:, 0]]
    found = disorder._three_body(bonds, pairs[:, 0], pairs[:, 1], 12)
    expected = 0.0
    for i in range(12):
        for j in range(12):
            for k in range(j + 1, 12):
                if i not in (j, k):
                    a, b = positions[j] - positions[i], positions[k] - positions[i]
                    r, s = a.norm(), b.norm()
                    if max(r, s) < 1.8:
                        decay = torch.exp(1.2 / (r - 1.8) + 1.2 / (s - 1.8))
                        expected += decay * (a @ b / r / s + 1 / 3) ** 2
    assert float(found) == pytest.approx(float(expected), rel=1e-6)


def test_particles_are_pushed_apart_and_stay_where_they_belong():
    rng = np.random.default_rng(7)
    perfect = crystal(unit_cell("cF4-Cu"), 500)
    hot = displace(perfect, 0.08, rng)
    pushed = samples.push_apart(hot, 0.85)

    def closest(system):
        bonds = nearest_neighbors(system.positions, system.box, n=1).bonds
        return np.linalg.norm(bonds, axis=-1).min()

    assert closest(hot) < 0.7
    assert closest(pushed) > 0.8
    assert np.linalg.norm(pushed.positions - perfect.positions, axis=1).max() < 0.45
    np.testing.assert_array_equal(samples.push_apart(perfect, 0.9).positions, perfect.positions)


def test_merging_joins_what_is_confused_and_nothing_else():
    confusion = np.array(
        [
            [0.60, 0.40, 0.00, 0.00],
            [0.30, 0.70, 0.00, 0.00],
            [0.00, 0.00, 0.95, 0.05],
            [0.00, 0.10, 0.10, 0.80],
        ]
    )
    np.testing.assert_array_equal(classes.merge(confusion, 0.25), [0, 0, 2, 3])
    np.testing.assert_array_equal(classes.merge(confusion, 0.05), [0, 0, 2, 2])
    np.testing.assert_array_equal(classes.merge(confusion, 0.5), [0, 1, 2, 3])


def test_classes_are_named_for_the_first_cell_and_list_the_others():
    labels = {"a": np.array([0]), "b": np.array([0, 1]), "c": np.array([2]), "d": np.array([3])}
    three = kinds.Kinds(("a", "b", "c"), labels, ())
    found = classes.make_classes(three, np.array([0, 1, 0]))
    assert found.names == ("a", "b", "disordered")
    # three kinds, a crystal without a name, disorder
    assert found.of_label.tolist() == [0, 1, 0, 3, 2]
    assert found.members == {"a": ["a", "b", "c"]}


def test_cells_most_of_whose_environments_another_has_are_that_structure():
    labels = {
        "a": np.array([0, 1]),
        # two thirds of a's environments, and one of its own
        "b": np.array([0, 0, 1, 1, 2, 2]),
        # half of a's
        "c": np.array([1, 3]),
        # what is like b's own environment goes with it
        "d": np.array([4, 5]),
    }
    found = kinds.Kinds(("a", "a", "b", "c", "d", "d"), labels, ())
    separate = np.arange(6)
    np.testing.assert_array_equal(classes.whole_cells(separate, found), [0, 1, 0, 3, 4, 5])
    alike = np.array([0, 1, 2, 3, 2, 5])
    np.testing.assert_array_equal(classes.whole_cells(alike, found), [0, 1, 0, 3, 0, 5])


def test_groups_are_named_for_what_is_common_in_them():
    group = np.array([0, 1, 0, 3, 1, 0])
    named = classes.common_first(group, list("abcdef"), ["f", "c", "b"])
    np.testing.assert_array_equal(named, [2, 1, 2, 3, 1, 2])
    # otherwise for the first
    np.testing.assert_array_equal(classes.common_first(group, list("abcdef"), []), group)


def context_model(n_classes=3) -> Model:
    """A network with random weights that looks at its neighbors."""
    torch.manual_seed(1)
    core = CoreConfig(width=16, hidden=16, blocks=1, tied=True)
    names = tuple(f"class {i}" for i in range(n_classes))
    info = ModelInfo(core, names, context=8, knows_unknown=True)
    return Model(info.make_network().eval().requires_grad_(False), info)


def test_models_with_context_look_at_the_embeddings_of_the_neighbors(bcc, tmp_path):
    model = context_model()
    save_model(tmp_path / "context.safetensors", model)
    assert load_model(tmp_path / "context.safetensors").info == model.info
    analyzer = Analyzer(tmp_path / "context.safetensors", "cpu")
    result = analyzer.analyze_system(bcc)
    embedding, neighbors = analyzer.embed_system(bcc)
    np.testing.assert_array_equal(embedding, result.embedding)
    network = model.network
    assert isinstance(network, FrameClassifier)
    everyone = torch.as_tensor(embedding)
    rings = network.surround(everyone, torch.as_tensor(neighbors).long())
    logits = network.name(everyone, *rings)
    label, confidence = decide(logits, model.info)
    np.testing.assert_array_equal(result.label, label.numpy())
    np.testing.assert_allclose(result.confidence, confidence.numpy(), atol=1e-6)
    # two particles with the same embedding but other neighbors differ
    assert not torch.allclose(logits, network.name(everyone, torch.zeros_like(rings[0])))


def test_labels_with_context_follow_the_particles_when_permuted(bcc):
    analyzer = Analyzer(context_model(), "cpu")
    result = analyzer.analyze_system(bcc)
    order = np.random.default_rng(1).permutation(len(bcc.positions))
    permuted = analyzer.analyze(bcc.positions[order], bcc.box)
    np.testing.assert_allclose(permuted.confidence, result.confidence[order], atol=1e-5)


def test_left_out_cells_and_last_frames_are_written(tmp_path):
    import gsd.hoomd

    left_out = kinds.Kinds((), {}, ("cI2-W", "cF4-Cu"))
    held_out.write_left_out(tmp_path / "left.gsd", left_out, 1)
    with gsd.hoomd.open(tmp_path / "left.gsd") as file:
        assert len(file) == 2
        assert file[0].particles.N >= 600
    with gsd.hoomd.open(tmp_path / "all.gsd", "w") as file:
        for step in range(5):
            file.append(make_frame(gas(50, np.random.default_rng(1)), step))
    held_out.copy_last_frames(tmp_path / "last.gsd", tmp_path / "all.gsd", 2)
    with gsd.hoomd.open(tmp_path / "last.gsd") as file:
        assert [frame.configuration.step for frame in file] == [3, 4]


def test_a_prior_multiplies_odds():
    torch.manual_seed(3)
    names = ("a", "cI2-W", "b", "disordered")
    network = FrameClassifier(CoreConfig(width=8, hidden=8), len(names) + 1, disordered=3)

    def chances():
        with torch.no_grad():
            return torch.softmax(network.name(torch.ones(1, 8)), -1)[0]

    before = chances()
    add_prior(network, names, {"cI2-W": 2.0, "unknown": 0.7, "disordered": -0.5, "cF4-Cu": 9.0})
    after = chances()
    odds = (after / before) / (after[0] / before[0])
    np.testing.assert_allclose(odds[[1, 2, 4]].log(), [2, 0, 0.7], atol=1e-5)
    disorder = torch.logit(after[3]) - torch.logit(before[3])
    assert float(disorder) == pytest.approx(-0.5, abs=1e-5)


def test_a_small_model_learns_in_two_stages(few_cells, tmp_path, monkeypatch):
    # so little training leaves more confusion than the shipped model has
    monkeypatch.setattr("study.training.labels.MERGE_ABOVE", 0.45)
    monkeypatch.setattr(disorder, "N_STEPS", 240)
    monkeypatch.setattr(disorder, "N_PARTICLES", 300)
    monkeypatch.setattr(samples, "N_PATCHWORK", 700)
    monkeypatch.setattr(samples, "N_BULK", 250)
    rng = np.random.default_rng(5)
    made = [("mixture", tmp_path / "1.gsd"), ("network", tmp_path / "2.gsd")]
    for seed, (kind, path) in enumerate(made):
        disorder.write(path, kind, seed)
    parameters = {
        "common": ["cF4-Cu", "cI2-W", "cF8-C", "hP4-C.3", "hP2-Mg"],
        "named": [],
        "left_out": ["cP8-Cr3Si"],
        "n_random": 2,
        "n_tiles": 1,
        "noise": {"common": 0.06, "named": 0.05, "other": 0.05},
        "site_environments": dict.fromkeys(samples.PARTS, 20),
        "site_epochs": 9,
        "label_epochs": 6,
        "seed": 1,
    }
    shipped.write_cells_to_learn(tmp_path, parameters)
    plan = shipped.read_plan(tmp_path, parameters, made)
    files = {}
    amounts = {"common": 12, "named": 4, "cold": 1, "rest": 3, "patchworks": 6, "disordered": 2}
    for part, n in amounts.items():
        files[part] = tmp_path / f"{part}.npz"
        samples.write(files[part], samples.PARTS[part](plan, n, rng), part)
    shipped.learn_sites(tmp_path, parameters, files)
    shipped.learn_sites(tmp_path, parameters, files, shipped.FAST)
    learn_labels(tmp_path, parameters, files, files)
    model = load_model(tmp_path / "structures.safetensors")
    assert model.info.class_names[-1] == "disordered"
    analyzer = Analyzer(model, "cpu")
    for name in ("cF4-Cu", "cI2-W", "cF8-C"):
        hot = displace(crystal(unit_cell(name), 500), 0.04, rng)
        fractions = analyzer.analyze_system(hot).fractions
        # so little training leaves some of them unknown, but gives none another name as often
        assert fractions[name] > 0.5
        assert fractions[name] == max(fractions[other] for other in analyzer.class_names)
    assert analyzer.analyze_system(gas(700, rng)).fractions["disordered"] > 0.8
    for stage in ("site", "label"):
        curve = read_table(tmp_path / f"{stage}s_learning_curve.csv")
        assert len(curve) == parameters[f"{stage}_epochs"]
        assert float(curve[-1]["training_loss"]) < float(curve[0]["training_loss"])
        pixels(tmp_path / f"{stage}s_learning_curve.png")
    confusion = read_table(tmp_path / "confusion.csv")
    of_itself = [float(row["share"]) for row in confusion if row["kind"] == row["taken for"]]
    assert np.mean(of_itself) > 0.5

    # the smaller network says what the larger one does
    fast = Analyzer(tmp_path / "structures-fast.safetensors", "cpu")
    assert fast.class_names == analyzer.class_names
    assert fast.model.info.core.hidden < model.info.core.hidden
    hot = displace(crystal(unit_cell("cF4-Cu"), 500), 0.03, rng)
    same = fast.analyze_system(hot).label == analyzer.analyze_system(hot).label
    assert same.mean() > 0.7
