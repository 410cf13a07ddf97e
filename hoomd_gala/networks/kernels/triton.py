"""What an attention layer does for every pair, in Triton for GPUs.

The counterpart of :mod:`~.passes`, with the same names, inputs and sums: nothing that
belongs to a pair leaves the chip but, in training, the heads' outputs; everything else the backward
pass computes again.

A program works on some points i, one to a row, and goes through the points j of their clouds one
after the other: a loop over j is a loop over matrix products of whole tiles, whatever the number
of points, and a softmax over j is the running one of Milakov and Gimelshein (arXiv 1805.02867). A
matrix of zeros and ones, ``member``, says which row is of which cloud: a product with it gives
every row what belongs to point j of its cloud, or adds up what point j gets from the rows.

Matrix units multiply numbers of 16 bits. Each factor is taken as the sum of two, so that three
products make one that is as good as in float32: halves, which hold 22 bits that way, for what is
known to be of moderate size, and bfloat16, 16 bits of any size, for gradients.

Gradients of the weights are added up by a fixed number of programs, each in its own order, and then
by torch: results are the same from run to run.

In inference two more kernels do what is left: ``_update`` what happens to each point between two
passes over the pairs, and ``_around`` what surrounds a particle.

With ``TRITON_INTERPRET=1`` in the environment all of this runs on tensors of the CPU.
"""

# kernels are no Python functions: Triton infers their types
# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators, allow-untyped-calls

import functools
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

#: Rows of a tile.
ROWS = 64
#: Particles whose neighbors a program looks at together.
CONTEXT_ROWS = 32
#: Clouds that the rows of a tile are of, at most.
CLOUDS = 8
#: Pairs of a row whose loads the forward pass has under way; one or two took 1.1 to 1.7 times as
#: long on an H200.
STAGES = 3
#: The largest half.
LARGEST = tl.constexpr(65504.0)
INTERPRETED = tl.constexpr(os.environ.get("TRITON_INTERPRET") == "1")


@triton.jit
def _halves(x):
    """Two halves whose sum is x."""
    return _parts(tl.clamp(x, -LARGEST, LARGEST, tl.PropagateNan.ALL))


@triton.jit
def _parts(x):
    """Two halves whose sum is x, which no half is too small for."""
    high = x.to(tl.float16)
    return high, (x - high.to(tl.float32)).to(tl.float16)


@triton.jit
def _bfloat16(x):
    if INTERPRETED:  # NumPy has no such numbers: float32 with as many bits
        return ((x.to(tl.int32, bitcast=True) + 0x8000) & -0x10000).to(tl.float32, bitcast=True)
    return x.to(tl.bfloat16)


@triton.jit
def _bfloats(x):
    """Two bfloat16 whose sum is x."""
    high = _bfloat16(x)
    return high, _bfloat16(x - high.to(tl.float32))


@triton.jit
def _load_vectors(vectors, row, valid):
    """Components and norms of the vectors in some rows."""
    x = tl.load(vectors + row * 3, valid, 0.0)
    y = tl.load(vectors + row * 3 + 1, valid, 0.0)
    z = tl.load(vectors + row * 3 + 2, valid, 0.0)
    return x, y, z, tl.sqrt(x * x + y * y + z * z)


@triton.jit
def _at(row, valid, stride, WIDTH: tl.constexpr, PADDED: tl.constexpr):
    """Where some rows of a matrix lie, and what is there of (rows, PADDED)."""
    column = tl.arange(0, PADDED)
    return row[:, None] * stride + column[None, :], valid[:, None] & (column < WIDTH)[None, :]


@triton.jit
def _load_rows(matrix, row, valid, stride, WIDTH: tl.constexpr, PADDED: tl.constexpr):
    at, inside = _at(row, valid, stride, WIDTH, PADDED)
    return tl.load(matrix + at, inside, 0.0)


@triton.jit
def _store_rows(matrix, row, valid, tile, stride, WIDTH: tl.constexpr, PADDED: tl.constexpr):
    at, inside = _at(row, valid, stride, WIDTH, PADDED)
    tl.store(matrix + at, tile, inside)


@triton.jit
def _load_parts(matrix, row, valid, stride, WIDTH: tl.constexpr, PADDED: tl.constexpr):
    """8 rows twice: the high parts, then the low parts."""
    high, low = _halves(_load_rows(matrix, row, valid, stride, WIDTH, PADDED))
    return tl.where((tl.arange(0, 16) < 8)[:, None], high, low)


@triton.jit
def _load_first(first, F: tl.constexpr, PADDED: tl.constexpr):
    """Weights of the invariants in parts: high, high and low, for the parts of the invariants."""
    part, feature = tl.arange(0, 16), tl.arange(0, PADDED)
    inside = (part < 15)[:, None] & (feature < F)[None, :]
    w = tl.load(first + feature[None, :] * 5 + (part % 5)[:, None], inside, 0.0)
    high, low = _halves(w)
    return tl.where((part < 10)[:, None], high, low)


@triton.jit
def _products(x, y, z, xj, yj, zj):
    """Scalar part of the geometric product, its bivector, and the norm of that."""
    a, b, c = y * zj - z * yj, z * xj - x * zj, x * yj - y * xj
    return x * xj + y * yj + z * zj, a, b, c, tl.sqrt(a * a + b * b + c * c)


@triton.jit
def _invariants(x, y, z, norm, xj, yj, zj, norm_j):
    """Invariants, (rows, 16), three times; the bivector; and its norm."""
    dot, a, b, c, cross = _products(x, y, z, xj, yj, zj)
    part = tl.arange(0, 16)
    q = tl.where((part % 5 == 0)[None, :], dot[:, None], 1.0)
    q = tl.where((part % 5 == 1)[None, :], cross[:, None], q)
    q = tl.where((part % 5 == 2)[None, :], norm[:, None], q)
    q = tl.where((part % 5 == 3)[None, :], norm_j[:, None], q)
    return q, a, b, c, cross


@triton.jit
def _features(q, w):
    """Hidden units of V; the invariants are taken in parts, high, low and high."""
    part = tl.arange(0, 16)
    high, low = _halves(q)
    q = tl.where(((part >= 5) & (part < 10))[None, :], low, high)
    return tl.clamp(tl.dot(q, w), 0.0, LARGEST, tl.PropagateNan.ALL)


@triton.jit
def _hidden(member, other, high, low, m_high, m_low, own):
    """Hidden units of a head before they are rectified."""
    g = tl.dot(member, other)
    g = tl.dot(high, m_high, acc=g)
    g = tl.dot(low, m_high, acc=g)
    return tl.dot(high, m_low, acc=g) + own


@triton.jit
def _head(g, last):
    return tl.sum(tl.maximum(g, 0.0, propagate_nan=tl.PropagateNan.ALL) * last, 1)


@triton.jit
def _own_features(first, norm, F: tl.constexpr, PADDED: tl.constexpr):
    """Compute what hidden units of V get from the first vector of a pair alone.

    It is a product of matrices so that what is added to it, pair by pair, lies in registers as the
    matrix units want the factors of the next product.
    """
    part, feature = tl.arange(0, 16), tl.arange(0, PADDED)
    inside = feature < F
    of_norm = tl.load(first + feature[None, :] * 5 + 2, (part < 3)[:, None] & inside[None, :], 0.0)
    high, low = _halves(of_norm)
    w = tl.where((part == 2)[:, None], low, high)
    high, low = _halves(norm)
    q = tl.where((part == 1)[None, :], low[:, None], high[:, None])
    constant = tl.load(first + feature * 5 + 4, inside, 0.0)
    return tl.dot(q, w, acc=tl.zeros_like(norm)[:, None] + constant[None, :])


@triton.jit
def _score(member, other, high, low, m_high, m_low, own, last):
    """Output of a head from the hidden units of V and the second members' terms, in parts."""
    g = tl.dot(member, other, acc=own)
    g = tl.dot(high, m_high, acc=g)
    g = tl.dot(low, m_high, acc=g)
    return _head(tl.dot(high, m_low, acc=g), last)


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
    scores,
    total,
    N: tl.constexpr,
    F: tl.constexpr,
    H: tl.constexpr,
    WIDTH: tl.constexpr,
    HEADS: tl.constexpr,
    F_PADDED: tl.constexpr,
    H_PADDED: tl.constexpr,
    WIDTH_PADDED: tl.constexpr,
    ROWS: tl.constexpr,
    STEP: tl.constexpr,
    KEEP: tl.constexpr,
    POOLED: tl.constexpr,
):
    """Compute the sums of ``STEP`` of ``total`` points, and with ``KEEP`` the heads' outputs.

    ``other`` and ``values`` are in parts, (2, total, …). Without ``POOLED`` the averages of hidden
    units and of values are left out.
    """
    U: tl.constexpr = HEADS * H
    stride: tl.constexpr = 1 + F + WIDTH + (4 if HEADS > 1 else 0)
    start = tl.program_id(0).to(tl.int64) * STEP
    row = tl.arange(0, ROWS)
    valid = (row < STEP) & (start + row < total)
    ahead = (start % N).to(tl.int32)  # points of the first cloud that the program before has
    start -= ahead
    row += ahead
    begin = row // N * N  # of the row's cloud
    cloud = tl.arange(0, 16) % 8
    present = start + cloud * N < total
    member = tl.where(cloud[None, :] == (row // N)[:, None], 1.0, 0.0).to(tl.float16)
    vectors += start * 3
    own += start * U
    sums += start * stride
    scores += start * N
    # where point 0 of each cloud is: its high parts, then its low parts
    of_cloud = start + cloud * N + tl.where(tl.arange(0, 16) < 8, 0, 1) * tl.cast(total, tl.int64)
    other += of_cloud[:, None] * U
    values += of_cloud[:, None] * WIDTH
    column = tl.arange(0, WIDTH_PADDED)[None, :]

    unit, feature = tl.arange(0, H_PADDED), tl.arange(0, F_PADDED)
    inside = (unit < H)[None, :] & (feature < F)[:, None]
    at = unit[None, :] * F + feature[:, None]
    m_high, m_low = _halves(tl.load(middle + at, inside, 0.0))
    to_head = tl.load(last + unit, unit < H, 0.0)[None, :]
    u = _load_rows(own, row, valid, U, H, H_PADDED)
    b = tl.load(bias)
    if HEADS > 1:
        m2_high, m2_low = _halves(tl.load(middle + H * F + at, inside, 0.0))
        to_head_2 = tl.load(last + H + unit, unit < H, 0.0)[None, :]
        u2 = _load_rows(own + H, row, valid, U, H, H_PADDED)
        b2 = tl.load(bias + 1)

    x, y, z, norm = _load_vectors(vectors, row, valid)
    h_own = _own_features(first, norm, F, F_PADDED)
    w_dot = tl.load(first + feature * 5, feature < F, 0.0)[None, :]
    w_cross = tl.load(first + feature * 5 + 1, feature < F, 0.0)[None, :]
    w_norm = tl.load(first + feature * 5 + 3, feature < F, 0.0)[None, :]
    highest = tl.full((ROWS,), float("-inf"), tl.float32)
    weight = tl.zeros((ROWS,), tl.float32)
    pooled = tl.zeros((ROWS, F_PADDED), tl.float32)
    average = tl.zeros((ROWS, WIDTH_PADDED), tl.float32)
    scale, along_x, along_y, along_z = weight, weight, weight, weight
    for j in range(N):
        xj, yj, zj, norm_j = _load_vectors(vectors, begin + j, valid)
        dot, _, _, _, cross = _products(x, y, z, xj, yj, zj)
        h = h_own + dot[:, None] * w_dot + cross[:, None] * w_cross + norm_j[:, None] * w_norm
        h = tl.clamp(h, 0.0, LARGEST, tl.PropagateNan.ALL)
        high, low = _parts(h)
        to_first = other + (j * U + unit[None, :])
        u_j = tl.load(to_first, present[:, None] & (unit < H)[None, :], 0.0)
        score = _score(member, u_j, high, low, m_high, m_low, u, to_head) + b
        # the running softmax: what was summed so far shrinks when a higher score appears
        before, highest = highest, tl.maximum(highest, score)
        shrink, e = tl.exp(before - highest), tl.exp(score - highest)
        weight = weight * shrink + e
        if POOLED:
            pooled = pooled * shrink[:, None] + e[:, None] * h
            v = tl.load(values + (j * WIDTH + column), present[:, None] & (column < WIDTH), 0.0)
            average = average * shrink[:, None] + e[:, None] * tl.dot(member, v)
        if KEEP:
            tl.store(scores + row * N + j, score, valid)
        if HEADS > 1:
            to_second = other + (j * U + H + unit[None, :])
            u_j = tl.load(to_second, present[:, None] & (unit < H)[None, :], 0.0)
            alpha = _score(member, u_j, high, low, m2_high, m2_low, u2, to_head_2) + b2
            if KEEP:
                tl.store(scores + total * N + row * N + j, alpha, valid)
            e *= alpha
            scale = scale * shrink + e
            along_x = along_x * shrink + e * xj
            along_y = along_y * shrink + e * yj
            along_z = along_z * shrink + e * zj

    part = 1 / weight
    tl.store(sums + row * stride, highest + tl.log(weight), valid)
    if POOLED:
        pooled *= part[:, None]
        _store_rows(sums + 1, row, valid, pooled, stride, F, F_PADDED)
        average *= part[:, None]
        _store_rows(sums + 1 + F, row, valid, average, stride, WIDTH, WIDTH_PADDED)
    if HEADS > 1:
        moments = sums + 1 + F + WIDTH + row * stride
        tl.store(moments, scale * part, valid)
        tl.store(moments + 1, along_x * part, valid)
        tl.store(moments + 2, along_y * part, valid)
        tl.store(moments + 3, along_z * part, valid)


@triton.jit
def _product(x, matrix, add, N_IN: tl.constexpr, N_OUT: tl.constexpr, PADDED: tl.constexpr):
    """Multiply x (rows, inputs) by the transpose of a matrix of weights (N_OUT, N_IN), and more."""
    column, k = tl.arange(0, PADDED), tl.arange(0, x.shape[1])
    inside = (k < N_IN)[:, None] & (column < N_OUT)[None, :]
    w_high, w_low = _halves(tl.load(matrix + column[None, :] * N_IN + k[:, None], inside, 0.0))
    high, low = _halves(x)
    g = tl.dot(high, w_high, acc=add)
    g = tl.dot(low, w_high, acc=g)
    return tl.dot(high, w_low, acc=g)


@triton.jit
def _bias(x, vector, SIZE: tl.constexpr, PADDED: tl.constexpr):
    """Repeat a vector of numbers for every row of x."""
    column = tl.arange(0, PADDED)
    numbers = tl.load(vector + column, column < SIZE, 0.0)
    return tl.zeros((x.shape[0], PADDED), tl.float32) + numbers[None, :]


@triton.jit
def _update(
    sums,
    vectors,
    values,
    covariants,
    to_value,
    value_bias,
    norm,
    norm_bias,
    up,
    up_bias,
    down,
    down_bias,
    members,
    more,
    own,
    other,
    value_parts,
    total,
    F: tl.constexpr,
    WIDTH: tl.constexpr,
    HIDDEN: tl.constexpr,
    U: tl.constexpr,
    VALUES: tl.constexpr,
    VECTORS: tl.constexpr,
    EPSILON: tl.constexpr,
    F_PADDED: tl.constexpr,
    WIDTH_PADDED: tl.constexpr,
    HIDDEN_PADDED: tl.constexpr,
    U_PADDED: tl.constexpr,
    ROWS: tl.constexpr,
):
    """Update each point between the passes of two layers over the pairs, in place.

    With ``VECTORS`` the sums change the vectors, with ``VALUES`` the values, which then go through
    the perceptron of their block; what the values add to hidden units of the next layer's heads is
    ``own`` and ``other``.
    """
    stride: tl.constexpr = 1 + F + WIDTH + (4 if VECTORS else 0)
    start = tl.program_id(0).to(tl.int64) * ROWS
    row = tl.arange(0, ROWS)
    valid = start + row < total
    sums += start * stride
    vectors += start * 3
    values += start * WIDTH
    v = _load_rows(values, row, valid, WIDTH, WIDTH, WIDTH_PADDED)
    if VECTORS:
        x, y, z, _ = _load_vectors(vectors, row, valid)
        moments = sums + 1 + F + WIDTH + row * stride
        scale = tl.load(moments, valid, 0.0)
        mx = tl.load(moments + 1, valid, 0.0)
        my = tl.load(moments + 2, valid, 0.0)
        mz = tl.load(moments + 3, valid, 0.0)
        dual, along, second = tl.load(covariants), tl.load(covariants + 1), tl.load(covariants + 2)
        along = along * scale + 1
        to = vectors + row * 3
        tl.debug_barrier()  # threads that hold the same row have all read it
        tl.store(to, dual * (y * mz - z * my) + along * x + second * mx, valid)
        tl.store(to + 1, dual * (z * mx - x * mz) + along * y + second * my, valid)
        tl.store(to + 2, dual * (x * my - y * mx) + along * z + second * mz, valid)
    if VALUES:
        pooled = _load_rows(sums + 1, row, valid, stride, F, F_PADDED)
        average = _load_rows(sums + 1 + F, row, valid, stride, WIDTH, WIDTH_PADDED)
        add = 1.25 * v + 0.25 * average + 0.5 * _bias(v, value_bias, WIDTH, WIDTH_PADDED)
        v = _product(0.5 * pooled, to_value, add, F, WIDTH, WIDTH_PADDED)
        # normalized over the columns that there are
        column = (tl.arange(0, WIDTH_PADDED) < WIDTH)[None, :]
        centered = tl.where(column, v - tl.sum(v, 1)[:, None] / WIDTH, 0.0)
        spread = tl.rsqrt(tl.sum(centered * centered, 1) / WIDTH + EPSILON)
        normed = centered * spread[:, None] * _bias(v, norm, WIDTH, WIDTH_PADDED)
        normed += _bias(v, norm_bias, WIDTH, WIDTH_PADDED)
        add = _bias(v, up_bias, HIDDEN, HIDDEN_PADDED)
        h = _product(normed, up, add, WIDTH, HIDDEN, HIDDEN_PADDED)
        h = tl.maximum(h, 0.0, propagate_nan=tl.PropagateNan.ALL)
        add = v + _bias(v, down_bias, WIDTH, WIDTH_PADDED)
        v = _product(h, down, add, HIDDEN, WIDTH, WIDTH_PADDED)
        _store_rows(values, row, valid, v, WIDTH, WIDTH, WIDTH_PADDED)
    if U > 0:
        at = tl.cast(total, tl.int64) + start
        high, low = _halves(v)
        _store_rows(value_parts + start * WIDTH, row, valid, high, WIDTH, WIDTH, WIDTH_PADDED)
        _store_rows(value_parts + at * WIDTH, row, valid, low, WIDTH, WIDTH, WIDTH_PADDED)
        nothing = tl.zeros((ROWS, U_PADDED), tl.float32)
        u = _product(v, members, nothing, WIDTH, U, U_PADDED)
        high, low = _halves(u)
        _store_rows(other + start * U, row, valid, high, U, U, U_PADDED)
        _store_rows(other + at * U, row, valid, low, U, U, U_PADDED)
        u += _bias(v, more, U, U_PADDED)
        _store_rows(own + start * U, row, valid, u, U, U, U_PADDED)


@triton.jit
def _split(x, parts, size, BLOCK: tl.constexpr):
    """Numbers in parts: first all high ones, then all low ones."""
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    high, low = _halves(tl.load(x + at, at < size, 0.0))
    tl.store(parts + at, high, at < size)
    tl.store(parts + size + at, low, at < size)


@triton.jit
def _around(
    own,
    other,
    neighbors,
    out,
    total,
    N: tl.constexpr,
    SIZE: tl.constexpr,
    PADDED: tl.constexpr,
    ROWS: tl.constexpr,
):
    """Mean over the neighbors of the rectified sum of what a particle and each of them give."""
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    valid = row < total
    mine = _load_rows(own, row, valid, SIZE, SIZE, PADDED)
    added = tl.zeros((ROWS, PADDED), tl.float32)
    for k in range(N):
        near = tl.load(neighbors + row * N + k, valid, 0).to(tl.int64)
        unit = mine + _load_rows(other, near, valid, SIZE, SIZE, PADDED)
        added += tl.maximum(unit, 0.0, propagate_nan=tl.PropagateNan.ALL)
    _store_rows(out, row, valid, added / N, SIZE, SIZE, PADDED)


@triton.jit
def _column(tile, k: tl.constexpr):
    """Take a column of (rows, 16), in parts: the high one and the low one, five further on."""
    column = tl.arange(0, 16)
    return tl.sum(tl.where(((column == k) | (column == k + 5))[None, :], tile, 0.0), 1)


@triton.jit
def _backward(
    vectors,
    own,
    other,
    values,
    first,
    middle,
    last,
    sums,
    scores,
    grad_sums,
    grad_as_first,
    grad_as_second,
    grad_own,
    grad_other,
    grad_values,
    grad_first,
    grad_middle,
    grad_bias,
    clouds,
    HEAD: tl.constexpr,
    N: tl.constexpr,
    F: tl.constexpr,
    H: tl.constexpr,
    WIDTH: tl.constexpr,
    HEADS: tl.constexpr,
    F_PADDED: tl.constexpr,
    H_PADDED: tl.constexpr,
    WIDTH_PADDED: tl.constexpr,
    ROWS: tl.constexpr,
    GROUP: tl.constexpr,
):
    """Compute the gradients of :func:`_forward`'s sums that go through one of the heads.

    Those of the hidden units, and so of ``own``, ``other`` and ``middle``, lack the factor
    ``last``. What a vector gets as the first and as the second member of pairs is written by
    itself, and so is what each program adds to the gradients of the weights. A program has whole
    clouds, ``GROUP`` at a time.
    """
    U: tl.constexpr = HEADS * H
    stride: tl.constexpr = 1 + F + WIDTH + (4 if HEADS > 1 else 0)
    row = tl.arange(0, ROWS)
    begin = row // N * N
    cloud = tl.arange(0, 16) % 8
    member = tl.where(cloud[None, :] == (row // N)[:, None], 1.0, 0.0).to(tl.float16)
    one = _bfloat16(tl.where(tl.arange(0, 16)[None, :] == (row // N)[:, None], 1.0, 0.0))
    points = tl.full((), N, tl.int64) * clouds
    own += HEAD * H
    other += HEAD * H
    middle += HEAD * H * F
    scores_2 = scores + points * N

    unit, feature, part = tl.arange(0, H_PADDED), tl.arange(0, F_PADDED), tl.arange(0, 16)
    in_middle = (unit < H)[:, None] & (feature < F)[None, :]
    m = tl.load(middle + unit[:, None] * F + feature[None, :], in_middle, 0.0)
    m_high, m_low = _halves(tl.trans(m))
    to_head = tl.load(last + HEAD * H + unit, unit < H, 0.0)
    back_high, back_low = _bfloats(m * to_head[:, None])
    w = _load_first(first, F, F_PADDED)
    in_first = (feature < F)[:, None] & (part < 10)[None, :]
    w_at = feature[:, None] * 5 + (part % 5)[None, :]
    w_high, w_low = _bfloats(tl.load(first + w_at, in_first, 0.0))
    w_back = tl.where((part < 5)[None, :], w_high, w_low)

    sum_first = tl.zeros((F_PADDED, 16), tl.float32)
    sum_middle = tl.zeros((H_PADDED, F_PADDED), tl.float32)
    sum_bias = tl.zeros((ROWS,), tl.float32)
    for group in range(tl.program_id(0), (clouds + GROUP - 1) // GROUP, tl.num_programs(0)):
        start = tl.full((), GROUP * N, tl.int64) * group
        valid = (row < GROUP * N) & (start + row < points)
        there = (part < GROUP) & (group * GROUP + part < clouds)
        present = (cloud < GROUP) & (group * GROUP + cloud < clouds)
        x, y, z, norm = _load_vectors(vectors + start * 3, row, valid)
        u = _load_rows(own + start * U, row, valid, U, H, H_PADDED)
        grads = grad_sums + start * stride
        total = tl.load(sums + start * stride + row * stride, valid, 0.0)
        moments = 1 + F + WIDTH + row * stride
        if HEADS > 1:
            along_0 = tl.load(grads + moments, valid, 0.0)
            along_x = tl.load(grads + moments + 1, valid, 0.0)
            along_y = tl.load(grads + moments + 2, valid, 0.0)
            along_z = tl.load(grads + moments + 3, valid, 0.0)
        if HEAD == 0:
            # the softmax takes from the gradient of every score their mean
            ours = sums + start * stride
            mean = -tl.load(grads + row * stride, valid, 0.0)
            grad_pooled = _load_rows(grads + 1, row, valid, stride, F, F_PADDED)
            pooled = _load_rows(ours + 1, row, valid, stride, F, F_PADDED)
            mean += tl.sum(grad_pooled * pooled, 1)
            ours += 1 + F
            grad_average = _load_rows(grads + 1 + F, row, valid, stride, WIDTH, WIDTH_PADDED)
            average = _load_rows(ours, row, valid, stride, WIDTH, WIDTH_PADDED)
            mean += tl.sum(grad_average * average, 1)
            if HEADS > 1:
                ours += WIDTH + row * stride
                mean += along_0 * tl.load(ours, valid, 0.0)
                mean += along_x * tl.load(ours + 1, valid, 0.0)
                mean += along_y * tl.load(ours + 2, valid, 0.0)
                mean += along_z * tl.load(ours + 3, valid, 0.0)
        grad_u = tl.zeros((ROWS, H_PADDED), tl.float32)
        gx = tl.zeros((ROWS,), tl.float32)
        gy, gz, g_own = gx, gx, gx
        for j in range(N):
            # what the forward pass has made of this pair
            second = cloud * N + j
            xj, yj, zj, norm_j = _load_vectors(vectors + start * 3, begin + j, valid)
            q, cx, cy, cz, cross = _invariants(x, y, z, norm, xj, yj, zj, norm_j)
            h = _features(q, w)
            high, low = _halves(h)
            u_j = _load_parts(other + start * U, second, present, U, H, H_PADDED)
            g = _hidden(member, u_j, high, low, m_high, m_low, u)
            of_pair = (start + row) * N + j
            score = tl.load(scores + of_pair, valid, 0.0)
            weight = tl.where(valid, tl.exp(score - total), 0.0)
            # through the sums and the softmax to the head's output
            if HEADS > 1:
                along = along_0 + along_x * xj + along_y * yj + along_z * zj
                alpha = tl.load(scores_2 + of_pair, valid, 0.0)
            if HEAD == 0:
                v = _load_parts(values + start * WIDTH, second, present, WIDTH, WIDTH, WIDTH_PADDED)
                slope = tl.sum(grad_pooled * h, 1) + tl.sum(grad_average * tl.dot(member, v), 1)
                if HEADS > 1:
                    slope += along * alpha
                grad_head = weight * (slope - mean)
                grad_v, grad_v_low = _bfloats(weight[:, None] * grad_average)
                to_v = tl.dot(tl.trans(one), grad_v)
                to_v = tl.dot(tl.trans(one), grad_v_low, acc=to_v)
                _store_rows(
                    grad_values + start * WIDTH,
                    part * N + j,
                    there,
                    to_v,
                    WIDTH,
                    WIDTH,
                    WIDTH_PADDED,
                )
            else:
                grad_head = weight * along
            sum_bias += grad_head
            # to the hidden units of the head
            grad_g = tl.where(g > 0, grad_head[:, None], 0.0)
            grad_u += grad_g
            g_high, g_low = _bfloats(grad_g)
            to_other = tl.dot(tl.trans(g_high), one)
            to_other = tl.dot(tl.trans(g_low), one, acc=to_other)
            to = grad_other + start * U + HEAD * H
            to += (part * N + j)[None, :] * U + unit[:, None]
            tl.store(to, to_other, there[None, :] & (unit < H)[:, None])
            # to those of V
            high, low = _bfloats(h)
            sum_middle = tl.dot(tl.trans(g_high), high, acc=sum_middle)
            sum_middle = tl.dot(tl.trans(g_low), high, acc=sum_middle)
            sum_middle = tl.dot(tl.trans(g_high), low, acc=sum_middle)
            grad_h = tl.dot(g_high, back_high)
            grad_h = tl.dot(g_low, back_high, acc=grad_h)
            grad_h = tl.dot(g_high, back_low, acc=grad_h)
            if HEAD == 0:
                grad_h += weight[:, None] * grad_pooled
            high, low = _bfloats(tl.where(h > 0, grad_h, 0.0))
            # to the invariants and their weights
            q_high, q_low = _bfloats(q)
            q_parts = tl.where((part < 5)[None, :], q_high, q_low)
            sum_first = tl.dot(tl.trans(high), q_parts, acc=sum_first)
            sum_first = tl.dot(tl.trans(low), q_parts, acc=sum_first)
            grad_q = tl.dot(high, w_back)
            grad_q = tl.dot(low, w_back, acc=grad_q)
            # to the vectors; the norm of one that is zero has no direction to change in
            g_dot, g_cross = _column(grad_q, 0), _column(grad_q, 1)
            g_own += _column(grad_q, 2)
            g_cross = tl.where(cross > 0, g_cross / cross, 0.0)
            g_other = tl.where(norm_j > 0, _column(grad_q, 3) / norm_j, 0.0)
            cx, cy, cz = g_cross * cx, g_cross * cy, g_cross * cz
            gx += g_dot * xj + yj * cz - zj * cy
            gy += g_dot * yj + zj * cx - xj * cz
            gz += g_dot * zj + xj * cy - yj * cx
            hx = g_dot * x + cy * z - cz * y + g_other * xj
            hy = g_dot * y + cz * x - cx * z + g_other * yj
            hz = g_dot * z + cx * y - cy * x + g_other * zj
            if (HEADS > 1) and (HEAD == 0):
                hx += weight * alpha * along_x
                hy += weight * alpha * along_y
                hz += weight * alpha * along_z
            column = part[None, :]
            to_r = tl.where(column == 0, hx[:, None], tl.where(column == 1, hy[:, None], 0.0))
            to_r = tl.where(column == 2, hz[:, None], to_r)
            high, low = _bfloats(to_r)
            to_r = tl.dot(tl.trans(one), high)
            to_r = tl.dot(tl.trans(one), low, acc=to_r)
            _store_rows(grad_as_second + start * 3, part * N + j, there, to_r, 3, 3, 16)
        g_own = tl.where(norm > 0, g_own / norm, 0.0)
        to_first = grad_as_first + (start + row) * 3
        tl.store(to_first, gx + g_own * x, valid)
        tl.store(to_first + 1, gy + g_own * y, valid)
        tl.store(to_first + 2, gz + g_own * z, valid)
        _store_rows(grad_own + start * U + HEAD * H, row, valid, grad_u, U, H, H_PADDED)

    program = tl.program_id(0)
    at = (program * F + feature[:, None]) * 16 + part[None, :]
    tl.store(grad_first + at, sum_first, (feature < F)[:, None] & (part < 16)[None, :])
    at = ((program * HEADS + HEAD) * H + unit[:, None]) * F + feature[None, :]
    tl.store(grad_middle + at, sum_middle, in_middle)
    tl.store(grad_bias + program * HEADS + HEAD, tl.sum(sum_bias, 0))


def _padded(size: int) -> int:
    """Sizes of tiles are powers of two, and those of the factors of a product at least 16."""
    return max(16, int(triton.next_power_of_2(size)))


def _sizes(vectors: Tensor, values: Tensor, first: Tensor, last: Tensor) -> dict[str, int]:
    """Collect what the kernels are compiled for."""
    n, f, width = vectors.shape[1], len(first), values.shape[-1]
    heads, h = last.shape
    return {
        "N": n,
        "F": f,
        "H": h,
        "WIDTH": width,
        "HEADS": heads,
        "F_PADDED": _padded(f),
        "H_PADDED": _padded(h),
        "WIDTH_PADDED": _padded(width),
    }


def split(x: Tensor) -> Tensor:
    """Numbers in parts, (2, …) halves whose sum they are."""
    parts = torch.empty(2, *x.shape, dtype=torch.float16, device=x.device)
    if x.numel():
        with torch.cuda.device_of(x):
            _split[(triton.cdiv(x.numel(), 1024),)](x, parts, x.numel(), BLOCK=1024)
    return parts


def forward(
    inputs: Sequence[Tensor],
    sums: Tensor,
    scores: Tensor | None = None,
    *,
    keep: bool = False,
    pooled: bool = True,
) -> None:
    """Write the sums of :func:`~.pair_sums`, all of them or the moments alone.

    Parameters
    ----------
    inputs : sequence of Tensor
        The arguments of ``pair_sums``, the vectors in place of the pairs, ``other`` and ``values``
        in parts as :func:`split` makes them; contiguous.
    sums : (B, n, 1 + h + width [+ 4])
        Written to.
    scores : (heads, B, n, n), optional
        Outputs of the heads, written to with ``keep``.
    pooled : bool
        Whether averages of hidden units and of values are wanted.
    """
    vectors, _, _, values, first, _, last, _ = inputs
    clouds, n, _ = vectors.shape
    if not clouds * n:
        return
    _announce(vectors.device)
    sizes = _sizes(vectors, values, first, last)
    step = min(ROWS, CLOUDS * n)
    with torch.cuda.device_of(vectors):
        _forward[(triton.cdiv(clouds * n, step),)](
            *inputs,
            sums,
            sums if scores is None else scores,
            clouds * n,
            ROWS=ROWS,
            STEP=step,
            KEEP=keep,
            POOLED=pooled,
            num_stages=STAGES,
            **sizes,
        )


def update(
    sums: Tensor,
    vectors: Tensor,
    values: Tensor,
    change: Sequence[Tensor],
    members: Sequence[Tensor],
    own: Tensor,
    other: Tensor,
    value_parts: Tensor,
    *,
    of_vectors: bool,
    of_values: bool,
    epsilon: float = 1e-5,
) -> None:
    """Change vectors and values by the sums of a layer, in place, and prepare the next layer.

    Parameters
    ----------
    sums : (B, n, 1 + h + width [+ 4])
        From :func:`forward`.
    vectors, values : (B, n, 3) and (B, n, width)
    change : sequence of Tensor
        Weights of covariants (3,); the last map of V, (width, h), and its bias; weight and bias of
        the norm; weights and biases of the perceptron's two maps.
    members : sequence of Tensor
        ``members`` and ``own`` of the next layer's :class:`~.PairWeights`.
    own, other, value_parts : (B, n, heads·H), (2, B, n, heads·H) and (2, B, n, width)
        Written to; the last two in parts.
    of_vectors, of_values : bool
        What the sums change: vectors, values, or both.
    """
    to_value, up = change[1], change[5]
    points, width = len(values) * values.shape[1], values.shape[-1]
    f, hidden, u = to_value.shape[1], len(up), len(members[0])
    if not points:
        return
    with torch.cuda.device_of(vectors):
        _update[(triton.cdiv(points, ROWS),)](
            sums,
            vectors,
            values,
            *change,
            *members,
            own,
            other,
            value_parts,
            points,
            F=f,
            WIDTH=width,
            HIDDEN=hidden,
            U=u,
            VALUES=of_values,
            VECTORS=of_vectors,
            EPSILON=epsilon,
            F_PADDED=_padded(f),
            WIDTH_PADDED=_padded(width),
            HIDDEN_PADDED=_padded(hidden),
            U_PADDED=_padded(u),
            ROWS=ROWS,
        )


def around(own: Tensor, other: Tensor, neighbors: Tensor) -> Tensor:
    """Summarize what surrounds particles, (m, size), as :class:`~hoomd_gala.networks.Context` does.

    Parameters
    ----------
    own : (m, size)
        Its map of the particles' own embeddings.
    other : (N, size)
        Its map of the embeddings of all particles.
    neighbors : (m, n) int32
        Rows of ``other``.
    """
    out = torch.empty_like(own)
    if len(own):
        size = own.shape[1]
        with torch.cuda.device_of(own):
            _around[(triton.cdiv(len(own), CONTEXT_ROWS),)](
                own,
                other,
                neighbors,
                out,
                len(own),
                N=neighbors.shape[1],
                SIZE=size,
                PADDED=_padded(size),
                ROWS=CONTEXT_ROWS,
            )
    return out


class PairSums(torch.autograd.Function):
    """:func:`~hoomd_gala.networks.kernels.pair_sums` on the GPU."""

    @staticmethod
    def forward(ctx: Any, *inputs: Tensor) -> Tensor:
        """Compute the sums, and keep inputs, scores and sums."""
        keep = any(ctx.needs_input_grad)
        inputs = tuple(tensor.detach().contiguous() for tensor in inputs)
        vectors, _, _, values, first, _, last, _ = inputs
        clouds, n, _ = vectors.shape
        moments = 4 if len(last) > 1 else 0
        sums = vectors.new_empty(clouds, n, 1 + len(first) + values.shape[-1] + moments)
        scores = vectors.new_empty(len(last), clouds, n, n if keep else 0)
        first_ones, other, more = inputs[:2], inputs[2], inputs[4:]
        forward((*first_ones, split(other), split(values), *more), sums, scores, keep=keep)
        ctx.save_for_backward(*inputs, sums, scores)
        return sums

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        """Compute gradients of the inputs."""
        *inputs, sums, scores = ctx.saved_tensors
        vectors, own, other, values, first, middle, last, _ = inputs
        sizes = _sizes(vectors, values, first, last)
        clouds, n, _ = vectors.shape
        heads, h = last.shape
        rows = max(ROWS, triton.next_power_of_2(n))
        group = min(rows // n, CLOUDS)
        programs = min(triton.cdiv(clouds, group), _programs(vectors.device))
        as_first, as_second = vectors.new_empty(2, heads, *vectors.shape)
        members = [torch.empty_like(tensor) for tensor in (own, other, values)]
        in_parts = first.new_empty(heads, programs, len(first), 16)
        weights = [first.new_empty(programs, *middle.shape), first.new_empty(programs, heads)]
        for head in range(heads if clouds else 0):
            _backward[(programs,)](
                *inputs[:-1],
                sums,
                scores,
                grad.contiguous(),
                as_first[head],
                as_second[head],
                *members,
                in_parts[head],
                *weights,
                clouds,
                HEAD=head,
                ROWS=rows,
                GROUP=group,
                num_stages=1,
                **sizes,
            )
        grad_own, grad_other, grad_values = members
        grad_first = in_parts.sum((0, 1))
        grad_middle, grad_bias = (weight.sum(0) for weight in weights)
        # hidden units that are not zero are the sum of these three
        grad_last = (grad_own * own).sum((0, 1)) + (grad_other * other).sum((0, 1))
        grad_last += (grad_middle * middle).sum(-1)
        factor = last.flatten()
        return (
            (as_first + as_second).sum(0),
            grad_own.mul_(factor),
            grad_other.mul_(factor),
            grad_values,
            grad_first[:, :5] + grad_first[:, 5:10],
            grad_middle * factor[:, None],
            grad_last.view(heads, h),
            grad_bias,
        )


def _programs(device: torch.device) -> int:
    """Programs of the backward pass at most: enough to keep all of a GPU busy."""
    if device.type != "cuda":
        return 2
    return 2 * torch.cuda.get_device_properties(device).multi_processor_count


@functools.cache
def _announce(device: torch.device) -> None:
    """Say that kernels must be compiled first, which takes a while."""
    if device.type == "cuda" and not are_cached():
        print(f"hoomd-gala: compiling kernels for {device}, once", file=sys.stderr)


def are_cached() -> bool:
    """Whether an earlier process has compiled kernels on this machine."""
    folder = os.environ.get("TRITON_CACHE_DIR") or Path.home() / ".triton" / "cache"
    return any(Path(folder).glob(f"*/{_forward.__name__}.cubin"))
