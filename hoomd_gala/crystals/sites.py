"""Distinct local environments in crystals: which particles of which unit cells share one.

Types are ignored, so that the two sites of cP2-ClCs have one local environment, the same as that
of cI2-W, or only compared: then both are alike, and unlike that of cI2-W. Nothing here is learned:
environments are compared by a smooth descriptor, which does not depend on which of several equally
distant particles counts as the twentieth neighbor.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import sph_harm_y

from ..neighbors.environments import N_NEIGHBORS, PeriodicTree
from ..systems import Array, System
from .prototypes import UnitCell, crystal, unit_cell

#: Describes particles of a system, given by their indices.
Describe = Callable[[System, NDArray[np.int64]], Array]

#: Shape of the descriptor: angular momenta, radial functions, and particles that may count.
_L_MAX, _N_RADIAL, _CANDIDATES = 8, 7, 60
#: Cutoff radius, in units of the mean distance of the 20 nearest neighbors.
_CUTOFF = 1.6


def descriptors(system: System, particles: NDArray[np.int64]) -> Array:
    r"""Rotation-invariant power spectrum of the density around particles, normalized.

    The power spectrum :math:`p_{nn'l} = \sum_m c^*_{nlm} c_{n'lm}` of Bartók, Kondor and Csányi
    (PRB 87, 184115 (2013)), with Gaussians for radial functions and lengths in units of the mean
    distance of the 20 nearest neighbors.

    Parameters
    ----------
    system : System
        With at least 61 particles.
    particles : (m,) int
        Indices of the particles to describe.

    Returns
    -------
    (m, D) float64
        Descriptors of unit length.
    """
    tree = PeriodicTree.build(system.positions, system.box)
    flat = _power(*_expansion(tree.nearest(particles, n=_CANDIDATES).bonds))
    normalized: Array = flat / np.linalg.norm(flat, axis=1, keepdims=True)
    return normalized


def decorated_descriptors(system: System, particles: NDArray[np.int64]) -> Array:
    """Descriptors that see which of the particles around one are of the same type.

    Beside the power spectrum of all particles, that of those of the type of the one in the middle,
    and the sum of those of every other type: neither depends on what types are called.

    Parameters
    ----------
    system, particles
        As :func:`descriptors` takes them.

    Returns
    -------
    (m, 3·D) float64
        Three descriptors, in units of the length of the first.
    """
    tree = PeriodicTree.build(system.positions, system.box)
    near = tree.nearest(particles, n=_CANDIDATES)
    radial, harmonics = _expansion(near.bonds)
    own, others = system.types[particles][:, None], system.types[near.neighbors]
    every = _power(radial, harmonics)
    same = _power(radial * (others == own)[..., None], harmonics)
    apart = np.zeros_like(every)
    for kind in np.unique(system.types):
        apart += _power(radial * ((others == kind) & (others != own))[..., None], harmonics)
    length = np.linalg.norm(every, axis=1, keepdims=True)
    joined: Array = np.concatenate((every, same, apart), axis=1) / length
    return joined


def _expansion(bonds: Array) -> tuple[Array, list[NDArray[np.complex128]]]:
    """Radial functions (m, k, n) and, by degree, spherical harmonics (m, k, 2l + 1) of bonds."""
    r = np.linalg.norm(bonds, axis=-1)
    r_scaled = r / r[:, :N_NEIGHBORS].mean(axis=1, keepdims=True)
    # falls smoothly to zero at the cutoff
    weight = np.where(r_scaled < _CUTOFF, 0.5 + 0.5 * np.cos(np.pi * r_scaled / _CUTOFF), 0.0)
    centers = np.linspace(0.4, _CUTOFF, _N_RADIAL)
    radial = weight[..., None] * np.exp(
        -0.5 * ((r_scaled[..., None] - centers) / (centers[1] - centers[0])) ** 2
    )
    polar = np.arccos(np.clip(bonds[..., 2] / r, -1, 1))
    azimuth = np.arctan2(bonds[..., 1], bonds[..., 0])
    harmonics = [
        sph_harm_y(degree, np.arange(-degree, degree + 1), polar[..., None], azimuth[..., None])
        for degree in range(_L_MAX + 1)
    ]
    return radial, harmonics


def _power(radial: Array, harmonics: Sequence[NDArray[np.complex128]]) -> Array:
    """Power spectrum (m, D) of what :func:`_expansion` gives."""
    upper = np.triu_indices(_N_RADIAL)
    parts = []
    for degree, own in enumerate(harmonics):
        coefficients = np.einsum("pjn,pjm->pnm", radial, own)
        power = np.einsum("pnm,pkm->pnk", coefficients, coefficients.conj()).real
        parts.append(power[:, *upper] / np.sqrt(2 * degree + 1))
    return np.concatenate(parts, axis=1)


class Site(NamedTuple):
    """A distinct local environment of a unit cell.

    Attributes
    ----------
    cell : str
        Name of the unit cell.
    members : tuple of int
        Indices, in the unit cell, of the particles that share it.
    descriptor : (D,) float64
        Their common descriptor.
    """

    cell: str
    members: tuple[int, ...]
    descriptor: Array


#: Distances of descriptors. For scale: cF4-Cu and cI2-W differ by 0.10, cubic and hexagonal diamond
#: by 0.20, cF4-Cu and hP2-Mg by 0.35. Particles of one unit cell that are closer than SAME share a
#: local environment; so do those of two cells, in which free coordinates differ a little, that are
#: closer than EQUIVALENT. What is beyond SIMILAR is another structure, even if it is deformed; a
#: liquid is farther than that from every cell.
SAME, EQUIVALENT, SIMILAR = 5e-3, 0.01, 0.12


def sites(name: str) -> list[Site]:
    """Find the distinct local environments of a unit cell by its name; see :func:`sites_of`."""
    return sites_of(unit_cell(name))


def sites_of(cell: UnitCell, describe: Describe = descriptors) -> list[Site]:
    """Find the distinct local environments of a unit cell, without regard to its symmetry.

    Types are ignored unless ``describe`` is :func:`decorated_descriptors`.
    """
    grown = crystal(cell, 512)
    count = len(cell.system.positions)
    rows = describe(grown, np.arange(count))
    left = np.arange(count)
    found = []
    while len(left):
        same = np.linalg.norm(rows[left] - rows[left[0]], axis=1) < SAME
        found.append(Site(cell.name, tuple(left[same].tolist()), rows[left[same]].mean(axis=0)))
        left = left[~same]
    return found


def nearest_site(row: Array, known: Sequence[Site]) -> tuple[int, float]:
    """Find the local environment most similar to a (D,) descriptor: its index and distance."""
    distances = np.linalg.norm(np.stack([site.descriptor for site in known]) - row, axis=1)
    return int(distances.argmin()), float(distances.min())
