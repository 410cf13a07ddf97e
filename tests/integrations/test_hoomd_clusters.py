"""Nuclei in HOOMD-blue: clusters as logged quantities, and the trigger on the largest."""

import numpy as np
import pytest
from conftest import needs_hoomd

from hoomd_gala import InputError
from hoomd_gala.clusters import find_clusters
from hoomd_gala.crystals import crystal, displace, unit_cell
from hoomd_gala.files import open_trajectory
from hoomd_gala.systems import make_system

pytestmark = needs_hoomd


@pytest.fixture
def simulation(rng):
    """Two bcc nuclei of different size in a gas, which do not move."""
    import hoomd

    box = [24, 24, 24, 0, 0, 0]
    parts = []
    for center, radius in (((-5, -5, -5), 4.5), ((11.5, 5, 5), 3.2)):
        ball = displace(crystal(unit_cell("cI2-W"), 4000), 0.03, rng).positions
        ball -= ball.mean(axis=0)
        parts.append(ball[np.linalg.norm(ball, axis=1) < radius] + center)
    gas = rng.uniform(-12, 12, (600, 3))
    solid = np.concatenate(parts)
    # none inside of the nuclei
    far = np.linalg.norm((gas[:, None] - solid + 12) % 24 - 12, axis=-1).min(axis=1) > 1.2
    positions = np.concatenate((solid, gas[far]))
    positions = (positions + 12) % 24 - 12
    simulation = hoomd.Simulation(hoomd.device.CPU(), seed=1)
    snapshot = hoomd.Snapshot()
    snapshot.configuration.box = box
    snapshot.particles.N = len(positions)
    snapshot.particles.types = ["A"]
    snapshot.particles.position[:] = positions
    simulation.create_state_from_snapshot(snapshot)
    simulation.nuclei = list(map(len, parts))
    return simulation


def classifier(model_path, simulation):
    import hoomd

    from hoomd_gala import Classifier

    made = Classifier(model_path)
    writer = hoomd.write.CustomWriter(action=made, trigger=1_000_000)
    simulation.operations.writers.append(writer)
    return made


def test_clusters_are_logged(model_path, simulation, tmp_path):
    import hoomd

    attached = classifier(model_path, simulation)
    logger = hoomd.logging.Logger(["particle", "scalar"])
    logger.add(attached, quantities=["cluster", "largest_cluster", "n_clusters", "label"])
    path = tmp_path / "run.gsd"
    simulation.operations.writers.append(
        hoomd.write.GSD(trigger=1, filename=str(path), mode="xb", logger=logger)
    )
    simulation.run(1)
    simulation.operations.writers[-1].flush()
    with open_trajectory(path) as frames:
        frame = frames[0]
    log = {name.rpartition("/")[2]: value for name, value in frame.log.items()}
    system = make_system(frame.particles.position, frame.configuration.box)
    expected = find_clusters(system, log["label"], attached.class_names)
    np.testing.assert_array_equal(log["cluster"], expected.ids)
    assert log["largest_cluster"] == expected.largest
    assert log["n_clusters"] == len(expected.sizes)
    # surfaces are no part of a nucleus
    large, small = simulation.nuclei
    assert 0.3 * large < expected.sizes[0] <= large
    assert 0.1 * small < expected.sizes[1] <= small
    assert (log["cluster"][:large][log["label"][:large] == 1] == 0).mean() > 0.9


def test_clusters_are_logged_when_asked_for_only(model_path, simulation):
    import hoomd

    attached = classifier(model_path, simulation)
    simulation.run(0)
    logger = hoomd.logging.Logger(["particle", "scalar"])
    logger.add(attached)
    names = str(logger.log())
    assert "label" in names
    assert "cluster" not in names


def test_clusters_are_among_the_neighbors(model_path, simulation):
    import hoomd

    from hoomd_gala import Classifier

    # solvent in between, which the nuclei do not see
    snapshot = simulation.state.get_snapshot()
    solute = snapshot.particles.N
    rng = np.random.default_rng(3)
    with_solvent = hoomd.Snapshot()
    with_solvent.configuration.box = snapshot.configuration.box
    with_solvent.particles.N = 6 * solute
    with_solvent.particles.types = ["A", "S"]
    with_solvent.particles.position[:solute] = snapshot.particles.position
    with_solvent.particles.position[solute:] = rng.uniform(-12, 12, (5 * solute, 3))
    with_solvent.particles.typeid[solute:] = 1
    mixed = hoomd.Simulation(hoomd.device.CPU(), seed=1)
    mixed.create_state_from_snapshot(with_solvent)
    found = []
    for one, neighbors in ((simulation, None), (mixed, hoomd.filter.Type(["A"]))):
        attached = Classifier(model_path, neighbors=neighbors)
        writer = hoomd.write.CustomWriter(action=attached, trigger=1_000_000)
        one.operations.writers.append(writer)
        one.run(0)
        found.append(attached.clusters())
    alone, among = found
    np.testing.assert_array_equal(among.ids[:solute], alone.ids)
    assert (among.ids[solute:] == -1).all()
    np.testing.assert_array_equal(among.sizes, alone.sizes)


def test_trigger_fires_on_the_largest_nucleus(model_path, simulation):
    from hoomd_gala.triggers import LargestCluster

    attached = classifier(model_path, simulation)
    simulation.run(0)
    size = attached.clusters("bcc").largest
    assert size == attached.clusters(["bcc"]).largest > 20
    assert LargestCluster(attached, "bcc", above=size)(0)
    assert not LargestCluster(attached, "bcc", above=size + 1)(0)
    assert not LargestCluster(attached, "fcc", above=size)(0)
    # a distance that connects nothing
    assert not LargestCluster(attached, "bcc", above=2, r_max=0.1)(0)
    held = LargestCluster(attached, "bcc", above=size + 1, release=size)
    assert not held(0)
    held.active = True
    assert held.compute(1)


def test_clusters_that_are_young_enough_are_not_found_again(model_path, simulation, monkeypatch):
    from hoomd_gala.integrations.hoomd.analysis import Analysis

    original, calls = Analysis.find_clusters, []

    def counted(self, *arguments):
        calls.append(self)
        return original(self, *arguments)

    monkeypatch.setattr(Analysis, "find_clusters", counted)
    attached = classifier(model_path, simulation)
    simulation.run(0)
    first = attached.clusters("bcc")
    simulation.run(5)
    young = attached.clusters("bcc", period=10)
    assert len(calls) == 1
    np.testing.assert_array_equal(young.ids, first.ids)
    attached.clusters("bcc", period=5)
    assert len(calls) == 2


def test_bad_input(model_path, simulation):
    from hoomd_gala.triggers import LargestCluster

    attached = classifier(model_path, simulation)
    with pytest.raises(InputError, match="0 < release <= above"):
        LargestCluster(attached, above=0)
    with pytest.raises(InputError, match="0 < release <= above"):
        LargestCluster(attached, above=10, release=11)
    with pytest.raises(InputError, match="period is 0"):
        LargestCluster(attached, above=10, period=0)
    with pytest.raises(InputError, match="r_max is -1"):
        LargestCluster(attached, above=10, r_max=-1)
    with pytest.raises(InputError, match="no class 'graphite'"):
        LargestCluster(attached, "graphite", above=10)
