"""Which kernels are used, and what happens to kernels that do not work."""

import warnings

import numpy as np
import pytest
import torch

from hoomd_gala import Analyzer, InputError
from hoomd_gala.crystals.prototypes import crystal, displace, unit_cell
from hoomd_gala.files.models import load_model
from hoomd_gala.networks.algebra import pair_products
from hoomd_gala.networks.attention import TiedAttention
from hoomd_gala.networks.kernels import CHOICES, VARIABLE, around, choice, reference, use
from hoomd_gala.networks.kernels.cpu import pair_sums, passes

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def unused(monkeypatch):
    """Kernels that are compiled and have not been verified yet."""
    for name in ("forward", "backward", "embed", "surroundings_backward"):
        pair_sums.announced(name)
    monkeypatch.setattr(choice, "_verified", set())
    monkeypatch.setattr(choice, "_broken", {})
    monkeypatch.delenv(VARIABLE, raising=False)


def broken(monkeypatch, name, spoil):
    """Have a compiled kernel spoil the arrays that it has written."""
    kernel = getattr(passes, name)

    def run(*args):
        kernel(*args)
        spoil(args)

    monkeypatch.setattr(passes, name, run)


def negate_a_column(args):
    args[-1][..., 3] *= -1  # sums


def negate_gradients_of_vectors(args):
    args[13][:] *= -1


def layer_and_inputs():
    torch.manual_seed(1)
    layer = TiedAttention(12, 10)
    vectors = (0.5 * torch.randn(5, 7, 3)).requires_grad_()
    return layer, vectors, torch.randn(5, 7, 12)


def results(layer, vectors, values):
    """Vectors and values of a layer, and the gradient on its input."""
    outputs = layer(pair_products(vectors), values)
    return [*outputs, *torch.autograd.grad(sum(x.square().sum() for x in outputs), vectors)]


def on_reference(layer, vectors, values):
    with use("reference"):
        return results(layer, vectors, values)


def close(found, expected):
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_good_kernels_are_taken_without_a_warning(monkeypatch):
    inputs = layer_and_inputs()
    expected = on_reference(*inputs)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        results(*inputs)
    monkeypatch.setattr(reference, "pair_sums", None)
    close(results(*inputs), expected)


@pytest.mark.parametrize(
    ("kernel", "spoil", "kind"),
    [
        ("forward", negate_a_column, "values"),
        ("backward", negate_gradients_of_vectors, "gradients"),
    ],
)
def test_wrong_kernels_give_way_to_the_reference_with_one_warning(monkeypatch, kernel, spoil, kind):
    inputs = layer_and_inputs()
    expected = on_reference(*inputs)
    broken(monkeypatch, kernel, spoil)
    with pytest.warns(RuntimeWarning) as caught:
        close(results(*inputs), expected)
    (warning,) = caught
    assert f"numba kernels on cpu differ from the reference by a relative 2.0e+00 in {kind}" in str(
        warning.message
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        close(results(*inputs), expected)


def surroundings():
    """Surroundings of a few particles, and gradients."""
    torch.manual_seed(1)
    own, other = (torch.randn(30, 8).requires_grad_() for _ in range(2))
    units = around(own, other, torch.randint(30, (30, 5)))
    return [units, *torch.autograd.grad(units.square().sum(), (own, other))]


@pytest.mark.parametrize(
    ("kernel", "at", "kind"),
    [
        ("surroundings", -2, "values"),
        ("surroundings_backward", -1, "gradients"),
        ("surroundings_backward", -2, "gradients"),
    ],
)
def test_wrong_surroundings_give_way_to_the_reference(monkeypatch, kernel, at, kind):
    with use("reference"):
        expected = surroundings()

    def negate(args):
        args[at][:] *= -1

    broken(monkeypatch, kernel, negate)
    with pytest.warns(RuntimeWarning, match=f"numba kernels on cpu differ .* in {kind}"):
        found = surroundings()
    close(found, expected)


def test_good_surroundings_are_taken(monkeypatch):
    with use("reference"):
        expected = surroundings()
    surroundings()
    monkeypatch.setattr(reference, "around", None)
    close(surroundings(), expected)


def test_wrong_gradients_do_not_matter_in_inference(monkeypatch):
    layer, vectors, values = layer_and_inputs()
    broken(monkeypatch, "backward", negate_gradients_of_vectors)
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("error")
        layer(pair_products(vectors.detach()), values)


@pytest.mark.parametrize("kernel", ["embed", "surroundings"])
def test_wrong_embeddings_give_way_to_the_reference(monkeypatch, kernel):
    system = displace(crystal(unit_cell("cI2-W"), 500), 0.08, np.random.default_rng(8))
    with use("reference"):
        expected = Analyzer("structures", "cpu").analyze(system)

    def spoil(args):
        # embeddings, which corrections come after, or what surrounds particles
        args[-3 if kernel == "embed" else -2][:, 5] += 1

    broken(monkeypatch, kernel, spoil)
    with pytest.warns(RuntimeWarning, match="numba kernels on cpu differ .* in values"):
        analyzer = Analyzer("structures", "cpu")
    found = analyzer.analyze(system)
    np.testing.assert_array_equal(found.label, expected.label)
    np.testing.assert_array_equal(found.embedding, expected.embedding)


def test_a_compiler_that_fails_is_named(monkeypatch):
    inputs = layer_and_inputs()
    expected = on_reference(*inputs)

    def fail(*_):
        raise RuntimeError("no compiler\nat all")

    monkeypatch.setattr(passes, "forward", fail)
    with pytest.warns(RuntimeWarning, match="numba kernels on cpu do not work: no compiler; plain"):
        close(results(*inputs), expected)


def test_nan_is_a_difference(monkeypatch):
    def spoil(args):
        args[-1][0, 0, 0] = np.nan

    broken(monkeypatch, "forward", spoil)
    with pytest.warns(RuntimeWarning, match="by a relative nan in values"):
        results(*layer_and_inputs())


def count(monkeypatch):
    """How often the compiled forward pass is called."""
    calls = []
    broken(monkeypatch, "forward", lambda args: calls.append(1))
    return calls


def test_the_environment_and_the_argument_overrule_the_choice(monkeypatch):
    inputs = layer_and_inputs()
    calls = count(monkeypatch)
    monkeypatch.setenv(VARIABLE, "reference")
    results(*inputs)
    assert not calls
    with use("auto"):
        results(*inputs)
    assert calls
    done = len(calls)
    results(*inputs)
    assert len(calls) == done


def test_fused_is_an_error_where_kernels_do_not_work(monkeypatch):
    inputs = layer_and_inputs()
    broken(monkeypatch, "forward", negate_a_column)
    with use("fused"):
        for _ in range(2):
            with pytest.raises(RuntimeError, match="numba kernels on cpu differ"):
                results(*inputs)


def test_names_of_no_kernels_are_refused(monkeypatch):
    with pytest.raises(InputError, match=f"'fast'; use one of {', '.join(CHOICES)}"), use("fast"):
        pass
    monkeypatch.setenv(VARIABLE, "fast")
    with pytest.raises(InputError, match=f"{VARIABLE} is 'fast'"):
        results(*layer_and_inputs())


def test_verification_happens_once_and_leaves_random_numbers_alone(monkeypatch):
    calls = count(monkeypatch)
    inputs, model = layer_and_inputs(), load_model("structures-fast")
    state = torch.get_rng_state()
    results(*inputs)
    Analyzer(model, "cpu")
    assert torch.equal(torch.get_rng_state(), state)
    before = len(calls)
    results(*inputs)
    assert len(calls) == before + 1


def test_compiled_kernels_are_found_again():
    results(*layer_and_inputs())
    assert pair_sums.announced("forward") is passes
    assert passes.are_cached("forward")
    assert passes.are_cached("backward")


def test_an_analyzer_computes_with_the_kernels_that_it_is_given(monkeypatch):
    system = displace(crystal(unit_cell("cI2-W"), 500), 0.08, np.random.default_rng(8))
    expected = Analyzer("structures", "cpu").analyze(system)
    for name in ("embed", "surroundings", "forward"):
        monkeypatch.setattr(passes, name, None)
    found = Analyzer("structures", "cpu", kernels="reference").analyze(system)
    np.testing.assert_array_equal(found.label, expected.label)
    np.testing.assert_allclose(found.embedding, expected.embedding, atol=1e-4)
    with pytest.raises(InputError, match="'slow'"):
        Analyzer("structures", "cpu", kernels="slow")
