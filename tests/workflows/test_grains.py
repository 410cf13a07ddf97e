"""Polycrystals, and the orientations of their particles."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from ovito.modifiers import PolyhedralTemplateMatchingModifier
from pictures import pixels
from scipy.spatial.transform import Rotation
from sklearn.metrics import adjusted_rand_score
from study.comparison import grains as comparison
from study.reports import grains as report
from study.solids import grains, orientations, polycrystals

from hoomd_gala.crystals.prototypes import crystal, unit_cell
from hoomd_gala.errors import InputError
from hoomd_gala.files.models import load_model
from hoomd_gala.neighbors.environments import PeriodicTree
from hoomd_gala.systems import System

# By cell: proper rotations of its point group, and for each Wyckoff site of its space group (from
# the International Tables) how many copies a cell holds and what a vector can be there.
KNOWN = {
    "cF4-Cu": (24, [(4, 0)]),  # 4a m-3m
    "hP2-Mg": (12, [(2, 0)]),  # 2c -6m2
    "cF8-C": (24, [(8, 0)]),  # 8a -43m
    "hP4-C.3": (12, [(4, 1)]),  # 4f 3m
    "oC8-Ga": (4, [(8, 3)]),  # 8f m
    "cP20-Mn": (24, [(8, 1), (12, 1)]),  # 8c 3 and 12d 2
    "tP30-CrFe": (8, [(2, 0), (4, 1), (8, 3), (8, 3), (8, 3)]),  # 2b mmm, 4f mm2, 8i m twice, 8j m
    # 16c 3, without improper operations: halves that only inversion takes into each other
    "cI16-Si": (12, [(8, 1), (8, 1)]),
}


@pytest.mark.parametrize("cell", KNOWN)
def test_symmetry_is_that_of_the_space_group(cell):
    found = polycrystals.symmetry(cell)
    counts = np.bincount(found.kinds)
    order, sites = KNOWN[cell]
    assert len(found.group) == order
    assert sorted(zip(counts.tolist(), found.freedom, strict=True)) == sorted(sites)
    # a group: products of its rotations are in it
    first, second = np.divmod(np.arange(order**2), order)
    products = found.group[first] * found.group[second]
    assert (
        polycrystals.misorientation(products, Rotation.identity(len(products)), found.group).max()
        < 1
    )


def test_misorientation_is_modulo_the_rotations_of_the_crystal():
    cube, hexagonal = polycrystals.symmetry("cF4-Cu").group, polycrystals.symmetry("hP2-Mg").group
    start = Rotation.random(4, rng=np.random.default_rng(1))
    turns = Rotation.from_rotvec(np.outer([90, 100, 45, 60], [0, 0, 1]), degrees=True)
    # rotations about the crystal's axis are on the right
    np.testing.assert_allclose(
        polycrystals.misorientation(start, start * turns, cube), [0, 10, 45, 30], atol=1e-3
    )
    np.testing.assert_allclose(
        polycrystals.misorientation(start, start * turns, hexagonal), [30, 20, 15, 0], atol=0.1
    )
    # and rotating the laboratory changes nothing
    lab = Rotation.from_rotvec([0.3, -1.0, 0.2])
    np.testing.assert_allclose(
        polycrystals.misorientation(lab * start, lab * start * turns, cube),
        [0, 10, 45, 30],
        atol=1e-3,
    )


@pytest.mark.parametrize(("cell", "name"), [("cI2-W", "cubic"), ("hP2-Mg", "hexagonal")])
def test_misorientation_is_that_of_ovito(cell, name):
    rng = np.random.default_rng(2)
    first, second = Rotation.random(200, rng=rng), Rotation.random(200, rng=rng)
    expected = PolyhedralTemplateMatchingModifier.calculate_misorientation(
        first.as_quat(), second.as_quat(), symmetry=name
    )
    found = polycrystals.misorientation(first, second, polycrystals.symmetry(cell).group)
    np.testing.assert_allclose(found, np.rad2deg(expected), atol=0.1)


@pytest.fixture(scope="module")
def bcc() -> polycrystals.Polycrystal:
    return polycrystals.polycrystal("cI2-W", 3, 12.0, 0.02, 1)


def test_grains_fill_the_cube_as_densely_as_the_crystal(bcc):
    perfect = crystal(unit_cell("cI2-W"), 100)
    # as many as the crystal has, but for one of each pair that is too close at a boundary
    expected = 12.0**3 * len(perfect.positions) / np.prod(perfect.box[:3])
    assert 0.9 * expected < len(bcc.system.positions) < expected
    single = polycrystals.polycrystal("cI2-W", 1, 12.0, 0.0, 1)
    assert 0.93 * expected < len(single.system.positions) < 1.01 * expected
    assert np.bincount(bcc.grain, minlength=3).min() > 100
    nearest = PeriodicTree.build(bcc.system.positions, bcc.system.box).nearest(n=1).bonds
    assert np.linalg.norm(nearest, axis=-1).min() > 0.6
    # both sites of the cell are there as often
    assert np.mean(bcc.site == 0) == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("cell", ["cI2-W", "hP2-Mg", "hP4-C.3"])
def test_template_matching_finds_the_orientations_that_grains_were_made_with(cell):
    sample = polycrystals.polycrystal(cell, 2, 14.0, 0.02, 3)
    found = orientations.match_templates(sample)
    group = polycrystals.symmetry(cell).group
    error = polycrystals.misorientation(found.rotation, sample.truth[found.rows], group)
    assert len(found.rows) > 0.3 * len(sample.site)
    assert np.median(error) < 3
    # inverse orientations are wrong
    assert (
        np.median(
            polycrystals.misorientation(found.rotation.inv(), sample.truth[found.rows], group)
        )
        > 8
    )


def test_rotating_harmonics_is_rotating_vectors():
    rng = np.random.default_rng(4)
    vectors, rotations = rng.normal(size=(7, 3)), Rotation.random(5, rng=rng)
    rotated = np.stack([rotations[i].apply(vectors) for i in range(5)])
    matrices = orientations.wigner_matrices(rotations)
    found = orientations.rotate(matrices, orientations.harmonics(vectors))
    np.testing.assert_allclose(found, orientations.harmonics(rotated), atol=1e-4)


def test_frames_rotate_with_the_sample():
    model = load_model("autoencoding")
    sample = polycrystals.single_crystal("oC8-Ga", 100, 0.05, 5)
    # a quarter turn takes a box to a box
    turn = Rotation.from_rotvec([0, 0, 90], degrees=True)
    box = sample.system.box
    assert abs(box[3:]).max() < 1e-9
    rotated = System(
        turn.apply(sample.system.positions), box[[1, 0, 2, 3, 4, 5]], sample.system.types
    )
    before = orientations.describe_by_frames(model, sample.system)
    after = orientations.describe_by_frames(model, rotated)
    matrices = orientations.wigner_matrices(Rotation.concatenate([turn]))
    expected = np.stack([orientations.rotate(matrices, rows)[0] for rows in before.directions])
    close = np.abs(after.directions - expected).max(axis=(1, 2)) < 0.05
    assert close.mean() > 0.95  # in float32 a frame that thermal motion decides may flip
    np.testing.assert_allclose(after.summary, before.summary, atol=1e-3)


def test_segments_are_the_grains_when_orientations_are_right(bcc):
    group = polycrystals.symmetry("cI2-W").group
    near = PeriodicTree.build(bcc.system.positions, bcc.system.box).nearest().neighbors
    every = np.arange(len(bcc.site))
    found = grains.segment(orientations.Oriented(every, bcc.truth), near, group)
    assert adjusted_rand_score(bcc.grain, found) > 0.95
    # particles without an orientation are in no grain of another
    some = orientations.Oriented(every[:100], bcc.truth[:100])
    assert len(np.unique(grains.segment(some, near, group)[100:])) == len(every) - 100


def test_frames_of_a_neighborhood_distinguish_grains_that_one_frame_does_not(bcc, tmp_path):
    found = orientations.orientations(bcc, load_model("autoencoding"), 0.02, 100, 1)
    rows = {row["method"]: row for row in comparison.scores(bcc, 0.02, found, 1)}
    inside = {method: row["within 10 degrees, inside"] for method, row in rows.items()}
    assert inside["frames around"] > 0.7 > 0.3 > inside["frames"]
    assert inside["bonds around"] > 0.9
    assert inside["PTM"] > 0.9
    assert rows["frames around"]["median misorientation to PTM"] < 10
    report.draw(tmp_path / "grains.png", [(bcc, found)], "a test")
    # five slices: every grain has its color by the truth and by methods that find it
    truth, _, around, _, templates = np.array_split(pixels(tmp_path / "grains.png"), 5, axis=1)
    for part in (truth, around, templates):
        for color in ("C0", "C1", "C2"):
            assert (abs(part - np.array(to_rgb(color))) < 0.02).all(axis=-1).sum() > 500


def test_bad_input_is_refused():
    with pytest.raises(
        InputError, match="needs a positive edge and number of grains, not 10 and 0"
    ):
        polycrystals.polycrystal("cI2-W", 0, 10.0, 0.0, 1)
    with pytest.raises(InputError, match="orientations need an autoencoder"):
        orientations.describe_by_frames(load_model("denoising"), crystal(unit_cell("cI2-W"), 100))
