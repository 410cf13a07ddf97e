"""Everything that people have at hand is taken as a system."""

import itertools
from pathlib import Path

import ase
import freud
import gsd.hoomd
import numpy as np
import pytest
import torch
from conftest import gas, needs_hoomd
from hypothesis import given, settings
from hypothesis import strategies as st

from hoomd_gala.crystals.prototypes import crystal, droplet, unit_cell
from hoomd_gala.errors import InputError
from hoomd_gala.files.labels import add_labels, structures_as_types
from hoomd_gala.files.trajectories import make_frame
from hoomd_gala.neighbors import device_search as cells
from hoomd_gala.neighbors.boundaries import vacuum_box
from hoomd_gala.neighbors.device_arrays import device_system
from hoomd_gala.neighbors.environments import nearest_neighbors
from hoomd_gala.results import Result
from hoomd_gala.systems import (
    as_box,
    as_system,
    box_from_lattice,
    lattice_vectors,
    make_system,
    short_lattice,
)

SYSTEM = gas(200, np.random.default_rng(1))


def same_environments(system):
    expected = nearest_neighbors(SYSTEM.positions, SYSTEM.box)
    found = nearest_neighbors(system.positions, system.box)
    np.testing.assert_array_equal(found.neighbors, expected.neighbors)
    lengths = [np.linalg.norm(e.bonds, axis=-1) for e in (found, expected)]
    np.testing.assert_allclose(*lengths, atol=1e-4)


FREUD = freud.box.Box(*SYSTEM.box)


@pytest.mark.parametrize(
    "box",
    [FREUD, SYSTEM.box, list(SYSTEM.box), lattice_vectors(SYSTEM.box).T, FREUD.to_dict()],
    ids=["freud", "array", "list", "matrix", "dict"],
)
def test_one_rule_for_boxes(box):
    same_environments(as_system((box, SYSTEM.positions)))
    same_environments(as_system((SYSTEM.positions, box)))
    same_environments(make_system(SYSTEM.positions, box))
    np.testing.assert_allclose(as_box(box), SYSTEM.box, rtol=1e-6)
    np.testing.assert_allclose(
        device_system(torch.as_tensor(SYSTEM.positions), box).box, SYSTEM.box, rtol=1e-6
    )


@pytest.mark.parametrize("box", [[8, 9, 10], {"Lx": 8, "Ly": 9, "Lz": 10}, np.diag([8, 9, 10])])
def test_boxes_without_tilts(box):
    np.testing.assert_array_equal(as_box(box), [8, 9, 10, 0, 0, 0])


HEXAGONAL = np.array([[3.0, 0, 0], [-1.5, 1.5 * 3**0.5, 0], [0, 0, 5.0]])


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ([10, 10, 10, 90, 90, 90], "look like angles"),
        ([10, 10, 10, 90, 0, 0], "look like angles"),
        ([10, 10, 10, 90, 90, 180], "look like angles"),
        ([10, 10, 10, *[np.pi / 2] * 3], "look like angles"),
        ({"Lx": 10, "Ly": 10, "Lz": 10, "alpha": 90}, "has the keys Lx, Ly, Lz, alpha"),
        ({"Lx": 10, "Ly": 10, "Lz": 10, "dimensions": 2}, "two-dimensional"),
        ({"Lx": 10, "Ly": 10, "Lz": 10, "periodic": [True, False]}, "three of these"),
        ({"Lx": 10, "Ly": 10, "Lz": 10, "periodic": "xy"}, "three of these"),
        (np.array([10, 10, 10, 0, 0, 1j]), "box cannot be read as numbers"),
        ([10, 12, 10, 90, 90, 120], "look like angles"),
        ([10, 10, 10, 1e6, 0, 0], "more than 10000"),
        (HEXAGONAL, "give the ase.Atoms"),
        (ase.cell.Cell(HEXAGONAL.T), "give the ase.Atoms"),
        (np.zeros((3, 3)), "must be positive"),
        ({"Lx": 3, "xy": 0}, "give Lx, Ly and Lz"),
        ({"Lx": 3, "Ly": 3, "Lz": 0}, "two-dimensional"),
        (freud.box.Box.square(5), "two-dimensional"),
        ([1, 2, 3, 4], "give the six numbers"),
        ("a box", "cannot be read as numbers"),
    ],
)
def test_what_is_no_box_gets_a_sentence(box, message):
    for attempt in (
        lambda: as_system((box, SYSTEM.positions)),
        lambda: make_system(SYSTEM.positions, box),
        lambda: nearest_neighbors(SYSTEM.positions, box),
        lambda: device_system(torch.as_tensor(SYSTEM.positions), box),
    ):
        with pytest.raises(InputError, match=message) as caught:
            attempt()
        assert "\n" not in str(caught.value)


SLAB = (True, True, False)


def test_flags_of_boxes():
    box = freud.box.Box(*SYSTEM.box)
    assert as_system((box, SYSTEM.positions)).periodic == (True, True, True)
    box.periodic = SLAB
    edges = dict(zip(("Lx", "Ly", "Lz"), SYSTEM.box, strict=False))
    for taken in (
        as_system((box, SYSTEM.positions)),
        as_system((SYSTEM.positions, {**edges, "periodic": SLAB})),
        as_system((SYSTEM.positions, SYSTEM.box), periodic=SLAB),
        as_system(SYSTEM, periodic=[1, 1, 0]),
        as_system(SYSTEM._replace(periodic=SLAB)),
        as_system(SYSTEM._replace(periodic=SLAB), np.arange(200)),
        as_system(make_frame(SYSTEM, 0), periodic=SLAB),
        device_system(torch.as_tensor(SYSTEM.positions), box),
        device_system(torch.as_tensor(SYSTEM.positions), SYSTEM.box, periodic=SLAB),
    ):
        assert taken.periodic == SLAB
    # what is said counts
    assert as_system((box, SYSTEM.positions), periodic=True).periodic == (True, True, True)


def test_positions_without_a_box_have_to_be_said_to_be_open():
    for positions in (SYSTEM.positions, SYSTEM.positions.tolist()):
        assert as_system(positions, periodic=False).periodic == (False, False, False)
        for periodic in (None, True, SLAB):
            with pytest.raises(InputError, match=r"there is no box; give one, or periodic=False"):
                as_system(positions, periodic=periodic)
    tensor = torch.as_tensor(SYSTEM.positions)
    assert device_system(tensor, None, periodic=False).periodic == (False, False, False)


def test_types_beside_a_system_are_used():
    kinds = np.arange(200) % 3
    frame = make_frame(SYSTEM, 0)
    for system in ((SYSTEM.box, SYSTEM.positions), frame, SYSTEM):
        np.testing.assert_array_equal(as_system(system, kinds).types, kinds)
    with pytest.raises(InputError, match="one integer for each of the 200"):
        as_system(frame, kinds[:5])


def shear(box, steps):
    """An equivalent box: whole multiples of a are added to b, and of a and b to c."""
    a, b, c = lattice_vectors(box)
    n, m, k = steps
    return box_from_lattice(np.array([a, b + n * a, c + m * a + k * b]))


@settings(max_examples=20, deadline=None)
@given(steps=st.tuples(st.integers(-300, 300), st.integers(-300, 300), st.integers(-5, 5)))
def test_sheared_boxes_are_reduced(steps):
    box = shear(SYSTEM.box, steps)
    short = short_lattice(box)
    # the same lattice, of vectors as short as they were
    whole = short @ np.linalg.inv(lattice_vectors(SYSTEM.box))
    np.testing.assert_allclose(whole, np.rint(whole), atol=1e-6)
    assert np.linalg.det(whole) == pytest.approx(1)
    lengths = np.linalg.norm(lattice_vectors(SYSTEM.box), axis=1)
    assert np.linalg.norm(short, axis=1).max() <= 1.001 * lengths.max()
    same_environments(make_system(SYSTEM.positions, box))
    tensor = torch.as_tensor(SYSTEM.positions)
    found = cells.nearest_neighbors(tensor, box).bonds.norm(dim=-1)
    expected = np.linalg.norm(nearest_neighbors(SYSTEM.positions, SYSTEM.box).bonds, axis=-1)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_short_boxes_stay_what_they_are():
    for name in ("cF4-Cu", "cI2-W", "tP30-CrFe"):
        box = crystal(unit_cell(name), 300).box
        np.testing.assert_array_equal(short_lattice(box), lattice_vectors(box))


def test_gsd_frame():
    same_environments(as_system(make_frame(SYSTEM, 0)))


def test_a_gsd_frame_without_a_box_is_refused(tmp_path):
    frame = make_frame(SYSTEM, 0)
    frame.configuration.box = None
    path = tmp_path / "nobox.gsd"
    with gsd.hoomd.open(path, "w") as trajectory:
        trajectory.append(frame)
    with gsd.hoomd.open(path) as trajectory:
        frame = trajectory[0]
    with pytest.raises(InputError, match=r"has no box.*of 200 particles are outside of that"):
        as_system(frame)
    # a cluster in vacuum needs none
    cluster = as_system(frame, periodic=False)
    np.testing.assert_array_equal(cluster.positions, frame.particles.position)
    assert cluster.periodic == (False, False, False)
    with pytest.raises(InputError, match="has no box"):
        as_system(frame, periodic=(True, False, False))
    # a box of that size is nothing to be refused
    frame.particles.position = (frame.particles.position / 20).astype(np.float32)
    assert len(as_system(frame).positions) == 200


def ase_atoms(box):
    kinds = np.where(np.arange(200) % 3, 79, 29)
    return ase.Atoms(kinds, SYSTEM.positions, cell=lattice_vectors(box), pbc=True)


def test_ase_atoms():
    atoms = ase_atoms(SYSTEM.box)
    same_environments(as_system(atoms))
    np.testing.assert_array_equal(as_system(atoms).types, np.arange(200) % 3 > 0)
    # in any rotation
    atoms.rotate(40, (1, 2, 3), rotate_cell=True)
    same_environments(as_system(atoms))
    # a left-handed cell is the same lattice
    atoms.set_cell(np.asarray(atoms.cell)[[1, 0, 2]])
    same_environments(as_system(atoms))


def test_a_length_is_no_box_and_the_box_is_blamed():
    for pair in ((SYSTEM.positions, 7.0), (SYSTEM.positions, [7, 7, 7, 0, 0])):
        with pytest.raises(InputError, match="box has shape"):
            as_system(pair)


def test_sheared_cells_of_others_are_no_angles():
    sheared = [*SYSTEM.box[:3], 12, 13, 11]
    atoms = ase_atoms(sheared)
    with pytest.raises(InputError, match="look like angles"):
        make_system(SYSTEM.positions, sheared)
    np.testing.assert_allclose(as_system(atoms).box, sheared)


def open_environments(system):
    """Distances to the nearest neighbors, and these, in a system that is open somewhere."""
    found = nearest_neighbors(system.positions, vacuum_box(system))
    return np.linalg.norm(found.bonds, axis=-1), found.neighbors


def same_as_open(system, flags):
    lengths, neighbors = open_environments(SYSTEM._replace(periodic=flags))
    found = open_environments(system)
    np.testing.assert_array_equal(found[1], neighbors)
    np.testing.assert_allclose(found[0], lengths, atol=1e-4)
    assert system.periodic == flags
    closed = nearest_neighbors(SYSTEM.positions, SYSTEM.box)
    assert (neighbors != closed.neighbors).any(axis=1).mean() > 0.1


@pytest.mark.parametrize("flags", list(itertools.product((True, False), repeat=3))[1:])
def test_ase_atoms_that_are_open(flags):
    atoms = ase_atoms(SYSTEM.box)
    atoms.pbc = flags
    same_as_open(as_system(atoms), flags)
    atoms.rotate(40, (1, 2, 3), rotate_cell=True)
    same_as_open(as_system(atoms), flags)


def test_ase_atoms_without_some_lattice_vectors():
    upright = SYSTEM._replace(box=SYSTEM.box * [1, 1, 1, 1, 0, 0])
    cell = lattice_vectors(upright.box)
    cell[2] = 0
    atoms = ase.Atoms("Cu200", SYSTEM.positions, cell=cell, pbc=SLAB)
    taken = as_system(atoms)
    expected = open_environments(upright._replace(periodic=SLAB))
    np.testing.assert_array_equal(open_environments(taken)[1], expected[1])
    molecule = as_system(ase.Atoms("Cu200", SYSTEM.positions))
    same_as_open(molecule, (False, False, False))
    with pytest.raises(InputError, match="has no volume"):
        as_system(ase.Atoms("Cu200", SYSTEM.positions, pbc=True))


def ovito_data(flags=None):
    from ovito.data import DataCollection

    data = DataCollection()
    data.create_particles(count=200).create_property("Position", data=SYSTEM.positions)
    if flags is not None:
        columns = lattice_vectors(SYSTEM.box).T
        data.create_cell(np.c_[columns, -columns.sum(axis=1) / 2], pbc=flags)
    return data


@pytest.mark.parametrize("flags", list(itertools.product((True, False), repeat=3))[1:])
def test_ovito_data_that_is_open(flags):
    same_as_open(as_system(ovito_data(flags)), flags)


def test_ovito_data_without_a_cell_is_open():
    same_as_open(as_system(ovito_data()), (False, False, False))


def test_names_of_types(tmp_path):
    from ovito.io import import_file

    frame = make_frame(SYSTEM, 0, ["A", "B"])
    frame.particles.typeid = np.arange(200) % 2
    assert as_system(frame).type_names == ("A", "B")
    assert as_system(frame, np.arange(200) % 2).type_names == ()
    assert as_system((SYSTEM.box, SYSTEM.positions)).type_names == ()
    assert as_system(ase_atoms(SYSTEM.box)).type_names == ("Cu", "Au")
    # of a labeled frame, the simulation's own
    names = ("cF4-Cu", "cI2-W")
    result = Result(np.arange(200, dtype=np.int32) % 2, *np.zeros((2, 200), np.float32), names)
    shown = structures_as_types(add_labels(frame, result), names)
    assert shown.particles.types == ["fcc (cF4-Cu)", "bcc (cI2-W)"]
    assert as_system(shown).type_names == ("A", "B")
    path = tmp_path / "frame.xyz"
    header = '3\nLattice="9 0 0 0 9 0 0 0 9" Properties=species:S:1:pos:R:3'
    path.write_text("\n".join([header, "O 0 0 0", "H 1 0 0", "H 0 1 0"]) + "\n")
    system = as_system(import_file(str(path)).compute())
    assert [system.type_names[kind] for kind in system.types] == ["O", "H", "H"]


@needs_hoomd
def test_hoomd_snapshot():
    import hoomd

    snapshot = hoomd.Snapshot()
    snapshot.configuration.box = SYSTEM.box
    snapshot.particles.N = len(SYSTEM.positions)
    snapshot.particles.types = ["A"]
    snapshot.particles.position[:] = SYSTEM.positions
    same_environments(as_system(snapshot))


def test_ovito_data(tmp_path):
    from ovito.io import import_file

    path = tmp_path / "frame.gsd"
    with gsd.hoomd.open(path, "w") as trajectory:
        trajectory.append(make_frame(SYSTEM, 0))
    same_environments(as_system(import_file(str(path)).compute()))


def test_ovito_types_count_from_zero(tmp_path):
    from ovito.io import import_file

    frame = make_frame(SYSTEM, 0, ["A", "B"])
    kinds = np.arange(200) % 2
    frame.particles.typeid = kinds
    path = tmp_path / "frame.gsd"
    with gsd.hoomd.open(path, "w") as trajectory:
        trajectory.append(frame)
    np.testing.assert_array_equal(as_system(import_file(str(path)).compute()).types, kinds)
    lattice = " ".join(map(str, lattice_vectors(SYSTEM.box).ravel()))
    header = f'200\nLattice="{lattice}" Properties=species:S:1:pos:R:3'
    rows = [f"{'AB'[k]} {x} {y} {z}" for k, (x, y, z) in zip(kinds, SYSTEM.positions, strict=True)]
    path = tmp_path / "frame.xyz"
    path.write_text("\n".join([header, *rows]) + "\n")
    system = as_system(import_file(str(path)).compute())
    np.testing.assert_array_equal(system.types, kinds)
    same_environments(system)


def test_box_from_lattice_inverts_lattice_vectors():
    np.testing.assert_allclose(box_from_lattice(lattice_vectors(SYSTEM.box)), SYSTEM.box)


def test_two_dimensional_frames_are_refused():
    frame = make_frame(SYSTEM, 0)
    frame.configuration.dimensions = 2
    with pytest.raises(InputError, match="the frame is two-dimensional"):
        as_system(frame)


def test_types_are_checked():
    with pytest.raises(InputError, match="one integer for each of the 200 particles"):
        make_system(SYSTEM.positions, SYSTEM.box, np.zeros(3, int))


def test_other_things_are_refused_by_name():
    with pytest.raises(InputError, match="cannot take a dict as a system"):
        as_system({})


def test_tables_and_tensors(rng):
    import torch

    points = rng.random((30, 3))
    tensor = torch.tensor(points, requires_grad=True)
    for held in (tensor, tensor.tolist(), tuple(map(tuple, points)), torch.tensor(points)):
        for system in (as_system(held, periodic=False), as_system((held, [1, 1, 1]))):
            np.testing.assert_array_equal(system.positions, points)
    half = as_system(torch.tensor(points).bfloat16(), periodic=False)
    np.testing.assert_allclose(half.positions, points, atol=0.01)


def test_queries_of_freud(rng):
    freud = pytest.importorskip("freud")
    box = freud.box.Box(3, 4, 5, 0.1)
    box.periodic = (True, False, True)
    points = rng.random((30, 3)).astype(np.float32)
    system = as_system(freud.locality.AABBQuery(box, points))
    np.testing.assert_array_equal(system.positions, points)
    np.testing.assert_allclose(system.box, [3, 4, 5, 0.1, 0, 0], rtol=1e-6)
    assert system.periodic == (True, False, True)


def masked(values):
    return np.ma.masked_equal(values, 1)


def in_ovito(flat):
    from ovito.data import DataCollection

    data = DataCollection()
    data.create_particles(count=2).create_property("Position", data=np.eye(3)[:2])
    data.create_cell(np.eye(3, 4), pbc=(True, True, True)).is2D = flat
    return data


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((masked(np.eye(3)), [1, 1, 1]), "positions are masked in 3 places"),
        ((np.eye(3), [1, 1, 1], masked(np.arange(3))), "types are masked in 1 places"),
        ((np.eye(3), [1, 1, 1], [[1], [2, 3]]), "types are rows of different lengths"),
        ((np.eye(3), [1, 1, 1], None, [[1], [2, 3]]), r"periodic is \[\[1\], \[2, 3\]\]; give"),
        ((np.eye(3), [1, 1, 1e-200]), "choose a unit in which they are between 1e-100 and 1e"),
        ((np.eye(3), [1e200, 1, 1]), "choose a unit in which they are between 1e-100 and 1e"),
        ((np.eye(3), [1, 1, 1e-14]), "the box is as good as two-dimensional"),
        ((np.eye(3), [1e-10, 1, 1]), "the box is as good as two-dimensional"),
        ((np.eye(3), [1, 3e38, 1]), "the box is as good as one-dimensional"),
        ((np.eye(3) * 1e200, [1, 1, 1]), r"positions reach 1e\+200; choose a unit"),
    ],
)
def test_numbers_that_mean_nothing_get_a_sentence(arguments, message):
    with pytest.raises(InputError, match=message):
        make_system(*arguments)


@pytest.mark.parametrize(
    ("system", "message"),
    [
        ("run.gsd", "'run.gsd' is a name and no system; give what gsd.hoomd"),
        (Path("run.gsd"), "'run.gsd' is a name and no system"),
    ],
)
def test_names_of_files_are_no_systems(system, message):
    with pytest.raises(InputError, match=message):
        as_system(system)


def test_infinity_is_said_by_one_sentence_alone(recwarn):
    atoms = ase.Atoms("Cu2", [[0, 0, 0], [np.inf, 1, 1]], cell=np.eye(3) * 4, pbc=True)
    atoms.cell[2, 0] = 1
    with pytest.raises(InputError, match="NaN or infinite for 1 of 2 particles, the first at"):
        as_system(atoms)
    assert not len(recwarn)


def test_flat_cells_of_ovito_are_refused():
    with pytest.raises(InputError, match="the OVITO cell is two-dimensional"):
        as_system(in_ovito(True))
    assert len(as_system(in_ovito(False)).positions) == 2


@pytest.mark.parametrize(
    ("dtype", "far"), [(np.float16, 3e3), (np.float32, 1e7), (np.float64, 1e16)]
)
def test_positions_without_digits_are_said(dtype, far, rng, recwarn):
    points = rng.random((64, 3)) * 4
    make_system((points + far / 1e3).astype(dtype), [4, 4, 4])
    make_system(np.zeros((1, 3), dtype) + far, [4, 4, 4])
    make_system(points[:, ::-1] * [1, 1, 0] + far / 1e3, [4, 4, 4])
    assert [str(one.message)[:33] for one in recwarn] == ["all particles are in one plane; i"]
    with pytest.warns(UserWarning, match=r"positions reach .*, where numbers of float"):
        make_system((points + far).astype(dtype), [4, 4, 4])


def test_positions_many_boxes_away_are_counted(rng):
    points = rng.random((64, 3)) * 4
    points[::2] += 4e6 * rng.choice([-1, 1], (32, 3))
    with pytest.warns(UserWarning, match="wrong, those of 32 of 64 particles at least; subtract"):
        make_system(points.astype(np.float32), [4, 4, 4])


def test_particles_in_one_place_are_said():
    with pytest.warns(UserWarning, match="all 64 particles are in one place"):
        make_system(np.ones((64, 3)), [4, 4, 4])


#: 5 x 5 particles of a square lattice.
SHEET = np.array([[x, y, 0.0] for x in range(5) for y in range(5)])
UP = np.array([0, 0, 0.5])

IN_ONE_PLANE = "all particles are in one plane; if the system is two-dimensional, its labels mean"


@pytest.mark.parametrize(
    ("points", "box", "periodic"),
    [
        (SHEET, [5, 5, 1], None),
        (SHEET + UP, [5, 5, 1], None),
        # of which some are on the other side of the boundary
        (SHEET + np.where(np.arange(25) < 12, 1, -1)[:, None] * UP, [5, 5, 1], None),
        (SHEET[:, [2, 0, 1]], [1, 5, 5], None),
        (SHEET, [5, 5, 1], (True, True, False)),
        (SHEET, None, False),
        (SHEET + SHEET[:, 1:2] * [0.5, 0, 0], [5, 5, 2, 0.5, 0, 0], None),
    ],
)
def test_particles_in_a_plane_are_said(points, box, periodic):
    with pytest.warns(UserWarning, match=IN_ONE_PLANE) as caught:
        make_system(points, box, periodic=periodic)
    assert len(caught) == 1


#: 10 x 10 particles of a hexagonal layer, and a box around it.
SHEET_OF_SIX = np.array([[x + y % 2 / 2, y * 3**0.5 / 2, 0] for x in range(10) for y in range(10)])
LAYER = [10, 5 * 3**0.5, 20, 0, 0, 0]


@pytest.mark.parametrize("periodic", [(True, True, True), (True, True, False), False])
def test_single_layers_are_said(periodic, rng):
    """Graphene and the like, which get names of crystals that are somehow like them."""
    warm = SHEET_OF_SIX + rng.normal(0, 0.1, SHEET_OF_SIX.shape)
    with pytest.warns(UserWarning, match="all particles are in one layer; names are of structures"):
        make_system(warm, LAYER, periodic=periodic)
    turned = warm[:, [2, 0, 1]]
    with pytest.warns(UserWarning, match="all particles are in one layer"):
        make_system(turned, np.array(LAYER)[[2, 0, 1]], periodic=np.roll(periodic, 1))


def test_more_than_a_layer_is_not_said(rng, recwarn):
    def make(points, box, periodic=True):
        make_system(points + rng.normal(0, 0.05, points.shape), box, periodic=periodic)

    # layers above each other, whose images are neighbors, and two of them
    make(SHEET_OF_SIX, [*LAYER[:2], 2])
    above = [0.5, 0.5 / 3**0.5, 0.816]
    make(np.concatenate((SHEET_OF_SIX, SHEET_OF_SIX + above)), LAYER)
    for name in ("cF4-Cu", "hP4-C.2", "cI2-W"):
        whole = crystal(unit_cell(name), 300)
        make(whole.positions, whole.box)
        ball = droplet(whole, 0.7).system
        make(ball.positions, ball.box, False)
        make(ball.positions[:21], ball.box, False)
        wire = whole.positions[np.linalg.norm(whole.positions[:, :2], axis=1) < 1.5]
        make(wire, [30, 30, whole.box[2]])
    make(rng.uniform(-9, 9, (40, 3)), [18, 18, 18])
    assert [str(one.message) for one in recwarn] == []


def test_systems_that_are_thin_or_small_are_in_no_plane(recwarn):
    rough = SHEET + np.arange(25)[:, None] * [0, 0, 1e-4]
    make_system(rough, [5, 5, 1])
    make_system(SHEET[:19], [5, 5, 1])
    make_system(np.concatenate((SHEET, SHEET + UP)), [5, 5, 1])
    make_system(np.zeros((0, 3)), [5, 5, 1])
    assert not len(recwarn)
