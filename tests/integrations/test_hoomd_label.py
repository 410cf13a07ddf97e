"""Files of HOOMD-blue labeled afterwards have the labels of the run."""

import numpy as np
import pytest
from conftest import HAS_HOOMD

if not HAS_HOOMD:
    pytest.skip("HOOMD-blue is not installed", allow_module_level=True)

import hoomd
from mixtures import simulation_of, write_bodies

import hoomd_gala
from hoomd_gala.cli import main
from hoomd_gala.files import frame_labels, read_frame


def test_rigid_bodies_are_labeled_in_files_as_in_runs(model_path, tmp_path, capsys):
    write_bodies(tmp_path / "bodies.gsd")
    simulation = simulation_of(tmp_path / "bodies.gsd")
    classifier = hoomd_gala.Classifier(model_path)
    simulation.operations.writers.append(hoomd.write.CustomWriter(action=classifier, trigger=10))
    simulation.run(10)
    run, out = tmp_path / "run.gsd", tmp_path / "out.gsd"
    hoomd.write.GSD.write(state=simulation.state, filename=str(run), mode="xb")
    label = ["label", str(run), str(out), "--model", str(model_path), "--clusters"]
    assert main(label) == 0
    frame = read_frame(out)
    assert len(classifier.result.label) < frame.particles.N
    # positions are in single precision in the file
    assert (frame_labels(frame)[0] == classifier.label).mean() > 0.99
    fractions = frame.log["hoomd_gala/Classifier/fractions"]
    np.testing.assert_allclose(fractions, np.asarray(classifier.fractions), atol=0.01)
    assert fractions[0] > 0.9
    assert frame.log["hoomd_gala/Classifier/n_clusters"] == [classifier.n_clusters]
    largest = frame.log["hoomd_gala/Classifier/largest_cluster"][0]
    assert largest == pytest.approx(classifier.largest_cluster, rel=0.01)
    assert f"particles in the largest: {largest}" in capsys.readouterr().out
