"""Steps of a run: several at once, each in a process of its own, and what is shown of them."""

import importlib
import multiprocessing
import os
import re
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from hoomd_gala.errors import InputError

#: Seconds between looks at the processes, and between lines on a step where there is no terminal.
_PERIOD, _QUIET = 0.2, 30.0

#: Seconds that interrupted steps have to stop by themselves.
_GRACE = 30.0

#: Imported once before the first step, for all of them: most of them need these, which takes
#: seconds.
_COMMON = ("torch", "matplotlib.pyplot", "hoomd_gala.analyzer", "hoomd_gala.learning.fitting")


class StepError(Exception):
    """A step failed; its output has said why."""


class Step(NamedTuple):
    """A step of a run.

    Attributes
    ----------
    title : str
        What it does, for people.
    work : callable
        Does it; can be pickled.
    log : Path
        File for its output.
    """

    title: str
    work: Callable[[], None]
    log: Path


def duration(seconds: float) -> str:
    """Return a time as people say it: ``45 s``, ``3 min 20 s``, ``2 h 5 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


# ---- what a step writes ----

_CONTROL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class Output:
    """What a step has written so far: whole lines, and where its progress bar stands.

    Attributes
    ----------
    progress : str
        Last state of the bar, empty if there is none.
    """

    def __init__(self) -> None:
        self.progress = ""
        self._rest = ""

    def lines(self, text: str) -> Iterator[str]:
        """Take what has been written since, and yield lines other than those of progress bars."""
        *whole, self._rest = (self._rest + text).split("\n")
        for line in whole:
            # a bar returns to the start of its line each time that it is drawn
            if "\r" in line.rstrip("\r"):
                self.progress = _last(line) or self.progress
            else:
                yield _CONTROL.sub("", line.rstrip())
        if "\r" in self._rest:
            self.progress = _last(self._rest) or self.progress


def _last(line: str) -> str:
    """Return what a line shows whose start was returned to again and again."""
    parts = [_CONTROL.sub("", part).strip() for part in line.split("\r")]
    return next((part for part in reversed(parts) if part), "")


# ---- what is shown ----


class Screen:
    """Lines that stay, and beneath them, on a terminal, a line for each step that runs.

    Parameters
    ----------
    stream : file
        Where to show it.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._live = stream.isatty()
        self._shown = 0

    def say(self, line: str) -> None:
        """Show a line that stays."""
        self._clear()
        self._stream.write(f"{line}\n")
        self._stream.flush()

    def show(self, lines: Sequence[str]) -> None:
        """Show lines until others are shown; only on a terminal."""
        if not self._live:
            return
        self._clear()
        width = shutil.get_terminal_size().columns - 1
        for line in lines:
            self._stream.write(f"{line[:width]}\n")
        self._shown = len(lines)
        self._stream.flush()

    def _clear(self) -> None:
        if self._shown:
            self._stream.write(f"\x1b[{self._shown}A\x1b[J")
            self._shown = 0

    def update(self, line: str, since: float) -> bool:
        """Say where a step stands if nothing was said for long; never on a terminal.

        Returns
        -------
        bool
            Whether it was said.
        """
        if self._live or time.monotonic() - since < _QUIET:
            return False
        self.say(line)
        return True


# ---- running them ----


def _begin(step: Step) -> None:
    """Do a step in a new process, and end that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with open(step.log, "wb", buffering=0) as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    # a line at a time, as on a terminal: somebody looks
    sys.stdout = open(1, "w", buffering=1, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, encoding="utf-8", closefd=False)  # noqa: SIM115
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        step.work()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception:
        traceback.print_exc()
        sys.exit(1)


def _how(code: int) -> str:
    """Say how a process ended that has this exit code; a time follows."""
    if code < 0:
        return f"killed by {signal.Signals(-code).name} after"
    return "failed after" if code else "done in"


class _Running:
    """A step that runs."""

    def __init__(self, name: str, step: Step, context: Any) -> None:
        self.name = name
        self.began = self.told = time.monotonic()
        self.output = Output()
        step.log.unlink(missing_ok=True)
        self._log = step.log
        self._read = 0
        self.process = context.Process(target=_begin, args=(step,))
        # an interrupt that reaches the process before its output goes to the log waits until then
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def look(self, screen: Screen) -> None:
        """Show what it has written."""
        if self._log.is_file():
            with open(self._log, "rb") as file:
                file.seek(self._read)
                new = file.read()
            self._read += len(new)
            for line in self.output.lines(new.decode("utf-8", errors="replace")):
                screen.say(line)
        if screen.update(self.line(), self.told):
            self.told = time.monotonic()

    def line(self) -> str:
        """Return where it stands."""
        passed = duration(time.monotonic() - self.began)
        return f"{self.name}: {self.output.progress or passed}"


def carry_out(
    steps: Sequence[Step], at_once: int, screen: Screen, first: int = 1, total: int | None = None
) -> None:
    """Carry out steps, several at once, and show what they do.

    Parameters
    ----------
    steps : sequence of Step
        They do not depend on each other.
    at_once : int
        How many run at the same time.
    screen : Screen
        Shows the steps.
    first : int
        Number of the first step.
    total : int, optional
        How many there are, with those before and after, if that is known.

    Raises
    ------
    StepError
        If one fails. No further ones are begun then, and those that run end as they would.
    """
    # a process that is forked has what its parent has imported; elsewhere than on Linux, libraries
    # of the system have threads that a fork would not have
    forks = sys.platform == "linux"
    context = multiprocessing.get_context("fork" if forks else "spawn")
    for module in _COMMON if forks else ():
        importlib.import_module(module)
    waiting, running, failed = list(steps), list[_Running](), 0
    try:
        while running or (waiting and not failed):
            while waiting and not failed and len(running) < at_once:
                number = first + len(steps) - len(waiting)
                count = str(number) if total is None else f"{number}/{max(total, number)}"
                step = waiting.pop(0)
                running.append(_Running(f"[{count}] {step.title}", step, context))
                screen.say(running[-1].name)
            time.sleep(_PERIOD)
            for one in list(running):
                ended = not one.process.is_alive()
                one.look(screen)
                if ended:
                    one.process.join()
                    running.remove(one)
                    passed = duration(time.monotonic() - one.began)
                    failed += one.process.exitcode != 0
                    screen.say(f"{one.name}: {_how(one.process.exitcode)} {passed}")
            screen.show([one.line() for one in running])
    except KeyboardInterrupt:
        # a terminal has told them as well
        deadline = time.monotonic() + _GRACE
        for one in running:
            one.process.join(max(0.0, deadline - time.monotonic()))
            one.process.terminate()
            one.process.join()
        raise
    if failed:
        raise StepError
