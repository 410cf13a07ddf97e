"""Isotropic pair potentials whose particles assemble into crystals, and springs that hold them.

Both families of pair potentials are those of Dshemuchadse et al., PNAS 118, e2024034118 (2021),
here scaled so that the deepest point of the potential lies at -1. Lengths are in units of the
potential's own length, energies in units of the depth.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy
from numpy.typing import NDArray
from scipy.signal import argrelextrema

#: Pairs closer than this do not occur at the temperatures simulated; tables start here.
R_MIN = 0.5

_R = sympy.Symbol("r", positive=True)


@dataclass(frozen=True)
class PairPotential:
    """A truncated pair potential.

    Attributes
    ----------
    name : str
        For people, with its parameters.
    expression : str
        Energy as a function of ``r``, in the syntax that Python, SymPy and OpenMM share but for
        the power, written ``**`` here and ``^`` in OpenMM.
    r_cut : float
        Pairs beyond do not interact.
    """

    name: str
    expression: str
    r_cut: float

    def table(self, width: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Energy and force at ``width`` distances from R_MIN up to, not including, r_cut."""
        r = np.linspace(R_MIN, self.r_cut, width, endpoint=False)
        energy = sympy.sympify(self.expression, locals={"r": _R})
        force = -sympy.diff(energy, _R)
        return sympy.lambdify(_R, energy)(r), sympy.lambdify(_R, force)(r)


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


def _samples(expression: str, r_max: float) -> tuple[NDArray[Any], NDArray[Any]]:
    r = np.linspace(0.6, r_max, 100_001)
    return r, sympy.lambdify(_R, sympy.sympify(expression, locals={"r": _R}))(r)


def opp(k: float, phi: float) -> PairPotential:
    """Oscillating pair potential, cut at the first maximum after its second attractive minimum.

    Parameters
    ----------
    k : float
        Wave number of the oscillation.
    phi : float
        Its phase at r = 1.
    """
    expression = f"r**-15 + cos({k!r}*(r - 1) + {phi!r})*r**-3"
    r, energy = _samples(expression, r_max=6.0)
    minima = argrelextrema(energy, np.less)[0]
    attractive = minima[energy[minima] < 0]
    if len(attractive) < 2:
        raise ValueError(f"OPP with k = {k}, phi = {phi} has no second attractive minimum")
    maxima = argrelextrema(energy, np.greater)[0]
    cut = r[maxima[maxima > attractive[1]][0]]
    depth = -energy[r <= cut].min()
    return PairPotential(f"OPP k={k:g} phi={phi:g}", f"({expression})/{float(depth)!r}", float(cut))


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
    _, energy = _samples(expression, r_max=2.5)
    return PairPotential(
        f"LJG epsilon={epsilon:g} r0={r0:g}" if epsilon else "Lennard-Jones",
        f"({expression})/{float(-energy.min())!r}",
        2.5,
    )
