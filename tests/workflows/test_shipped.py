"""How the shipped model learns: local environments, samples, merging, and context."""

import numpy as np
import pytest
import torch
from conftest import gas
from pictures import pixels
from study.training import classes, distill, held_out, kinds, samples, shipped, surroundings

from hoomd_gala.analyzer import Analyzer
from hoomd_gala.crystals.prototypes import crystal, displace, unit_cell
from hoomd_gala.decision import decide
from hoomd_gala.files.atomic import read_table
from hoomd_gala.files.models import Model, ModelInfo, load_model, save_model
from hoomd_gala.files.trajectories import make_frame
from hoomd_gala.neighbors.environments import nearest_neighbors
from hoomd_gala.networks import CoreConfig, Familiarity, FrameClassifier, make_network

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
    found = kinds.find_kinds(SMALL[:-1], 1, np.random.default_rng(1))
    assert found.cells.count("cI2-W") == 1
    assert "cP2-ClCs" not in found.cells
    np.testing.assert_array_equal(found.labels["cP2-ClCs"], [found.labels["cI2-W"][0]] * 2)
    assert found.left_out == ("cP1-Po",)
    assert (found.labels["cP1-Po"] == found.other).all()


def test_hot_crystals_keep_their_labels_and_lose_them_at_the_surface(few_cells):
    rng = np.random.default_rng(4)
    found = kinds.find_kinds(SMALL, 0, rng)
    whole = samples.hot_crystal("cP8-Cr3Si", found, 0.05, False, rng)
    chromium, silicon = (found.cells.index("cP8-Cr3Si") + i for i in (0, 1))
    assert sorted(np.bincount(whole.types)[[chromium, silicon]] / len(whole.types)) == [0.25, 0.75]
    ball = samples.hot_crystal("cI2-W", found, 0.02, True, rng)
    radius = np.linalg.norm(ball.positions, axis=1)
    inside, outside = ball.types == found.labels["cI2-W"][0], ball.types == found.disordered
    assert inside.sum() > 50
    assert outside.sum() > 50
    assert (ball.types == kinds.IGNORED).sum() > 50
    assert radius[inside].max() < radius[outside].min() + 1
    assert set(samples.take_each(ball, 5, rng).labels) == set(ball.types) - {kinds.IGNORED}


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
    inputs = torch.as_tensor(embedding), torch.as_tensor(embedding[neighbors])
    logits = network.name(*inputs)
    label, confidence = decide(logits, model.info, network.familiarity(network.hidden(*inputs)))
    np.testing.assert_array_equal(result.label, label.numpy())
    np.testing.assert_allclose(result.confidence, confidence.numpy(), atol=1e-6)
    # two particles with the same surroundings but other neighbors of neighbors differ
    assert not torch.allclose(
        logits, network.name(torch.as_tensor(embedding), torch.zeros(1, 20, 16))
    )


def test_labels_with_context_follow_the_particles_when_permuted(bcc):
    analyzer = Analyzer(context_model(), "cpu")
    result = analyzer.analyze_system(bcc)
    order = np.random.default_rng(1).permutation(len(bcc.positions))
    permuted = analyzer.analyze(bcc.positions[order], bcc.box)
    np.testing.assert_allclose(permuted.confidence, result.confidence[order], atol=1e-5)


def test_environments_unlike_training_data_are_unfamiliar():
    rng = np.random.default_rng(6)
    torch.manual_seed(1)
    # two classes, long and thin in the same direction, one hidden unit that never changes
    shape = np.diag([5.0, 0.1, 0.1, 0.0])
    centers = np.array([[0, 0, 0, 1], [0, 4, 0, 1]])
    labels = rng.integers(2, size=4000)
    hidden = torch.as_tensor(centers[labels] + rng.normal(size=(4000, 4)) @ shape).float()
    familiarity = Familiarity(3, 4)
    pair = hidden, torch.as_tensor(labels)
    surroundings.learn_familiarity(familiarity, pair, pair)
    known = familiarity(hidden)
    assert (known > 0.5).float().mean() == pytest.approx(surroundings.FAMILIAR, abs=0.002)
    # far along the direction in which the classes spread is near, across it is far
    probes = torch.tensor([[5.0, 0, 0, 1], [0, 2.0, 0, 1], [0, 0, 1.0, 1], [0, 4.0, 0, 3.0]])
    near, *far = familiarity(probes).tolist()
    assert near > 0.9
    assert max(far) < 0.1
    # the unknown has what the classes lose
    info = context_model(2).info
    logits = torch.tensor([[3.0, 0, 0]])
    assert decide(logits, info, torch.tensor([1.0]))[0].item() == 0
    label, confidence = decide(logits, info, torch.tensor([0.3]))
    assert label.item() == -1
    assert confidence.item() == pytest.approx(0.3 * decide(logits, info)[1].item())


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


def test_a_small_model_learns_in_two_stages(few_cells, tmp_path, monkeypatch):
    # so little training leaves more confusion than the shipped model has
    monkeypatch.setattr(shipped, "MERGE_ABOVE", 0.45)
    rng = np.random.default_rng(5)
    import gsd.hoomd

    with gsd.hoomd.open(tmp_path / "gas.gsd", "w") as file:
        for step in range(6):
            file.append(make_frame(gas(700, rng), step))
    torch.manual_seed(1)
    core = make_network("denoising", shipped.CORE)
    source = tmp_path / "denoising.safetensors"
    save_model(source, Model(core, ModelInfo(shipped.CORE, (), task="denoising")))
    parameters = {
        "source": str(source),
        "common": ["cF4-Cu", "cI2-W", "cF8-C", "hP4-C.3", "hP2-Mg"],
        "named": [],
        "n_left_out": 1,
        "n_others": 3,
        "noise": {"common": 0.06, "named": 0.05, "other": 0.05},
        "site_samples": {"common": 30, "named": 6, "other": 2},
        "site_environments": {"common": 20, "named": 20, "other": 10},
        "site_epochs": 12,
        "label_samples": {"common": 8, "named": 2, "other": 1},
        "label_epochs": 6,
        "n_stacks": 4,
        "seed": 1,
    }
    shipped.learn_sites(tmp_path, parameters, [tmp_path / "gas.gsd"])
    shipped.learn_labels(tmp_path, parameters, [tmp_path / "gas.gsd"])
    model = load_model(tmp_path / "structures.safetensors")
    assert model.info.class_names[-1] == "disordered"
    analyzer = Analyzer(model, "cpu")
    for name in ("cF4-Cu", "cI2-W", "cF8-C"):
        hot = displace(crystal(unit_cell(name), 500), 0.04, rng)
        fractions = analyzer.analyze_system(hot).fractions
        # so little training leaves some of them unknown, but gives none another name as often
        assert fractions[name] > 0.3
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
    distill.learn_sites(tmp_path, parameters, [tmp_path / "gas.gsd"])
    distill.learn_labels(tmp_path, parameters, [tmp_path / "gas.gsd"])
    fast = Analyzer(tmp_path / "structures-fast.safetensors", "cpu")
    assert fast.class_names == analyzer.class_names
    assert fast.model.info.core.hidden < model.info.core.hidden
    hot = displace(crystal(unit_cell("cF4-Cu"), 500), 0.03, rng)
    same = fast.analyze_system(hot).label == analyzer.analyze_system(hot).label
    assert same.mean() > 0.7
