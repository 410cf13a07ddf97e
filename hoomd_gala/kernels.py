"""What an attention layer does for every pair, compiled for the CPU.

The layers are small and have many pairs, so that tensor libraries spend their time on carrying
pair tensors through memory. Here nothing that belongs to a pair leaves the cache, except its
scores, which the backward pass takes up again; everything else it computes again.

Point clouds are worked on in blocks of :data:`LANES`, whose members lie next to each other in
memory: an array (rows, n·LANES) holds some rows of numbers for each of the n points j of each
cloud of a block. Whatever the number of points, every loop over the last axis is then a loop over
full vector registers, and a sum over j is a plain addition of registers. Work proceeds by the
first member i of the pairs, so that the pairs at hand fit into the first-level cache.

Names, all float32; H is the number of hidden units of the heads, k of them to a head:

=============  ================  =======================================================
``vectors``    (B, n, 3)         r
``own``        (B, n, H)         u, what the pair's first member adds to the hidden units
``other``      (B, n, H)         u', what its second member adds
``values``     (B, n, width)     v
``first``      (h, 5)            W, weights of the invariants and of a constant 1
``middle``     (H, h)            M
``last``       (heads, H/heads)  L
``bias``       (heads,)          b
=============  ================  =======================================================
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .lanes import LANES, add, load, multiply_add, spread, store, zeros

Array = NDArray[np.float32]


#: Hidden units of the heads whose gradients are at hand at a time, a multiple of 4.
UNITS = 16

ZERO = np.float32(0)
ONE = np.float32(1)
HALF = np.float32(0.5)
LOG2_E = np.float32(1.4426950408889634)
#: ln 2 in two parts, the first with so few digits that its multiples are exact.
LN2_HIGH = np.float32(0.693359375)
LN2_LOW = np.float32(-2.12194440e-4)


def compiled(function: Callable[..., Any]) -> Any:
    """Compile a function when it is first called, and keep the result where there is a place."""
    options = {
        "nogil": True,
        "error_model": "numpy",
        # sums may be reordered and contracted, but infinities and NaNs stay what they are
        "fastmath": {"contract", "reassoc", "nsz", "arcp"},
    }
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:  # no folder to keep it in can be written
        return njit(**options)(function)


def are_cached() -> bool:
    """Whether an earlier process has compiled the kernels on this machine."""
    folder = forward.stats.cache_path
    return folder is not None and any(Path(folder).glob("kernels.forward-*.nbc"))


@compiled
def _exp(x: Any) -> Any:
    """Exponential of x ≤ 0, free of branches and calls so that loops over it are vectorized.

    A Taylor series on [-ln 2 / 2, ln 2 / 2], and the rest of the exponent put in by its bits.
    """
    x = max(x, np.float32(-60))  # products of smaller numbers would be slow and mean nothing
    power = np.floor(x * LOG2_E + HALF)
    x = (x - power * LN2_HIGH) - power * LN2_LOW
    series = np.float32(1 / 5040)
    series = series * x + np.float32(1 / 720)
    series = series * x + np.float32(1 / 120)
    series = series * x + np.float32(1 / 24)
    series = series * x + np.float32(1 / 6)
    series = series * x + HALF
    series = series * x + ONE
    series = series * x + ONE
    scale = np.int32((np.int32(power) + np.int32(127)) << np.int32(23))
    return series * scale.view(np.float32)


@compiled
def _load4(array: Array, at: int, step: int) -> Any:
    return (
        load(array, at),
        load(array, at + step),
        load(array, at + 2 * step),
        load(array, at + 3 * step),
    )


@compiled
def _store4(array: Array, at: int, step: int, values: Any) -> None:
    store(array, at, values[0])
    store(array, at + step, values[1])
    store(array, at + 2 * step, values[2])
    store(array, at + 3 * step, values[3])


@compiled
def _multiply_add4(x: Any, y: Any, totals: Any) -> Any:
    return (
        multiply_add(x[0], y, totals[0]),
        multiply_add(x[1], y, totals[1]),
        multiply_add(x[2], y, totals[2]),
        multiply_add(x[3], y, totals[3]),
    )


@compiled
def _by_fours(weights: Array) -> Array:
    """Bring (R, K) weights into the order in which :func:`_add_product` takes them."""
    rows, columns = weights.shape
    out = np.empty((rows // 4, columns, 4), np.float32)
    for r in range(rows):
        for k in range(columns):
            out[r // 4, k, r % 4] = weights[r, k]
    return out


@compiled
def _add_product(out: Array, weights: Array, start: int, x: Array) -> None:
    """out += weights[:, start : start + K] @ x, with out (R, P), x (K, P), weights by fours.

    R and K are multiples of 4 and P one of 4·LANES. Sixteen sums stay in registers.
    """
    width = out.shape[1]
    for p in range(0, width, 4 * LANES):
        for r in range(0, out.shape[0], 4):
            at = r * width + p
            a = _load4(out, at, width)
            b = _load4(out, at + LANES, width)
            c = _load4(out, at + 2 * LANES, width)
            d = _load4(out, at + 3 * LANES, width)
            w_at = r * weights.shape[1] + 4 * start
            for k in range(x.shape[0]):
                w = (
                    spread(weights, w_at + 4 * k),
                    spread(weights, w_at + 4 * k + 1),
                    spread(weights, w_at + 4 * k + 2),
                    spread(weights, w_at + 4 * k + 3),
                )
                x_at = k * width + p
                a = _multiply_add4(w, load(x, x_at), a)
                b = _multiply_add4(w, load(x, x_at + LANES), b)
                c = _multiply_add4(w, load(x, x_at + 2 * LANES), c)
                d = _multiply_add4(w, load(x, x_at + 3 * LANES), d)
            _store4(out, at, width, a)
            _store4(out, at + LANES, width, b)
            _store4(out, at + 2 * LANES, width, c)
            _store4(out, at + 3 * LANES, width, d)


@compiled
def _add_outer(out: Array, x: Array, y: Array) -> None:
    """out += x @ y.T, with x (R, P), y (K, P), and in out (R / 4, K / 4, 4, 4, LANES) every lane
    by itself, to be summed in the end."""
    width = x.shape[1]
    for r in range(0, x.shape[0], 4):
        for k in range(0, y.shape[0], 4):
            at = (r * y.shape[0] + 4 * k) * LANES
            a = _load4(out, at, LANES)
            b = _load4(out, at + 4 * LANES, LANES)
            c = _load4(out, at + 8 * LANES, LANES)
            d = _load4(out, at + 12 * LANES, LANES)
            for p in range(0, width, LANES):
                z = _load4(y, k * width + p, width)
                x_at = r * width + p
                a = _multiply_add4(z, load(x, x_at), a)
                b = _multiply_add4(z, load(x, x_at + width), b)
                c = _multiply_add4(z, load(x, x_at + 2 * width), c)
                d = _multiply_add4(z, load(x, x_at + 3 * width), d)
            _store4(out, at, LANES, a)
            _store4(out, at + 4 * LANES, LANES, b)
            _store4(out, at + 8 * LANES, LANES, c)
            _store4(out, at + 12 * LANES, LANES, d)


@compiled
def _sum_lanes(lanes: Array, out: Array) -> None:
    """Add to (R, K) the sums of :func:`_add_outer`."""
    for r in range(out.shape[0]):
        for k in range(out.shape[1]):
            out[r, k] += lanes[r // 4, k // 4, r % 4, k % 4].sum()


@compiled
def _pack(points: Array, start: int, out: Array) -> None:
    """Bring a block of (B, n, K) points into lanes, (K, n·LANES); missing clouds are zero."""
    out[:] = ZERO
    clouds = min(LANES, points.shape[0] - start)
    for j in range(points.shape[1]):
        for k in range(points.shape[2]):
            for lane in range(clouds):
                out[k, j * LANES + lane] = points[start + lane, j, k]


@compiled
def _unpack(packed: Array, points: Array, start: int) -> None:
    """The opposite of :func:`_pack`."""
    for lane in range(min(LANES, points.shape[0] - start)):
        for j in range(points.shape[1]):
            for k in range(points.shape[2]):
                points[start + lane, j, k] = packed[k, j * LANES + lane]


@compiled
def _padded(size: int) -> int:
    """Width of the arrays that enter matrix products; what is beyond size is and stays zero."""
    return (size + 4 * LANES - 1) // (4 * LANES) * (4 * LANES)


@compiled
def _write_sums(i: int, out: Array, weights: Array, x: Array) -> None:
    """Weighted sums over j of the rows of x, (K, P), written to out, (K, n·LANES), at i."""
    width, step = x.shape[1], out.shape[1]
    for k in range(0, x.shape[0] - 3, 4):
        totals = (zeros(), zeros(), zeros(), zeros())
        for p in range(0, weights.shape[0], LANES):
            totals = _multiply_add4(_load4(x, k * width + p, width), load(weights, p), totals)
        _store4(out, k * step + i * LANES, step, totals)
    for k in range(x.shape[0] // 4 * 4, x.shape[0]):
        total = zeros()
        for p in range(0, weights.shape[0], LANES):
            total = multiply_add(load(weights, p), load(x, k * width + p), total)
        store(out, k * step + i * LANES, total)


@compiled
def _add_spread(i: int, out: Array, weights: Array, x: Array) -> None:
    """Add weights times x, (K, n·LANES), at i to the rows of out, (K, P)."""
    width, step = out.shape[1], x.shape[1]
    for k in range(out.shape[0]):
        value = load(x, k * step + i * LANES)
        for p in range(0, weights.shape[0], LANES):
            at = k * width + p
            store(out, at, multiply_add(load(weights, p), value, load(out, at)))


@compiled
def _add_columns(i: int, out: Array, x: Array, y: Array) -> None:
    """Add to out, (P,), scalar products of x, (K, n·LANES), at i with every column of (K, P) y."""
    width, step = y.shape[1], x.shape[1]
    for p in range(0, out.shape[0], LANES):
        total = load(out, p)
        for k in range(y.shape[0]):
            total = multiply_add(load(x, k * step + i * LANES), load(y, k * width + p), total)
        store(out, p, total)


@compiled
def _pack_vectors(vectors: Array, start: int, out: Array, norms: Array) -> None:
    """Rows 1, x, y, z of a block of vectors, and their norms."""
    _pack(vectors, start, out[1:])
    out[0] = ONE
    for p in range(norms.shape[0]):
        norms[p] = np.sqrt(out[1, p] ** 2 + out[2, p] ** 2 + out[3, p] ** 2)


@compiled
def _invariants(i: int, r: Array, norms: Array, out: Array) -> None:
    """Invariants (4, P) of the pairs whose first member is i."""
    _, x, y, z = r[0], r[1], r[2], r[3]
    own = slice(i * LANES, (i + 1) * LANES)
    xi, yi, zi, norm = x[own], y[own], z[own], norms[own]
    dot, cross, first, second = out[0], out[1], out[2], out[3]
    for j in range(0, norms.shape[0], LANES):
        for c in range(LANES):
            p = j + c
            dot[p] = xi[c] * x[p] + yi[c] * y[p] + zi[c] * z[p]
            a = yi[c] * z[p] - zi[c] * y[p]
            b = zi[c] * x[p] - xi[c] * z[p]
            d = xi[c] * y[p] - yi[c] * x[p]
            cross[p] = np.sqrt(a * a + b * b + d * d)
            first[p] = norm[c]
            second[p] = norms[p]


@compiled
def _features(q: Array, first: Array, size: int, out: Array) -> None:
    """Hidden units of V, relu(W q), (h, P)."""
    q0, q1, q2, q3 = q[0], q[1], q[2], q[3]
    for f in range(0, out.shape[0], 2):
        row, next_row = out[f], out[f + 1]
        a0, a1, a2, a3, a4 = first[f, 0], first[f, 1], first[f, 2], first[f, 3], first[f, 4]
        g = f + 1
        b0, b1, b2, b3, b4 = first[g, 0], first[g, 1], first[g, 2], first[g, 3], first[g, 4]
        for p in range(size):
            s, t, u, v = q0[p], q1[p], q2[p], q3[p]
            row[p] = max(a0 * s + a1 * t + a2 * u + a3 * v + a4, ZERO)
            next_row[p] = max(b0 * s + b1 * t + b2 * u + b3 * v + b4, ZERO)


@compiled
def _hidden(i: int, row: int, own: Array, other: Array, m: Array, h: Array, out: Array) -> None:
    """Some hidden units of the heads before they are rectified, M h + u_i + u'_j, (rows, P)."""
    width, size = out.shape[1], other.shape[1]
    for k in range(out.shape[0]):
        at = (row + k) * size
        mine = load(own, at + i * LANES)
        for p in range(0, size, LANES):
            store(out, k * width + p, add(mine, load(other, at + p)))
    _add_product(out, m[row // 4 : (row + out.shape[0]) // 4], 0, h)


@compiled
def _add_heads(last: Array, hidden: Array, out: Array) -> None:
    """Add to a head, (P,), what it makes of four hidden units, (4, P)."""
    h0, h1, h2, h3 = hidden[0], hidden[1], hidden[2], hidden[3]
    a, b, c, d = last[0], last[1], last[2], last[3]
    for p in range(out.shape[0]):
        out[p] += (a * max(h0[p], ZERO) + b * max(h1[p], ZERO)) + (
            c * max(h2[p], ZERO) + d * max(h3[p], ZERO)
        )


@compiled
def _log_sum_exp(scores: Array, weights: Array, out: Array) -> None:
    """Softmax over j of the scores, (P,), and the logarithm of what it is divided by, (LANES,)."""
    highest = scores[:LANES].copy()
    for j in range(0, scores.shape[0], LANES):
        for c in range(LANES):
            highest[c] = max(highest[c], scores[j + c])
    total = np.zeros(LANES, np.float32)
    for j in range(0, scores.shape[0], LANES):
        for c in range(LANES):
            weights[j + c] = _exp(scores[j + c] - highest[c])
    for j in range(0, scores.shape[0], LANES):
        for c in range(LANES):
            total[c] += weights[j + c]
    for c in range(LANES):
        out[c] = highest[c] + np.log(total[c])
        total[c] = ONE / total[c]
    for j in range(0, scores.shape[0], LANES):
        for c in range(LANES):
            weights[j + c] *= total[c]


@compiled
def forward(
    vectors: Array,
    own: Array,
    other: Array,
    values: Array,
    first: Array,
    middle: Array,
    last: Array,
    bias: Array,
    blocks: tuple[int, int],
    scores: Array,
    sums: Array,
) -> None:
    """Weighted sums over the second members of the pairs of some blocks of clouds.

    Parameters
    ----------
    vectors, own, other, values, first, middle, last, bias
        See the module.
    blocks : (int, int)
        First block to do, and the one to stop before.
    scores : (blocks, n, heads, n·LANES)
        Written: outputs of the heads, which the backward pass needs.
    sums : (B, n, 1 + h + width [+ 4])
        Written: the logarithm of the sum over j of exp(score), and the averages over j with
        softmax weights of the hidden units of V, of the values and, if there is a second head α,
        of α and α r_j.
    """
    n, h, width, heads = vectors.shape[1], first.shape[0], values.shape[2], last.shape[0]
    size, units = n * LANES, last.shape[1]
    r, norms = np.empty((4, size), np.float32), np.empty(size, np.float32)
    u = np.empty((heads * units, size), np.float32)
    v, w = np.empty((width, size), np.float32), np.empty_like(u)
    wide = _padded(size)
    q, features = np.zeros((4, wide), np.float32), np.zeros((h, wide), np.float32)
    hidden, weights = np.zeros((4, wide), np.float32), np.empty(size, np.float32)
    m = _by_fours(middle)
    out = np.empty((sums.shape[2], size), np.float32)
    for block in range(blocks[0], blocks[1]):
        start = block * LANES
        _pack_vectors(vectors, start, r, norms)
        _pack(own, start, u)
        _pack(other, start, w)
        _pack(values, start, v)
        for i in range(n):
            _invariants(i, r, norms, q)
            _features(q, first, size, features)
            head = scores[block, i]
            for k in range(heads):
                head[k] = bias[k]
                for row in range(0, units, 4):
                    _hidden(i, k * units + row, u, w, m, features, hidden)
                    _add_heads(last[k, row : row + 4], hidden, head[k])
            _log_sum_exp(head[0], weights, out[0, i * LANES : (i + 1) * LANES])
            _write_sums(i, out[1 : 1 + h], weights, features)
            _write_sums(i, out[1 + h : 1 + h + width], weights, v)
            if heads > 1:
                for p in range(size):
                    weights[p] *= head[1, p]
                _write_sums(i, out[1 + h + width :], weights, r)
        _unpack(out, sums, start)


@compiled
def _grad_scores(
    i: int, grad: Array, sums: Array, head: Array, h: Array, v: Array, r: Array, out: Array
) -> None:
    """Gradients of the heads' outputs, (heads, P), and in the last row of out the weights a."""
    own = slice(i * LANES, (i + 1) * LANES)
    total, weights, slope = sums[0, own], out[-1], out[0]
    for j in range(0, weights.shape[0], LANES):
        for c in range(LANES):
            weights[j + c] = _exp(min(head[0, j + c] - total[c], ZERO))
    slope[:] = ZERO
    size, width = h.shape[0], v.shape[0]
    _add_columns(i, slope, grad[1 : 1 + size], h)
    _add_columns(i, slope, grad[1 + size : 1 + size + width], v)
    if head.shape[0] > 1:
        second = out[1]
        second[:] = ZERO
        _add_columns(i, second, grad[1 + size + width :], r)
        for p in range(weights.shape[0]):
            slope[p] += second[p] * head[1, p]
            second[p] *= weights[p]
    # through the softmax: what all scores have in common changes nothing
    mean = -grad[0, own]
    for j in range(0, weights.shape[0], LANES):
        for c in range(LANES):
            mean[c] += weights[j + c] * slope[j + c]
    for j in range(0, weights.shape[0], LANES):
        for c in range(LANES):
            slope[j + c] = weights[j + c] * (slope[j + c] - mean[c])


@compiled
def _grad_hidden(last: Array, grad_head: Array, grad_last: Array, hidden: Array) -> None:
    """Replace some hidden units, (rows, P), by their gradients, through the heads' last map."""
    for k in range(hidden.shape[0]):
        row, weight, total = hidden[k], last[k], ZERO
        for p in range(grad_head.shape[0]):
            total += grad_head[p] * max(row[p], ZERO)
            row[p] = weight * grad_head[p] if row[p] > ZERO else ZERO
        grad_last[k] += total


@compiled
def _rectify(units: Array, grad: Array) -> Any:
    """Set the gradients of hidden units that are zero to zero, and return the sum of the others."""
    total = ZERO
    for p in range(grad.shape[0]):
        kept = grad[p] if units[p] > ZERO else ZERO
        grad[p] = kept
        total += kept
    return total


@compiled
def _grad_members(i: int, row: int, grad_hidden: Array, grad_own: Array, grad_other: Array) -> None:
    """Add up the gradients of some hidden units for each member of the pairs."""
    width, size = grad_hidden.shape[1], grad_other.shape[1]
    for k in range(grad_hidden.shape[0]):
        at = (row + k) * size
        mine = zeros()
        for p in range(0, size, LANES):
            grad = load(grad_hidden, k * width + p)
            mine = add(mine, grad)
            store(grad_other, at + p, add(load(grad_other, at + p), grad))
        store(grad_own, at + i * LANES, mine)


@compiled
def _grad_vectors(
    i: int, r: Array, q: Array, grad: Array, grad_r: Array, grad_norms: Array
) -> None:
    """From gradients of the invariants, (4, P), to those of the vectors and their norms."""
    _, x, y, z = r[0], r[1], r[2], r[3]
    _, gx, gy, gz = grad_r[0], grad_r[1], grad_r[2], grad_r[3]
    own = slice(i * LANES, (i + 1) * LANES)
    xi, yi, zi = x[own], y[own], z[own]
    cross = q[1]
    mine = np.zeros((4, LANES), np.float32)
    m0, m1, m2, m3 = mine[0], mine[1], mine[2], mine[3]
    g_dot, g_cross, g_first, g_second = grad[0], grad[1], grad[2], grad[3]
    for j in range(0, grad_norms.shape[0], LANES):
        for c in range(LANES):
            p = j + c
            # the norm of a vector that is zero has no direction to change in
            scale = g_cross[p] / cross[p] if cross[p] > ZERO else ZERO
            a = scale * (yi[c] * z[p] - zi[c] * y[p])
            b = scale * (zi[c] * x[p] - xi[c] * z[p])
            d = scale * (xi[c] * y[p] - yi[c] * x[p])
            m1[c] += g_dot[p] * x[p] + (y[p] * d - z[p] * b)
            m2[c] += g_dot[p] * y[p] + (z[p] * a - x[p] * d)
            m3[c] += g_dot[p] * z[p] + (x[p] * b - y[p] * a)
            m0[c] += g_first[p]
            gx[p] += g_dot[p] * xi[c] + (b * zi[c] - d * yi[c])
            gy[p] += g_dot[p] * yi[c] + (d * xi[c] - a * zi[c])
            gz[p] += g_dot[p] * zi[c] + (a * yi[c] - b * xi[c])
            grad_norms[p] += g_second[p]
    for c in range(LANES):
        p = i * LANES + c
        grad_norms[p] += m0[c]
        gx[p] += m1[c]
        gy[p] += m2[c]
        gz[p] += m3[c]


@compiled
def backward(
    vectors: Array,
    own: Array,
    other: Array,
    values: Array,
    first: Array,
    middle: Array,
    last: Array,
    blocks: tuple[int, int],
    scores: Array,
    sums: Array,
    grad_sums: Array,
    grad_vectors: Array,
    grad_own: Array,
    grad_other: Array,
    grad_values: Array,
    grad_first: Array,
    grad_middle: Array,
    grad_last: Array,
    grad_bias: Array,
) -> None:
    """Gradients of :func:`forward`'s sums.

    Takes what :func:`forward` took and wrote, and the gradients of the sums. Writes the gradients
    of the clouds in the given blocks and adds to those of the weights.
    """
    n, h, width, heads = vectors.shape[1], first.shape[0], values.shape[2], last.shape[0]
    size, units = n * LANES, last.shape[1]
    r, norms = np.empty((4, size), np.float32), np.empty(size, np.float32)
    u = np.empty((heads * units, size), np.float32)
    v, w = np.empty((width, size), np.float32), np.empty_like(u)
    wide = _padded(size)
    q, features = np.zeros((4, wide), np.float32), np.zeros((h, wide), np.float32)
    hidden = np.zeros((UNITS, wide), np.float32)
    total = np.empty((sums.shape[2], size), np.float32)
    grad = np.empty_like(total)
    grad_heads = np.empty((heads + 1, size), np.float32)
    weights = grad_heads[heads]
    grad_r, grad_norms, grad_q = np.empty_like(r), np.empty_like(norms), np.empty_like(q)
    grad_u, grad_w, grad_v = np.empty_like(u), np.empty_like(w), np.empty_like(v)
    grad_h = np.empty_like(features)
    m, m_transposed, w_transposed = (
        _by_fours(middle),
        _by_fours(middle.T),
        _by_fours(first[:, :4].T),
    )
    middle_lanes = np.zeros((heads * units // 4, h // 4, 4, 4, LANES), np.float32)
    first_lanes = np.zeros((h // 4, 1, 4, 4, LANES), np.float32)
    for block in range(blocks[0], blocks[1]):
        start = block * LANES
        _pack_vectors(vectors, start, r, norms)
        _pack(own, start, u)
        _pack(other, start, w)
        _pack(values, start, v)
        _pack(sums, start, total)
        _pack(grad_sums, start, grad)
        for array in (grad_r, grad_u, grad_w, grad_v):
            array[:] = ZERO
        grad_norms[:] = ZERO
        for i in range(n):
            _invariants(i, r, norms, q)
            _features(q, first, size, features)
            head = scores[block, i]
            _grad_scores(i, grad, total, head, features, v, r, grad_heads)
            grad_h[:] = ZERO
            _add_spread(i, grad_h, weights, grad[1 : 1 + h])
            _add_spread(i, grad_v, weights, grad[1 + h : 1 + h + width])
            if heads > 1:
                for p in range(size):
                    weights[p] *= head[1, p]
                _add_spread(i, grad_r, weights, grad[1 + h + width :])
            for k in range(heads):
                grad_bias[k] += grad_heads[k].sum()
                for row in range(0, units, UNITS):
                    at, stop = k * units + row, min(row + UNITS, units)
                    some = hidden[: stop - row]
                    _hidden(i, at, u, w, m, features, some)
                    _grad_hidden(last[k, row:stop], grad_heads[k], grad_last[k, row:stop], some)
                    _grad_members(i, at, some, grad_u, grad_w)
                    _add_outer(middle_lanes[at // 4 :], some, features)
                    _add_product(grad_h, m_transposed, at, some)
            for f in range(h):
                grad_first[f, 4] += _rectify(features[f], grad_h[f])
            _add_outer(first_lanes, grad_h, q)
            grad_q[:] = ZERO
            _add_product(grad_q, w_transposed, 0, grad_h)
            _grad_vectors(i, r, q, grad_q, grad_r, grad_norms)
        for p in range(size):
            scale = grad_norms[p] / norms[p] if norms[p] > ZERO else ZERO
            for k in range(1, 4):
                grad_r[k, p] += scale * r[k, p]
        _unpack(grad_r[1:], grad_vectors, start)
        _unpack(grad_u, grad_own, start)
        _unpack(grad_w, grad_other, start)
        _unpack(grad_v, grad_values, start)
    _sum_lanes(first_lanes, grad_first[:, :4])
    _sum_lanes(middle_lanes, grad_middle)
