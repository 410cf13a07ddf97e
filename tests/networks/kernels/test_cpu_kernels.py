"""The compiled kernels against the same layers on torch, in double precision."""

import subprocess
import sys

import pytest
import torch

from hoomd_gala.networks import attention
from hoomd_gala.networks.algebra import pair_products
from hoomd_gala.networks.attention import InvariantAttention, TiedAttention, VectorAttention

WIDTH = 12
LAYERS = [InvariantAttention, VectorAttention, TiedAttention]


def run(layer, vectors, values):
    """Outputs of a layer and the gradients of a random scalar of them, by name."""
    vectors = vectors.clone().requires_grad_()
    values = values.clone().requires_grad_()
    outputs = layer(pair_products(vectors), values)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    generator = torch.Generator().manual_seed(5)
    weights = [torch.randn(x.shape, generator=generator).to(x) for x in outputs]
    total = sum((x * w).sum() for x, w in zip(outputs, weights, strict=True))
    inputs = {"vectors": vectors, "values": values} | dict(layer.named_parameters())
    gradients = torch.autograd.grad(total, list(inputs.values()), allow_unused=True)
    named = {str(k): x.detach() for k, x in enumerate(outputs)}
    return named | {k: x for k, x in zip(inputs, gradients, strict=True) if x is not None}


def make(kind, reduce, clouds, n, hidden):
    torch.manual_seed(clouds * n)
    layer = kind(WIDTH, hidden, reduce)
    return layer, 0.5 * torch.randn(clouds, n, 3), torch.randn(clouds, n, WIDTH)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("reduce", [False, True])
@pytest.mark.parametrize(
    ("clouds", "n", "hidden"),
    [(19, 20, 20), (64, 20, 32), (1, 20, 13), (3, 7, 10), (16, 7, 4), (5, 1, 8)],
)
def test_kernels_equal_torch(kind, reduce, clouds, n, hidden):
    layer, vectors, values = make(kind, reduce, clouds, n, hidden)
    ours = run(layer, vectors, values)
    theirs = run(layer.double(), vectors.double(), values.double())
    assert ours.keys() == theirs.keys()
    for name, expected in theirs.items():
        difference = (ours[name].double() - expected).abs()
        # some gradients cancel but for rounding: of what shifts all scores alike
        tolerance = 1e-4 * (expected.abs() + max(1, float(expected.abs().max())))
        # rounding decides on which side of its bend a hidden unit is that is all but at it; a row
        # of weights, or a bias, is that of one unit
        of_units = name.startswith(("value", "score", "scale"))
        allowed = max(0.005, 3.5 / len(expected)) if of_units else 0.005
        assert (difference > tolerance).double().mean() < allowed, name


@pytest.mark.parametrize("kind", LAYERS)
def test_float32_on_the_cpu_takes_the_kernels(kind, monkeypatch):
    def fail(*_):
        raise AssertionError("the torch path was taken")

    monkeypatch.setattr(attention.PairPass, "apply", fail)
    layer, vectors, values = make(kind, False, 2, 5, 8)
    run(layer, vectors, values)
    with torch.inference_mode():
        layer(pair_products(vectors), values)
    with pytest.raises(AssertionError):
        run(layer.double(), vectors.double(), values.double())


def test_not_contiguous_input():
    layer, vectors, values = make(TiedAttention, True, 7, 9, 8)
    strided = vectors.mT.contiguous().mT, values.mT.contiguous().mT
    ours, theirs = run(layer, *strided), run(layer, vectors, values)
    for name, expected in theirs.items():
        torch.testing.assert_close(ours[name], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("reduce", [False, True])
def test_gradients_are_finite_where_norms_have_none(kind, reduce):
    layer, vectors, values = make(kind, reduce, 4, 20, 12)
    vectors[0] = 0  # all in one place
    vectors[1, 1] = vectors[1, 0]  # two coincide
    vectors[2] = torch.linspace(0.1, 1, 20)[:, None] * torch.tensor([1.0, 2.0, 3.0])  # on a line
    assert all(torch.isfinite(x).all() for x in run(layer, vectors, values).values())


def test_nan_stays_in_its_own_cloud():
    layer, vectors, values = make(InvariantAttention, True, 20, 20, 12)
    expected = layer(pair_products(vectors), values)
    vectors[3, 4, 1] = torch.nan
    found = layer(pair_products(vectors), values)
    others = torch.arange(20) != 3
    assert torch.isnan(found[3]).all()
    assert torch.equal(found[others], expected[others])


@pytest.mark.parametrize("threads", [1, 2])
def test_results_repeat_and_hardly_depend_on_threads(threads):
    layer, vectors, values = make(TiedAttention, False, 50, 20, 16)
    single = run(layer, vectors, values)
    torch.set_num_threads(threads)
    try:
        first, again = run(layer, vectors, values), run(layer, vectors, values)
    finally:
        torch.set_num_threads(1)
    for name, expected in single.items():
        assert torch.equal(first[name], again[name])
        atol = 1e-5 * max(1, float(expected.abs().max()))
        torch.testing.assert_close(first[name], expected, rtol=1e-5, atol=atol)


def test_no_clouds():
    layer, vectors, values = make(TiedAttention, True, 0, 20, 8)
    out = run(layer, vectors, values)
    assert out["0"].shape == (0, 3)
    assert out["1"].shape == (0, WIDTH)


def test_import_leaves_numba_alone():
    code = "import sys, hoomd_gala, hoomd_gala.networks; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
