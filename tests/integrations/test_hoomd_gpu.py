"""The plugin in HOOMD-blue simulations on a GPU: positions stay there up to the network."""

import numpy as np
import pytest
import torch
from conftest import HAS_HOOMD, needs_cuda, needs_hoomd

import hoomd_gala
from hoomd_gala.crystals.prototypes import crystal, displace, unit_cell
from hoomd_gala.files import frame_labels, make_frame, open_trajectory
from hoomd_gala.systems import System

if HAS_HOOMD:
    import hoomd

pytestmark = [
    needs_hoomd,
    needs_cuda,
    pytest.mark.skipif(
        HAS_HOOMD and not hoomd.version.gpu_enabled, reason="HOOMD-blue is built without GPUs"
    ),
]


@pytest.fixture
def simulation():
    """A warm Lennard-Jones crystal of two kinds of particles on the GPU."""
    system = displace(crystal(unit_cell("cF4-Cu"), 10_000), 0.02, np.random.default_rng(1))
    snapshot = hoomd.Snapshot()
    snapshot.configuration.box = system.box
    snapshot.particles.N = len(system.positions)
    snapshot.particles.types = ["A", "B"]
    snapshot.particles.position[:] = make_frame(system, 0).particles.position
    snapshot.particles.typeid[:] = np.arange(len(system.positions)) % 2
    sim = hoomd.Simulation(hoomd.device.GPU(), seed=1)
    sim.create_state_from_snapshot(snapshot)
    lj = hoomd.md.pair.LJ(hoomd.md.nlist.Cell(buffer=0.4), default_r_cut=2.5)
    lj.params[(["A", "B"], ["A", "B"])] = {"epsilon": 1.0, "sigma": 2 ** (-1 / 6)}
    langevin = hoomd.md.methods.Langevin(hoomd.filter.All(), kT=0.3)
    sim.operations.integrator = hoomd.md.Integrator(dt=0.005, methods=[langevin], forces=[lj])
    return sim


def attach(sim, classifier, period):
    sim.operations.writers.append(hoomd.write.CustomWriter(action=classifier, trigger=period))


def test_arrays_are_taken_without_a_copy(simulation):
    simulation.run(0)
    with simulation.state.gpu_local_snapshot as snapshot:
        for name in ("position", "typeid", "tag"):
            array = getattr(snapshot.particles, name)
            tensor = torch.as_tensor(array, device="cuda")
            assert tensor.data_ptr() == array.__cuda_array_interface__["data"][0], name


def test_labels_are_those_of_the_cpu(simulation, monkeypatch):
    classifier = hoomd_gala.Classifier(model="structures")
    attach(simulation, classifier, 100)
    simulation.run(500)  # long enough for the engine to have sorted its particles in space

    def left(*_):
        raise AssertionError("positions went through the host")

    with monkeypatch.context() as patched:
        patched.setattr(type(simulation.state), "cpu_local_snapshot", property(left))
        label, confidence = classifier.label, classifier.confidence
    system = classifier._analysis().particles.system
    assert system.positions.is_cuda
    snapshot = simulation.state.get_snapshot()
    np.testing.assert_allclose(
        system.positions.cpu().numpy(), snapshot.particles.position, atol=1e-6
    )
    np.testing.assert_array_equal(system.types.cpu().numpy(), snapshot.particles.typeid)
    found = System(
        np.asarray(snapshot.particles.position, np.float64),
        np.asarray(snapshot.configuration.box, np.float64),
        np.asarray(snapshot.particles.typeid, np.int64),
    )
    expected = hoomd_gala.Analyzer("structures", "cpu").analyze(found)
    same = (label == expected.label).mean()
    print(f"{same:.6f} of {len(label)} labels are the same")
    assert same >= 0.9999
    assert np.median(np.abs(confidence - expected.confidence)) < 1e-4
    assert expected.fraction("cF4-Cu") > 0.9


def test_both_files_hold_the_same_labels(simulation, tmp_path):
    own, path = tmp_path / "own.gsd", tmp_path / "run.gsd"
    classifier = hoomd_gala.Classifier(model="structures-fast", filename=own)
    attach(simulation, classifier, 100)
    logger = hoomd.logging.Logger(categories=["particle", "sequence"])
    logger.add(classifier)
    writer = hoomd.write.GSD(trigger=100, filename=str(path), mode="xb", logger=logger)
    simulation.operations.writers.append(writer)
    simulation.run(300)
    writer.flush()
    with open_trajectory(own) as mine, open_trajectory(path) as theirs:
        assert len(mine) == len(theirs) == 3
        for ours, other in zip(mine, theirs, strict=True):
            np.testing.assert_array_equal(frame_labels(ours)[0], frame_labels(other)[0])
            np.testing.assert_allclose(ours.particles.position, other.particles.position, atol=1e-5)


def test_a_network_on_the_cpu_beside_a_simulation_on_the_gpu(simulation):
    here, there = (hoomd_gala.Classifier("structures-fast", device=d) for d in ("cpu", "cuda"))
    for classifier in (here, there):
        attach(simulation, classifier, 1000)
    simulation.run(100)
    assert (here.label == there.label).mean() >= 0.9999
