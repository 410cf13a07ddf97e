"""Damaged inputs, one after the other, in processes that may hang, crash or run out of memory."""

import multiprocessing
import os
import resource
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import numpy as np

#: How calls end. "warned" is a result that is not that of the undamaged file, with a warning;
#: "wrong" is one without.
OUTCOMES = ("right", "InputError", "warned", "wrong", "traceback", "hang", "memory", "crash")
#: Those that must not occur.
BAD = OUTCOMES[3:]

#: Seconds that a call may take, and bytes that it may ask for.
TIME, MEMORY = 20.0, 1 << 30


class Kind(NamedTuple):
    """A kind of input.

    Attributes
    ----------
    suffix : str
        Of its files.
    example : callable
        Takes an empty folder and returns the content of a good file.
    mutate : callable
        Takes this and a random generator, and returns a damaged content.
    readers : mapping
        What reads it, by name. Each takes the path of a file in a folder of its own, raises an
        InputError where it refuses the file, and an AssertionError where its result is wrong.
    """

    suffix: str
    example: Callable[[Path], bytes]
    mutate: Callable[[bytes, np.random.Generator], bytes]
    readers: Mapping[str, Callable[[Path], None]]


class Call(NamedTuple):
    """How one reader of one damaged file ended."""

    seed: int
    reader: str
    outcome: str
    why: str = ""


def damaged(kind: Kind, content: bytes, seed: int) -> bytes:
    """Content of a damaged file."""
    return kind.mutate(content, np.random.default_rng(seed))


def call(kind: Kind, reader: str, content: bytes) -> tuple[str, str]:
    """Let a reader read a content, in a folder that is removed afterwards."""
    from hoomd_gala.errors import InputError

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        path = Path(folder) / f"file{kind.suffix}"
        path.write_bytes(content)
        try:
            kind.readers[reader](path)
        except InputError as error:
            return "InputError", str(error)
        except MemoryError as error:
            return "memory", repr(error)
        except AssertionError as error:
            return "warned" if said else "wrong", str(error)
        except Exception as error:
            frames = error.__traceback__
            while frames is not None and frames.tb_next is not None:
                frames = frames.tb_next
            where = f"{frames.tb_frame.f_code.co_filename}:{frames.tb_lineno}" if frames else ""
            return "traceback", f"{type(error).__name__}: {error} ({where})"
    return "right", ""


def _work(pipe: Connection, name: str) -> None:
    """Call readers of damaged files as they are asked for."""
    from fuzzing_kinds import KINDS

    kind = KINDS[name]
    with tempfile.TemporaryDirectory() as folder:
        content = kind.example(Path(folder))
    for reader in kind.readers:
        assert call(kind, reader, content) == ("right", ""), (reader, call(kind, reader, content))
    if sys.platform == "linux":
        with open("/proc/self/statm") as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    pipe.send(list(kind.readers))
    while True:
        seed, reader = pipe.recv()
        pipe.send(call(kind, reader, damaged(kind, content, seed)))


class _Worker:
    """A process that is started when it is needed, and again after its end."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.readers = self._start()

    def _start(self) -> list[str]:
        # nothing is compiled, and no progress shown
        os.environ |= {"HOOMD_GALA_KERNELS": "reference", "TQDM_DISABLE": "1"}
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_work, args=(other, self._name), daemon=True)
        self._process.start()
        other.close()
        readers: list[str] = self._pipe.recv()
        return readers

    def ask(self, seed: int, reader: str) -> Call:
        self._pipe.send((seed, reader))
        try:
            if self._pipe.poll(TIME):
                return Call(seed, reader, *self._pipe.recv())
            outcome = "hang"
        except EOFError:
            outcome = "crash"
        self.stop()
        self._start()
        return Call(seed, reader, outcome)

    def stop(self) -> None:
        self._process.kill()
        self._process.join()


def run(name: str, seeds: range) -> Iterator[Call]:
    """Let all readers of a kind read damaged files, one of each seed."""
    worker = _Worker(name)
    try:
        for seed in seeds:
            for reader in worker.readers:
                yield worker.ask(seed, reader)
    finally:
        worker.stop()


def count(calls: list[Call]) -> dict[str, Counter[str]]:
    """How calls ended, by reader."""
    counts: dict[str, Counter[str]] = {}
    for each in calls:
        counts.setdefault(each.reader, Counter())[each.outcome] += 1
    return counts
