"""Files damaged by chance are refused with a sentence, or read for what they are."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from fuzzing_files import KINDS, examples

from hoomd_gala.errors import InputError

#: Damaged files of each kind.
COUNT = 100


@pytest.fixture(scope="module")
def contents():
    return examples()


@pytest.mark.parametrize("name", KINDS)
def test_damaged_files_are_refused_or_read_right(name, contents, tmp_path, monkeypatch):
    monkeypatch.setenv("HOOMD_GALA_KERNELS", "reference")  # models of many sizes: nothing compiled
    kind = KINDS[name]
    path = tmp_path / f"file{kind.suffix}"
    refused = 0
    for seed in range(COUNT):
        path.write_bytes(kind.mutate(contents[name], np.random.default_rng(seed)))
        started = time.process_time()
        try:
            kind.readers["read"](path)
        except InputError as error:
            refused += 1
            sentence = str(error)
            # a training that goes on with another learning rate cannot know better
            named = str(path) in sentence or sentence.startswith("the loss is")
            assert named, f"seed {seed}: {sentence}"
            assert len(sentence) < 700, f"seed {seed}"
            assert "\n" not in sentence, f"seed {seed}: {sentence}"
        except Exception as error:
            raise AssertionError(f"seed {seed} of {name}") from error
        assert time.process_time() - started < 5, f"seed {seed}"
    # damage that nothing notices would test nothing
    assert refused > COUNT / 4


def test_the_long_run_needs_nothing_set_up():
    command = [sys.executable, Path(__file__).with_name("fuzz"), "--count", "3", "labels"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert not done.returncode, done.stderr
    # the row of the table: so many inputs, without a fault
    assert done.stdout.splitlines()[-1].startswith("| labels | 3 |")
    assert done.stdout.splitlines()[-1].endswith("| 0 |")
