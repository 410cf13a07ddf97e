"""Orientations in a polycrystal, by the frames of an autoencoder and by template matching.

The autoencoder turns every environment into a frame that turns along with it: two vectors, made
right-handed and orthonormal. What such a vector can be is a matter of the site's symmetry. It is a
sum of bonds and of cross products of bonds, of a polar and an axial part, and must stay as it is
under the proper rotations of the site's point group. Three things are possible. At sites of the
point groups 1, m and -1, which have none, the vectors may point anywhere, and the frame is fixed to
the crystal. At sites with a single axis (2, 3, mm2, 3m, -4, ...) both vectors lie along it, so that
the frame is fixed but for a turn about the axis, which is left to heat. At all others (those of
cF4-Cu, cI2-W, hP2-Mg, cF8-C) the vectors vanish, and only heat and the choice of the twentieth
neighbor decide. But these know of the crystal, too: frames prefer some directions of it to others,
and many together tell an orientation that one does not. Where symmetry fixes a frame, it is still
up to the network how much heat it bears.

One procedure serves all three. From a crystal that is not turned it is learned how the frames of
each kind of site are distributed; the orientation of a particle is the one under which the frames
around it fit that distribution best. Sites are of one kind if proper operations of the space group
take them into each other. An improper one changes the sign of a vector's polar part and not of its
axial part, and so makes a frame that no rotation of the crystal makes of the first.

The bonds' own directions go through the same procedure, to tell what the network adds to them.
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

#: Particles, at least, of the crystal that distributions are learned from.
_N_LEARNED = 2000

#: Highest degree of the spherical harmonics that distributions are expanded in.
_L_MAX = 6

#: Where the harmonics of each degree stand.
_DEGREES = [slice(degree**2 - 1, degree * (degree + 2)) for degree in range(1, _L_MAX + 1)]

#: Angle in degrees whose cube is the share of each orientation that is tried.
_STEP = 5.0


# ---- what orientations are read from ----


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
    """What a method makes of each environment.

    Attributes
    ----------
    directions : (N, d, 48) float32
        Harmonics of d directions that turn with it.
    summary : (N, D) float32
        Numbers that do not turn, which tell kinds of sites apart.
    """

    directions: Floats
    summary: Floats


def describe_by_frames(model: Model, system: System) -> Described:
    """Frames as five directions: the axes, and the diagonals of the first two.

    The first two axes lie evenly about the bisector of the network's two vectors, so that where
    these are parallel it is a diagonal that they fix, and not an axis.
    """
    network, info = model.network, model.info
    if not isinstance(network, Autoencoder):
        raise InputError(f"the model is trained on {info.task}; orientations take an autoencoder.")
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
    """The directions of the bonds, all alike, and their lengths."""
    bonds = PeriodicTree.build(system.positions, system.box).nearest().bonds
    lengths = np.linalg.norm(bonds, axis=-1).astype(np.float32)
    return Described(harmonics(bonds).mean(axis=1, keepdims=True), lengths)


# ---- orientations ----


def trial_rotations(group: Rotation, seed: int) -> Rotation:
    """Random rotations, of all that a symmetry makes equivalent the smallest."""
    # all rotations fill 8 pi^2 where those by a small vector fill the vector's volume
    count = int(8 * np.pi**2 / np.deg2rad(_STEP) ** 3)
    drawn = Rotation.random(count, rng=np.random.default_rng(seed))
    cosines = abs(drawn.as_quat() @ group.as_quat().T)
    return drawn[abs(drawn.as_quat()[:, 3]) >= cosines.max(axis=1) - 1e-9]


def turning(turns: Rotation) -> list[Floats]:
    """Matrices (t, 2l + 1, 2l + 1) that harmonics of each degree are multiplied by when turned."""
    # of each degree, harmonics of turned points are those of the points times the matrix
    points = np.random.default_rng(0).normal(size=(3 * _L_MAX, 3))
    before = harmonics(points)
    after = np.concatenate(
        [
            harmonics(points @ turns[start : start + 1000].as_matrix().transpose(0, 2, 1))
            for start in range(0, len(turns), 1000)
        ]
    )
    return [np.linalg.pinv(before[:, part]) @ after[:, :, part] for part in _DEGREES]


def turn(matrices: list[Floats], means: Floats) -> Floats:
    """Mean harmonics (m, 48) of distributions after each of t rotations, (t, m, 48)."""
    parts = [means[:, part] @ each for part, each in zip(_DEGREES, matrices, strict=True)]
    return np.concatenate(parts, axis=2)


class Learned(NamedTuple):
    """How directions are distributed in a crystal.

    Attributes
    ----------
    turns : Rotation
        t orientations.
    expected : (t, kinds * d * 48) float32
        Mean harmonics of the d directions at each kind of site under each.
    n_kinds : int
        Kinds of sites.
    classifier : LinearDiscriminantAnalysis or None
        Tells kinds apart where there are several.
    """

    turns: Rotation
    expected: Floats
    n_kinds: int
    classifier: Any

    def kinds(self, found: Described) -> Integers:
        """Kind of each environment's site, (N,), from what does not turn."""
        if self.classifier is None:
            return np.zeros(len(found.summary), np.int64)
        return np.asarray(self.classifier.predict(found.summary))

    def orient(self, found: Described, around: Integers) -> Rotation:
        """Orientations under which directions fit best, taking (N, n) particles for each."""
        own = np.eye(self.n_kinds, dtype=np.float32)[self.kinds(found)]
        rows = np.einsum("nk,ndh->nkdh", own, found.directions).reshape(len(own), -1)
        best = [
            (rows[around[start : start + 500]].sum(axis=1) @ self.expected.T).argmax(axis=1)
            for start in range(0, len(rows), 500)
        ]
        return self.turns[np.concatenate(best)]


def learn(
    found: Described, kinds: Integers, group: Rotation, turns: Rotation, matrices: list[Floats]
) -> Learned:
    """Learn from a crystal that is not turned.

    Parameters
    ----------
    found : Described
        Its environments.
    kinds : (N,) int64
        Kind of each site.
    group : Rotation
        Rotations of its point group.
    turns : Rotation
        Orientations that are to be tried.
    matrices : list
        :func:`turning` of these.
    """
    n_kinds = int(kinds.max()) + 1
    means = [found.directions[kinds == kind].mean(axis=0) for kind in range(n_kinds)]
    # what the crystal's rotations make of it is as likely
    symmetric = turn(turning(group), np.concatenate(means)).mean(axis=0)
    expected = turn(matrices, symmetric).reshape(len(turns), -1)
    classifier = LinearDiscriminantAnalysis().fit(found.summary, kinds) if n_kinds > 1 else None
    return Learned(turns, expected, n_kinds, classifier)


class Oriented(NamedTuple):
    """Orientation of particles by a method; particles without one are left out.

    Attributes
    ----------
    rows : (m,) int64
        Particles.
    turned : Rotation
        Orientation of each of these.
    """

    rows: Integers
    turned: Rotation


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
    return Oriented(found.rows, found.turned * perfect.turned[0].inv())


def orientations(
    sample: Polycrystal, model: Model, noise: float, around: int, seed: int
) -> dict[str, Oriented]:
    """Orientations by frames, by bonds, and by template matching if it knows the structure.

    Parameters
    ----------
    sample : Polycrystal
        Whose orientations are looked for.
    model : Model
        An autoencoder.
    noise : float
        Displacement in the crystal that is learned from.
    around : int
        Nearest neighbors that tell the orientation of a particle along with it.
    seed : int
        Of that crystal and of the orientations that are tried.
    """
    known = symmetry(sample.cell)
    perfect = single_crystal(sample.cell, _N_LEARNED, noise, seed)
    kinds = known.kinds[perfect.site]
    own = np.arange(len(sample.site))[:, None]
    tree = PeriodicTree.build(sample.system.positions, sample.system.box)
    together = np.hstack([own, tree.nearest(n=around).neighbors])

    turns = trial_rotations(known.group, seed)
    matrices = turning(turns)
    methods: dict[str, Callable[[System], Described]] = {
        "frames": lambda system: describe_by_frames(model, system),
        "bonds": describe_by_bonds,
    }
    found = {}
    for method, describe in methods.items():
        learned = learn(describe(perfect.system), kinds, known.group, turns, matrices)
        described = describe(sample.system)
        found[method] = Oriented(own[:, 0], learned.orient(described, own))
        found[f"{method} around"] = Oriented(own[:, 0], learned.orient(described, together))
    if sample.cell in TEMPLATES.values():
        found["PTM"] = match_templates(sample)
    return found
