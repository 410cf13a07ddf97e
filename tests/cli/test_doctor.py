"""``hoomd-gala doctor``: what works, what is broken, and what is missing."""

import os
import platform
import sys
from importlib import metadata

import pytest

from hoomd_gala.cli import doctor, main
from hoomd_gala.cli.doctor import Package, examine


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """A folder in front of all others, where packages can be put."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])

    def put(name, code):
        (tmp_path / f"{name}.py").write_text(code)

    return put


def printed(capsys):
    """Lines by the name at their beginning, without what is folded."""
    text = capsys.readouterr().out
    lines = [line.split() for line in text.replace("\n" + " " * 27, " ").splitlines()]
    return text, {words[0]: words[1:] for words in lines if words}


@pytest.mark.slow
def test_all_that_there_is_is_printed(fake, monkeypatch, capsys):
    fake("ase", "raise OSError('libase.so.3: cannot open')")
    fake("ovito", "import os; print('junk'); os.abort()")
    absent = Package("Nothing", "hoomd_gala_nothing", "a great deal", 'pip install "x[y]"')
    groups = {name: [*group] for name, group in doctor.PACKAGES.items()}
    groups["simulation engines"].append(absent)
    monkeypatch.setattr(doctor, "PACKAGES", groups)
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["doctor"]) == 0
    text, lines = printed(capsys)
    assert f"Python {platform.python_version()}, " in text
    assert max(map(len, text.splitlines()[2:])) <= 80 + len(lines["cache"][-1])
    for name in ("torch", "numba", "SciPy", "gsd", "Matplotlib"):
        assert lines[name][:2] == ["ok", metadata.version(name.lower())]
    assert lines["ASE"][0] == "broken"
    assert "libase.so.3: cannot open" in " ".join(lines["ASE"])
    assert "pip install ase" in " ".join(lines["ASE"])
    assert lines["OVITO"][0] == "broken"
    assert "SIGABRT" in lines["OVITO"][2] + lines["OVITO"][3] + lines["OVITO"][4]
    assert " ".join(lines["Nothing"]) == 'missing for a great deal pip install "x[y]"'
    assert lines["kernels"][0] == "ok"
    assert lines["threads"][1] == str(len(os.sched_getaffinity(0)))
    assert {"GPU", "processor", "cache"} <= lines.keys()
    if sys.platform == "linux":
        assert "Vulkan" in lines


def test_a_needed_package_that_is_broken_is_an_error(fake, monkeypatch, capsys):
    fake("gsd", "import nothing_of_that_name")
    needed = [one for one in doctor.PACKAGES["needed"] if one.module == "gsd"]
    monkeypatch.setattr(doctor, "PACKAGES", {"needed": needed})
    real = doctor.examine
    nothing = doctor.Finding("missing", {})
    # what takes seconds is in the test above
    monkeypatch.setattr(doctor, "examine", lambda name: real(name) if name == "gsd" else nothing)
    monkeypatch.setattr(doctor, "_speed", lambda found: [])
    assert main(["doctor"]) == 1
    text, lines = printed(capsys)
    assert lines["gsd"][0] == "broken"
    assert "No module named 'nothing_of_that_name'" in " ".join(lines["gsd"])
    assert "Traceback" not in text


@pytest.mark.slow
def test_what_torch_said_before_kernels_failed_is_kept(fake):
    # numba is what kernels are compiled by
    fake("numba", "raise RuntimeError('numba is of another time')")
    found = examine("torch")
    assert found.state == "broken"
    assert found.facts["version"] == metadata.version("torch")
    assert "numba is of another time" in found.error
    package = next(one for one in doctor.PACKAGES["needed"] if one.module == "torch")
    assert doctor._said_of(package, found) == ("ok", metadata.version("torch"), "")
    kernels = next(rest for title, *rest in doctor._speed(found) if title == "kernels")
    assert kernels[0] == "broken"
    assert "numba is of another time" in kernels[1]


def test_what_ase_gives_beside_ovito_is_said():
    [ase] = [one for one in doctor.PACKAGES["files and pictures"] if one.title == "ASE"]
    assert "where there is no OVITO, which reads these too" in ase.gives
    assert ".traj" in ase.gives
