"""Steps of a run: what of their output is shown, and how failures and interruptions end."""

import functools
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from study.flow import running
from tqdm import tqdm

from hoomd_gala.errors import InputError


class Terminal(io.StringIO):
    def isatty(self):
        return True


def steps(folder, *works):
    return [
        running.Step(f"work {i}", work, folder / f"{i}.log")
        for i, work in enumerate(works, start=1)
    ]


def say(text):
    print(text)


def draw():
    print("before\n")
    for _ in tqdm(range(3), desc="bar", mininterval=0):
        time.sleep(0.15)
    print("after", file=sys.stderr)


def fail(error):
    raise error


def wait_for(path):
    while not path.exists():
        time.sleep(0.02)


def touch(path):
    path.touch()


def test_lines_of_steps_stay_and_their_bars_do_not(tmp_path):
    screen = io.StringIO()
    running.carry_out(steps(tmp_path, draw), 1, running.Screen(screen), first=3, total=7)
    shown = screen.getvalue().splitlines()
    assert shown[:4] == ["[3/7] work 1", "before", "", "after"]
    assert shown[4].startswith("[3/7] work 1: done in ")
    assert len(shown) == 5


def test_a_terminal_shows_where_bars_stand(tmp_path):
    screen = Terminal()
    running.carry_out(steps(tmp_path, draw), 1, running.Screen(screen))
    text = screen.getvalue()
    assert "[1] work 1: bar: " in text
    assert "| 3/3" in text or "| 2/3" in text
    # all that is shown for a time is taken back
    assert text.count("\x1b[1A\x1b[J") == text.count("work 1: ") - 1


def test_progress_is_told_now_and_then_where_there_is_no_terminal(tmp_path, monkeypatch):
    monkeypatch.setattr(running, "_QUIET", 0.0)
    screen = io.StringIO()
    running.carry_out(steps(tmp_path, draw), 1, running.Screen(screen))
    assert any("work 1: bar: " in line for line in screen.getvalue().splitlines())


def test_several_run_at_once(tmp_path):
    flag = tmp_path / "flag"
    works = (functools.partial(wait_for, flag), functools.partial(touch, flag))
    screen = io.StringIO()
    running.carry_out(steps(tmp_path, *works), 2, running.Screen(screen), total=2)
    assert screen.getvalue().count("done in") == 2


@pytest.mark.parametrize(
    ("error", "said", "traceback"),
    [
        (InputError("the box is too small."), "error: the box is too small.", 0),
        (OSError("x"), "x", 1),
    ],
)
def test_a_step_that_fails_says_why_and_no_others_begin(tmp_path, error, said, traceback):
    works = (functools.partial(fail, error), functools.partial(say, "never"))
    screen = io.StringIO()
    with pytest.raises(running.StepError):
        running.carry_out(steps(tmp_path, *works), 1, running.Screen(screen))
    text = screen.getvalue()
    assert said in text
    assert text.count("Traceback") == traceback
    assert "work 1: failed after" in text
    assert "never" not in text


def test_a_step_that_is_killed_is_no_success(tmp_path):
    screen = io.StringIO()
    work = functools.partial(signal.raise_signal, signal.SIGKILL)
    with pytest.raises(running.StepError):
        running.carry_out(steps(tmp_path, work), 1, running.Screen(screen))
    assert "work 1: killed by SIGKILL after" in screen.getvalue()


INTERRUPTED = """
import functools, importlib, io, os, signal, sys, threading, time
from pathlib import Path
from study.flow import running
from test_running import steps, wait_for

running._GRACE = 0.2
# what the step is forked with is loaded before, which may take longer than the signal
for module in running._COMMON:
    importlib.import_module(module)
screen, folder = io.StringIO(), Path(sys.argv[1])
threading.Timer(1.0, os.kill, [os.getpid(), signal.SIGINT]).start()
started = time.monotonic()
try:
    running.carry_out(
        steps(folder, functools.partial(wait_for, folder / "never")), 1, running.Screen(screen)
    )
except KeyboardInterrupt:
    print("interrupted", time.monotonic() - started < 20)
try:
    os.waitpid(-1, os.WNOHANG)
except ChildProcessError:
    print("no child")
print(screen.getvalue())
"""


def test_an_interrupted_run_leaves_no_step_behind(tmp_path):
    """Also where the signal reaches only the process that shows them.

    That is one of its own here: what other tests have loaded may handle signals as well.
    """
    folders = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    ran = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": folders},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert ran.stdout.startswith("interrupted True\nno child\n")
    assert "Traceback" not in ran.stdout + ran.stderr


@pytest.mark.parametrize(
    ("seconds", "text"), [(44.6, "45 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")]
)
def test_durations(seconds, text):
    assert running.duration(seconds) == text
