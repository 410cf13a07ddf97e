"""Arrays on a GPU are taken as they are, and only labels come back."""

import numpy as np
import pytest
import torch
from conftest import needs_cuda

from hoomd_gala.errors import InputError
from hoomd_gala.neighbors.device_arrays import (
    device_system,
    has_bodies,
    host_system,
    in_tag_order,
)


class DeviceArray:
    """What HOOMD's GPU snapshot gives: nothing but the interface."""

    def __init__(self, tensor):
        self.tensor = tensor
        self.__cuda_array_interface__ = dict(tensor.__cuda_array_interface__)


#: Tensors of the CPU stand for those of a GPU where there is none.
PLACES = [("cpu", lambda tensor: tensor), pytest.param("cuda", DeviceArray, marks=needs_cuda)]


@pytest.mark.parametrize(("device", "present"), PLACES)
def test_particles_in_the_order_of_tags(bcc, rng, device, present):
    # four numbers for each particle, as HOOMD has them, in an order of its own
    total = len(bcc.positions)
    tags = rng.permutation(total)
    padded = torch.zeros(total, 4, dtype=torch.float64, device=device)
    padded[:, :3] = torch.as_tensor(bcc.positions[tags])
    types = torch.as_tensor(tags % 2, dtype=torch.int32, device=device)
    numbers = torch.as_tensor(tags, dtype=torch.int32, device=device)
    arrays = [present(array) for array in (padded[:, :3], types, numbers)]
    system = in_tag_order(*arrays, bcc.box)
    assert system.positions.device.type == system.types.device.type == device
    back = host_system(system)
    np.testing.assert_array_equal(back.positions, bcc.positions)
    np.testing.assert_array_equal(back.types, np.arange(total) % 2)
    # what the engine does next is not seen
    padded.zero_()
    types.zero_()
    np.testing.assert_array_equal(host_system(system).positions, bcc.positions)
    np.testing.assert_array_equal(host_system(system).types, np.arange(total) % 2)


@pytest.mark.parametrize(("device", "present"), PLACES)
@pytest.mark.parametrize(("bodies", "any_of_them"), [([-1, -1, -3], False), ([-1, 0, 0], True)])
def test_bodies_are_seen_where_they_are(bodies, any_of_them, device, present):
    # HOOMD's own arrays are signed or not
    for kind in (torch.int32, torch.uint32):
        body = torch.tensor(bodies, dtype=torch.int32, device=device).view(kind)
        assert has_bodies(present(body)) == any_of_them


@pytest.mark.parametrize(("device", "present"), PLACES)
def test_positions_stay_where_they_are(bcc, device, present):
    positions = torch.as_tensor(bcc.positions, device=device)
    system = device_system(present(positions), bcc.box)
    assert system.positions.data_ptr() == positions.data_ptr()
    assert system.types.device.type == device
    np.testing.assert_array_equal(host_system(system).types, np.zeros(len(positions)))


def test_a_system_on_the_host_stays_there(bcc):
    assert host_system(bcc).positions is bcc.positions


def test_positions_that_are_not_finite_are_refused_at_once(bcc):
    positions = torch.as_tensor(bcc.positions).clone()
    positions[5, 1] = torch.nan
    with pytest.raises(InputError, match="NaN or infinite for 1 of"):
        device_system(positions, bcc.box)
