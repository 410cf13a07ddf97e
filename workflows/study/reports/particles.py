"""Pictures of particles, by OVITO or by Matplotlib."""

import numpy as np
from numpy.typing import NDArray

from hoomd_gala.errors import InputError
from study.reports.canvas import plt

#: Pixels along a side, about as many as figures show, and rays of each. With OVITO's own twelve,
#: and pixels that are thrown away, a picture looks the same and takes three times as long.
_PIXELS, _RAYS = 750, 4


def render_particles(
    positions: NDArray[np.float64],
    rgb: NDArray[np.float64],
    radius: float,
    box: NDArray[np.floating],
) -> NDArray[np.uint8]:
    """Render particles of given (N, 3) colors in a box, (rows, columns, 3).

    By OVITO where it finds the graphics driver that it needs, otherwise by Matplotlib.
    """
    from hoomd_gala.integrations.ovito_render import render_particles as render

    try:
        return render(positions, rgb, radius, box, _PIXELS, _RAYS)
    except InputError as error:
        print(f"{error} Matplotlib draws instead.")
        return render_discs(positions, rgb, radius)


def render_discs(
    positions: NDArray[np.float64], rgb: NDArray[np.float64], radius: float
) -> NDArray[np.uint8]:
    """Draw discs as seen along the y axis, the nearest on top and brightest, (rows, columns, 3)."""
    depth = positions[:, 1]
    order = np.argsort(-depth)
    light = np.interp(depth, (depth.min(), depth.max()), (1.0, 0.5))[order, None]
    figure, axes = plt.subplots(figsize=(6, 6), dpi=150)
    span = np.ptp(positions[:, [0, 2]], axis=0).max() + 2 * radius
    size = (2 * radius / span * 0.77 * 6 * 72) ** 2  # square points of area
    axes.scatter(
        positions[order, 0], positions[order, 2], s=size, c=rgb[order] * light, ec="k", lw=0.3
    )
    seen = positions[:, [0, 2]]
    middle = (seen.min(axis=0) + seen.max(axis=0)) / 2
    axes.set(xlim=middle[0] + span * np.array([-0.5, 0.5]), aspect="equal")
    axes.set(ylim=middle[1] + span * np.array([-0.5, 0.5]))
    axes.set_axis_off()
    figure.canvas.draw()
    pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()
    plt.close(figure)
    return pixels
