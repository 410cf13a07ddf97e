"""Pictures of frames, rendered by OVITO without a window."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ovito.data import DataCollection, Particles, SimulationCell
from ovito.pipeline import Pipeline, StaticSource
from ovito.vis import TachyonRenderer, Viewport

from ..errors import InputError
from ..systems import lattice_vectors

#: From where frames are seen, and the plane that cuts them open, as in the examples.
_CAMERA = (-0.45, 1, -0.35)


def render_particles(
    positions: NDArray[Any],
    colors: NDArray[Any],
    radius: float,
    box: NDArray[Any] | Sequence[float],
    size: int = 1000,
    rays: int = 12,
) -> NDArray[np.uint8]:
    """Render particles in their box, on white.

    Parameters
    ----------
    positions : (N, 3)
        Centers.
    colors : (N, 3)
        Red, green and blue in [0, 1].
    radius : float
        Of all particles, in the unit of the positions.
    box : (6,)
        As HOOMD and GSD have it.
    size : int
        Rows and columns.
    rays : int
        Of each pixel; the time that a picture takes is in proportion.

    Returns
    -------
    (rows, columns, 3) uint8

    Raises
    ------
    InputError
        If OVITO cannot render on this machine.
    """
    lattice = lattice_vectors(np.asarray(box, np.float64))
    data = DataCollection()
    cell: Any = SimulationCell(pbc=(True, True, True))
    cell[:, :3] = lattice.T
    cell[:, 3] = -lattice.sum(axis=0) / 2
    # in a small box, lines that go with the particles
    edge = float(np.linalg.norm(lattice, axis=1).mean())
    cell.vis.line_width = max(0.003 * edge, 0.08 * radius)
    cell.vis.rendering_color = (0.4, 0.4, 0.4)
    particles: Any = Particles()
    particles.create_property("Position", data=positions)
    particles.create_property("Color", data=colors)
    particles.vis.radius = radius
    for part in (cell, particles):
        data.objects.append(part)
    pipeline = Pipeline(source=StaticSource(data=data))
    pipeline.add_to_scene()
    try:
        view = Viewport(type=Viewport.Type.Perspective, camera_dir=_CAMERA)
        view.zoom_all(size=(size, size))
        renderer = TachyonRenderer(antialiasing_samples=rays)
        image: Any = view.render_image(size=(size, size), background=(1, 1, 1), renderer=renderer)
    except RuntimeError as error:
        raise InputError(
            f"OVITO cannot render here ({str(error).splitlines()[0].rstrip('.')}); it needs a "
            "Vulkan driver, which works without a GPU as well: Debian and Ubuntu have it in "
            "libvulkan1 and mesa-vulkan-drivers."
        ) from None
    finally:
        pipeline.remove_from_scene()
    image = image.convertToFormat(image.Format.Format_RGB888)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3).copy()
