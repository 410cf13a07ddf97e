"""How the model of compounds learns: names by types, samples, training, and the tables."""

import numpy as np
import pytest
from study.reports import compounds as reports
from study.training import compounds, decorations, kinds, samples
from study.training.kinds import IGNORED
from study.training.names import (
    COMPOUNDS,
    COMPOUNDS_CARD,
    COMPOUNDS_MEANS,
    COMPOUNDS_TABLE,
    DECORATIONS,
)

from hoomd_gala.analyzer import Analyzer
from hoomd_gala.crystals.prototypes import UnitCell, crystal, displace, unit_cell
from hoomd_gala.crystals.sites import decorated_descriptors, descriptors
from hoomd_gala.files.atomic import read_table
from hoomd_gala.files.models import load_model
from hoomd_gala.neighbors import PeriodicTree

LATTICES = ["cF4-Cu", "cI2-W", "cP1-Po"]
CELLS = [*LATTICES, "cP2-ClCs", "cP4-AuCu3", "cF8-ClNa", "cF12-CaF2", "cP5-CaO3Ti"]
LEFT_OUT = "cP5-CaO3Ti"


@pytest.fixture(scope="module")
def found():
    cells = {name: unit_cell(name) for name in CELLS}
    with pytest.MonkeyPatch.context() as patch:
        for module in (decorations, kinds):
            patch.setattr(module, "unit_cells", lambda: cells)
        yield decorations.find_decorations(LATTICES, [LEFT_OUT])


def names_of(found, labels):
    return {found.kinds.cells[label] if label != IGNORED else "" for label in labels}


def test_descriptors_see_which_particles_are_of_one_type_and_not_of_which():
    caesium = crystal(unit_cell("cP2-ClCs"), 200)
    rows = np.arange(4)
    own = decorated_descriptors(caesium, rows)
    # both sites have the same environment, but for what they are called
    np.testing.assert_allclose(own, own[:1].repeat(4, 0), atol=1e-9)
    renamed = caesium._replace(types=7 - 5 * caesium.types)
    np.testing.assert_allclose(decorated_descriptors(renamed, rows), own, atol=1e-12)
    plain = caesium._replace(types=np.zeros_like(caesium.types))
    np.testing.assert_allclose(descriptors(plain, rows), descriptors(caesium, rows))
    apart = np.linalg.norm(decorated_descriptors(plain, rows) - own, axis=1)
    assert apart.min() > 0.3


def test_three_types_are_not_two():
    perovskite = crystal(unit_cell("cP5-CaO3Ti"), 200)
    merged = perovskite._replace(types=np.where(perovskite.types == 2, 1, perovskite.types))
    oxygen = np.flatnonzero(perovskite.types == 0)[:3]
    both = [decorated_descriptors(one, oxygen) for one in (perovskite, merged)]
    assert np.linalg.norm(both[0] - both[1], axis=1).min() > 0.1


def test_compounds_are_named_for_themselves_and_solutions_for_their_lattice(found):
    labels = found.kinds.labels
    for name in ("cP2-ClCs", "cP4-AuCu3", "cF8-ClNa", "cF12-CaF2", *LATTICES):
        assert names_of(found, labels[name]) == {name}
    parents = {"cP2-ClCs": "cI2-W", "cP4-AuCu3": "cF4-Cu", "cF8-ClNa": "cP1-Po"}
    for name, parent in parents.items():
        assert found.kinds.cells[found.parent(name)] == parent
    assert found.parent("cF12-CaF2") is None
    assert (labels[LEFT_OUT] == IGNORED).all()
    assert LEFT_OUT not in found.kinds.cells


def test_names_are_read_as_they_were_written(found, tmp_path):
    decorations.write_decorations(tmp_path / DECORATIONS, found)
    again = decorations.read_decorations(tmp_path / DECORATIONS)
    assert again.kinds.cells == found.kinds.cells
    for ours, theirs in ((again.blind, found.blind), (again.kinds.labels, found.kinds.labels)):
        assert set(ours) == set(theirs)
        for name, row in ours.items():
            np.testing.assert_array_equal(row, theirs[name])


def test_a_cell_like_another_cannot_be_left_out(monkeypatch):
    twin = UnitCell("twin", 221, unit_cell("cP2-ClCs").system)
    cells = {name: unit_cell(name) for name in CELLS} | {"twin": twin}
    for module in (decorations, kinds):
        monkeypatch.setattr(module, "unit_cells", lambda: cells)
        monkeypatch.setattr(module, "unit_cell", cells.__getitem__)
    with pytest.raises(decorations.InputError, match="twin cannot be left out"):
        decorations.find_decorations(LATTICES, ["twin"])


def test_unknown_orders_have_no_name(found):
    known, names = decorations.known_decorations(found)

    def label(name, types):
        cell = unit_cell(name)
        other = cell._replace(system=cell.system._replace(types=np.array(types)))
        return decorations.label_decoration(other, found.kinds, known, names)

    assert names_of(found, label("cP4-AuCu3", [5, 5, 5, 2])) == {"cP4-AuCu3"}
    assert set(label("cP4-AuCu3", [0, 1, 2, 3])) <= {found.kinds.other, IGNORED}
    assert names_of(found, label("cF4-Cu", [3, 3, 3, 3])) == {"cF4-Cu"}


def test_codes_hold_labels_and_types():
    system = crystal(unit_cell("cF12-CaF2"), 100)
    labels = np.arange(len(system.types)) % 7 - 1
    again, read = compounds.decoded(compounds.coded(system, labels))
    np.testing.assert_array_equal(again.types, system.types)
    np.testing.assert_array_equal(read, labels)


def test_types_are_exchanged_and_none_is_lost(rng):
    types = np.repeat([0, 1, 2], [500, 300, 200])
    np.testing.assert_array_equal(compounds.shuffled(types, 0, rng), types)
    mixed = compounds.shuffled(types, 1, rng)
    np.testing.assert_array_equal(np.bincount(mixed), np.bincount(types))
    assert 0.25 < (mixed == types).mean() < 0.5
    few = compounds.shuffled(types, 0.05, rng)
    assert 0 < (few != types).mean() < 0.05
    parted = compounds.divided(types, rng)
    assert len(np.unique(parted)) == 4
    assert (parted == types).mean() > 0.5


@pytest.fixture(scope="module")
def plan(found):
    noise = {"lattices": 0.08, "common": 0.06, "compounds": 0.06, "other": 0.06}
    other = UnitCell("0", 1, unit_cell("hP9-O2Si").system)
    return compounds.Plan(found, LATTICES, ["cF8-ClNa"], noise, [other], [])


@pytest.fixture(scope="module")
def files(plan, tmp_path_factory):
    """Samples of every part that needs no simulated disorder."""
    folder = tmp_path_factory.mktemp("samples")
    rng = np.random.default_rng(3)
    numbers = {"lattices": 6, "common": 2, "compounds": 12, "cold": 6, "rest": 3, "pieces": 6}
    paths = {}
    for part, n in numbers.items():
        paths[part] = folder / part / "samples.npz"
        paths[part].parent.mkdir()
        made = compounds.PARTS[part](plan, n, rng)
        samples.write(paths[part], made, part)
    return paths


def test_samples_are_what_they_are_labeled_as(files, found):
    seen = {}
    for part, path in files.items():
        for sample in samples.read(path):
            system, labels = compounds.decoded(sample)
            assert labels.min() >= IGNORED
            assert labels.max() <= found.kinds.disordered
            for label in np.unique(labels):
                several = len(np.unique(system.types[labels == label])) > 1
                seen.setdefault((part, int(label)), set()).add(several)
    names = found.kinds.cells
    # lattices of one type and solutions; compounds as such, and mixed
    of_lattices = [seen["lattices", names.index(name)] for name in LATTICES]
    assert set.union(*of_lattices) == {False, True}
    assert seen["compounds", names.index("cP2-ClCs")] == {True}
    assert seen["compounds", names.index("cI2-W")] == {True}
    assert seen["common", names.index("cF8-ClNa")] == {True}
    assert {label for part, label in seen if part == "common"} == {names.index("cF8-ClNa")}
    # all that has a name is cold too
    assert {label for part, label in seen if part == "cold"} == set(range(len(names)))
    assert {label for part, label in seen if part == "rest"} <= {found.kinds.other, IGNORED}
    assert ("pieces", found.kinds.disordered) in seen
    assert ("pieces", IGNORED) in seen


def test_particles_in_pieces_have_the_types_of_what_they_are_of(files, found):
    sodium = found.kinds.cells.index("cF8-ClNa")
    checked = 0
    for sample in samples.read(files["pieces"]):
        system, labels = compounds.decoded(sample)
        rows = np.flatnonzero(labels == sodium)
        if len(rows) > 20:
            near = PeriodicTree.build(system.positions, system.box).nearest(rows, n=6).neighbors
            unlike = system.types[near] != system.types[rows][:, None]
            checked += 1
            assert unlike.mean() > 0.7
    assert checked or sodium not in {
        label for s in samples.read(files["pieces"]) for label in compounds.decoded(s)[1]
    }


def test_as_many_environments_of_each_label(rng):
    system = crystal(unit_cell("cP2-ClCs"), 300)
    labels = np.where(np.arange(len(system.types)) < 20, 3, 5)
    labels[-50:] = IGNORED
    taken = compounds.take_some(compounds.coded(system, labels), 60, rng)
    np.testing.assert_array_equal(np.bincount(taken.labels), [0, 0, 0, 20, 0, 30])
    # the eight nearest are of the other type
    assert (taken.neighbor_types[:, :8] != taken.types[:, None]).all()


@pytest.fixture(scope="module")
def trained(files, found, tmp_path_factory):
    folder = tmp_path_factory.mktemp("training")
    decorations.write_decorations(folder / DECORATIONS, found)
    parameters = {
        "start": "structures",
        "common": ["cF8-ClNa"],
        "environments": {
            "lattices": 40,
            "common": 60,
            "compounds": 60,
            "cold": 8,
            "rest": 40,
            "pieces": 40,
        },
        "epochs": 5,
        "label_epochs": 12,
        "seed": 1,
    }
    compounds.learn_names(folder, parameters, files)
    learned = list(files.values())
    compounds.learn_compounds(folder, parameters, learned, learned[:2])
    return folder


@pytest.mark.slow
def test_a_short_training_tells_compounds_from_their_lattices(trained):
    analyzer = Analyzer(trained / COMPOUNDS, "cpu")
    rng = np.random.default_rng(7)
    for name in ("cP2-ClCs", "cP4-AuCu3", "cF8-ClNa", "cI2-W", "cF4-Cu"):
        hot = displace(crystal(unit_cell(name), 400), 0.03, rng)
        result = analyzer.analyze_system(hot)
        assert result.fractions[name] > 0.9
        renamed = analyzer.analyze_system(hot._replace(types=9 - 4 * hot.types))
        np.testing.assert_array_equal(renamed.label, result.label)
        np.testing.assert_array_equal(renamed.confidence, result.confidence)
    mixed = crystal(unit_cell("cP2-ClCs"), 400)
    mixed = displace(mixed, 0.03, rng)._replace(types=rng.permutation(mixed.types))
    assert analyzer.analyze_system(mixed).fractions["cI2-W"] > 0.8


@pytest.mark.slow
def test_tables_and_card(trained, monkeypatch):
    monkeypatch.setattr(reports, "N_PARTICLES", 120)
    monkeypatch.setattr(reports, "LEVELS", (0.0, 0.03))
    for constant in ("MIXED", "FAULTY"):
        monkeypatch.setattr(reports, constant, ("cP2-ClCs",))
    monkeypatch.setattr(reports, "SIMULATED", reports.SIMULATED[2:3])
    monkeypatch.setattr(reports, "_STEPS", 50)
    reports.publish(trained, {"command": "none", "seed": 1})
    rows = read_table(trained / COMPOUNDS_TABLE)
    groups = {row["group"] for row in rows}
    assert groups == {
        "compounds", "one type", "order parameter", "antisites", "vacancies", "left out",
        "a type too many", "simulated", "compounds, denoised", "one type, denoised",
        "left out, denoised", "simulated, denoised",
    }  # fmt: skip
    perfect = [
        row for row in rows if row["condition"] == "Gaussian 0" and row["group"] == "compounds"
    ]
    assert {row["structure"] for row in perfect} == set(CELLS) - {*LATTICES, LEFT_OUT}
    for row in perfect:
        assert float(row["right"]) > 0.9
    # a crystal that has been simulated is what it was
    for group in ("simulated", "simulated, denoised"):
        assert [float(row["right"]) > 0.9 for row in rows if row["group"] == group] == 3 * [True]
    # only the hottest are labeled twice
    twice = {row["condition"] for row in rows if row["group"] == "compounds, denoised"}
    assert twice == {"Gaussian 0.03", "springs 0.03"}
    (mean,) = [
        row
        for row in read_table(trained / COMPOUNDS_MEANS)
        if (row["group"], row["condition"]) == ("compounds", "Gaussian 0")
    ]
    assert float(mean["right, mean"]) == pytest.approx(
        np.mean([float(row["right"]) for row in perfect]), abs=1e-4
    )
    card = load_model(trained / COMPOUNDS).info.card
    assert card["metrics"]["right, compounds Gaussian 0"] == float(mean["right, mean"])
    assert (trained / COMPOUNDS_CARD).is_file()


def test_a_wrong_name_is_counted(trained):
    analyzer = Analyzer(trained / COMPOUNDS, "cpu")
    system = crystal(unit_cell("cP2-ClCs"), 300)
    names = np.full(len(system.types), "cF8-ClNa")
    names[:100] = ""
    row = reports.row(analyzer, reports.Named("g", "s", "c", system, names))
    assert row["right"] == 0
    assert row["particles"] == len(names) - 100
    assert row["mostly taken for"] == "cP2-ClCs"
