"""Grains of a polycrystal, by the frames of an autoencoder and by template matching.

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

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from analysis import matplotlib, plt, save_figure
from measures import area_under_roc
from numpy.typing import NDArray
from ovito.modifiers import PolyhedralTemplateMatchingModifier
from references import TEMPLATES, ovito_data
from scipy.sparse import csr_array
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation
from scipy.special import sph_harm_y_all
from sklearn.cluster import DBSCAN
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import adjusted_rand_score

from hoomd_gala.environments import PeriodicTree, scale_bonds
from hoomd_gala.errors import InputError
from hoomd_gala.models import Model
from hoomd_gala.networks import Autoencoder, encode_types
from hoomd_gala.structures import crystal, displace, unit_cell
from hoomd_gala.systems import Array, System, lattice_vectors

Integers = NDArray[np.int64]
Floats = NDArray[np.float32]

#: Particles of different grains that come closer than this are one.
_TOO_CLOSE = 0.75

#: Distance, in units of the cube root of the volume per particle, within which a symmetry takes a
#: particle onto another: coordinates in the database are rounded.
_ONTO = 0.03

#: Particles, at least, of the crystal that distributions are learned from.
_N_LEARNED = 2000

#: Highest degree of the spherical harmonics that distributions are expanded in.
_L_MAX = 6

#: Where the harmonics of each degree stand.
_DEGREES = [slice(degree**2 - 1, degree * (degree + 2)) for degree in range(1, _L_MAX + 1)]

#: Angle in degrees whose cube is the share of each orientation that is tried.
_STEP = 5.0

#: Degrees that orientations of the same grain differ by at most.
_SAME = 10.0

#: Of 20 neighbors, those that have to agree with a particle for it to pass its grain on to them.
_AGREEING = 12

#: Pairs of particles whose orientations are compared.
_N_PAIRS = 20_000


# ---- symmetry ----


class Symmetry(NamedTuple):
    """Proper rotations of a unit cell, types ignored.

    Attributes
    ----------
    group : Rotation
        Rotations of the crystal's point group.
    kinds : (n,) int64
        Kind of each site of the cell, from 0.
    freedom : tuple of int
        For each kind, dimensions of what an equivariant vector can be there: 3, 1 or 0.
    """

    group: Rotation
    kinds: Integers
    freedom: tuple[int, ...]


def symmetry(cell: str) -> Symmetry:
    """Find the proper operations of a unit cell's space group.

    Isometries of the lattice are matrices of -1, 0 and 1 in the basis of a conventional cell; each
    is tried with all translations that take the first particle onto one.
    """
    positions, box, _ = unit_cell(cell).system
    lattice = lattice_vectors(box)
    inverse = np.linalg.inv(lattice)
    fractional = positions @ inverse
    size = np.cbrt(np.linalg.det(lattice) / len(positions))
    candidates = np.array(list(itertools.product((-1, 0, 1), repeat=9))).reshape(-1, 3, 3)
    metric = lattice @ lattice.T
    strain = abs(candidates @ metric @ candidates.transpose(0, 2, 1) - metric).max(axis=(1, 2))
    proper = np.linalg.det(candidates) > 0
    turns, onto = [], []
    for candidate in candidates[proper & (strain < _ONTO * metric.diagonal().min())]:
        image = fractional @ candidate
        for shift in fractional - image[0]:
            apart = (image + shift)[:, None] - fractional
            distances = np.linalg.norm((apart - np.round(apart)) @ lattice, axis=-1)
            if (distances.min(axis=1) < _ONTO * size).all():
                turns.append((inverse @ candidate @ lattice).T)
                onto.append(distances.argmin(axis=1))
    matrices, targets = np.array(turns), np.array(onto)
    _, first, kinds = np.unique(targets.min(axis=0), return_index=True, return_inverse=True)
    fixed = [matrices[targets[:, site] == site].mean(axis=0) for site in first]
    # translations make the same rotation appear several times
    _, distinct = np.unique(np.round(matrices, 2), axis=0, return_index=True)
    return Symmetry(
        Rotation.from_matrix(matrices[distinct]),
        kinds.astype(np.int64),
        tuple(int(np.linalg.matrix_rank(matrix, tol=0.1)) for matrix in fixed),
    )


def misorientation(first: Rotation, second: Rotation, group: Rotation) -> Array:
    """Smallest angle in degrees between orientations, as a crystal's rotations leave it open.

    Parameters
    ----------
    first, second : Rotation
        Orientations, which take the crystal's axes to the laboratory's; m of them each.
    group : Rotation
        Rotations of the crystal's point group.

    Returns
    -------
    (m,) float64
    """
    # the product of a group's quaternion with another has their dot product for its scalar part,
    # but for inverses, which are in the group as well; it is the cosine of half the angle
    between = (first.inv() * second).as_quat()
    cosines = abs(between @ group.as_quat().T).max(axis=1)
    return np.rad2deg(2 * np.arccos(np.minimum(cosines, 1)))


# ---- the sample ----


class Polycrystal(NamedTuple):
    """A crystal of several grains.

    Attributes
    ----------
    cell : str
        Unit cell.
    system : System
        Particles, the shortest distance about 1.
    site : (N,) int64
        Particle of the unit cell that each is a copy of.
    grain : (N,) int64
        Grain of each.
    turned : Rotation
        Orientation of each grain: what takes the unit cell's axes to its own.
    """

    cell: str
    system: System
    site: Integers
    grain: Integers
    turned: Rotation

    @property
    def truth(self) -> Rotation:
        """Orientation of each particle."""
        return self.turned[self.grain]


def single_crystal(cell: str, n_particles: int, noise: float, seed: int) -> Polycrystal:
    """A polycrystal of one grain that is not turned."""
    system = crystal(unit_cell(cell), n_particles)
    total = len(system.positions)
    site = np.arange(total) % len(unit_cell(cell).system.positions)
    noisy = displace(system, noise, np.random.default_rng(seed))
    return Polycrystal(cell, noisy, site, np.zeros(total, np.int64), Rotation.identity(1))


def polycrystal(cell: str, n_grains: int, edge: float, noise: float, seed: int) -> Polycrystal:
    """Fill a periodic cube with grains of random orientation, around random points.

    Parameters
    ----------
    cell : str
        Unit cell.
    n_grains : int
        Number of grains, the Voronoi polyhedra of random points.
    edge : float
        Edge of the cube, in units of the crystal's shortest distance.
    noise : float
        Standard deviation of the displacement in each direction, in the same units.
    seed : int
        Of points, orientations and displacements.
    """
    if n_grains < 1 or not edge > 0:
        raise InputError(
            f"a cube of edge {edge:g} with {n_grains} grains cannot be made; both must be positive."
        )
    rng = np.random.default_rng(seed)
    centers = rng.uniform(0, edge, (n_grains, 3))
    turned = Rotation.random(n_grains, rng=rng)
    # enough of a crystal to fill the cube whichever way it is turned
    block = single_crystal(cell, 1, 0.0, 0)
    lattice = lattice_vectors(block.system.box)
    reach = np.sqrt(3) / 2 * edge
    counts = np.ceil(reach * np.linalg.norm(np.linalg.inv(lattice), axis=0)).astype(int) + 1
    steps = [np.arange(-count, count + 1) for count in counts]
    shifts = np.stack(np.meshgrid(*steps, indexing="ij"), -1).reshape(-1, 3) @ lattice
    points = (block.system.positions + shifts[:, None]).reshape(-1, 3)
    sites = np.tile(block.site, len(shifts))
    # distances to the centers, periodic as the cube is
    tree = KDTree(centers, boxsize=edge)
    positions, site, grain = [], [], []
    for index in range(n_grains):
        own = turned[index].apply(points)
        inside = np.flatnonzero((abs(own) < edge / 2).all(axis=1))
        own = np.mod(own[inside] + centers[index], edge)
        nearest = tree.query(own)[1] == index
        positions.append(own[nearest])
        site.append(sites[inside[nearest]])
        grain.append(np.full(nearest.sum(), index))
    together = np.concatenate(positions)
    close = KDTree(together, boxsize=edge).query_pairs(_TOO_CLOSE, output_type="ndarray")
    kept = np.setdiff1d(np.arange(len(together)), close[:, 1])
    box = np.array([edge, edge, edge, 0, 0, 0])
    system = System(together[kept] - edge / 2, box, np.zeros(len(kept), np.int64))
    return Polycrystal(
        cell,
        displace(system, noise, rng),
        np.concatenate(site)[kept],
        np.concatenate(grain)[kept],
        turned,
    )


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
    """Orientations by polyhedral template matching with OVITO's cut-off, (x, y, z, w) in OVITO.

    A template's axes are not those of the unit cell: they are compared in a perfect crystal.
    """
    kind = {name: kind for kind, name in TEMPLATES.items()}[sample.cell]

    def match(system: System) -> Oriented:
        modifier = PolyhedralTemplateMatchingModifier(output_orientation=True)
        for each in TEMPLATES:
            modifier.structures[getattr(modifier.Type, each)].enabled = True
        data = ovito_data(system)
        data.apply(modifier)
        wanted = int(getattr(modifier.Type, kind))
        rows = np.flatnonzero(np.asarray(data.particles["Structure Type"]) == wanted)
        return Oriented(rows, Rotation.from_quat(np.asarray(data.particles["Orientation"])[rows]))

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


def segment(found: Oriented, neighbors: Integers, group: Rotation) -> Integers:
    """Number of the grain that each particle is in, (N,): neighbors of one orientation share it.

    A density-based clustering, so that a chance agreement does not join two grains. Particles in
    none are grains of their own.
    """
    total = len(neighbors)
    place = np.full(total, -1)
    place[found.rows] = np.arange(len(found.rows))
    first, second = np.repeat(np.arange(total), neighbors.shape[1]), neighbors.ravel()
    known = (place[first] >= 0) & (place[second] >= 0)
    first, second = first[known], second[known]
    apart = misorientation(found.turned[place[first]], found.turned[place[second]], group)
    graph = csr_array((apart, (first, second)), shape=(total, total))
    clusters = DBSCAN(eps=_SAME, min_samples=_AGREEING, metric="precomputed").fit_predict(graph)
    return np.where(clusters >= 0, clusters, total + np.arange(total))


# ---- what it is worth ----


def scores(
    sample: Polycrystal, noise: float, found: Mapping[str, Oriented], seed: int
) -> list[dict[str, Any]]:
    """How well a method finds the orientations and the grains that a polycrystal was made with.

    Shares are of all particles, so that one without an orientation counts as missed. Inside are
    those whose 20 neighbors are of their own grain. An area under the ROC curve of 1 tells all
    pairs of the same grain from all others by their misorientation, one of 0.5 none; pairs are of
    particles with an orientation.
    """
    known = symmetry(sample.cell)
    tree = PeriodicTree.build(sample.system.positions, sample.system.box)
    neighbors = tree.nearest().neighbors
    inside = (sample.grain[neighbors] == sample.grain[:, None]).all(axis=1)
    table = []
    for method, oriented in found.items():
        rows, turned = oriented
        error = misorientation(turned, sample.truth[rows], known.group)
        right = np.zeros(len(sample.site), bool)
        right[rows] = error < _SAME
        first, second = np.random.default_rng(seed).integers(len(rows), size=(2, _N_PAIRS))
        apart = misorientation(turned[first], turned[second], known.group)
        same = sample.grain[rows[first]] == sample.grain[rows[second]]
        parts = segment(oriented, neighbors, known.group)
        row: dict[str, Any] = {
            "cell": sample.cell,
            "freedom": " ".join(map(str, known.freedom)),
            "noise": noise,
            "method": method,
            "particles": len(sample.site),
            "with an orientation": len(rows) / len(sample.site),
            "median misorientation to the truth": float(np.median(error)),
            f"within {_SAME:g} degrees": float(right.mean()),
            f"within {_SAME:g} degrees, inside": float(right[inside].mean()),
            "area under ROC": area_under_roc(apart[~same], apart[same]),
            "adjusted Rand index": float(adjusted_rand_score(sample.grain, parts)),
        }
        if "PTM" in found:
            _, here, there = np.intersect1d(rows, found["PTM"].rows, return_indices=True)
            between = misorientation(turned[here], found["PTM"].turned[there], known.group)
            row["median misorientation to PTM"] = float(np.median(between))
        else:
            row["median misorientation to PTM"] = None
        table.append(row)
    return table


#: What a figure shows, and what it is called there.
_SHOWN = {
    "frames": "frame of each particle",
    "frames around": "frames of a neighborhood",
    "bonds around": "bonds of a neighborhood",
    "PTM": "template matching",
}


def draw(
    path: Path, samples: Sequence[tuple[Polycrystal, Mapping[str, Oriented]]], title: str
) -> None:
    """A slice of each polycrystal: its grains, and which grain's orientation a method finds."""
    columns = 1 + len(_SHOWN)
    figure, axes = plt.subplots(
        len(samples),
        columns,
        figsize=(3.6 * columns, 3.9 * len(samples)),
        layout="constrained",
        squeeze=False,
    )
    for parts, (sample, found) in zip(axes, samples, strict=True):
        group = symmetry(sample.cell).group
        every = np.arange(len(sample.site))
        palette = plt.get_cmap("tab10")(np.arange(len(sample.turned)) % 10)
        shown = {f"{sample.cell}: grains": Oriented(every, sample.truth)}
        shown |= {_SHOWN[method]: found[method] for method in _SHOWN if method in found}
        layer = abs(sample.system.positions[:, 2]) < 0.8
        points = sample.system.positions[layer, :2]
        for part in parts[len(shown) :]:
            part.set_axis_off()
            part.text(0.5, 0.5, "no template", ha="center", transform=part.transAxes)
        for part, (name, (rows, turned)) in zip(parts, shown.items(), strict=False):
            colors = np.full((len(every), 4), matplotlib.colors.to_rgba("0.87"))
            colors[rows] = matplotlib.colors.to_rgba("0.35")
            for number, color in enumerate(palette):
                truth = sample.turned[np.full(len(rows), number)]
                colors[rows[misorientation(turned, truth, group) < _SAME]] = color
            part.scatter(*points.T, s=22, c=colors[layer], linewidths=0)
            part.set(aspect="equal", xticks=[], yticks=[], title=name)
    figure.suptitle(
        f"{title}\ncolored by the grain whose orientation is found within {_SAME:g} degrees; "
        "dark grey: another orientation; light grey: none"
    )
    save_figure(path, figure)
