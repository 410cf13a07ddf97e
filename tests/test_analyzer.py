"""Labels against known structures, and the promises of the interface."""

import pickle
import subprocess
import sys
import warnings

import ase
import freud
import numpy as np
import pytest
import torch
from conftest import gas, needs_cuda

from hoomd_gala import embedding as module
from hoomd_gala.analyzer import Analyzer
from hoomd_gala.crystals.prototypes import crystal, displace, unit_cell
from hoomd_gala.errors import InputError
from hoomd_gala.files.models import Model, save_model
from hoomd_gala.files.trajectories import make_frame
from hoomd_gala.neighbors.device_arrays import device_system
from hoomd_gala.networks import CoreConfig, FrameClassifier
from hoomd_gala.results import Fractions, Result


@pytest.fixture(scope="module")
def analyzer(model_path):
    return Analyzer(model_path, device="cpu")


@pytest.mark.parametrize("name", ["cF4-Cu", "cI2-W"])
def test_crystals_get_their_names(analyzer, name):
    system = displace(crystal(unit_cell(name), 1000), 0.03, np.random.default_rng(7))
    result = analyzer.analyze(system)
    assert result.fractions[name] > 0.9
    assert result.label.dtype == np.int32
    assert result.confidence.dtype == result.embedding.dtype == np.float32
    assert result.embedding.shape == (len(system.positions), 16)
    assert (result.confidence >= 0).all()
    assert (result.confidence <= 1).all()


def test_a_gas_is_disordered(analyzer):
    result = analyzer.analyze(gas(800, np.random.default_rng(8)))
    assert result.fractions["disordered"] > 0.9


def test_fractions_cover_all_particles(analyzer, bcc):
    result = analyzer.analyze(bcc)
    assert sum(result.fractions.values()) == pytest.approx(1)
    assert list(result.fractions) == ["cF4-Cu", "cI2-W", "disordered", "unknown"]
    assert result.fractions["unknown"] == pytest.approx((result.label == -1).mean())


def test_every_form_of_input_gives_the_same_labels(analyzer, bcc):
    expected = analyzer.analyze(bcc.positions, bcc.box)
    atoms = ase.Atoms(f"W{len(bcc.positions)}", bcc.positions, cell=bcc.box[:3], pbc=True)
    for other in (
        analyzer.analyze(bcc),
        analyzer.analyze((bcc.box, bcc.positions)),
        analyzer.analyze((bcc.positions, bcc.box)),
        analyzer.analyze(bcc.box, bcc.positions),
        analyzer.analyze(bcc.positions, bcc.box[:3]),
        analyzer.analyze(bcc.positions, freud.box.Box(*bcc.box)),
        analyzer.analyze(bcc.positions, dict(zip(("Lx", "Ly", "Lz"), bcc.box, strict=False))),
        analyzer.analyze(atoms),
        analyzer.analyze(make_frame(bcc, 0)),
        analyzer.analyze(3.7 * bcc.positions, bcc.box * [3.7, 3.7, 3.7, 1, 1, 1]),
    ):
        assert (other.label == expected.label).mean() > 0.999
        np.testing.assert_allclose(other.confidence, expected.confidence, atol=1e-3)


def test_names_say_what_labels_mean():
    numbers = np.zeros(4, np.float32), np.zeros((4, 2), np.float32)
    label = np.array([1, -1, 0, -1], np.int32)
    result = Result(label, *numbers, ("cI2-W", "disordered"))
    assert result.names.tolist() == ["disordered", "unknown", "cI2-W", "unknown"]
    for name, fraction in result.fractions.items():
        assert (result.names == name).mean() == fraction
    # of a model without classes, and of nobody
    assert Result(np.full(4, -1, np.int32), *numbers, ()).names.tolist() == ["unknown"] * 4
    assert Result(label[:0], *numbers, ("a",)).names.shape == (0,)


def test_fractions_are_a_mapping_and_an_array():
    label = np.array([1, -1, 0, -1, 1, 1, -1, 1], np.int32)
    result = Result(label, np.zeros(8, np.float32), np.zeros((8, 2), np.float32), ("a", "b"))
    fractions = result.fractions
    assert fractions == {"a": 0.125, "b": 0.5, "unknown": 0.375}
    array = np.asarray(fractions)
    assert array.dtype == np.float64
    assert array.tolist() == [0.125, 0.5, 0.375]
    assert np.asarray(fractions, np.float32).dtype == np.float32
    assert (2 * np.ones(3) * fractions).tolist() == [0.25, 1, 0.75]
    assert pickle.loads(pickle.dumps(fractions)) == fractions
    assert type(pickle.loads(pickle.dumps(fractions))) is Fractions
    assert fractions.of() == 0.625
    assert fractions.of(["a", "unknown"]) == result.fraction(["a", "unknown"]) == 0.5
    with pytest.raises(InputError, match="no class 'c'; it knows a, b, unknown"):
        fractions.of("c")
    with pytest.raises(KeyError):
        fractions["c"]
    assert np.asarray(Fractions.of_labels(("a",), label[:0])).tolist() == [0, 0]


def test_positions_of_fractions_and_counts_are_deprecated():
    label = np.array([1, -1, 0, 1], np.int32)
    result = Result(label, np.zeros(4, np.float32), np.zeros((4, 2), np.float32), ("a", "b"))
    with pytest.warns(DeprecationWarning, match="Use a name"):
        assert result.fractions[1] == 0.5
    with pytest.warns(DeprecationWarning, match="Use a name"):
        assert result.fractions[:-1].tolist() == [0.25, 0.5]
    with pytest.warns(DeprecationWarning, match=r"np.asarray\(result.fractions\)"):
        assert result.counts.tolist() == [0.25, 0.5, 0.25]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert result.fractions["a"] == np.asarray(result.fractions)[0]


def test_types_beside_a_system_reach_a_typed_model(trained, bcc):
    core = CoreConfig(max_types=2, width=8, hidden=8, blocks=1)
    torch.manual_seed(1)
    info = trained.info.__class__(core, ("a", "b"))
    typed = Analyzer(Model(FrameClassifier(core, 2), info), "cpu")
    types = np.arange(len(bcc.positions)) % 2
    expected = typed.analyze(bcc.positions, bcc.box, types).embedding
    for system in ((bcc.box, bcc.positions), make_frame(bcc, 0)):
        found = typed.analyze(system, types=types).embedding
        np.testing.assert_allclose(found, expected, atol=1e-3)


def test_chunks_do_not_show(analyzer, bcc, monkeypatch):
    expected = analyzer.analyze(bcc)
    monkeypatch.setattr(module, "CHUNK", 100)
    chunked = analyzer.analyze(bcc)
    np.testing.assert_array_equal(chunked.label, expected.label)
    np.testing.assert_allclose(chunked.embedding, expected.embedding, atol=1e-5)


def test_low_confidence_is_unknown(trained, bcc, tmp_path):
    path = tmp_path / "strict.safetensors"
    info = trained.info.__class__(
        trained.info.core, trained.info.class_names, unknown_below=1.1, temperature=5.0
    )
    save_model(path, Model(trained.network, info))
    result = Analyzer(path).analyze(bcc)
    assert (result.label == -1).all()
    assert result.fractions["unknown"] == 1


def test_types_beyond_the_model_are_refused(trained, bcc, tmp_path):
    core = CoreConfig(max_types=2, width=8, hidden=8, blocks=1)
    path = tmp_path / "two.safetensors"
    info = trained.info.__class__(core, ("a", "b"))
    save_model(path, Model(FrameClassifier(core, 2), info))
    types = np.arange(len(bcc.positions)) % 3
    with pytest.raises(InputError, match="distinguishes 2 types and the system has types 0 to 2"):
        Analyzer(path).analyze(bcc.positions, bcc.box, types)
    assert len(Analyzer(path).analyze(bcc.positions, bcc.box, types % 2).label) == len(types)


def test_types_do_not_matter_to_a_blind_model(analyzer, bcc):
    types = np.arange(len(bcc.positions)) % 3
    blind = analyzer.analyze(bcc.positions, bcc.box, types)
    np.testing.assert_array_equal(blind.label, analyzer.analyze(bcc).label)


def test_nan_is_refused(analyzer, bcc):
    positions = bcc.positions.copy()
    positions[5] = np.nan
    with pytest.raises(InputError, match="first at index 5"):
        analyzer.analyze(positions, bcc.box)


def same(result, expected):
    assert (result.label == expected.label).mean() > 0.999
    np.testing.assert_allclose(result.confidence, expected.confidence, atol=1e-3)
    np.testing.assert_allclose(result.embedding, expected.embedding, atol=1e-3)
    assert result.label.dtype == np.int32
    assert result.class_names == expected.class_names


def on_device(analyzer, system):
    return analyzer.label(analyzer.embedder.embed_on_device(system))


def test_search_and_network_on_one_device(analyzer, bcc, monkeypatch):
    # what a GPU does, on the CPU
    expected = analyzer.analyze(bcc)
    monkeypatch.setattr(module, "CHUNK", 100)
    same(on_device(analyzer, bcc), expected)
    system = device_system(torch.as_tensor(bcc.positions), bcc.box)
    same(on_device(analyzer, system), expected)
    same(analyzer.analyze_system(system), expected)


@needs_cuda
def test_gpu_agrees_with_cpu(analyzer, model_path, bcc):
    expected = analyzer.analyze(bcc)
    on_gpu = Analyzer(model_path, device="cuda")
    same(on_gpu.analyze(bcc), expected)
    # positions that are on the GPU already, and a network that is not
    positions = torch.as_tensor(bcc.positions, device="cuda")
    same(on_gpu.analyze(positions, bcc.box), expected)
    same(analyzer.analyze(positions, bcc.box), expected)


@pytest.mark.parametrize(
    ("types", "message"),
    [(np.zeros(3, int), r"types have shape \(3,\)"), (np.zeros(1024), r"one integer for each")],
)
def test_bad_types_on_a_device_are_refused(bcc, types, message):
    with pytest.raises(InputError, match=message):
        device_system(torch.as_tensor(bcc.positions), bcc.box, types)


def test_types_beyond_the_model_are_refused_on_a_device(trained, bcc):
    core = CoreConfig(max_types=2, width=8, hidden=8, blocks=1)
    info = trained.info.__class__(core, ("a", "b"))
    types = np.arange(len(bcc.positions)) % 3
    system = device_system(torch.as_tensor(bcc.positions), bcc.box, types)
    with pytest.raises(InputError, match="the system has types 0 to 2"):
        on_device(Analyzer(Model(FrameClassifier(core, 2), info), "cpu"), system)


def test_core_and_command_line_import_no_engine():
    code = (
        "import sys, hoomd_gala.analyzer, hoomd_gala.cli, hoomd_gala.labeling\n"
        "loaded = {'hoomd', 'openmm', 'signac', 'flow', 'ovito', 'freud'} & set(sys.modules)\n"
        "sys.exit(str(loaded) if loaded else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_classifier_without_hoomd_says_how_to_get_it():
    code = (
        "import sys; sys.modules['hoomd'] = None\n"
        "import hoomd_gala; hoomd_gala.Analyzer\n"
        "try: hoomd_gala.Classifier\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "conda install -c conda-forge hoomd" in done.stdout
