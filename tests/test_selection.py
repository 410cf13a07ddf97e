"""Particles chosen by indices, masks and names of types, however these are held."""

import numpy as np
import pytest
import torch

from hoomd_gala.errors import InputError
from hoomd_gala.selection import choose, select
from hoomd_gala.systems import make_system


@pytest.fixture
def mixture(rng):
    """Five particles of three types."""
    types = [0, 1, 0, 2, 1]
    return make_system(rng.random((5, 3)), [1, 1, 1], types, type_names=("Na", "Cl", "1"))


@pytest.mark.parametrize(
    ("chosen", "found"),
    [
        ([3, 0, 3], [3, 0, 3]),
        (np.array([3, 0], object), [3, 0]),
        (np.array([3, 0], np.uint8), [3, 0]),
        (torch.tensor([3, 0]), [3, 0]),
        ([torch.tensor(3), np.int16(0)], [3, 0]),
        (range(2), [0, 1]),
        (4, [4]),
        ([], []),
        (np.array([], object), []),
        ([True, False, False, False, True], [0, 4]),
        (np.array([True, False, False, False, True], object), [0, 4]),
        ("Cl", [1, 4]),
        (["Cl", "1"], [1, 3, 4]),
        (("1",), [3]),
        (np.array(["Cl", "1"], object), [1, 3, 4]),
        (np.array(["Cl"]), [1, 4]),
    ],
)
def test_choices(mixture, chosen, found):
    picked = select(mixture, chosen)
    assert picked.dtype == np.int64
    assert picked.tolist() == found


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ([[1], [2, 3]], "particles are made of list; give indices, a mask .* one kind of these"),
        ([[1, 2], [2, 3]], "particles are made of list"),
        (np.ones((2, 2), int), r"particles are of type int64 and shape \(2, 2\)"),
        (["Cl", 1], "particles are made of int, str"),
        (["Cl", None], "particles are made of NoneType, str"),
        ([True, 1], "particles are made of bool, int"),
        ([1.0, 2.0], "particles are made of float"),
        (np.array([1, 2.5], object), "particles are made of float, int"),
        ({1, 2}, "particles are made of set"),
        ([2**70], "particles are indices of more than 63 bits"),
        (np.array([2**63], np.uint64), "particles must be 0 to 4, not 9223372036854775808"),
        ([-1], "particles must be 0 to 4, not -1"),
        (np.ma.array([1, 2], mask=[False, True]), "particles are masked in 1 places"),
        ([True, False], "a mask of 2 for 5 particles"),
        ("K", "there is no type 'K'; there are Na, Cl, 1"),
    ],
)
def test_what_is_no_choice_gets_a_sentence(mixture, chosen, message):
    with pytest.raises(InputError, match=message):
        select(mixture, chosen)


def test_neighbors_have_to_be_there(mixture):
    with pytest.raises(InputError, match="none of the particles is a neighbor"):
        choose(mixture, None, [])
    assert choose(mixture, [], "Na").particles.tolist() == []
