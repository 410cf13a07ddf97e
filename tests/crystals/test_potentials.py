"""Pair potentials: depth, cutoff, and forces."""

import numpy as np
import pytest

from hoomd_gala.crystals import potentials

POTENTIALS = [
    potentials.opp(6.25, 0.62),
    potentials.opp(8.0, 0.5),
    potentials.ljg(0.0, 1.0),
    potentials.ljg(1.8, 1.45),
]


@pytest.mark.parametrize("potential", POTENTIALS, ids=lambda p: p.name)
def test_potentials_are_one_deep_and_their_force_is_the_slope(potential):
    r, energy, force = potential.table(20_000)
    assert energy.min() == pytest.approx(-1, abs=1e-6)
    outside = r > 0.9
    slope = np.gradient(energy, r)
    np.testing.assert_allclose(force[outside], -slope[outside], atol=2e-2)


def test_opp_is_cut_at_the_maximum_after_its_second_attractive_minimum():
    potential = potentials.opp(6.25, 0.62)
    _, energy, force = potential.table(20_000)
    assert abs(force[-1]) < 1e-3
    minima = (np.diff(np.sign(np.diff(energy))) > 0) & (energy[1:-1] < 0)
    assert minima.sum() == 2
    assert energy[-1] > 0


def test_lennard_jones_is_itself():
    r, energy, _ = potentials.ljg(0.0, 1.0).table(1000)
    np.testing.assert_allclose(energy, r**-12 - 2 * r**-6, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("potential", POTENTIALS, ids=lambda p: p.name)
def test_closed_forms_are_those_of_the_expression(potential):
    sympy = pytest.importorskip("sympy")
    symbol = sympy.Symbol("r", positive=True)
    energy = sympy.sympify(potential.expression, locals={"r": symbol})
    r = np.linspace(0.6, potential.r_cut - 1e-6, 500)
    for found, expected in (
        (potential.energy(r), energy),
        (potential.force(r), -sympy.diff(energy, symbol)),
    ):
        np.testing.assert_allclose(found, sympy.lambdify(symbol, expected)(r), rtol=1e-9, atol=1e-9)


def test_pairs_beyond_the_cutoff_do_not_interact():
    potential = potentials.ljg(0.0, 1.0)
    r = np.array([[1.0, 2.5], [3.0, np.inf]])
    np.testing.assert_allclose(potential.energy(r), [[-1, 0], [0, 0]], atol=1e-8)
    np.testing.assert_allclose(potential.force(r), 0, atol=1e-6)


def test_wells_that_are_too_shallow_for_a_cutoff_are_named():
    with pytest.raises(ValueError, match=r"k = 1\.0, phi = 0\.0 has no second attractive minimum"):
        potentials.opp(1.0, 0.0)


def test_slow_oscillations_are_cut_where_the_second_well_ends():
    potential = potentials.opp(2.0, 0.0)
    # cos(2 (r - 1)) is 1 at r = 1 + 2 pi, and lower where it is divided by r cubed
    assert 6 < potential.r_cut < 1 + 2 * np.pi
    around = potential.r_cut + np.array([-1e-2, 0, 1e-2])
    energy = around**-15 + np.cos(2 * (around - 1)) / around**3
    assert energy.argmax() == 1
