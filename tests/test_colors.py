"""Colors of structures that have none of their own."""

import math

import pytest

from hoomd_gala.colors import COLORS, DISTINCT, structure_color
from hoomd_gala.crystals import unit_cells
from hoomd_gala.files.models import load_model
from hoomd_gala.files.shipped import shipped_models

NAMES = {
    name for path in shipped_models().values() for name in load_model(path).info.class_names or ()
} | set(unit_cells())


@pytest.mark.parametrize("other", [*COLORS, "white", "black"])
def test_no_structure_looks_like_one_with_a_color_of_its_own(other):
    assert len(NAMES) > 500
    color = COLORS.get(other) or 3 * (float(other == "white"),)
    near = {name for name in NAMES - {other} if math.dist(structure_color(name), color) < DISTINCT}
    # the standard colors are OVITO's, and as far apart as these are
    assert near <= set(COLORS)
