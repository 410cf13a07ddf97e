"""Labels of some types, with neighbors of some types, from the command line."""

import ase.io
import gsd.hoomd
import numpy as np
import pytest
from commands import fails

from hoomd_gala.cli import main
from hoomd_gala.crystals.prototypes import crystal, displace, unit_cell
from hoomd_gala.files import frame_labels, make_frame, read_frame
from hoomd_gala.systems import make_system


@pytest.fixture
def in_solvent():
    """A bcc crystal of A, five solvent particles B for each of its own in between."""
    rng = np.random.default_rng(1)
    solid = displace(crystal(unit_cell("cI2-W"), 1000), 0.02, rng)
    solvent = rng.uniform(-0.5, 0.5, (5 * len(solid.positions), 3)) * solid.box[:3]
    types = np.repeat([0, 1], [len(solid.positions), len(solvent)])
    order = rng.permutation(len(types))
    positions = np.concatenate((solid.positions, solvent))
    return make_system(positions[order], solid.box, types[order])


@pytest.mark.parametrize("kind", ["gsd", "dump", "traj"])
def test_crystal_in_solvent_is_found_by_the_names_of_types(
    in_solvent, kind, model_path, tmp_path, capsys
):
    system, source, out = in_solvent, tmp_path / f"run.{kind}", tmp_path / "out.gsd"
    names = {"gsd": "AB", "dump": "12", "traj": ("H", "O")}[kind]
    lengths = system.box[:3]
    if kind == "gsd":
        with gsd.hoomd.open(source, "w") as trajectory:
            trajectory.append(make_frame(system, 0, names))
    elif kind == "traj":
        symbols = np.array(names)[system.types]
        ase.io.write(source, ase.Atoms(symbols, system.positions, cell=lengths, pbc=True))
    else:
        particles = enumerate(zip(system.types, system.positions, strict=True), 1)
        rows = [f"{i} {k + 1} {x} {y} {z}" for i, (k, (x, y, z)) in particles]
        box = [f"{-length / 2} {length / 2}" for length in lengths]
        head = ["ITEM: TIMESTEP", "0", "ITEM: NUMBER OF ATOMS", str(len(rows))]
        head += ["ITEM: BOX BOUNDS pp pp pp", *box, "ITEM: ATOMS id type x y z"]
        source.write_text("\n".join([*head, *rows, ""]))
    label = ["label", str(source), str(out), "--model", str(model_path)]
    own = ["--types", names[0], "--neighbors", names[0]]
    for extra in ([], ["--workers", "2"]):
        assert main([*label, *own, *extra]) == 0
        assert "cI2-W" in capsys.readouterr().out
        found, classes = frame_labels(read_frame(out))
        chosen = system.types == 0
        assert (found[chosen] == classes.index("cI2-W")).mean() > 0.95
        assert (found[~chosen] == -1).all()
        log = read_frame(out).log
        assert (log["particles/hoomd_gala/Classifier/confidence"][~chosen] == 0).all()
        assert log["hoomd_gala/Classifier/fractions"][classes.index("cI2-W")] > 0.95
        out.unlink()
    # with everybody as a neighbor it is no crystal
    assert main([*label, "--types", names[0]]) == 0
    found, classes = frame_labels(read_frame(out))
    assert (found[chosen] == classes.index("cI2-W")).mean() < 0.5
    error = fails(capsys, *label[:2], tmp_path / "x.gsd", "--types", "Q")
    assert "there is no type 'Q' of particles, only " in error


@pytest.mark.parametrize("end", ["gsd", "xyz", "dump"])
def test_cluster_without_a_cell(model_path, tmp_path, end):
    from ase.cluster import Octahedron
    from ovito.io import import_file

    source, out = tmp_path / "cluster.xyz", tmp_path / f"out.{end}"
    atoms = Octahedron("Cu", 9, 3)
    atoms.cell, atoms.pbc = None, False
    ase.io.write(source, atoms, format="extxyz")
    assert main(["label", str(source), str(out), "--model", str(model_path)]) == 0
    if end == "gsd":
        label = frame_labels(read_frame(out))[0]
    else:
        data = import_file(str(out)).compute()
        assert data.cell is None or not any(data.cell.pbc)
        label = np.asarray(data.particles["label"])
    inside = np.linalg.norm(atoms.positions - atoms.positions.mean(axis=0), axis=1) < 4.5
    assert (label[inside] == 0).all()
    assert inside.sum() > 20
