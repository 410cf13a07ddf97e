"""Pictures of the structures that a model names, as pages to print."""

import itertools
import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from ..colors import structure_color
from ..crystals.prototypes import UnitCell, unit_cells
from ..files.atomic import check_new, replacing
from ..names import STRUCTURES, pearson_symbol
from ..neighbors import nearest_neighbors
from ..results import DISORDERED
from ..systems import lattice_vectors
from .plots import new_figure

Array = NDArray[np.float64]

#: Pictures in a row and in a column of a page in portrait format, and its size in inches: A4.
_ROWS, _COLUMNS, _PAGE = 6, 4, (8.27, 11.69)

#: From where cells are seen: a little from the right and from above, a corner in front.
_CAMERA = np.array([0.42, -1.0, 0.3])

#: Radius of particles in units of the shortest distance, and in units of the picture's width at
#: least; radius of bonds in units of that of particles, and how much longer than the shortest
#: distance they are at most.
_RADIUS, _LEAST, _THIN, _BOND = 0.26, 0.018, 0.22, 1.12

#: Particles from which on there are no bonds if there are more than so many to each; the particles
#: are larger then.
_MANY, _DENSE, _LARGE = 20, 2.2, 0.42

#: Corners of a cell.
_CORNERS = np.stack(np.meshgrid(*[(0, 1)] * 3, indexing="ij"), -1).reshape(-1, 3)

#: Fractional coordinates of a face differ by less.
_SAME = 1e-3

#: What is far away is mixed with so much white.
_HAZE = 0.55


class _Shapes(NamedTuple):
    """Particles and sticks between them, in three dimensions."""

    points: Array
    bonds: NDArray[np.int64]
    edges: Array
    radius: float
    shades: Array


def draw_structures(path: str | os.PathLike[str], class_names: Sequence[str]) -> None:
    """Draw the unit cells of classes with what is known of them, on pages of a PDF file.

    Parameters
    ----------
    path : str or path
        PDF file to write; must not exist.
    class_names : sequence of str
        Names of the classes, one at least; of those that are no unit cells, there is no picture.

    Raises
    ------
    InputError
        If it exists or cannot be written, or Matplotlib or pyriodic-aflow is not installed.
    """
    path = check_new(path, ".pdf", "PDF file")
    pages = structure_pages(class_names)
    first = next(pages)  # which says whether Matplotlib is installed
    from matplotlib.backends.backend_pdf import PdfPages

    with replacing(path) as part, PdfPages(part) as file:
        for page in (first, *pages):
            file.savefig(page)


def structure_pages(class_names: Sequence[str]) -> Iterator[Any]:
    """Pages of :func:`draw_structures`, as Matplotlib figures."""
    cells = unit_cells()
    per_page = _ROWS * _COLUMNS
    starts = range(0, len(class_names), per_page)
    for start in tqdm(starts, desc="draw", unit="page", leave=False):
        figure = new_figure(figsize=_PAGE)
        axes = figure.subplots(_ROWS, _COLUMNS).ravel()
        for axis in axes:
            axis.set_axis_off()
        for axis, name in zip(axes, class_names[start : start + per_page], strict=False):
            _draw(axis, name, cells.get(name))
        yield figure


def draw_structure(axis: Any, name: str) -> None:
    """Draw the unit cell of a class, or a liquid for the disordered one; of others, nothing.

    Parameters
    ----------
    axis : matplotlib.axes.Axes
        Where to draw; its limits are set.
    name : str
        Name of a class.
    """
    cell = unit_cells().get(name)
    if cell is not None or name == DISORDERED:
        _draw_shapes(axis, _liquid() if cell is None else _shapes(cell), structure_color(name))


def _draw(axis: Any, name: str, cell: UnitCell | None) -> None:
    """Draw a structure, and write below what is known of it."""
    draw_structure(axis, name)
    known = STRUCTURES.get(name)
    axis.set_title(known.name if known else name, fontsize=10, fontweight="bold", pad=2)
    lines = [name] if known else []
    if name == DISORDERED:
        lines += ["gas, liquid, glass, surface"]
    if known and known.strukturbericht:
        lines[0] += f", {known.strukturbericht.replace('_', '')}"
    if cell is not None:
        lines += [f"{pearson_symbol(name)}, space group {cell.space_group}"]
    if known:
        lines += [f"neighbors: {', '.join(map(str, known.coordination))}"]
    axis.text(0.5, -0.01, "\n".join(lines), transform=axis.transAxes, fontsize=7.5, **_BELOW)


_BELOW = {"ha": "center", "va": "top", "linespacing": 1.25}


def _shapes(cell: UnitCell) -> _Shapes:
    """Particles in a unit cell and on all of its faces, edges and corners."""
    system = cell.system
    lattice = lattice_vectors(system.box)
    fractional = system.positions @ np.linalg.inv(lattice)
    # the origin, or a particle, wherever most are on corners and faces
    origins = np.concatenate((np.zeros((1, 3)), fractional))
    owner, images = max((_inside(fractional - one) for one in origins), key=lambda x: len(x[0]))
    corners = _CORNERS @ lattice
    points, kinds = images @ lattice, system.types[owner]
    ends = [(i, i + step) for step in (4, 2, 1) for i in range(8) if not i & step]
    # the second type is darker, and so on
    shades = 1 - 0.45 * kinds / max(kinds.max(), 1)
    bonds = nearest_neighbors(system.positions, system.box, n=1).bonds
    nearest = np.linalg.norm(bonds[:, 0], axis=-1)[owner]
    return _of_points(points, nearest, corners[np.array(ends)], shades)


def _inside(fractional: Array) -> tuple[NDArray[np.int64], Array]:
    """Find the particles in a cell and on its faces: which ones they are, and where."""
    images = (fractional - np.floor(fractional + _SAME))[:, None] + _CORNERS
    owner, shift = np.nonzero((images < 1 + _SAME).all(axis=2))
    return owner, images[owner, shift]


def _liquid() -> _Shapes:
    """Particles that are nowhere in particular, but not in each other."""
    rng = np.random.default_rng(3)
    points: list[Array] = []
    for point in rng.uniform(0, 3.4, (4000, 3)):
        if all(np.linalg.norm(point - other) > 0.9 for other in points):
            points.append(point)
    total = len(points)
    return _of_points(np.array(points), np.full(total, 0.8), np.zeros((0, 2, 3)), np.ones(total))


def _of_points(points: Array, nearest: Array, edges: Array, shades: Array) -> _Shapes:
    """Connect (k, 3) points, to which the nearest is at (k,) distances."""
    distances = np.linalg.norm(points[:, None] - points, axis=-1)
    # sites differ in how far their nearest neighbors are
    near = distances <= _BOND * np.maximum(nearest[:, None], nearest)
    bonds = np.argwhere(np.triu(near, 1))
    radius = _RADIUS
    if len(points) > _MANY and len(bonds) > _DENSE * len(points):
        bonds, radius = bonds[:0], _LARGE  # which would hide everything
    everything = np.concatenate((points, edges.reshape(-1, 3)))
    width = np.ptp(everything @ _view().T, axis=0)[:2].max()
    return _Shapes(points, bonds, edges, max(radius * nearest.min(), _LEAST * width), shades)


def _view() -> Array:
    """Directions to the right, up, and to the viewer, as rows."""
    front: Array = _CAMERA / np.linalg.norm(_CAMERA)
    right: Array = np.cross([0, 0, 1], front)
    right /= np.linalg.norm(right)
    return np.array([right, np.cross(front, right), front])


def _draw_shapes(axis: Any, shapes: _Shapes, color: tuple[float, float, float]) -> None:
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Circle, Polygon

    points, edges = shapes.points @ _view().T, shapes.edges @ _view().T
    everything = np.concatenate((points, edges.reshape(-1, 3)))
    low, high = everything.min(axis=0), everything.max(axis=0)
    items: list[tuple[Any, Any, Any, Any]] = []
    gray = np.full(3, 0.45)

    def hazed(one: Any, depth: float) -> Any:
        share = _HAZE * (high[2] - depth) / max(high[2] - low[2], 1e-9)
        return np.asarray(one) * (1 - share) + share

    def stick(a: Array, b: Array, radius: float, paint: Any) -> None:
        # in pieces, which may be before and behind others
        along = np.linspace(a, b, 5)
        side = np.array([a[1] - b[1], b[0] - a[0]])
        side *= radius / max(float(np.linalg.norm(side)), 1e-9)
        for p, q in itertools.pairwise(along):
            corners = [p[:2] + side, q[:2] + side, q[:2] - side, p[:2] - side]
            tone = hazed(paint, (p[2] + q[2]) / 2)
            items.append(((p[2] + q[2]) / 2, Polygon(corners), tone, tone))

    for a, b in points[shapes.bonds]:
        stick(a, b, _THIN * shapes.radius, gray + 0.2)
    for a, b in edges:
        stick(a, b, 0.003 * np.ptp(everything[:, :2], axis=0).max(), np.full(3, 0.3))
    for point, shade in zip(points, shapes.shades, strict=True):
        paint = shade * np.asarray(color)
        x, y, depth = point
        r = shapes.radius
        items.append((depth, Circle((x, y), r), hazed(paint, depth), hazed(gray - 0.2, depth)))
        # a highlight makes a ball of a disk
        shine = hazed(0.35 * paint + 0.65, depth)
        spot = Circle((x - 0.3 * r, y + 0.32 * r), 0.3 * r)
        items.append((depth + 1e-6, spot, shine, shine))
    items.sort(key=lambda item: item[0])
    axis.add_collection(
        PatchCollection(
            [item[1] for item in items],
            facecolors=[item[2] for item in items],
            edgecolors=[item[3] for item in items],
            linewidths=0.3,
        )
    )
    half = 0.5 * max(*(high - low)[:2]) + 1.1 * shapes.radius
    x, y = (low + high)[:2] / 2
    axis.set(xlim=(x - half, x + half), ylim=(y - half, y + half), aspect="equal")
