"""Labels against known structures, and the promises of the interface."""

import pickle
import subprocess
import sys
import warnings

import ase
import ase.build
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
from hoomd_gala.neighbors.environments import nearest_neighbors
from hoomd_gala.networks import CoreConfig, FrameClassifier
from hoomd_gala.results import Fractions, Result
from hoomd_gala.systems import as_system, lattice_vectors, make_system


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


@pytest.mark.parametrize(
    ("name", "vectors"),
    [
        ("cF4-Cu", [[0, 1, 1], [1, 0, 1], [1, 1, 0]]),
        ("cI2-W", [[-1, 1, 1], [1, -1, 1], [1, 1, -1]]),
    ],
)
def test_primitive_cells_and_thin_supercells(analyzer, name, vectors):
    atoms = ase.Atoms("X", [[0.3, 0.1, 0.2]], cell=1.3 * np.array(vectors), pbc=True)
    for repeats in (1, 1, 1), (2, 1, 1), (5, 3, 1):
        system = as_system(atoms.repeat(repeats))
        # the last of the 20 neighbors are some of those equally far
        for result in (analyzer.analyze(system), on_device(analyzer, system)):
            assert result.names.tolist() == [name] * len(system.positions)


@pytest.mark.parametrize("flags", [(True, True, False), (True, False, False), (False,) * 3])
def test_surfaces_are_those_in_vacuum(analyzer, flags):
    sites = displace(crystal(unit_cell("cF4-Cu"), 1500), 0.03, np.random.default_rng(3))
    positions = make_frame(sites, 0).particles.position
    factors = [1 if flag else 3 for flag in flags]
    expected = analyzer.analyze(positions, sites.box * [*factors, 1, 1, 1])
    assert expected.fractions["cF4-Cu"] < 0.9 < analyzer.analyze(sites).fractions["cF4-Cu"]
    box = freud.box.Box(*sites.box)
    box.periodic = flags
    atoms = ase.Atoms(f"Cu{len(positions)}", positions, cell=sites.box[:3], pbc=flags)
    for found in (
        analyzer.analyze(positions, sites.box, periodic=flags),
        analyzer.analyze((box, positions)),
        analyzer.analyze(positions, box),
        analyzer.analyze(atoms),
        analyzer.analyze(sites._replace(positions=positions, periodic=flags)),
        analyzer.analyze(make_frame(sites._replace(positions=positions, periodic=flags), 0)),
        on_device(analyzer, device_system(torch.as_tensor(positions), box)),
    ):
        same(found, expected)
    # where a slab or a cluster is does not matter
    for shift in ([50, -70, 1e3], [-1e6, 1e6, 2e6]):
        away = positions + np.where(flags, 0, shift)
        same(analyzer.analyze(away, sites.box, periodic=flags), expected)
        same(on_device(analyzer, device_system(torch.as_tensor(away), box)), expected)
    if not any(flags):
        same(analyzer.analyze(positions, periodic=False), expected)


def test_clusters_may_be_turned(analyzer):
    rng = np.random.default_rng(2)
    cluster = ase.build.bulk("Fe", cubic=True).repeat(5).positions
    cluster += rng.normal(scale=1e-6, size=cluster.shape)  # see the notes of analyze
    expected = analyzer.analyze(cluster, periodic=False)
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    found = analyzer.analyze(cluster @ turn, periodic=False)
    np.testing.assert_array_equal(found.label, expected.label)
    np.testing.assert_allclose(found.confidence, expected.confidence, atol=1e-4)


@pytest.mark.parametrize("n", [21, 40])
def test_small_clusters_have_labels_and_smaller_ones_a_sentence(analyzer, n):
    cluster = np.random.default_rng(n).normal(size=(n, 3))
    assert len(analyzer.analyze(cluster, periodic=False).label) == n
    with pytest.raises(InputError, match="there are 20 particles without periodic boundaries"):
        analyzer.analyze(cluster[:20], periodic=False)


@pytest.fixture
def salted(bcc):
    """A frame of a bcc crystal of "A" with "B" anywhere between, in mixed order."""
    rng = np.random.default_rng(9)
    total = len(bcc.positions)
    other = rng.uniform(-0.5, 0.5, size=(total, 3)) * bcc.box[:3]
    order = rng.permutation(2 * total)
    positions = np.concatenate([bcc.positions, other])[order]
    return make_frame(make_system(positions, bcc.box, (order >= total) * 1), 0, ["A", "B"])


def test_neighbors_are_those_asked_for(analyzer, salted):
    kinds = salted.particles.typeid
    crystal_alone = np.flatnonzero(kinds == 0)
    plain = (salted.configuration.box, salted.particles.position)
    expected = analyzer.analyze(salted.particles.position[kinds == 0], plain[0])
    assert expected.fractions["cI2-W"] > 0.95
    # asked wrongly, it is nothing of the kind
    among_all = analyzer.analyze(salted, particles="A")
    assert among_all.fractions["cI2-W"] < 0.1
    everyone = analyzer.analyze(salted)
    np.testing.assert_array_equal(among_all.label, everyone.label[kinds == 0])
    for found in (
        analyzer.analyze(salted, neighbors="A"),
        analyzer.analyze(salted, particles=["A"], neighbors=("A",)),
        analyzer.analyze(salted, neighbors=kinds == 0),
        analyzer.analyze(salted, neighbors=crystal_alone),
        analyzer.analyze(salted, neighbors=crystal_alone[::-1].tolist()),
        analyzer.analyze(plain, neighbors=kinds == 0),
        analyzer.analyze(*plain[::-1], types=kinds, neighbors=crystal_alone),
    ):
        np.testing.assert_array_equal(found.label, expected.label)
        np.testing.assert_array_equal(found.confidence, expected.confidence)
    # in the order asked for, twice where asked for twice, without particles where there are none
    some = crystal_alone[[40, 7, 7, 300]]
    found = analyzer.analyze(salted, particles=some, neighbors="A")
    np.testing.assert_array_equal(found.label, expected.label[[40, 7, 7, 300]])
    assert found.fractions == Fractions.of_labels(found.class_names, found.label)
    for nobody in ([], np.zeros(len(kinds), bool)):
        assert analyzer.analyze(salted, particles=nobody).label.shape == (0,)
    same(
        analyzer.analyze(torch.as_tensor(plain[1]).numpy(), plain[0], neighbors=kinds == 0),
        expected,
    )


def test_the_search_is_over_neighbors_alone(analyzer, salted, monkeypatch):
    sizes = []
    build = module.PeriodicTree.build
    monkeypatch.setattr(
        module.PeriodicTree,
        "build",
        lambda points, box: sizes.append(len(points)) or build(points, box),
    )
    analyzer.analyze(salted, neighbors="A")
    assert sizes == [(salted.particles.typeid == 0).sum()]


def test_types_of_those_that_are_no_neighbors_do_not_matter(trained, salted):
    core = CoreConfig(max_types=2, width=8, hidden=8, blocks=1)
    info = trained.info.__class__(core, ("a", "b"))
    typed = Analyzer(Model(FrameClassifier(core, 2), info), "cpu")
    salted.particles.typeid = 2 * np.asarray(salted.particles.typeid)
    salted.particles.types = ["A", "", "B"]
    with pytest.raises(InputError, match="the system has types 0 to 2"):
        typed.analyze(salted)
    assert len(typed.analyze(salted, neighbors="A").label) == (salted.particles.typeid == 0).sum()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"particles": [3, 4096]}, "particles must be 0 to 2047, not 4096"),
        ({"neighbors": [-1]}, "neighbors must be 0 to 2047, not -1"),
        ({"particles": [True, False]}, "mask of 2 for 2048 particles"),
        ({"particles": 0.5}, "particles are of type float64"),
        ({"particles": [["A"]]}, "particles are made of list"),
        ({"neighbors": ["A", "C"]}, "neighbors are given by type and there is no type 'C'"),
        ({"particles": "B", "neighbors": "A"}, "1024 of the 1024 particles to label are not among"),
        ({"neighbors": []}, "none of the particles is a neighbor"),
    ],
)
def test_bad_choices_get_a_sentence(analyzer, salted, options, message):
    with pytest.raises(InputError, match=message) as caught:
        analyzer.analyze(salted, **options)
    assert "\n" not in str(caught.value)


def test_names_need_a_system_that_has_them(analyzer, bcc):
    with pytest.raises(InputError, match="types of this system have no names; give indices"):
        analyzer.analyze(bcc, particles="A")


def test_ice_is_what_its_oxygens_are():
    rng = np.random.default_rng(0)
    sites = crystal(unit_cell("hP4-C.3"), 400)
    oxygen = 2.76 * sites.positions + rng.normal(scale=0.1, size=sites.positions.shape)
    box = sites.box * [2.76, 2.76, 2.76, 1, 1, 1]
    bonds = nearest_neighbors(oxygen, box, 4).bonds
    # two hydrogens of each oxygen, on bonds to its neighbors
    hydrogen = np.concatenate(
        [oxygen + 0.96 * b / np.linalg.norm(b, axis=1)[:, None] for b in bonds.swapaxes(0, 1)[:2]]
    )
    kinds = np.repeat([8, 1], [len(oxygen), len(hydrogen)])
    cell = lattice_vectors(box)
    ice = ase.Atoms(kinds, np.concatenate([oxygen, hydrogen]), cell=cell, pbc=True)
    shipped = Analyzer("structures", "cpu")
    blind = shipped.analyze(ice).fractions
    assert blind["unknown"] + blind["disordered"] > 0.9
    result = shipped.analyze(ice, neighbors="O")
    assert result.fractions["hP4-C.3"] == 1
    assert len(result.label) == len(oxygen)


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
        trained.info.core, trained.info.class_names, unknown_below=1.0, temperature=50.0
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


@pytest.mark.parametrize("box", [[3.0, 3, 3, 0, 0, 0], [3.0, 3, 3], np.eye(3) * 3])
def test_three_particles_are_no_box(model_path, box):
    positions = np.random.default_rng(1).uniform(-1.5, 1.5, (3, 3))
    result = Analyzer(model_path).analyze(positions, box)
    many = np.concatenate([positions + shift for shift in ([0, 0, 0], [3, 0, 0])])
    expected = Analyzer(model_path).analyze(many, [6.0, 3, 3, 0, 0, 0])
    np.testing.assert_allclose(result.embedding, expected.embedding[:3], atol=1e-4)
