"""Forces for OpenMM: published many-body potentials of elements, and pair potentials of any form.

Lengths are in Å and energies in eV for elements, otherwise in the potential's own units; OpenMM
takes them as nm and kJ/mol (see :mod:`study.simulation.openmm_units`).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import openmm
from numpy.typing import NDArray

from hoomd_gala.errors import InputError

#: eV per K.
BOLTZMANN = 8.617333e-5


class Interaction(NamedTuple):
    """How particles interact.

    Attributes
    ----------
    forces : callable
        Makes OpenMM's forces between particles of (N,) types.
    cutoff : float
        Range of the forces; boxes have to be twice as wide.
    """

    forces: Callable[[NDArray[np.int64]], list[openmm.Force]]
    cutoff: float


class FinnisSinclair(NamedTuple):
    """Parameters of an element: Finnis and Sinclair, Philos. Mag. A 50, 45 (1984).

    ``a`` and ``energy`` are the lattice constant and the cohesive energy that they were fitted to.
    Pairs that are closer than neighbors in the crystal, at b, also repel each other by
    ``core`` (b - r)³ exp(-``core_decay`` r): hot crystals collapse otherwise (Ackland and Thetford,
    Philos. Mag. A 56, 15 (1987)).
    """

    a: float
    energy: float
    d: float
    A: float
    beta: float
    c: float
    c0: float
    c1: float
    c2: float
    melting: float
    core: float = 0.0
    core_decay: float = 0.0

    @property
    def volume(self) -> float:
        """Volume per atom."""
        return self.a**3 / 2

    @property
    def distance(self) -> float:
        """Distance of nearest neighbors."""
        return self.a * 3**0.5 / 2

    @property
    def ratio(self) -> float:
        """Axial ratio; 0 for cubic crystals."""
        return 0.0


# fmt: off
#: With the erratum, Philos. Mag. A 53, 161 (1986).
FINNIS_SINCLAIR = {
    "V": FinnisSinclair(
        3.0399, 5.31, 3.692767, 2.010637, 0, 3.8,
        -0.8816318, 1.4907756, -0.3976370, 2183, 23.0, 0.5,
    ),
    "Nb": FinnisSinclair(
        3.3008, 7.57, 3.915354, 3.013789, 0, 4.2,
        -1.5640104, 2.0055779, -0.4663764, 2750, 48.0, 0.8,
    ),
    "Ta": FinnisSinclair(
        3.3058, 8.10, 4.076980, 2.591061, 0, 4.2,
        1.2157373, 0.0271471, -0.1217350, 3290, 33.0, 0.54,
    ),
    "Cr": FinnisSinclair(
        2.8845, 4.10, 3.915720, 1.453418, 1.8, 2.9,
        29.1429813, -23.3975027, 4.7578297, 2180,
    ),
    "Mo": FinnisSinclair(
        3.1472, 6.82, 4.114825, 1.887117, 0, 3.25,
        43.4475218, -31.9332978, 6.0804249, 2896, 1223.0, 3.9,
    ),
    "W": FinnisSinclair(
        3.1652, 8.90, 4.400224, 1.896373, 0, 3.25,
        47.1346499, -33.7665655, 6.2541999, 3695, 90.3, 1.2,
    ),
    "Fe": FinnisSinclair(
        2.8665, 4.28, 3.569745, 1.828905, 1.8, 3.40,
        1.2371147, -0.3592185, -0.0385607, 1811,
    ),
}
# fmt: on


class TightBinding(NamedTuple):
    """Parameters of an element: Cleri and Rosato, Phys. Rev. B 48, 22 (1993).

    ``a``, ``ratio`` (c/a, 0 for fcc) and ``energy`` are what they were fitted to; the distance of
    reference is that of nearest neighbors.
    """

    a: float
    ratio: float
    energy: float
    A: float
    xi: float
    p: float
    q: float
    melting: float

    @property
    def volume(self) -> float:
        """Volume per atom."""
        return self.a**3 * (self.ratio * 3**0.5 / 4 if self.ratio else 1 / 4)

    @property
    def distance(self) -> float:
        """Distance of nearest neighbors that the exponentials refer to."""
        return self.a if self.ratio else self.a / 2**0.5


TIGHT_BINDING = {
    "Ni": TightBinding(3.523, 0, 4.435, 0.0376, 1.070, 16.999, 1.189, 1728),
    "Cu": TightBinding(3.615, 0, 3.544, 0.0855, 1.224, 10.960, 2.278, 1358),
    "Rh": TightBinding(3.803, 0, 5.752, 0.0629, 1.660, 18.450, 1.867, 2237),
    "Pd": TightBinding(3.887, 0, 3.936, 0.1746, 1.718, 10.867, 3.742, 1828),
    "Ag": TightBinding(4.085, 0, 2.960, 0.1028, 1.178, 10.928, 3.139, 1235),
    "Ir": TightBinding(3.839, 0, 6.930, 0.1156, 2.289, 16.980, 2.691, 2719),
    "Pt": TightBinding(3.924, 0, 5.853, 0.2975, 2.695, 10.612, 4.004, 2041),
    "Au": TightBinding(4.079, 0, 3.779, 0.2061, 1.790, 10.229, 4.036, 1337),
    "Al": TightBinding(4.050, 0, 3.339, 0.1221, 1.316, 8.612, 2.516, 933),
    "Pb": TightBinding(4.951, 0, 2.040, 0.0980, 0.914, 9.576, 3.648, 601),
    "Ti": TightBinding(2.951, 1.587, 4.853, 0.1519, 1.8112, 8.620, 2.390, 1941),
    "Zr": TightBinding(3.232, 1.593, 6.167, 0.1934, 2.2792, 8.250, 2.249, 2128),
    "Co": TightBinding(2.507, 1.623, 4.386, 0.0950, 1.4880, 11.604, 2.286, 1768),
    "Mg": TightBinding(3.210, 1.624, 1.519, 0.0290, 0.4992, 12.820, 2.257, 923),
    "Cd": TightBinding(2.979, 1.886, 1.166, 0.1420, 0.8117, 10.612, 5.206, 594),
    "Zn": TightBinding(2.665, 1.856, 1.359, 0.1477, 0.8900, 9.689, 4.602, 693),
}

#: Range of the tight-binding exponentials, in units of their distance: fifth neighbors in fcc.
_TIGHT_BINDING_RANGE = 2.4


#: Elements of each kind of potential.
ELEMENTS: dict[str, Mapping[str, Any]] = {
    "Finnis-Sinclair": FINNIS_SINCLAIR,
    "tight binding": TIGHT_BINDING,
}


def _embedding(pair: str, density: str, embedding: str, cutoff: float) -> Interaction:
    """Energy of pairs, and of each particle in the density of the others, as expressions."""

    def forces(types: NDArray[np.int64]) -> list[openmm.Force]:
        force = openmm.CustomGBForce()
        force.setNonbondedMethod(openmm.CustomGBForce.CutoffPeriodic)
        force.setCutoffDistance(cutoff)
        force.addComputedValue("rho", density, openmm.CustomGBForce.ParticlePair)
        force.addEnergyTerm(embedding, openmm.CustomGBForce.SingleParticle)
        force.addEnergyTerm(pair, openmm.CustomGBForce.ParticlePair)
        for _ in types:
            force.addParticle([])
        return [force]

    return Interaction(forces, cutoff)


def finnis_sinclair(symbol: str) -> Interaction:
    """Return the Finnis–Sinclair potential of a bcc element, in Å and eV."""
    it = FINNIS_SINCLAIR[symbol]
    pair = f"step({it.c}-r)*(r-{it.c})^2*({it.c0}+({it.c1})*r+({it.c2})*r^2)"
    b = it.distance
    pair += f"+step({b}-r)*{it.core}*({b}-r)^3*exp(-{it.core_decay}*r)"
    density = f"step({it.d}-r)*((r-{it.d})^2+{it.beta}*(r-{it.d})^3/{it.d})"
    return _embedding(pair, density, f"-{it.A}*sqrt(rho)", max(it.c, it.d))


def tight_binding(symbol: str) -> Interaction:
    """Return the tight-binding potential of an fcc or hcp element, in Å and eV."""
    it = TIGHT_BINDING[symbol]
    pair = f"2*{it.A}*exp(-{it.p}*(r/{it.distance}-1))"
    density = f"exp(-2*{it.q}*(r/{it.distance}-1))"
    return _embedding(pair, density, f"-{it.xi}*sqrt(rho)", _TIGHT_BINDING_RANGE * it.distance)


def stillinger_weber(three_body: float) -> Interaction:
    """Return the Stillinger–Weber potential in its own units of length and energy.

    Parameters
    ----------
    three_body : float
        λ: 21 is silicon (Stillinger and Weber, Phys. Rev. B 31, 5262 (1985)), 23.15 the water
        model mW (Molinero and Moore, J. Phys. Chem. B 113, 4008 (2009)).
    """
    # both vanish at 1.8 with all their derivatives; just below, the exponent is finite
    cutoff = 1.7999

    def forces(types: NDArray[np.int64]) -> list[openmm.Force]:
        two = openmm.CustomNonbondedForce(
            "7.049556277*(0.6022245584*r^-4-1)*exp(1/(min(r,1.7999)-1.8))"
        )
        two.setNonbondedMethod(openmm.CustomNonbondedForce.CutoffPeriodic)
        two.setCutoffDistance(cutoff)
        three = openmm.CustomManyParticleForce(
            3,
            f"{three_body}*exp(1.2/(r12-1.8)+1.2/(r13-1.8))*(cos(theta)+1/3)^2;"
            "r12=min(1.7999,distance(p1,p2)); r13=min(1.7999,distance(p1,p3));"
            "theta=angle(p2,p1,p3)",
        )
        three.setPermutationMode(openmm.CustomManyParticleForce.UniqueCentralParticle)
        three.setNonbondedMethod(openmm.CustomManyParticleForce.CutoffPeriodic)
        three.setCutoffDistance(cutoff)
        for _ in types:
            two.addParticle([])
            three.addParticle([], 0)
        return [two, three]

    return Interaction(forces, cutoff)


def pair(
    expression: str,
    cutoff: float,
    sigma: Sequence[Sequence[float]] = ((1.0,),),
    epsilon: Sequence[Sequence[float]] = ((1.0,),),
) -> Interaction:
    """Return a truncated pair potential.

    Parameters
    ----------
    expression : str
        Energy as a function of ``x``, the distance in units of ``sigma``, in OpenMM's syntax.
    cutoff : float
        Largest ``x``.
    sigma, epsilon : (n_types, n_types)
        Lengths and energies of each pair of types.
    """
    reach = cutoff * float(np.max(sigma))

    def forces(types: NDArray[np.int64]) -> list[openmm.Force]:
        energy = f"epsilon(t1,t2)*step({cutoff}-x)*({expression}); x=r/sigma(t1,t2)"
        return [_typed_pairs(energy, reach, {"sigma": sigma, "epsilon": epsilon}, types)]

    return Interaction(forces, reach)


def _typed_pairs(
    energy: str,
    cutoff: float,
    tables: Mapping[str, Sequence[Sequence[float]]],
    types: NDArray[np.int64],
) -> openmm.CustomNonbondedForce:
    """Make a pair force whose parameters are looked up in a table for each pair of types."""
    force = openmm.CustomNonbondedForce(energy)
    for name, table in tables.items():
        values = np.array(table, float)
        force.addTabulatedFunction(
            name, openmm.Discrete2DFunction(*values.shape, values.ravel().tolist())
        )
    force.addPerParticleParameter("t")
    force.setNonbondedMethod(openmm.CustomNonbondedForce.CutoffPeriodic)
    force.setCutoffDistance(cutoff)
    for kind in types:
        force.addParticle([float(kind)])
    return force


def screened_ions(
    sigma: Sequence[Sequence[float]], charges: Sequence[float], cutoff: float, screening: float
) -> Interaction:
    """Return ions with screened charges, and repulsion as r⁻⁹, in reduced units.

    Of two opposite charges alone, the energy would be least about where they touch.

    Parameters
    ----------
    sigma : (n_types, n_types)
        Distance at which each pair of types touches.
    charges : (n_types,)
        Of each type; the energy of two at distance r is their product times exp(κ (1 - r)) / r.
    cutoff, screening : float
        Largest distance, and κ.
    """
    tables = {"sigma": sigma, "charge": [[one * other for other in charges] for one in charges]}
    energy = (
        f"charge(t1,t2)*exp({screening}*(1-r))/r"
        f"+abs(charge(t1,t2))*{(1 + screening) / 9}*(sigma(t1,t2)/r)^9"
    )

    def forces(types: NDArray[np.int64]) -> list[openmm.Force]:
        return [_typed_pairs(energy, cutoff, tables, types)]

    return Interaction(forces, cutoff)


#: Coulomb's constant in eV Å, and in the units that OpenMM has for charges.
_COULOMB, _OPENMM_COULOMB = 14.3996, 138.935456


def sodium_chloride() -> Interaction:
    """Return the Tosi–Fumi potential of Na+ (type 0) and Cl- (type 1), in Å and eV.

    Fumi and Tosi, J. Phys. Chem. Solids 25, 31 (1964), with charges by particle mesh Ewald.
    """
    cutoff = 8.0
    tables = {
        "A": [[0.2637, 0.2110], [0.2110, 0.1582]],
        "S": [[2.340, 2.755], [2.755, 3.170]],
        "C": [[1.049, 6.991], [6.991, 72.40]],
        "D": [[0.499, 8.676], [8.676, 145.4]],
    }
    # the last term, negligible in the liquid, keeps ions out of where the attraction diverges
    energy = "A(t1,t2)*exp((S(t1,t2)-r)/0.317)-C(t1,t2)/r^6-D(t1,t2)/r^8+(1.9/r)^14"

    def forces(types: NDArray[np.int64]) -> list[openmm.Force]:
        charges = openmm.NonbondedForce()
        charges.setNonbondedMethod(openmm.NonbondedForce.PME)
        charges.setCutoffDistance(cutoff)
        for kind in types:
            sign = 1 if kind == 0 else -1
            charges.addParticle(sign * (_COULOMB / _OPENMM_COULOMB) ** 0.5, 1.0, 0.0)
        return [_typed_pairs(energy, cutoff, tables, types), charges]

    return Interaction(forces, cutoff)


_MAKERS: dict[str, Callable[..., Interaction]] = {
    "Finnis-Sinclair": finnis_sinclair,
    "tight binding": tight_binding,
    "Stillinger-Weber": stillinger_weber,
    "pair": pair,
    "screened ions": screened_ions,
    "sodium chloride": sodium_chloride,
}


def interaction(parameters: Mapping[str, Any]) -> Interaction:
    """Make an interaction from its ``form`` and the parameters that this takes.

    Raises
    ------
    InputError
        If there is no such form.
    """
    rest = dict(parameters)
    form = rest.pop("form")
    if form not in _MAKERS:
        raise InputError(f"there is no interaction {form!r}; there are {', '.join(_MAKERS)}.")
    return _MAKERS[form](**rest)
