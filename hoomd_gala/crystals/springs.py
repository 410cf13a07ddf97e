"""Correlated thermal displacements of a crystal of any structure, from random springs.

Neighbors in a crystal move together. How much depends on the forces: where bonds are stiff and
everything else is soft, whole rows of particles slide past each other while distances hardly
change, which looks nothing like independent displacements of the same size. So every sample gets
springs of its own, from stiff bonds alone to isotropic forces.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator, cg

from ..neighbors.environments import PeriodicTree
from ..systems import Array, System

#: Neighbors that each particle is bonded to: two shells of bcc.
_N_SPRINGS = 14

#: Ranges of random parameters of a sample: the exponent with which the stiffness falls with the
#: distance, the stiffness across a bond in units of that along it, and that of on-site springs.
_POWER, _ACROSS, _ON_SITE = (2.0, 30.0), (0.0003, 0.3), (0.0003, 0.1)
#: Range of the share of long-wavelength displacements that is added.
_SMOOTH = (0.0, 0.6)

#: Relative tolerance of the displacements.
_TOLERANCE = 0.02


def _scatter(bonds: Array, ends: NDArray[np.int64]) -> Array:
    """Add the vector of each bond to its first particle, and subtract it from its second.

    Parameters
    ----------
    bonds : (N, n, 3)
        A vector for each bond.
    ends : (N, n) int
        The second particle of each.

    Returns
    -------
    (N, 3)
    """
    total: Array = bonds.sum(axis=1)
    flat, where = bonds.reshape(-1, 3), ends.ravel()
    for axis in range(3):
        total[:, axis] -= np.bincount(where, flat[:, axis], minlength=len(total))
    return total


def displace_together(system: System, noise: float, rng: np.random.Generator) -> System:
    """Thermal displacements of particles that are bonded by random springs.

    Displacements u of a network of springs with stiffness matrix K are Gaussian with covariance
    K⁻¹. With random forces f of covariance K, one Gaussian number for each spring and direction,
    K⁻¹f is such a displacement (Papandreou and Yuille, NIPS 2010).

    Parameters
    ----------
    system : System
        A crystal without displacements, with shortest distance about 1; it may be strained or
        cut.
    noise : float
        Root-mean-square displacement in each direction.
    rng : numpy.random.Generator
        Of springs and displacements.

    Returns
    -------
    System
        The displaced crystal.
    """
    found = PeriodicTree.build(system.positions, system.box).nearest(n=_N_SPRINGS)
    lengths = np.linalg.norm(found.bonds, axis=-1, keepdims=True)
    along = found.bonds / lengths
    stiffness = lengths ** -rng.uniform(*_POWER)
    stiffness /= stiffness.sum(axis=1).mean()
    across = np.exp(rng.uniform(*np.log(_ACROSS)))
    on_site = np.exp(rng.uniform(*np.log(_ON_SITE)))

    def parts(vectors: Array, strength: float) -> Array:
        """Vectors (N, n, 3) with their components across the bonds scaled by ``strength``."""
        parallel = along * (along * vectors).sum(axis=-1, keepdims=True)
        return np.asarray(parallel + strength * (vectors - parallel))

    def force(flat: Array) -> Array:
        u = flat.reshape(-1, 3)
        stretched = u[:, None] - u[found.neighbors]
        pull = _scatter(stiffness * parts(stretched, across), found.neighbors)
        return np.asarray((on_site * u + pull).ravel())

    kicks = np.sqrt(stiffness) * parts(rng.normal(size=found.bonds.shape), np.sqrt(across))
    forces = _scatter(kicks, found.neighbors)
    forces += np.sqrt(on_site) * rng.normal(size=forces.shape)
    matrix = LinearOperator((forces.size, forces.size), matvec=force, dtype=np.float64)
    thermal, smooth = (
        _normalized(cg(matrix, right.ravel(), rtol=_TOLERANCE, maxiter=200)[0].reshape(-1, 3))
        for right in (forces, rng.normal(size=forces.shape))
    )
    shifts = noise * _normalized(thermal + rng.uniform(*_SMOOTH) * smooth)
    return system._replace(positions=system.positions + shifts)


def _normalized(shifts: Array) -> Array:
    """Displacements without the motion of the whole, scaled to a root mean square of 1."""
    shifts = shifts - shifts.mean(axis=0)
    return np.asarray(shifts / np.sqrt((shifts**2).mean()))
