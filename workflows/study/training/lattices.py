"""Which lattices are one under strain: crystals with one particle per primitive cell.

A lattice that is found distorted has the name of the lattice that it is a distortion of. How far
two lattices are apart is the homogeneous strain that takes one into the other.
"""

import itertools
from collections.abc import Mapping

import numpy as np

from hoomd_gala.crystals.prototypes import UnitCell
from hoomd_gala.systems import Array, lattice_vectors

#: Lattices whose principal stretches differ by no more than this, one way or the other, are one.
LARGEST_STRAIN = 0.12
#: Lattices without a name of their own that are no farther than this from one with a name are
#: examples of neither.
AMBIGUOUS_STRAIN = 0.2

#: How far off a particle may be, in units of the cube root of the volume per cell.
_TOLERANCE = 0.02


def primitive_vectors(cell: UnitCell) -> Array | None:
    """Short lattice vectors (3, 3) of a crystal, as rows, regardless of types.

    None if it has more than one particle per primitive cell.
    """
    positions, lattice = cell.system.positions, lattice_vectors(cell.system.box)
    fractional = positions @ np.linalg.inv(lattice)
    volume = abs(np.linalg.det(lattice))
    shifts = fractional - fractional[0]
    for shift in shifts:
        apart = (fractional + shift)[:, None] - fractional
        apart = np.linalg.norm((apart - np.round(apart)) @ lattice, axis=-1)
        if apart.min(axis=-1).max() > _TOLERANCE * np.cbrt(volume):
            return None  # it does not repeat the crystal
    images = np.array(list(itertools.product((-1, 0, 1), repeat=3)))
    vectors = (shifts[:, None] + images).reshape(-1, 3) @ lattice
    lengths = np.linalg.norm(vectors, axis=1)
    nearest = vectors[np.argsort(lengths)][(lengths < _TOLERANCE).sum() :][:40]
    for three in itertools.combinations(nearest, 3):
        found = np.array(three)
        if np.isclose(abs(np.linalg.det(found)), volume / len(positions), rtol=0.1):
            return found
    return None


def nearest_lattice(lattice: Array, known: Mapping[int, Array]) -> tuple[int, float]:
    """Find the known lattice that takes the least strain: its key, and the strain.

    Of none, the key is -1 and the strain infinite.
    """
    strains = {key: strain_between(own, lattice) for key, own in known.items()}
    key = min(strains, key=strains.__getitem__, default=-1)
    return key, strains.get(key, np.inf)


def strain_between(first: Array, second: Array) -> float:
    """Least strain that takes one lattice (3, 3) into another, whatever their sizes.

    Half of the logarithm of the ratio of the largest to the least principal stretch, minus 1 after
    exponentiation: with stretches from 0.9 to 1.1, about 0.1.
    """
    bases = np.array(list(itertools.product((-1, 0, 1), repeat=9))).reshape(-1, 3, 3)
    bases = bases[np.abs(np.round(np.linalg.det(bases))) == 1]
    stretches = np.linalg.svd(np.linalg.inv(first) @ (bases @ second), compute_uv=False)
    return float(np.sqrt((stretches[:, 0] / stretches[:, -1]).min()) - 1)
