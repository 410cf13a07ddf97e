"""Files that appear complete or not at all."""

import hashlib
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from hoomd_gala.errors import InputError
from hoomd_gala.files.atomic import (
    check_folder,
    check_new,
    check_writable,
    read_table,
    replacing,
    sha256,
    write_table,
)

WINDOWS = """
import os, sys
sys.modules |= dict.fromkeys(["fcntl", "resource", "pwd", "grp", "termios"])
del os.pread
import hoomd_gala.benchmark, hoomd_gala.cli, hoomd_gala.labeling
from hoomd_gala.files import read_frame
from hoomd_gala.files.atomic import lock
assert lock(1)
assert len(read_frame(sys.argv[1]).particles.position)
"""


def test_nothing_is_needed_that_windows_has_not(trajectory_path):
    subprocess.run([sys.executable, "-c", WINDOWS, trajectory_path], check=True)


def test_a_table_of_no_rows_is_an_empty_file(tmp_path):
    write_table(tmp_path / "a.csv", [])
    assert (tmp_path / "a.csv").read_bytes() == b""
    assert read_table(tmp_path / "a.csv") == []


def test_a_file_takes_its_place_when_it_is_complete(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with replacing(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["a.txt"]


def write(path, text, error):
    """Begin to write a file, and come to an error."""
    with replacing(path) as part:
        part.write_text(text)
        raise error


def test_an_error_leaves_what_was_there_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError):
        write(path, "half", ZeroDivisionError)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]
    # also one before anything is written
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "b.txt"):
        raise ZeroDivisionError
    assert os.listdir(tmp_path) == ["a.txt"]


def test_what_an_interruption_left_is_overwritten(tmp_path):
    path = tmp_path / "a.txt"
    with pytest.raises(KeyboardInterrupt):
        write(path, "a long beginning", KeyboardInterrupt)
    assert not path.exists()
    with replacing(path) as part:
        part.write_text("new")
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_files_that_cannot_be_written_are_refused_before_the_work(tmp_path):
    with pytest.raises(InputError, match=r"there is no folder .*missing for a\.csv\."):
        check_folder(tmp_path / "missing" / "a.csv")
    with pytest.raises(InputError, match=r"cannot be written \(File name too long\)"):
        check_folder(tmp_path / ("x" * 300))
    taken = tmp_path / "taken.csv"
    taken.write_text("1")
    with pytest.raises(InputError, match=r"taken\.csv exists; remove it or choose another name\."):
        check_writable(taken)
    check_folder(taken)  # may be replaced
    with pytest.raises(InputError, match=r"cannot be the name of a table; it must end in \.csv\."):
        check_new(tmp_path / "a.txt", ".csv", "table")
    assert check_new(tmp_path / "a.csv", ".csv", "table") == tmp_path / "a.csv"
    # nothing is left of the attempts, and nothing changed
    assert os.listdir(tmp_path) == ["taken.csv"]
    assert taken.read_text() == "1"


def test_a_check_leaves_what_another_is_writing(tmp_path):
    with replacing(tmp_path / "a.csv") as part:
        part.write_text("half")
        check_folder(tmp_path / "a.csv")
        assert part.read_text() == "half"


def test_checks_of_one_name_at_a_time_do_not_disturb_each_other(tmp_path):
    # nor those who write: two simulations may begin the same file at once
    def check(i):
        for _ in range(150):
            check_folder(tmp_path / "a.csv")

    def write(i):
        for _ in range(150):
            with replacing(tmp_path / "a.csv") as part:
                part.write_text("whole")

    with ThreadPoolExecutor(4) as pool:
        done = [pool.submit(work, i) for i, work in enumerate([check, check, check, write])]
        for one in done:
            one.result()
    assert os.listdir(tmp_path) == ["a.csv"]


def test_tables_come_back_as_text(tmp_path):
    path = tmp_path / "a.csv"
    write_table(path, [{"name": "fcc, or ccp", "share": 0.1 + 0.2}, {"name": "σ", "share": 1}])
    assert read_table(path) == [
        {"name": "fcc, or ccp", "share": "0.30000000000000004"},
        {"name": "σ", "share": "1"},
    ]
    # rows with other keys leave the table that is there
    with pytest.raises(ValueError, match="fields not in fieldnames"):
        write_table(path, [{"a": 1}, {"b": 2}])
    assert len(read_table(path)) == 2
    assert os.listdir(tmp_path) == ["a.csv"]


def test_hash_is_sha256_of_the_content(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(bytes(range(256)) * 1000)
    assert sha256(path) == hashlib.sha256(path.read_bytes()).hexdigest()
    path.write_bytes(b"")
    # of nothing, as every tool has it
    assert sha256(path).startswith("e3b0c44298fc1c149afbf4c8996fb924")
