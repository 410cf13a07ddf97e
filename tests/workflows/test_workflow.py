"""The workflow from end to end, interrupted and not, and its parts."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import gsd.hoomd
import numpy as np
import pytest
from conftest import HAS_HOOMD, needs_hoomd
from pictures import check_colors, pixels
from study.flow import studies
from study.reports import summary
from study.simulation import protocol, restarts
from study.solids import identification
from tqdm.auto import tqdm

from hoomd_gala.analyzer import Analyzer
from hoomd_gala.colors import structure_color
from hoomd_gala.crystals import potentials
from hoomd_gala.errors import InputError
from hoomd_gala.files import frame_labels, open_trajectory
from hoomd_gala.files.atomic import read_table
from hoomd_gala.names import title
from hoomd_gala.systems import as_system

WORKFLOWS = Path(__file__).parents[2] / "workflows"

#: Timesteps of the frames of a system in the smoke study.
SMOKE_STEPS = list(range(500, 5001, 500))

SYSTEM_FILES = {
    "trajectory.gsd", "restart.gsd", "structures.csv", "structures.png", "checks.csv",
    "last_frame.png", "trajectory-view.gsd",
}  # fmt: skip
FRAME_FILES = {
    "frames.safetensors", "frames_checkpoint.pt", "frames_learning_curve.csv",
    "frames_learning_curve.png", "predicted_frames.csv",
    "phases.csv", "phases.png", "snapshots.png",
}  # fmt: skip
MODEL_FILES = {
    "structures.safetensors", "structures.json", "structures.md", "checkpoint.pt",
    "learning_curve.csv", "learning_curve.png",
}  # fmt: skip


def fresh_copy(folder):
    """The workflow as a fresh checkout has it."""
    shutil.copytree(
        WORKFLOWS, folder, ignore=shutil.ignore_patterns("workspace", "summary", ".signac")
    )
    return folder


def environment(folder, engine=None):
    """Environment of a run; ``engine="OpenMM"`` hides HOOMD-blue from it."""
    variables = dict(os.environ)
    if engine == "OpenMM":
        hidden = folder / "hidden"
        hidden.mkdir(exist_ok=True)
        (hidden / "sitecustomize.py").write_text("import sys\nsys.modules['hoomd'] = None\n")
        variables["PYTHONPATH"] = os.pathsep.join((str(hidden), variables.get("PYTHONPATH", "")))
    return variables


def start(folder, *arguments, engine=None, **options):
    command = [sys.executable, str(folder / "project.py"), *arguments]
    return subprocess.Popen(
        command, env=environment(folder, engine), cwd=folder, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options,
    )  # fmt: skip


def run(folder, *arguments, engine=None):
    process = start(folder, *arguments, engine=engine)
    output, _ = process.communicate(timeout=600)
    return process.returncode, output


def results(folder):
    """Result files by job, without what flow and signac keep for themselves."""
    return {
        job.name: {
            path.name for path in job.iterdir() if not path.name.startswith((".", "signac_"))
        }
        for job in (folder / "workspace").iterdir()
    }


def check_results(folder, engine):
    """Check that all files are there, complete and right."""
    sets = sorted(map(sorted, results(folder).values()))
    expected = [
        {"trajectory.gsd"},
        {"trajectory.gsd", "restart.gsd"},
        MODEL_FILES,
        SYSTEM_FILES,
        SYSTEM_FILES | FRAME_FILES,
    ]
    assert sets == sorted(map(sorted, expected))
    (model,) = (folder / "workspace").glob("*/structures.safetensors")
    analyzer = Analyzer(model, "cpu")
    for job in (folder / "workspace").iterdir():
        if not (job / "structures.csv").is_file():
            continue
        point = json.loads((job / "signac_statepoint.json").read_text())
        potential = protocol.pair_potential(point)
        rows = read_table(job / "structures.csv")
        with open_trajectory(job / "trajectory.gsd") as trajectory:
            assert [frame.configuration.step for frame in trajectory] == SMOKE_STEPS
            for frame, row in zip(trajectory, rows, strict=True):
                labels, names = frame_labels(frame)
                assert names == ["cF4-Cu", "cI2-W", "disordered"]
                # what the study's model makes of the positions, up to their rounding in the file
                system = as_system(frame)
                result = analyzer.analyze_system(system)
                assert len(labels) == 216
                assert (labels == result.label).mean() > 0.98
                assert "particles/hoomd_gala/Classifier/embedding" not in frame.log
                # the table has what the trajectory has
                shown = np.array([*names, "unknown"])[labels]
                for name in (*names, "unknown"):
                    assert float(row[name]) == pytest.approx((shown == name).mean())
                step = frame.configuration.step
                assert int(row["timestep"]) == step
                # held for 1000 timesteps, then cooled from 1.0 to 0.3 over 4000
                kT = 1.5 if step < 1000 else 1.0 - 0.7 * (step - 1000) / 4000
                assert float(row["kT"]) == pytest.approx(kT)
                energy = identification.energies(system, potential).mean()
                assert float(row["energy"]) == pytest.approx(energy, rel=2e-3, abs=2e-3)
        # what a person opens has structures as types, whatever the engine's file has
        with open_trajectory(job / "trajectory-view.gsd") as view:
            assert [frame.configuration.step for frame in view] == SMOKE_STEPS
            shown = view[-1].particles
            titles = np.array([*map(title, names), "unknown"])[labels]
            np.testing.assert_array_equal(np.array(shown.types)[shown.typeid], titles)
            labels = np.array([*names, "unknown"])[labels]
        assert float(rows[-1]["energy"]) < float(rows[0]["energy"]) - 0.5
        fluid = [row for row in rows if float(row["kT"]) > 0.8]
        (checked,) = read_table(job / "checks.csv")
        assert checked["check"] == "frames above kT = 0.8 labeled disordered"
        assert int(checked["particles"]) == 216 * len(fluid)
        share = np.mean([float(row["disordered"]) for row in fluid])
        assert float(checked["agreement"]) == pytest.approx(share)
        seen = {name: structure_color(name) for name in set(labels.tolist())}
        check_colors(job / "last_frame.png", seen.values(), least=1e-5)
        # a legend alone covers less
        assert (pixels(job / "last_frame.png") < 0.95).any(axis=-1).mean() > 0.1
        # a structure that is frequent at any time is seen in the fractions
        frequent = [n for n in (*names, "unknown") if max(float(row[n]) for row in rows) > 0.1]
        check_colors(job / "structures.png", map(structure_color, frequent), least=1e-3)
    text = (folder / "summary" / "smoke" / "summary.md").read_text()
    assert f"| OPP k=6.25 phi=0.62 | system | {engine}" in text
    checked = read_table(folder / "summary" / "smoke" / "checks.csv")
    assert {row["system"] for row in checked} == {"OPP k=6.25 phi=0.62", "Lennard-Jones"}


ENGINE = "HOOMD-blue" if HAS_HOOMD else "OpenMM"


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    """The smoke study, run to its end on the engine that is here."""
    folder = fresh_copy(tmp_path_factory.mktemp("smoke") / "workflows")
    code, output = run(folder, "run", "--study", "smoke")
    assert code == 0, output
    return folder, output


def test_smoke_study_from_start_to_end(smoke):
    folder, output = smoke
    check_results(folder, ENGINE)
    # the plan, each step with its number, and what is worth a look
    assert "5 jobs, 0 finished; 13 steps, 0 done" in output
    assert "   2 × simulate             Cool a system from gas to solid" in output
    assert "About 1 min from start to end" in output
    assert re.search(r"^\[\d+/13\] simulate fluid: Lennard-Jones$", output, re.M)
    assert re.findall(r"\[(\d+)/13\] .*: done in", output)[-1] == "13"
    assert "done in" not in re.sub(r"\[\d+/13\] .*: done in \d+", "", output)
    end = output[output.index("Study smoke is finished, in ") :]
    shown = re.findall(r"^  (\S+)$", end, re.M)
    assert [Path(path).name for path in shown] == [
        *("last_frame.png", "structures.png", "phases.png", "summary.md"),
        *2 * ["trajectory-view.gsd"],
    ]
    assert all((folder / path).is_file() for path in shown)
    assert "cd . && signac find study smoke" in end
    for noise in ("Serialize", "Interpreted", "WARNING:flow", "\r"):
        assert noise not in output


def test_summary_has_chances_and_pictures_by_name(smoke):
    folder, _ = smoke
    folder /= "summary/smoke"
    text = (folder / "summary.md").read_text()
    # two structures and disorder; ten frames
    assert re.search(r"^\| structures \| 3 \| 0\.\d+ \(one seed\) \| 0\.333 \|$", text, re.M)
    frames = r"^\| frames of OPP k=6.25 phi=0.62 \| 10 \| 0\.\d+ \(one seed\) \| 0\.100 \|$"
    assert re.search(frames, text, re.M)
    listed = re.findall(r"^- (?![^/\n]*: )(.*)$", text, re.M)
    assert sorted(listed) == sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*.*")
        if path.is_file() and path.name != "summary.md"
    )
    assert {"Lennard-Jones/last_frame.png", "learning_curve.png"} < set(listed)


def test_few_particles_are_too_few_to_tell():
    assert summary.agreement([0.4], [5])["agreement"] == "2 of 5: too few to tell"
    assert summary.agreement([0.4], [500])["agreement"] == "0.400"


def test_finished_study_has_nothing_left_to_do(smoke):
    folder, _ = smoke
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.gsd")}
    code, output = run(folder, "run")
    assert code == 0, output
    assert "5 jobs, 5 finished; 13 steps, 13 done.\n" in output
    # where its results are, though it did nothing
    assert "Study smoke is finished.\n  summary/smoke/Lennard-Jones/last_frame.png" in output
    assert "[1" not in output
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.gsd")} == before
    code, output = run(folder, "status", "--study", "smoke")
    assert code == 0, output
    assert "0 jobs/aggregates with eligible operations" in output


def test_a_summary_that_was_removed_is_made_again_and_nothing_else(smoke):
    folder, _ = smoke
    before = {path: path.stat().st_mtime_ns for path in (folder / "workspace").rglob("*.csv")}

    def summaries():
        return {it: it.read_bytes() for it in (folder / "summary").rglob("*") if it.is_file()}

    first = summaries()
    assert {path.name for path in first} > {"summary.md", "phases.csv", "phases.png"}
    shutil.rmtree(folder / "summary")
    code, output = run(folder, "run")
    assert code == 0, output
    assert "5 jobs, 2 finished" in output
    assert summaries() == first
    after = {path: path.stat().st_mtime_ns for path in (folder / "workspace").rglob("*.csv")}
    assert after == before


def test_trajectory_opens_in_ovito_with_particle_properties(smoke):
    from ovito.io import import_file

    folder, _ = smoke
    for job in (folder / "workspace").iterdir():
        if (job / "structures.csv").is_file():
            data = import_file(str(job / "trajectory.gsd")).compute(len(SMOKE_STEPS) - 1)
            assert data.particles["hoomd_gala_Classifier_label"].array.shape == (216,)
            assert data.particles["hoomd_gala_Classifier_confidence"].array.shape == (216,)
            # 64 bytes a particle and frame that nothing reads
            assert "hoomd_gala_Classifier_embedding" not in data.particles


def test_killed_runs_end_with_the_same_results(tmp_path):
    """SIGKILL as soon as each kind of work has begun; the last run finishes.

    On OpenMM, whatever ran above.
    """
    folder = fresh_copy(tmp_path / "workflows")
    points = [
        "trajectory.gsd",
        "checkpoint.pt",
        "restart.gsd",
        "frames_checkpoint.pt",
        "phases.csv",
    ]
    for i, point in enumerate(points):
        before = set((folder / "workspace").glob(f"*/{point}*"))
        process = start(folder, "run", "--study", "smoke", engine="OpenMM", start_new_session=True)
        deadline = time.monotonic() + 300
        while not set((folder / "workspace").glob(f"*/{point}*")) - before:
            if process.poll() is not None:
                break  # what lived on of the run before had done this already
            assert time.monotonic() < deadline
            time.sleep(0.02)
        if process.poll() is not None:
            assert process.returncode == 0, process.communicate()[0]
        elif i % 2:
            process.kill()  # the run alone: what it started lives on
        else:
            os.killpg(process.pid, signal.SIGKILL)  # everything at once
        process.wait()
        process.stdout.close()
    code, output = run(folder, "run", "--study", "smoke", engine="OpenMM")
    assert code == 0, output
    check_results(folder, "OpenMM")
    assert not list(folder.rglob("*.part"))


@pytest.mark.parametrize(("step", "seconds"), [(1, 0), (2, 4)])
def test_interrupt_takes_one_line(tmp_path, step, seconds):
    folder = fresh_copy(tmp_path / "workflows")
    process = start(folder, "run", "--study", "smoke", engine="OpenMM", start_new_session=True)
    while not process.stdout.readline().startswith(f"[{step}/13]"):
        assert process.poll() is None
    time.sleep(seconds)  # it is being started, or works
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "Traceback" not in output
    assert output.count("interrupted; the next run continues from here.") == 1


def test_init_status_submit(tmp_path):
    folder = fresh_copy(tmp_path / "workflows")
    code, output = run(folder, "status")
    assert code == 2
    assert "there is no study yet" in output
    code, output = run(folder, "init", "--study", "smoke")
    assert code == 0, output
    assert "5 jobs" in output
    code, output = run(folder, "status")
    assert code == 0, output
    assert "simulate_fluid" in output
    output = pretend_to_submit(folder, tmp_path, "--study", "smoke")
    assert "#SBATCH -t 00:12:00" in output
    assert "project.py" in output
    assert "simulate_fluid" in output
    assert "--gpus" not in output


def pretend_to_submit(folder, tmp_path, *arguments):
    """Scripts for a scheduler, which flow finds by its command."""
    tools = tmp_path / "tools"
    tools.mkdir(exist_ok=True)
    for name in ("sbatch", "squeue"):
        (tools / name).write_text("#!/bin/sh\nexit 0\n")
        (tools / name).chmod(0o755)
    variables = environment(folder)
    variables["PATH"] = f"{tools}{os.pathsep}{variables['PATH']}"
    done = subprocess.run(
        [sys.executable, str(folder / "project.py"), "submit", "--pretend", *arguments],
        env=variables, cwd=folder, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    return done.stdout


def test_gpus_are_requested_where_they_are_needed(tmp_path):
    folder = fresh_copy(tmp_path / "workflows")
    options = ("--study", "paper", "--partition", "gpu", "--account", "me")
    output = pretend_to_submit(folder, tmp_path, *options, "-o", "simulate_assembly")
    assert output.count("#SBATCH --gpus=1") == output.count("#SBATCH -t 24:00:00") == 10
    assert "#SBATCH --partition=gpu" in output
    assert "#SBATCH --account=me" in output
    output = pretend_to_submit(folder, tmp_path, *options, "-o", "collect_reference")
    assert "#SBATCH -t 24:00:00" in output
    assert "--gpus" not in output


@pytest.mark.skipif(shutil.which("sbatch") is not None, reason="a scheduler is here")
def test_without_a_scheduler_nothing_is_submitted(tmp_path):
    folder = fresh_copy(tmp_path / "workflows")
    code, output = run(folder, "submit", "--study", "paper", "-o", "collect_reference")
    assert code == 2
    assert "a scheduler such as SLURM is needed" in output
    assert "Traceback" not in output


def test_unknown_study_is_refused_with_the_names_of_the_known(tmp_path):
    folder = fresh_copy(tmp_path / "workflows")
    code, output = run(folder, "run", "--study", "nothing")
    assert code == 2
    assert f"there is no study 'nothing'; there are {', '.join(studies.names())}" in output
    assert not (folder / "workspace").exists()


def test_state_points_are_flat_and_unlike():
    for name in studies.names():
        points = studies.state_points(name)
        assert len({str(sorted(point.items())) for point in points}) == len(points)
        # filters are for simulations; shipped models have tables of numbers, and systems that
        # models are measured on have potentials of many parameters
        models = ("shipped_model", "denoise_model", "compounds_model", "embedding_model")
        tables = (*models, "quality_system")
        flat = [p for p in points if p["kind"] not in tables]
        assert not any(isinstance(value, dict) for point in flat for value in point.values())


# ---- engines ----

POTENTIALS = [
    potentials.opp(6.25, 0.62),
    potentials.opp(8.0, 0.5),
    potentials.ljg(0.0, 1.0),
    potentials.ljg(1.8, 1.45),
]


PROTOCOL = protocol.Protocol(
    n_particles=125, number_density=0.3, gas_kT=1.5, gas_steps=200, start_kT=1.0, end_kT=0.5,
    cooling_steps=800, dt=0.005, gamma=10.0, period=50, seed=1,
)  # fmt: skip


def test_protocol_holds_the_gas_and_cools_linearly():
    assert [PROTOCOL.kT(step) for step in (0, 199, 200, 600, 1000)] == [1.5, 1.5, 1, 0.75, 0.5]
    positions = PROTOCOL.initial_positions()
    assert positions.shape == (125, 3)
    assert abs(positions).max() < PROTOCOL.box_length / 2


@needs_hoomd
@pytest.mark.parametrize("potential", POTENTIALS, ids=lambda p: p.name)
def test_engines_have_the_same_forces(potential):
    import hoomd
    import openmm
    from openmm import unit
    from study.simulation import engine_hoomd, engine_openmm

    rng = np.random.default_rng(1)
    positions = PROTOCOL.initial_positions() + rng.uniform(-0.15, 0.15, size=(125, 3))
    edge = PROTOCOL.box_length

    snapshot = hoomd.Snapshot()
    snapshot.configuration.box = [edge, edge, edge, 0, 0, 0]
    snapshot.particles.N = 125
    snapshot.particles.types = ["A"]
    snapshot.particles.position[:] = positions
    simulation = hoomd.Simulation(hoomd.device.CPU(), seed=1)
    simulation.create_state_from_snapshot(snapshot)
    force = engine_hoomd.pair_force(potential)
    method = hoomd.md.methods.ConstantVolume(hoomd.filter.All())
    simulation.operations.integrator = hoomd.md.Integrator(0.001, methods=[method], forces=[force])
    simulation.run(0)

    system = openmm.System()
    for _ in range(125):
        system.addParticle(1.0)
    system.addForce(engine_openmm.pair_force(potential, 125))
    system.setDefaultPeriodicBoxVectors([edge, 0, 0], [0, edge, 0], [0, 0, edge])
    platform = openmm.Platform.getPlatformByName("Reference")
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), platform)
    context.setPositions(positions)
    state = context.getState(getForces=True, getEnergy=True)
    other = state.getForces(asNumpy=True).value_in_unit(unit.kilojoule_per_mole / unit.nanometer)
    energy = state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole)

    # a pair within a table's cell of the cutoff counts for one engine and not for the other
    jump = abs(float(potential.energy(np.nextafter(potential.r_cut, 0))))
    assert force.energy == pytest.approx(energy, rel=1e-4, abs=2.5 * jump)
    scale = np.sqrt((other**2).mean())
    np.testing.assert_allclose(force.forces, other, atol=2e-3 * scale)


class InterruptionError(Exception):
    """Stands for a kill in the middle of a simulation."""


class FragileBar(tqdm):
    """A progress bar that ends the run at a timestep."""

    end: float = float("inf")

    def update(self, n=1):
        super().update(n)
        if self.n > self.end:
            raise InterruptionError


@pytest.mark.parametrize("name", [pytest.param("engine_hoomd", marks=needs_hoomd), "engine_openmm"])
def test_interrupted_simulation_continues_from_its_restart_file(name, model_path, tmp_path):
    import importlib

    engine = importlib.import_module(f"study.simulation.{name}")
    potential = potentials.ljg(0.0, 1.0)
    with FragileBar(total=PROTOCOL.total_steps) as bar:
        bar.end = 620
        with pytest.raises(InterruptionError):
            engine.run(PROTOCOL, potential, tmp_path, model_path, 1, bar)
    with open_trajectory(restarts.restart_path(tmp_path)) as restart:
        frame = restart[0]
    assert 250 <= frame.configuration.step <= 600
    assert abs(frame.particles.velocity).max() > 0.1
    with FragileBar(total=PROTOCOL.total_steps) as bar:
        ran = engine.run(PROTOCOL, potential, tmp_path, model_path, 1, bar)
        assert bar.n == PROTOCOL.total_steps
    assert set(ran) == {"engine", "version", "device"}
    with open_trajectory(restarts.trajectory_path(tmp_path)) as trajectory:
        frames = list(trajectory)
    assert [frame.configuration.step for frame in frames] == list(range(50, 1001, 50))
    assert all(frame_labels(frame) is not None for frame in frames)
    # an unbroken one is the same, bit by bit
    unbroken = tmp_path / "unbroken"
    unbroken.mkdir()
    with tqdm(total=PROTOCOL.total_steps) as bar:
        engine.run(PROTOCOL, potential, unbroken, model_path, 1, bar)
    with open_trajectory(restarts.trajectory_path(unbroken)) as trajectory:
        for frame, other in zip(frames, trajectory, strict=True):
            np.testing.assert_array_equal(frame.particles.position, other.particles.position)
            np.testing.assert_array_equal(frame_labels(frame)[0], frame_labels(other)[0])
    key = "md/compute/ThermodynamicQuantities/kinetic_energy"
    kinetic = [frame.log[key][0] / 125 for frame in frames]
    # the thermostat holds the gas at its temperature, before and after the interruption
    assert np.mean(kinetic[:4]) == pytest.approx(1.5 * 1.5, rel=0.25)
    assert np.mean(kinetic[-4:]) == pytest.approx(1.5 * 0.55, rel=0.25)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda frame: frame.particles.position.__setitem__(3, np.nan), "NaN|not finite"),
        (
            lambda frame: frame.particles.velocity.__setitem__(3, np.inf),
            "velocities are not finite",
        ),
        (lambda frame: setattr(frame.particles, "N", 0), "0 particles and not 125|no particles"),
        (None, "damaged|not a GSD file"),
    ],
)
def test_a_damaged_restart_file_is_named(damage, reason, tmp_path):
    frame = gsd.hoomd.Frame()
    frame.configuration.box = [PROTOCOL.box_length] * 3 + [0, 0, 0]
    frame.particles.N = 125
    frame.particles.position = PROTOCOL.initial_positions().astype(np.float32)
    frame.particles.velocity = np.ones((125, 3), np.float32)
    if damage is not None:
        damage(frame)
        if not frame.particles.N:
            frame.particles.position = frame.particles.velocity = None
    path = restarts.restart_path(tmp_path)
    with gsd.hoomd.open(path, "w") as file:
        file.append(frame)
    if damage is None:
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match=rf"cannot continue from {path} \(.*({reason})"):
        restarts.resume(tmp_path, 125)


def test_two_runs_on_openmm_are_the_same_whatever_the_threads(tmp_path):
    from study.simulation import engine_openmm

    potential = potentials.ljg(0.0, 1.0)
    found = []
    for threads in (1, 2, 2):
        folder = tmp_path / str(len(found))
        folder.mkdir()
        with tqdm(total=PROTOCOL.total_steps) as bar:
            engine_openmm.run(PROTOCOL, potential, folder, None, threads, bar)
        with open_trajectory(restarts.trajectory_path(folder)) as trajectory:
            found.append([frame.particles.position for frame in trajectory])
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[1], found[2])
