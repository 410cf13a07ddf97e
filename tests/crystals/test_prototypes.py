"""Unit cells against OVITO's template matching and known coordination."""

import gsd.hoomd
import numpy as np
import pytest
from screen_cells import suspicions, volume_scaled

from hoomd_gala.crystals import prototypes
from hoomd_gala.crystals.corrections import CORRECTIONS, LEFT_OUT
from hoomd_gala.crystals.prototypes import (
    crystal,
    displace,
    droplet,
    strain,
    unit_cell,
    unit_cells,
)
from hoomd_gala.errors import InputError
from hoomd_gala.files.trajectories import make_frame
from hoomd_gala.neighbors.environments import nearest_neighbors


def test_all_cells_of_the_database_are_there_under_different_names():
    cells = unit_cells()
    assert len(cells) == 579 - len(LEFT_OUT)
    assert sum(len(set(cell.system.types.tolist())) == 1 for cell in cells.values()) > 60
    assert {"hP4-C", "hP4-C.2", "hP4-C.3"} <= set(cells)


@pytest.mark.parametrize(
    ("name", "shells"),
    [
        ("cF4-Cu", {1: 12, 2**0.5: 6}),
        ("cI2-W", {1: 8, 2 / 3**0.5: 6}),
        ("cP1-Po", {1: 6, 2**0.5: 12}),
        ("cF8-C", {1: 4, (8 / 3) ** 0.5: 12}),
    ],
)
def test_coordination_shells(name, shells):
    system = crystal(unit_cell(name), 500)
    assert len(system.positions) >= 500
    bonds = nearest_neighbors(system.positions, system.box).bonds
    lengths = np.linalg.norm(bonds, axis=-1)
    for distance, count in shells.items():
        np.testing.assert_array_equal((abs(lengths - distance) < 1e-3).sum(axis=1), count)


@pytest.mark.parametrize(
    ("name", "structure"),
    [
        ("cF4-Cu", "FCC"),
        ("hP2-Mg", "HCP"),
        ("cI2-W", "BCC"),
        ("cP1-Po", "SC"),
        ("cF8-C", "CUBIC_DIAMOND"),
    ],
)
def test_replicated_cells_are_what_template_matching_says(name, structure, tmp_path):
    from ovito.io import import_file
    from ovito.modifiers import PolyhedralTemplateMatchingModifier as TemplateMatching

    rng = np.random.default_rng(1)
    path = tmp_path / "crystal.gsd"
    with gsd.hoomd.open(path, "w") as trajectory:
        system = displace(strain(crystal(unit_cell(name), 1000), 0.01, rng), 0.02, rng)
        trajectory.append(make_frame(system, 0))
    pipeline = import_file(str(path))
    modifier = TemplateMatching()
    for kind in ("FCC", "HCP", "BCC", "SC", "CUBIC_DIAMOND"):
        modifier.structures[getattr(TemplateMatching.Type, kind)].enabled = True
    pipeline.modifiers.append(modifier)
    found = pipeline.compute().particles["Structure Type"].array
    assert (found == getattr(TemplateMatching.Type, structure)).mean() > 0.99


def test_sigma_phase_has_the_coordination_of_the_sigma_phase():
    system = crystal(unit_cell("tP30-CrFe"), 600)
    bonds = nearest_neighbors(system.positions, system.box).bonds
    lengths = np.linalg.norm(bonds, axis=-1)
    # the first shell ends at a wide gap
    assert not ((lengths > 1.3) & (lengths < 1.65)).any()
    counts = (lengths < 1.5).sum(axis=1)
    found = {n: int((counts == n).sum()) * 30 // len(counts) for n in np.unique(counts).tolist()}
    assert found == {12: 10, 14: 16, 15: 4}


def test_type_two_clathrate_is_tetrahedral():
    cell = unit_cell("cF136-Si")
    system = crystal(cell, 1000)
    lengths = np.linalg.norm(nearest_neighbors(system.positions, system.box).bonds, axis=-1)
    assert lengths[:, 3].max() < 1.03
    assert lengths[:, 4].min() > 1.5
    # and its sites are those of Fd-3m: 8a, 32e and 96g, up to the origin
    fractional = cell.system.positions / cell.system.box[:3]
    expected = [(1 / 8,) * 3, (0.2177,) * 3, (0.1823, 0.1823, 0.3705)]
    for site in expected:
        away = np.abs((fractional - 0.5 - np.array(site) + 0.5) % 1 - 0.5).max(axis=1)
        assert (away < 1e-3).any()


#: Cells whose coordinates have a higher symmetry than was described, to the accuracy given.
MORE_SYMMETRIC = "cP34-P12PrRu4 hP11-P4Rh6Sc oC12-Au2V oC8-OPb oP8-AsCo tP8-NV"

#: Cells that are left out although distances alone do not show that they are wrong.
UNSEEN = {"cF104-F6KP", "cP16-H3P", "hR6-ISSm", "tP40-Al7Cu2Fe"}


def packaged_cells(monkeypatch):
    """All cells as they are in the package."""
    with monkeypatch.context() as patch:
        patch.setattr(prototypes, "CORRECTIONS", {})
        patch.setattr(prototypes, "LEFT_OUT", {})
        return unit_cells.__wrapped__()


def test_screen_of_all_cells():
    found = {name: suspicions(cell) for name, cell in unit_cells().items()}
    wrong = {name: why for name, why in found.items() if why}
    assert set(wrong) == set(MORE_SYMMETRIC.split())
    for (why,) in wrong.values():
        assert "space group" in why


def test_screen_finds_cells_that_are_wrong(monkeypatch):
    packaged = packaged_cells(monkeypatch)
    assert len(packaged) == 579
    assert not set(CORRECTIONS) & set(LEFT_OUT)
    clean = {name for name in (*CORRECTIONS, *LEFT_OUT) if not suspicions(packaged[name])}
    assert clean == UNSEEN


def test_only_cells_with_a_correction_differ_from_the_package(monkeypatch):
    packaged = packaged_cells(monkeypatch)
    assert set(packaged) - set(LEFT_OUT) == set(unit_cells())
    changed = {
        name
        for name, cell in unit_cells().items()
        if not (
            np.array_equal(cell.system.positions, packaged[name].system.positions)
            and np.array_equal(cell.system.box, packaged[name].system.box)
        )
    }
    assert changed == set(CORRECTIONS)


@pytest.mark.parametrize(
    ("name", "distance"),
    [
        # the shortest bond in Å of the reference
        ("tP4-PtS", 2.31),
        ("cI16-Si", 2.30),
        ("oP24-O2Ti", 1.86),
        ("oP12-H2Sr", 2.35),
        ("cP12-NiSSb", 2.35),
        ("mP4-NiTi", 2.51),
        ("oP8-BFe", 1.77),
        ("hP18-Mg2Ni", 2.60),
        ("hP20-Fe3Th7", 2.82),
        ("cP36-BaHg11", 2.98),
        ("cI80-Mn2O3", 1.91),
    ],
)
def test_corrected_cells_have_the_bonds_of_their_structure(name, distance):
    distances, _, unit = volume_scaled(unit_cell(name).system)
    assert unit * distances.min() == pytest.approx(distance, abs=0.006)


def test_bergman_phase_has_frank_kasper_coordination():
    # its cell is right; with another site moved it is not
    cell = unit_cell("cI162-Al,Mg32(Zn)49")
    assert not suspicions(cell)
    moved = cell.system.positions.copy()
    moved[:12] *= 0.9
    assert suspicions(cell._replace(system=cell.system._replace(positions=moved)))


def test_cells_that_are_wrong_are_not_made():
    with pytest.raises(InputError, match=r"tI24-Co5Ge7 is wrong.*left out \(Co-Ge 0\.33 Å\)"):
        unit_cell("tI24-Co5Ge7")


def test_displacement_has_the_size_asked_for():
    perfect = crystal(unit_cell("cI2-W"), 4096)
    moved = displace(perfect, 0.07, np.random.default_rng(2))
    assert np.std(moved.positions - perfect.positions) == pytest.approx(0.07, rel=0.02)


def test_droplet_knows_which_environments_are_whole():
    perfect = crystal(unit_cell("cF4-Cu"), 4096)
    ball, intact = droplet(perfect, 0.8)
    whole = nearest_neighbors(ball.positions, ball.box)
    lengths = np.linalg.norm(whole.bonds, axis=-1)
    inner = nearest_neighbors(perfect.positions, perfect.box).bonds[0]
    inner_lengths = np.sort(np.linalg.norm(inner, axis=-1))
    # a particle that keeps all its neighbors has the crystal's distances, the others have not
    assert (intact == 1).sum() > 100
    np.testing.assert_allclose(lengths[intact == 1] - inner_lengths, 0, atol=1e-4)
    assert (lengths[intact < 0.5].mean(axis=1) > inner_lengths.mean() + 0.05).all()


def test_unknown_cell_is_answered_with_similar_ones():
    with pytest.raises(InputError, match=r"no unit cell is named 'cI2-Fe'.*cI2-W"):
        unit_cell("cI2-Fe")
