"""The embedding of several scales: what it is made of, and that only structure changes it."""

import gsd.hoomd
import numpy as np
import pytest
import torch
from conftest import gas, melting
from scipy.spatial.transform import Rotation

from hoomd_gala.analyzer import Analyzer
from hoomd_gala.cli import main
from hoomd_gala.files import make_frame
from hoomd_gala.files.models import Model, ModelInfo, load_model, save_model
from hoomd_gala.neighbors import nearest_neighbors
from hoomd_gala.networks import CoreConfig, MultiscaleEmbedder
from hoomd_gala.sampling import sample_cells
from hoomd_gala.systems import System, make_system


@pytest.fixture
def analyzer(multiscale_path):
    return Analyzer(multiscale_path, "cpu")


@pytest.fixture
def sample(rng):
    return melting(600, rng)


def test_it_has_the_environment_and_both_rings(analyzer, sample):
    found = analyzer.analyze_system(sample)
    assert found.embedding.shape == (len(sample.positions), 16 + 12 + 12)
    assert found.embedding.dtype == np.float32
    assert (found.label == -1).all()
    network = analyzer.model.network
    own, neighbors = (torch.as_tensor(x) for x in analyzer.embed_system(sample))
    near = neighbors.long()
    first = network.context(own, own[near])
    second = network.wider(first, first[near])
    expected = (torch.cat((own, first, second), -1) - network.center) / network.spread
    np.testing.assert_allclose(found.embedding, expected.numpy(), atol=1e-5)
    some = np.array([7, 3, 100])
    few = analyzer.analyze_system(sample, some).embedding
    np.testing.assert_allclose(few, found.embedding[some], atol=1e-5)


def test_turning_renumbering_and_rescaling_change_nothing(analyzer):
    ball = System(
        np.random.default_rng(1).normal(size=(300, 3)) * 3, np.array([80.0] * 3 + [0] * 3), None
    )
    ball = make_system(ball.positions, ball.box)
    before = analyzer.analyze_system(ball).embedding
    turn, order = Rotation.from_rotvec([1, 2, 3]).as_matrix(), np.random.default_rng(2).permutation
    order = order(300)
    after = analyzer.analyze(7.3 * (ball.positions @ turn.T)[order], 7.3 * ball.box).embedding
    np.testing.assert_allclose(after, before[order], atol=2e-3)


def test_compiled_kernels_and_plain_torch_agree(multiscale_path, sample):
    expected = Analyzer(multiscale_path, "cpu", kernels="reference").analyze_system(sample)
    found = Analyzer(multiscale_path, "cpu").analyze_system(sample)
    np.testing.assert_allclose(found.embedding, expected.embedding, atol=1e-3)


def test_what_is_known_of_the_neighbors_is_enough(analyzer, sample):
    """As over MPI ranks: embeddings, then each ring around those that need it."""
    expected = analyzer.analyze_system(sample).embedding
    values, neighbors = analyzer.embed_system(sample)
    everyone = np.arange(len(values))
    seen = [values]
    for ring in analyzer.embedder.rings:
        seen.append(analyzer.surround_known(ring, seen[-1], neighbors, everyone))
    np.testing.assert_allclose(analyzer.label_known(*seen).embedding, expected, atol=1e-5)
    assert analyzer.unknown(5).embedding.shape == (5, 40)


def test_standardized_numbers_have_mean_0_and_variance_1():
    network = MultiscaleEmbedder(CoreConfig(width=4, hidden=4, blocks=1), 3, 1)
    features = torch.randn(500, 7) * torch.arange(7.0) + torch.arange(7.0)
    network.standardize(features)
    found = network.combine(features[:, :4], features[:, 4:])
    torch.testing.assert_close(found.mean(0), torch.zeros(7), atol=1e-5, rtol=0)
    # the first number is the same everywhere
    torch.testing.assert_close(found.std(0)[1:], torch.ones(6))
    assert (found[:, 0] == 0).all()


def test_files_hold_it(multiscale_path, tmp_path):
    model = load_model(multiscale_path)
    assert model.info.embedding_size == 40
    assert model.info.class_names == ()
    again = tmp_path / "again.safetensors"
    save_model(again, model)
    for key, tensor in load_model(again).network.state_dict().items():
        assert torch.equal(tensor, model.network.state_dict()[key])
    core = CoreConfig(width=8, hidden=8, blocks=1)
    with pytest.raises(ValueError, match="rings of neighbors have no numbers"):
        ModelInfo(core, (), task="embedding")
    assert ModelInfo(core, (), task="denoising").embedding_size == 8


def test_trajectories_get_it_and_no_names(multiscale_path, sample, rng, tmp_path, capsys):
    source, target = tmp_path / "run.gsd", tmp_path / "embedded.gsd"
    with gsd.hoomd.open(source, "w") as file:
        for step, system in enumerate((sample, gas(300, rng))):
            file.append(make_frame(system, step))
    assert main(["label", str(source), str(target), "--model", str(multiscale_path)]) == 0
    assert "names no structures" in capsys.readouterr().err
    with gsd.hoomd.open(target) as file:
        found = file[1].log["particles/hoomd_gala/Classifier/embedding"]
    assert found.shape == (300, 40)
    assert np.isfinite(found).all()
    map_file = tmp_path / "map.png"
    command = ["plot", "embedding", "--gsd", str(target), "--output", str(map_file)]
    assert main(command) == 0
    assert main(["models", str(multiscale_path)]) == 0
    assert "embeddings of 40 numbers, of several scales" in capsys.readouterr().out


def test_maps_of_unit_cells_show_all_of_it(analyzer):
    (one,) = sample_cells(analyzer, ["cI2-W"], [0.03], 20)
    assert one.embedding.shape == (20, 40)


def test_neighbors_of_neighbors_reach_it(analyzer, sample):
    """A particle that moves changes those embeddings whose first or second ring it is in."""
    before = analyzer.analyze_system(sample).embedding
    moved = sample.positions.copy()
    moved[0] += 1e-3
    after = analyzer.analyze_system(sample._replace(positions=moved)).embedding
    changed = np.flatnonzero(np.abs(after - before).max(axis=1) > 1e-6)
    near = nearest_neighbors(sample.positions, sample.box).neighbors
    sees = (near == 0).any(axis=1)
    for _ in range(2):
        sees |= sees[near].any(axis=1)
    sees[0] = True
    assert set(changed) <= set(np.flatnonzero(sees | sees[near].any(axis=1)))
    assert len(changed) > 21


def test_a_network_without_rings_is_refused(multiscale_path, tmp_path):
    network = MultiscaleEmbedder(CoreConfig(width=8, hidden=8, blocks=1), 4, 1)
    info = ModelInfo(CoreConfig(width=8, hidden=8, blocks=1), (), task="embedding", context=4)
    save_model(tmp_path / "one.safetensors", Model(network, info))
    assert load_model(tmp_path / "one.safetensors").info.embedding_size == 12
