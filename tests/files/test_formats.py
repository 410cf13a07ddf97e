"""Files of other formats than GSD, read and written by the real OVITO and ASE."""

import importlib.util

import ase.build
import ase.io
import gsd.hoomd
import numpy as np
import pytest
from commands import fails
from ovito.io import import_file

from hoomd_gala.analyzer import Analyzer
from hoomd_gala.cli import main
from hoomd_gala.files import frame_labels, make_frame, open_trajectory, read_frame
from hoomd_gala.files.sources import open_source, particles_of_types
from hoomd_gala.labeling import label_trajectory
from hoomd_gala.neighbors.environments import PeriodicTree

#: How ASE writes what users have.
FORMATS = {
    "run.xyz": "extxyz",
    "POSCAR": "vasp",
    "a.cif": "cif",
    "a.pdb": "proteindatabank",
    "a.data": "lammps-data",
    "a.gro": "gromacs",
    "run.traj": "traj",
    "a.json": "json",  # which OVITO does not read
}


def command(*arguments):
    return main([str(argument) for argument in arguments])


def without(monkeypatch, *packages):
    """Let packages look as if they were not installed."""
    original = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name.split(".")[0] in packages else original(name, *rest),
    )


@pytest.fixture
def iron():
    """A warm bcc crystal in a skewed cell, as another program would orient it."""
    cell = ase.build.bulk("Fe").repeat(8)
    cell.rattle(0.05, seed=1)
    cell.set_velocities(np.random.default_rng(1).random((len(cell), 3)))
    cell.rotate(40, (1, 2, 3), rotate_cell=True)
    return cell


def dump(path, atoms, step, types=None, ids=None):
    """Write a LAMMPS dump with columns as LAMMPS has them, the box not at the origin."""
    lengths = atoms.cell.lengths()
    n = len(atoms)
    types = np.ones(n, int) if types is None else types
    ids = np.arange(1, n + 1) if ids is None else ids
    lines = ["ITEM: TIMESTEP", str(step), "ITEM: NUMBER OF ATOMS", str(n)]
    lines += ["ITEM: BOX BOUNDS pp pp pp", *(f"5 {5 + length}" for length in lengths)]
    lines += ["ITEM: ATOMS id type x y z vx vy vz c_pe"]
    velocities = atoms.get_velocities() if atoms.has("momenta") else np.zeros((n, 3))
    for i, kind, at, velocity in zip(ids, types, atoms.positions + 5, velocities, strict=True):
        numbers = " ".join(f"{x:.6f}" for x in (*at, *velocity, i / 8))
        lines.append(f"{i} {kind} {numbers}")
    with open(path, "a") as file:
        file.write("\n".join(lines) + "\n")
    return path


@pytest.fixture
def cubic():
    cell = ase.build.bulk("Fe", cubic=True).repeat(6)
    cell.rattle(0.05, seed=2)
    cell.set_velocities(np.random.default_rng(2).random((len(cell), 3)))
    return cell


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("missing", ["", "ovito"])
def test_formats_are_labeled_as_what_they_hold(
    name, missing, iron, cubic, model_path, tmp_path, monkeypatch
):
    # PDB and GRO have cells of a standard orientation only, LAMMPS data those of a type
    atoms = iron if name in ("run.xyz", "POSCAR", "run.traj", "a.json") else cubic
    path, out = tmp_path / name, tmp_path / "out.gsd"
    ase.io.write(path, atoms, format=FORMATS[name])
    expected = Analyzer(model_path).analyze(atoms)
    assert expected.fractions["cI2-W"] > 0.9
    if missing:
        without(monkeypatch, missing)
    assert command("label", path, out, "--model", model_path) == 0
    frame = read_frame(out)
    label, names = frame_labels(frame)
    assert (label == expected.label).mean() > 0.99  # digits were lost
    assert names[1] == "cI2-W"
    if name not in ("a.data", "a.gro"):  # which name no elements
        assert "Fe" in frame.particles.types
        assert set(np.array(frame.particles.types)[frame.particles.typeid]) == {"Fe"}
    # the box at the center, all particles in it, and distances as before
    system = Analyzer(model_path).analyze(frame)
    assert (system.label == label).mean() > 0.99
    gaps = np.diff(frame.particles.position[:5], axis=0)
    before = np.diff(atoms.positions[:5], axis=0)
    close = np.linalg.norm(gaps, axis=1) < 6
    np.testing.assert_allclose(
        np.linalg.norm(gaps, axis=1)[close], np.linalg.norm(before, axis=1)[close], atol=0.02
    )


def test_velocities_turn_with_the_sample(iron, model_path, tmp_path):
    path = tmp_path / "run.traj"
    ase.io.write(path, iron)
    for reader in ("ovito", "ase"):
        out = tmp_path / f"{reader}.gsd"
        with pytest.MonkeyPatch.context() as patch:
            without(patch, *([] if reader == "ovito" else ["ovito"]))
            label_trajectory(path, out, model_path)
        found = read_frame(out).particles
        if reader == "ase":  # OVITO has momenta of such files
            np.testing.assert_allclose(
                np.linalg.norm(found.velocity, axis=1),
                np.linalg.norm(iron.get_velocities(), axis=1),
                rtol=1e-5,
            )
            # along the same bonds as before
            bonds = iron.get_all_distances(mic=True, vector=True)[0]
            near = np.argsort(np.linalg.norm(bonds, axis=1))[1:9]
            box = read_frame(out).configuration.box
            lattice = np.array([[box[0], 0, 0], [box[3] * box[1], box[1], 0],
                                [box[4] * box[2], box[5] * box[2], box[2]]])  # fmt: skip
            turned = found.position[near] - found.position[0]
            turned -= np.round(turned @ np.linalg.inv(lattice)) @ lattice
            np.testing.assert_allclose(
                turned @ found.velocity[0], bonds[near] @ iron.get_velocities()[0], atol=1e-4
            )
        np.testing.assert_allclose(found.mass, 55.845, rtol=1e-4)


def test_series_of_dumps_in_any_order_of_particles(cubic, model_path, tmp_path):
    rng = np.random.default_rng(1)
    kinds = np.arange(len(cubic)) % 2 + 1
    expected = Analyzer(model_path).analyze(cubic).label
    for step in (0, 200, 1000):
        order = rng.permutation(len(cubic))
        dump(tmp_path / f"run.{step}.dump", cubic[order], step, kinds[order], order + 1)
    out = tmp_path / "out.gsd"
    assert command("label", tmp_path / "run.*.dump", out, "--model", model_path) == 0
    with open_trajectory(out) as trajectory:
        assert [frame.configuration.step for frame in trajectory] == [0, 200, 1000]
    for index in range(3):
        frame = read_frame(out, index)
        np.testing.assert_array_equal(frame_labels(frame)[0], expected)
        np.testing.assert_array_equal(frame.particles.typeid, kinds - 1)
        assert frame.particles.types == ["1", "2"]
        shift = frame.particles.position - cubic.positions
        lengths = cubic.cell.lengths()
        # moved by half a box as a whole: what was in the middle is in the middle
        shift += lengths / 2
        np.testing.assert_allclose(shift - np.round(shift / lengths) * lengths, 0, atol=1e-5)
        np.testing.assert_allclose(frame.particles.velocity, cubic.get_velocities(), atol=1e-6)


def test_dump_keeps_its_columns(cubic, model_path, tmp_path, capsys):
    source, out = tmp_path / "run.lammpstrj", tmp_path / "out.lammpstrj"
    for step in (0, 50):
        dump(source, cubic, step)
    embedding = ["--quantities", "label,confidence,embedding"]
    assert command("label", source, out, "--model", model_path, *embedding) == 0
    assert "label 1" in capsys.readouterr().out
    pipeline = import_file(str(out))
    assert pipeline.num_frames == 2
    data = pipeline.compute(1)
    assert data.attributes["Timestep"] == 50
    expected = Analyzer(model_path).analyze(cubic)
    np.testing.assert_array_equal(data.particles["label"], expected.label)
    np.testing.assert_allclose(data.particles["confidence"], expected.confidence, atol=1e-4)
    np.testing.assert_allclose(data.particles["embedding1"], expected.embedding[:, 0], atol=1e-3)
    np.testing.assert_allclose(data.particles["c_pe"], np.arange(1, len(cubic) + 1) / 8)
    np.testing.assert_allclose(data.particles.velocities, cubic.get_velocities(), atol=1e-5)


@pytest.mark.parametrize("missing", ["", "ovito"])
@pytest.mark.parametrize("kind", ["gsd", "traj"])
def test_extended_xyz_has_names_and_colors(
    kind, missing, cubic, bcc, model_path, tmp_path, monkeypatch
):
    source, out = tmp_path / f"run.{kind}", tmp_path / "out.xyz"
    if kind == "gsd":
        with gsd.hoomd.open(source, "w") as trajectory:
            for step in range(2):
                trajectory.append(make_frame(bcc, step, ("Cu",)))
        expected = Analyzer(model_path).analyze(bcc)
    else:
        ase.io.write(source, [cubic, cubic])
        expected = Analyzer(model_path).analyze(cubic)
    with monkeypatch.context() as patch:
        without(patch, missing)
        assert command("label", source, out, "--model", model_path) == 0
    images = ase.io.read(out, index=":", format="extxyz")
    assert len(images) == 2
    for image in images:
        np.testing.assert_array_equal(image.arrays["structure"], expected.names)
        np.testing.assert_array_equal(image.arrays["label"], expected.label)
        np.testing.assert_allclose(image.arrays["confidence"], expected.confidence, atol=1e-4)
        np.testing.assert_array_equal(Analyzer(model_path).analyze(image).label, expected.label)
    data = import_file(str(out)).compute(1)
    # OVITO shows what it reads under this name
    blue = data.particles.colors[expected.label == 1]
    np.testing.assert_allclose(blue, np.tile((0.4, 0.4, 1.0), (len(blue), 1)), atol=1e-6)
    assert len(blue) > 300


def test_positions_of_one_file_and_particles_of_another(cubic, model_path, tmp_path, capsys):
    openmm = pytest.importorskip("openmm", reason="OpenMM is not installed, which writes XTC")
    from openmm import app, unit

    topology, source = tmp_path / "start.pdb", tmp_path / "run.xtc"
    ase.io.write(topology, cubic, format="proteindatabank")
    pdb = app.Topology()
    chain = pdb.addChain()
    for _ in range(len(cubic)):
        pdb.addAtom("Fe", app.Element.getBySymbol("Fe"), pdb.addResidue("Fe", chain))
    pdb.setPeriodicBoxVectors(np.array(cubic.cell) / 10 * unit.nanometer)
    system = openmm.System()
    for _ in range(len(cubic)):
        system.addParticle(0)
    system.setDefaultPeriodicBoxVectors(*(np.array(cubic.cell) / 10))
    platform = openmm.Platform.getPlatformByName("Reference")
    simulation = app.Simulation(pdb, system, openmm.VerletIntegrator(0.001), platform)
    simulation.context.setPositions(cubic.positions / 10)
    simulation.reporters.append(app.XTCReporter(str(source), 1))
    simulation.step(3)
    del simulation
    out = tmp_path / "out.gsd"
    assert command("label", source, out, "--model", model_path, "--topology", topology) == 0
    expected = Analyzer(model_path).analyze(cubic).label
    frame = read_frame(out)
    assert "Fe" in frame.particles.types
    assert (frame_labels(frame)[0] == expected).mean() > 0.99
    with open_trajectory(out) as trajectory:
        assert len(trajectory) == 3
    assert "there is no file" in fails(
        capsys, "label", source, tmp_path / "x.gsd", "--topology", tmp_path / "none.pdb"
    )
    with pytest.MonkeyPatch.context() as patch:
        without(patch, "ovito")
        error = fails(capsys, "label", source, tmp_path / "x.gsd", "--topology", topology)
    assert 'is read by OVITO: pip install "hoomd-gala[ovito]"' in error


def test_bonds_come_along(model_path, tmp_path, cubic):
    n = len(cubic)
    lines = ["Bonds", "", f"{n} atoms", "2 bonds", "1 atom types", "2 bond types", ""]
    lines += [f"0 {length} {axis}lo {axis}hi" for length, axis in
              zip(cubic.cell.lengths(), "xyz", strict=True)]  # fmt: skip
    lines += ["", "Masses", "", "1 55.8", "", "Atoms # bond", ""]
    # from the last to the first, as LAMMPS may write them
    for i in range(n, 0, -1):
        x, y, z = cubic.positions[i - 1]
        lines.append(f"{i} 1 1 {x} {y} {z}")
    lines += ["", "Bonds", "", "1 1 1 2", "2 2 7 9", ""]
    source, out = tmp_path / "a.data", tmp_path / "out.gsd"
    source.write_text("\n".join(lines))
    label_trajectory(source, out, model_path)
    frame = read_frame(out)
    np.testing.assert_array_equal(np.sort(frame.bonds.group, axis=1), [[0, 1], [6, 8]])
    np.testing.assert_array_equal(frame.bonds.typeid, [0, 1])
    np.testing.assert_allclose(frame.particles.mass, 55.8, rtol=1e-6)


def test_workers_read_other_formats_as_well(cubic, model_path, tmp_path):
    source = tmp_path / "run.dump"
    for step in range(9):
        dump(source, cubic, step)
    for workers, end in ((1, "gsd"), (3, "gsd"), (1, "xyz"), (3, "xyz")):
        out = tmp_path / f"{workers}.{end}"
        assert command("label", source, out, "--model", model_path, "--workers", workers) == 0
    for end in ("gsd", "xyz"):
        assert (tmp_path / f"1.{end}").read_bytes() == (tmp_path / f"3.{end}").read_bytes()
    assert not list(tmp_path.glob("*.part*"))


def test_frames_by_ase_are_taken_forward_and_back(cubic, tmp_path, monkeypatch):
    path = tmp_path / "run.xyz"
    images = [cubic[: 10 + k] for k in range(4)]
    ase.io.write(path, images, format="extxyz")
    without(monkeypatch, "ovito")
    with open_source(path) as source:
        assert source.total == 4
        assert [len(source.read(k).data) for k in (0, 2, 3, 1, 1)] == [10, 12, 13, 11, 11]


@pytest.mark.parametrize(
    ("missing", "name", "said"),
    [
        (["ovito", "ase"], "run.xyz", "other formats are read by OVITO or ASE, of which neither"),
        (["ovito"], "letter.txt", r"letter.txt cannot be read (ASE: "),
        (["ase"], "letter.txt", r"letter.txt cannot be read (OVITO: "),
        ([], "letter.txt", "; ASE: "),
        ([], "folder", "there is no file"),
        ([], "empty.xyz", "empty.xyz cannot be read"),
    ],
)
def test_what_cannot_be_read_is_said(missing, name, said, cubic, tmp_path, capsys, monkeypatch):
    ase.io.write(tmp_path / "run.xyz", cubic, format="extxyz")
    (tmp_path / "letter.txt").write_text("Dear Sir or Madam,\n" * 9)
    (tmp_path / "empty.xyz").touch()
    (tmp_path / "folder").mkdir()
    without(monkeypatch, *missing)
    error = fails(capsys, "label", tmp_path / name, tmp_path / "out.gsd", "--model", "denoising")
    assert said in error
    assert not (tmp_path / "out.gsd").exists()


@pytest.mark.parametrize(
    ("missing", "name", "said"),
    [
        ([], "out.txt", "it must end in .gsd, .xyz or .extxyz"),
        (["ovito"], "out.dump", 'are written by OVITO: pip install "hoomd-gala[ovito]"; or write'),
        (["ovito", "ase"], "out.xyz", "of which neither is installed"),
    ],
)
def test_what_cannot_be_written_is_said_first(
    missing, name, said, trajectory_path, tmp_path, capsys, monkeypatch
):
    without(monkeypatch, *missing)
    monkeypatch.setattr(Analyzer, "__init__", lambda *_: pytest.fail("work was done"))
    assert said in fails(capsys, "label", trajectory_path, tmp_path / name)


def test_frames_before_a_broken_one_are_kept(cubic, model_path, tmp_path, capsys):
    source, out = tmp_path / "run.dump", tmp_path / "out.gsd"
    for step in range(3):
        dump(source, cubic, step)
    text = source.read_text()
    before, number, after = text.rpartition("0.")
    source.write_text(f"{before}x{number}{after}")
    error = fails(capsys, "label", source, out, "--model", model_path)
    assert "frame 2 of" in error
    assert "2 frames before are labeled" in error
    with open_trajectory(out) as trajectory:
        assert len(trajectory) == 2


@pytest.mark.parametrize("kind", ["cif", "xyz"])
def test_dumps_have_no_columns_of_text(model_path, tmp_path, kind):
    import ase.build
    from ovito.io import import_file

    source, out = tmp_path / f"in.{kind}", tmp_path / "out.dump"
    atoms = ase.build.bulk("Cu", cubic=True).repeat(4)
    if kind == "xyz":
        atoms.new_array("site", np.array(["up"] * len(atoms)))
        ase.io.write(source, atoms, format="extxyz")
    else:
        ase.io.write(source, atoms)
    assert main(["label", str(source), str(out), "--model", str(model_path)]) == 0
    data = import_file(str(out)).compute()
    assert (np.asarray(data.particles["label"]) == 0).all()
    assert len(ase.io.read(out, format="lammps-dump-text")) == len(atoms)


def test_a_dump_without_positions_gets_a_sentence(model_path, tmp_path, capsys):
    source = tmp_path / "in.dump"
    rows = [f"{i} 1 0.1 0.2 0.3" for i in range(30)]
    head = ["ITEM: TIMESTEP", "0", "ITEM: NUMBER OF ATOMS", "30", "ITEM: BOX BOUNDS pp pp pp"]
    head += ["0 5", "0 5", "0 5", "ITEM: ATOMS id type vx vy vz"]
    source.write_text("\n".join([*head, *rows, ""]))
    for end in ("gsd", "dump"):
        out = tmp_path / f"out.{end}"
        assert main(["label", str(source), str(out), "--model", str(model_path)]) == 2
        assert "no positions" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["in.dump"]


def test_edges_along_the_axes_are_written_as_every_reader_takes_them(cubic, model_path, tmp_path):
    out = tmp_path / "out.dump"
    dump(tmp_path / "in.dump", cubic, 0, np.ones(len(cubic), int), np.arange(len(cubic)) + 1)
    assert command("label", tmp_path / "in.dump", out, "--model", model_path) == 0
    bounds = out.read_text().split("ITEM: BOX BOUNDS ")[1].splitlines()
    assert bounds[0].split() == ["pp", "pp", "pp"]
    assert [len(line.split()) for line in bounds[1:4]] == [2, 2, 2]


@pytest.mark.parametrize("keep_types", [False, True])
def test_types_of_one_name_stay_two(model_path, cubic, tmp_path, keep_types):
    """LAMMPS has types 1 and 2 of one element: CH2 and CH3, or a wall and a liquid."""
    source, out = tmp_path / "a.data", tmp_path / "out.gsd"
    kinds = np.arange(len(cubic)) % 3 + 1
    lines = ["Atoms", "", f"{len(cubic)} atoms", "3 atom types", ""]
    lines += [f"0 {length} {axis}lo {axis}hi" for length, axis in
              zip(cubic.cell.lengths(), "xyz", strict=True)]  # fmt: skip
    lines += ["", "Masses", "", "1 12.011", "2 12.011", "3 15.999", "", "Atoms # atomic", ""]
    for i, (kind, at) in enumerate(zip(kinds, cubic.positions, strict=True), 1):
        lines.append(f"{i} {kind} {at[0]} {at[1]} {at[2]}")
    source.write_text("\n".join(lines))
    label_trajectory(source, out, model_path, keep_types=keep_types)
    frame = read_frame(out)
    assert frame.particles.types == ["C", "C (2)", "O"]
    np.testing.assert_array_equal(frame.particles.typeid, kinds - 1)
    # the name that the file has finds both
    with open_source(source) as opened:
        data = opened.read(0).data
    assert len(particles_of_types(data, ["C"])) == (kinds < 3).sum()
    np.testing.assert_array_equal(particles_of_types(data, ["C (2)"]), np.flatnonzero(kinds == 2))


def test_a_frame_has_nothing_of_the_first_one(model_path, cubic, tmp_path):
    """GSD takes what a frame does not have from the first one."""
    full = tmp_path / "v.dump"
    dump(full, cubic, 0)
    bare = tmp_path / "n.xyz"
    bare.write_text(
        f"{len(cubic)}\nProperties=species:S:1:pos:R:3\n"
        + "".join(f"Fe {x} {y} {z}\n" for x, y, z in cubic.positions)
    )
    out = tmp_path / "out.gsd"
    label_trajectory([full, bare, full], out, model_path)
    with open_trajectory(out) as frames:
        first, second, third = (frame.particles.velocity for frame in frames)
    assert abs(first).max() > 0.1
    np.testing.assert_array_equal(second, 0)
    np.testing.assert_array_equal(third, first)


@pytest.mark.parametrize("kind", ["traj", "xyz"])
def test_a_turned_slab_without_a_third_vector_fits_its_box(model_path, tmp_path, kind):
    square = ase.build.fcc100("Cu", (6, 6, 4), a=3.6, vacuum=None)
    square.cell[2] = 0
    square.pbc = (True, True, False)
    square.rotate(45, "z", rotate_cell=True)
    source, out = tmp_path / f"slab.{kind}", tmp_path / "out.gsd"
    ase.io.write(source, square, format={"xyz": "extxyz"}.get(kind))
    label_trajectory(source, out, model_path)
    frame = read_frame(out)
    distances = PeriodicTree.build(frame.particles.position, frame.configuration.box).nearest()
    shortest = np.linalg.norm(distances.bonds, axis=-1).min(axis=1)
    np.testing.assert_allclose(shortest, 3.6 / np.sqrt(2), rtol=1e-4)


def test_matrices_in_comments_stay_what_they_are(model_path, cubic, tmp_path):
    cubic.info["virial"] = np.arange(9.0).reshape(3, 3)
    source, out = tmp_path / "a.xyz", tmp_path / "out.xyz"
    ase.io.write(source, cubic, format="extxyz")
    label_trajectory(source, out, model_path)
    np.testing.assert_array_equal(ase.io.read(out).info["virial"], cubic.info["virial"])


@pytest.mark.parametrize(("said", "steps"), [('"0.5 fs"', [0, 1]), ("0.5", [0, 1]), ("7", [7, 7])])
def test_a_timestep_that_is_no_number_of_steps_is_left_out(
    model_path, cubic, tmp_path, said, steps
):
    frame = f"{len(cubic)}\nTimestep={said} Properties=species:S:1:pos:R:3\n" + "".join(
        f"Fe {x} {y} {z}\n" for x, y, z in cubic.positions
    )
    source, out = tmp_path / "a.xyz", tmp_path / "out.gsd"
    source.write_text(2 * frame)
    label_trajectory(source, out, model_path)
    with open_trajectory(out) as frames:
        assert [one.configuration.step for one in frames] == steps


def test_a_star_in_a_name_stands_for_no_other_file(cubic, tmp_path):
    dump(tmp_path / "a1.dump", cubic[:7], 0)
    dump(tmp_path / "a*.dump", cubic, 0)
    with open_source(tmp_path / "a*.dump") as source:
        assert source.read(0).n_particles == len(cubic)


def test_an_empty_frame_without_a_cell_becomes_a_dump(model_path, cubic, tmp_path):
    source, out = tmp_path / "a.xyz", tmp_path / "out.dump"
    head = "Properties=species:S:1:pos:R:3\n"
    atoms = "".join(f"Fe {x} {y} {z}\n" for x, y, z in cubic.positions)
    source.write_text(f"{len(cubic)}\n{head}{atoms}0\n{head}")
    label_trajectory(source, out, model_path)
    made = import_file(str(out))
    assert [made.compute(k).particles.count for k in range(made.num_frames)] == [len(cubic), 0]
