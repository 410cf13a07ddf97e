"""Marks, fixtures and helpers that the tests share."""

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import gsd.hoomd
import numpy as np
import pytest
import torch
from unrun import (  # noqa: F401 (hooks of pytest)
    pytest_make_collect_report,
    pytest_runtest_makereport,
    pytest_terminal_summary,
)

from hoomd_gala.crystals.prototypes import crystal, displace, unit_cell
from hoomd_gala.embedding import SystemEmbedder
from hoomd_gala.files.models import Model, ModelInfo, save_model
from hoomd_gala.files.trajectories import make_frame
from hoomd_gala.learning import datasets
from hoomd_gala.learning.fitting import fit
from hoomd_gala.learning.training import TrainingConfig
from hoomd_gala.networks import (
    CoreConfig,
    Denoiser,
    FrameClassifier,
    Network,
    inherit,
    make_network,
)
from hoomd_gala.systems import System, make_system

HAS_HOOMD = importlib.util.find_spec("hoomd") is not None

#: Mark of tests that run a real HOOMD-blue.
needs_hoomd = pytest.mark.skipif(not HAS_HOOMD, reason="HOOMD-blue is not installed")


#: Mark of tests that run on a GPU.
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU")

if not torch.cuda.is_available():
    # kernels for GPUs then run in the interpreter; Triton looks when it is imported
    os.environ["TRITON_INTERPRET"] = "1"

# networks are small here, and a second thread only waits for the first
torch.set_num_threads(1)


#: Folders and modules whose tests need other programs: simulation engines, OVITO, MPI, a shell.
INTEGRATION = (
    "cli",
    "integrations",
    "workflows",
    "test_examples.py",
    "test_homes.py",
    "test_installed.py",
    "test_long_runs.py",
    "test_manual.py",
    "test_package.py",
    "test_unrun.py",
)

#: Modules and tests that take more than a few seconds, as measured with --durations=0. Single tests
#: outside of these are marked where they are.
SLOW = {
    "files/test_damaged_gsd.py::test_files_damaged_by_chance_end_in_sentences",
    "integrations/test_hoomd.py::test_death_by_signal_costs_the_frame_in_progress_at_most",
    "integrations/test_hoomd_hpmc.py",
    "integrations/test_mpi.py",
    "learning/test_tasks.py::test_every_task_is_learned_better_than_without_a_network",
    "neighbors/test_environments.py::test_more_coincident_particles_than_neighbors_among_others",
    "networks/kernels/test_triton_kernels.py",
    # compiles the kernels for another processor
    "networks/test_inference.py::test_processors_without_matrix_units_do_the_same",
    # the first map by UMAP compiles for ten seconds
    "plotting/test_plots.py",
    "test_examples.py",
    "test_homes.py",
    "test_installed.py",
    "test_long_runs.py",
    "test_resuming.py::test_kills_at_any_time_change_nothing",
    "test_unrun.py",
    "workflows/test_grains.py::test_frames_of_a_neighborhood_distinguish_grains_that_one_frame_does_not",
    "workflows/test_identification.py",
    "workflows/test_paper.py",
    "workflows/test_quality.py::test_pair_potential_is_heated_until_it_melts",
    "workflows/test_quality_study.py::test_an_unfinished_study_is_measured_as_far_as_it_is",
    "workflows/test_quality_study.py::test_another_model_file_labels_systems_that_are_there",
    "workflows/test_quality_study.py::test_bad_input_to_measure_gets_a_sentence",
    "workflows/test_quality_study.py::test_crystal_and_liquid_side_by_side",
    "workflows/test_quality_study.py::test_smoke_study_from_start_to_end",
    "workflows/test_quality_study.py::test_water_has_the_structure_of_water",
    "workflows/test_quality.py::test_quality_of_the_shipped_model_from_start_to_end",
    "workflows/test_scan.py",
    "workflows/test_shipped.py::test_a_small_model_learns_in_two_stages",
    "workflows/test_workflow.py",
}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Mark each test as ``unit`` or ``integration``, by where it is, and the ``slow`` ones.

    Of several processes (``pytest -n``), one should not run the longest modules in the end, while
    the others have nothing left: those of the workflow come first there.
    """
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: "workflows" not in item.path.parts)
    for item in items:
        path = item.path.relative_to(Path(__file__).parent)
        item.add_marker("integration" if path.parts[0] in INTEGRATION else "unit")
        if not SLOW.isdisjoint({str(path), f"{path}::{getattr(item, 'originalname', item.name)}"}):
            item.add_marker("slow")


def gas(n: int, rng: np.random.Generator) -> System:
    """Random positions in a triclinic box."""
    box = np.array([10.0, 11.0, 12.0, 0.1, -0.2, 0.3])
    return make_system(rng.uniform(-5, 5, size=(n, 3)), box)


def melting(n: int, rng: np.random.Generator) -> System:
    """A bcc crystal whose particles are displaced the more the higher they are."""
    system = crystal(unit_cell("cI2-W"), n)
    height = system.positions[:, 2:] / system.box[2] + 0.5
    return make_system(
        system.positions + 0.3 * height * rng.normal(size=(len(height), 3)), system.box
    )


@pytest.fixture(scope="session")
def trained() -> Model:
    """A small network that distinguishes fcc, bcc and a random gas, trained in seconds."""
    rng = np.random.default_rng(1)
    names = ["cF4-Cu", "cI2-W"]
    frames = datasets.join(
        [
            datasets.crystal_frames(names, [0.02, 0.05], 200, 2, rng, n_particles=1000),
            datasets.take(gas(800, rng), 2, 400, rng),
        ]
    )
    core = CoreConfig(width=16, hidden=16, blocks=1, tied=True)
    config = TrainingConfig(epochs=12, batch_size=32)
    model, curve = fit(
        "frame-classification", frames, [*names, "disordered"], core, config, unknown_below=0.4
    )
    assert curve[-1]["validation_accuracy"] > 0.9
    return model


@pytest.fixture(scope="session")
def model_path(trained: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small network as a file."""
    path = tmp_path_factory.mktemp("models") / "small.safetensors"
    save_model(path, trained)
    return path


def varied(info: ModelInfo, source: Network | None, sample: System) -> Model:
    """A model that asks for order, whose head is random and whose labels of a sample vary."""
    torch.manual_seed(6)
    network = info.make_network().eval().requires_grad_(False)
    assert isinstance(network, FrameClassifier)
    if source is not None:
        inherit(network, source)
    model = Model(network, info)
    found = SystemEmbedder(model, torch.device("cpu")).embed(sample)
    values, neighbors = found.everyone, found.neighbors.long()

    def spread(layer: torch.nn.Module, inputs: torch.Tensor, width: float) -> None:
        """Let the outputs of a linear layer vary by a width around 0."""
        assert isinstance(layer, torch.nn.Linear)
        layer.bias.zero_()
        layer.weight.mul_(width / layer(inputs).std(0)[:, None])
        layer.bias.sub_(layer(inputs).mean(0))

    seen = [values]
    for ring in network.rings:
        spread(ring.own, values, 1)
        spread(ring.other, values, 1)
        values = ring(values, values[neighbors])
        seen.append(values)
    spread(network.classify[0], torch.cat(seen, -1), 1)
    hidden = network.hidden(*seen)
    spread(network.classify[-1], hidden, 3)
    network.classify[-1].bias[info.class_names.index("disordered")] -= 4
    return model


@pytest.fixture(scope="session")
def two_rings(trained: Model) -> Model:
    """A model that looks at two rings and asks for order; its head is random, but labels vary."""
    names = ("a", "b", "disordered", "c")
    info = ModelInfo(
        trained.info.core, names, context=12, knows_unknown=True, rings=2, asks_order=True
    )
    return varied(info, trained.network, melting(800, np.random.default_rng(9)))


@pytest.fixture(scope="session")
def related() -> Model:
    """A model of random weights that sees which particles are of one type; its labels vary."""
    core = CoreConfig(4, width=16, hidden=16, blocks=1, tied=True, relations=True)
    names = ("a", "b", "disordered", "c")
    info = ModelInfo(core, names, context=12, knows_unknown=True, rings=2, asks_order=True)
    rng = np.random.default_rng(9)
    sample = melting(800, rng)
    return varied(info, None, sample._replace(types=rng.integers(0, 3, len(sample.positions))))


@pytest.fixture(scope="session")
def related_path(related: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """It as a file."""
    path = tmp_path_factory.mktemp("models") / "related.safetensors"
    save_model(path, related)
    return path


@pytest.fixture(scope="session")
def two_rings_path(two_rings: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """It as a file."""
    path = tmp_path_factory.mktemp("models") / "two-rings.safetensors"
    save_model(path, two_rings)
    return path


@pytest.fixture(scope="session")
def embedding_model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file without classes, of random weights."""
    path = tmp_path_factory.mktemp("models") / "embedding.safetensors"
    core = CoreConfig(width=8, hidden=8, blocks=1, tied=True)
    torch.manual_seed(1)
    info = ModelInfo(core, (), task="denoising")
    save_model(path, Model(make_network("denoising", core), info))
    return path


@pytest.fixture(scope="session")
def multiscale_path(trained: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose embedding has three scales; its rings have learned nothing."""
    info = ModelInfo(trained.info.core, (), task="embedding", context=12, rings=2)
    torch.manual_seed(3)
    network = info.make_network().requires_grad_(False)
    inherit(network, trained.network)
    network.center.copy_(torch.linspace(-1, 1, len(network.center)))
    network.spread.copy_(torch.linspace(0.5, 2, len(network.spread)))
    path = tmp_path_factory.mktemp("models") / "multiscale.safetensors"
    save_model(path, Model(network, info))
    return path


@pytest.fixture(scope="session")
def denoiser_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """File of a network for denoising that has learned nothing."""
    torch.manual_seed(1)
    core = CoreConfig(width=16, hidden=16, blocks=1, tied=True)
    network = Denoiser(core).requires_grad_(False)
    network.correct.covariant_weights.copy_(torch.tensor([1.0, 2.0, -2.0]))
    path = tmp_path_factory.mktemp("denoiser") / "small.safetensors"
    save_model(path, Model(network, ModelInfo(core, (), task="denoising")))
    return path


@pytest.fixture
def bcc() -> System:
    """A warm bcc crystal of 1024 particles or more."""
    rng = np.random.default_rng(2)
    return displace(crystal(unit_cell("cI2-W"), 1000), 0.03, rng)


@pytest.fixture
def trajectory_path(bcc: System, tmp_path: Path) -> Path:
    """Five frames of a bcc crystal, timesteps 0, 10, …"""
    path = tmp_path / "bcc.gsd"
    rng = np.random.default_rng(3)
    with gsd.hoomd.open(path, "w") as trajectory:
        for i in range(5):
            frame = make_frame(displace(bcc, 0.01, rng), 10 * i)
            frame.log["energy"] = np.array([float(i)])
            trajectory.append(frame)
    return path


def _mounted(folder: Path, *options: str) -> Iterator[Path]:
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", *options, "tmpfs", str(folder)]
    done = None
    if shutil.which("mount"):
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done is None or done.returncode:
        pytest.skip("disks cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk with room for little."""
    yield from _mounted(tmp_path / "disk", "-o", "size=512k")


@pytest.fixture
def read_only_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk that nobody can write to, administrators neither."""
    yield from _mounted(tmp_path / "disk", "-o", "ro")


@pytest.fixture
def rng() -> np.random.Generator:
    """Random numbers that are the same every time."""
    return np.random.default_rng(4)


@pytest.fixture
def figures(monkeypatch):
    """The figures that are written."""
    from hoomd_gala.plotting import fractions, frames, plots

    written = []
    save = plots.save_figure

    def keep(path, figure):
        written.append(figure)
        save(path, figure)

    for module in (plots, fractions, frames):
        monkeypatch.setattr(module, "save_figure", keep)
    return written
