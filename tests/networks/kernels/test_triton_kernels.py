"""The kernels for GPUs against the same layers on plain torch, in double precision.

Where there is no GPU they run in Triton's interpreter, which works on the CPU's tensors and rounds
as a GPU does, and are compiled for GPUs that are not there.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import needs_cuda
from test_cpu_kernels import LAYERS, make, make_large, run

from hoomd_gala.files.models import load_model
from hoomd_gala.networks import CoreConfig, FrameClassifier
from hoomd_gala.networks.algebra import pair_products
from hoomd_gala.networks.attention import InvariantAttention, TiedAttention
from hoomd_gala.networks.inference import embedding_error
from hoomd_gala.networks.kernels import choice
from hoomd_gala.networks.kernels.verification import pair_sums_error

pytest.importorskip("triton", reason="Triton, which is for Linux, is not installed")
triton_kernels = pytest.importorskip("hoomd_gala.networks.kernels.triton")

ON_GPU = torch.cuda.is_available()
DEVICE = "cuda" if ON_GPU else "cpu"
#: The interpreter divides where a GPU would not look.
pytestmark = pytest.mark.filterwarnings("ignore:.*encountered in divide:RuntimeWarning")
#: Of outputs, without and with the matrix units of a real GPU.
CLOSE = 1e-4 if ON_GPU else 5e-5


@pytest.fixture(autouse=True)
def only_these_kernels(monkeypatch):
    """Have layers in single precision run on them, on the CPU as well, and on nothing else."""
    monkeypatch.setitem(choice.BACKENDS, "cpu", choice.BACKENDS["cuda"])
    # what is verified here is what the tests themselves compare
    monkeypatch.setattr(choice, "_fault", lambda *_: None)
    monkeypatch.setattr(choice, "_verified", set())
    monkeypatch.setattr(choice, "_broken", {})
    monkeypatch.setenv(choice.VARIABLE, "fused")


def compare(layer, vectors, values):
    """Outputs and gradients against those in double precision."""
    theirs = run(layer.double(), vectors.double(), values.double())
    ours = run(layer.float().to(DEVICE), vectors.to(DEVICE), values.to(DEVICE))
    assert ours.keys() == theirs.keys()
    for name, expected in theirs.items():
        difference = (ours[name].cpu().double() - expected).abs()
        largest = max(1, float(expected.abs().max()))
        assert float(difference.max()) < CLOSE * largest, name


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize(
    ("reduce", "clouds", "n", "hidden"),
    [(True, 3, 20, 32), (False, 3, 7, 10), (True, 9, 7, 4), (False, 5, 1, 8), (False, 19, 3, 20)],
)
def test_kernels_equal_the_reference(kind, reduce, clouds, n, hidden):
    compare(*make(kind, reduce, clouds, n, hidden))


def test_more_points_than_rows():
    compare(*make(InvariantAttention, True, 1, triton_kernels.ROWS + 6, 8))


@pytest.mark.parametrize("kind", LAYERS)
def test_gradients_are_finite_where_norms_have_none(kind):
    layer, vectors, values = make(kind, True, 4, 5, 12)
    vectors[0] = 0  # all in one place
    vectors[1, 1] = vectors[1, 0]  # two coincide
    vectors[2] = torch.linspace(0.1, 1, 5)[:, None] * torch.tensor([1.0, 2.0, 3.0])  # on a line
    results = run(layer.to(DEVICE), vectors.to(DEVICE), values.to(DEVICE))
    assert all(torch.isfinite(x).all() for x in results.values())


def test_nan_stays_in_its_own_cloud():
    layer, vectors, values = make(InvariantAttention, True, 20, 5, 12)
    layer, vectors, values = (x.to(DEVICE) for x in (layer, vectors, values))
    expected = layer(pair_products(vectors), values)
    vectors[3, 4, 1] = torch.nan
    found = layer(pair_products(vectors), values)
    others = torch.arange(20) != 3
    assert torch.isnan(found[3]).all()
    assert torch.equal(found[others], expected[others])


@pytest.mark.parametrize("size", [1e-6, 1e3])
def test_vectors_beyond_what_halves_can_tell(size):
    layer, vectors, values = make(TiedAttention, True, 3, 5, 8)
    results = run(layer.to(DEVICE), size * vectors.to(DEVICE), values.to(DEVICE))
    assert all(torch.isfinite(x).all() for x in results.values())


def test_results_repeat():
    layer, *inputs = make(TiedAttention, False, 60 if ON_GPU else 6, 20 if ON_GPU else 5, 16)
    inputs = [x.to(DEVICE) for x in inputs]
    first, again = (run(layer.to(DEVICE), *inputs) for _ in range(2))
    assert all(torch.equal(x, again[name]) for name, x in first.items())


def test_not_contiguous_input():
    layer, vectors, values = make(TiedAttention, True, 3, 5, 8)
    layer, vectors, values = (x.to(DEVICE) for x in (layer, vectors, values))
    strided = vectors.mT.contiguous().mT, values.mT.contiguous().mT
    ours, theirs = run(layer, *strided), run(layer, vectors, values)
    for name, x in ours.items():
        # cuBLAS takes another algorithm for other strides
        torch.testing.assert_close(x, theirs[name], rtol=1e-5, atol=1e-5 if ON_GPU else 0)


def test_no_clouds():
    layer, *inputs = make(TiedAttention, True, 0, 20, 8)
    out = run(layer.to(DEVICE), *(x.to(DEVICE) for x in inputs))
    assert out["0"].shape == (0, 3)


@pytest.mark.parametrize(
    "config", ["shipped", CoreConfig(hidden=64, blocks=1)], ids=["shipped", "untied"]
)
def test_logits_of_a_network(config):
    torch.manual_seed(3)
    bonds = 0.5 * torch.randn(4000 if ON_GPU else 2, 20, 3)
    types = torch.zeros(len(bonds), 20, 2)
    network = (
        FrameClassifier(config, 87) if config != "shipped" else load_model("structures").network
    )

    def logits(network, bonds, types):
        embedding = network.embed(bonds, types)
        itself = torch.arange(len(embedding), device=embedding.device).unsqueeze(1)
        return network.name(embedding, *network.surround(embedding, itself))

    with torch.inference_mode():
        ours = logits(network.to(DEVICE), bonds.to(DEVICE), types.to(DEVICE)).cpu()
        network.cpu().double()
        theirs = logits(network, bonds.double(), types.double())
    assert float((ours - theirs).abs().max()) < CLOSE * max(1, float(theirs.abs().max()))


def test_kernels_pass_their_verification():
    apply, device = triton_kernels.PairSums.apply, torch.device(DEVICE)
    errors = pair_sums_error(apply, device, training=True)
    assert errors["values"] < 3e-5
    assert errors["gradients"] < 1e-3
    if ON_GPU:
        assert embedding_error(device, tied=True, pooled=True)["values"] < 3e-5


@pytest.mark.parametrize("capability", [80, 90])
def test_kernels_compile_for_gpus(capability):
    command = [sys.executable, Path(__file__).parents[2] / "compile_kernels.py", str(capability)]
    environment = os.environ | {"TRITON_INTERPRET": "0"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    kernels = json.loads(done.stdout)
    for name in ("inference", "training", "update", "backward, head 0", "backward, head 1"):
        assert kernels[name]["tensor_core_products"] > 0, name
    for name, needs in kernels.items():
        # what every GPU of compute capability 8.0 or newer has for a block
        assert needs["shared"] < 99 * 1024, name
    assert kernels["update"]["spilled"] == kernels["around"]["spilled"] == 0
    # inference keeps all that belongs to a pair in registers, or all but a little
    assert kernels["inference"]["spilled"] <= (0 if capability >= 90 else 128)


@needs_cuda
@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize(
    ("clouds", "n", "hidden"),
    # points of one cloud, and of all of them, about as many as a tile has rows
    [(2, 64, 16), (3, 65, 17), (1, 63, 15), (64, 1, 32), (9, 1, 32), (7, 9, 64), (13, 20, 33)],
)
def test_edges_of_tiles(kind, clouds, n, hidden):
    compare(*make_large(kind, clouds % 2 == 0, clouds, n, hidden))
