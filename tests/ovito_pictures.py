"""What OVITO shows: names of types, and pixels."""

import numpy as np
from ovito.io import import_file
from ovito.vis import TachyonRenderer, Viewport

#: Pixels of a picture.
SIZE = (300, 300)


def types_of(prop):
    return {kind.id: kind.name for kind in prop.types}


def names_of(prop):
    """Name of each particle's type."""
    types = types_of(prop)
    return np.array([types[k] for k in prop.array])


def render(path, frame):
    """Pixels of a frame as the file is loaded, without a modifier, on black: (rows, columns, 3)."""
    pipeline = import_file(str(path))
    pipeline.source.data.cell_.vis.enabled = False
    pipeline.source.data.particles_.vis.radius = 0.5
    pipeline.add_to_scene()
    try:
        view = Viewport(type=Viewport.Type.Ortho, camera_dir=(0, 1, 0))
        view.zoom_all(size=SIZE)
        renderer = TachyonRenderer(ambient_occlusion=False, shadows=False)
        image = view.render_image(size=SIZE, frame=frame, background=(0, 0, 0), renderer=renderer)
    finally:
        pipeline.remove_from_scene()
    return pixels_of(image)


def pixels_of(image):
    """Red, green and blue of a picture in [0, 1]: (rows, columns, 3)."""
    image = image.convertToFormat(image.Format.Format_RGB888)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3) / 255


def count_pixels(pixels, color):
    """Pixels of a color in any light but the darkest; light changes all three parts alike."""
    brightness = pixels.max(axis=-1, keepdims=True)
    hue = pixels / np.maximum(brightness, 1e-6)
    wanted = np.array(color) / max(color)
    return int(((np.abs(hue - wanted).max(axis=-1) < 0.08) & (brightness[..., 0] > 0.4)).sum())
