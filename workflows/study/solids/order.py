"""Order of a simulated solid by methods without learning: shells, bonds, diffraction.

It is measured in the bulk: particles deep enough in a droplet to have complete environments.
"""

from typing import NamedTuple

import freud
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, map_coordinates
from scipy.signal import find_peaks
from scipy.spatial.transform import Rotation
from scipy.special import sph_harm_y

from hoomd_gala import neighbors
from hoomd_gala.neighbors.environments import N_NEIGHBORS, PeriodicTree
from hoomd_gala.systems import Array, System, lattice_vectors, plane_spacings

Mask = NDArray[np.bool_]

#: Neighbors whose weighted mean direction measures how complete an environment is, and the largest
#: length of that mean in the bulk.
_SURROUNDING, WHOLE = 60, 0.08

#: Particles whose neighbors are farther, in units of the lower quartile, are vapor.
_CONDENSED = 1.5

#: Width of the Gaussian, in units of the nearest-neighbor distance, that g(r) is smoothed with to
#: find the first shell: distances that thermal motion would merge are one shell.
_SMEAR = 0.08

#: Smallest share of a Voronoi cell's surface that makes a neighbor.
_FACE = 0.02

#: Degrees of bond-orientational order.
DEGREES = (2, 4, 6, 8, 10, 12)

#: Rotations by 2 pi / n that diffraction patterns are tested for. Every pattern has the twofold
#: one, so a fivefold axis shows as a tenfold one.
FOLDS = (4, 6, 8, 10, 12)


def _box(system: System) -> freud.box.Box:
    return freud.box.Box(*system.box)


def nearest_distance(system: System) -> float:
    """Median distance to the nearest neighbor."""
    return neighbors.nearest_distance(system.positions, system.box)


def condensed(system: System) -> Mask:
    """Particles of the liquid or solid, (N,), by the mean distance of 20 neighbors."""
    bonds = PeriodicTree.build(system.positions, system.box).nearest().bonds
    distance = np.linalg.norm(bonds, axis=-1).mean(axis=1)
    # relative to the densest quarter: in a gas most particles are far from each other
    found: Mask = distance < _CONDENSED * np.quantile(distance, 0.25)
    return found


def bulk(system: System) -> Mask:
    """Particles with complete environments, (N,).

    The mean of the directions to 60 neighbors, weighted so that they fade out with distance,
    vanishes in the bulk of a crystal, a quasicrystal or a liquid, and points inward at a surface.
    """
    bonds = PeriodicTree.build(system.positions, system.box).nearest(n=_SURROUNDING).bonds
    r = np.linalg.norm(bonds, axis=-1)
    scaled = r / r[:, :N_NEIGHBORS].mean(axis=1, keepdims=True)
    reach = min(1.5, float(np.median(scaled[:, -1])))
    weight = np.where(scaled < reach, 0.5 + 0.5 * np.cos(np.pi * scaled / reach), 0.0)
    mean = (weight[..., None] * bonds / r[..., None]).sum(axis=1)
    asymmetry = np.linalg.norm(mean, axis=1) / weight.sum(axis=1)
    found: Mask = (asymmetry < WHOLE) & condensed(system)
    return found


#: Length of the mean bond vector, in mean bond lengths, above which a particle lies at a surface.
_SURFACE = 0.2


def surrounded(system: System) -> Mask:
    """Particles with neighbors on all sides, (N,), in any structure.

    Less strict than :func:`bulk`, whose measure does not vanish in crystals of low symmetry or
    uneven density: of warm crystals of the database it accepts about three quarters.
    """
    bonds = PeriodicTree.build(system.positions, system.box).nearest().bonds
    lengths = np.linalg.norm(bonds, axis=-1).mean(axis=1)
    found: Mask = np.linalg.norm(bonds.mean(axis=1), axis=-1) < _SURFACE * lengths
    return found


class Shells(NamedTuple):
    """Distances and coordination of bulk particles.

    Attributes
    ----------
    r, g : (bins,) float64
        Radial distribution function around them, normalized by the density of the whole box.
    radius : float
        End of the first shell.
    coordination : (m,) int64
        Neighbors of each within the first shell.
    voronoi : (m,) int64
        Neighbors of each that share a large enough face of its Voronoi cell.
    """

    r: Array
    g: Array
    radius: float
    coordination: NDArray[np.int64]
    voronoi: NDArray[np.int64]


def shells(system: System, inside: Mask) -> Shells:
    """Radial distribution and coordination around the particles of a mask, by freud."""
    box, points = _box(system), system.positions
    distance = nearest_distance(system)
    spacings = plane_spacings(lattice_vectors(system.box))
    r_max = min(4.5 * distance, 0.49 * float(spacings.min()))
    function = freud.density.RDF(bins=300, r_max=r_max, r_min=0.3 * distance)
    function.compute((box, points), query_points=points[inside])
    r, g = function.bin_centers, function.rdf
    smooth = gaussian_filter1d(g * r**2, _SMEAR * distance / (r[1] - r[0]))
    crests = find_peaks(smooth, prominence=0.05 * smooth.max())[0]
    first = crests[0] if len(crests) else 0
    valleys = find_peaks(-smooth[first:], prominence=0.02 * smooth.max())[0]
    # a gas has no shells
    radius = float(r[first + valleys[0]]) if len(valleys) else 1.5 * distance
    neighbors = first_shell(system, radius)
    counts = np.bincount(neighbors.query_point_indices, minlength=len(points))
    cells = freud.locality.Voronoi().compute((box, points)).nlist
    areas = np.bincount(cells.query_point_indices, cells.weights, minlength=len(points))
    large = cells.weights > _FACE * areas[cells.query_point_indices]
    faces = np.bincount(cells.query_point_indices[large], minlength=len(points))
    return Shells(np.asarray(r, float), np.asarray(g, float), radius, counts[inside], faces[inside])


def first_shell(system: System, radius: float) -> freud.locality.NeighborList:
    """Pairs of particles up to a distance."""
    query = freud.locality.AABBQuery(_box(system), system.positions)
    found = query.query(system.positions, {"r_max": radius, "exclude_ii": True})
    return found.toNeighborList()


class BondOrder(NamedTuple):
    """Bond-orientational order of the bulk, for each of DEGREES.

    Attributes
    ----------
    local : dict of int to float
        Mean over particles of Steinhardt's order parameter.
    common : dict of int to float
        Global order parameter, of all bonds together: vanishes unless bond directions are
        correlated between particles. Icosahedral symmetry allows none of degree 2, 4 and 8.
    """

    local: dict[int, float]
    common: dict[int, float]


def bond_order(system: System, inside: Mask, radius: float) -> BondOrder:
    """Steinhardt order of the first shell (Steinhardt et al., PRB 28, 784 (1983)) by freud."""
    neighbors = first_shell(system, radius)
    local = {}
    for degree in DEGREES:
        order = freud.order.Steinhardt(degree)
        order.compute((_box(system), system.positions), neighbors)
        local[degree] = float(np.nanmean(order.particle_order[inside]))
    vectors = neighbors.vectors[inside[neighbors.query_point_indices]]
    polar = np.arccos(np.clip(vectors[:, 2] / np.linalg.norm(vectors, axis=1), -1, 1))
    azimuth = np.arctan2(vectors[:, 1], vectors[:, 0])
    common = {}
    for degree in DEGREES:
        orders = np.arange(-degree, degree + 1)
        mean = sph_harm_y(degree, orders, polar[:, None], azimuth[:, None]).mean(axis=0)
        common[degree] = float(np.sqrt(4 * np.pi / (2 * degree + 1) * (abs(mean) ** 2).sum()))
    return BondOrder(local, common)


# ---- views ----

#: Largest wave vector of a diffraction pattern, in units of 2 pi over the nearest distance.
_REACH = 2.4


def cluster(system: System) -> Array:
    """Positions of the condensed particles, in one piece around the origin, (M, 3)."""
    box, points = _box(system), system.positions[condensed(system)]
    fractional = box.make_fractional(points)
    middle = np.angle(np.exp(2j * np.pi * fractional).mean(axis=0)) / (2 * np.pi)
    return np.asarray(box.make_absolute(np.mod(fractional - middle + 0.5, 1.0)), np.float64)


def diffraction(points: Array, distance: float, grid: int) -> NDArray[np.float64]:
    """Diffraction pattern of a droplet along z, by freud.

    Parameters
    ----------
    points : (M, 3)
        Its particles.
    distance : float
        Of nearest neighbors: wave vectors reach up to _REACH * 2 pi / distance.
    grid : int
        Pixels along a side.

    Returns
    -------
    (grid, grid) float64
        Intensity per particle: 1 for a gas, M in the middle.
    """
    centered = points - points.mean(axis=0)
    edge = 2.1 * float(np.linalg.norm(centered, axis=1).max())
    pattern = freud.diffraction.DiffractionPattern(grid_size=grid)
    pattern.compute(
        (freud.box.Box.cube(edge), centered),
        view_orientation=[1, 0, 0, 0],
        zoom=grid * distance / (2 * _REACH * edge),
        peak_width=0.5,
    )
    return np.asarray(pattern.diffraction, np.float64)


def _ring(pattern: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pattern in polar coordinates, (radii, angles), without its center; and the radii."""
    half = len(pattern) / 2
    radii = np.arange(0.2 * half, 0.95 * half)
    angles = np.linspace(0, 2 * np.pi, 240, endpoint=False)
    rows = half + radii[:, None] * np.sin(angles)
    columns = half + radii[:, None] * np.cos(angles)
    return map_coordinates(pattern, [rows, columns], order=1), radii


def symmetry(pattern: NDArray[np.float64]) -> dict[int, float]:
    """Correlation of a (grid, grid) pattern with itself rotated by 2 pi / n, for each n of FOLDS.

    Radially symmetric parts do not count: the mean at each radius is subtracted.
    """
    ring, _ = _ring(pattern)
    ring = np.sqrt(ring)
    ring = ring - ring.mean(axis=1, keepdims=True)
    norm = (ring**2).sum()
    return {n: float((ring * np.roll(ring, 240 // n, axis=1)).sum() / norm) for n in FOLDS}


class View(NamedTuple):
    """A viewing direction of a solid.

    Attributes
    ----------
    rotation : Rotation
        Rotates the direction onto z.
    intensity : float
        Mean over the pattern, without its center: large where many reflections lie in the plane.
    symmetry : dict of int to float
        See :func:`symmetry`.
    """

    rotation: Rotation
    intensity: float
    symmetry: dict[int, float]


#: Directions tried first, pixels of their patterns, and directions tried around the best.
_N_DIRECTIONS, _COARSE, _N_REFINED = 500, 192, 60


def _directions(n: int) -> Array:
    """Directions spread evenly over half a sphere, (n, 3), on a Fibonacci spiral."""
    i = np.arange(n) + 0.5
    z, azimuth = i / n, np.pi * (1 + 5**0.5) * i
    ring = np.sqrt(1 - z**2)
    return np.column_stack([ring * np.cos(azimuth), ring * np.sin(azimuth), z])


def _look(points: Array, distance: float, direction: Array) -> View:
    rotation, _ = Rotation.align_vectors([[0, 0, 1]], [direction])
    pattern = diffraction(rotation.apply(points), distance, _COARSE)
    ring, radii = _ring(pattern)
    mean = np.average(ring.mean(axis=1), weights=radii)
    return View(rotation, float(mean), symmetry(pattern))


def views(system: System, rng: np.random.Generator) -> tuple[View, View]:
    """Return the directions of the brightest diffraction and of the strongest tenfold symmetry.

    The second is taken from the brightest fifth of all directions: a pattern without reflections
    has no meaningful symmetry.
    """
    points, distance = cluster(system), nearest_distance(system)
    tried = [_look(points, distance, direction) for direction in _directions(_N_DIRECTIONS)]
    tried.sort(key=_intensity, reverse=True)
    starts = ((tried[0], _intensity), (max(tried[: len(tried) // 5], key=_tenfold), _tenfold))
    found = []
    for start, quality in starts:
        axis = start.rotation.inv().apply([0, 0, 1])
        near = axis + rng.normal(scale=0.05, size=(_N_REFINED, 3))
        near /= np.linalg.norm(near, axis=1, keepdims=True)
        around = [_look(points, distance, direction) for direction in near]
        found.append(max([start, *around], key=quality))
    return found[0], found[1]


def _intensity(view: View) -> float:
    return view.intensity


def _tenfold(view: View) -> float:
    return view.symmetry[10]
