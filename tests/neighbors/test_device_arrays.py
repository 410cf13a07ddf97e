"""Arrays on a GPU are taken as they are, and only labels come back."""

import numpy as np
import pytest
import torch

from hoomd_gala.neighbors.device_arrays import host_system, in_tag_order

if not torch.cuda.is_available():
    pytest.skip("there is no CUDA GPU", allow_module_level=True)


class DeviceArray:
    """What HOOMD's GPU snapshot gives: nothing but the interface."""

    def __init__(self, tensor, read_only=False):
        self.tensor = tensor
        self.__cuda_array_interface__ = dict(tensor.__cuda_array_interface__)


def test_system_from_arrays_on_the_device(bcc, rng):
    # four numbers for each particle, as HOOMD has them, in an order of its own
    total = len(bcc.positions)
    tags = rng.permutation(total)
    padded = torch.zeros(total, 4, dtype=torch.float64, device="cuda")
    padded[:, :3] = torch.as_tensor(bcc.positions[tags])
    types = torch.as_tensor(tags % 2, dtype=torch.int32, device="cuda")
    system = in_tag_order(
        DeviceArray(padded[:, :3]),
        DeviceArray(types),
        DeviceArray(torch.as_tensor(tags, dtype=torch.int32, device="cuda")),
        bcc.box,
    )
    assert system.positions.is_cuda
    assert system.types.is_cuda
    back = host_system(system)
    np.testing.assert_array_equal(back.positions, bcc.positions)
    np.testing.assert_array_equal(back.types, np.arange(total) % 2)
    # what the engine does next is not seen
    padded.zero_()
    np.testing.assert_array_equal(host_system(system).positions, bcc.positions)
