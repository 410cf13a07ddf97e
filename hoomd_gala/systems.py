"""Particle systems: positions in a box, and objects that can be converted to one."""

import itertools
import os
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .doubts import warn_of_blur, warn_of_plane
from .errors import InputError, NoEnvironmentsError
from .schema import OWN_TYPEID, ovito_name, own_type_names, own_typeid
from .systems_from import Sample, from_mdanalysis, from_pymatgen, is_mdanalysis, is_pymatgen

Array = NDArray[np.float64]


#: Keys of a box given as a dict, as ``freud.box.Box.to_dict`` has them; tilts may be left out.
_BOX_KEYS = ("Lx", "Ly", "Lz", "xy", "xz", "yz")

#: Three tilts between these are angles in degrees: as tilts they would stand for angles of less
#: than 6 degrees between all lattice vectors.
_ANGLES = 10.0, 180.0
#: A right angle in degrees; no box has exactly this tilt.
_RIGHT_ANGLE = 90.0

#: Tilt factors are smaller: beyond, coordinates lose the digits that distinguish neighbors.
_MOST_TILT = 1e4


#: Lengths are between these: their squares and products are numbers.
_LENGTHS = 1e-100, 1e100

#: How many times shorter than both others, or longer, one length of a box is that has no third
#: dimension. As many images of each particle would be its neighbors, or cells be searched.
_FLAT = 1e8

#: For each lattice vector, whether the system goes on along it.
Flags = tuple[bool, bool, bool]
PERIODIC: Flags = (True, True, True)


class System(NamedTuple):
    """Particles in a box.

    Attributes
    ----------
    positions : (N, 3) float64
        Positions, inside the box or not.
    box : (6,) float64
        ``[Lx, Ly, Lz, xy, xz, yz]`` as HOOMD and GSD have it, the origin at its center.
    types : (N,) int64
        Type of each particle.
    periodic : (bool, bool, bool)
        For each lattice vector, whether images of the particles follow along it. Along those that
        are open, positions are not wrapped, and the length of the box means nothing.
    type_names : tuple of str
        Names of the types; empty where there are none.
    """

    positions: Array
    box: Array
    types: NDArray[np.int64]
    periodic: Flags = PERIODIC
    type_names: tuple[str, ...] = ()


def lattice_vectors(box: ArrayLike) -> Array:
    """Lattice vectors, as the rows of (3, 3), of a box ``[Lx, Ly, Lz, xy, xz, yz]``."""
    lx, ly, lz, xy, xz, yz = np.asarray(box, dtype=np.float64)
    return np.array([[lx, 0, 0], [xy * ly, ly, 0], [xz * lz, yz * lz, lz]])


def plane_spacings(vectors: ArrayLike) -> Array:
    """Distances between the opposite faces of a cell.

    Parameters
    ----------
    vectors : (3, 3)
        Lattice vectors as rows.

    Returns
    -------
    (3,) float64
        Spacing of the (100), (010) and (001) planes: 1 / length of the reciprocal vectors.
    """
    spacings: Array = 1 / np.linalg.norm(np.linalg.inv(np.asarray(vectors)), axis=0)
    return spacings


def box_from_lattice(vectors: ArrayLike) -> Array:
    """Box ``[Lx, Ly, Lz, xy, xz, yz]`` of right-handed lattice vectors, the rows of (3, 3).

    The lattice is rotated so that a lies along x and b in the xy plane; fractional coordinates stay
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


def _rotate(positions: ArrayLike, vectors: ArrayLike) -> tuple[Array, Array]:
    """Rotate a sample with its cell, so that the cell becomes a box.

    Environments are invariant under rotation.

    Parameters
    ----------
    positions : (N, 3)
    vectors : (3, 3)
        Lattice vectors as rows, right-handed or not.

    Returns
    -------
    (N, 3) float64, (3, 3) float64
        Positions, and the box as the matrix whose columns are its lattice vectors.
    """
    inverse, rotated = _rotated(vectors)
    with np.errstate(invalid="ignore"):  # what is not finite is refused in a sentence
        fractional = np.asarray(positions, dtype=np.float64) @ inverse
        return fractional @ rotated, rotated.T


def _rotated(vectors: ArrayLike) -> tuple[Array, Array]:
    """Inverse of a cell's lattice vectors (3, 3), and these in the orientation of a box (3, 3)."""
    rows = np.asarray(vectors, dtype=np.float64)
    volume = np.linalg.det(rows)
    if not volume:
        raise InputError("the cell has no volume; give three lattice vectors that span space.")
    if volume < 0:
        rows = -rows  # the same lattice
    inverse = np.asarray(np.linalg.inv(rows), np.float64)
    return inverse, lattice_vectors(box_from_lattice(rows))


def cell_rotation(vectors: ArrayLike, periodic: Flags) -> Array:
    """Rotation (3, 3) that makes a box of a cell, ``positions @ rotation``, as in a system of it.

    Parameters
    ----------
    vectors : (3, 3)
        Lattice vectors as rows; those along open directions may be zero.
    periodic : three of bool
        Whether the cell is repeated along each of its vectors.

    Raises
    ------
    InputError
        For a cell without volume.
    """
    inverse, rotated = _rotated(_complete(vectors, periodic))
    return inverse @ rotated


def turned_back(vectors: Array, sample: Sample) -> Array:
    """Vectors (N, 3) of a system as they are in the sample that was rotated with its cell."""
    return vectors @ cell_rotation(sample.vectors, as_flags(sample.periodic)).T


def _complete(vectors: ArrayLike, periodic: Flags) -> Array:
    """Lattice vectors (3, 3) where those along open directions may be zero, as in ASE.

    They become unit vectors at right angles to the others.
    """
    rows = np.array(vectors, dtype=np.float64)
    missing = ~rows.any(axis=1) & ~np.array(periodic)
    if missing.any():
        # what the given vectors leave out of space
        rows[missing] = np.linalg.svd(rows)[2][3 - missing.sum() :]
    return rows


def as_flags(periodic: Any) -> Flags:
    """Convert what says whether a system is periodic to three flags.

    Parameters
    ----------
    periodic : bool or three of bool
        For all lattice vectors, or for each.

    Raises
    ------
    InputError
        For anything else.
    """
    try:
        flags = np.asarray(periodic)
    except ValueError:  # rows of different lengths
        flags = np.zeros(0)
    # ASE and OVITO have flags, some formats 0 and 1
    if flags.shape not in ((), (3,)) or not np.isin(flags, (0, 1)).all():
        raise InputError(f"periodic is {periodic!r}; give True, False, or three of these.")
    x, y, z = np.broadcast_to(flags, 3).astype(bool).tolist()
    return x, y, z


def box_flags(box: Any) -> Flags:
    """Directions in which a box is periodic: all, unless it says otherwise, as freud's boxes do."""
    held = box.get("periodic", True) if isinstance(box, Mapping) else getattr(box, "periodic", True)
    return as_flags(held)


def short_lattice(box: ArrayLike) -> Array:
    """Short lattice vectors, as rows, of the same lattice as a box.

    A box that has been sheared far has long vectors, many of which fit in a sphere that holds few
    particles. Whole multiples of others are taken from each vector as long as it gets shorter, so
    that the lattice stays where it is and positions with it.

    Parameters
    ----------
    box : (6,)
        ``[Lx, Ly, Lz, xy, xz, yz]``.
    """
    vectors = lattice_vectors(box)
    shorter = True
    while shorter:
        shorter = False
        for i, (j, k) in enumerate(((1, 2), (0, 2), (0, 1))):
            others = vectors[[j, k]]
            near = np.rint(np.linalg.solve(others @ others.T, others @ vectors[i]))
            # rounding both at once is not always best: neighboring integers are tried as well
            around = near + np.array(list(itertools.product((-1, 0, 1), repeat=2)))
            candidates = vectors[i] - around @ others
            lengths = (candidates**2).sum(axis=1)
            best = lengths.argmin()
            if lengths[best] < (1 - 1e-9) * (vectors[i] ** 2).sum():
                vectors[i] = candidates[best]
                shorter = True
    return vectors


def as_box(box: Any) -> Array:
    """Convert a box of any common form to six numbers.

    Parameters
    ----------
    box
        ``[Lx, Ly, Lz, xy, xz, yz]`` as HOOMD and GSD have it; three lengths; a freud or HOOMD box;
        a dict with the keys ``Lx``, ``Ly``, ``Lz`` and, if need be, ``xy``, ``xz``, ``yz``; or the
        upper triangular matrix whose columns are lattice vectors, as ``freud.box.Box.to_matrix``
        gives it.

    Returns
    -------
    (6,) float64
        Whether it is periodic is what :func:`box_flags` says.

    Raises
    ------
    InputError
        For anything else, a two-dimensional or degenerate box, and tilts that look like angles.
    """
    edges = _box_numbers(box)
    if not np.isfinite(edges).all():
        raise InputError(f"box is {edges}; give finite numbers.")
    if edges[2] == 0:
        raise NoEnvironmentsError(
            "the box is two-dimensional (Lz = 0); environments need three dimensions."
        )
    if (edges[:3] <= 0).any():
        raise InputError(f"box lengths are {edges[:3]}; all three must be positive.")
    if not ((edges[:3] > _LENGTHS[0]) & (edges[:3] < _LENGTHS[1])).all():
        raise InputError(
            f"box lengths are {edges[:3]}; choose a unit in which they are between "
            f"{_LENGTHS[0]:g} and {_LENGTHS[1]:g}."
        )
    shortest, middle, longest = np.sort(edges[:3])
    if max(middle / shortest, longest / middle) > _FLAT:
        dimensions = "two" if middle > _FLAT * shortest else "one"
        raise NoEnvironmentsError(
            f"box lengths are {edges[:3]}, so that the box is as good as {dimensions}-dimensional; "
            "environments need three dimensions."
        )
    if (np.abs(edges[3:]) > _MOST_TILT).any():
        raise InputError(
            f"tilt factors of the box are {edges[3:]}, which is more than {_MOST_TILT:g}; give the "
            "equivalent box of smaller tilts."
        )
    return edges


def _box_numbers(box: Any) -> Array:
    if hasattr(box, "Lx"):  # freud.box.Box and hoomd.Box
        box = {key: getattr(box, key) for key in _BOX_KEYS}
    if isinstance(box, Mapping):
        if not {"Lx", "Ly", "Lz"} <= set(box) <= {*_BOX_KEYS, "dimensions", "periodic"}:
            raise InputError(
                f"box has the keys {', '.join(map(str, box))}; give Lx, Ly and Lz and, if need be, "
                "xy, xz and yz."
            )
        if box.get("dimensions", 3) != 3:
            raise NoEnvironmentsError(
                "the box is two-dimensional; environments need three dimensions."
            )
        box = [box.get(key, 0) for key in _BOX_KEYS]
    numbers = _numbers(box, "box")
    if numbers.shape == (3, 3):
        least = 1e-6 * np.abs(numbers).max()
        below, above = (
            np.abs(part).max() > least for part in (np.tril(numbers, -1), np.triu(numbers, 1))
        )
        # the rows of an ASE cell are lattice vectors, whatever it looks like
        if below or (above and hasattr(box, "cellpar")):
            raise InputError(
                "the 3 x 3 box is not upper triangular with lattice vectors as columns, as freud "
                "has it; if its rows are lattice vectors, as in ASE, give the ase.Atoms instead of "
                "positions and cell, or rotate both so that the transposed cell is upper "
                "triangular."
            )
        if (np.diag(numbers) <= 0).any():
            raise InputError(f"the diagonal of the box is {np.diag(numbers)}; it must be positive.")
        return box_from_lattice(numbers.T)
    if numbers.shape == (3,):
        return np.concatenate((numbers, np.zeros(3)))
    if numbers.shape != (6,):
        raise InputError(
            f"box has shape {numbers.shape}; give the six numbers [Lx, Ly, Lz, xy, xz, yz]."
        )
    _refuse_angles(numbers[3:])
    return numbers


def _refuse_angles(tilts: Array) -> None:
    degrees = ((tilts >= _ANGLES[0]) & (tilts < _ANGLES[1])).all() or (tilts == _RIGHT_ANGLE).any()
    if degrees or np.allclose(tilts, np.pi / 2, rtol=0, atol=1e-6):
        raise InputError(
            f"the last three numbers of the box, {tilts}, look like angles; give the tilt "
            "factors [Lx, Ly, Lz, xy, xz, yz], which are 0 where the box has right angles."
        )


def refuse_masked(values: Any, what: str) -> None:
    """Refuse masked arrays of which something is masked, which numpy would take as if it were not.

    Raises
    ------
    InputError
    """
    if np.ma.is_masked(values):
        places = np.ma.getmaskarray(values).sum()
        raise InputError(f"{what} are masked in {places} places; leave these particles out.")


def _numbers(values: Any, what: str) -> Array:
    refuse_masked(values, what)
    try:
        if hasattr(values, "detach"):  # a tensor, perhaps with gradients or of 16 bits
            values = values.detach().cpu()
            values = values if values.is_complex() else values.double()
        if np.iscomplexobj(values):
            raise TypeError
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(
            f"{what} cannot be read as numbers from a {type(values).__name__}."
        ) from None


def _shape(thing: Any) -> Iterable[int]:
    """Shape of an array; numpy cannot ask some tensors for theirs."""
    shape: Iterable[int] = thing.shape if hasattr(thing, "shape") else np.shape(thing)
    return shape


def _is_box(thing: Any) -> bool:
    """Whether something can only be a box: no 21 particles have positions of such a shape."""
    if hasattr(thing, "Lx") or isinstance(thing, Mapping):
        return True
    try:
        return tuple(_shape(thing)) in ((6,), (3,), (3, 3))
    except ValueError:  # rows of different lengths
        return False


def check_shape(positions: Any) -> None:
    """Refuse positions, an array or a tensor on any device, that are not (N, 3)."""
    if positions.ndim != 2 or positions.shape[1] != 3:
        raise InputError(f"positions have shape {tuple(positions.shape)}; give an (N, 3) array.")


def check_finite(positions: Any) -> None:
    """Refuse (N, 3) positions, an array or a tensor on any device, that are NaN or infinite."""
    bad = ~(abs(positions) < float("inf")).all(1)
    if count := int(bad.sum()):
        raise InputError(
            f"positions are NaN or infinite for {count} of {len(positions)} particles, the first "
            f"at index {int(bad.nonzero()[0][0])}; repair or remove them."
        )


def make_system(
    positions: ArrayLike,
    box: Any,
    types: ArrayLike | None = None,
    periodic: Any = None,
    type_names: Iterable[str] = (),
) -> System:
    """Check positions, box and types, and hold them as arrays.

    Parameters
    ----------
    positions : (N, 3)
        Positions, inside the box or not.
    box
        What :func:`as_box` takes; None for a system that is open in all directions.
    types : (N,) int, optional
        Type of each particle; all the same if not given.
    periodic : bool or three of bool, optional
        Whether the system goes on along each lattice vector; if not given, what the box says.
    type_names : iterable of str
        Names of the types, if they have any.

    Raises
    ------
    InputError
        For shapes that do not fit, a box that :func:`as_box` refuses, positions that are not
        finite, and a system without a box that is not said to be open.

    Warns
    -----
    UserWarning
        Of what can be labeled and hardly has a meaning: positions that are too far away for their
        digits, or all in one plane.
    """
    points = _numbers(positions, "positions")
    check_shape(points)
    flags = as_flags(periodic) if periodic is not None else box_flags(box)
    if box is None:
        if any(flags):
            raise InputError(
                "there is no box; give one, or periodic=False for particles in vacuum, without "
                "periodic boundaries."
            )
        edges = np.array([1.0, 1, 1, 0, 0, 0])
    else:
        edges = as_box(box)
    check_finite(points)
    if np.abs(points).max(initial=0) > _LENGTHS[1]:
        raise InputError(
            f"positions reach {np.abs(points).max():.3g}; choose a unit of length in which they "
            f"are below {_LENGTHS[1]:g}."
        )
    # of a box that goes on, the volume that each particle has
    share = float(np.prod(edges[:3])) / max(len(points), 1) if all(flags) else np.inf
    extents = np.ptp(points, axis=0) if len(points) else np.zeros(3)
    warn_of_blur(points, extents, share ** (1 / 3), getattr(positions, "dtype", None))
    warn_of_plane(points, extents, lattice_vectors(edges), flags)
    kinds = np.zeros(len(points), dtype=np.int64) if types is None else _kinds(types)
    if kinds.shape != (len(points),) or not np.issubdtype(kinds.dtype, np.integer):
        raise InputError(
            f"types have shape {kinds.shape} and dtype {kinds.dtype}; "
            f"give one integer for each of the {len(points)} particles."
        )
    return System(points, edges, kinds.astype(np.int64), flags, tuple(type_names))


def _kinds(types: Any) -> NDArray[Any]:
    refuse_masked(types, "types")
    try:
        return np.asarray(types)
    except ValueError:
        raise InputError("types are rows of different lengths; give one integer each.") from None


def as_system(system: Any, types: ArrayLike | None = None, periodic: Any = None) -> System:
    """Convert positions and box of any common form to a system.

    Parameters
    ----------
    system
        A :class:`System`; a tuple (box, points) as freud takes it, or (points, box), with any box
        that :func:`as_box` takes; a GSD frame or HOOMD snapshot; an OVITO ``DataCollection`` or ASE
        ``Atoms``; one of freud's ``NeighborQuery``; with ``periodic=False``, (N, 3) positions
        alone. The types of ASE atoms are their elements, in the order of their atomic numbers.
    types : (N,) int, optional
        Type of each particle, in place of what the system says.
    periodic : bool or three of bool, optional
        Whether the system goes on along each lattice vector, in place of what the system says:
        freud's boxes, OVITO's cells and ASE atoms have flags, OVITO data without a cell is open,
        and everything else is periodic.

    Raises
    ------
    InputError
        For anything else, or if :func:`make_system` refuses the numbers.
    """
    flags = None if periodic is None else as_flags(periodic)
    taken = _take(system, flags)
    if types is not None:
        taken = make_system(taken.positions, taken.box, types, taken.periodic)
    return taken if flags is None else taken._replace(periodic=flags)


def _take(system: Any, flags: Flags | None) -> System:
    if isinstance(system, System):
        return make_system(*system)
    if isinstance(system, tuple) and len(system) == 2:
        first, second = system
        # three points look like a matrix: then the order decides
        if not _is_box(first) and (_is_box(second) or tuple(_shape(first))[1:] == (3,)):
            first, second = second, first
        return make_system(second, first)
    if hasattr(system, "configuration") and hasattr(system, "particles"):
        return _frame_system(system, flags)
    if hasattr(system, "cell") and hasattr(system, "particles"):
        return _ovito_system(system)
    if hasattr(system, "cell") and hasattr(system, "pbc") and hasattr(system, "numbers"):
        return _ase_system(system)
    if is_mdanalysis(system):
        return _sample_system(from_mdanalysis(system))
    if is_pymatgen(system):
        return _sample_system(from_pymatgen(system))
    if hasattr(system, "box") and hasattr(system, "points"):  # freud's NeighborQuery
        return make_system(system.points, system.box)
    # a table or tensor has a shape
    if isinstance(system, (list, tuple)) or len(getattr(system, "shape", ())) == 2:
        return make_system(system, None, periodic=flags)
    if isinstance(system, (str, os.PathLike)):
        raise InputError(
            f"{os.fspath(system)!r} is a name and no system; give what gsd.hoomd, OVITO or ASE "
            "reads from a file, or label files with hoomd-gala label."
        )
    raise InputError(
        f"cannot take a {type(system).__name__} as a system; give (box, points), a GSD frame, "
        "a HOOMD snapshot, an OVITO DataCollection, ASE Atoms, an MDAnalysis AtomGroup or a "
        "pymatgen Structure."
    )


def _sample_system(sample: Sample) -> System:
    flags = as_flags(sample.periodic)
    positions, box = _rotate(sample.positions, _complete(sample.vectors, flags))
    return make_system(positions, box, sample.types, flags, sample.type_names)


def _frame_system(frame: Any, flags: Flags | None) -> System:
    particles, configuration = frame.particles, frame.configuration
    if particles.position is None or configuration.box is None:
        raise InputError("the frame has no particle positions or no box.")
    if configuration.dimensions == 2:
        raise NoEnvironmentsError(
            "the frame is two-dimensional; environments need three dimensions."
        )
    names = own_type_names(frame)
    system = make_system(particles.position, configuration.box, own_typeid(frame), type_names=names)
    needs_box = flags is None or any(flags)
    if needs_box and (system.box == [1, 1, 1, 0, 0, 0]).all():
        # GSD's default for files without a box
        outside = np.abs(system.positions).max(axis=1, initial=0) > 1
        if outside.any():
            farthest = np.abs(system.positions).max()
            raise InputError(
                f"the frame has no box, which GSD reads as 1 x 1 x 1, and {outside.sum()} of "
                f"{len(outside)} particles are outside of that, up to {farthest:.3g} boxes away; "
                "write the box into the file, or give periodic=False for particles in vacuum."
            )
    return system


def _ovito_system(data: Any) -> System:
    if data.particles is None or data.particles.positions is None:
        raise InputError("the OVITO data holds no positions of particles.")
    cell, positions = data.cell, np.asarray(data.particles.positions)
    if cell is None:
        box, flags = None, (False, False, False)
    else:
        if cell.is2D:
            raise NoEnvironmentsError("the OVITO cell is two-dimensional; environments need three.")
        flags = as_flags(cell.pbc)
        positions, box = _rotate(positions, _complete(np.asarray(cell[:3, :3]).T, flags))
    # present where the types that OVITO shows stand for structures
    own = data.particles.get(ovito_name(OWN_TYPEID))
    if own is not None:
        return make_system(positions, box, np.asarray(own), flags)
    kinds = data.particles.particle_types
    if kinds is None:
        return make_system(positions, box, None, flags)
    # most of OVITO's readers number types from 1, that of GSD files from 0
    first = min([1, *(kind.id for kind in kinds.types)])
    named = {kind.id - first: kind.name or str(kind.id) for kind in kinds.types}
    names = [named.get(i, "") for i in range(max(named, default=-1) + 1)]
    return make_system(positions, box, np.asarray(kinds) - first, flags, names)


def _ase_system(atoms: Any) -> System:
    flags = as_flags(atoms.pbc)
    positions, box = _rotate(atoms.positions, _complete(np.asarray(atoms.cell), flags))
    numbers, types = np.unique(atoms.numbers, return_inverse=True)
    symbols = dict(zip(atoms.numbers, atoms.symbols, strict=True))
    return make_system(positions, box, types, flags, [symbols[number] for number in numbers])
