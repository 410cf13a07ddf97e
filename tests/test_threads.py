"""How many threads are taken where cores are taken by others."""

import os
import subprocess
import sys

import pytest

from hoomd_gala.threads import cores, idle_cores, idle_share, idle_times, spare_threads

BEFORE = """\
cpu  300 0 100 600 0 0 0 0 0 0
cpu0 100 0 50 350 0 0 0 0 0 0
cpu1 200 0 50 200 50 0 0 0 0 0
cpu2 0 0 0 100 0 0 0 0 0 0
intr 12345 0 9
"""

AFTER = """\
cpu  400 0 100 700 0 0 0 0 0 0
cpu0 200 0 50 350 0 0 0 0 0 0
cpu1 200 0 50 250 100 0 0 0 0 0
cpu2 50 0 0 150 0 0 0 0 0 0
"""


def test_idle_cores_are_those_whose_time_passed_unused():
    before, after = idle_times(BEFORE), idle_times(AFTER)
    assert before == {0: (350, 500), 1: (250, 500), 2: (100, 100)}
    # the first was busy, the second waited for a disk, the third was half busy
    assert idle_share(before, after, {0}) == 0
    assert idle_share(before, after, {1}) == 1
    assert idle_share(before, after, {0, 1, 2}) == pytest.approx(1.5)


def test_one_thread_where_all_cores_are_busy():
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(cores())]
    try:
        assert idle_cores() == 0
        assert spare_threads(cores()) == 1
    finally:
        for process in busy:
            process.kill()
            process.wait()


def test_never_more_threads_than_asked_for():
    assert spare_threads(1) == 1
    assert 1 <= spare_threads(cores()) <= cores()


#: Says what OpenMP is told when torch is about to be imported, and ends there.
WATCH = """
import os, sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            sys.exit(os.environ.get("OMP_WAIT_POLICY"))
sys.meta_path.insert(0, Watch())
"""


@pytest.mark.parametrize("own", [None, "ACTIVE"])
@pytest.mark.parametrize(
    "code",
    [
        "import hoomd_gala; hoomd_gala.Analyzer",
        "from hoomd_gala.learning import few_shot",
        "from hoomd_gala.cli import main; main(['models'])",
        "import study.flow.jobs; from study.training import learning",
    ],
)
def test_threads_sleep_while_they_wait_unless_told_otherwise(code, own):
    environment = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    environment |= {"OMP_WAIT_POLICY": own} if own else {}
    command = [sys.executable, "-c", WATCH + code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.stderr.strip() == (own or "PASSIVE")
