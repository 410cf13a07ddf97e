"""Clusters in labeled files, against OVITO's."""

import gsd.hoomd
import numpy as np
import pytest
from commands import fails
from scipy.spatial import KDTree
from test_clusters import nuclei, same_partition

from hoomd_gala import Analyzer
from hoomd_gala.cli import main
from hoomd_gala.files import frame_labels, make_frame, open_trajectory
from hoomd_gala.systems import make_system

CLUSTER = "particles/hoomd_gala/Classifier/cluster"


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Two frames of nuclei in a gas, of three and of one."""
    path = tmp_path_factory.mktemp("nuclei") / "run.gsd"
    with gsd.hoomd.open(path, "w") as trajectory:
        rng = np.random.default_rng(1)
        centers, radii = [(-6, -6, -6), (14, 14, 2), (8, -8, 8)], [4.0, 3.5, 3.0]
        for step, count in ((0, 3), (10, 1)):
            system, label = nuclei(rng, centers[:count], radii[:count], [0] * count)
            # atoms of the gas are not in crystals
            box = system.box[:3]
            solid, gas = (system.positions[label == k] for k in (0, 2))
            apart = KDTree(solid % box, boxsize=box).query(gas % box)[0] > 0.9
            points = np.concatenate((solid, gas[apart]))
            trajectory.append(make_frame(make_system(points, system.box), step))
    return path


def by_ovito(positions, box, cutoff):
    """Cluster of each particle, as OVITO's cluster analysis numbers them, from 1."""
    from ovito.data import DataCollection
    from ovito.modifiers import ClusterAnalysisModifier

    data = DataCollection()
    data.create_cell(np.column_stack((np.diag(box[:3]), -box[:3] / 2)), pbc=(True, True, True))
    data.create_particles(count=len(positions)).create_property("Position", data=positions)
    data.apply(ClusterAnalysisModifier(cutoff=cutoff, sort_by_size=True))
    return np.asarray(data.particles["Cluster"])


def test_clusters_are_written_logged_and_printed(source, tmp_path, capsys):
    from ovito.io import import_file

    out = tmp_path / "out.gsd"
    command = ["label", str(source), str(out), "--model", "structures-fast", "--clusters", "FCC"]
    assert main(command) == 0
    shown = capsys.readouterr().out
    with open_trajectory(out) as trajectory:
        for number, frame in enumerate(trajectory):
            label, names = frame_labels(frame)
            members = label == names.index("cF4-Cu")
            ids = frame.log[CLUSTER]
            assert (ids[~members] == -1).all()
            # between the first shell of fcc and the second
            expected = by_ovito(frame.particles.position[members], frame.configuration.box, 1.25)
            large = np.isin(expected, np.flatnonzero(np.bincount(expected) > 20))
            assert same_partition(ids[members][large], expected[large])
            sizes = np.bincount(ids[members])
            largest = frame.log["hoomd_gala/Classifier/largest_cluster"]
            count = frame.log["hoomd_gala/Classifier/n_clusters"]
            assert [largest.tolist(), count.tolist()] == [[sizes[0]], [len(sizes)]]
            assert (sizes > 20).sum() == (3, 1)[number]
            line = f"frame {number} of {source}: clusters: {count[0]}, "
            assert f"{line}particles in the largest: {largest[0]}\n" in shown
    data = import_file(str(out)).compute(0)
    assert (np.asarray(data.particles["hoomd_gala_Classifier_cluster"]) == 0).sum() > 100
    assert data.attributes["hoomd_gala/Classifier/largest_cluster"] > 100


@pytest.mark.parametrize("by", ["ovito", "ase"])
def test_clusters_are_columns_of_text_files(source, tmp_path, by, monkeypatch):
    if by == "ase":
        monkeypatch.setattr("hoomd_gala.files.outputs.has_ovito", lambda: False)
    outs = [tmp_path / "out.gsd", tmp_path / "out.xyz"]
    outs += [tmp_path / "out.dump"] if by == "ovito" else []
    for out in outs:
        command = ["label", str(source), str(out), "--model", "structures-fast", "--clusters"]
        assert main(command) == 0
    with open_trajectory(outs[0]) as trajectory:
        expected = trajectory[0].log[CLUSTER]
    assert (expected == 0).sum() > 100
    head = outs[1].read_text().splitlines()[:2]
    columns = head[1].split("Properties=")[1].split()[0].split(":")
    names = [
        name for name, n in zip(columns[::3], columns[2::3], strict=True) for _ in range(int(n))
    ]
    rows = [line.split() for line in outs[1].read_text().splitlines()[2 : 2 + len(expected)]]
    assert [int(row[names.index("cluster")]) for row in rows] == expected.tolist()
    if by == "ovito":
        lines = outs[2].read_text().splitlines()
        at = lines[8].split().index("cluster") - 2
        rows = [line.split() for line in lines[9 : 9 + len(expected)]]
        assert [int(row[at]) for row in rows] == expected.tolist()


def test_labeling_again_drops_clusters_of_the_labels_before(source, tmp_path):
    once, twice = tmp_path / "once.gsd", tmp_path / "twice.gsd"
    label = ["--model", "structures-fast"]
    assert main(["label", str(source), str(once), *label, "--clusters"]) == 0
    assert main(["label", str(once), str(twice), *label]) == 0
    with open_trajectory(twice) as trajectory:
        assert not [name for name in trajectory[0].log if "cluster" in name]


def test_bad_structures_are_refused_before_any_work(
    source, tmp_path, capsys, monkeypatch, embedding_model_path
):
    monkeypatch.setattr(Analyzer, "analyze", lambda *_: pytest.fail("work was done"))
    label = ["label", source, tmp_path / "out.gsd"]
    error = fails(capsys, *label, "--clusters", "fcc,nope")
    assert "no class 'nope'; hoomd-gala models MODEL lists those that it has" in error
    error = fails(capsys, *label, "--clusters", "fcc", "--model", embedding_model_path)
    assert "names no structures" in error
