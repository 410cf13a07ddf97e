"""Comparison of compiled kernels with the reference on a few random clouds."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from ..algebra import pair_products
from . import reference

#: Sizes of what is compared, those of the shipped models; the clouds fill one block and a part of
#: another, whatever the width of a processor's vector registers.
CLOUDS, POINTS, WIDTH, UNITS = 19, 20, 32, 32


def relative_error(found: Iterable[Tensor], expected: Iterable[Tensor]) -> float:
    """Return the largest distance between tensors of two series, relative to the second's norm."""
    worst = torch.zeros(())
    for x, y in zip(found, expected, strict=True):
        difference = torch.linalg.vector_norm(x.detach().cpu().double() - y.detach())
        # of a hidden unit that is never active all is zero
        norm = torch.linalg.vector_norm(y.detach()).clamp(min=1e-30)
        worst = torch.maximum(worst, difference / norm)  # which is NaN if either is
    return float(worst)


def pair_sums_error(
    apply: Callable[..., Tensor], device: torch.device, training: bool
) -> dict[str, float]:
    """Measure the relative error of sums over pairs, and of their gradients if these are needed.

    Parameters
    ----------
    apply : callable
        Takes the arguments of :func:`~hoomd_gala.networks.kernels.pair_sums`, with the vectors in
        place of the pairs.
    device : torch.device
        Where the kernels run.
    training : bool
        Whether gradients are needed.

    Returns
    -------
    dict of str to float
        Largest relative error of ``"values"`` and, in training, of ``"gradients"``.
    """
    generator = torch.Generator().manual_seed(1)
    points, hidden = (CLOUDS, POINTS), 2 * UNITS
    shapes_and_sizes = [
        ((*points, 3), 0.5),
        ((*points, hidden), 0.5),
        ((*points, hidden), 0.5),
        ((*points, WIDTH), 1.0),
        ((UNITS, 5), 1.0),
        ((hidden, UNITS), UNITS**-0.5),
        ((2, UNITS), UNITS**-0.5),
        ((2,), 1.0),
    ]
    exact = [
        size * torch.randn(shape, generator=generator, dtype=torch.float64)
        for shape, size in shapes_and_sizes
    ]
    # the same numbers in both precisions
    single = [x.float().to(device).requires_grad_(training) for x in exact]
    double = [x.detach().cpu().double().requires_grad_(training) for x in single]
    with torch.set_grad_enabled(training):
        found = apply(*single)
        vectors, *rest = double
        expected = reference.pair_sums(pair_products(vectors), *rest)
        # every column by itself: some are much smaller than others
        errors = {"values": relative_error(found.unbind(-1), expected.unbind(-1))}
        if training:
            upstream = torch.randn(expected.shape, generator=generator, dtype=torch.float64)
            ours = torch.autograd.grad((found * upstream.to(found)).sum(), single)
            theirs = torch.autograd.grad((expected * upstream).sum(), double)
            errors["gradients"] = relative_error(ours, theirs)
    return errors


def around_error(apply: Callable[..., Tensor]) -> dict[str, float]:
    """Measure the relative error of what surrounds particles, and of its gradients, on the CPU.

    Parameters
    ----------
    apply : callable
        Takes the arguments of :func:`~hoomd_gala.networks.kernels.around`.

    Returns
    -------
    dict of str to float
        Largest relative error of ``"values"`` and ``"gradients"``.
    """
    generator = torch.Generator().manual_seed(1)
    single = [torch.randn(CLOUDS, WIDTH, generator=generator).requires_grad_() for _ in range(2)]
    double = [x.detach().double().requires_grad_() for x in single]
    neighbors = torch.randint(CLOUDS, (CLOUDS, POINTS), generator=generator)
    upstream = torch.randn(CLOUDS, WIDTH, generator=generator)
    with torch.enable_grad():
        found = apply(*single, neighbors)
        expected = reference.around(double[0], double[1], neighbors)
        ours = torch.autograd.grad(found, single, upstream)
        theirs = torch.autograd.grad(expected, double, upstream.double())
    return {
        "values": relative_error([found], [expected]),
        "gradients": relative_error(ours, theirs),
    }
