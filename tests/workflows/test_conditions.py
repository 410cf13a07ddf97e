"""What counts as done: copies in the summary, jobs of today's studies, all operations of a job."""

import os
import shutil
import time
from pathlib import Path

import pytest
import signac
from flow import FlowProject
from study.flow import jobs, studies
from study.operations import simulations
from study.operations.summary import finished
from test_workflow import fresh_copy, run

#: Files of a system in the summary.
PUBLISHED = (
    "structures.csv",
    "structures.png",
    "checks.csv",
    "last_frame.png",
    "trajectory-view.gsd",
    "frames_learning_curve.png",
    "phases.csv",
    "phases.png",
    "snapshots.png",
)

SMOKE = (studies.FOLDER / "smoke.toml").read_text()


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder of studies with the smoke study as ``mine``, and a project and summary beside it."""
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "mine.toml").write_text(SMOKE)
    monkeypatch.setattr(studies, "FOLDER", tmp_path / "studies")
    monkeypatch.setattr(jobs, "FOLDER", tmp_path)
    monkeypatch.setattr(jobs, "OPERATIONS", [])
    return tmp_path


def init(place, Project=FlowProject):
    """The jobs of the study, by kind and potential."""
    signac.init_project(place)
    project = Project.get_project(str(place))
    for point in studies.state_points("mine"):
        project.open_job(point).init()
    return project


def only(project, **wanted):
    (job,) = project.find_jobs(wanted)
    return job


def edit(place, old, new):
    path = place / "studies" / "mine.toml"
    changed = path.stat().st_mtime_ns
    path.write_text(path.read_text().replace(old, new))
    os.utime(path, ns=(changed + 10**9, changed + 10**9))


# ---- copies ----


def test_copies_that_are_missing_or_old_are_made_without_the_work(place, monkeypatch):
    class Project(FlowProject):
        pass

    monkeypatch.setattr(jobs, "Study", Project)
    worked = []

    @jobs.operation(
        jobs.kind("system"),
        post=jobs.has("a.csv"),
        directives={},
        publishes=jobs.published("a.csv", "b.csv", under=lambda job: f"{job.sp.potential} x"),
    )
    def work(job):
        worked.append(job.id)
        for name in ("a.csv", "b.csv"):
            Path(job.fn(name)).write_text(f"{len(worked)}")

    project = init(place, Project)
    system = only(project, kind="system", potential="opp")
    (work_of,) = jobs.OPERATIONS
    done = work_of.done
    # killed after the first of its outputs: both are made
    Path(system.fn("a.csv")).write_text("0")
    assert not done(system)
    project.run()
    assert len(worked) == 2
    copies = place / "summary" / "mine" / "opp_x"
    assert sorted(path.name for path in copies.iterdir()) == ["a.csv", "b.csv"]
    assert done(system)
    # killed between an output and its copy, or the summary was removed
    for lost in (copies / "b.csv", place / "summary"):
        shutil.rmtree(lost) if lost.is_dir() else lost.unlink()
        assert not done(system)
        project.run()
        assert done(system)
        assert (copies / "b.csv").read_text() == Path(system.fn("b.csv")).read_text()
    Path(system.fn("a.csv")).write_text("again")
    later = time.time_ns() + 10**9
    os.utime(system.fn("a.csv"), ns=(later, later))
    assert not done(system)
    assert len(worked) == 2


# ---- studies that are edited ----


def test_only_jobs_of_the_study_as_it_is_now_count(place):
    project = init(place)
    old = only(project, kind="system", potential="opp")
    model = only(project, kind="structure_model")
    assert jobs.is_current(old)
    assert len(jobs.of_kind(model, "system")) == len(jobs.siblings(old)) == 2
    edit(place, "k = 6.25", "k = 7.0")
    project = init(place)
    assert len(project) == 6
    assert not jobs.is_current(old)
    assert jobs.is_current(model)
    now = jobs.of_kind(model, "system")
    assert [job.sp.k for job in now if job.sp.potential == "opp"] == [7.0]
    assert len(now) == 2
    assert old not in jobs.study_jobs(model)
    assert jobs.find_file(model, "system", "x") is None
    Path(old.fn("x")).touch()
    assert jobs.find_file(model, "system", "x") is None
    assert not jobs.every("system", jobs.has("x"))(model)
    # without a file of the study, nothing is known of what it should have
    (place / "studies" / "mine.toml").unlink()
    assert jobs.is_current(old)


def test_tables_are_made_again_of_other_jobs(place, monkeypatch):
    class Project(FlowProject):
        pass

    monkeypatch.setattr(jobs, "Study", Project)

    def systems(job):
        return jobs.of_kind(job, "system")

    @jobs.operation(jobs.kind("structure_model"), post=jobs.has("table"), directives={}, of=systems)
    def tabulate(job):
        Path(job.fn("table")).write_text(
            " ".join(sorted(str(it.sp.get("k")) for it in systems(job)))
        )

    def table():
        project = init(place, Project)
        project.run()
        return Path(only(project, kind="structure_model").fn("table")).read_text()

    assert table() == "6.25 None"
    edit(place, "k = 6.25", "k = 7.0")
    assert table() == "7.0 None"
    # what finished before this was noted stays as it is
    job = only(init(place, Project), kind="structure_model")
    del job.doc["made of"]
    Path(job.fn("table")).write_text("old")
    assert table() == "old"


def test_status_lists_what_is_left_over(tmp_path):
    folder = fresh_copy(tmp_path / "workflows")
    assert run(folder, "init", "--study", "smoke")[0] == 0
    path = folder / "studies" / "smoke.toml"
    path.write_text(SMOKE.replace("k = 6.25", "k = 7.0"))
    code, output = run(folder, "init", "--study", "smoke")
    assert code == 0, output
    code, output = run(folder, "status")
    assert code == 0, output
    (left,) = signac.get_project(str(folder)).find_jobs({"kind": "system", "k": 6.25})
    assert "left over: 1 of 6 jobs, which their studies no longer have" in output
    assert f"count for nothing: {left.id};" in output
    path.write_text(SMOKE.replace("k = 6.25", "k = nan"))
    code, output = run(folder, "run", "--study", "smoke")
    assert code == 2
    assert "smoke.toml: systems[0].k: not a finite number" in output
    assert len(list((folder / "workspace").iterdir())) == 6


# ---- jobs that are finished ----


def test_a_job_is_finished_when_all_of_its_operations_are(place):
    project = init(place)
    system = only(project, kind="system", potential="opp")
    assert not finished(system)
    for name in (
        "phases.csv",
        "checks.csv",
        "structures.png",
        "last_frame.png",
        "trajectory-view.gsd",
    ):
        Path(system.fn(name)).touch()
    system.doc.simulation = {"seconds": 1.0}
    assert not finished(system)
    for name in ("structures.csv", "frames.safetensors", "predicted_frames.csv", "snapshots.png"):
        Path(system.fn(name)).touch()
    Path(system.fn("phases.png")).touch()
    assert not finished(system)  # nothing is in the summary
    folder = place / "summary" / "mine" / "OPP_k=6.25_phi=0.62"
    folder.mkdir(parents=True)
    Path(system.fn("frames_learning_curve.png")).touch()
    for name in PUBLISHED:
        assert not finished(system)
        shutil.copyfile(system.fn(name), folder / name)
    assert finished(system)
    fluid = only(project, kind="fluid")
    assert not finished(fluid)
    fluid.doc.simulation = {"seconds": 1.0}
    assert finished(fluid)


def test_seconds_of_interrupted_stretches_add_up(place):
    job = only(init(place), kind="fluid")
    trajectory = Path(job.fn(jobs.TRAJECTORY))
    assert simulations.seconds_before(job) == 0
    began = job.doc["simulation so far"]["began"]
    trajectory.touch()
    os.utime(trajectory, (began + 40, began + 40))
    assert simulations.seconds_before(job) == pytest.approx(40, abs=0.1)
    # killed before it wrote anything
    assert simulations.seconds_before(job) == pytest.approx(40, abs=0.1 + 40)


def test_systems_that_are_alike_are_named_for_what_differs(place):
    edit(place, "r0 = 1.0\n\n[fluid", "r0 = 1.0\nseed = 7\n\n[fluid")
    systems = 'potential = "ljg"\nepsilon = 0.0\nr0 = 1.0'
    path = place / "studies" / "mine.toml"
    path.write_text(path.read_text() + f"\n[[systems]]\n{systems}\nseed = 8\n")
    project = init(place)
    found = simulations.names(project.find_jobs({"kind": "system"}))
    assert sorted(found.values()) == [
        "Lennard-Jones seed=7",
        "Lennard-Jones seed=8",
        "OPP k=6.25 phi=0.62",
    ]
    one = only(project, kind="system", seed=8)
    assert simulations.name_of(one) == "Lennard-Jones seed=8"
