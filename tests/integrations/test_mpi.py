"""Simulations decomposed over two MPI ranks: the same labels as on one."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import gsd.hoomd
import numpy as np
import pytest
from conftest import HAS_HOOMD

from hoomd_gala.analyzer import Analyzer
from hoomd_gala.files import frame_labels, make_frame, open_trajectory


def missing():
    """What these tests need and do not have."""
    if not HAS_HOOMD:
        return "HOOMD-blue is not installed"
    import hoomd

    if not hoomd.version.mpi_enabled:
        return "HOOMD-blue was built without MPI"
    if shutil.which("mpirun") is None:
        return "there is no mpirun"
    if importlib.util.find_spec("mpi4py") is None:
        return "mpi4py is not installed"
    return None


if missing():
    pytest.skip(missing(), allow_module_level=True)

#: Folder of the tests' own modules.
HERE = Path(__file__).parent

#: Lennard-Jones particles from a GSD file, and everything that a classifier gives on each rank.
RUN = """
import sys
import numpy as np
import hoomd, hoomd_gala
model, start, folder, ranks_per_partition, filtered = sys.argv[1:]
communicator = hoomd.communicator.Communicator(
    ranks_per_partition=int(ranks_per_partition) or None)
simulation = hoomd.Simulation(hoomd.device.CPU(communicator=communicator), seed=1)
simulation.create_state_from_gsd(start)
lj = hoomd.md.pair.LJ(hoomd.md.nlist.Cell(buffer=0.4), default_r_cut=2.0)
lj.params[("A", "A")] = {"epsilon": 1.0, "sigma": 0.85}
langevin = hoomd.md.methods.Langevin(hoomd.filter.All(), kT=0.5)
simulation.operations.integrator = hoomd.md.Integrator(dt=0.002, methods=[langevin], forces=[lj])
name = f"{folder}/{communicator.partition}"
chosen = hoomd.filter.Tags([900, 5, 17, 512]) if int(filtered) else None
classifier = hoomd_gala.Classifier(
    model, name + ".gsd", filter=chosen, quantities=("label", "confidence", "embedding")
)
logger = hoomd.logging.Logger(categories=["scalar", "particle", "sequence"])
logger.add(classifier)
writers = simulation.operations.writers
writers.append(hoomd.write.CustomWriter(action=classifier, trigger=50))
writers.append(hoomd.write.GSD(trigger=50, filename=name + "-run.gsd", mode="wb", logger=logger))
solid = hoomd_gala.triggers.Fraction(classifier, "cI2-W", above=0.5, period=10)
class Count(hoomd.custom.Action):
    steps = 0
    def act(self, timestep):
        self.steps += 1
count = Count()
writers.append(hoomd.write.CustomWriter(action=count, trigger=solid))
simulation.run(100)
label, result = classifier.label, classifier.result
assert (label is None) == (result is None) == (communicator.rank > 0), (label, result)
np.savez(f"{name}-{communicator.rank}.npz", fractions=classifier.fractions, steps=count.steps,
         bcc=classifier.fraction("cI2-W"), label=[] if label is None else label)
"""

#: mpirun of Open MPI allows neither of these unless told; others do not look at it.
_OPEN_MPI = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    "OMP_NUM_THREADS": "1",
}


def mpirun(ranks, script, *arguments, check=True):
    """Run a script on several ranks, in an environment without this process's own MPI."""
    command = ["mpirun", "-n", str(ranks), sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(
        command,
        env=dict(os.environ) | _OPEN_MPI,
        check=check,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture
def start(bcc, tmp_path):
    """A bcc crystal beside a void, so that the ranks' shares differ."""
    frame = make_frame(bcc, 0)
    frame.configuration.box = bcc.box * [1, 1, 1.3, 1, 1, 1]
    path = tmp_path / "start.gsd"
    with gsd.hoomd.open(path, "w") as trajectory:
        trajectory.append(frame)
    return path


def frames_of(path):
    with open_trajectory(path) as trajectory:
        return list(trajectory)


def test_two_ranks_label_as_one_does(start, model_path, tmp_path):
    mpirun(2, RUN, model_path, start, tmp_path, 0, 0)
    analyzer = Analyzer(model_path)
    own, logged = frames_of(tmp_path / "0.gsd"), frames_of(tmp_path / "0-run.gsd")
    assert [frame.configuration.step for frame in own] == [50, 100]
    for mine, hoomds in zip(own, logged, strict=True):
        # positions of both files are in the order of tags, and so are the labels
        np.testing.assert_allclose(mine.particles.position, hoomds.particles.position, atol=1e-5)
        expected = analyzer.analyze(mine)
        assert 0.3 < expected.fraction("cI2-W") < 0.99
        for frame in (mine, hoomds):
            labels, _ = frame_labels(frame)
            assert (labels == expected.label).mean() > 0.999
            embedding = frame.log["particles/hoomd_gala/Classifier/embedding"]
            np.testing.assert_allclose(embedding, expected.embedding, atol=1e-3)
            fractions = frame.log["hoomd_gala/Classifier/fractions"]
            np.testing.assert_allclose(fractions, np.asarray(expected.fractions), atol=2e-3)
    ranks = [np.load(tmp_path / f"0-{rank}.npz") for rank in range(2)]
    np.testing.assert_array_equal(ranks[0]["label"], frame_labels(own[-1])[0])
    for name in ("fractions", "bcc", "steps"):
        np.testing.assert_array_equal(ranks[0][name], ranks[1][name])
    # the trigger fired on both, on all steps
    assert ranks[0]["steps"] == 100


def test_filter_on_two_ranks(start, model_path, tmp_path):
    mpirun(2, RUN, model_path, start, tmp_path, 0, 1)
    frame = frames_of(tmp_path / "0.gsd")[-1]
    labels, _ = frame_labels(frame)
    expected = Analyzer(model_path).analyze(frame).label
    tags = np.array([5, 17, 512, 900])
    np.testing.assert_array_equal(labels[tags], expected[tags])
    assert (np.delete(labels, tags) == -1).all()
    assert frame.log["hoomd_gala/Classifier/fractions"].sum() == pytest.approx(1)


def test_partitions_do_not_meet(start, model_path, tmp_path):
    mpirun(2, RUN, model_path, start, tmp_path, 1, 0)
    for partition in range(2):
        frame = frames_of(tmp_path / f"{partition}.gsd")[-1]
        labels, _ = frame_labels(frame)
        assert (labels == Analyzer(model_path).analyze(frame).label).mean() > 0.999


def test_without_mpi4py_the_error_says_what_to_do(start, model_path, tmp_path):
    blocked = 'import sys; sys.modules["mpi4py"] = None\n' + RUN
    done = mpirun(2, blocked, model_path, start, tmp_path, 0, 0, check=False)
    assert done.returncode != 0
    assert "needs mpi4py then: pip install mpi4py" in done.stderr


#: The labels of a simulation in which not everybody is a neighbor.
MIXTURE = """
import sys
import numpy as np
import hoomd, hoomd_gala
model, start, output, here, options = sys.argv[1:]
sys.path.insert(0, here)
from mixtures import simulation_of
pairs = [pair.split() for pair in options.split(",") if pair]
options = {name: hoomd.filter.Type([kind]) for name, kind in pairs}
simulation = simulation_of(start, hoomd.communicator.Communicator())
classifier = hoomd_gala.Classifier(model, output + ".gsd", **options)
simulation.operations.writers.append(hoomd.write.CustomWriter(action=classifier, trigger=1))
simulation.run(1)
label, fractions = classifier.label, classifier.fractions
rank = simulation.device.communicator.rank
assert (label is None) == (rank > 0)
np.savez(f"{output}-{rank}.npz", fractions=fractions, label=[] if label is None else label)
"""


@pytest.mark.parametrize(
    ("write", "options"),
    [
        ("write_bodies", ""),
        ("write_bodies", "filter R"),
        ("write_solution", "neighbors A"),
        ("write_solution", "neighbors A,filter A"),
    ],
)
def test_neighbors_on_two_ranks(write, options, model_path, tmp_path):
    import mixtures  # imports HOOMD-blue

    start = tmp_path / "start.gsd"
    getattr(mixtures, write)(start)
    for ranks in (1, 2):
        mpirun(ranks, MIXTURE, model_path, start, tmp_path / str(ranks), HERE, options)
    alone = np.load(tmp_path / "1-0.npz")
    assert alone["fractions"][:2].sum() > 0.95
    for rank in range(2):
        found = np.load(tmp_path / f"2-{rank}.npz")
        np.testing.assert_allclose(found["fractions"], alone["fractions"], atol=2e-3)
    labels, _ = frame_labels(frames_of(tmp_path / "2.gsd")[-1])
    np.testing.assert_array_equal(labels, np.load(tmp_path / "2-0.npz")["label"])
    assert (labels == alone["label"]).mean() > 0.999
