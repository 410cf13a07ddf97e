"""What is seen in a picture: decoded, and looked for colors."""

import matplotlib.image
import numpy as np
from matplotlib.colors import to_rgb


def pixels(path):
    """Pixels of a PNG, (rows, columns, 3), from 0 to 1; it must show something."""
    picture = matplotlib.image.imread(path)[..., :3]
    assert min(picture.shape[:2]) > 200
    drawn = (picture < 0.95).any(axis=-1).mean()
    assert drawn > 0.01, f"{path} is blank"
    return picture


def share(path, color, within=0.02):
    """Share of pixels that have a color, but for what a PNG rounds."""
    return float((abs(pixels(path) - np.array(to_rgb(color))) < within).all(axis=-1).mean())


def check_colors(path, colors, least=1e-5):
    """Every one of some colors must be seen in a picture."""
    for color in colors:
        assert share(path, color) >= least, f"{path} does not show {color}"
