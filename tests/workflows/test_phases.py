"""Phases of a cooling run: change points of predicted frames and of independent measures."""

import itertools

import numpy as np
import pytest
from study.reports import phases as report
from study.solids import changes, phases

from hoomd_gala.errors import InputError

#: Frames of a synthetic run, and its first frames of the liquid and of the solid.
N_FRAMES, LIQUID, SOLID = 30, 8, 21


@pytest.fixture
def course():
    """Energy and density that step down and up where phases change, with a drift and noise."""
    rng = np.random.default_rng(1)
    frame = np.arange(N_FRAMES)
    steps = np.searchsorted([LIQUID, SOLID], frame, side="right")
    energy = -np.array([0.5, 4.0, 6.5])[steps] - 0.01 * frame + rng.normal(scale=0.05, size=30)
    density = np.array([0.05, 0.5, 0.9])[steps] + rng.normal(scale=0.01, size=30)
    return [
        {"timestep": 100 * i, "kT": 1 - i / 100, "energy": e, "density": d, "condensed": 1.0}
        for i, (e, d) in enumerate(zip(energy, density, strict=True))
    ]


def confused_within(*bounds):
    """Histogram of predicted frames that are confused within phases and never between them."""
    rng = np.random.default_rng(2)
    histogram = np.zeros((N_FRAMES, N_FRAMES))
    for start, end in itertools.pairwise([0, *bounds, N_FRAMES]):
        histogram[start:end, start:end] = rng.dirichlet(np.full(end - start, 3.0), end - start)
    return histogram


def test_all_measures_find_the_same_changes(course):
    solid = np.where(np.arange(N_FRAMES) < SOLID, 0.02, 0.8)
    found = phases.phase_changes(confused_within(LIQUID, SOLID), course, solid)
    assert found == [
        phases.Changes("predicted frames", LIQUID, SOLID),
        phases.Changes("energy and density", LIQUID, SOLID),
        phases.Changes("PTM", None, SOLID),
    ]
    rows = phases.rows(found, course)
    assert rows[0]["freezing, timestep"] == 100 * SOLID
    assert rows[0]["condensation, kT"] == pytest.approx(1 - LIQUID / 100)
    assert rows[2]["condensation, timestep"] == ""
    assert phases.middles(found[0], N_FRAMES) == [4, 14, 25]


def test_measures_that_disagree_are_reported_so(course):
    solid = np.where(np.arange(N_FRAMES) < 25, 0.02, 0.8)
    found = phases.phase_changes(confused_within(5, 12), course, solid)
    assert found[0][1:] == (5, 12)
    assert found[1][1:] == (LIQUID, SOLID)
    assert found[2].freezing == 25


def test_what_never_freezes_has_no_change_by_template_matching(course):
    solid = np.random.default_rng(3).uniform(0, 0.05, N_FRAMES)
    found = phases.phase_changes(confused_within(LIQUID, SOLID), course, solid)
    assert found[2].freezing is None
    assert phases.rows(found, course)[2]["freezing, kT"] == ""


def test_units_carry_no_weight(course):
    columns = [[row[key] for row in course] for key in ("energy", "density")]
    scaled = changes.standardized([np.array(columns[0]) * 1e6, columns[1]])
    np.testing.assert_allclose(scaled, changes.standardized(columns), atol=1e-9)


def test_too_few_frames_are_named():
    with pytest.raises(InputError, match="3 phases need 6 frames or more, not 5"):
        changes.change_points(np.arange(5.0), 2)


def test_phases_that_a_measure_sees_follow_each_other():
    every = phases.Changes("energy and density", LIQUID, SOLID)
    assert report.spans(every, N_FRAMES) == [
        ("gas", 0, LIQUID),
        ("liquid", LIQUID, SOLID),
        ("solid", SOLID, N_FRAMES),
    ]
    one = phases.Changes("PTM", None, SOLID)
    assert report.spans(one, N_FRAMES) == [("not solid", 0, SOLID), ("solid", SOLID, N_FRAMES)]
    none = phases.Changes("PTM", None, None)
    assert report.spans(none, N_FRAMES) == [("not solid", 0, N_FRAMES)]
