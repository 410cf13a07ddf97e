"""A frame of a labeled trajectory: what of it is shown, and its picture with a legend."""

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..colors import label_colors, structure_color
from ..errors import InputError
from ..files.labels import frame_labels
from ..files.trajectories import open_trajectory
from ..names import title as titled
from ..neighbors import nearest_distance
from ..results import UNKNOWN, UNKNOWN_NAME, class_indices
from ..selection import bodies_once, frame_centers
from ..systems import lattice_vectors
from .fractions import frame_fractions
from .plots import new_figure, save_figure

#: Radius of particles in units of the median distance to the nearest neighbor.
_RADIUS = 0.5

#: Length of the mean of exp(2πi x) over particles, from which on they are in one place.
_GATHERED = 0.3

#: Differences of fractions that are rounding.
_ROUNDING = 1e-6

#: Structures in a legend; the others are counted.
_LISTED = 20


class Shown(NamedTuple):
    """Particles of a frame that are to be seen.

    Attributes
    ----------
    positions : (m, 3) float64
    colors : (m, 3) float32
    radius : float
    box : (6,) float64
    fractions : dict of str to float
        Of all particles of the frame that were labeled, by class, those of the particles that are
        shown, the largest first.
    all_labeled : bool
        Whether these are all; others look as unknown ones do.
    title : str
    """

    positions: NDArray[np.float64]
    colors: NDArray[np.float32]
    radius: float
    box: NDArray[np.float64]
    fractions: dict[str, float]
    all_labeled: bool
    title: str


def read_shown(
    path: str | os.PathLike[str], index: int = -1, cut: bool = False, only_solid: bool = False
) -> Shown:
    """Read what of a labeled frame is to be seen.

    Parameters
    ----------
    path : str or path
        GSD file.
    index : int
        Of the frame; negative ones count from the end.
    cut : bool
        Leave out the half in front.
    only_solid : bool
        Leave out disordered and unknown particles.

    Raises
    ------
    InputError
        If it cannot be read, holds no labels, or nothing is left to be seen.
    """
    with open_trajectory(path) as trajectory:
        total = len(trajectory)
        if not -total <= index < total:
            raise InputError(f"{path} has {total} frames and no frame {index}.")
        frame = trajectory[index]
    labels = frame_labels(frame)
    where = f"frame {index % total} of {path}"
    if labels is None:
        raise InputError(f"{where} holds no labels; hoomd-gala label adds them.")
    label, class_names = labels
    if len(label) != frame.particles.N:
        raise InputError(f"{where} has {frame.particles.N} particles and {len(label)} labels.")
    if not class_names:
        raise InputError(f"{where} was labeled by a model that names no structures.")
    box = np.asarray(frame.configuration.box, np.float64)
    if frame.configuration.dimensions == 2 or not box[:3].all():
        raise InputError(f"{where} is two-dimensional; pictures show three dimensions.")
    positions = np.asarray(frame.particles.position, np.float64)
    solid = np.isin(label, class_indices(class_names))
    if only_solid and not solid.any():
        raise InputError(f"{where} has no solid particles to show.")
    if not len(label):
        raise InputError(f"{where} has no particles.")
    visible = solid if only_solid else np.full(len(label), True)
    positions = centered(positions, box, solid if solid.any() else visible)
    if cut:
        visible = visible & (positions[:, 1] > 0)
        if not visible.any():
            raise InputError(f"{where} has nothing to show in its rear half; leave out the cut.")
    seen = set(label[visible].tolist())
    names = (*class_names, UNKNOWN_NAME)
    try:
        shares = frame_fractions(frame)
    except InputError as error:
        raise InputError(f"{where} {error}") from None
    bodies = bodies_once(frame_centers(frame))
    unknown = float((label[slice(None) if bodies is None else bodies] == UNKNOWN).mean())
    listed = sorted((names[k] for k in seen), key=lambda name: -shares[name])
    return Shown(
        positions[visible],
        label_colors(label[visible], class_names),
        # a single particle has a small one
        _RADIUS * (nearest_distance(positions, box) if len(label) > 1 else 0.1 * box[:3].min()),
        box,
        {name: shares[name] for name in listed},
        unknown <= shares[UNKNOWN_NAME] + _ROUNDING,
        f"timestep {frame.configuration.step}",
    )


def centered(
    positions: NDArray[np.floating],
    box: NDArray[np.floating],
    chosen: NDArray[np.bool_] | slice = slice(None),
) -> NDArray[np.float64]:
    """Positions in the box, shifted so that what is in one place, as a droplet, is in its center.

    A droplet on the boundary would be seen in parts, and cut open beside its middle.

    Parameters
    ----------
    positions : (N, 3) float
        Cartesian coordinates.
    box : (6,) float
        Lx, Ly, Lz, xy, xz, yz.
    chosen : (N,) bool, optional
        Particles that are looked for in one place; all if not given.
    """
    lattice = lattice_vectors(box)
    fractional = positions @ np.linalg.inv(lattice)
    mean = np.exp(2j * np.pi * fractional[chosen]).mean(axis=0)
    fractional -= np.where(np.abs(mean) > _GATHERED, np.angle(mean) / (2 * np.pi), 0)
    shifted: NDArray[np.float64] = (fractional - np.round(fractional)) @ lattice
    return shifted


def draw_frame(path: str | os.PathLike[str], image: NDArray[Any], shown: Shown) -> None:
    """Write a rendered picture with the names, colors and fractions of its structures.

    Parameters
    ----------
    path : str or path
        Picture to write; its ending is one of :data:`~hoomd_gala.plotting.plots.FORMATS`.
    image : (rows, columns, 3) uint8
        What was rendered.
    shown : Shown
        What it shows.
    """
    image = without_margins(image)
    height = 5.0
    width = height * image.shape[1] / image.shape[0]
    figure = new_figure(figsize=(width + 2.6, height))
    axes = figure.add_subplot()
    axes.imshow(image, interpolation="antialiased")
    axes.set_axis_off()
    axes.set_title(shown.title, fontsize=10)
    names = list(shown.fractions)
    figure.legend(
        handles=[_mark(name, shown) for name in names[:_LISTED]] + _more(names[_LISTED:]),
        loc="outside right upper",
        frameon=False,
        labelspacing=0.7,
    )
    save_figure(path, figure)


def _mark(name: str, shown: Shown) -> Any:
    from matplotlib.lines import Line2D

    label = f"{titled(name)}, {shown.fractions[name]:.1%}"
    if name == UNKNOWN_NAME and not shown.all_labeled:
        label += ", and not labeled"
    style: dict[str, Any] = {"marker": "o", "ls": "", "ms": 11, "mec": "0.35", "mew": 0.5}
    return Line2D([], [], color=structure_color(name), label=label, **style)


def _more(names: Sequence[str]) -> list[Any]:
    from matplotlib.lines import Line2D

    return [Line2D([], [], ls="", label=f"and {len(names)} more")] if names else []


def without_margins(image: NDArray[Any], margin: int = 10) -> NDArray[Any]:
    """Cut white edges off, but for a narrow one."""
    drawn = image.min(axis=-1) < 250
    if not drawn.any():
        return image
    rows, columns = (np.flatnonzero(drawn.max(axis=axis)) for axis in (1, 0))
    top, left = max(rows[0] - margin, 0), max(columns[0] - margin, 0)
    return image[top : rows[-1] + margin + 1, left : columns[-1] + margin + 1]
