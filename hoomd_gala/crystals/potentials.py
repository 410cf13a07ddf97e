"""Isotropic pair potentials whose particles assemble into crystals, and elastic networks.

Both families of pair potentials are from Dshemuchadse et al., PNAS 118, e2024034118 (2021),
scaled here to a depth of 1. Lengths are in units of the potential's own length, energies in units
of the depth.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, partial

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.signal import argrelextrema

from ..errors import InputError
from ..systems import Array

#: Pairs closer than this do not occur at the temperatures simulated; tables start here.
R_MIN = 0.5

#: Energy and force at some distances, before truncation.
_Form = Callable[[Array], tuple[Array, Array]]


@dataclass(frozen=True)
class PairPotential:
    """A truncated pair potential; :func:`opp` and :func:`ljg` make one.

    Attributes
    ----------
    name : str
        Name with parameters, as in figures and tables.
    expression : str
        Energy as a function of ``r`` in OpenMM's syntax, but for the power, which is written
        ``**`` here and ``^`` there.
    r_cut : float
        Distance from which pairs do not interact.
    form : callable
        Energy and force at (n,) distances, not truncated.
    """

    name: str
    expression: str
    r_cut: float
    form: _Form = field(repr=False, compare=False)

    def energy(self, r: ArrayLike) -> Array:
        """Energy of pairs at the distances ``r``, of any shape; 0 from ``r_cut`` on."""
        return self._truncated(r)[0]

    def force(self, r: ArrayLike) -> Array:
        """Force -dU/dr of pairs at the distances ``r``, of any shape; 0 from ``r_cut`` on."""
        return self._truncated(r)[1]

    def _truncated(self, r: ArrayLike) -> tuple[Array, Array]:
        distance = np.asarray(r, np.float64)
        inside = distance < self.r_cut
        energy, force = np.zeros(distance.shape), np.zeros(distance.shape)
        energy[inside], force[inside] = self.form(distance[inside])
        return energy, force

    def table(self, width: int) -> tuple[Array, Array, Array]:
        """Distances from R_MIN up to, not including, r_cut; energy and force at these, (width,)."""
        r = np.linspace(R_MIN, self.r_cut, width, endpoint=False)
        return r, *self.form(r)


@dataclass(frozen=True)
class Springs:
    """An elastic network: springs between pairs of particles.

    Attributes
    ----------
    pairs : (n, 2) int64
        Particles at the ends of each spring.
    lengths : (n,) float64
        Rest lengths.
    stiffness : float
        Second derivative k of the energy k (r - length)² / 2.
    """

    pairs: NDArray[np.int64]
    lengths: NDArray[np.float64]
    stiffness: float


def _opp(r: Array, k: float, phi: float, depth: float) -> tuple[Array, Array]:
    """Energy and force of the oscillating pair potential divided by a depth."""
    phase = k * r + round(phi - k, 12)
    energy = r**-15.0 + np.cos(phase) / r**3
    force = 15 * r**-16.0 + k * np.sin(phase) / r**3 + 3 * np.cos(phase) / r**4
    return energy / depth, force / depth


def _ljg(r: Array, epsilon: float, r0: float, depth: float) -> tuple[Array, Array]:
    """Energy and force of the Lennard-Jones–Gauss potential divided by a depth."""
    well = epsilon * np.exp(-25.0 * (r - r0) ** 2)
    energy = -well - 2 / r**6 + r**-12.0
    force = 12 * r**-13.0 - 12 / r**7 - 50.0 * (r - r0) * well
    return energy / depth, force / depth


#: Number of distances at which extrema are looked for.
_FINEST = 100_001


@lru_cache(typed=True)
def opp(k: float, phi: float) -> PairPotential:
    """Oscillating pair potential, cut at the first maximum after its second attractive minimum.

    Parameters
    ----------
    k : float
        Wave number of the oscillation.
    phi : float
        Its phase at r = 1.

    Raises
    ------
    InputError
        If there is no second attractive minimum.
    """
    expression = f"r**-15 + cos({k!r}*(r - 1) + {phi!r})*r**-3"
    r = np.linspace(0.6, 6.0, _FINEST)
    energy, _ = _opp(r, k, phi, 1.0)
    minima = argrelextrema(energy, np.less)[0]
    attractive = minima[energy[minima] < 0]
    if len(attractive) < 2:
        raise InputError(f"OPP with k = {k}, phi = {phi} has no second attractive minimum.")
    maxima = argrelextrema(energy, np.greater)[0]
    beyond = r[maxima[maxima > attractive[1]]]
    if not len(beyond):
        # of slow oscillations: at most half a period farther
        farther = np.arange(6.0, 6.0 + 2 * np.pi / k, r[1] - r[0])
        beyond = farther[argrelextrema(_opp(farther, k, phi, 1.0)[0], np.greater)[0]]
    cut = float(beyond[0])
    depth = float(-energy[r <= cut].min())
    return PairPotential(
        f"OPP k={k:g} phi={phi:g}",
        f"({expression})/{depth!r}",
        cut,
        partial(_opp, k=k, phi=phi, depth=depth),
    )


@lru_cache(typed=True)
def ljg(epsilon: float, r0: float) -> PairPotential:
    """Lennard-Jones–Gauss potential, cut at 2.5; ``epsilon = 0`` is Lennard-Jones.

    Parameters
    ----------
    epsilon : float
        Depth of the Gaussian well.
    r0 : float
        Its position.
    """
    expression = f"r**-12 - 2*r**-6 - {epsilon!r}*exp(-(r - {r0!r})**2/0.04)"
    energy, _ = _ljg(np.linspace(0.6, 2.5, _FINEST), epsilon, r0, 1.0)
    depth = float(-energy.min())
    return PairPotential(
        f"LJG epsilon={epsilon:g} r0={r0:g}" if epsilon else "Lennard-Jones",
        f"({expression})/{depth!r}",
        2.5,
        partial(_ljg, epsilon=epsilon, r0=r0, depth=depth),
    )
