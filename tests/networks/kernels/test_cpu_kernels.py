"""The compiled kernels against the same layers on plain torch, in double precision."""

import copy
import subprocess
import sys

import pytest
import torch

from hoomd_gala.networks.algebra import pair_products
from hoomd_gala.networks.attention import InvariantAttention, TiedAttention, VectorAttention
from hoomd_gala.networks.kernels import VARIABLE, around, pair_weights, reference, use
from hoomd_gala.networks.kernels.cpu import pair_sums, passes

WIDTH = 12
LAYERS = [InvariantAttention, VectorAttention, TiedAttention]


@pytest.fixture(autouse=True)
def no_fallback(monkeypatch):
    """Kernels that do not pass their verification are an error here."""
    monkeypatch.setenv(VARIABLE, "fused")


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


#: How far every hidden unit of the clouds that tests use is from its bend. Nearer to it, rounding
#: decides whether the unit is active, and single gradients of a correct kernel differ. Products of
#: bfloat16 on matrix units round by up to 7e-5.
MARGIN = 5e-5 if passes.TILE == 4 else 1e-4
#: Largest error relative to the largest number of an array: twice what a correct kernel reaches in
#: vector registers, and five times the rounding of products of bfloat16. With registers of eight
#: numbers it reaches 7.5e-6 on one thread, where terms that cancel are added up in longer chains
#: (1e-6 on two threads); with those of sixteen 2e-6.
CLOSE = 1.6e-5 if passes.TILE == 4 else 1e-4


def hidden_units(layer, vectors, values):
    """Hidden units of V and of the heads before they are rectified: each (B, n, n, units)."""
    weights = pair_weights(layer.weights())
    members = values @ weights.members.T
    features = pair_products(vectors).invariants @ weights.first.T
    hidden = (members + weights.own).unsqueeze(2) + members.unsqueeze(1)
    hidden = hidden + features.relu() @ weights.middle.T
    # units that pad the layers are always zero
    return [x[..., w.any(1)] for x, w in ((features, weights.first), (hidden, weights.middle))]


def from_bends(layer, vectors, values):
    """Distance of the hidden unit that is nearest to its bend, for each cloud."""
    units = hidden_units(layer, vectors, values)
    return torch.cat([x.abs().flatten(1) for x in units], 1).min(1).values


def make(kind, reduce, clouds, n, hidden):
    """A layer, and clouds that are clear of the bends of its hidden units."""
    torch.manual_seed(clouds * n)
    layer = kind(WIDTH, hidden, reduce)
    exact = copy.deepcopy(layer).double().requires_grad_(False)
    vectors, values = torch.empty(clouds, n, 3), torch.empty(clouds, n, WIDTH)
    left = torch.arange(clouds)
    while len(left):
        vectors[left] = 0.5 * torch.randn(len(left), n, 3)
        values[left] = torch.randn(len(left), n, WIDTH)
        left = left[from_bends(exact, vectors[left].double(), values[left].double()) < MARGIN]
    return layer, vectors, values


def middle_of_gap(units):
    """Middle of the widest gap between what each unit has, among the values near zero."""
    units = units.flatten(0, -2)
    extent = units.abs().quantile(0.3, dim=0)
    ends = torch.cat((units.clamp(-extent, extent), torch.stack((-extent, extent)))).sort(0).values
    at = ends.diff(dim=0).argmax(0, keepdim=True)
    return 0.5 * (ends.gather(0, at) + ends.gather(0, at + 1))[0]


def make_large(kind, reduce, clouds, n, hidden):
    """As :func:`make`, of so many pairs that no random cloud is clear of all bends.

    Biases put the bends into gaps between what the pairs have.
    """
    torch.manual_seed(clouds * n)
    layer = kind(WIDTH, hidden, reduce).requires_grad_(False)
    vectors, values = 0.5 * torch.randn(clouds, n, 3), torch.randn(clouds, n, WIDTH)
    exact = copy.deepcopy(layer).double()
    inputs = exact, vectors.double(), values.double()
    exact.value[0].bias -= middle_of_gap(hidden_units(*inputs)[0])
    parts = middle_of_gap(hidden_units(*inputs)[1]).split(hidden)
    for head, part in zip(exact.heads(), parts, strict=True):
        head[0].bias -= part
    layer.load_state_dict(exact.state_dict())
    exact.load_state_dict(layer.state_dict())  # rounded
    assert from_bends(*inputs).min() > MARGIN
    return layer.requires_grad_(), vectors, values


def largest_error(found, expected):
    """Relative to the largest number of the array, or to 1: some gradients cancel."""
    scale = max(1, float(expected.abs().max())) if expected.numel() else 1
    return float((found.cpu().double() - expected).abs().max()) / scale


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("reduce", [False, True])
@pytest.mark.parametrize(
    ("clouds", "n", "hidden"),
    [(19, 20, 20), (64, 20, 32), (1, 20, 13), (3, 7, 10), (16, 7, 4), (5, 1, 8)],
)
def test_kernels_equal_the_reference(kind, reduce, clouds, n, hidden):
    layer, vectors, values = make(kind, reduce, clouds, n, hidden)
    ours = run(layer, vectors, values)
    theirs = run(layer.double(), vectors.double(), values.double())
    assert ours.keys() == theirs.keys()
    errors = {name: largest_error(ours[name], expected) for name, expected in theirs.items()}
    assert max(errors.values()) < CLOSE, errors


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize(("clouds", "n", "hidden"), [(2, 64, 16), (3, 65, 17), (1, 63, 15)])
def test_large_clouds(kind, clouds, n, hidden):
    layer, vectors, values = make_large(kind, clouds % 2 == 0, clouds, n, hidden)
    ours = run(layer, vectors, values)
    theirs = run(layer.double(), vectors.double(), values.double())
    errors = {name: largest_error(ours[name], expected) for name, expected in theirs.items()}
    assert max(errors.values()) < CLOSE, errors


@pytest.mark.parametrize("kind", LAYERS)
def test_float32_on_the_cpu_takes_the_kernels(kind, monkeypatch):
    def fail(*_):
        raise AssertionError("the reference was taken")

    layer, vectors, values = make(kind, False, 2, 5, 8)
    for verified in (False, True):
        if verified:
            monkeypatch.setattr(reference, "pair_sums", fail)
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
def test_results_repeat_and_barely_depend_on_threads(threads):
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


@pytest.mark.parametrize("kernels", ["fused", "reference"])
def test_no_clouds(kernels):
    layer, vectors, values = make(TiedAttention, True, 0, 20, 8)
    with use(kernels):
        out = run(layer, vectors, values)
    assert out["0"].shape == (0, 3)
    assert out["1"].shape == (0, WIDTH)


def test_import_leaves_numba_alone():
    code = "import sys, hoomd_gala, hoomd_gala.networks; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_compiling_is_announced_with_how_long_it_takes(monkeypatch, capsys):
    monkeypatch.setattr(passes, "are_cached", lambda name: False)
    pair_sums.announced.__wrapped__("embed")
    said = "hoomd-gala: compiling (embed), once on this machine: this may take a minute\n"
    assert capsys.readouterr().err == said


def surrounded(particles, n, size):
    """What particles add, their neighbors, and the gradient on their surroundings."""
    generator = torch.Generator().manual_seed(particles * n)
    own, other, upstream = (torch.randn(particles, size, generator=generator) for _ in range(3))
    # drawn with repetition, as in a cell so small that images of one particle are neighbors
    neighbors = torch.randint(particles, (particles, n), generator=generator)
    return own, other, neighbors, upstream


def with_gradients(function, own, other, neighbors, upstream):
    """Surroundings, and gradients of what particles add for themselves and as neighbors."""
    own, other = own.clone().requires_grad_(), other.clone().requires_grad_()
    units = function(own, other, neighbors)
    return [units.detach(), *torch.autograd.grad(units, (own, other), upstream)]


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(("particles", "n", "size"), [(500, 20, 64), (37, 7, 12), (1, 20, 5)])
def test_surroundings_equal_the_reference(threads, particles, n, size):
    own, other, neighbors, upstream = surrounded(particles, n, size)
    usual = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = with_gradients(around, own, other, neighbors, upstream)
        again = with_gradients(around, own, other, neighbors, upstream)
    finally:
        torch.set_num_threads(usual)
    double = (x.double() for x in (own, other))
    expected = with_gradients(reference.around, *double, neighbors, upstream.double())
    assert max(largest_error(a, b) for a, b in zip(found, expected, strict=True)) < 1e-6
    assert all(torch.equal(a, b) for a, b in zip(found, again, strict=True))


def test_surroundings_of_rows_of_a_larger_array():
    own, other, neighbors, upstream = surrounded(64, 20, 16)
    wide, tall = torch.cat((own, other), 1), torch.cat((neighbors, neighbors))
    found = with_gradients(around, wide[:, :16], wide[:, 16:], tall[::2], upstream)
    expected = with_gradients(reference.around, own, other, tall[::2], upstream)
    assert max(largest_error(a, b) for a, b in zip(found, expected, strict=True)) < 1e-6
