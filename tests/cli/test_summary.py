"""What ``hoomd-gala label`` says at its end, as one sees it."""

import re
import sys
from pathlib import Path

import pytest
from terminals import in_terminal

from hoomd_gala.cli import main
from hoomd_gala.cli.label import summary
from hoomd_gala.cli.terminal import bar

FRACTIONS = {"cF4-Cu": 0.5, "cI162-Al,Mg32(Zn)49": 0.001, "disordered": 0.3, "unknown": 0.199}

CODE = f"""
from pathlib import Path
from hoomd_gala.cli.label import summary
print("\\n".join(summary(Path("my runs/out.gsd"), "structures", {FRACTIONS}, False)))
"""

#: fcc as OVITO shows it, in the closest of a terminal's 216 colors.
GREEN = "\033[38;5;120m"


def test_summary_in_a_terminal_has_names_bars_and_colors():
    text = in_terminal(CODE)
    fcc, disordered, unknown, _ = text.splitlines()[1:5]
    assert fcc == (f"  fcc (cF4-Cu)                    50.0%  {GREEN}" + "█" * 19 + "\033[0m")
    # which would be white on white
    assert disordered == "  disordered                      30.0%  ███████████▍"
    assert unknown.endswith("19.9%  ███████▌")
    plain = re.sub(r"\033\[[\d;]*m", "", text)
    assert plain.count("█") > 30
    assert max(map(len, plain.splitlines())) <= 80
    assert "solid: 50.1%, which is all that is neither disordered (gas, liquid, glass" in plain
    # a command can be copied
    assert "\n  hoomd-gala plot fractions 'my runs/out.gsd'\n" in plain


def test_summary_without_color():
    assert "\033" not in in_terminal(CODE, NO_COLOR="1")
    assert "\033" not in in_terminal(CODE, TERM="dumb")
    assert "\033" not in "".join(summary(Path("out.gsd"), "structures", FRACTIONS, False))


def test_summary_in_a_narrow_terminal():
    lines = re.sub(r"\033\[[\d;]*m", "", in_terminal(CODE, 50)).splitlines()
    # all but commands, which can be copied, are folded or leave the bar out
    assert max(len(line) for line in lines if not line.startswith("  hoomd-gala ")) <= 50
    assert lines[1] == "  fcc (cF4-Cu)                    50.0%  ████"
    # no bar is better than one that says nothing
    assert "█" not in in_terminal(CODE, 45)


def test_summary_without_block_characters():
    lines = in_terminal(CODE, PYTHONIOENCODING="ascii", NO_COLOR="1").splitlines()
    assert lines[1].endswith(" 50.0%  " + "#" * 19)


@pytest.mark.parametrize(("share", "drawn"), [(0, ""), (1, "█" * 8), (0.5, "████"), (1 / 64, "▏")])
def test_bars(share, drawn, capfd):
    assert sys.stdout.encoding.lower() == "utf-8"
    assert bar(share, 8) == drawn


def test_labels_are_numbers_in_a_dump():
    lines = summary(Path("out.dump"), "structures", FRACTIONS, False)
    assert re.search(r"fcc \(cF4-Cu\) +50\.0%  label 0 ", lines[1])
    assert re.search(r"unknown +19\.9%  label -1 ", lines[3])
    assert not any("plot" in line for line in lines)


def test_models_without_classes_are_not_said_to_know_nothing(
    trajectory_path, embedding_model_path, tmp_path, capsys
):
    out = tmp_path / "out.gsd"
    command = ["label", trajectory_path, out, "--model", embedding_model_path]
    assert main(list(map(str, command))) == 0
    shown = capsys.readouterr()
    # before anything is computed
    assert shown.err.startswith(f"the model {embedding_model_path} names no structures: ")
    said = " ".join(shown.out.split())
    assert f"written: {out} The model {embedding_model_path} names no structures:" in said
    assert "100" not in said.replace(str(tmp_path), "")
