"""What ``hoomd-gala label`` says at its end, as one sees it."""

import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from terminals import in_terminal

from hoomd_gala.cli import main
from hoomd_gala.cli.label import advice, summary
from hoomd_gala.cli.terminal import bar
from hoomd_gala.files.models import load_model, save_model

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
    assert re.search(r"open it in OVITO +labels are a property$", lines[-2])
    assert re.search(r"label to a .gsd file +for figures", lines[-1])
    xyz = summary(Path("out.xyz"), "structures", FRACTIONS, False)
    assert re.search(r"open it in OVITO +colors are structures$", xyz[-2])


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


def test_advice_is_given_where_little_was_found():
    lost = {"cF4-Cu": 0.1, "disordered": 0.45, "unknown": 0.45}
    one_kind = "if one kind of particle makes the structure"
    assert advice(lost, ("A 1", "B")) == {"--types 'A 1' --neighbors 'A 1'": one_kind}
    assert advice(lost, ("A",)) == advice(lost, ()) == {}
    some = {"cF4-Cu": 0.11, "disordered": 0.44, "unknown": 0.45}
    assert advice(some, ("A", "B")) == {}
    strange = {"cF4-Cu": 0.5, "disordered": 0.0, "unknown": 0.5}
    own = "hoomd-gala finetune structures --gsd … --labels …"
    assert advice(strange, ("A", "B")) == {own: "a structure of your own"}
    assert [*advice({"cF4-Cu": 0.0, "unknown": 1.0}, ("A", "B"))] == [
        "--types A --neighbors A",
        own,
    ]


def test_a_file_without_boundaries_and_with_two_types_is_said(
    model_path, trajectory_path, tmp_path, capsys, rng
):
    source = tmp_path / "plain.xyz"
    rows = [f"{'AB'[k % 2]} {x} {y} {z}" for k, (x, y, z) in enumerate(rng.random((60, 3)))]
    source.write_text("\n".join(["60", "nothing", *rows, ""]))
    model, few = load_model(model_path), tmp_path / "few.safetensors"
    # all is unknown: no confidence is 1, which a well-trained network reaches in single precision
    info = replace(model.info, unknown_below=1.0, temperature=100.0)
    save_model(few, replace(model, info=info))

    def said(name, *more):
        command = ["label", source, tmp_path / name, "--model", few, *more]
        assert main(list(map(str, command))) == 0
        return capsys.readouterr().out

    lines = said("a.gsd").splitlines()
    assert lines[0] == f"{source} has no periodic boundaries"
    steps = lines[lines.index("next:") + 1 :]
    assert steps[0].startswith("  --types A --neighbors A")
    assert any(step.startswith("  hoomd-gala finetune structures --gsd") for step in steps)
    assert "--neighbors" not in said("b.gsd", "--types", "A,B")
    source = tmp_path / "a.gsd"
    again = said("c.gsd")
    assert "periodic" not in again
    # types of the simulation, not the structures that take their place in the copy
    assert "  --types A --neighbors A" in again
    source = trajectory_path  # of one type
    assert "--neighbors" not in said("d.gsd")
