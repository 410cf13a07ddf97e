"""Figures of the evidence for a structure: distances, coordination, directions, diffraction."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import freud
import numpy as np
from matplotlib.colors import LogNorm
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from hoomd_gala.colors import structure_color
from hoomd_gala.systems import Array, System
from study.reports.canvas import WIDTH, plt, save_figure, structure_handle
from study.reports.particles import render_discs
from study.solids.evidence import Evidence
from study.solids.order import (
    cluster,
    condensed,
    diffraction,
    first_shell,
    nearest_distance,
)

#: Bins of a bond-orientational order diagram: around the axis and away from it.
_BINS = (90, 45)

#: Pixels of a diagram, and angle in radians over which its density is averaged.
_DISC, _BLUR = 90, 0.06

#: Structures in the overview's legend at most, the most frequent ones.
_STRUCTURES = 16

#: Pixels of a diffraction pattern.
_PIXELS = 256


def bond_diagram(system: System, inside: Any, radius: float, rotation: Rotation) -> Array:
    """Bond-orientational order diagram (Dzugutov, PRL 70, 2924 (1993)) by freud.

    Parameters
    ----------
    system : System
        The particles.
    inside : (N,) bool
        Particles whose bonds count.
    radius : float
        Largest length of a bond.
    rotation : Rotation
        Rotates the system into the view, along z.

    Returns
    -------
    (azimuth, polar) float64
        Density of bond directions, in units of a uniform one.
    """
    neighbors = first_shell(system, radius)
    vectors = rotation.apply(neighbors.vectors[inside[neighbors.query_point_indices]])
    # freud takes bonds from positions; here these are the ends of all bonds around one center
    box = freud.box.Box.cube(4 * radius)
    points = np.concatenate([np.zeros((1, 3)), vectors])
    pairs = freud.locality.NeighborList.from_arrays(
        1, len(points), np.zeros(len(vectors), int), np.arange(1, len(points)), vectors
    )
    diagram = freud.environment.BondOrder(bins=_BINS)
    diagram.compute(
        (box, points),
        orientations=np.tile([1.0, 0, 0, 0], (len(points), 1)),
        query_points=np.zeros((1, 3)),
        query_orientations=[[1.0, 0, 0, 0]],
        neighbors=pairs,
    )
    density = np.asarray(diagram.bond_order, np.float64)
    polar = (np.arange(_BINS[1]) + 0.5) / _BINS[1] * np.pi
    even = (density * np.sin(polar)).mean() / np.sin(polar).mean()
    return np.asarray(density / even)


def smooth_diagram(diagram: Array) -> Array:
    """Half of a bond-orientational order diagram as an equal-area projection.

    Bins near the axis are so small that their counts are noise; here each pixel is the mean over
    a few degrees in any direction. Bonds point both ways, so both halves are the same.

    Returns
    -------
    (pixels, pixels) float64
        Density of bond directions in units of a uniform one, NaN outside the disc.
    """
    azimuth = (np.arange(_BINS[0]) + 0.5) / _BINS[0] * 2 * np.pi
    polar = (np.arange(_BINS[1]) + 0.5) / _BINS[1] * np.pi
    ring = np.sin(polar)
    bins = np.stack(
        [
            np.outer(np.cos(azimuth), ring),
            np.outer(np.sin(azimuth), ring),
            np.tile(np.cos(polar), (_BINS[0], 1)),
        ],
        axis=-1,
    ).reshape(-1, 3)
    weight = (diagram * ring).ravel()
    side = np.linspace(-1, 1, _DISC)
    x, y = np.meshgrid(side, side)
    # Lambert's equal-area projection of the upper half
    square = x**2 + y**2
    inside = square < 1
    z = 1 - square[inside]
    factor = np.sqrt(1 + z)
    looks = np.column_stack([x[inside] * factor, y[inside] * factor, z])
    density = np.full(x.shape, np.nan)
    filled = weight > 0
    kernel = np.exp((abs(looks @ bins[filled].T) - 1) / _BLUR**2)
    even = np.exp((abs(looks @ bins.T) - 1) / _BLUR**2) @ np.tile(ring, _BINS[0])
    density[inside] = kernel @ weight[filled] / even * ring.sum() * _BINS[0] / weight.sum()
    return density


def draw_diagram(axes: Any, diagram: Array, title: str) -> None:
    """Draw a bond-orientational order diagram as a disc, bright where bonds point."""
    disc = smooth_diagram(diagram)
    axes.imshow(disc, cmap="magma", vmin=0, vmax=max(3.0, np.nanmax(disc)), origin="lower")
    axes.set_axis_off()
    axes.set_title(title, fontsize=9)


def draw_diffraction(axes: Any, pattern: NDArray[np.float64], n: int, title: str) -> None:
    """Draw a diffraction pattern of n particles, on a logarithmic scale from the noise up."""
    axes.imshow(pattern, norm=LogNorm(1, n / 3, clip=True), cmap="gray", origin="lower")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(title, fontsize=9)


def _bars(axes: Any, found: NDArray[np.int64], ideal: NDArray[np.int64], label: str) -> None:
    bins = np.arange(0, 22)
    for i, (counts, name) in enumerate(((found, "simulated"), (ideal, "ideal"))):
        share = np.bincount(np.minimum(counts, bins[-1]), minlength=len(bins)) / len(counts)
        axes.bar(bins + 0.4 * i - 0.2, share, 0.4, label=name)
    axes.set(xlabel=label, ylabel="fraction of the bulk", xlim=(2.5, 18.5))


def draw(
    path: Path, title: str, evidence: Evidence, cooling: Sequence[dict[str, float]], verdict: str
) -> None:
    """Draw all of the evidence of an assembly in one figure."""
    found, ideal = evidence.found, evidence.ideal
    cell = evidence.matches[0].cell
    figure, axes = plt.subplot_mosaic(
        "aabb;ccdd;efgh", figsize=(WIDTH, 7.5), height_ratios=[1, 1, 0.9], layout="constrained"
    )
    kT = [row["kT"] for row in cooling]
    axes["a"].plot(kT, [row["energy"] for row in cooling], "k-")
    axes["a"].invert_xaxis()
    axes["a"].set(xlabel="kT (cooling to the right)", ylabel="potential energy per particle")
    twin = axes["a"].twinx()
    twin.plot(kT, [row["density"] for row in cooling], color="tab:blue")
    twin.set_ylabel("median local density", color="tab:blue")

    g = found.shells.g * (found.shells.r > 0)
    axes["b"].plot(found.shells.r / found.distance, g / g.max(), label="simulated")
    scaled = ideal.shells.g / ideal.shells.g.max()
    axes["b"].plot(ideal.shells.r / ideal.distance, -scaled, label=f"ideal {cell}")
    axes["b"].axvline(found.shells.radius / found.distance, color="0.6", ls=":")
    axes["b"].set(xlabel="r / nearest-neighbor distance", ylabel="g(r), ideal crystal inverted")
    axes["b"].set_xlim(0.7, 4)
    axes["b"].set_yticks([])
    axes["b"].legend(frameon=False, fontsize=8)
    _bars(axes["c"], found.shells.voronoi, ideal.shells.voronoi, "Voronoi neighbors")
    axes["c"].legend(frameon=False, fontsize=8)
    degrees = list(found.order.common)
    for i, (order, name) in enumerate(((found.order, "simulated"), (ideal.order, "ideal"))):
        places = np.arange(len(degrees)) + 0.4 * i - 0.2
        axes["d"].bar(places, order.common.values(), 0.4, label=name)
    axes["d"].set_xticks(range(len(degrees)), degrees)
    axes["d"].set(xlabel="degree", ylabel="global bond order of the bulk")

    names = ("brightest direction", "best tenfold direction")
    points = cluster(evidence.solid)
    pairs = (("e", "f"), ("g", "h"))
    for (left, right), view, name in zip(pairs, evidence.views, names, strict=True):
        diagram = bond_diagram(evidence.solid, found.inside, found.shells.radius, view.rotation)
        draw_diagram(axes[left], diagram, f"bond directions,\n{name}")
        pattern = diffraction(view.rotation.apply(points), found.distance, _PIXELS)
        fold = max(view.symmetry, key=lambda n: view.symmetry[n])
        kept = f"rotated by 2π/{fold}:\ncorrelation {view.symmetry[fold]:.2f}"
        draw_diffraction(axes[right], pattern, len(points), f"diffraction, {kept}")
    best = evidence.matches[0]
    figure.suptitle(
        f"{title}: {verdict}\n(nearest cell {best.cell}, distance {best.distance:.3f}; "
        + "; ".join(
            f"{method} {name} {share:.0%}" for method, (name, share) in evidence.templates.items()
        )
        + ")"
    )
    save_figure(path, figure)


class Shown(NamedTuple):
    """A solid in the overview.

    Attributes
    ----------
    title : str
        What it is.
    system : System
        Its particles.
    labels : (N,) str
        Their structures.
    view : sequence of float
        The quaternion (x, y, z, w) that rotates the solid into the view along its brightest
        direction.
    """

    title: str
    system: System
    labels: NDArray[np.str_]
    view: Sequence[float]


def draw_overview(path: Path, solids: Sequence[Shown]) -> None:
    """Draw all solids in one figure, cut open and colored by structure, beside their diffraction.

    Both are seen along the same direction.
    """
    columns = min(3, len(solids))
    lines = -(-len(solids) // columns)
    figure, axes = plt.subplots(
        lines,
        2 * columns,
        figsize=(WIDTH, 1.7 * lines + 0.9),
        squeeze=False,
        layout="constrained",
    )
    for part in axes.flat:
        part.set_axis_off()
    counts: Counter[str] = Counter()
    pairs = axes.reshape(-1, 2)
    for (left, right), (title, system, labels, view) in zip(pairs, solids, strict=False):
        own = labels[condensed(system)]
        points = Rotation.from_quat(view).apply(cluster(system))
        distance = nearest_distance(system)
        # exactly along the direction, to show columns of particles; discs are seen along y
        behind = points[:, 2] >= 0
        rgb = np.array([structure_color(name) for name in own[behind]])
        left.imshow(render_discs(points[behind][:, [0, 2, 1]], rgb, 0.45 * distance))
        left.set_title(title, fontsize=8, loc="left")
        pattern = diffraction(points, distance, _PIXELS)
        right.set_axis_on()
        draw_diffraction(right, pattern, len(points), "")
        counts.update(own[behind].tolist())
    handles = [structure_handle(name) for name, _ in counts.most_common(_STRUCTURES)]
    figure.legend(
        handles=handles, loc="outside lower center", ncols=min(5, len(handles)), frameon=False
    )
    save_figure(path, figure)
