"""Particle systems: positions in a periodic box, and the objects that are taken as one."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import InputError
from .labeled_frames import OWN_TYPEID, ovito_name, own_typeid

Array = NDArray[np.float64]


class System(NamedTuple):
    """Particles in a periodic box.

    Attributes
    ----------
    positions : (N, 3) float64
        Positions, inside the box or not.
    box : (6,) float64
        ``[Lx, Ly, Lz, xy, xz, yz]`` as HOOMD and GSD have it, the origin at its center.
    types : (N,) int64
        Type of each particle.
    """

    positions: Array
    box: Array
    types: NDArray[np.int64]


def lattice_vectors(box: ArrayLike) -> Array:
    """Lattice vectors, as rows, of a box ``[Lx, Ly, Lz, xy, xz, yz]``."""
    lx, ly, lz, xy, xz, yz = np.asarray(box, dtype=np.float64)
    return np.array([[lx, 0, 0], [xy * ly, ly, 0], [xz * lz, yz * lz, lz]])


def box_from_lattice(vectors: ArrayLike) -> Array:
    """Box ``[Lx, Ly, Lz, xy, xz, yz]`` of right-handed lattice vectors, given as rows.

    The lattice is turned so that a lies along x and b in the xy plane; fractional coordinates stay
    what they are.
    """
    a, b, c = np.asarray(vectors, dtype=np.float64)
    lx = np.linalg.norm(a)
    b_x = a @ b / lx
    ly = np.sqrt(b @ b - b_x**2)
    c_x = a @ c / lx
    c_y = (b @ c - b_x * c_x) / ly
    lz = np.sqrt(c @ c - c_x**2 - c_y**2)
    return np.array([lx, ly, lz, b_x / ly, c_x / lz, c_y / lz])


def make_system(positions: ArrayLike, box: ArrayLike, types: ArrayLike | None = None) -> System:
    """Check positions, box and types, and hold them as arrays.

    Raises
    ------
    InputError
        For shapes that do not fit, a two-dimensional or degenerate box, and positions that are not
        finite.
    """
    points = np.asarray(positions, dtype=np.float64)
    edges = np.asarray(box, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 3:
        raise InputError(f"positions have shape {points.shape}; give an (N, 3) array.")
    if edges.shape != (6,) or not np.isfinite(edges).all():
        raise InputError(
            f"box is {np.asarray(box)}; give the six finite numbers [Lx, Ly, Lz, xy, xz, yz]."
        )
    if edges[2] == 0:
        raise InputError("the box is two-dimensional (Lz = 0); environments need three dimensions.")
    if (edges[:3] <= 0).any():
        raise InputError(f"box lengths are {edges[:3]}; all three must be positive.")
    bad = ~np.isfinite(points).all(axis=1)
    if bad.any():
        raise InputError(
            f"positions are NaN or infinite for {bad.sum()} of {len(points)} particles, the first "
            f"at index {bad.argmax()}; repair or remove them."
        )
    kinds = np.zeros(len(points), dtype=np.int64) if types is None else np.asarray(types)
    if kinds.shape != (len(points),) or not np.issubdtype(kinds.dtype, np.integer):
        raise InputError(
            f"types have shape {kinds.shape} and dtype {kinds.dtype}; "
            f"give one integer for each of the {len(points)} particles."
        )
    return System(points, edges, kinds.astype(np.int64))


def as_system(system: Any) -> System:
    """Take what people have at hand as a system.

    Parameters
    ----------
    system
        A :class:`System`; a tuple (box, points) as freud takes it; a GSD frame or HOOMD snapshot;
        an OVITO ``DataCollection`` with a fully periodic cell.

    Raises
    ------
    InputError
        For anything else, or if :func:`make_system` refuses the numbers.
    """
    if isinstance(system, System):
        return make_system(*system)
    if isinstance(system, tuple) and len(system) == 2:
        box, points = system
        return make_system(points, _freud_box(box))
    if hasattr(system, "configuration") and hasattr(system, "particles"):
        particles = system.particles
        if particles.position is None or system.configuration.box is None:
            raise InputError("the frame has no particle positions or no box.")
        if system.configuration.dimensions == 2:
            raise InputError("the frame is two-dimensional; environments need three dimensions.")
        return make_system(particles.position, system.configuration.box, own_typeid(system))
    if hasattr(system, "cell") and hasattr(system, "particles"):
        return _ovito_system(system)
    raise InputError(
        f"cannot take a {type(system).__name__} as a system; give (box, points), a GSD frame, "
        "a HOOMD snapshot or an OVITO DataCollection."
    )


def _freud_box(box: Any) -> ArrayLike:
    if hasattr(box, "Lx"):  # freud.box.Box and hoomd.Box
        return [box.Lx, box.Ly, box.Lz, box.xy, box.xz, box.yz]
    edges = np.asarray(box, dtype=np.float64)
    if edges.shape == (3, 3):  # columns are lattice vectors
        return box_from_lattice(edges.T)
    if edges.shape == (3,):
        return [*edges, 0, 0, 0]
    return edges


def _ovito_system(data: Any) -> System:
    cell = data.cell
    if cell is None or not all(cell.pbc):
        raise InputError("the OVITO data has no cell that is periodic in all three directions.")
    matrix = np.asarray(cell[:3, :3])
    # turn the sample with its cell: environments do not care, boxes need their orientation
    box = box_from_lattice(matrix.T)
    fractional = np.asarray(data.particles.positions) @ np.linalg.inv(matrix.T)
    # there where the types that OVITO shows stand for structures
    kinds = data.particles.get(ovito_name(OWN_TYPEID))
    if kinds is None:
        kinds = data.particles.particle_types
    return make_system(
        fractional @ lattice_vectors(box), box, None if kinds is None else np.asarray(kinds)
    )
