"""Random stackings of close-packed layers."""

import numpy as np
import pytest
from study.solids import references

from hoomd_gala.crystals.stackings import random_stacking


@pytest.mark.parametrize("diamond", [False, True])
def test_random_stackings_are_labeled_as_by_template_matching(diamond):
    rng = np.random.default_rng(3)
    names = ("cF8-C", "hP4-C.3") if diamond else ("cF4-Cu", "hP2-Mg")
    for _ in range(3):
        sample = random_stacking(0, 1, diamond, rng)
        found = references.template_matching(sample, 0.1).label
        np.testing.assert_array_equal(found, np.array(names)[sample.types])
