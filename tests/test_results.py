"""What results and clusters print, and messages about classes that a model does not have."""

import numpy as np
import pytest

from hoomd_gala import InputError
from hoomd_gala.names import STRUCTURES
from hoomd_gala.results import Clusters, Result, class_indices


def test_results_and_clusters_print_as_one_line():
    names = ("cF4-Cu", "cI2-W", "disordered")
    label = np.array([0, 0, 0, 2, -1, -1, 0, 0], np.int32)
    result = Result(label, np.ones(8, np.float32), np.zeros((8, 2), np.float32), names)
    assert repr(result) == (
        "Result(of 8 particles: fcc (cF4-Cu) 0.625, unknown 0.25, disordered 0.125)"
    )
    empty = Result(label[:0], np.ones(0, np.float32), np.zeros((0, 2), np.float32), names)
    assert repr(empty) == "Result(of 0 particles: no structures)"
    found = Clusters(np.zeros(20, np.int32), np.array([9, 5, 3, 1]))
    assert repr(found) == "Clusters(of 20 particles, 4 clusters: 9, 5, 3, …)"
    assert repr(Clusters(np.full(3, -1, np.int32), np.zeros(0, int))) == (
        "Clusters(of 3 particles, 0 clusters)"
    )


def test_solid_is_what_is_neither_disordered_nor_unknown():
    label = np.array([0, 1, 2, -1], np.int32)
    names = ("cF4-Cu", "cI2-W", "disordered")
    result = Result(label, np.ones(4, np.float32), np.zeros((4, 2), np.float32), names)
    assert result.solid_fraction == result.fraction() == 0.5


def test_of_many_classes_a_message_has_the_similar_ones():
    names = [*STRUCTURES][:40]
    with pytest.raises(InputError, match=r"no class 'fc'; it has fcc \(cF4-Cu\)") as caught:
        class_indices(names, "fc")
    assert len(str(caught.value)) < 200
    with pytest.raises(InputError, match="no class '§§§'; hoomd-gala models MODEL lists those"):
        class_indices(names, "§§§")
