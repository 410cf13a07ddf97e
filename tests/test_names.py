"""Names of structures against the unit cells and against each other."""

import json
import random
from importlib import resources

import numpy as np
import pytest

from hoomd_gala import InputError
from hoomd_gala.crystals import crystal, prototypes, unit_cell, unit_cells
from hoomd_gala.files.models import load_model, shipped_models
from hoomd_gala.names import STRUCTURES, class_of_title, find_class, title
from hoomd_gala.neighbors import nearest_neighbors
from hoomd_gala.results import Fractions, class_indices


@pytest.mark.parametrize("model", ["structures", "structures-fast"])
def test_every_class_of_the_shipped_models_is_in_the_table(model):
    assert model in shipped_models()
    classes = load_model(model).info.class_names
    assert set(classes) - set(STRUCTURES) == {"disordered"}


@pytest.mark.parametrize("name", STRUCTURES)
def test_space_groups_and_coordination_are_those_of_the_cells(name):
    cell, known = unit_cell(name), STRUCTURES[name]
    assert cell.space_group == known.space_group
    grown = crystal(cell, 200)
    bonds = nearest_neighbors(grown.positions, grown.box).bonds[: len(cell.system.positions)]
    lengths = np.linalg.norm(bonds, axis=-1)
    numbers = (lengths[:, 1:] / lengths[:, :-1]).argmax(axis=1) + 1
    assert tuple(sorted(set(numbers.tolist()))) == known.coordination


def test_no_name_stands_for_two_structures():
    found = {}
    for class_name, known in STRUCTURES.items():
        for name in (known.name, known.strukturbericht, *known.others):
            if name:
                assert find_class(name, [*STRUCTURES]) == class_name
                assert found.setdefault(name.casefold(), class_name) == class_name


@pytest.mark.parametrize(
    ("name", "class_name"),
    [
        ("fcc", "cF4-Cu"), ("FCC", "cF4-Cu"), ("A1", "cF4-Cu"), ("cF4-Cu", "cF4-Cu"),
        ("fcc (cF4-Cu)", "cF4-Cu"), ("A15", "cP8-Cr3Si"), ("C14", "hP12-MgZn2"),
        ("sigma", "tP30-CrFe"), ("D8_b", "tP30-CrFe"), ("cubic diamond", "cF8-C"),
        ("Cubic_Diamond", "cF8-C"), ("beta-Mn", "cP20-Mn"), ("unknown", None), ("", None),
        ("sc", "cP1-Po"), ("Sc", None), ("sI", "cP46-Si"),
        ("Si", None), ("a15", "cP8-Cr3Si"), ("b20", "cP8-FeSi"),
    ],
)  # fmt: skip
def test_structures_are_found_by_what_people_call_them(name, class_name):
    assert find_class(name, [*STRUCTURES]) == class_name


def test_own_names_come_first():
    # somebody's own model may call something else fcc
    assert find_class("fcc", ["cF4-Cu", "fcc"]) == "fcc"
    assert find_class("fcc", ["bcc"]) is None


def test_titles_have_both_names_or_one():
    assert title("cF4-Cu") == "fcc (cF4-Cu)"
    assert title("my phase") == "my phase"


def test_fractions_are_found_by_common_names():
    fractions = Fractions.from_array(["cF4-Cu", "cI2-W"], np.array([0.5, 0.3, 0.2]))
    assert fractions.of("fcc") == 0.5
    assert fractions.of(["fcc", "BCC", "cF4-Cu"]) == 0.8
    assert class_indices(["cF4-Cu", "cI2-W"], "bcc") == [1]
    with pytest.raises(InputError, match="no class 'hcp'"):
        fractions.of("hcp")


def test_capitals_do_not_matter():
    classes = ["cF4-Cu", "disordered", "my phase", "unknown"]
    for name in ("Unknown", "DISORDERED", "My Phase"):
        assert find_class(name, classes) == name.lower()
    # unless they tell one class from another
    assert find_class("A", ["a", "A"]) == "A"
    assert find_class("phase", ["PHASE", "Phase"]) is None


def test_fractions_are_found_in_a_mapping_by_common_names():
    fractions = Fractions.from_array(["cF4-Cu", "disordered"], np.array([0.5, 0.3, 0.2]))
    assert fractions["fcc"] == fractions.get("FCC") == fractions["cF4-Cu"] == 0.5
    assert fractions["Unknown"] == fractions.of("Unknown") == 0.2
    assert "fcc" in fractions
    assert "bcc" not in fractions
    assert 0 not in fractions
    assert fractions.get("bcc") is None
    with pytest.raises(KeyError, match=r"no class 'bcc'; it knows fcc \(cF4-Cu\), disordered"):
        fractions["bcc"]


@pytest.mark.parametrize("wrong", [3, [3], 0.5, ["fcc", 1]])
def test_a_structure_that_is_no_name_is_answered_with_a_sentence(wrong):
    fractions = Fractions.from_array(["cF4-Cu"], np.array([0.5, 0.5]))
    with pytest.raises(InputError, match=r"given by name, such as 'fcc'.*and not as"):
        fractions.of(wrong)


def test_unit_cells_are_found_by_common_names():
    assert unit_cell("bcc") is unit_cell("cI2-W")
    assert unit_cell("hexagonal diamond").name == "hP4-C.3"


def test_names_of_cells_do_not_depend_on_their_order_in_the_database(monkeypatch, tmp_path):
    source = resources.files("pyriodic_aflow") / "unit_cells" / "aflow_db.json"
    entries = json.loads(source.read_text())
    random.Random(1).shuffle(entries)
    (tmp_path / "unit_cells").mkdir()
    (tmp_path / "unit_cells" / "aflow_db.json").write_text(json.dumps(entries))
    expected = unit_cells()
    monkeypatch.setattr(prototypes.resources, "files", lambda package: tmp_path)
    shuffled = unit_cells.__wrapped__()
    assert shuffled.keys() == expected.keys()
    for name, cell in shuffled.items():
        assert cell.space_group == expected[name].space_group
        np.testing.assert_array_equal(cell.system.positions, expected[name].system.positions)


def test_classes_are_found_in_what_legends_show():
    others = ("disordered", "unknown", "σ-Phase", "x (fcc)", "x (cF4-Cu)", "(", " (")
    for name in (*STRUCTURES, *others):
        assert class_of_title(title(name)) == name
    assert class_of_title("cF4-Cu") == "cF4-Cu"
