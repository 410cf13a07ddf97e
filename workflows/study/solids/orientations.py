"""Orientations in a polycrystal, by the frames of an autoencoder and by template matching.

The autoencoder gives every environment a frame that rotates with it: two vectors, made right-handed
and orthonormal. What such a vector can be depends on the site symmetry. It is a sum of bonds and of
cross products of bonds, of a polar and an axial part, and must be invariant under the proper
rotations of the site's point group. Three cases are possible. At sites of the point groups 1, m and
-1, which have no proper rotations, the vectors may point anywhere, and the frame is fixed to the
crystal. At sites with a single axis (2, 3, mm2, 3m, -4, ...) both vectors lie along it, and the
frame is fixed up to a rotation about the axis, which thermal motion decides. At all others (those
of cF4-Cu, cI2-W, hP2-Mg, cF8-C) the vectors vanish, and only thermal motion and the choice of the
twentieth neighbor decide. Still, these depend on the crystal: frames prefer some directions to
others, and many together determine an orientation that one does not. Even where symmetry fixes a
frame, how well it withstands thermal motion is up to the network.

One procedure serves all three cases. A crystal in its reference orientation shows how the frames at
each inequivalent site are distributed. The orientation of a particle is the one under which the
frames around it fit that distribution best. Sites are equivalent if proper operations of the space
group map them onto each other. An improper operation changes the sign of a vector's polar part and
not of its axial part, so the frames it relates are not related by any rotation.

The bonds' own directions go through the same procedure, to show what the network adds to them.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from scipy.special import sph_harm_y_all
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from hoomd_gala.errors import InputError
from hoomd_gala.files.models import Model
from hoomd_gala.neighbors.environments import PeriodicTree, scale_bonds
from hoomd_gala.networks import Autoencoder, encode_types
from hoomd_gala.systems import Array, System
from study.solids.polycrystals import Integers, Polycrystal, single_crystal, symmetry
from study.solids.references import DEFAULT_CUTOFF, TEMPLATES, template_matching

Floats = NDArray[np.float32]

#: Fewest particles of the crystal from which distributions are learned.
_N_LEARNED = 2000

#: Highest degree of the spherical harmonics that distributions are expanded in.
_L_MAX = 6

#: Columns of the harmonics of each degree.
_DEGREES = [slice(degree**2 - 1, degree * (degree + 2)) for degree in range(1, _L_MAX + 1)]

#: Angle in degrees whose cube is the volume of rotations for each trial orientation.
_STEP = 5.0


# ---- directions in each environment ----


def harmonics(vectors: Array) -> Floats:
    """Real spherical harmonics, of degrees 1 to 6, of the directions of vectors.

    Parameters
    ----------
    vectors : (..., 3)

    Returns
    -------
    (..., 48) float32
    """
    x, y, z = np.moveaxis(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True), -1, 0)
    values = sph_harm_y_all(_L_MAX, _L_MAX, np.arccos(np.clip(z, -1, 1)), np.arctan2(y, x))
    parts = []
    for degree in range(1, _L_MAX + 1):
        positive = np.sqrt(2) * values[degree, 1 : degree + 1]
        parts += [values[degree, :1].real, positive.real, positive.imag]
    return np.moveaxis(np.concatenate(parts), 0, -1).astype(np.float32)


class Described(NamedTuple):
    """Description of each environment by a method.

    Attributes
    ----------
    directions : (N, d, 48) float32
        Harmonics of d directions that rotate with it.
    summary : (N, D) float32
        Invariant numbers, which distinguish inequivalent sites.
    """

    directions: Floats
    summary: Floats


def describe_by_frames(model: Model, system: System) -> Described:
    """Frames as five directions: the axes, and the diagonals of the first two.

    The first two axes lie symmetrically about the bisector of the network's two vectors. Where
    these are parallel, they fix a diagonal and not an axis.

    Raises
    ------
    InputError
        If the model is not an autoencoder.
    """
    network, info = model.network, model.info
    if not isinstance(network, Autoencoder):
        raise InputError(f"orientations need an autoencoder; this model is trained on {info.task}.")
    bonds = PeriodicTree.build(system.positions, system.box).nearest().bonds
    scaled = torch.as_tensor(scale_bonds(bonds, info.length_scale), dtype=torch.float32)
    blind = torch.zeros(bonds.shape[:2], dtype=torch.int64)
    types = encode_types(blind[:, 0], blind, info.core.max_types)
    axes, summaries = [], []
    with torch.inference_mode():
        for start in range(0, len(scaled), 256):
            batch = scaled[start : start + 256], types[start : start + 256]
            axes.append(network.orientation(*batch))
            summaries.append(network.embed(*batch))
    x, y, z = torch.cat(axes).double().numpy().transpose(1, 0, 2)
    directions = harmonics(np.stack([x, y, z, x + y, x - y], axis=1))
    return Described(directions, torch.cat(summaries).numpy())


def describe_by_bonds(system: System) -> Described:
    """Directions of the bonds, averaged over all of them, and their lengths."""
    bonds = PeriodicTree.build(system.positions, system.box).nearest().bonds
    lengths = np.linalg.norm(bonds, axis=-1).astype(np.float32)
    return Described(harmonics(bonds).mean(axis=1, keepdims=True), lengths)


# ---- orientations ----


def trial_rotations(group: Rotation, seed: int) -> Rotation:
    """Random rotations, the smallest of all that symmetry makes equivalent."""
    # all rotations fill 8 pi^2 where those by a small vector fill the vector's volume
    count = int(8 * np.pi**2 / np.deg2rad(_STEP) ** 3)
    drawn = Rotation.random(count, rng=np.random.default_rng(seed))
    cosines = abs(drawn.as_quat() @ group.as_quat().T)
    return drawn[abs(drawn.as_quat()[:, 3]) >= cosines.max(axis=1) - 1e-9]


def wigner_matrices(rotations: Rotation) -> list[Floats]:
    """Real Wigner D-matrices (t, 2l + 1, 2l + 1) of t rotations, for each degree l.

    Harmonics of rotated vectors are those of the vectors times the matrix.
    """
    # solved for from the harmonics of random points before and after
    points = np.random.default_rng(0).normal(size=(3 * _L_MAX, 3))
    before = harmonics(points)
    after = np.concatenate(
        [
            harmonics(points @ rotations[start : start + 1000].as_matrix().transpose(0, 2, 1))
            for start in range(0, len(rotations), 1000)
        ]
    )
    return [np.linalg.pinv(before[:, part]) @ after[:, :, part] for part in _DEGREES]


def rotate(matrices: list[Floats], means: Floats) -> Floats:
    """Rotate m distributions, given by mean harmonics (m, 48), by t rotations: (t, m, 48)."""
    parts = [means[:, part] @ each for part, each in zip(_DEGREES, matrices, strict=True)]
    return np.concatenate(parts, axis=2)


class Learned(NamedTuple):
    """How directions are distributed in a crystal.

    Attributes
    ----------
    trials : Rotation
        t orientations.
    expected : (t, kinds * d * 48) float32
        Mean harmonics of the d directions at each inequivalent site, for each orientation.
    n_kinds : int
        Number of inequivalent sites.
    classifier : LinearDiscriminantAnalysis or None
        Distinguishes inequivalent sites where there are several.
    """

    trials: Rotation
    expected: Floats
    n_kinds: int
    classifier: Any

    def kinds(self, found: Described) -> Integers:
        """Inequivalent site of each environment, (N,), from invariants."""
        if self.classifier is None:
            return np.zeros(len(found.summary), np.int64)
        return np.asarray(self.classifier.predict(found.summary))

    def orient(self, found: Described, around: Integers) -> Rotation:
        """Best-fitting orientations, each from the environments of (N, n) particles."""
        own = np.eye(self.n_kinds, dtype=np.float32)[self.kinds(found)]
        rows = np.einsum("nk,ndh->nkdh", own, found.directions).reshape(len(own), -1)
        best = [
            (rows[around[start : start + 500]].sum(axis=1) @ self.expected.T).argmax(axis=1)
            for start in range(0, len(rows), 500)
        ]
        return self.trials[np.concatenate(best)]


def learn(
    found: Described, kinds: Integers, group: Rotation, trials: Rotation, matrices: list[Floats]
) -> Learned:
    """Learn from a crystal in its reference orientation.

    Parameters
    ----------
    found : Described
        Its environments.
    kinds : (N,) int64
        Inequivalent site of each particle.
    group : Rotation
        Rotations of its point group.
    trials : Rotation
        Orientations to try.
    matrices : list
        :func:`wigner_matrices` of these.
    """
    n_kinds = int(kinds.max()) + 1
    means = [found.directions[kinds == kind].mean(axis=0) for kind in range(n_kinds)]
    # all that are related by the crystal's rotations are equally likely
    symmetric = rotate(wigner_matrices(group), np.concatenate(means)).mean(axis=0)
    expected = rotate(matrices, symmetric).reshape(len(trials), -1)
    classifier = LinearDiscriminantAnalysis().fit(found.summary, kinds) if n_kinds > 1 else None
    return Learned(trials, expected, n_kinds, classifier)


class Oriented(NamedTuple):
    """Orientation of particles by a method; particles without one are left out.

    Attributes
    ----------
    rows : (m,) int64
        Particles.
    rotation : Rotation
        Orientation of each of these.
    """

    rows: Integers
    rotation: Rotation


def match_templates(sample: Polycrystal) -> Oriented:
    """Orientations by polyhedral template matching with OVITO's default cutoff.

    A template's axes are not those of the unit cell: they are compared in a perfect crystal.
    """

    def match(system: System) -> Oriented:
        found = template_matching(system, DEFAULT_CUTOFF)
        rows = np.flatnonzero(found.label == sample.cell)
        return Oriented(rows, Rotation.from_quat(found.orientation[rows]))

    perfect = match(single_crystal(sample.cell, 1000, 0.0, 0).system)
    found = match(sample.system)
    return Oriented(found.rows, found.rotation * perfect.rotation[0].inv())


def orientations(
    sample: Polycrystal, model: Model, noise: float, around: int, seed: int
) -> dict[str, Oriented]:
    """Orientations by frames, by bonds, and by template matching if it knows the structure.

    Parameters
    ----------
    sample : Polycrystal
        The particles.
    model : Model
        An autoencoder.
    noise : float
        Displacement in the crystal from which distributions are learned.
    around : int
        Nearest neighbors whose environments count for a particle as well.
    seed : int
        Of that crystal and of the trial orientations.
    """
    known = symmetry(sample.cell)
    perfect = single_crystal(sample.cell, _N_LEARNED, noise, seed)
    kinds = known.kinds[perfect.site]
    own = np.arange(len(sample.site))[:, None]
    tree = PeriodicTree.build(sample.system.positions, sample.system.box)
    together = np.hstack([own, tree.nearest(n=around).neighbors])

    trials = trial_rotations(known.group, seed)
    matrices = wigner_matrices(trials)
    methods: dict[str, Callable[[System], Described]] = {
        "frames": lambda system: describe_by_frames(model, system),
        "bonds": describe_by_bonds,
    }
    found = {}
    for method, describe in methods.items():
        learned = learn(describe(perfect.system), kinds, known.group, trials, matrices)
        described = describe(sample.system)
        found[method] = Oriented(own[:, 0], learned.orient(described, own))
        found[f"{method} around"] = Oriented(own[:, 0], learned.orient(described, together))
    if sample.cell in TEMPLATES.values():
        found["PTM"] = match_templates(sample)
    return found
