"""Frames as gsd, OVITO and ASE hold them, made from one another.

Boxes of GSD files have their first vector along x and their center at the origin: samples are
turned and moved for them, with velocities.
"""

import copy
from typing import Any

import gsd.hoomd
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..systems import as_system, cell_rotation, lattice_vectors
from .sources import Stored, distinct, named_types
from .trajectories import make_frame


def gsd_frame(stored: Stored, step: int) -> tuple[gsd.hoomd.Frame, NDArray[np.int64] | None]:
    """Make a GSD frame of one that was read by OVITO or ASE; one of a GSD file stays what it is.

    Parameters
    ----------
    stored : Stored
        With N particles.
    step : int
        Timestep of frames that have none.

    Returns
    -------
    gsd.hoomd.Frame, (N,) int or None
        The frame, and which of its particles each one became where their order is another:
        particles with identifiers are in the order of these, so that it is the same in all frames.
    """
    data = stored.data
    if isinstance(data, gsd.hoomd.Frame):
        return data, None
    if hasattr(data, "numbers"):
        return _from_ase(data, step), None
    return _from_ovito(data, step)


def _placed_frame(
    data: Any, positions: ArrayLike, vectors: ArrayLike, origin: ArrayLike, step: int
) -> tuple[gsd.hoomd.Frame, NDArray[np.float64]]:
    """Make a frame of positions and types, and return the rotation (3, 3) that it took."""
    rows = np.asarray(vectors, np.float64)
    system = as_system(data)
    names, types = named_types(data)
    rotation = cell_rotation(rows, system.periodic)
    center = np.asarray(origin) + rows.sum(axis=0) / 2
    placed = (np.asarray(positions, np.float64) - center) @ rotation
    frame = make_frame(system._replace(positions=placed, types=types), step, names)
    return frame, rotation


def _from_ase(atoms: Any, step: int) -> gsd.hoomd.Frame:
    frame, rotation = _placed_frame(
        atoms, atoms.positions, atoms.cell, atoms.get_celldisp().ravel(), step
    )
    frame.particles.mass = atoms.get_masses()
    if atoms.has("momenta"):
        frame.particles.velocity = atoms.get_velocities() @ rotation
    if atoms.has("initial_charges"):
        frame.particles.charge = atoms.get_initial_charges()
    return frame


def _from_ovito(data: Any, step: int) -> tuple[gsd.hoomd.Frame, NDArray[np.int64] | None]:
    source, cell = data.particles, data.cell
    matrix = np.zeros((3, 4)) if cell is None else np.asarray(cell)
    # some programs call the length of a timestep so
    said = data.attributes.get("Timestep")
    if isinstance(said, (int, np.integer)):
        step = int(said)
    frame, rotation = _placed_frame(
        data, source.positions, matrix[:, :3].T, matrix[:, 3], max(step, 0)
    )
    particles = frame.particles
    if source.velocities is not None:
        particles.velocity = np.asarray(source.velocities) @ rotation
    if source.masses is not None:
        particles.mass = np.asarray(source.masses)
    elif source.particle_types is not None:
        masses = {kind.id: kind.mass for kind in source.particle_types.types}
        each = np.array([masses.get(i, 0.0) for i in np.asarray(source.particle_types).tolist()])
        if (each > 0).all():
            particles.mass = each
    charges, radii = source.get("Charge"), source.get("Radius")
    if charges is not None:
        particles.charge = np.asarray(charges)
    if radii is not None:
        particles.diameter = 2 * np.asarray(radii)
    ids = source.identifiers
    order = np.arange(particles.N) if ids is None else np.argsort(ids, kind="stable")
    place = np.argsort(order)
    if source.bonds is not None and source.bonds.count:
        _add_bonds(frame.bonds, source.bonds, place)
    if ids is None:
        return frame, None
    for name in ("position", "typeid", "velocity", "mass", "charge", "diameter"):
        values = getattr(particles, name)
        if values is not None:
            setattr(particles, name, np.asarray(values)[order])
    return frame, place


def _add_bonds(bonds: Any, source: Any, place: NDArray[np.int64]) -> None:
    """Put OVITO's bonds into a frame, between particles in their new places."""
    bonds.N = source.count
    bonds.group = place[np.asarray(source.topology)]
    kinds = source.bond_types
    if kinds is None:
        bonds.types, bonds.typeid = ["bond"], np.zeros(source.count, np.uint32)
        return
    listed = {kind.id: kind.name or str(kind.id) for kind in kinds.types}
    ids, bonds.typeid = np.unique(np.asarray(kinds), return_inverse=True)
    bonds.types = distinct([listed.get(i, str(i)) for i in ids.tolist()], ids)


def with_positions(stored: Stored, positions: ArrayLike) -> Stored:
    """Copy a frame with other positions of its particles; all else stays.

    Parameters
    ----------
    stored : Stored
        With N particles.
    positions : (N, 3)
        As they are, or some way off. Particles of a GSD frame that have crossed the boundary of its
        box meanwhile are put in on the other side, and their image says so.
    """
    data = stored.data
    if isinstance(data, gsd.hoomd.Frame):
        return stored._replace(data=_moved_frame(data, np.asarray(positions, np.float64)))
    if hasattr(data, "numbers"):
        atoms = ase_atoms(data)
        atoms.positions = positions
        return stored._replace(data=atoms)
    copied = data.clone()
    copied.particles_.positions_[...] = positions
    return stored._replace(data=copied)


def _moved_frame(frame: gsd.hoomd.Frame, positions: NDArray[np.float64]) -> gsd.hoomd.Frame:
    before = np.asarray(frame.particles.position)
    lattice = lattice_vectors(frame.configuration.box)
    inverse = np.linalg.inv(lattice)
    cells = (np.floor(points @ inverse + 0.5) for points in (before, positions))
    crossed = np.subtract(*cells)
    moved, particles = copy.copy(frame), copy.copy(frame.particles)
    moved.particles = particles
    particles.position = (positions + crossed @ lattice).astype(before.dtype)
    if crossed.any():
        images = 0 if particles.image is None else np.asarray(particles.image)
        particles.image = (images - crossed).astype(np.int32)
    return moved


def ovito_data(data: Any) -> Any:
    """Make an OVITO ``DataCollection`` of a frame, with positions, types, velocities and charges.

    What OVITO has read is returned as it is.
    """
    from ovito.data import DataCollection
    from ovito.io.ase import ase_to_ovito

    if hasattr(data, "numbers"):
        return ase_to_ovito(data)
    if not isinstance(data, gsd.hoomd.Frame):
        return data
    made = DataCollection()
    vectors = lattice_vectors(data.configuration.box)
    matrix = np.column_stack((vectors.T, -vectors.sum(axis=0) / 2))
    made.create_cell(matrix, pbc=(True, True, True))
    count = data.particles.N
    particles = made.create_particles(count=count)
    particles.create_property("Particle Identifier", data=np.arange(1, count + 1))
    particles.create_property("Position", data=data.particles.position)
    names, types = named_types(data)
    kinds = particles.create_property("Particle Type", data=(types + 1).astype(np.int32))
    for number, name in enumerate(names, 1):
        kinds.add_type_id(number, particles).name = name
    for name, values in (
        ("Velocity", data.particles.velocity),
        ("Mass", data.particles.mass),
        ("Charge", data.particles.charge),
    ):
        if values is not None:
            particles.create_property(name, data=values)
    made.attributes["Timestep"] = int(data.configuration.step)
    return made


def ase_atoms(data: Any) -> Any:
    """Make ASE ``Atoms`` of a frame, with positions, velocities and charges.

    Types that are no chemical elements are atoms X, and all have their names in the array ``type``.
    What ASE has read is copied.
    """
    from ase import Atoms
    from ase.data import atomic_numbers

    if not isinstance(data, gsd.hoomd.Frame):
        copied = data.copy()
        copied.calc = data.calc  # energies and forces, which a copy does not have
        return copied
    names, types = named_types(data)
    numbers = np.array([atomic_numbers.get(name, 0) for name in names])
    vectors = lattice_vectors(data.configuration.box)
    atoms: Any = Atoms(
        numbers=numbers[types],
        positions=np.asarray(data.particles.position) + vectors.sum(axis=0) / 2,
        cell=vectors,
        pbc=True,
    )
    atoms.new_array("type", np.array(names)[types])
    if data.particles.mass is not None:
        atoms.set_masses(data.particles.mass)
    if data.particles.velocity is not None:
        atoms.set_velocities(data.particles.velocity)
    atoms.info["Timestep"] = int(data.configuration.step)
    return atoms
