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

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float32]

#: Point clouds in a block, the floats of one AVX-512 register or two AVX registers.
LANES = 16


ZERO = np.float32(0)
ONE = np.float32(1)
HALF = np.float32(0.5)
LOG2_E = np.float32(1.4426950408889634)
#: ln 2 in two parts, the first with so few digits that its multiples are exact.
LN2_HIGH = np.float32(0.693359375)
LN2_LOW = np.float32(-2.12194440e-4)

# Sums may be reordered and contracted, but infinities and NaNs stay what they are.
compiled = njit(
    cache=True, nogil=True, error_model="numpy", fastmath={"contract", "reassoc", "nsz", "arcp"}
)


@compiled
def _exp(x: Any) -> Any:
    """Exponential of x ≤ 0, free of branches and calls so that loops over it are vectorized.

    A Taylor series on [-ln 2 / 2, ln 2 / 2], and the rest of the exponent put in by its bits.
    """
    x = max(x, np.float32(-87))
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
def _add_product(out: Array, weights: Array, x: Array) -> None:
    """out += weights @ x, for (R, P), (R, K) and (K, P), R and K multiples of 4.

    Sixteen weights stay in registers while a loop runs along P.
    """
    for r in range(0, out.shape[0], 4):
        o0, o1, o2, o3 = out[r], out[r + 1], out[r + 2], out[r + 3]
        for k in range(0, x.shape[0], 4):
            x0, x1, x2, x3 = x[k], x[k + 1], x[k + 2], x[k + 3]
            a0, a1, a2, a3 = weights[r, k : k + 4]
            b0, b1, b2, b3 = weights[r + 1, k : k + 4]
            c0, c1, c2, c3 = weights[r + 2, k : k + 4]
            d0, d1, d2, d3 = weights[r + 3, k : k + 4]
            for p in range(out.shape[1]):
                y0, y1, y2, y3 = x0[p], x1[p], x2[p], x3[p]
                o0[p] += a0 * y0 + a1 * y1 + a2 * y2 + a3 * y3
                o1[p] += b0 * y0 + b1 * y1 + b2 * y2 + b3 * y3
                o2[p] += c0 * y0 + c1 * y1 + c2 * y2 + c3 * y3
                o3[p] += d0 * y0 + d1 * y1 + d2 * y2 + d3 * y3


@compiled
def _add_outer(out: Array, x: Array, y: Array) -> None:
    """out += x @ y.T, for (R, K), (R, P) and (K, P), R and K multiples of 4."""
    for r in range(0, x.shape[0], 4):
        x0, x1, x2, x3 = x[r], x[r + 1], x[r + 2], x[r + 3]
        for k in range(0, y.shape[0], 4):
            y0, y1, y2, y3 = y[k], y[k + 1], y[k + 2], y[k + 3]
            a0 = a1 = a2 = a3 = b0 = b1 = b2 = b3 = ZERO
            c0 = c1 = c2 = c3 = d0 = d1 = d2 = d3 = ZERO
            for p in range(x.shape[1]):
                z0, z1, z2, z3 = y0[p], y1[p], y2[p], y3[p]
                s, t, u, v = x0[p], x1[p], x2[p], x3[p]
                a0, a1, a2, a3 = a0 + s * z0, a1 + s * z1, a2 + s * z2, a3 + s * z3
                b0, b1, b2, b3 = b0 + t * z0, b1 + t * z1, b2 + t * z2, b3 + t * z3
                c0, c1, c2, c3 = c0 + u * z0, c1 + u * z1, c2 + u * z2, c3 + u * z3
                d0, d1, d2, d3 = d0 + v * z0, d1 + v * z1, d2 + v * z2, d3 + v * z3
            for j, sums in enumerate(
                ((a0, a1, a2, a3), (b0, b1, b2, b3), (c0, c1, c2, c3), (d0, d1, d2, d3))
            ):
                for m in range(4):
                    out[r + j, k + m] += sums[m]


@compiled
def _pack(points: Array, start: int, out: Array) -> None:
    """Bring a block of (B, n, K) points into lanes, (K, n·LANES); missing clouds are zero."""
    out[:] = ZERO
    for lane in range(min(LANES, points.shape[0] - start)):
        for j in range(points.shape[1]):
            for k in range(points.shape[2]):
                out[k, j * LANES + lane] = points[start + lane, j, k]


@compiled
def _unpack(packed: Array, points: Array, start: int) -> None:
    """The opposite of :func:`_pack`."""
    for lane in range(min(LANES, points.shape[0] - start)):
        for j in range(points.shape[1]):
            for k in range(points.shape[2]):
                points[start + lane, j, k] = packed[k, j * LANES + lane]


@compiled
def _add_sums(out: Array, weights: Array, x: Array) -> None:
    """Add the weighted sums over j of the rows of x to out, (K, LANES)."""
    for k in range(x.shape[0]):
        total, row = out[k], x[k]
        for j in range(0, weights.shape[0], LANES):
            for c in range(LANES):
                total[c] += weights[j + c] * row[j + c]


@compiled
def _add_spread(out: Array, weights: Array, x: Array) -> None:
    """Add weights times (K, LANES) x to the rows of out, which is what :func:`_add_sums` undoes."""
    for k in range(out.shape[0]):
        value, row = x[k], out[k]
        for j in range(0, weights.shape[0], LANES):
            for c in range(LANES):
                row[j + c] += weights[j + c] * value[c]


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
def _features(q: Array, first: Array, out: Array) -> None:
    """Hidden units of V, relu(W q), (h, P)."""
    q0, q1, q2, q3 = q[0], q[1], q[2], q[3]
    for f in range(0, out.shape[0], 2):
        row, next_row = out[f], out[f + 1]
        a0, a1, a2, a3, a4 = first[f, 0], first[f, 1], first[f, 2], first[f, 3], first[f, 4]
        g = f + 1
        b0, b1, b2, b3, b4 = first[g, 0], first[g, 1], first[g, 2], first[g, 3], first[g, 4]
        for p in range(out.shape[1]):
            s, t, u, v = q0[p], q1[p], q2[p], q3[p]
            row[p] = max(a0 * s + a1 * t + a2 * u + a3 * v + a4, ZERO)
            next_row[p] = max(b0 * s + b1 * t + b2 * u + b3 * v + b4, ZERO)


@compiled
def _hidden(i: int, row: int, own: Array, other: Array, m: Array, h: Array, out: Array) -> None:
    """Four hidden units of the heads before they are rectified, M h + u_i + u'_j, (4, P)."""
    for k in range(4):
        mine = own[row + k, i * LANES : (i + 1) * LANES]
        theirs, total = other[row + k], out[k]
        for j in range(0, theirs.shape[0], LANES):
            for c in range(LANES):
                total[j + c] = theirs[j + c] + mine[c]
    _add_product(out, m[row : row + 4], h)


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
    q, features = np.empty((4, size), np.float32), np.empty((h, size), np.float32)
    hidden, weights = np.empty((4, size), np.float32), np.empty(size, np.float32)
    out = np.empty((sums.shape[2], size), np.float32)
    for block in range(blocks[0], blocks[1]):
        start = block * LANES
        _pack_vectors(vectors, start, r, norms)
        _pack(own, start, u)
        _pack(other, start, w)
        _pack(values, start, v)
        out[:] = ZERO
        for i in range(n):
            _invariants(i, r, norms, q)
            _features(q, first, features)
            head = scores[block, i]
            for k in range(heads):
                head[k] = bias[k]
                for row in range(0, units, 4):
                    _hidden(i, k * units + row, u, w, middle, features, hidden)
                    _add_heads(last[k, row : row + 4], hidden, head[k])
            total = out[:, i * LANES : (i + 1) * LANES]
            _log_sum_exp(head[0], weights, total[0])
            _add_sums(total[1 : 1 + h], weights, features)
            _add_sums(total[1 + h : 1 + h + width], weights, v)
            if heads > 1:
                for p in range(size):
                    weights[p] *= head[1, p]
                _add_sums(total[1 + h + width :], weights, r)
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
    _add_columns(slope, grad[1 : 1 + size, own], h)
    _add_columns(slope, grad[1 + size : 1 + size + width, own], v)
    if head.shape[0] > 1:
        second = out[1]
        second[:] = ZERO
        _add_columns(second, grad[1 + size + width :, own], r)
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
def _add_columns(out: Array, x: Array, y: Array) -> None:
    """Add to out, (P,), the scalar products of (K, LANES) x with the (K, P) y of every pair."""
    for k in range(y.shape[0]):
        value, row = x[k], y[k]
        for j in range(0, out.shape[0], LANES):
            for c in range(LANES):
                out[j + c] += value[c] * row[j + c]


@compiled
def _grad_hidden(last: Array, grad_head: Array, grad_last: Array, hidden: Array) -> None:
    """Replace four hidden units, (4, P), by their gradients, through the heads' last map."""
    for k in range(4):
        row, weight, total = hidden[k], last[k], ZERO
        for p in range(row.shape[0]):
            total += grad_head[p] * max(row[p], ZERO)
            row[p] = weight * grad_head[p] if row[p] > ZERO else ZERO
        grad_last[k] += total


@compiled
def _grad_members(i: int, row: int, grad_hidden: Array, grad_own: Array, grad_other: Array) -> None:
    """Add up the gradients of four hidden units for each member of the pairs."""
    for k in range(4):
        mine = grad_own[row + k, i * LANES : (i + 1) * LANES]
        theirs, grad = grad_other[row + k], grad_hidden[k]
        for j in range(0, theirs.shape[0], LANES):
            for c in range(LANES):
                mine[c] += grad[j + c]
        for p in range(theirs.shape[0]):
            theirs[p] += grad[p]


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
    for j in range(0, cross.shape[0], LANES):
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
    q, features = np.empty((4, size), np.float32), np.empty((h, size), np.float32)
    hidden = np.empty((4, size), np.float32)
    total = np.empty((sums.shape[2], size), np.float32)
    grad = np.empty_like(total)
    grad_heads = np.empty((heads + 1, size), np.float32)
    weights = grad_heads[heads]
    grad_r, grad_norms, grad_q = np.empty_like(r), np.empty_like(norms), np.empty_like(q)
    grad_u, grad_w, grad_v = np.empty_like(u), np.empty_like(w), np.empty_like(v)
    grad_h = np.empty_like(features)
    m_transposed = np.ascontiguousarray(middle.T)
    w_transposed = np.ascontiguousarray(first[:, :4].T)
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
            mine = grad[:, i * LANES : (i + 1) * LANES]
            _invariants(i, r, norms, q)
            _features(q, first, features)
            head = scores[block, i]
            _grad_scores(i, grad, total, head, features, v, r, grad_heads)
            grad_h[:] = ZERO
            _add_spread(grad_h, weights, mine[1 : 1 + h])
            _add_spread(grad_v, weights, mine[1 + h : 1 + h + width])
            if heads > 1:
                for p in range(size):
                    weights[p] *= head[1, p]
                _add_spread(grad_r, weights, mine[1 + h + width :])
            for k in range(heads):
                for p in range(size):
                    grad_bias[k] += grad_heads[k, p]
                for row in range(0, units, 4):
                    at = k * units + row
                    _hidden(i, at, u, w, middle, features, hidden)
                    _grad_hidden(
                        last[k, row : row + 4], grad_heads[k], grad_last[k, row : row + 4], hidden
                    )
                    _grad_members(i, at, hidden, grad_u, grad_w)
                    _add_outer(grad_middle[at : at + 4], hidden, features)
                    _add_product(grad_h, m_transposed[:, at : at + 4], hidden)
            for f in range(h):
                row_sum = ZERO
                for p in range(size):
                    if features[f, p] <= ZERO:
                        grad_h[f, p] = ZERO
                    row_sum += grad_h[f, p]
                grad_first[f, 4] += row_sum
            _add_outer(grad_first[:, :4], grad_h, q)
            grad_q[:] = ZERO
            _add_product(grad_q, w_transposed, grad_h)
            _grad_vectors(i, r, q, grad_q, grad_r, grad_norms)
        for p in range(size):
            scale = grad_norms[p] / norms[p] if norms[p] > ZERO else ZERO
            for k in range(1, 4):
                grad_r[k, p] += scale * r[k, p]
        _unpack(grad_r[1:], grad_vectors, start)
        _unpack(grad_u, grad_own, start)
        _unpack(grad_w, grad_other, start)
        _unpack(grad_v, grad_values, start)
