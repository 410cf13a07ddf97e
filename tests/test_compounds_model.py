"""The shipped model of compounds on crystals from seeds of their own."""

import functools

import numpy as np
import pytest

from hoomd_gala.analyzer import Analyzer
from hoomd_gala.crystals import crystal, displace, unit_cell
from hoomd_gala.files.models import load_model

#: Compounds and crystals of one type that everybody knows.
KNOWN = (
    "cF8-ClNa", "cP2-ClCs", "cF8-SZn", "hP4-SZn", "cP4-AuCu3", "tP2-AuCu", "cF16-BiF3",
    "cF16-NaTl", "cF16-AlCu2Mn", "cF12-AgAsMg", "cF12-CaF2", "cP5-CaO3Ti", "hP3-AlB2",
    "cF24-Cu2Mg", "cF112-NaZn", "cP8-Cr3Si", "hP4-AsNi", "tP6-O2Ti", "cF56-Al2MgO4",
    "cF4-Cu", "hP2-Mg", "cI2-W", "cP1-Po", "cF8-C",
)  # fmt: skip


#: Those of which many particles are unknown where nothing at all is displaced; a thousandth of the
#: distance of neighbors is enough for a name.
UNKNOWN_WHEN_PERFECT = ("hP4-SZn", "cF16-AlCu2Mn", "cF56-Al2MgO4")


@functools.cache
def analyzer() -> Analyzer:
    return Analyzer("compounds", "cpu")


def test_there_are_hundreds_of_classes():
    info = load_model("compounds").info
    assert len(info.given_names) > 300
    assert info.core.relations
    assert set(KNOWN) < set(info.class_names)


@pytest.mark.parametrize("name", KNOWN)
def test_compounds_have_their_own_names(name):
    rng = np.random.default_rng(31)
    for noise in (0.0, 0.03, 0.06)[name in UNKNOWN_WHEN_PERFECT :]:
        result = analyzer().analyze_system(displace(crystal(unit_cell(name), 500), noise, rng))
        assert result.fractions[name] >= 0.97


@pytest.mark.parametrize("name", ["cF8-ClNa", "cP5-CaO3Ti", "cF12-AgAsMg"])
def test_names_of_types_do_not_matter(name):
    rng = np.random.default_rng(32)
    system = displace(crystal(unit_cell(name), 500), 0.07, rng)
    expected = analyzer().analyze_system(system)
    for names in ([2, 0, 1], [7, 400, 31], [1, 2, 0]):
        found = analyzer().analyze_system(system._replace(types=np.array(names)[system.types]))
        np.testing.assert_array_equal(found.label, expected.label)
        np.testing.assert_array_equal(found.confidence, expected.confidence)
        np.testing.assert_array_equal(found.embedding, expected.embedding)


@pytest.mark.parametrize(
    ("name", "parent"), [("cP4-AuCu3", "cF4-Cu"), ("cP2-ClCs", "cI2-W"), ("cF8-SZn", "cF8-C")]
)
def test_solid_solutions_have_the_name_of_their_lattice(name, parent):
    rng = np.random.default_rng(33)
    system = displace(crystal(unit_cell(name), 1000), 0.05, rng)
    mixed = system._replace(types=rng.permutation(system.types))
    assert analyzer().analyze_system(mixed).fractions[parent] > 0.9


def test_a_few_particles_on_each_others_sites_change_no_name():
    rng = np.random.default_rng(34)
    system = displace(crystal(unit_cell("cF8-ClNa"), 1000), 0.04, rng)
    types = system.types.copy()
    rows = rng.choice(len(types), 40, replace=False)
    types[rows] = rng.permutation(types[rows])
    assert analyzer().analyze_system(system._replace(types=types)).fractions["cF8-ClNa"] > 0.95


@pytest.mark.parametrize(("name", "divided"), [("cF12-CaF2", 1), ("cP4-AuCu3", 0), ("cF8-ClNa", 0)])
def test_a_compound_of_too_many_types_has_no_name(name, divided):
    rng = np.random.default_rng(35)
    system = displace(crystal(unit_cell(name), 1000), 0.04, rng)
    half = (system.types == divided) & (rng.random(len(system.types)) < 0.5)
    result = analyzer().analyze_system(system._replace(types=np.where(half, 7, system.types)))
    assert (result.label == -1).mean() > 0.9


def test_a_gas_of_two_types_is_disordered():
    rng = np.random.default_rng(36)
    box = np.array([10.0, 10, 10, 0, 0, 0])
    positions = rng.uniform(-5, 5, (1000, 3))
    result = analyzer().analyze(positions, box, types=rng.integers(0, 2, 1000))
    assert result.fractions["disordered"] > 0.9
