"""Help that one can learn from, exit codes, and what a command loads before it works."""

import json
import os
import re
import shlex
import subprocess
import sys

import pytest

import hoomd_gala
from hoomd_gala import cli
from hoomd_gala.cli import main, make_parser

COMMANDS = ["label", "denoise", "view", "plot", "models", "train", "finetune", "doctor", "bench"]
FIGURES = ["fractions", "frame", "embedding", "curve"]


def help_of(*command, capsys):
    with pytest.raises(SystemExit) as done:
        main([*command, "--help"])
    assert done.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(
    "command", [(), *((name,) for name in COMMANDS), *(("plot", name) for name in FIGURES)]
)
def test_help_fits_a_terminal_and_has_examples(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    text = help_of(*command, capsys=capsys)
    assert max(map(len, text.splitlines())) <= 80
    examples = text[text.index("\nexamples:\n") :]
    assert f"  hoomd-gala {' '.join(command)}" in examples
    name = " ".join(("hoomd-gala", *command)) if command else "hoomd-gala COMMAND"
    assert text.startswith(f"usage: {name} ")


def test_commands_are_grouped(capsys):
    text = help_of(capsys=capsys)
    found = [line.split()[0] for line in text.splitlines() if line.startswith("  ")]
    assert found[: len(COMMANDS)] == COMMANDS
    groups = ["label and look:", "models:", "train your own:", "this machine:", "exit codes:"]
    assert [line for line in text.splitlines() if line in groups] == groups


def test_without_a_command_there_is_help(capsys):
    assert main([]) == 2
    assert capsys.readouterr().out == help_of(capsys=capsys)


def test_options_of_label_are_grouped(capsys):
    text = help_of("label", capsys=capsys)
    groups = ["what to read:", "which particles:", "how to label:", "what to write:"]
    assert [line for line in text.splitlines() if line in groups] == groups
    # the two words that nobody can guess
    assert "  disordered  gas, liquid, glass, or a surface" in text
    assert "  unknown     ordered, but like nothing" in text


def test_examples_can_be_parsed():
    """The examples of all commands have options that exist."""
    parser = make_parser()
    [choices] = [action.choices for action in parser._actions if action.dest == "command"]
    [figures] = [action.choices for action in choices["plot"]._actions if action.choices]
    count = 0
    for command in (parser, *choices.values(), *figures.values()):
        # what comes after several spaces is said of the example
        for line in re.sub(r"\\\n *", "", command.epilog).splitlines():
            words = shlex.split(line.strip().split("   ")[0]) if "hoomd-gala " in line else []
            if words and words[0] == "hoomd-gala" and "--help" not in words:
                parser.parse_args(words[1:])
                count += 1
    assert count > 20


#: Runs commands one after the other, and says how each ends and what is loaded by then.
SCRIPT = """
import contextlib, io, json, sys
from hoomd_gala.cli import main
for line in json.loads(sys.argv[1]):
    with contextlib.redirect_stderr(io.StringIO()) as said, contextlib.redirect_stdout(said):
        try:
            code = main(line)
        except SystemExit as done:
            code = done.code
    print(json.dumps([code, said.getvalue(), sorted(sys.modules)]))
"""


def ends_of(*lines):
    """Exit code of commands in one process, what they print, and modules that are loaded then."""
    command = [sys.executable, "-c", SCRIPT, json.dumps(lines)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_help_and_version_load_little(argument):
    [[code, _, modules]] = ends_of([argument])
    assert code == 0
    assert not {"torch", "numba", "scipy", "matplotlib", "gsd", "tqdm", "hoomd"} & set(modules)
    # numpy is most of it
    assert len(modules) < 350


@pytest.fixture
def no_frames(tmp_path):
    import gsd.hoomd

    (tmp_path / "my run.xyz").write_text("1\n\nA 0 0 0\n")
    with gsd.hoomd.open(tmp_path / "empty.gsd", "w"):
        return tmp_path / "empty.gsd"


#: What makes a file of another format one that can be drawn or learned from.
CONVERTED = (
    "my run.xyz is not a GSD file; hoomd-gala label 'my run.xyz' labeled.gsd makes one with labels."
)

WRONG = {
    "label no.gsd out.gsd": "there is no file no.gsd",
    "label {empty} out.gif": "it must end in .gsd",
    "label {empty} no/out.gsd": "there is no folder",
    "label {empty} {empty}": "exists; remove it",
    "label {empty} out.gsd --model nope": "no model is named 'nope'",
    "label {empty} out.gsd --quantities colour": "there is no quantity 'colour'",
    "label {empty} out.gsd": "has no frames",
    "view no.gsd": "there is no file no.gsd",
    "models nope": "no model is named 'nope'",
    "bench --model nope": "no model is named 'nope'",
    "train --task denoising --output x.safetensors --gsd no.gsd@3": "there is no file no.gsd",
    "train --task denoising --output x.safetensors --cells Xy": "no unit cell is named 'Xy'",
    "finetune nope --task denoising --output x.safetensors": "no model is named 'nope'",
    "finetune denoising --labels no.csv --gsd {empty} --output x.safetensors": "no file no.csv",
    "plot fractions no.gsd": "there is no file no.gsd",
    "plot fractions {empty}": "has no frames",
    "plot embedding --model nope --output map.png": "no model is named 'nope'",
    "plot embedding --gsd no.gsd --output map.png": "there is no file no.gsd",
    "plot fractions 'my run.xyz'": CONVERTED,
    "plot frame 'my run.xyz' --output x.gif": CONVERTED,
    "view 'my run.xyz'": CONVERTED,
    "finetune structures --labels no.csv --gsd 'my run.xyz' --output x.gif": CONVERTED,
}


def test_trivial_errors_do_not_wait_for_torch(no_frames, monkeypatch):
    monkeypatch.chdir(no_frames.parent)
    lines = [shlex.split(line.format(empty=no_frames)) for line in WRONG]
    for line, (code, said, modules) in zip(WRONG, ends_of(*lines), strict=True):
        assert code == 2, line
        assert WRONG[line] in said.splitlines()[-1], line
        assert not {"torch", "numba"} & set(modules), line


def raises(error):
    def run(_):
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (RuntimeError("wheels came off.\nand more"), 1, "error: RuntimeError: wheels came off. "),
        (OSError(28, "No space left on device", "x.png"), 1, "No space left on device: 'x.png'."),
        (MemoryError(), 1, "error: there is not enough memory."),
        (KeyboardInterrupt(), 130, "interrupted; nothing more was written; run the same"),
    ],
)
def test_nothing_ends_in_a_traceback(error, code, said, monkeypatch, capsys):
    monkeypatch.setattr(cli.models, "run", raises(error))
    assert main(["models", "structures"]) == code
    found = capsys.readouterr().err
    assert said in found
    assert "Traceback" not in found
    if code == 1 and isinstance(error, RuntimeError):
        assert "/issues" in found
        assert "python -X dev -m hoomd_gala models structures" in found


@pytest.mark.parametrize("module", ["hoomd_gala", "hoomd_gala.cli"])
def test_package_runs_as_a_module(module):
    command = [sys.executable, "-m", module, "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"hoomd-gala {hoomd_gala.__version__}\n"


@pytest.mark.parametrize(
    ("line", "completed"),
    [("hoomd-gala do", {"doctor"}), ("hoomd-gala plot fr", {"fractions", "frame"})],
)
def test_tab_key_completes_commands(line, completed, tmp_path):
    pytest.importorskip("argcomplete", reason="argcomplete is not installed")
    answer = tmp_path / "answer"
    environment = {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
        "_ARGCOMPLETE_IFS": " ",
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
    }
    command = [sys.executable, "-m", "hoomd_gala"]
    subprocess.run(command, env=os.environ | environment, capture_output=True)
    assert set(answer.read_text().split()) == completed


def test_letters_that_cannot_be_printed_are_no_error():
    command = [sys.executable, "-m", "hoomd_gala", "models"]
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert "bcc (cI2-W), sc (cP1-Po), ?" in done.stdout
