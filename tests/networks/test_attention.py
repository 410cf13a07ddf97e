"""Layers against geometric-algebra-attention, and the symmetries they must have."""

import geometric_algebra_attention.pytorch as reference
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from hoomd_gala.networks import Core, CoreConfig, FrameClassifier
from hoomd_gala.networks.algebra import pair_products
from hoomd_gala.networks.attention import (
    InvariantAttention,
    LabeledVectorAttention,
    TiedAttention,
    VectorAttention,
)

WIDTH, HIDDEN = 12, 20

LAYERS = {
    InvariantAttention: reference.VectorAttention,
    VectorAttention: reference.Vector2VectorAttention,
    TiedAttention: reference.TiedVectorAttention,
}


def as_reference(layer, reduce):
    """The library's layer with the same weights."""
    options = {"score_net": layer.score, "value_net": layer.value, "reduce": reduce}
    if isinstance(layer, VectorAttention):
        options |= {"scale_net": layer.scale, "covariant_mode": "full"}
    kind = LAYERS.get(type(layer), reference.LabeledVectorAttention)
    result = kind(WIDTH, invariant_mode="full", **options)
    if isinstance(layer, VectorAttention):
        result.vector_kernels = layer.covariant_weights
    return result


def as_tuple(value):
    return value if isinstance(value, tuple) else (value,)


def random_cloud(seed, batch=19, n=20):
    generator = torch.Generator().manual_seed(seed)
    vectors = 0.5 * torch.randn(batch, n, 3, generator=generator)
    return vectors, torch.randn(batch, n, WIDTH, generator=generator)


@pytest.mark.parametrize("reduce", [False, True])
@pytest.mark.parametrize("kind", LAYERS)
@settings(max_examples=5, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**31))
def test_layers_equal_the_library(kind, reduce, seed):
    torch.manual_seed(seed)
    layer = kind(WIDTH, HIDDEN, reduce)
    vectors, values = random_cloud(seed)
    single = as_tuple(layer(pair_products(vectors), values))
    # the library in double precision: there no rounding hides a wrong gradient
    layer.double()
    vectors, values = (x.double().requires_grad_() for x in (vectors, values))
    ours = as_tuple(layer(pair_products(vectors), values))
    theirs = as_tuple(as_reference(layer, reduce)((vectors, values)))
    for a, b, c in zip(ours, theirs, single, strict=True):
        scale = max(1, float(b.detach().abs().max()))
        torch.testing.assert_close(a, b, atol=1e-12 * scale, rtol=1e-10)
        torch.testing.assert_close(c.double(), b, atol=1e-5 * scale, rtol=1e-5)
    # gradients of a random scalar agree as well, for inputs and all weights
    inputs = [vectors, values, *layer.parameters()]
    weights = [torch.randn_like(a) for a in ours]
    total = [sum((a * w).sum() for a, w in zip(x, weights, strict=True)) for x in (ours, theirs)]
    mine = torch.autograd.grad(total[0], inputs, allow_unused=True)
    other = torch.autograd.grad(total[1], inputs, allow_unused=True)
    for a, b, weight in zip(mine, other, inputs, strict=True):
        # a weight that shifts all scores alike has no gradient: one of the two may not see it
        a, b = (torch.zeros_like(weight) if x is None else x for x in (a, b))
        scale = max(1, float(b.abs().max()))
        torch.testing.assert_close(a, b, atol=1e-11 * scale, rtol=1e-9)


def test_labeled_layer_equals_the_library():
    torch.manual_seed(0)
    layer = LabeledVectorAttention(WIDTH, HIDDEN)
    vectors, values = random_cloud(0, n=3)
    labels = torch.randn(19, 20, WIDTH)
    ours = layer(labels, pair_products(vectors), values)
    theirs = as_reference(layer, True)((labels, (vectors, values)))
    assert ours.shape == (19, 20, 3)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_pair_pass_gradient_in_double_precision():
    torch.manual_seed(1)
    for reduce in (False, True):
        layer = TiedAttention(3, 4, reduce).double()
        vectors = torch.randn(2, 4, 3, dtype=torch.double, requires_grad=True)
        values = torch.randn(2, 4, 3, dtype=torch.double, requires_grad=True)
        assert torch.autograd.gradcheck(
            lambda r, v, layer=layer: layer(pair_products(r), v), (vectors, values)
        )


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), tied=st.booleans(), blocks=st.integers(1, 3))
def test_core_rotates_with_the_sample_and_permutes_with_its_bonds(seed, tied, blocks):
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    config = CoreConfig(max_types=2, width=WIDTH, hidden=HIDDEN, blocks=blocks, tied=tied)
    core = Core(config).double()
    bonds = torch.as_tensor(rng.normal(scale=0.5, size=(3, 20, 3)))
    types = torch.as_tensor(rng.normal(size=(3, 20, 4)))
    rotation = torch.as_tensor(Rotation.random(random_state=seed % 2**31).as_matrix())
    order = torch.as_tensor(rng.permutation(20))
    vectors, values = core(bonds, types)
    rotated, same = core((bonds @ rotation.T)[:, order], types[:, order])
    scale = float(vectors.detach().abs().max())
    torch.testing.assert_close(rotated, (vectors @ rotation.T)[:, order], atol=1e-9 * scale, rtol=0)
    torch.testing.assert_close(same, values[:, order], atol=1e-9, rtol=1e-9)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), tied=st.booleans())
def test_classifier_sees_neither_rotation_nor_permutation(seed, tied):
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = FrameClassifier(CoreConfig(width=WIDTH, hidden=HIDDEN, blocks=2, tied=tied), 5)
    network.double()
    bonds = torch.as_tensor(rng.normal(scale=0.5, size=(3, 20, 3)))
    types = torch.zeros(3, 20, 2, dtype=torch.double)
    rotation = torch.as_tensor(Rotation.random(random_state=seed % 2**31).as_matrix())
    order = torch.as_tensor(rng.permutation(20))
    for a, b in zip(
        network(bonds, types), network((bonds @ rotation.T)[:, order], types), strict=True
    ):
        torch.testing.assert_close(a, b, atol=1e-8, rtol=1e-8)


def test_reducing_vector_layer_rotates_with_the_sample():
    torch.manual_seed(3)
    layer = VectorAttention(WIDTH, HIDDEN, reduce=True)
    vectors, values = random_cloud(3)
    rotation = torch.as_tensor(Rotation.random(random_state=3).as_matrix(), dtype=torch.float32)
    out = layer(pair_products(vectors), values)
    rotated = layer(pair_products(vectors @ rotation.T), values)
    torch.testing.assert_close(rotated, out @ rotation.T, atol=1e-6, rtol=1e-5)


def test_gradients_are_finite_for_coincident_and_collinear_bonds():
    torch.manual_seed(4)
    network = FrameClassifier(CoreConfig(width=WIDTH, hidden=HIDDEN, blocks=2), 3)
    bonds = torch.randn(4, 20, 3)
    bonds[0] = 0  # all in one place
    bonds[1, 1] = bonds[1, 0]  # two coincide
    bonds[2] = torch.linspace(0.1, 1, 20)[:, None] * torch.tensor([1.0, 2.0, 3.0])  # on a line
    bonds.requires_grad_()
    logits, _ = network(bonds, torch.zeros(4, 20, 2))
    logits.logsumexp(-1).sum().backward()
    assert torch.isfinite(logits).all()
    assert torch.isfinite(bonds.grad).all()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)
