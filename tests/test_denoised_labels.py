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
from hoomd_gala.results import DISORDERED

STEPS = 4


@pytest.fixture(scope="module")
def hot():
    """A crystal beyond melting, of which a part has another type."""
    perfect = crystal(unit_cell("cF12-CaF2"), 400)
    types = np.arange(len(perfect.positions)) % 9 // 8
    return displace(perfect, 0.15, np.random.default_rng(4))._replace(types=types)


@pytest.fixture(scope="module")
def analyzer():
    return Analyzer("structures", "cpu", denoise_steps=STEPS)


def test_labels_are_those_of_the_moved_particles(analyzer, hot):
    before = hot.positions.copy()
    quiet = Analyzer("denoise", "cpu").denoise(hot.positions, hot.box, steps=STEPS)
    plain = Analyzer("structures", "cpu")
    expected, ours = plain.analyze(quiet, hot.box), analyzer.analyze(hot.positions, hot.box)
    np.testing.assert_array_equal(ours.label, expected.label)
    np.testing.assert_allclose(ours.confidence, expected.confidence, atol=1e-5)
    np.testing.assert_array_equal(hot.positions, before)
    # which is what it is for
    right = (
        plain.analyze(hot.positions, hot.box).fractions["cF12-CaF2"],
        ours.fractions["cF12-CaF2"],
    )
    assert right[0] < 0.5 < 0.8 < right[1]


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
