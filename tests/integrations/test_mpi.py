"""Simulations decomposed over MPI ranks: the same labels as on one."""

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
from hoomd_gala.crystals.prototypes import crystal, displace, unit_cell
from hoomd_gala.files import frame_labels, make_frame, open_trajectory
from hoomd_gala.systems import make_system


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
    # ranks that wait leave their cores to other tests
    "OMPI_MCA_mpi_yield_when_idle": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    "OMP_NUM_THREADS": "1",
}


def mpirun(ranks, script, *arguments, check=True):
    """Run a script, or a file, on several ranks, without this process's own MPI."""
    what = [script] if isinstance(script, Path) else ["-c", script]
    command = ["mpirun", "-n", str(ranks), sys.executable, *map(str, (*what, *arguments))]
    done = subprocess.run(
        command, env=dict(os.environ) | _OPEN_MPI, capture_output=True, text=True, timeout=300
    )
    assert not (check and done.returncode), done.stderr
    return done


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


#: A simulation whose ranks have particles of one type each.
AUTO = """
import sys
import numpy as np
import hoomd, hoomd_gala
start, output = sys.argv[1:]
simulation = hoomd.Simulation(hoomd.device.CPU(), seed=1)
simulation.create_state_from_gsd(start, domain_decomposition=(1, 1, 2))
classifier = hoomd_gala.Classifier("auto")
simulation.operations.writers.append(hoomd.write.CustomWriter(action=classifier, trigger=1))
simulation.run(0)
with simulation.state.cpu_local_snapshot as local:
    own = np.unique(local.particles.typeid)
embedding = classifier.embedding
np.savez(f"{output}-{simulation.device.communicator.rank}.npz", own=own,
         names=classifier.class_names, embedding=[] if embedding is None else embedding)
"""


def test_ranks_decide_together_which_model_auto_is(bcc, tmp_path):
    frame = make_frame(bcc, 0, "AB")
    frame.particles.typeid = (frame.particles.position[:, 2] > 0).astype(int)
    start = tmp_path / "start.gsd"
    with gsd.hoomd.open(start, "w") as trajectory:
        trajectory.append(frame)
    done = mpirun(2, AUTO, start, tmp_path / "rank")
    ranks = [np.load(tmp_path / f"rank-{rank}.npz") for rank in range(2)]
    assert [rank["own"].tolist() for rank in ranks] == [[0], [1]]
    expected = Analyzer("compounds").analyze(frame)
    for rank in ranks:
        assert rank["names"].tolist() == list(expected.class_names)
    np.testing.assert_allclose(ranks[0]["embedding"], expected.embedding, atol=1e-3)
    said = "the model is compounds, as the particles are of several types"
    assert (done.stdout + done.stderr).count(said) == 1


#: Models that label hard systems, and domains of these by the number of ranks.
SCATTERED_MODELS = ["structures-fast", "denoising", "two-rings"]
SCATTERED = {
    1: [f"{name}:1,1,1" for name in ("droplet", "corner", "triclinic", "thin", "few", "one")],
    2: ["droplet:0.3 0.7,1,1", "corner:1,2,1", "few:2,1,1", "one:1,1,2"],
    6: ["droplet:1,0.2 0.3 0.5,0.8 0.2", "corner:3,2,1", "triclinic:1,2,3", "thin:6,1,1"],
}


@pytest.fixture(scope="module")
def scattered(two_rings_path, tmp_path_factory):
    """A folder of systems that are hard to divide, and what models say of them."""
    folder = tmp_path_factory.mktemp("scattered")
    rng = np.random.default_rng(7)
    ball = displace(crystal(unit_cell("cF4-Cu"), 4000), 0.05, rng).positions
    ball = ball[np.linalg.norm(ball, axis=1) < 5] + np.array([8, 9, -10])
    vapor = rng.uniform(-20, 20, (30, 3))
    vapor = vapor[np.linalg.norm(vapor, axis=1) > 9]
    systems = {
        # near a corner of the box, so that most domains have nothing of it
        "droplet": make_system(np.concatenate((ball, vapor)), [40, 40, 40, 0, 0, 0]),
        "corner": make_system(rng.uniform(0.5, 3, (100, 3)), [30, 30, 30, 0, 0, 0]),
        "triclinic": make_system(rng.uniform(-5, 5, (500, 3)), [10, 11, 12, 0.4, -0.5, 0.3]),
        # domains that are thinner than environments
        "thin": displace(crystal(unit_cell("cI2-W"), 250), 0.04, rng),
        "few": make_system(rng.uniform(-3, 3, (15, 3)), [6, 6, 6, 0, 0, 0]),
        "one": make_system([[0.3, 0.2, 0.1]], [6, 7, 8, 0, 0, 0]),
    }
    for name, system in systems.items():
        with gsd.hoomd.open(folder / f"{name}.gsd", "w") as trajectory:
            trajectory.append(make_frame(system, 0))
    models = {name: name for name in SCATTERED_MODELS} | {"two-rings": two_rings_path}
    named = [f"{name}={model}" for name, model in models.items()]
    for ranks, simulations in SCATTERED.items():
        mpirun(ranks, HERE / "scattered.py", folder, *named, "--", *simulations)
    return folder


@pytest.mark.parametrize("model", SCATTERED_MODELS)
def test_labels_do_not_depend_on_domains(model, scattered):
    for ranks, simulations in SCATTERED.items():
        for simulation in simulations:
            alone = np.load(scattered / f"{model}-{simulation.split(':')[0]}:1,1,1-0.npz")
            files = [scattered / f"{model}-{simulation}-{rank}.npz" for rank in range(ranks)]
            found = [np.load(file) for file in files]
            assert sum(int(rank["own"]) for rank in found) == len(alone["label"])
            np.testing.assert_array_equal(found[0]["label"], alone["label"])
            for name in ("confidence", "embedding"):
                np.testing.assert_allclose(found[0][name], alone[name], atol=1e-4)
            for rank in found:
                np.testing.assert_allclose(rank["fractions"], alone["fractions"], atol=1e-12)
    droplet = np.load(scattered / f"{model}-droplet:1,1,1-0.npz")
    assert (droplet["embedding"] != 0).any(axis=1).all()


def test_two_rings_around_some_particles_on_several_ranks(two_rings_path, tmp_path):
    import mixtures  # imports HOOMD-blue

    start = tmp_path / "start.gsd"
    mixtures.write_solution(start)
    for ranks in (1, 4):
        mpirun(ranks, MIXTURE, two_rings_path, start, tmp_path / str(ranks), HERE, "filter A")
    alone, found = (np.load(tmp_path / f"{ranks}-0.npz")["label"] for ranks in (1, 4))
    assert len(np.unique(alone)) > 2
    np.testing.assert_array_equal(found, alone)


#: One rank of two has no memory for the inner ring, or for the outer one.
WITHOUT_ROOM = """
import sys
import hoomd
from pathlib import Path
from hoomd_gala import Classifier
from hoomd_gala.analyzer import Analyzer
model, start, folder, here = sys.argv[1:]
sys.path.insert(0, here)
from mixtures import simulation_of
communicator = hoomd.communicator.Communicator()
surround, lines = Analyzer.surround_known, []
for broken in (1, 2):
    calls = []
    def limited(*arguments):
        calls.append(1)
        if communicator.rank == 1 and len(calls) == broken:
            raise MemoryError("no room")
        return surround(*arguments)
    Analyzer.surround_known = limited
    try:
        simulation = simulation_of(start, communicator)
        classifier = Classifier(model, errors="raise")
        writers = simulation.operations.writers
        writers.append(hoomd.write.CustomWriter(action=classifier, trigger=1))
        simulation.run(1)
        classifier.label
    except Exception as error:
        lines.append(f"{type(error).__name__}: {error}")
Path(folder, f"{communicator.rank}.txt").write_text("\\n".join(lines))
"""


def test_a_ring_that_fails_on_one_rank_fails_on_all(start, two_rings_path, tmp_path):
    mpirun(2, WITHOUT_ROOM, two_rings_path, start, tmp_path, HERE)
    first, second = ((tmp_path / f"{rank}.txt").read_text().splitlines() for rank in range(2))
    assert first == ["RuntimeError: on MPI rank 1: no room"] * 2
    assert second == ["MemoryError: no room"] * 2


#: What goes wrong on one rank, as all ranks see it, and filters that pick from other ranks.
TROUBLE = """
import sys, warnings
import numpy as np
import hoomd, hoomd_gala
from pathlib import Path
model, start, folder, here = sys.argv[1:]
sys.path.insert(0, here)
from mixtures import simulation_of
communicator = hoomd.communicator.Communicator()
class Chosen(hoomd.filter.CustomFilter):
    def __init__(self, tags=None, fails_after=0):
        self.tags, self.left = tags, fails_after
    def __hash__(self):
        return hash(self.tags)
    def __eq__(self, other):
        return self.tags == other.tags
    def __call__(self, state):
        if self.tags is None and communicator.rank == 1:
            self.left -= 1
            if self.left < 0:
                raise KeyError("a filter that fails")
        return np.array((self.tags or ()) if communicator.rank == 0 else ())
lines = []
def attempt(**options):
    simulation = simulation_of(start, communicator)
    try:
        classifier = hoomd_gala.Classifier(model, **options)
        writers = simulation.operations.writers
        writers.append(hoomd.write.CustomWriter(action=classifier, trigger=1))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            simulation.run(2)
        lines.append("; ".join(["nothing happened", *(str(one.message) for one in caught)]))
    except Exception as error:
        lines.append(f"{type(error).__name__}: {error}")
    return classifier
folder = Path(folder)
attempt(filename=folder / "missing" / "labeled.gsd")
attempt(filename=folder / "a.gsd", filter=Chosen())
attempt(filename=folder / "b.gsd", filter=hoomd.filter.Type(["Z"]))
classifier = attempt(filename=folder / "c.gsd")
assert "embedding" not in classifier._latest._collected
picked = attempt(filter=Chosen((3, 5, 700, 900)))
particles, label, result = picked.particles, picked.label, classifier.result
if communicator.rank == 0:
    np.testing.assert_array_equal(particles, [3, 5, 700, 900])
    np.testing.assert_array_equal(label[particles], result.label[particles])
late = Chosen(fails_after=1)
late = attempt(filename=folder / "d.gsd", filter=late)
assert late.fraction("unknown") == 1
attempt(filename=folder / "e.gsd", filter=Chosen(fails_after=1), errors="raise")
attempt(denoise_steps=2)
(folder / f"{communicator.rank}.txt").write_text("\\n".join(lines))
"""


def test_errors_are_raised_on_all_ranks(start, model_path, tmp_path):
    mpirun(2, TROUBLE, model_path, start, tmp_path, HERE)
    first, second = ((tmp_path / f"{rank}.txt").read_text().splitlines() for rank in range(2))
    assert first[0] == second[0]
    assert first[0].startswith("InputError: ")
    assert "there is no folder" in first[0]
    assert first[1] == "RuntimeError: on MPI rank 1: 'a filter that fails'"
    assert second[1] == "KeyError: 'a filter that fails'"
    assert first[2] == second[2]
    assert first[2].endswith("the types of this simulation are A.")
    assert first[3:5] == second[3:5] == ["nothing happened"] * 2
    # the simulation goes on, on all ranks, with one warning
    why = "a filter that fails'. All particles are labeled unknown until this changes."
    for rank in (first, second):
        assert rank[5].startswith("nothing happened; ")
        assert rank[5].endswith(why)
        assert rank[5].count(why) == 1
    assert [frame.configuration.step for frame in frames_of(tmp_path / "d.gsd")] == [1, 2]
    for frame in frames_of(tmp_path / "d.gsd"):
        assert (frame_labels(frame)[0] == -1).all()
    assert (first[6], second[6]) == (first[1], second[1])
    assert first[7] == second[7]
    assert first[7].startswith("InputError: denoise_steps needs all particles on one MPI rank; ")


#: Two partitions, which begin to write together.
PARTITIONS = """
import sys, warnings
import hoomd, hoomd_gala
from mpi4py import MPI
from pathlib import Path
model, start, folder, here, *names = sys.argv[1:]
sys.path.insert(0, here)
from mixtures import simulation_of
communicator = hoomd.communicator.Communicator(ranks_per_partition=1)
simulation = simulation_of(start, communicator)
classifier = hoomd_gala.Classifier(model, f"{folder}/{names[communicator.partition]}")
writers = simulation.operations.writers
writers.append(hoomd.write.CustomWriter(action=classifier, trigger=1))
simulation.run(0)
MPI.COMM_WORLD.Barrier()
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    simulation.run(3)
said = [str(one.message) for one in caught]
Path(folder, f"{communicator.partition}.txt").write_text("\\n".join(said))
"""


def test_one_of_two_partitions_writes_a_file(start, model_path, tmp_path):
    mpirun(2, PARTITIONS, model_path, start, tmp_path, HERE, "a", "a")
    said = [(tmp_path / f"{k}.txt").read_text() for k in range(2)]
    assert sorted(map(bool, said)) == [False, True]
    assert "No frames are written to" in "".join(said)
    assert [frame.configuration.step for frame in frames_of(tmp_path / "a")] == [1, 2, 3]
    mpirun(2, PARTITIONS, model_path, start, tmp_path, HERE, "b", "c")
    assert not any((tmp_path / f"{k}.txt").read_text() for k in range(2))


def test_traffic_does_not_grow_with_the_system():
    benchmark = HERE.parent / "benchmarks" / "mpi.py"
    command = [sys.executable, str(benchmark), "--domains", "2,1,1", "6,1,1", "--particles", "2000"]
    # without what importing HOOMD-blue here has set
    environment = dict(os.environ)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert not done.returncode, done.stderr
    small, large = (line.split() for line in done.stdout.splitlines()[1:])
    assert int(large[1]) == 3 * int(small[1])
    assert float(large[2]) < 1.3 * float(small[2])


#: Particles are moved within a timestep, on one rank at first and then on all.
MOVED = """
import sys
import numpy as np
import hoomd, hoomd_gala
model, start, folder, here = sys.argv[1:]
sys.path.insert(0, here)
from mixtures import simulation_of
simulation = simulation_of(start, hoomd.communicator.Communicator())
classifier = hoomd_gala.Classifier(model, folder + "/moved.gsd")
simulation.operations.writers.append(hoomd.write.CustomWriter(action=classifier, trigger=1))
simulation.run(0)
_ = classifier.label
before = classifier.fraction("cI2-W"), classifier.clusters("cI2-W").largest
assert before[0] > 0.8 and before[1] > 500, before
snapshot = simulation.state.get_snapshot()
if snapshot.communicator.rank == 0:
    snapshot.particles.position[:] = np.random.default_rng(1).uniform(
        -0.49, 0.49, (snapshot.particles.N, 3)) * snapshot.configuration.box[:3]
simulation.state.set_snapshot(snapshot)
after = classifier.fraction("cI2-W"), classifier.clusters("cI2-W").largest
assert after[0] < 0.5 and after[1] < 300, after
label = classifier.label
simulation.run(0, write_at_start=True)
if label is not None:
    np.save(folder + "/label.npy", label)
"""


def test_labels_follow_positions_that_change_within_a_timestep(start, model_path, tmp_path):
    mpirun(2, MOVED, model_path, start, tmp_path, HERE)
    with open_trajectory(tmp_path / "moved.gsd") as trajectory:
        frame = trajectory[-1]
        expected = Analyzer(model_path).analyze(frame)
    np.testing.assert_array_equal(frame_labels(frame)[0], expected.label)
    np.testing.assert_array_equal(np.load(tmp_path / "label.npy"), expected.label)
    assert (expected.label == 1).mean() < 0.5
