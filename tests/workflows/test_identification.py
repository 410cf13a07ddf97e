"""What solids are identified by: order, unit cells, diffraction, energies."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from study.reports import evidence as report
from study.solids import evidence, identification, lattice_energies, order

from hoomd_gala.crystals import potentials
from hoomd_gala.crystals.prototypes import crystal, displace, droplet, unit_cell
from hoomd_gala.crystals.sites import SIMILAR
from hoomd_gala.systems import System

#: Neighbors in the first shell of a warm crystal; of two sites where there are two.
COORDINATION = {
    "cF4-Cu": {12},
    "cI2-W": {14},
    "cF8-C": {4},
    "cP1-Po": {6},
    "cP8-Cr3Si": {12, 14},
}


def warm(name, rng, n=600, noise=0.02):
    return displace(crystal(unit_cell(name), n), noise, rng)


def whole(system):
    return np.full(len(system.positions), True)


@pytest.fixture(scope="module")
def known():
    return identification.collect_sites(["cF4-Cu", "hP2-Mg", "cI2-W", "cF8-C", "cP8-Cr3Si"])


@pytest.mark.parametrize("name", COORDINATION)
def test_first_shells_are_those_of_the_textbook(name, rng):
    system = warm(name, rng)
    found = order.shells(system, whole(system))
    assert set(np.unique(found.coordination)) == COORDINATION[name]
    if name == "cP8-Cr3Si":
        assert (found.coordination == 12).mean() == pytest.approx(0.25)
        np.testing.assert_array_equal(found.voronoi, found.coordination)


def test_common_bond_order_is_that_of_the_lattice_and_of_no_gas(rng):
    system = warm("cF4-Cu", rng, noise=0.001)
    found = order.bond_order(system, whole(system), 1.2)
    for values in (found.local, found.common):
        assert values[4] == pytest.approx(0.1909, abs=0.002)  # of the ideal fcc shell
        assert values[6] == pytest.approx(0.5745, abs=0.002)
    gas = System(rng.uniform(-5, 5, (600, 3)), np.array([10.0, 10, 10, 0, 0, 0]), system.types)
    assert max(order.bond_order(gas, whole(gas), 1.5).common.values()) < 0.05


def test_grains_of_different_orientation_have_no_common_order(rng):
    one = warm("cF4-Cu", rng, 2000, 0.001)
    ball, _ = droplet(one, 0.8)
    rotated = Rotation.from_euler("xyz", [20, 35, 10], degrees=True).apply(ball.positions)
    both = np.concatenate([ball.positions - np.array([20, 0, 0]), rotated + np.array([20, 0, 0])])
    system = System(both, np.array([80.0, 40, 40, 0, 0, 0]), np.zeros(len(both), int))
    found = order.bond_order(system, order.bulk(system), 1.2)
    assert found.local[6] == pytest.approx(0.5745, abs=0.01)
    assert found.common[6] < 0.45


def test_bulk_is_what_lies_deep(rng):
    ball, intact = droplet(warm("cI2-W", rng, 4000), 0.8)
    inside = order.bulk(ball)
    assert inside.sum() > 200
    assert intact[inside].mean() > 0.97
    assert intact[inside].min() > 0.7
    # first shells lack one of 14 at most, while nearly half of the ball's lack some
    assert order.shells(ball, inside).coordination.min() >= 13
    assert (order.shells(ball, whole(ball)).coordination == 14).mean() < 0.6
    # the outermost of the densest layers, which lie 0.82 apart, is not bulk
    radius = np.linalg.norm(ball.positions, axis=1)
    assert radius[inside].max() < radius.max() - 0.75
    assert order.condensed(ball).all()


def test_vapor_is_not_condensed(rng):
    ball, _ = droplet(warm("cI2-W", rng, 2000), 0.9)
    vapor = rng.uniform(-40, 40, (40, 3))
    points = np.concatenate([ball.positions, vapor[np.linalg.norm(vapor, axis=1) > 15]])
    system = System(points, np.array([80.0, 80, 80, 0, 0, 0]), np.zeros(len(points), int))
    found = order.condensed(system)
    assert found[: len(ball.positions)].all()
    assert not found[len(ball.positions) :].any()


@pytest.mark.parametrize("name", ["cF4-Cu", "hP2-Mg", "cI2-W", "cF8-C", "cP8-Cr3Si"])
def test_hot_crystals_match_their_own_cell(name, known, rng):
    system = warm(name, rng, noise=0.03)
    best, *others = identification.match_cells(system, whole(system), known)
    assert best.cell == name
    assert best.distance < SIMILAR
    assert best.proportions < 0.05
    # fcc beside hcp, which share the first shell, is the closest call
    unlike = [other for other in others if identification.prototype(other.cell) != name]
    assert min(other.distance for other in unlike) > 1.4 * best.distance


def test_a_crystal_at_another_axial_ratio_is_identified(known, rng):
    """A hexagonal crystal whose cell is flat: two neighbors along the axis and six around."""
    cell = identification.reference_cell("hP2-Mg c/a=0.64")
    system = displace(crystal(cell, 600), 0.02, rng)
    assert set(order.shells(system, whole(system)).coordination) == {8}
    best = identification.match_cells(system, whole(system), known)[0]
    assert best.cell.startswith("hP2-Mg c/a=0.6")
    assert best.distance < SIMILAR
    # and what needs no stretching is not stretched
    plain = identification.match_cells(warm("hP2-Mg", rng), np.full(600, True), known)[0]
    assert plain.cell == "hP2-Mg"


def test_of_cells_that_fit_alike_the_most_symmetric_comes_first(rng):
    """Indium's cell is that of copper, strained by 8 %; ordered alloys are it but for types."""
    cells = ["tI2-In", "cP4-AuCu3", "hR2-CuPt", "cF4-Cu"]
    system = warm("cF4-Cu", rng)
    best, *others = identification.match_cells(
        system, whole(system), identification.collect_sites(cells)
    )
    # warm, the strained cell seems to fit a little better
    strained = next(match for match in others if match.cell == "tI2-In")
    assert strained.score < best.score < strained.score + 0.01
    assert best.cell == "cF4-Cu"


def test_a_gas_matches_no_cell(known, rng):
    gas = System(
        rng.uniform(-5, 5, (600, 3)), np.array([10.0, 10, 10, 0, 0, 0]), np.zeros(600, int)
    )
    assert identification.match_cells(gas, whole(gas), known)[0].distance > SIMILAR


def test_wrong_proportions_of_sites_count(known, rng):
    system = warm("cP8-Cr3Si", rng)
    found = order.shells(system, whole(system))
    # only the sites of twelve neighbors: each of them fits, all of them together do not
    inside = found.coordination == 12
    best = next(
        match
        for match in identification.match_cells(system, inside, known)
        if match.cell == "cP8-Cr3Si"
    )
    assert best.distance < SIMILAR
    assert best.proportions == pytest.approx(0.75, abs=0.01)


def test_sites_survive_their_file(known, tmp_path):
    identification.write_sites(tmp_path / "sites.npz", known)
    again = identification.read_sites(tmp_path / "sites.npz")
    np.testing.assert_array_equal(again.cell, known.cell)
    np.testing.assert_array_equal(again.descriptor, known.descriptor)


# ---- energies ----


def test_lattice_energies_are_those_of_the_crystals():
    potential = potentials.opp(6.25, 0.62)
    found = {entry.cell: entry for entry in lattice_energies.lattice_energies(potential)}
    for name in ("cI2-W", "cF8-C", "cP8-Cr3Si"):
        perfect = crystal(unit_cell(name), 400)
        box = perfect.box.copy()
        box[:3] *= found[name].distance
        system = System(perfect.positions * found[name].distance, box, perfect.types)
        direct = identification.energies(system, potential).mean()
        assert found[name].energy == pytest.approx(direct, abs=0.03)
        volume = np.prod(box[:3])
        assert found[name].number_density == pytest.approx(len(system.positions) / volume)


def test_lowest_cells_are_those_that_simulations_find():
    assert lattice_energies.lowest(potentials.opp(6.25, 0.62), 1)[0].cell == "cI2-W"
    close_packed = [entry.cell for entry in lattice_energies.lowest(potentials.ljg(0.0, 1.0), 3)]
    assert "hP2-Mg" in close_packed  # by less than a thousandth below cF4-Cu
    energies = [entry.energy for entry in lattice_energies.lowest(potentials.opp(6, 3.9), 3)]
    assert energies == sorted(energies)


def test_a_quench_finds_the_inherent_structure(rng):
    potential = potentials.opp(6.25, 0.62)
    lowest = lattice_energies.lowest(potential, 1)[0]
    perfect = crystal(unit_cell("cI2-W"), 400)
    box = perfect.box.copy()
    box[:3] *= lowest.distance
    hot = displace(System(perfect.positions * lowest.distance, box, perfect.types), 0.06, rng)
    cold = identification.quench(hot, potential, seed=1)
    assert identification.energies(cold, potential).mean() == pytest.approx(lowest.energy, abs=0.02)
    assert identification.energies(hot, potential).mean() > lowest.energy + 0.3


# ---- directions and diffraction ----


def peaks(n, half=96):
    """A synthetic pattern with n reflections around its center."""
    y, x = np.mgrid[-half:half, -half:half]
    pattern = np.zeros((2 * half, 2 * half))
    for angle in 2 * np.pi * np.arange(n) / n + 0.1:
        center = 0.6 * half * np.array([np.sin(angle), np.cos(angle)])
        pattern += np.exp(-((y - center[0]) ** 2 + (x - center[1]) ** 2) / 18)
    return pattern


@pytest.mark.parametrize("n", order.FOLDS)
def test_symmetry_of_synthetic_patterns(n):
    found = order.symmetry(peaks(n))
    for fold, correlation in found.items():
        if n % fold == 0:
            assert correlation > 0.95
        else:
            assert correlation < 0.6


def test_the_brightest_view_of_a_cubic_crystal_shows_its_symmetry(rng):
    ball, _ = droplet(warm("cP1-Po", rng, 1000, 0.01), 0.85)
    rotated = ball._replace(positions=Rotation.random(rng=rng).apply(ball.positions))
    bright, _ = order.views(rotated, rng)
    assert bright.symmetry[4] > 0.85
    assert bright.symmetry[10] < 0.5


def test_diffraction_peaks_lie_at_reciprocal_lattice_vectors(rng):
    ball, _ = droplet(warm("cP1-Po", rng, 2000, 0.005), 0.9)
    n = 256
    pattern = order.diffraction(ball.positions, 1.0, n)
    assert pattern[n // 2, n // 2] == pytest.approx(len(ball.positions), rel=0.01)
    along = pattern[n // 2, n // 2 + 20 :]
    # the first reflection of a simple cubic lattice, at 2 pi over its edge
    place = (along.argmax() + 20) / (n / 2) * order._REACH
    assert place == pytest.approx(1.0, abs=0.05)


def test_bond_diagram_is_bright_where_bonds_point(rng):
    system = warm("cP1-Po", rng, 600, 0.01)
    diagram = report.bond_diagram(system, whole(system), 1.2, Rotation.identity())
    disc = report.smooth_diagram(diagram)
    middle = len(disc) // 2
    assert np.nanmax(disc) > 20
    assert disc[middle - 2 : middle + 3, middle - 2 : middle + 3].max() > 0.8 * np.nanmax(disc)
    assert disc[middle + middle // 2, middle + middle // 2] < 0.5
    gas = System(rng.uniform(-5, 5, (4000, 3)), np.array([10.0, 10, 10, 0, 0, 0]), system.types)
    even = report.bond_diagram(gas, whole(gas), 1.5, Rotation.identity())
    assert np.nanmean(report.smooth_diagram(even)) == pytest.approx(1, abs=0.05)


# ---- verdicts ----


def test_verdict_of_a_warm_crystal(known, rng):
    potential = potentials.ljg(0.0, 1.0)
    ball, _ = droplet(warm("cF4-Cu", rng, 1500), 0.85)
    box = np.array([30.0, 30, 30, 0, 0, 0])
    found = evidence.gather(ball._replace(box=box), potential, known, rng)
    numbers = evidence.row(found)
    assert numbers["verdict"] == "cF4-Cu"
    assert numbers["PTM"] == "cF4-Cu"
    assert numbers["CNA"] == "cF4-Cu"
    assert numbers["PTM share"] > 0.9
    assert numbers["energy of the bulk"] == pytest.approx(-8.1, abs=0.4)
    assert found.close_packed > 0.9
    # of a study that compares with one cell
    alone = evidence.row(found._replace(matches=found.matches[:1]))
    assert alone["nearest cell"] == "cF4-Cu"
    assert alone["next cell"] == alone["next distance"] == alone["next proportions"] == ""
    # without a cell that is like it, nothing else in it makes it a quasicrystal or Frank-Kasper
    far = [match._replace(distance=1.0) for match in found.matches]
    unlike = found._replace(matches=far, close_packed=0.0)
    assert evidence.verdict(unlike) == evidence.NOT_IDENTIFIED
    stacked = found._replace(matches=far, close_packed=0.9)
    assert evidence.verdict(stacked) == evidence.CLOSE_PACKED
    # whatever its sites: no crystal is invariant under a rotation by 30 degrees
    bright, other = found.views
    rotated = bright._replace(symmetry=dict.fromkeys(order.FOLDS, 0.8))
    assert evidence.verdict(found._replace(views=(rotated, other))) == "dodecagonal order"


def test_pseudo_twelvefold_axis_of_a_crystal_is_fourfold(rng):
    ball = evidence.ideal_droplet("tP30-CrFe", 600)
    points = order.cluster(ball)
    points += rng.normal(scale=0.03, size=points.shape)
    found = order.symmetry(order.diffraction(points, order.nearest_distance(ball), 192))
    assert found[4] > 0.9
    assert found[4] - evidence.BEHIND > found[12] > evidence.TWELVEFOLD


@pytest.fixture(scope="module")
def quasicrystal():
    """A ball of the vertices of the three-dimensional Penrose tiling, cut from a lattice in 6 d.

    Projections of the six axes onto physical and perpendicular space are those of Elser, Phys. Rev.
    B 32, 4892 (1985); the cut is a sphere.
    """
    golden = (1 + 5**0.5) / 2
    pairs = np.array([[1, golden, 0], [-1, golden, 0]])
    axes = np.concatenate([np.roll(pairs, shift, axis=1) for shift in range(3)])
    pairs = np.array([[-golden, 1, 0], [golden, 1, 0]])
    perpendicular = np.concatenate([np.roll(pairs, shift, axis=1) for shift in range(3)])
    sites = np.stack(np.meshgrid(*[np.arange(-4, 5)] * 6, indexing="ij"), -1).reshape(-1, 6)
    scale = 1 / np.sqrt(1 + golden**2)
    kept = np.linalg.norm(sites @ perpendicular * scale, axis=1) < 1.4
    points = sites[kept] @ axes * scale
    points = points[np.linalg.norm(points, axis=1) < 4.5]
    box = np.array([30.0, 30, 30, 0, 0, 0])
    return System(points, box, np.zeros(len(points), np.int64))


def test_a_quasicrystal_is_icosahedral_and_tenfold(quasicrystal, rng):
    inside = np.linalg.norm(quasicrystal.positions, axis=1) < 3
    assert evidence.is_icosahedral(order.bond_order(quasicrystal, inside, 1.02))
    points = quasicrystal.positions
    # along an axis of the tiling
    view = Rotation.align_vectors([[0, 0, 1]], [[1, (1 + 5**0.5) / 2, 0]])[0]
    found = order.symmetry(order.diffraction(view.apply(points), 1.0, 192))
    assert found[10] > evidence.TENFOLD
    assert found[10] > max(found[4], found[6], found[8], found[12])


@pytest.mark.parametrize("name", ["cP8-Cr3Si", "tP30-CrFe", "cI2-W", "cP20-Mn"])
def test_crystals_of_icosahedral_coordination_are_no_quasicrystals(name, rng):
    ball = evidence.ideal_droplet(name, 500)
    inside = order.bulk(ball)
    found = order.bond_order(ball, inside, order.shells(ball, inside).radius)
    tenfold = order.views(ball, rng)[1].symmetry[10]
    assert not (evidence.is_icosahedral(found) and tenfold > evidence.TENFOLD)
