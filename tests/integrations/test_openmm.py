"""The OpenMM reporter in a real simulation."""

import numpy as np
import openmm
import pytest
from commands import free, steps
from openmm import app, unit

from hoomd_gala.analyzer import Analyzer
from hoomd_gala.crystals import crystal, displace, droplet, unit_cell
from hoomd_gala.errors import InputError
from hoomd_gala.files import frame_labels, open_trajectory, read_frame
from hoomd_gala.integrations.openmm import ClassifierReporter
from hoomd_gala.names import title
from hoomd_gala.systems import box_from_lattice, lattice_vectors


def einstein_crystal(positions, box, distance="periodicdistance(x, y, z, x0, y0, z0)^2"):
    """A simulation of particles tied to their sites."""
    system = openmm.System()
    force = openmm.CustomExternalForce(f"500*({distance})")
    for name in ("x0", "y0", "z0"):
        force.addPerParticleParameter(name)
    topology = app.Topology()
    chain = topology.addChain()
    for i, site in enumerate(positions):
        system.addParticle(1.0)
        force.addParticle(i, site)
        topology.addAtom("AB"[i % 2], None, topology.addResidue("X", chain))
    system.addForce(force)
    vectors = lattice_vectors(box)
    system.setDefaultPeriodicBoxVectors(*vectors)
    topology.setPeriodicBoxVectors(vectors * unit.nanometer)
    integrator = openmm.LangevinMiddleIntegrator(10.0, 1.0, 0.001)
    platform = openmm.Platform.getPlatformByName("Reference")
    simulation = app.Simulation(topology, system, integrator, platform)
    simulation.context.setPositions(positions)
    return simulation


@pytest.fixture
def simulation(bcc):
    """Einstein crystal on bcc sites."""
    return einstein_crystal(bcc.positions, bcc.box)


def test_reporter_writes_labeled_frames(simulation, model_path, tmp_path):
    path = tmp_path / "run.gsd"
    reporter = ClassifierReporter(path, 10, model_path)
    simulation.reporters.append(reporter)
    simulation.step(30)
    with open_trajectory(path) as trajectory:
        assert [frame.configuration.step for frame in trajectory] == [10, 20, 30]
        last = trajectory[-1]
    labels, names = frame_labels(last)
    assert (labels == names.index("cI2-W")).mean() > 0.9
    np.testing.assert_array_equal(labels, reporter.result.label)
    # structures are the types that OVITO shows; the simulation's own are kept
    kinds = np.array(last.particles.types)[last.particles.typeid]
    np.testing.assert_array_equal(kinds, np.array([*map(title, names), "unknown"])[labels])
    own = read_frame(path)
    assert own.particles.types == ["A", "B"]
    np.testing.assert_array_equal(own.particles.typeid, np.arange(len(labels)) % 2)
    state = simulation.context.getState(getPositions=True, getEnergy=True)
    energy = state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole)
    logged = last.log["md/compute/ThermodynamicQuantities/potential_energy"][0]
    assert logged == pytest.approx(energy, rel=1e-5)
    again = Analyzer(model_path).analyze(last)
    assert (again.label == labels).mean() > 0.999


@pytest.mark.parametrize(
    ("options", "name"),
    [({}, "compounds"), ({"particles": "A"}, "compounds"), ({"neighbors": "A"}, "structures")],
)
def test_the_model_auto_is_decided_before_the_first_step(
    simulation, tmp_path, options, name, capsys
):
    path = tmp_path / "run.gsd"
    reporter = ClassifierReporter(path, 10, "auto", clusters=True, **options)
    simulation.reporters.append(reporter)
    simulation.step(20)
    assert capsys.readouterr().err.count(f"the model is {name}, as the particles are of ") == 1
    assert reporter.result.class_names == Analyzer(name).class_names
    assert frame_labels(read_frame(path))[1] == list(Analyzer(name).class_names)
    with pytest.raises(InputError, match='the model is "auto"'):
        ClassifierReporter(None, 10, "auto", clusters="fcc")


def test_labels_without_heat_where_they_are_not_certain(bcc):
    # beyond melting
    hot = displace(bcc, 0.17, np.random.default_rng(1))
    simulation = einstein_crystal(hot.positions, hot.box)
    reporter = ClassifierReporter(None, 10, "structures", denoise_steps=2)
    simulation.reporters.append(reporter)
    simulation.step(10)
    state = simulation.context.getState(positions=True)
    positions = state.getPositions(asNumpy=True)._value
    box = box_from_lattice(state.getPeriodicBoxVectors(asNumpy=True)._value)
    own = Analyzer("structures", denoise_steps=2).analyze(positions, box)
    np.testing.assert_array_equal(reporter.result.label, own.label)
    np.testing.assert_allclose(reporter.result.confidence, own.confidence, atol=1e-5)
    plain = Analyzer("structures").analyze(positions, box)
    assert (plain.label != own.label).any()


def test_continued_run_appends(simulation, model_path, tmp_path):
    path = tmp_path / "run.gsd"
    for _ in range(2):
        simulation.reporters[:] = [ClassifierReporter(path, 10, model_path)]
        simulation.step(20)
    with open_trajectory(path) as trajectory:
        assert [frame.configuration.step for frame in trajectory] == [10, 20, 30, 40]


def test_types_are_kept_where_that_is_asked_for(simulation, model_path, tmp_path):
    path = tmp_path / "run.gsd"
    simulation.reporters[:] = [ClassifierReporter(path, 10, model_path, keep_types=True)]
    simulation.step(10)
    with open_trajectory(path) as trajectory:
        assert trajectory[0].particles.types == ["A", "B"]
        assert not any("simulation" in key for key in trajectory[0].log)


@pytest.mark.parametrize("mask", [False, True])
def test_some_particles_are_labeled_among_all(simulation, model_path, tmp_path, mask):
    path = tmp_path / "run.gsd"
    everyone = ClassifierReporter(None, 10, model_path)
    particles = [700, 3, 101]
    if mask:
        particles = np.isin(np.arange(simulation.topology.getNumAtoms()), particles)
    some = ClassifierReporter(path, 10, model_path, particles=particles)
    simulation.reporters.extend([everyone, some])
    simulation.step(10)
    chosen = [3, 101, 700]
    np.testing.assert_array_equal(some.result.label, everyone.result.label[chosen])
    with open_trajectory(path) as trajectory:
        labels, _ = frame_labels(trajectory[0])
        fractions = trajectory[0].log["hoomd_gala/Classifier/fractions"]
    np.testing.assert_array_equal(labels[chosen], some.result.label)
    assert (np.delete(labels, chosen) == -1).all()
    np.testing.assert_allclose(fractions, np.asarray(some.result.fractions))
    simulation.reporters[:] = [ClassifierReporter(None, 10, model_path, particles=[10_000])]
    with pytest.raises(InputError, match="particles must be 0 to"):
        simulation.step(10)


#: Energy of a particle's spring in a system without periodic boundaries.
OPEN = "(x-x0)^2 + (y-y0)^2 + (z-z0)^2"


def test_a_ball_in_vacuum_is_neither_wrapped_nor_bulk(model_path, tmp_path):
    rng = np.random.default_rng(1)
    sites = displace(crystal(unit_cell("cI2-W"), 6000), 0.03, rng)
    ball = droplet(sites, 0.7)
    # larger than OpenMM's default box of 2 nm, and not where that is
    positions = 0.3 * ball.system.positions + [3, -1, 0.5]
    assert (np.ptp(positions, axis=0) > 3).all()
    simulation = einstein_crystal(positions, [2, 2, 2, 0, 0, 0], OPEN)
    path = tmp_path / "ball.gsd"
    reporter = ClassifierReporter(path, 5, model_path)
    simulation.reporters.append(reporter)
    simulation.step(10)
    # the right answer: in a box with much vacuum
    state = simulation.context.getState(getPositions=True)
    now = state.getPositions(asNumpy=True).value_in_unit(unit.nanometer)
    analyzer = Analyzer(model_path)
    expected = analyzer.analyze(now, [20, 20, 20, 0, 0, 0])
    assert (expected.label == reporter.result.label).mean() > 0.999
    inside = reporter.result.label[ball.intact > 0.99]
    assert (inside == analyzer.class_names.index("cI2-W")).mean() > 0.95
    with open_trajectory(path) as trajectory:
        last = trajectory[-1]
    np.testing.assert_allclose(last.particles.position, now, atol=1e-5)
    assert (np.abs(last.particles.position) < last.configuration.box[:3] / 2).all()
    # the file does not say that it is open, and does not have to
    assert (analyzer.analyze(last).label == reporter.result.label).mean() > 0.999


def test_oxygens_among_hydrogens(bcc, model_path, tmp_path):
    # "A" on bcc sites, and a "B" beside each
    total = len(bcc.positions)
    positions = np.repeat(bcc.positions, 2, axis=0)
    positions[1::2] += 0.3 * np.random.default_rng(2).normal(size=(total, 3))
    simulation = einstein_crystal(positions, bcc.box)
    path = tmp_path / "run.gsd"
    reporters = [
        ClassifierReporter(None, 10, model_path, particles="A"),
        ClassifierReporter(path, 10, model_path, neighbors="A"),
        ClassifierReporter(None, 10, model_path, particles=[6, 2], neighbors=["A"]),
    ]
    simulation.reporters.extend(reporters)
    simulation.step(10)
    among_all, alone, two = (reporter.result for reporter in reporters)
    assert among_all.fractions["cI2-W"] < 0.5
    assert alone.fractions["cI2-W"] > 0.95
    assert len(alone.label) == total
    np.testing.assert_array_equal(two.label, alone.label[[1, 3]])
    with open_trajectory(path) as trajectory:
        labels, _ = frame_labels(trajectory[0])
    np.testing.assert_array_equal(labels[::2], alone.label)
    assert (labels[1::2] == -1).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"particles": "C"}, "there is no type 'C'; there are A, B"),
        ({"neighbors": [0.5, 1]}, "neighbors are made of float, int"),
        ({"particles": [1], "neighbors": "A"}, "1 of the 1 particles to label are not among"),
    ],
)
def test_particles_that_are_not_there(simulation, model_path, options, message):
    simulation.reporters.append(ClassifierReporter(None, 10, model_path, **options))
    with pytest.raises(InputError, match=message):
        simulation.step(10)


def test_few_particles_in_vacuum_are_unknown_with_one_warning(bcc, model_path, tmp_path):
    simulation = einstein_crystal(bcc.positions[:8], bcc.box, OPEN)
    path = tmp_path / "run.gsd"
    reporter = ClassifierReporter(path, 10, model_path)
    simulation.reporters.append(reporter)
    with pytest.warns(RuntimeWarning, match="there are 8 particles") as warned:
        simulation.step(30)
    assert len(warned) == 1
    assert reporter.result.fractions["unknown"] == 1
    with open_trajectory(path) as trajectory:
        assert len(trajectory) == 3
        assert (frame_labels(trajectory[-1])[0] == -1).all()


def test_errors_are_raised_where_that_is_asked_for(bcc, model_path):
    simulation = einstein_crystal(bcc.positions[:8], bcc.box, OPEN)
    simulation.reporters.append(ClassifierReporter(None, 10, model_path, errors="raise"))
    with pytest.raises(InputError, match="there are 8 particles"):
        simulation.step(10)
    with pytest.raises(InputError, match="errors is 'ignore'; give 'warn' or 'raise'"):
        ClassifierReporter(None, 10, model_path, errors="ignore")


def test_a_full_disk_does_not_end_the_simulation(simulation, model_path, small_disk):
    path, filling = small_disk / "run.gsd", small_disk / "filling"
    simulation.reporters.append(ClassifierReporter(path, 10, model_path))
    simulation.step(10)
    filling.write_bytes(bytes(free(small_disk)))
    with pytest.warns(RuntimeWarning, match="No space left on device.*No frames are") as warned:
        simulation.step(30)
    assert len(warned) == 1
    assert steps(path) == [10]
    filling.unlink()
    simulation.step(10)
    assert steps(path) == [10, 50]


def test_of_two_reporters_with_one_file_the_first_one_writes(simulation, model_path, tmp_path):
    path = tmp_path / "run.gsd"
    some = ClassifierReporter(path, 10, model_path, particles="A")
    simulation.reporters += [ClassifierReporter(path, 10, model_path), some]
    with pytest.warns(RuntimeWarning, match="is written by another simulation, class") as warned:
        simulation.step(30)
    assert len(warned) == 1
    with open_trajectory(path) as trajectory:
        assert [frame.configuration.step for frame in trajectory] == [10, 20, 30]
        assert all((frame_labels(frame)[0] >= 0).mean() > 0.9 for frame in trajectory)
    assert len(some.result.label) == 512


def test_clusters_are_found_and_written(bcc, model_path, tmp_path):
    simulation = einstein_crystal(bcc.positions, bcc.box)
    path = tmp_path / "run.gsd"
    reporter = ClassifierReporter(path, 10, model_path, clusters="BCC")
    assert reporter.largest_cluster is reporter.n_clusters is None
    simulation.reporters.append(reporter)
    simulation.step(10)
    members = reporter.result.label == reporter.result.class_names.index("cI2-W")
    with open_trajectory(path) as trajectory:
        log = trajectory[0].log
        ids = log["particles/hoomd_gala/Classifier/cluster"]
        np.testing.assert_array_equal(ids >= 0, members)
        assert (ids == 0).sum() == reporter.largest_cluster == reporter.clusters.largest
        assert log["hoomd_gala/Classifier/largest_cluster"] == [reporter.largest_cluster]
        assert log["hoomd_gala/Classifier/n_clusters"] == [reporter.n_clusters]
    assert reporter.largest_cluster > 0.9 * len(members)
    # frames are appended as the first one was written
    simulation.reporters[:] = [ClassifierReporter(path, 10, model_path)]
    with pytest.raises(InputError, match="have clusters, which this one has not"):
        simulation.step(10)
    other = tmp_path / "other.gsd"
    for clusters in (False, True):
        simulation.reporters[:] = [ClassifierReporter(other, 10, model_path, clusters=clusters)]
        simulation.step(10)
    with open_trajectory(other) as trajectory:
        assert len(trajectory) == 2
        assert "particles/hoomd_gala/Classifier/cluster" not in trajectory[1].log
    with pytest.raises(InputError, match="no class 'hcp'"):
        ClassifierReporter(None, 10, model_path, clusters="hcp")


def test_a_reporter_in_another_simulation_begins_anew(simulation, bcc, model_path, tmp_path):
    path = tmp_path / "run.gsd"
    reporter = ClassifierReporter(path, 10, model_path, particles="A")
    simulation.reporters.append(reporter)
    simulation.step(10)
    other = einstein_crystal(bcc.positions, bcc.box)
    n = len(bcc.positions)
    for i, atom in enumerate(other.topology.atoms()):
        atom.name = "A" if i < n // 4 else "B"
    other.reporters.append(reporter)
    # its file is checked as that of a new one is
    with pytest.raises(InputError, match="already holds frames up to timestep 10"):
        other.step(10)
    path.unlink()
    other.step(10)
    labels, _ = frame_labels(read_frame(path))
    assert len(reporter.result.label) == n // 4
    np.testing.assert_array_equal(labels[: n // 4], reporter.result.label)
    assert set(labels[n // 4 :]) == {-1}


def test_positions_that_are_no_numbers_cost_labels_and_frames(simulation, model_path, tmp_path):
    path = tmp_path / "run.gsd"
    reporter = ClassifierReporter(path, 10, model_path)
    simulation.reporters.append(reporter)
    simulation.step(10)
    positions = simulation.context.getState(getPositions=True).getPositions(asNumpy=True)
    positions[3] = np.nan * unit.nanometer
    simulation.context.setPositions(positions)
    with pytest.warns(RuntimeWarning) as said:
        reporter.report(simulation, simulation.context.getState(getPositions=True, getEnergy=True))
    assert [str(one.message).rsplit(". ", 1)[1] for one in said] == [
        "All particles are labeled unknown until this changes.",
        f"No frames are written to {path} until this changes.",
    ]
    assert set(reporter.result.label) == {-1}
    assert steps(path) == [10]
