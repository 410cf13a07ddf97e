"""Particles chosen from a system: those to label, and those that may be neighbors."""

import operator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .errors import InputError
from .systems import System, as_system, refuse_masked

Integers = NDArray[np.int64]


class Choice(NamedTuple):
    """Which particles of a system are labeled, and which may be their neighbors.

    Attributes
    ----------
    particles : (m,) int64 or None
        Indices of those that are labeled; None for all neighbors.
    neighbors : (k,) int64 or None
        Indices of those that may be neighbors, ascending; None for all.
    """

    particles: Integers | None
    neighbors: Integers | None

    @property
    def labeled(self) -> Integers | None:
        """(m,) int64: indices of those that are labeled; None for all particles."""
        return self.neighbors if self.particles is None else self.particles


def select(system: System, chosen: Any, what: str = "particles") -> Integers | None:
    """Find the indices of chosen particles.

    Parameters
    ----------
    system : System
        Of N particles.
    chosen
        Integers are indices and (N,) booleans a mask; strings are names of types, a single one or a
        sequence. A number is never a type. None for all particles.
    what : str
        What an error calls them.

    Returns
    -------
    (m,) int64, or None for all
        In the order of the indices given, otherwise ascending.

    Raises
    ------
    InputError
        For indices, masks or names that the system does not have.
    """
    if chosen is None:
        return None
    values = _uniform(chosen, what)
    total = len(system.positions)
    if values.ndim == 1 and values.dtype.kind == "U":
        return _of_types(system, values.tolist(), what)
    if values.ndim == 1 and values.dtype.kind == "b":
        if len(values) != total:
            raise InputError(
                f"{what} are a mask of {len(values)} for {total} particles; give one bool for each."
            )
        return np.flatnonzero(values)
    if values.ndim != 1 or values.dtype.kind not in "iu":
        raise InputError(
            f"{what} are of type {values.dtype} and shape {values.shape}; give indices, a mask "
            "with a bool for each particle, or names of types."
        )
    outside = (values < 0) | (values >= total)
    if outside.any():
        raise InputError(f"{what} must be 0 to {total - 1}, not {values[outside][0]}.")
    return values.astype(np.int64)


def _uniform(chosen: Any, what: str) -> NDArray[Any]:
    """Array of indices, flags or names, of whatever holds one kind of these."""
    refuse_masked(chosen, what)
    # numpy would make names of numbers among names, and numbers of flags among numbers
    values = (
        np.fromiter(chosen, object, len(chosen))
        if isinstance(chosen, (list, tuple))
        else np.atleast_1d(np.asarray(chosen))
    )
    if values.dtype.kind != "O" or values.ndim != 1:
        return values
    each = values.tolist()
    if not each:
        return np.zeros(0, np.int64)
    flags = [isinstance(one, (bool, np.bool_)) for one in each]
    if all(flags):
        return np.array(each, bool)
    if all(isinstance(one, str) for one in each):
        return np.array(each, str)
    try:
        if not any(flags):
            return np.array([operator.index(one) for one in each], np.int64)
    except OverflowError:
        raise InputError(f"{what} are indices of more than 63 bits.") from None
    except TypeError:
        pass
    kinds = ", ".join(sorted({type(one).__name__ for one in each}))
    raise InputError(
        f"{what} are made of {kinds}; give indices, a mask with a bool for each particle, or names "
        "of types, and one kind of these only."
    )


def _of_types(system: System, names: list[str], what: str) -> Integers:
    if not system.type_names:
        raise InputError(
            f"{what} are given by type, {', '.join(names)}, and the types of this system have no "
            "names; give indices, or a mask such as types == 1."
        )
    for name in names:
        if name not in system.type_names:
            raise InputError(
                f"{what} are given by type and there is no type {name!r}; there are "
                f"{', '.join(system.type_names)}."
            )
    # types may share a name
    wanted = [i for i, name in enumerate(system.type_names) if name in names]
    return np.flatnonzero(np.isin(system.types, wanted))


def choose(system: System, particles: Any, neighbors: Any) -> Choice:
    """:func:`select` particles and neighbors, and check that these fit each other.

    Without ``particles``, all neighbors are labeled.

    Raises
    ------
    InputError
        As :func:`select` does, and for particles that are not among the neighbors.
    """
    labeled = select(system, particles, "particles")
    around = select(system, neighbors, "neighbors")
    if around is None:
        return Choice(labeled, None)
    around = np.unique(around)
    if not len(around):
        raise InputError("none of the particles is a neighbor; give neighbors that there are.")
    if labeled is not None and (missing := int((~np.isin(labeled, around)).sum())):
        raise InputError(
            f"{missing} of the {len(labeled)} particles to label are not among the neighbors; give "
            "neighbors that include all of them, constituents of rigid bodies by name or index."
        )
    return Choice(labeled, around)


def among_neighbors(system: System, choice: Choice) -> tuple[System, Integers | None]:
    """Reduce a system to the neighbors, so that nothing else costs or means anything.

    Returns
    -------
    System, (m,) int64 or None
        And the indices therein of the particles that are labeled; None for all.
    """
    particles, neighbors = choice
    if neighbors is None:
        return system, particles
    part = system._replace(positions=system.positions[neighbors], types=system.types[neighbors])
    return part, None if particles is None else np.searchsorted(neighbors, particles)


def rigid_centers(body: Any, tags: Any = None) -> Integers | None:
    """Where the center of each particle's rigid body is.

    A center's body is its own tag, and its constituents have the same; negative numbers (which are
    HOOMD's for free particles and floppy bodies), and bodies without a center, mean nothing.

    Parameters
    ----------
    body : (N,) int
        Bodies of particles as HOOMD has them.
    tags : (N,) int, optional
        Tags of the particles, ascending; 0, 1, … if not given.

    Returns
    -------
    (N,) int64, or None if there are no constituents
        Index of the center for constituents, and that of the particle itself for all others.
    """
    bodies = np.asarray(body).astype(np.int32).astype(np.int64)
    itself = np.arange(len(bodies))
    names = itself if tags is None else np.asarray(tags).astype(np.int64)
    centers = itself[(bodies == names)]
    if not len(centers):
        return None
    place = np.minimum(np.searchsorted(names[centers], bodies), len(centers) - 1)
    found = np.where(names[centers][place] == bodies, centers[place], itself)
    return None if (found == itself).all() else found


def frame_centers(thing: Any) -> Integers | None:
    """:func:`rigid_centers` of a GSD frame or HOOMD snapshot; None of anything else."""
    body = getattr(getattr(thing, "particles", None), "body", None)
    return None if body is None else rigid_centers(body)


def bodies_once(centers: Integers | None) -> Integers | None:
    """Find the particles that may be neighbors unless something else is asked for.

    Parameters
    ----------
    centers : (N,) int, optional
        As :func:`rigid_centers` gives them.

    Returns
    -------
    (k,) int64, or None for all
        Centers of rigid bodies and free particles, ascending.
    """
    return None if centers is None else np.flatnonzero(centers == np.arange(len(centers)))


def as_labeled(frame: Any) -> System:
    """Make a system of what is labeled of a GSD frame: no constituents of rigid bodies.

    Raises
    ------
    InputError
        As :func:`~hoomd_gala.systems.as_system` does.
    """
    bodies = bodies_once(frame_centers(frame))
    return among_neighbors(as_system(frame), Choice(None, bodies))[0]


def over_bodies(
    values: NDArray[Any], chosen: Integers | None, centers: Integers | None
) -> NDArray[Any]:
    """Give constituents of rigid bodies that were not chosen what their center has.

    Parameters
    ----------
    values : (N, ...)
        Of all particles.
    chosen : (m,) int, optional
        Those that keep theirs; None for all.
    centers : (N,) int, optional
        As :func:`rigid_centers` gives them; None without bodies.
    """
    if chosen is None or centers is None:
        return values
    sources = centers.copy()
    sources[chosen] = chosen
    return values[sources]


def fill(
    values: NDArray[Any], particles: NDArray[np.int64] | None, total: int, missing: float
) -> NDArray[Any]:
    """Values of all particles from those of some, in the order of ``particles``."""
    if particles is None:
        return values
    everyone = np.full((total, *values.shape[1:]), missing, values.dtype)
    everyone[particles] = values
    return everyone
