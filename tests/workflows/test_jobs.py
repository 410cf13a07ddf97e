"""Operations run alone, once, and after their conditions."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
import signac
from flow import FlowProject
from study.flow import jobs

WORKFLOWS = Path(__file__).parents[2] / "workflows"

#: An operation on the job in a folder, which goes on until a file of some name is there.
CODE = """
import sys, time
import signac
from flow import FlowProject
from study.flow.jobs import alone, has

@alone(has("done"))
def work(job):
    with open(job.fn("begun"), "a") as file:
        file.write("x")
    while not job.isfile(sys.argv[2]):
        time.sleep(0.02)
    open(job.fn("done"), "w").close()

work(signac.get_job(sys.argv[1]))
"""


@pytest.fixture
def job(tmp_path):
    return signac.init_project(tmp_path).open_job({"study": "none"}).init()


def start(job, until):
    command = [sys.executable, "-c", CODE, job.path, until]
    return subprocess.Popen(command, cwd=WORKFLOWS, stdout=subprocess.PIPE, text=True)


def begin(job, until):
    """Start an operation and return its process when it works."""
    process = start(job, until)
    deadline = time.monotonic() + 60
    while not job.isfile("begun"):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return process


def test_an_operation_waits_for_another_process_and_finds_the_work_done(job):
    first, second = begin(job, "go"), start(job, "go")
    # said at once, and not when it is over
    assert "waiting for the process" in second.stdout.readline()
    Path(job.fn("go")).touch()
    assert second.communicate(timeout=60)[0] == ""
    assert first.communicate(timeout=60)[0] == ""
    assert Path(job.fn("begun")).read_text() == "x"


def test_a_process_that_dies_lets_others_work(job):
    first = begin(job, "never")
    first.kill()
    first.communicate()
    second = start(job, "begun")
    assert second.communicate(timeout=30)[0] == ""
    assert job.isfile("done")
    assert Path(job.fn("begun")).read_text() == "xx"


def test_conditions_are_looked_at_in_order(job, monkeypatch):
    """A condition may rely on those before it, as of the kind of job."""
    seen = []

    def condition(name, answer):
        def look(job):
            seen.append(name)
            return answer

        return look

    # without the operations that other tests have registered
    class Project(FlowProject):
        pass

    monkeypatch.setattr(jobs, "Study", Project)
    monkeypatch.setattr(jobs, "OPERATIONS", [])

    @jobs.operation(condition("first", True), condition("second", False), post=jobs.has("x"))
    def nothing(job):
        raise AssertionError

    project = Project.get_project(job.project.path)
    project.run()
    assert seen == ["first", "second"]
