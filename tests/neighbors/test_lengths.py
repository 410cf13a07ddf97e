"""Lengths: models say what they take them in units of, and see what they learned from."""

import json

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from hoomd_gala.analyzer import Analyzer
from hoomd_gala.cli import main
from hoomd_gala.crystals.prototypes import crystal, displace, unit_cell
from hoomd_gala.errors import InputError
from hoomd_gala.files.models import Model, ModelInfo, load_model, save_model, shipped_models
from hoomd_gala.learning.datasets import parse_range, trajectory_frames
from hoomd_gala.learning.few_shot import Labeled, few_shot
from hoomd_gala.learning.tasks import TASKS
from hoomd_gala.neighbors.environments import nearest_neighbors, shortest_distance
from hoomd_gala.networks import CoreConfig, make_network
from hoomd_gala.systems import make_system


def resized(system, factor):
    box = system.box.copy()
    box[:3] *= factor
    return make_system(factor * system.positions, box, system.types)


def same(result, expected):
    scale = np.abs(expected.embedding).max()
    np.testing.assert_allclose(result.embedding, expected.embedding, atol=1e-4 * scale)
    assert (result.label == expected.label).mean() > 0.999
    np.testing.assert_allclose(result.confidence, expected.confidence, atol=1e-3)


@pytest.mark.parametrize("name", shipped_models())
def test_no_shipped_model_depends_on_the_unit_of_length(name, bcc):
    analyzer = Analyzer(name, "cpu")
    expected = analyzer.analyze(bcc)
    some = np.arange(0, len(bcc.positions), 50)
    for factor in (1.15, 3):
        other = resized(bcc, factor)
        same(analyzer.analyze(other), expected)
        same(analyzer.label(analyzer.embedder.embed_on_device(other)), expected)
        chosen = analyzer.analyze_system(other, some)
        atol = 1e-4 * np.abs(expected.embedding).max()
        np.testing.assert_allclose(chosen.embedding, expected.embedding[some], atol=atol)


@pytest.mark.parametrize("name", TASKS)
def test_task_models_see_what_they_learned_from(name):
    # cells are in units of their shortest distance there, before they are displaced
    model = load_model(name)
    assert model.info.length_convention == "shortest"
    info = model.info.__class__(
        **{**vars(model.info), "length_convention": "absolute", "length_scale": 1.0}
    )
    for structure in ("cF4-Cu", "cF8-C", "cP1-Po"):
        # just enough to make the twentieth neighbor the same in both
        perfect = displace(crystal(unit_cell(structure), 500), 1e-3, np.random.default_rng(1))
        found = Analyzer(model, "cpu").analyze(resized(perfect, 2.7)).embedding
        expected = Analyzer(Model(model.network, info), "cpu").analyze(perfect).embedding
        assert np.linalg.norm(found - expected) < 0.01 * np.linalg.norm(expected)


@pytest.mark.parametrize("noise", [0, 0.01, 0.05, 0.1])
@pytest.mark.parametrize("name", ["cF4-Cu", "cI2-W", "cP1-Po", "cF8-C", "hP2-Mg"])
def test_shortest_distance_of_displaced_crystals(name, noise, rng):
    system = displace(crystal(unit_cell(name), 1000), noise, rng)
    lengths = np.linalg.norm(nearest_neighbors(system.positions, system.box).bonds, axis=-1)
    found = shortest_distance(lengths)
    assert found == pytest.approx(1, abs=0.002 + 1.5 * noise)
    assert shortest_distance(lengths * 7) == pytest.approx(7 * found)
    assert shortest_distance(lengths[rng.permutation(len(lengths))]) == pytest.approx(found)


def test_shortest_distance_of_particles_in_the_same_place():
    lengths = np.array([[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 2.0]])
    assert shortest_distance(lengths) == pytest.approx(1)
    assert shortest_distance(np.zeros((30, 20))) > 0


def test_particles_stored_twice_say_nothing():
    # both ends of a periodic box, in single precision: a copy 4e-7 away
    edge = np.arange(9) * np.float32(1.2734)
    grid = np.stack(np.meshgrid(edge, edge, edge), -1).reshape(-1, 3).astype(float)
    length = 8 * 1.2734
    found = nearest_neighbors(grid - length / 2, [length] * 3)
    distances = np.linalg.norm(found.bonds, axis=-1)
    assert 0 < distances.min() < 1e-6
    assert shortest_distance(distances) == pytest.approx(1.2734, rel=0.01)


def rewrite(path, target, **changes):
    """A copy of a model file with another description; None leaves a key out."""
    with safe_open(path, framework="pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        description = json.loads(file.metadata()["hoomd_gala"])
    description = {k: v for k, v in (description | changes).items() if v is not None}
    save_file(tensors, target, metadata={"hoomd_gala": json.dumps(description)})
    return target


OLD = {"format": None, "length_convention": None, "n_neighbors": None, "withheld": None}


def test_files_say_what_they_are(embedding_model_path):
    with safe_open(embedding_model_path, framework="pt") as file:
        description = json.loads(file.metadata()["hoomd_gala"])
    assert description["format"] == 3
    assert description["length_convention"] == "mean"
    assert description["n_neighbors"] == 20


@pytest.mark.parametrize(("scale", "convention"), [(None, "mean"), (1.5, "absolute")])
def test_files_of_the_first_format_are_what_they_were(
    embedding_model_path, tmp_path, bcc, scale, convention
):
    path = rewrite(embedding_model_path, tmp_path / "old.safetensors", **OLD, length_scale=scale)
    model = load_model(path)
    assert model.info.length_convention == convention
    assert model.info.length_scale == scale
    small, large = (Analyzer(path).analyze(resized(bcc, f)).embedding for f in (1, 3))
    assert np.allclose(small, large, atol=1e-4) == (scale is None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 4}, "its format is 4, and this version reads up to 3"),
        ({"format": 2, "knows_unknown": True}, "how familiar particles are"),
        ({"n_neighbors": 16}, "it takes 16 neighbors, not 20"),
        ({"length_convention": "longest"}, "'longest' is none of mean, shortest, absolute"),
        ({"length_convention": "shortest"}, "shortest with length scale None"),
        ({"length_scale": 1.0}, "mean with length scale 1.0"),
        ({"withheld": ["nothing"]}, "not all among its classes"),
    ],
)
def test_files_that_do_not_fit_are_refused(embedding_model_path, tmp_path, changes, message):
    path = rewrite(embedding_model_path, tmp_path / "other.safetensors", **changes)
    with pytest.raises(InputError, match=message):
        load_model(path)


def seen(model, system):
    """Mean length of the bonds that reach the network."""
    bonds = nearest_neighbors(system.positions, system.box).bonds
    lengths = np.linalg.norm(bonds, axis=-1)
    unit = model.info.length(lambda: shortest_distance(lengths))
    return lengths.mean() / (2 * unit)


def test_few_shot_shows_the_core_bonds_as_long_as_it_learned_from(bcc):
    source = load_model("denoising")
    crystals = [bcc, displace(crystal(unit_cell("cF8-C"), 500), 0.03, np.random.default_rng(1))]
    labeled = [
        Labeled(resized(system, 2.4), np.arange(0, 200, 10), np.full(20, k))
        for k, system in enumerate(crystals)
    ]
    made = few_shot(source, labeled, ["bcc", "diamond"], 1)
    assert made.info.length_convention == "shortest"
    for system in crystals:
        learned = np.linalg.norm(
            nearest_neighbors(system.positions, system.box).bonds, axis=-1
        ).mean()
        assert seen(made, resized(system, 2.4)) == pytest.approx(learned / 2, rel=0.05)
    expected = Analyzer(made, "cpu").analyze(crystals[1])
    same(Analyzer(made, "cpu").analyze(resized(crystals[1], 3)), expected)


def test_finetune_shows_the_core_bonds_as_long_as_it_learned_from(trajectory_path, tmp_path, bcc):
    source = tmp_path / "source.safetensors"
    core = CoreConfig(width=8, hidden=8, blocks=1)
    torch.manual_seed(1)
    for convention, scale in (("shortest", 1.0), ("absolute", 1.7), ("mean", None)):
        info = ModelInfo(core, (), scale, task="denoising", length_convention=convention)
        save_model(source, Model(make_network("denoising", core), info))
        for data in (["--gsd", str(trajectory_path)], ["--cells", "cI2-W", "--noise", "0.03"]):
            target = tmp_path / f"{convention}{data[0]}.safetensors"
            command = ["finetune", str(source), "--task", "denoising", "--output", str(target)]
            assert main([*command, *data, "--environments", "60", "--epochs", "1"]) == 0
            made = load_model(target)
            wanted = seen(made, bcc) if made.info.length_scale else None
            if convention == "shortest":
                assert made.info.length_convention == "shortest"
                assert wanted == pytest.approx(seen(load_model("denoising"), bcc), rel=0.01)
            elif convention == "absolute":  # its core learned from bonds of mean length 1/2
                assert wanted == pytest.approx(0.5, rel=0.05)
            else:
                assert made.info.length_convention == "mean"


def test_trajectories_in_units_of_the_shortest_distance(trajectory_path, rng):
    sources = [parse_range(f"{trajectory_path}@0")]
    plain, _ = trajectory_frames(sources, 100, np.random.default_rng(1))
    scaled, _ = trajectory_frames(sources, 100, np.random.default_rng(1), rescale=True)
    ratio = np.linalg.norm(plain.bonds, axis=-1) / np.linalg.norm(scaled.bonds, axis=-1)
    np.testing.assert_allclose(ratio, ratio[0, 0])
    assert ratio[0, 0] == pytest.approx(1, rel=0.05)


def test_withheld_classes_are_unknown(trained, bcc):
    info = trained.info.__class__(**{**vars(trained.info), "withheld": ("cI2-W",)})
    whole = Analyzer(trained, "cpu").analyze(bcc)
    assert whole.fractions["cI2-W"] > 0.9
    analyzer = Analyzer(Model(trained.network, info), "cpu")
    for result in (analyzer.analyze(bcc), analyzer.label(analyzer.embedder.embed_on_device(bcc))):
        assert result.fractions["cI2-W"] == 0
        np.testing.assert_array_equal(result.label[whole.label == 1], -1)
        assert result.confidence[whole.label == 1].mean() < 0.2
        np.testing.assert_array_equal(result.label[whole.label != 1], whole.label[whole.label != 1])


@pytest.mark.parametrize("name", ["structures", "structures-fast"])
@pytest.mark.parametrize("clathrate", ["cP46-Si", "cF136-Si"])
def test_both_clathrates_have_their_names(name, clathrate):
    system = displace(crystal(unit_cell(clathrate), 1000), 0.03, np.random.default_rng(1))
    assert Analyzer(name, "cpu").analyze(system).fractions[clathrate] > 0.98
