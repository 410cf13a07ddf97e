"""Distinct local environments in crystals: which particles of which unit cells share one.

Types are ignored, so that the two sites of cP2-ClCs have one local environment, the same as that
of cI2-W. Nothing here is learned: environments are compared by a smooth descriptor, which does not
depend on which of several equally distant particles counts as the twentieth neighbor.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import sph_harm_y

from ..neighbors.environments import N_NEIGHBORS, PeriodicTree
from ..systems import Array, System
from .prototypes import UnitCell, crystal, unit_cell

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
    bonds = tree.nearest(particles, n=_CANDIDATES).bonds
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
    upper = np.triu_indices(_N_RADIAL)
    parts = []
    for degree in range(_L_MAX + 1):
        orders = np.arange(-degree, degree + 1)
        harmonics = sph_harm_y(degree, orders, polar[..., None], azimuth[..., None])
        coefficients = np.einsum("pjn,pjm->pnm", radial, harmonics)
        power = np.einsum("pnm,pkm->pnk", coefficients, coefficients.conj()).real
        parts.append(power[:, *upper] / np.sqrt(2 * degree + 1))
    flat = np.concatenate(parts, axis=1)
    normalized: Array = flat / np.linalg.norm(flat, axis=1, keepdims=True)
    return normalized


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


def sites_of(cell: UnitCell) -> list[Site]:
    """Find the distinct local environments of a unit cell, without regard to symmetry and types."""
    grown = crystal(cell, 512)
    count = len(cell.system.positions)
    rows = descriptors(grown, np.arange(count))
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
