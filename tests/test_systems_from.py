"""Systems of MDAnalysis and pymatgen: the real ones where installed, and what they look like."""

from types import SimpleNamespace

import ase.build
import numpy as np
import pytest

from hoomd_gala.systems import as_system, box_from_lattice, lattice_vectors
from hoomd_gala.systems_from import (
    from_mdanalysis,
    from_pymatgen,
    is_mdanalysis,
    is_pymatgen,
    lattice_from_angles,
)


def test_lattice_from_angles(rng):
    for box in ([3, 4, 5, 0, 0, 0], [3, 4, 5, 0.2, -0.3, 0.4]):
        vectors = lattice_vectors(box)
        lengths = np.linalg.norm(vectors, axis=1)
        unit = vectors / lengths[:, None]
        degrees = np.degrees(np.arccos([unit[1] @ unit[2], unit[0] @ unit[2], unit[0] @ unit[1]]))
        np.testing.assert_allclose(lattice_from_angles(lengths, degrees), vectors, atol=1e-12)
    assert (lattice_from_angles([3, 4, 5], [90, 90, 90]) == np.diag([3, 4, 5])).all()


@pytest.fixture
def salt():
    atoms = ase.build.bulk("NaCl", "rocksalt", a=5.6).repeat(3)
    atoms.rattle(0.05, seed=1)
    return atoms


def same_environments(sample, atoms):
    """Whether all distances are those of ASE's atoms, which has them by its own means."""
    periodic = atoms.copy()
    periodic.set_positions(sample.positions)
    periodic.set_cell(sample.vectors)
    np.testing.assert_allclose(
        periodic.get_all_distances(mic=True), atoms.get_all_distances(mic=True), atol=1e-4
    )


def test_pymatgen_structures(salt):
    core = pytest.importorskip("pymatgen.core", reason="pymatgen is not installed")
    structure = core.Structure(
        np.array(salt.cell),
        salt.get_chemical_symbols(),
        salt.positions,
        coords_are_cartesian=True,
    )
    assert is_pymatgen(structure)
    assert not is_mdanalysis(structure)
    sample = from_pymatgen(structure)
    same_environments(sample, salt)
    assert sample.periodic.tolist() == [True, True, True]
    np.testing.assert_array_equal(sample.types, as_system(salt).types)
    mixed = core.Structure(np.eye(3) * 3, [{"Au": 0.5, "Cu": 0.5}, "Cu"], [[0, 0, 0], [0.5] * 3])
    assert from_pymatgen(mixed).types.tolist() in ([0, 1], [1, 0])
    assert "Cu" in from_pymatgen(mixed).type_names
    assert sample.type_names == ("Na", "Cl")
    structure.add_oxidation_state_by_element({"Na": 1, "Cl": -1})
    assert from_pymatgen(structure).type_names == ("Na+", "Cl-")
    slab = core.Structure(core.Lattice(np.eye(3) * 3, pbc=(True, True, False)), ["Cu"], [[0, 0, 0]])
    assert from_pymatgen(slab).periodic.tolist() == [True, True, False]


def test_mdanalysis_universes(salt):
    mda = pytest.importorskip("MDAnalysis", reason="MDAnalysis is not installed")
    universe = mda.Universe.empty(len(salt), trajectory=True)
    universe.add_TopologyAttr("types", [str(2 * n - 21) for n in salt.numbers])
    universe.atoms.positions = salt.positions
    universe.dimensions = [*salt.cell.lengths(), *salt.cell.angles()]
    for thing in (universe, universe.atoms):
        assert is_mdanalysis(thing)
        assert not is_pymatgen(thing)
        sample = from_mdanalysis(thing)
        # its box has a along x, and positions are as they were given
        np.testing.assert_allclose(
            box_from_lattice(sample.vectors), box_from_lattice(salt.cell), rtol=1e-5
        )
        np.testing.assert_allclose(sample.positions, salt.positions, atol=1e-5)
        np.testing.assert_array_equal(sample.types, as_system(salt).types)
    some = universe.atoms[::2]
    np.testing.assert_array_equal(from_mdanalysis(some).types, as_system(salt).types[::2])
    universe.dimensions = None
    assert not from_mdanalysis(universe).periodic.any()
    bare = mda.Universe.empty(3, trajectory=True)
    assert from_mdanalysis(bare).types.tolist() == [0, 0, 0]


def test_types_are_in_the_order_of_their_numbers():
    names = np.array(["10", "9", "B", "A", "9"])
    atoms = SimpleNamespace(universe=None, dimensions=None, positions=np.zeros((5, 3)), types=names)
    atoms.atoms = atoms
    assert from_mdanalysis(atoms).types.tolist() == [1, 0, 3, 2, 0]
    assert not is_mdanalysis(ase.build.bulk("Cu"))
    assert not is_pymatgen(ase.build.bulk("Cu"))
