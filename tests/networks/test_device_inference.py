"""Embeddings by the kernels for GPUs against the networks in double precision."""

import pytest
import torch

from hoomd_gala.files.models import load_model
from hoomd_gala.networks import (
    Context,
    CoreConfig,
    Denoiser,
    FrameClassifier,
    encode_types,
)
from hoomd_gala.networks.inference import DeviceEmbedder, device_embedder, device_surroundings
from hoomd_gala.networks.kernels import choice

pytest.importorskip("triton", reason="Triton, which is for Linux, is not installed")
triton_kernels = pytest.importorskip("hoomd_gala.networks.kernels.triton")

ON_GPU = torch.cuda.is_available()
DEVICE = "cuda" if ON_GPU else "cpu"
#: The interpreter divides where a GPU would not look.
pytestmark = pytest.mark.filterwarnings("ignore:.*encountered in divide:RuntimeWarning")


@pytest.fixture
def on_triton(monkeypatch):
    """Have tensors of the CPU go to these kernels, too."""
    monkeypatch.setitem(choice.BACKENDS, "cpu", choice.BACKENDS["cuda"])


NETWORKS = {
    "structures": lambda: load_model("structures").network,
    "untied": lambda: FrameClassifier(CoreConfig(hidden=24, blocks=2), 5),
    "types, no pool": lambda: Denoiser(CoreConfig(max_types=3, width=10, hidden=14, tied=True)),
    "untied, no pool": lambda: Denoiser(CoreConfig(width=12, hidden=16, blocks=1)),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("n", [20, 7])
def test_embeddings_are_those_of_the_network(on_triton, name, n):
    torch.manual_seed(3)
    network = NETWORKS[name]()
    max_types = network.core.embed_types.in_features // 2
    clouds = 5000 if ON_GPU else 5
    bonds = 0.5 * torch.randn(clouds, n, 3)
    types, others = torch.randint(max_types, (clouds,)), torch.randint(max_types, (clouds, n))
    with torch.inference_mode():
        network.double()
        expected = network.embed(bonds.double(), encode_types(types, others, max_types))
        embedder = DeviceEmbedder(network.float().to(DEVICE), max_types)
        found = embedder(*(x.to(DEVICE) for x in (bonds, types, others))).cpu()
    assert found.dtype == torch.float32
    assert expected.std() > 0.01
    # a trained network amplifies rounding in a few of these random environments, on CPUs as well
    difference = (found - expected).abs() / max(1, float(expected.abs().max()))
    assert float(difference.median()) < 1e-6
    assert float((difference > 1e-4).double().mean()) < 1e-3


def test_no_environments(on_triton):
    network = NETWORKS["structures"]().to(DEVICE)
    embedder = DeviceEmbedder(network, 1)
    nobody = torch.zeros(0, 20, 3, device=DEVICE)
    with torch.inference_mode():
        types = torch.zeros(0, dtype=torch.int64, device=DEVICE)
        assert embedder(nobody, types, types.new_zeros(0, 20)).shape == (0, 32)


@pytest.mark.parametrize("size", [20, 48])
def test_surroundings_are_those_of_the_context(size):
    torch.manual_seed(4)
    context = Context(12, size)
    everyone, neighbors = torch.randn(70, 12), torch.randint(70, (41, 9), dtype=torch.int32)
    own = everyone[20:61]
    with torch.inference_mode():
        expected = context(own, everyone[neighbors.long()])
        context.to(DEVICE)
        own, everyone, neighbors = (x.to(DEVICE) for x in (own, everyone, neighbors))
        found = device_surroundings(context, own, everyone, neighbors)
        by_kernel = triton_kernels.around(context.own(own), context.other(everyone), neighbors)
    for result in (found, by_kernel):
        torch.testing.assert_close(result.cpu(), expected, rtol=1e-5, atol=1e-5)


def test_only_a_gpu_gets_one():
    network = NETWORKS["structures"]().to(DEVICE)
    embedder = device_embedder(network, 1)
    assert (embedder is not None) == ON_GPU
    assert device_embedder(network.double(), 1) is None
