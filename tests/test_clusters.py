"""Clusters against freud, OVITO, and nuclei whose sizes are known."""

import freud
import numpy as np
import pytest

from hoomd_gala import InputError
from hoomd_gala.clusters import find_clusters
from hoomd_gala.crystals import crystal, displace, unit_cell
from hoomd_gala.files import make_frame
from hoomd_gala.files.conversion import ovito_data
from hoomd_gala.systems import make_system

NAMES = ("cF4-Cu", "cI2-W", "disordered")


def nuclei(rng, centers, radii, structures):
    """Balls of warm crystals in an ideal gas, and the labels of their particles."""
    box = [30, 30, 30, 0, 0, 0]
    positions, label = [], []
    for center, radius, k in zip(centers, radii, structures, strict=True):
        ball = displace(crystal(unit_cell(NAMES[k]), 4000), 0.04, rng).positions
        ball -= ball.mean(axis=0)
        ball = ball[np.linalg.norm(ball, axis=1) < radius] + center
        positions.append((ball + 15) % 30 - 15)
        label.append(np.full(len(ball), k, np.int32))
    gas = rng.uniform(-15, 15, (3000, 3))
    positions.append(gas)
    label.append(np.full(len(gas), 2, np.int32))
    return make_system(np.concatenate(positions), box), np.concatenate(label)


@pytest.fixture
def system_and_label(rng):
    # the second one crosses faces of the box
    return nuclei(rng, [(-6, -6, -6), (14, 14, 2), (8, -8, 8)], [4.0, 3.0, 2.0], [0, 0, 1])


def same_partition(ids, others):
    """Whether two numberings put the same particles together."""
    pairs = np.unique(np.stack((ids, others)), axis=1)
    return pairs.shape[1] == len(np.unique(ids)) == len(np.unique(others))


def test_nuclei_are_found_whole_and_by_size(system_and_label):
    system, label = system_and_label
    found = find_clusters(system, label, NAMES)
    balls = np.split(np.arange(len(label)), np.flatnonzero(np.diff(label)) + 1)
    assert found.ids.dtype == np.int32
    assert (found.ids[label == 2] == -1).all()
    assert found.sizes.tolist() == sorted(found.sizes.tolist(), reverse=True)
    assert found.sizes.tolist() == np.bincount(found.ids[found.ids >= 0]).tolist()
    assert found.largest == found.sizes[0]
    assert len(found.sizes) == 3
    small = balls[1]
    assert (found.ids[small] == 2).all()
    assert (label[found.ids == 0] == 0).all()


def test_one_structure_or_anything_solid(rng):
    # two crystals that touch are one solid, and two of their structures
    system, label = nuclei(rng, [(0, 0, 0), (0, 0, 6.5)], [3.4, 3.4], [0, 1])
    assert len(find_clusters(system, label, NAMES).sizes) == 1
    assert find_clusters(system, label, NAMES, "fcc").sizes.tolist() == [(label == 0).sum()]
    assert find_clusters(system, label, NAMES, "bcc").largest == (label == 1).sum()
    assert find_clusters(system, label, NAMES, ["fcc", "bcc"]).largest == (label != 2).sum()


@pytest.mark.parametrize("r_max", [0.9, 1.2, 1.5])
def test_clusters_of_a_given_distance_are_those_of_freud(rng, r_max):
    system = make_system(rng.uniform(-8, 8, (3000, 3)), [16, 16, 16, 0.2, -0.1, 0.3])
    label = np.where(rng.random(3000) < 0.6, 0, 2).astype(np.int32)
    found = find_clusters(system, label, NAMES, r_max=r_max)
    members = label == 0
    reference = freud.cluster.Cluster()
    box = freud.box.Box(*system.box)
    reference.compute((box, system.positions[members]), neighbors={"r_max": r_max})
    assert same_partition(found.ids[members], reference.cluster_idx)
    assert found.sizes.tolist() == [len(keys) for keys in reference.cluster_keys]


def test_clusters_are_those_of_ovito(system_and_label):
    from ovito.data import DataCollection, Particles, SimulationCell
    from ovito.modifiers import ClusterAnalysisModifier

    system, label = system_and_label
    members = label != 2
    data = DataCollection()
    data.objects.append(Particles())
    data.particles_.create_property("Position", data=system.positions[members])
    cell = SimulationCell(pbc=(True, True, True))
    cell[:, :3] = np.diag(system.box[:3])
    cell[:, 3] = -system.box[:3] / 2
    data.objects.append(cell)
    data.apply(ClusterAnalysisModifier(cutoff=1.3, sort_by_size=True))
    found = find_clusters(system, label, NAMES, r_max=1.3)
    assert same_partition(found.ids[members], np.asarray(data.particles["Cluster"]))


@pytest.mark.parametrize("form", ["freud", "gsd", "ovito", "ase", "hoomd"])
def test_systems_of_other_packages_have_the_same_clusters(system_and_label, form):
    system, label = system_and_label
    expected = find_clusters(system, label, NAMES)
    given = in_form(system, form)
    found = find_clusters(given, label, NAMES)
    assert found.sizes.tolist() == expected.sizes.tolist()
    np.testing.assert_array_equal(found.ids, expected.ids)


def in_form(system, form):
    """A system as another package holds it."""
    if form == "freud":
        return freud.box.Box(*system.box), system.positions
    if form == "ase":
        ase = pytest.importorskip("ase")
        n = len(system.positions)
        return ase.Atoms(["Cu"] * n, system.positions, cell=system.box[:3], pbc=True)
    frame = make_frame(system, 0)
    if form == "ovito":
        return ovito_data(frame)
    if form == "hoomd":
        hoomd = pytest.importorskip("hoomd")
        return hoomd.Snapshot.from_gsd_frame(frame, hoomd.communicator.Communicator())
    return frame


def test_particles_that_are_no_neighbors_are_in_no_cluster(system_and_label):
    system, label = system_and_label
    around = np.flatnonzero(label != 1)
    found = find_clusters(system, label, NAMES, neighbors=around)
    expected = find_clusters(system, label, NAMES, "fcc")
    np.testing.assert_array_equal(found.ids, expected.ids)


def test_no_particle_in_a_structure_is_no_cluster(system_and_label):
    system, label = system_and_label
    found = find_clusters(system, np.full_like(label, -1), NAMES)
    assert found.largest == 0
    assert (found.ids == -1).all()
    assert find_clusters(system, np.full_like(label, -1), NAMES, "unknown").largest > 0


def test_bad_input(system_and_label):
    system, label = system_and_label
    with pytest.raises(InputError, match="r_max is 0"):
        find_clusters(system, label, NAMES, r_max=0)
    with pytest.raises(InputError, match="no class 'hcp'"):
        find_clusters(system, label, NAMES, "hcp")
    for wrong in (label[1:], np.append(label, 0), label.astype(float)):
        with pytest.raises(InputError, match="one integer for each of"):
            find_clusters(system, wrong, NAMES)
    for wrong in (label + 1, label - 2):
        with pytest.raises(InputError, match=r"none of the 3 classes, and not -1"):
            find_clusters(system, wrong, NAMES)


def test_images_connect_and_open_directions_do_not():
    # of a crystal, what is near two opposite faces of its box: one layer, or two if these are open
    grown = crystal(unit_cell("fcc"), 2000)
    height = grown.box[2]
    z = (grown.positions[:, 2] / height + 0.5) % 1
    near = np.abs(z - 0.5) > 0.25
    positions = np.column_stack((grown.positions[near, :2], (z[near] - 0.5) * height))
    label = np.zeros(len(positions), np.int32)
    assert len(find_clusters(make_system(positions, grown.box), label, NAMES).sizes) == 1
    slab = make_system(positions, grown.box, periodic=(True, True, False))
    assert len(find_clusters(slab, label, NAMES).sizes) == 2


@pytest.mark.parametrize("n", [1, 2, 5])
def test_few_particles(n):
    positions = np.arange(n)[:, None] * [1.0, 0, 0]
    label = np.zeros(n, np.int32)
    alone = make_system(positions, [50, 50, 50, 0, 0, 0], periodic=False)
    assert find_clusters(alone, label, NAMES, r_max=1.1).sizes.tolist() == [n]
    assert find_clusters(alone, label, NAMES, r_max=0.9).sizes.tolist() == [1] * n
    periodic = make_system(positions, [1.0 * n, 1, 1, 0, 0, 0])
    assert find_clusters(periodic, label, NAMES).sizes.tolist() == [n]
