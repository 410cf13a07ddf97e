"""Labels of particles whose thermal displacements have been taken out before."""

import numpy as np
import pytest
from conftest import gas

from hoomd_gala.analyzer import Analyzer
from hoomd_gala.cli import main
from hoomd_gala.crystals.prototypes import crystal, displace, unit_cell
from hoomd_gala.errors import InputError
from hoomd_gala.files import frame_labels, make_frame, open_trajectory
from hoomd_gala.files.outputs import append_all, open_gsd
from hoomd_gala.files.sources import Stored
from hoomd_gala.results import DISORDERED, UNKNOWN_NAME

STEPS = 4


@pytest.fixture(scope="module")
def hot():
    """A crystal at its melting point, of which a part has another type."""
    perfect = crystal(unit_cell("cF12-CaF2"), 400)
    types = np.arange(len(perfect.positions)) % 9 // 8
    return displace(perfect, 0.15, np.random.default_rng(4))._replace(types=types)


@pytest.fixture(scope="module")
def analyzer():
    return Analyzer("structures", "cpu", denoise_steps=STEPS)


def test_labels_without_heat_replace_those_that_are_less_certain(analyzer, hot):
    before = hot.positions.copy()
    quiet = Analyzer("denoise", "cpu").denoise(hot.positions, hot.box, steps=STEPS)
    plain = Analyzer("structures", "cpu")
    as_it_is, moved = plain.analyze(hot.positions, hot.box), plain.analyze(quiet, hot.box)
    ours = analyzer.analyze(hot.positions, hot.box)
    np.testing.assert_array_equal(hot.positions, before)
    unknown, disorder = as_it_is.names == UNKNOWN_NAME, as_it_is.names == DISORDERED
    surer = ~disorder & (unknown | (moved.confidence > as_it_is.confidence + 0.2))
    surer &= moved.names != UNKNOWN_NAME
    # some are replaced that had no name, some that had another one, and some are not
    assert all(kept.any() for kept in (surer & unknown, surer & ~unknown, ~surer & ~disorder))
    for name in ("label", "confidence"):
        expected = np.where(surer, getattr(moved, name), getattr(as_it_is, name))
        np.testing.assert_allclose(getattr(ours, name), expected, atol=1e-5)
    # embeddings are of what is there
    np.testing.assert_allclose(ours.embedding, as_it_is.embedding, atol=1e-5)
    # which is what it is for
    structure = "cF12-CaF2"
    assert as_it_is.fractions[structure] < 0.5 < 0.8 < ours.fractions[structure]


def test_what_is_known_stays_although_denoising_takes_it_for_a_simpler_lattice(analyzer):
    # lithium's cell is bcc a little distorted, as if by heat
    name = "cI16-Li"
    warm = displace(crystal(unit_cell(name), 400), 0.08, np.random.default_rng(2))
    quiet = Analyzer("denoise", "cpu").denoise(warm.positions, warm.box, steps=STEPS)
    assert Analyzer("structures", "cpu").analyze(quiet, warm.box).fractions[name] < 0.2
    assert analyzer.analyze_system(warm).fractions[name] > 0.9


def test_some_particles_have_the_labels_that_they_have_among_all(analyzer, hot):
    some = np.arange(3, len(hot.positions), 7)
    ours = analyzer.analyze(hot.positions, hot.box, particles=some)
    everyone = analyzer.analyze(hot.positions, hot.box)
    np.testing.assert_array_equal(ours.label, everyone.label[some])
    np.testing.assert_allclose(ours.confidence, everyone.confidence[some], atol=1e-5)


def test_where_all_is_known_nothing_is_denoised(monkeypatch):
    from hoomd_gala.denoising import Denoising

    def refuse(*_):
        raise AssertionError

    monkeypatch.setattr(Denoising, "__call__", refuse)
    cold = crystal(unit_cell("cI2-W"), 400)
    found = Analyzer("structures", "cpu", denoise_steps=STEPS).analyze_system(cold)
    assert found.fractions["cI2-W"] == 1


def test_only_particles_that_may_be_neighbors_move_each_other(analyzer, hot):
    some = hot.types == 0
    kept = hot._replace(positions=hot.positions[some], types=hot.types[some])
    ours = analyzer.analyze(hot.positions, hot.box, neighbors=some)
    np.testing.assert_array_equal(ours.label, analyzer.analyze_system(kept).label)


def test_disorder_stays_disorder(analyzer, rng):
    random = gas(400, rng)
    assert analyzer.analyze(random.positions, random.box).fractions[DISORDERED] > 0.97


@pytest.mark.parametrize("steps", [-1, 1.5, "2"])
def test_what_is_no_number_of_steps(steps):
    with pytest.raises(InputError, match=f"denoise_steps is {steps!r}"):
        Analyzer("structures", "cpu", denoise_steps=steps)


def test_files_have_the_labels_and_their_own_positions(analyzer, hot, tmp_path, capsys):
    source, target = tmp_path / "hot.gsd", tmp_path / "labeled.gsd"
    frame = make_frame(hot, 7, ("A", "B"))
    with open_gsd(source, Stored(frame, {})) as file:
        append_all(file, frame, {})
    assert not main(["label", str(source), str(target), "--denoise", str(STEPS)])
    with open_trajectory(target) as frames:
        labeled = frames[0]
    np.testing.assert_array_equal(labeled.particles.position, frame.particles.position)
    found = frame_labels(labeled)
    assert found is not None
    expected = analyzer.analyze(frame.particles.position, hot.box).label
    np.testing.assert_array_equal(found[0], expected)
