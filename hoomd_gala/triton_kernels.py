"""What an attention layer does for every pair, in Triton for GPUs.

The counterpart of :mod:`~hoomd_gala.kernels`, with the same names, inputs and sums: nothing that
belongs to a pair leaves the chip, and the backward pass computes all of it again.

A program works on some points i, one to a row, of one or several clouds, and goes through the
points j of their clouds one after the other: a loop over j is a loop over matrix products of whole
tiles, whatever the number of points, and a softmax over j is the running one of Milakov and
Gimelshein (arXiv 1805.02867). The heads' hidden units lie side by side in one tile, (rows, U).

In the backward pass a program has whole clouds, so that what a point j gets from the points i of
its cloud is a product with a matrix of zeros and ones. Gradients of the weights are added up by a
fixed number of programs, each in its own order, and then by torch: results are the same from run
to run.

With ``TRITON_INTERPRET=1`` in the environment all of this runs on tensors of the CPU.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

#: Rows of a tile.
ROWS = 64
#: Clouds that a program of the backward pass has at a time at most; the least size of a product.
CLOUDS = 16
#: Columns of the tiles that hold invariants, or components and such; the least size of a product.
COLUMNS = 16


@triton.jit
def _load_vectors(vectors, row, valid):
    """Components and norms of the vectors in some rows."""
    x = tl.load(vectors + row * 3, valid, 0.0)
    y = tl.load(vectors + row * 3 + 1, valid, 0.0)
    z = tl.load(vectors + row * 3 + 2, valid, 0.0)
    return x, y, z, tl.sqrt(x * x + y * y + z * z)


@triton.jit
def _load_rows(points, row, valid, WIDTH: tl.constexpr, PADDED: tl.constexpr):
    """Some rows of a (rows, WIDTH) matrix, filled up with zeros."""
    column = tl.arange(0, PADDED)
    inside = valid[:, None] & (column < WIDTH)[None, :]
    return tl.load(points + row[:, None] * WIDTH + column[None, :], inside, 0.0)


@triton.jit
def _store_rows(points, row, valid, tile, stride, WIDTH: tl.constexpr, PADDED: tl.constexpr):
    column = tl.arange(0, PADDED)
    inside = valid[:, None] & (column < WIDTH)[None, :]
    tl.store(points + row[:, None] * stride + column[None, :], tile, inside)


@triton.jit
def _load_first(first, column: tl.constexpr, F: tl.constexpr, PADDED: tl.constexpr):
    """A column of the weights of the invariants, as a row."""
    unit = tl.arange(0, PADDED)
    return tl.load(first + unit * 5 + column, unit < F, 0.0)[None, :]


@triton.jit
def _rectified(x):
    return tl.maximum(x, 0.0, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def _power(x):
    """The power of two that brings x near 2¹⁴, well within the range of half precision, and 1 by
    it."""
    exponent = (x.to(tl.int32, bitcast=True) >> 23) & 255
    exponent = tl.minimum(tl.maximum(exponent, 16), 252)
    power = ((268 - exponent) << 23).to(tl.float32, bitcast=True)
    return power, ((exponent - 14) << 23).to(tl.float32, bitcast=True)


@triton.jit
def _split(x):
    """Half-precision numbers whose sum is x, to 22 bits if x is not small."""
    high = x.to(tl.float16)
    return high, (x - high.to(tl.float32)).to(tl.float16)


@triton.jit
def _forward(
    vectors,
    own,
    other,
    values,
    first,
    middle,
    last,
    bias,
    sums,
    total,
    N: tl.constexpr,
    F: tl.constexpr,
    U: tl.constexpr,
    WIDTH: tl.constexpr,
    HEADS: tl.constexpr,
    F_PADDED: tl.constexpr,
    U_PADDED: tl.constexpr,
    WIDTH_PADDED: tl.constexpr,
    PRECISION: tl.constexpr,
    ROWS: tl.constexpr,
):
    """The sums of rows of ``total`` points; F, U and WIDTH are h, heads·H and width."""
    start = tl.program_id(0).to(tl.int64) * ROWS
    row = tl.arange(0, ROWS)
    valid = start + row < total
    vectors += start * 3
    own += start * U
    other += start * U
    values += start * WIDTH
    sums += start * (1 + F + WIDTH + (4 if HEADS > 1 else 0))
    begin = row - ((start % N).to(tl.int32) + row) % N  # of the row's cloud

    unit, feature = tl.arange(0, U_PADDED), tl.arange(0, F_PADDED)
    inside = (unit < U)[None, :] & (feature < F)[:, None]
    m = tl.load(middle + unit[None, :] * F + feature[:, None], inside, 0.0)
    m_power, m_inverse = _power(tl.max(tl.abs(m)))
    m_high, m_low = _split(m * m_power)
    l = tl.load(last + unit, unit < U, 0.0)[None, :]
    w_dot = _load_first(first, 0, F, F_PADDED)
    w_cross = _load_first(first, 1, F, F_PADDED)
    w_own = _load_first(first, 2, F, F_PADDED)
    w_other = _load_first(first, 3, F, F_PADDED)
    w_one = _load_first(first, 4, F, F_PADDED)
    highest = tl.max(tl.maximum(tl.maximum(tl.abs(w_dot), tl.abs(w_cross)), tl.maximum(tl.maximum(tl.abs(w_own), tl.abs(w_other)), tl.abs(w_one))))

    x, y, z, norm = _load_vectors(vectors, row, valid)
    u = _load_rows(own, row, valid, U, U_PADDED)
    best = tl.full((ROWS,), float("-inf"), tl.float32)
    weight = tl.zeros((ROWS,), tl.float32)
    pooled = tl.zeros((ROWS, F_PADDED), tl.float32)
    average = tl.zeros((ROWS, WIDTH_PADDED), tl.float32)
    scale, along_x, along_y, along_z = weight, weight, weight, weight
    for j in range(N):
        xj, yj, zj, norm_j = _load_vectors(vectors, begin + j, valid)
        a, b, c = y * zj - z * yj, z * xj - x * zj, x * yj - y * xj
        dot = x * xj + y * yj + z * zj
        cross = tl.sqrt(a * a + b * b + c * c)
        power, inverse = _power(highest * (tl.abs(dot) + cross + norm + norm_j + 1.0))
        h = _rectified(
            (dot * power)[:, None] * w_dot
            + (cross * power)[:, None] * w_cross
            + (norm * power)[:, None] * w_own
            + (norm_j * power)[:, None] * w_other
            + power[:, None] * w_one
        )
        high, low = _split(h)
        g = tl.dot(high, m_high)
        g = tl.dot(low, m_high, acc=g)
        g = tl.dot(high, m_low, acc=g)
        g = g * (inverse * m_inverse)[:, None] + u
        g = _rectified(g + _load_rows(other, begin + j, valid, U, U_PADDED)) * l
        if HEADS > 1:
            score = tl.sum(tl.where((unit < U // HEADS)[None, :], g, 0.0), 1)
            alpha = tl.sum(tl.where((unit < U // HEADS)[None, :], 0.0, g), 1)
        else:
            score = tl.sum(g, 1)
        # the running softmax: what was summed so far shrinks when a higher score turns up
        before, best = best, tl.maximum(best, score)
        shrink, e = tl.exp(before - best), tl.exp(score - best)
        weight = weight * shrink + e
        pooled = pooled * shrink[:, None] + (e * inverse)[:, None] * h
        v = _load_rows(values, begin + j, valid, WIDTH, WIDTH_PADDED)
        average = average * shrink[:, None] + e[:, None] * v
        if HEADS > 1:
            e *= alpha + tl.load(bias + 1)
            scale = scale * shrink + e
            along_x = along_x * shrink + e * xj
            along_y = along_y * shrink + e * yj
            along_z = along_z * shrink + e * zj

    stride: tl.constexpr = 1 + F + WIDTH + (4 if HEADS > 1 else 0)
    part = 1 / weight
    tl.store(sums + row * stride, best + tl.log(weight) + tl.load(bias), valid)
    _store_rows(sums + 1, row, valid, pooled * part[:, None], stride, F, F_PADDED)
    _store_rows(
        sums + 1 + F, row, valid, average * part[:, None], stride, WIDTH, WIDTH_PADDED
    )
    if HEADS > 1:
        moments = sums + 1 + F + WIDTH + row * stride
        tl.store(moments, scale * part, valid)
        tl.store(moments + 1, along_x * part, valid)
        tl.store(moments + 2, along_y * part, valid)
        tl.store(moments + 3, along_z * part, valid)


@triton.jit
def _columns(x, y, z, w, v):
    """Put five numbers of each row into a tile, filled up with zeros."""
    column = tl.arange(0, COLUMNS)[None, :]
    tile = tl.where(column == 0, x[:, None], 0.0)
    tile = tl.where(column == 1, y[:, None], tile)
    tile = tl.where(column == 2, z[:, None], tile)
    tile = tl.where(column == 3, w[:, None], tile)
    return tl.where(column == 4, v[:, None], tile)


@triton.jit
def _backward(
    vectors,
    own,
    other,
    values,
    first,
    middle,
    last,
    bias,
    sums,
    grad_sums,
    grad_first_vectors,
    grad_second_vectors,
    grad_own,
    grad_other,
    grad_values,
    grad_first,
    grad_middle,
    grad_last,
    grad_bias,
    clouds,
    N: tl.constexpr,
    F: tl.constexpr,
    U: tl.constexpr,
    WIDTH: tl.constexpr,
    HEADS: tl.constexpr,
    F_PADDED: tl.constexpr,
    U_PADDED: tl.constexpr,
    WIDTH_PADDED: tl.constexpr,
    PRECISION: tl.constexpr,
    ROWS: tl.constexpr,
    GROUP: tl.constexpr,
):
    """Gradients of :func:`_forward`'s sums.

    Those of the members of the pairs are written: of a vector as the first and as the second member
    by themselves. Those of the weights, of the clouds that one program has, are written to its
    place. A program takes groups of ``GROUP`` clouds, every so many.
    """
    stride: tl.constexpr = 1 + F + WIDTH + (4 if HEADS > 1 else 0)
    row = tl.arange(0, ROWS)
    cloud = tl.arange(0, CLOUDS)
    unit, feature = tl.arange(0, U_PADDED), tl.arange(0, F_PADDED)
    begin = row // N * N
    # sums over the first members of the pairs of each cloud
    gather = tl.where(cloud[:, None] == (row // N)[None, :], 1.0, 0.0)

    in_middle = (unit < U)[:, None] & (feature < F)[None, :]
    m = tl.load(middle + unit[:, None] * F + feature[None, :], in_middle, 0.0)
    l = tl.load(last + unit, unit < U, 0.0)[None, :]
    w_dot = _load_first(first, 0, F, F_PADDED)
    w_cross = _load_first(first, 1, F, F_PADDED)
    w_own = _load_first(first, 2, F, F_PADDED)
    w_other = _load_first(first, 3, F, F_PADDED)
    w_one = _load_first(first, 4, F, F_PADDED)
    b = tl.load(bias)

    sum_first = tl.zeros((F_PADDED, COLUMNS), tl.float32)
    sum_middle = tl.zeros((U_PADDED, F_PADDED), tl.float32)
    sum_last = tl.zeros((ROWS, U_PADDED), tl.float32)
    sum_score = tl.zeros((ROWS,), tl.float32)
    sum_alpha = tl.zeros((ROWS,), tl.float32)
    for group in range(tl.program_id(0), (clouds + GROUP - 1) // GROUP, tl.num_programs(0)):
        start = tl.full((), GROUP * N, tl.int64) * group
        valid = (row < GROUP * N) & (start + row < tl.full((), N, tl.int64) * clouds)
        present = (cloud < GROUP) & (group * GROUP + cloud < clouds)
        x, y, z, norm = _load_vectors(vectors + start * 3, row, valid)
        u = _load_rows(own + start * U, row, valid, U, U_PADDED)
        grads = grad_sums + start * stride
        ours = sums + start * stride
        total = tl.load(ours + row * stride, valid, 0.0)
        grad_total = tl.load(grads + row * stride, valid, 0.0)
        column = tl.arange(0, F_PADDED)
        inside = valid[:, None] & (column < F)[None, :]
        at = 1 + row[:, None] * stride + column[None, :]
        grad_pooled = tl.load(grads + at, inside, 0.0)
        mean = tl.sum(grad_pooled * tl.load(ours + at, inside, 0.0), 1)
        column = tl.arange(0, WIDTH_PADDED)
        inside = valid[:, None] & (column < WIDTH)[None, :]
        at = 1 + F + row[:, None] * stride + column[None, :]
        grad_average = tl.load(grads + at, inside, 0.0)
        mean += tl.sum(grad_average * tl.load(ours + at, inside, 0.0), 1)
        if HEADS > 1:
            at = 1 + F + WIDTH + row * stride
            grad_scale = tl.load(grads + at, valid, 0.0)
            grad_x = tl.load(grads + at + 1, valid, 0.0)
            grad_y = tl.load(grads + at + 2, valid, 0.0)
            grad_z = tl.load(grads + at + 3, valid, 0.0)
            mean += grad_scale * tl.load(ours + at, valid, 0.0)
            mean += grad_x * tl.load(ours + at + 1, valid, 0.0)
            mean += grad_y * tl.load(ours + at + 2, valid, 0.0)
            mean += grad_z * tl.load(ours + at + 3, valid, 0.0)
        grad_u = tl.zeros((ROWS, U_PADDED), tl.float32)
        gx, gy, gz, g_own = sum_score * 0, sum_score * 0, sum_score * 0, sum_score * 0
        for j in range(N):
            # what the forward pass has made of this pair
            xj, yj, zj, norm_j = _load_vectors(vectors + start * 3, begin + j, valid)
            cx, cy, cz = y * zj - z * yj, z * xj - x * zj, x * yj - y * xj
            dot = x * xj + y * yj + z * zj
            cross = tl.sqrt(cx * cx + cy * cy + cz * cz)
            h = _rectified(
                dot[:, None] * w_dot
                + cross[:, None] * w_cross
                + norm[:, None] * w_own
                + norm_j[:, None] * w_other
                + w_one
            )
            g = tl.dot(h, tl.trans(m), input_precision=PRECISION)
            g = _rectified(
                g + u + _load_rows(other + start * U, begin + j, valid, U, U_PADDED)
            )
            v = _load_rows(values + start * WIDTH, begin + j, valid, WIDTH, WIDTH_PADDED)
            score = tl.sum(tl.where((unit < U // HEADS)[None, :], g * l, 0.0), 1) + b
            weight = tl.where(valid, tl.exp(tl.minimum(score - total, 0.0)), 0.0)
            # through the sums and the softmax to the heads' outputs
            slope = tl.sum(grad_pooled * h, 1) + tl.sum(grad_average * v, 1)
            if HEADS > 1:
                alpha = tl.sum(tl.where((unit < U // HEADS)[None, :], 0.0, g * l), 1)
                alpha += tl.load(bias + 1)
                along = grad_scale + grad_x * xj + grad_y * yj + grad_z * zj
                slope += along * alpha
                grad_alpha = weight * along
                sum_alpha += grad_alpha
                grad_score = weight * (slope - mean + grad_total)
                grad_heads = tl.where(
                    (unit < U // HEADS)[None, :], grad_score[:, None], grad_alpha[:, None]
                )
            else:
                grad_score = weight * (slope - mean + grad_total)
                grad_heads = tl.broadcast_to(grad_score[:, None], (ROWS, U_PADDED))
            sum_score += grad_score
            # to the hidden units of the heads
            sum_last += grad_heads * g
            grad_g = tl.where(g > 0, grad_heads * l, 0.0)
            grad_u += grad_g
            second = start + cloud * N + j
            _store_rows(
                grad_other, second, present,
                tl.dot(gather, grad_g, input_precision=PRECISION), U, U, U_PADDED,
            )
            grad_v = tl.dot(gather, weight[:, None] * grad_average, input_precision=PRECISION)
            _store_rows(grad_values, second, present, grad_v, WIDTH, WIDTH, WIDTH_PADDED)
            # to those of V
            sum_middle = tl.dot(tl.trans(grad_g), h, acc=sum_middle, input_precision=PRECISION)
            grad_h = tl.dot(grad_g, m, input_precision=PRECISION)
            grad_h = tl.where(h > 0, grad_h + weight[:, None] * grad_pooled, 0.0)
            q = _columns(dot, cross, norm, norm_j, tl.where(valid, 1.0, 0.0))
            sum_first = tl.dot(tl.trans(grad_h), q, acc=sum_first, input_precision=PRECISION)
            # to the vectors; the norm of one that is zero has no direction to change in
            g_dot, g_cross = tl.sum(grad_h * w_dot, 1), tl.sum(grad_h * w_cross, 1)
            g_own += tl.sum(grad_h * w_own, 1)
            g_other = tl.sum(grad_h * w_other, 1)
            g_cross = tl.where(cross > 0, g_cross / cross, 0.0)
            g_other = tl.where(norm_j > 0, g_other / norm_j, 0.0)
            cx, cy, cz = g_cross * cx, g_cross * cy, g_cross * cz
            gx += g_dot * xj + yj * cz - zj * cy
            gy += g_dot * yj + zj * cx - xj * cz
            gz += g_dot * zj + xj * cy - yj * cx
            hx = g_dot * x + cy * z - cz * y + g_other * xj
            hy = g_dot * y + cz * x - cx * z + g_other * yj
            hz = g_dot * z + cx * y - cy * x + g_other * zj
            if HEADS > 1:
                hx += weight * alpha * grad_x
                hy += weight * alpha * grad_y
                hz += weight * alpha * grad_z
            q = tl.dot(gather, _columns(hx, hy, hz, hz, hz), input_precision=PRECISION)
            _store_rows(grad_second_vectors, second, present, q, 3, 3, COLUMNS)
        g_own = tl.where(norm > 0, g_own / norm, 0.0)
        at = (start + row) * 3
        tl.store(grad_first_vectors + at, gx + g_own * x, valid)
        tl.store(grad_first_vectors + at + 1, gy + g_own * y, valid)
        tl.store(grad_first_vectors + at + 2, gz + g_own * z, valid)
        _store_rows(grad_own, start + row, valid, grad_u, U, U, U_PADDED)

    program = tl.program_id(0)
    column = tl.arange(0, COLUMNS)
    at = program * (F * 5) + feature[:, None] * 5 + column[None, :]
    tl.store(grad_first + at, sum_first, (feature < F)[:, None] & (column < 5)[None, :])
    at = program * (U * F) + unit[:, None] * F + feature[None, :]
    tl.store(grad_middle + at, sum_middle, in_middle)
    tl.store(grad_last + program * U + unit, tl.sum(sum_last, 0), unit < U)
    tl.store(grad_bias + program * HEADS, tl.sum(sum_score, 0))
    if HEADS > 1:
        tl.store(grad_bias + program * HEADS + 1, tl.sum(sum_alpha, 0))


def _padded(size: int) -> int:
    """Sizes of tiles are powers of two, and those of the factors of a product at least 16."""
    return max(16, triton.next_power_of_2(size))


def _sizes(vectors: Tensor, values: Tensor, first: Tensor, last: Tensor) -> dict[str, Any]:
    """What a kernel is compiled for."""
    n, f, u, width = vectors.shape[1], len(first), last.numel(), values.shape[-1]
    return {
        "N": n,
        "F": f,
        "U": u,
        "WIDTH": width,
        "HEADS": len(last),
        "F_PADDED": _padded(f),
        "U_PADDED": _padded(u),
        "WIDTH_PADDED": _padded(width),
        # what torch is told about its own products, but for accuracy by default
        "PRECISION": "tf32x3" if torch.get_float32_matmul_precision() == "highest" else "tf32",
        "num_warps": 4 if u <= 64 else 8,
    }


class FusedPairSums(torch.autograd.Function):
    """:func:`~hoomd_gala.attention.pair_sums` on the GPU."""

    @staticmethod
    def forward(ctx: Any, *inputs: Tensor) -> Tensor:
        inputs = tuple(tensor.detach().contiguous() for tensor in inputs)
        vectors, _, _, values, first, _, last, _ = inputs
        clouds, n, _ = vectors.shape
        moments = 4 if len(last) > 1 else 0
        sums = vectors.new_empty(clouds, n, 1 + len(first) + values.shape[-1] + moments)
        if total := clouds * n:
            sizes = _sizes(vectors, values, first, last)
            _forward[(triton.cdiv(total, ROWS),)](*inputs, sums, total, ROWS=ROWS, **sizes)
        ctx.save_for_backward(*inputs, sums)
        return sums

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
        *inputs, sums = ctx.saved_tensors
        vectors, _, _, values, first, _, last, _ = inputs
        clouds, n, _ = vectors.shape
        rows = max(ROWS, triton.next_power_of_2(n))
        group = min(rows // n, CLOUDS)
        programs = min(triton.cdiv(clouds, group), _programs(vectors.device))
        members = [torch.empty_like(tensor) for tensor in (vectors, *inputs[:4])]
        weights = [tensor.new_zeros(programs, *tensor.shape) for tensor in inputs[4:]]
        if clouds:
            sizes = _sizes(vectors, values, first, last) | {"ROWS": rows, "GROUP": group}
            _backward[(programs,)](
                *inputs, sums, grad.contiguous(), *members, *weights, clouds, **sizes
            )
        as_first, as_second, *members = members
        return as_first + as_second, *members, *(weight.sum(0) for weight in weights)


def _programs(device: torch.device) -> int:
    """Programs of the backward pass at most: enough to keep all of a GPU busy."""
    if device.type != "cuda":
        return 2
    return 2 * torch.cuda.get_device_properties(device).multi_processor_count
