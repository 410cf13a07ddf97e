"""What an attention layer does for every pair, compiled for the CPU.

The layers are small and have many pairs, so that tensor libraries spend their time on carrying
pair tensors through memory. Here nothing that belongs to a pair leaves the cache, except its
scores, which the backward pass needs; everything else it computes again.

The package says what lies where in memory. Work proceeds by the first member i of the pairs, so
that the pairs at hand fit into the first-level cache.

Names, all float32; V has h hidden units and each head H:

=============  ================  =======================================================
``vectors``    (B, n, 3)         r
``own``        (B, n, heads·H)   u, what the pair's first member adds to the hidden units
``other``      (B, n, heads·H)   u', what its second member adds
``values``     (B, n, width)     v
``first``      (h, 5)            W, weights of the invariants and of a constant 1
``middle``     (heads·H, h)      M
``last``       (heads, H)        L
``bias``       (heads,)          b
=============  ================  =======================================================
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....compiling import cached
from . import amx as tiles
from . import fma as products
from . import simd as lanes
from .simd import (
    LANES,
    OPTIONS,
    add,
    divide,
    exponent,
    fill,
    load,
    mantissa,
    maximum,
    multiply,
    multiply_add,
    part,
    power_of_two,
    spread,
    square_root,
    store,
    subtract,
    transpose,
    where_greater,
    zeros,
)

Array = NDArray[np.float32]

_arithmetic: Any = tiles if tiles.are_usable() else products
_load4, _store4 = products.load4, products.store4
TILE = _arithmetic.TILE
SETTINGS = _arithmetic.SETTINGS
begin, end = _arithmetic.begin, _arithmetic.end
pack_weights, operand = _arithmetic.pack_weights, _arithmetic.operand
put, product = _arithmetic.put, _arithmetic.product
masks, put_active = _arithmetic.masks, _arithmetic.put_active
scaled, put_scaled = _arithmetic.scaled, _arithmetic.put_scaled
outer, add_outer, sum_outer = _arithmetic.outer, _arithmetic.add_outer, _arithmetic.sum_outer

ZERO = np.float32(0)


#: Of all that goes into the kernels: numba itself sees changes of this file only.
_VERSION = hashlib.sha256(
    b"".join(Path(str(module.__file__)).read_bytes() for module in (lanes, products, tiles))
).hexdigest()[:12]


def compiled(function: Callable[..., Any]) -> Any:
    """Compile a function when it is first called, and cache the result where that is possible.

    What is cached depends on the types of the arguments. The first argument is :data:`SETTINGS`,
    whose type distinguishes matrix units from vector registers.
    """
    function.__qualname__ += f"_{_VERSION}"
    return cached(function, OPTIONS)


def are_cached(name: str) -> bool:
    """Whether an earlier process has compiled a kernel on this machine."""
    folder = globals()[name].stats.cache_path
    return folder is not None and any(
        Path(folder).glob(f"{Path(__file__).stem}.{name}_{_VERSION}-*.nbc")
    )


@compiled
def pack(settings: Any, weights: Array) -> Array:
    """(R, K) weights as :func:`embed` takes them."""
    packed: Array = pack_weights(weights, False)
    return packed


@part
def _exp(x: Any) -> Any:
    """Exponential of x ≤ 0.

    A Taylor series on [-ln 2 / 2, ln 2 / 2], and the rest of the exponent put in by its bits.
    """
    x = maximum(fill(np.float32(-60)), x)  # products of smaller numbers would be slow
    shift = fill(np.float32(12582912))  # 1.5·2²³: adding it rounds to a whole number
    power = multiply_add(x, fill(np.float32(1.4426950408889634)), shift)
    whole = subtract(power, shift)
    # ln 2 in two parts, the first with so few digits that its multiples are exact
    x = multiply_add(whole, fill(np.float32(-0.693359375)), x)
    x = multiply_add(whole, fill(np.float32(2.12194440e-4)), x)
    series = fill(np.float32(1 / 5040))
    series = multiply_add(series, x, fill(np.float32(1 / 720)))
    series = multiply_add(series, x, fill(np.float32(1 / 120)))
    series = multiply_add(series, x, fill(np.float32(1 / 24)))
    series = multiply_add(series, x, fill(np.float32(1 / 6)))
    series = multiply_add(series, x, fill(np.float32(0.5)))
    series = multiply_add(series, x, fill(np.float32(1)))
    series = multiply_add(series, x, fill(np.float32(1)))
    return multiply(series, power_of_two(power))


@part
def _log(x: Any) -> Any:
    """Logarithm of x ≥ 1, from the series of the inverse hyperbolic tangent."""
    root = fill(np.float32(2**0.5))
    y = mantissa(x)
    y = divide(subtract(y, root), add(y, root))
    square = multiply(y, y)
    series = fill(np.float32(2 / 9))
    series = multiply_add(series, square, fill(np.float32(2 / 7)))
    series = multiply_add(series, square, fill(np.float32(2 / 5)))
    series = multiply_add(series, square, fill(np.float32(2 / 3)))
    series = multiply_add(series, square, fill(np.float32(2)))
    powers = add(exponent(x), fill(np.float32(0.5)))
    return multiply_add(powers, fill(np.float32(np.log(2))), multiply(series, y))


@part
def _transpose(x: Array, at: int, step: int, out: Array, out_at: int, out_step: int) -> None:
    """Transpose a square of as many numbers as there are lanes, rows step apart."""
    if LANES == 16:
        rows = (
            _load4(x, at, step)
            + _load4(x, at + 4 * step, step)
            + _load4(x, at + 8 * step, step)
            + _load4(x, at + 12 * step, step)
        )
        columns = transpose(rows)
        _store4(out, out_at, out_step, columns[0:4])
        _store4(out, out_at + 4 * out_step, out_step, columns[4:8])
        _store4(out, out_at + 8 * out_step, out_step, columns[8:12])
        _store4(out, out_at + 12 * out_step, out_step, columns[12:16])
    else:
        half = transpose(_load4(x, at, step) + _load4(x, at + 4 * step, step))
        _store4(out, out_at, out_step, half[0:4])
        _store4(out, out_at + 4 * out_step, out_step, half[4:8])


@part
def _pack(points: Array, start: int, out: Array) -> None:
    """Bring a block of (B, n, K) points into lanes, (K, P); missing clouds are zero."""
    n, size = points.shape[1], points.shape[2]
    width = out.shape[1]
    clouds = min(LANES, points.shape[0] - start)
    whole = size // LANES * LANES if clouds == LANES else 0
    step = n * size
    for j in range(n):
        for k in range(0, whole, LANES):
            _transpose(points, (start * n + j) * size + k, step, out, k * width + j * LANES, width)
        for k in range(whole, size):
            for lane in range(clouds):
                out[k, j * LANES + lane] = points[start + lane, j, k]
            for lane in range(clouds, LANES):
                out[k, j * LANES + lane] = ZERO


@part
def _unpack(packed: Array, points: Array, start: int) -> None:
    """Do the opposite of :func:`_pack`."""
    n, size = points.shape[1], points.shape[2]
    width = packed.shape[1]
    clouds = min(LANES, points.shape[0] - start)
    whole = size // LANES * LANES if clouds == LANES else 0
    step = n * size
    for j in range(n):
        for k in range(0, whole, LANES):
            _transpose(
                packed, k * width + j * LANES, width, points, (start * n + j) * size + k, step
            )
        for k in range(whole, size):
            for lane in range(clouds):
                points[start + lane, j, k] = packed[k, j * LANES + lane]


def padded(size: int) -> int:
    """P, the width of rows of so many numbers."""
    return (size + 4 * LANES - 1) // (4 * LANES) * (4 * LANES)


@part
def _pack_vectors(vectors: Array, start: int, out: Array, norms: Array) -> None:
    """Rows 1, x, y, z of a block of vectors, and their norms."""
    _pack(vectors, start, out[1:])
    _norms(out, norms)


@part
def _clear(rows: Array) -> None:
    for p in range(0, rows.size, LANES):
        store(rows, p, zeros())


@part
def _norms(r: Array, norms: Array) -> None:
    width = r.shape[1]
    for p in range(0, width, LANES):
        x, y, z = load(r, width + p), load(r, 2 * width + p), load(r, 3 * width + p)
        square = multiply_add(x, x, multiply_add(y, y, multiply(z, z)))
        store(norms, p, square_root(square))


@part
def _cross(a: Any, b: Any, c: Any, x: Any, y: Any, z: Any) -> Any:
    """Cross product, rounded such that parallel vectors have none."""
    return (
        subtract(multiply(b, z), multiply(c, y)),
        subtract(multiply(c, x), multiply(a, z)),
        subtract(multiply(a, y), multiply(b, x)),
    )


@part
def _invariants(i: int, r: Array, q: Array) -> None:
    """Scalar and bivector parts, (2, P), of the pairs whose first member is i."""
    width, at = r.shape[1], i * LANES
    a, b, c = load(r, width + at), load(r, 2 * width + at), load(r, 3 * width + at)
    for p in range(0, width, LANES):
        x, y, z = load(r, width + p), load(r, 2 * width + p), load(r, 3 * width + p)
        store(q, p, multiply_add(a, x, multiply_add(b, y, multiply(c, z))))
        d, e, f = _cross(a, b, c, x, y, z)
        square = multiply_add(d, d, multiply_add(e, e, multiply(f, f)))
        store(q, width + p, square_root(square))


@part
def _features(
    i: int, size: int, norms: Array, q: Array, first: Array, out: Array, x_rows: Array
) -> None:
    """Hidden units of V, relu(W q), (h, P), and the same as an operand."""
    h, width = out.shape
    own, nothing = load(norms, i * LANES), zeros()
    for f in range(0, h, 2):
        a, b = 5 * f, 5 * f + 5
        a0, a1, a3 = spread(first, a), spread(first, a + 1), spread(first, a + 3)
        b0, b1, b3 = spread(first, b), spread(first, b + 1), spread(first, b + 3)
        a2 = multiply_add(spread(first, a + 2), own, spread(first, a + 4))
        b2 = multiply_add(spread(first, b + 2), own, spread(first, b + 4))
        for p in range(0, size, LANES):
            s, t, v = load(q, p), load(q, width + p), load(norms, p)
            x = multiply_add(a0, s, multiply_add(a1, t, multiply_add(a3, v, a2)))
            y = multiply_add(b0, s, multiply_add(b1, t, multiply_add(b3, v, b2)))
            x, y = maximum(nothing, x), maximum(nothing, y)
            store(out, f * width + p, x)
            store(out, (f + 1) * width + p, y)
            put(x_rows, h, f, p, x, y)


@part
def _limits(own: Array, more: Array, last: Array, bias: Array, constant: Array) -> None:
    """Replace u by -(u + more), and add up what the heads make of that, (heads, P)."""
    width, units = own.shape[1], last.shape[1]
    for p in range(0, width, LANES):
        for k in range(last.shape[0]):
            total = spread(bias, k)
            for u in range(units):
                at = (k * units + u) * width + p
                unit = add(load(own, at), spread(more, k * units + u))
                total = multiply_add(spread(last, k * units + u), unit, total)
                store(own, at, subtract(zeros(), unit))
            store(constant, k * width + p, total)


@part
def _scores(
    i: int,
    x_rows: Array,
    m: Array,
    other: Array,
    low: Array,
    constant: Array,
    last: Array,
    scratch: Array,
    head: Array,
) -> None:
    """Compute outputs of the heads, (heads, P).

    The product of one tile is begun before the one before it is put to use, so that matrix units
    and vector registers work at the same time. ``scratch`` is (2, TILE, 4·LANES).
    """
    width, units = other.shape[1], last.shape[1]
    room = TILE * 4 * LANES
    for k in range(last.shape[0]):
        total = load(constant, k * width + i * LANES)
        for p in range(0, width, LANES):
            store(head, k * width + p, total)
    steps = other.shape[0] // TILE
    total_steps = steps * (width // (4 * LANES))
    product(m, 0, x_rows, 0, other, 0, scratch, 0)
    for step in range(total_steps):
        ahead = step + 1
        if ahead < total_steps:
            tile = ahead % steps
            product(
                m,
                tile,
                x_rows,
                ahead // steps * 4 * LANES,
                other,
                tile * TILE,
                scratch,
                (ahead % 2) * room,
            )
        row = step % steps * TILE
        h_at = row // units * width + step // steps * 4 * LANES
        a, b = load(head, h_at), load(head, h_at + LANES)
        c, d = load(head, h_at + 2 * LANES), load(head, h_at + 3 * LANES)
        for u in range(TILE):
            limit = load(low, (row + u) * width + i * LANES)
            weight = spread(last, row + u)
            at = (step % 2) * room + u * 4 * LANES
            a = multiply_add(weight, maximum(limit, load(scratch, at)), a)
            b = multiply_add(weight, maximum(limit, load(scratch, at + LANES)), b)
            c = multiply_add(weight, maximum(limit, load(scratch, at + 2 * LANES)), c)
            d = multiply_add(weight, maximum(limit, load(scratch, at + 3 * LANES)), d)
        store(head, h_at, a)
        store(head, h_at + LANES, b)
        store(head, h_at + 2 * LANES, c)
        store(head, h_at + 3 * LANES, d)


@part
def _softmax(i: int, size: int, head: Array, weights: Array, out: Array) -> None:
    """Softmax over j of the first head, (P,), and the logarithm of what it is divided by."""
    highest = load(head, 0)
    for p in range(LANES, size, LANES):
        highest = maximum(highest, load(head, p))
    total = zeros()
    for p in range(0, size, LANES):
        weight = _exp(subtract(load(head, p), highest))
        total = add(total, weight)
        store(weights, p, weight)
    store(out, i * LANES, add(highest, _log(total)))
    scale = divide(fill(np.float32(1)), total)
    for p in range(0, size, LANES):
        store(weights, p, multiply(scale, load(weights, p)))


@part
def _write_sums(i: int, size: int, weights: Array, x: Array, out: Array, row: int) -> None:
    """Weighted sums over j of the rows of x, (K, P), written to out, (…, P), at i."""
    rows, width = x.shape
    step, whole = out.shape[1], rows // 8 * 8
    for k in range(0, whole, 8):
        a, b, c, d = zeros(), zeros(), zeros(), zeros()
        e, f, g, h = zeros(), zeros(), zeros(), zeros()
        for p in range(0, size, LANES):
            w, at = load(weights, p), k * width + p
            a = multiply_add(w, load(x, at), a)
            b = multiply_add(w, load(x, at + width), b)
            c = multiply_add(w, load(x, at + 2 * width), c)
            d = multiply_add(w, load(x, at + 3 * width), d)
            e = multiply_add(w, load(x, at + 4 * width), e)
            f = multiply_add(w, load(x, at + 5 * width), f)
            g = multiply_add(w, load(x, at + 6 * width), g)
            h = multiply_add(w, load(x, at + 7 * width), h)
        at = (row + k) * step + i * LANES
        store(out, at, a)
        store(out, at + step, b)
        store(out, at + 2 * step, c)
        store(out, at + 3 * step, d)
        store(out, at + 4 * step, e)
        store(out, at + 5 * step, f)
        store(out, at + 6 * step, g)
        store(out, at + 7 * step, h)
    for k in range(whole, rows):
        total = zeros()
        for p in range(0, size, LANES):
            total = multiply_add(load(weights, p), load(x, k * width + p), total)
        store(out, (row + k) * step + i * LANES, total)


@part
def _attend(
    size: int,
    r: Array,
    norms: Array,
    low: Array,
    other: Array,
    v: Array,
    constant: Array,
    first: Array,
    m: Array,
    last: Array,
    room: Any,
    scores: Array,
    out: Array,
) -> None:
    """Sum over pairs of a block of clouds, rows as of :func:`forward`'s sums, (…, P).

    ``scores`` is (n or 1, heads, P): with 1 every i writes over what the one before it wrote.
    """
    q, features, x_rows, scratch, weights = room
    h, heads, width = first.shape[0], last.shape[0], r.shape[1]
    for i in range(size // LANES):
        head = scores[i % scores.shape[0]]
        _invariants(i, r, q)
        _features(i, size, norms, q, first, features, x_rows)
        _scores(i, x_rows, m, other, low, constant, last, scratch, head)
        _softmax(i, size, head, weights, out)
        _write_sums(i, size, weights, features, out, 1)
        _write_sums(i, size, weights, v, out, 1 + h)
        if heads > 1:
            for p in range(0, size, LANES):
                store(weights, p, multiply(load(weights, p), load(head, width + p)))
            _write_sums(i, size, weights, r, out, 1 + h + v.shape[0])


@part
def _room(h: int, wide: int) -> Any:
    """Arrays that :func:`_attend` writes to."""
    return (
        np.zeros((2, wide), np.float32),
        np.zeros((h, wide), np.float32),
        operand(h, wide, False),
        np.zeros((2, TILE, 4 * LANES), np.float32),
        np.zeros(wide, np.float32),
    )


@compiled
def forward(
    settings: Any,
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
    settings
        :data:`SETTINGS`.
    vectors, own, other, values, first, middle, last, bias
        See the module; h is a multiple of 4 and the units of a head one of :data:`TILE`.
    blocks : (int, int)
        First block to do, and the one to stop before.
    scores : (blocks, n, heads, P)
        Written: outputs of the heads, which the backward pass needs.
    sums : (B, n, 1 + h + width [+ 4])
        Written: the logarithm of the sum over j of exp(score), and the averages over j with
        softmax weights of the hidden units of V, of the values and, if there is a second head α,
        of α and α r_j.
    """
    n, h, width, heads = vectors.shape[1], first.shape[0], values.shape[2], last.shape[0]
    size, wide = n * LANES, scores.shape[3]
    r, norms = np.zeros((4, wide), np.float32), np.zeros(wide, np.float32)
    r[0] = np.float32(1)
    u, w = np.zeros((last.size, wide), np.float32), np.zeros((last.size, wide), np.float32)
    v, constant = np.zeros((width, wide), np.float32), np.zeros((heads, wide), np.float32)
    more = np.zeros(last.size, np.float32)
    out, m, room = (
        np.zeros((sums.shape[2], wide), np.float32),
        pack_weights(middle, False),
        _room(h, wide),
    )
    begin(settings)
    for block in range(blocks[0], blocks[1]):
        start = block * LANES
        _pack_vectors(vectors, start, r, norms)
        _pack(own, start, u)
        _pack(other, start, w)
        _pack(values, start, v)
        _limits(u, more, last, bias, constant)
        _attend(size, r, norms, u, w, v, constant, first, m, last, room, scores[block], out)
        _unpack(out, sums, start)
    end(settings)


@part
def _pack_bonds(bonds: Any, start: int, length_scale: float, longest: float, r: Array) -> None:
    """Rows x, y, z of a block of bonds in units of twice a length, long ones compressed.

    See :func:`~hoomd_gala.neighbors.scale_bonds` and the core's compression.
    """
    n = bonds.shape[1]
    for lane in range(min(LANES, bonds.shape[0] - start)):
        cloud = bonds[start + lane]
        mean = 0.0
        if length_scale <= 0:
            for j in range(n):
                mean += np.sqrt(cloud[j, 0] ** 2 + cloud[j, 1] ** 2 + cloud[j, 2] ** 2)
            mean /= n
        scale = 0.5 / max(length_scale if length_scale > 0 else mean, 2.2250738585072014e-308)
        for j in range(n):
            for k in range(3):
                r[1 + k, j * LANES + lane] = cloud[j, k] * scale
    width = r.shape[1]
    shorter = fill(np.float32(1 / longest**2))
    one = fill(np.float32(1))
    for p in range(0, n * LANES, LANES):
        x, y, z = load(r, width + p), load(r, 2 * width + p), load(r, 3 * width + p)
        square = multiply_add(x, x, multiply_add(y, y, multiply(z, z)))
        square = multiply(square, shorter)
        scale = divide(one, square_root(square_root(multiply_add(square, square, one))))
        store(r, width + p, multiply(scale, x))
        store(r, 2 * width + p, multiply(scale, y))
        store(r, 3 * width + p, multiply(scale, z))


@part
def _put_rows(x: Array, rows: int, size: int, x_rows: Array) -> None:
    """Make an operand of the first rows of x, an even number of them."""
    width = x.shape[1]
    for k in range(0, rows, 2):
        for p in range(0, size, LANES):
            at = k * width + p
            put(x_rows, rows, k, p, load(x, at), load(x, at + width))


@part
def _multiply_rows(weights: Array, x_rows: Array, nothing: Array, out: Array) -> None:
    """Weights times an operand, (R, P) with R a multiple of TILE."""
    width = out.shape[1]
    for tile in range(weights.shape[0]):
        for p in range(0, width, 4 * LANES):
            product(weights, tile, x_rows, p, nothing, 0, out, tile * TILE * width + p)


@part
def _normalize(x: Array, rows: int, size: int, scale: Array, shift: Array, out: Array) -> None:
    """Layer normalization of the columns of the first rows of x."""
    width, share = x.shape[1], fill(np.float32(1 / rows))
    for p in range(0, size, LANES):
        mean = zeros()
        for k in range(rows):
            mean = add(mean, load(x, k * width + p))
        mean = multiply(mean, share)
        square = fill(np.float32(1e-5 * rows))
        for k in range(rows):
            difference = subtract(load(x, k * width + p), mean)
            square = multiply_add(difference, difference, square)
        factor = divide(fill(np.float32(1)), square_root(multiply(square, share)))
        for k in range(rows):
            difference = multiply(subtract(load(x, k * width + p), mean), factor)
            store(out, k * width + p, multiply_add(difference, spread(scale, k), spread(shift, k)))


@part
def _apply_layer(
    size: int, r: Array, norms: Array, v: Array, layer: Any, at: int, room: Any, more_room: Any
) -> None:
    """Sum over pairs of the at-th of some layers, into the output rows of ``more_room``."""
    first, members, more, m, last, bias, _, _, _ = layer
    x_rows, both, constant, scores, nothing, out = more_room
    _put_rows(v, v.shape[0], size, x_rows)
    _multiply_rows(members[at], x_rows, nothing, both)
    units = last[at].size
    own, other = both[:units], both[units : 2 * units]
    _limits(own, more[at], last[at], bias[at], constant)
    _attend(size, r, norms, own, other, v, constant, first[at], m[at], last[at], room, scores, out)


@part
def _add_covariants(size: int, r: Array, out: Array, row: int, weights: Array, to: Array) -> None:
    """Add to vectors, which may be r itself, the sum of the covariants of r."""
    width = r.shape[1]
    dual, own, other = spread(weights, 0), spread(weights, 1), spread(weights, 2)
    for p in range(0, size, LANES):
        x, y, z = load(r, width + p), load(r, 2 * width + p), load(r, 3 * width + p)
        at = row * width + p
        scale = multiply(own, load(out, at))
        a, b, c = load(out, at + width), load(out, at + 2 * width), load(out, at + 3 * width)
        d, e, f = _cross(x, y, z, a, b, c)
        one, two, three = load(to, width + p), load(to, 2 * width + p), load(to, 3 * width + p)
        store(to, width + p, add(one, _sum3(dual, d, scale, x, other, a)))
        store(to, 2 * width + p, add(two, _sum3(dual, e, scale, y, other, b)))
        store(to, 3 * width + p, add(three, _sum3(dual, f, scale, z, other, c)))


@part
def _sum3(a: Any, x: Any, b: Any, y: Any, c: Any, z: Any) -> Any:
    return multiply_add(a, x, multiply_add(b, y, multiply(c, z)))


@part
def _update_values(size: int, v: Array, out: Array, row: int, made: Array, bias: Array) -> None:
    """Add to the values what an invariant layer makes: ½ (V + (v_i + v_j) / 2)."""
    width, quarter = v.shape[1], fill(np.float32(0.25))
    for k in range(v.shape[0]):
        shift = spread(bias, k)
        for p in range(0, size, LANES):
            at = k * width + p
            value = load(v, at)
            members = add(value, load(out, row * width + at))
            change = multiply_add(quarter, members, add(shift, load(made, at)))
            store(v, at, add(value, change))


@part
def _rectify(x: Array, rows: int, size: int, bias: Array) -> None:
    width, nothing = x.shape[1], zeros()
    for k in range(rows):
        shift = spread(bias, k)
        for p in range(0, size, LANES):
            at = k * width + p
            store(x, at, maximum(nothing, add(load(x, at), shift)))


@compiled
def embed(
    settings: Any,
    bonds: Any,
    length_scale: float,
    longest: float,
    codes: Any,
    table: Array,
    vector_layers: Any,
    invariant_layers: Any,
    perceptrons: Any,
    pool: Any,
    norm: Array,
    head: Any,
    out: Array,
    corrections: Array,
    blocks: tuple[int, int],
) -> None:
    """Embeddings of environments, a whole core and the pooling layer, or corrections of bonds.

    Parameters
    ----------
    settings
        :data:`SETTINGS`.
    bonds : (B, n, 3) float64
        Bond vectors, nearest first.
    length_scale : float
        What lengths are divided by; each environment's mean bond length if 0.
    longest : float
        Length that no bond exceeds inside a network.
    codes : (B, n) int32, table : (K, width)
        Which of the rows of the table each bond's value starts from; with one row codes may be
        empty.
    vector_layers, invariant_layers, pool : tuple
        Weights of the layers of all blocks (see :mod:`~.inference`). Without invariant
        layers, the vector layers update the values as well; without a pooling layer, the embedding
        is the mean of the values.
    perceptrons : tuple
        Weights of the perceptrons on the values.
    norm : (2, width)
        Scale and shift of the last normalization.
    head : tuple
        Weights of the layer that makes corrections, as of the vector layers.
    out : (B, width)
        Written: embeddings, unless corrections are asked for.
    corrections : (B, n, 3)
        Written: what the head makes, in units of scaled bonds. Empty if not asked for.
    blocks : (int, int)
        First block of clouds to do, and the one to stop before.
    """
    n, width, h = bonds.shape[1], table.shape[1], vector_layers[0].shape[1]
    size = n * LANES
    wide = (size + 4 * LANES - 1) // (4 * LANES) * (4 * LANES)
    units = vector_layers[4].shape[2]
    r, norms = np.zeros((4, wide), np.float32), np.zeros(wide, np.float32)
    r[0] = np.float32(1)
    v, normal = np.zeros((width, wide), np.float32), np.zeros((width, wide), np.float32)
    room = _room(h, wide)
    sums = np.zeros((5 + h + width, wide), np.float32)
    x_rows, nothing = operand(width, wide, False), np.zeros((TILE, wide), np.float32)
    both = np.zeros((max(4 * units, h + width), wide), np.float32)
    two = np.zeros((2, wide), np.float32), np.zeros((1, 2, wide), np.float32)
    one = np.zeros((1, wide), np.float32), np.zeros((1, 1, wide), np.float32)
    two_room = (x_rows, both, two[0], two[1], nothing, sums)
    one_room = (x_rows, both, one[0], one[1], nothing, sums)
    h_rows = operand(h, wide, False)
    made = np.zeros(((width + 15) // 16 * 16, wide), np.float32)
    scale, shift, up, up_bias, down, down_bias = perceptrons
    middle = up_bias.shape[1]
    hidden = np.zeros(((middle + 15) // 16 * 16, wide), np.float32)
    hidden_rows = operand(middle, wide, False)
    untied, pooled = len(invariant_layers[0]) > 0, len(pool[0]) > 0
    weights = np.zeros(wide, np.float32)
    made_vectors = np.zeros((4, wide), np.float32)
    begin(settings)
    for block in range(blocks[0], blocks[1]):
        start = block * LANES
        clouds = min(LANES, len(bonds) - start)
        _pack_bonds(bonds, start, length_scale, longest, r)
        if len(table) == 1:
            for k in range(width):
                value = spread(table, k)
                for p in range(0, size, LANES):
                    store(v, k * wide + p, value)
        else:
            for lane in range(clouds):
                for j in range(n):
                    code = codes[start + lane, j]
                    for k in range(width):
                        v[k, j * LANES + lane] = table[code, k]
        for b in range(len(vector_layers[0])):
            _norms(r, norms)
            _apply_layer(size, r, norms, v, vector_layers, b, room, two_room)
            _add_covariants(size, r, sums, 1 + h + width, vector_layers[8][b], r)
            if untied:
                _norms(r, norms)
                _apply_layer(size, r, norms, v, invariant_layers, b, room, one_room)
            _put_rows(sums[1:], h, size, h_rows)
            if untied:
                _multiply_rows(invariant_layers[6][b], h_rows, nothing, made)
                _update_values(size, v, sums, 1 + h, made, invariant_layers[7][b])
            else:
                _multiply_rows(vector_layers[6][b], h_rows, nothing, made)
                _update_values(size, v, sums, 1 + h, made, vector_layers[7][b])
            _normalize(v, width, size, scale[b], shift[b], normal)
            _put_rows(normal, width, size, x_rows)
            _multiply_rows(up[b], x_rows, nothing, hidden)
            _rectify(hidden, middle, size, up_bias[b])
            _put_rows(hidden, middle, size, hidden_rows)
            _multiply_rows(down[b], hidden_rows, nothing, made)
            for k in range(width):
                bias = spread(down_bias[b], k)
                for p in range(0, size, LANES):
                    at = k * wide + p
                    store(v, at, add(load(v, at), add(bias, load(made, at))))
        if len(corrections):
            _norms(r, norms)
            _apply_layer(size, r, norms, v, head, 0, room, two_room)
            _clear(made_vectors)
            _add_covariants(size, r, sums, 1 + h + width, head[8][0], made_vectors)
            _unpack(made_vectors[1:], corrections, start)
            continue
        if pooled:
            _norms(r, norms)
            _apply_layer(size, r, norms, v, pool, 0, room, one_room)
            # over all pairs: averages of the points' averages, weighted by what these were
            # divided by; the lanes of the first point hold the result
            _softmax(0, size, sums, weights, normal)
            for k in range(width):
                for p in range(0, size, LANES):
                    at = (1 + h + k) * wide + p
                    store(sums, at, add(load(sums, at), load(v, k * wide + p)))
            _write_sums(0, size, weights, sums[1 : 1 + h + width], both, 0)
        else:
            for p in range(0, size, LANES):
                store(weights, p, fill(np.float32(1 / n)))
            _write_sums(0, size, weights, v, both, 0)
        if pooled:
            _put_rows(both, h, LANES, h_rows)
            product_rows = pool[6][0]
            for tile in range(product_rows.shape[0]):
                product(product_rows, tile, h_rows, 0, nothing, 0, made, tile * TILE * wide)
            quarter = fill(np.float32(0.25))
            for k in range(width):
                value = multiply_add(quarter, load(both, (h + k) * wide), load(made, k * wide))
                store(normal, k * wide, add(value, spread(pool[7][0], k)))
            _normalize(normal, width, LANES, norm[0], norm[1], both)
        for lane in range(clouds):
            for k in range(width):
                out[start + lane, k] = both[k, lane]
    end(settings)


@compiled
def surroundings(
    settings: Any, own: Array, other: Array, neighbors: Any, out: Array, some: tuple[int, int]
) -> None:
    """Mean over neighbors of relu(own + other): (m, size), (N, size) and (m, n) make (m, size)."""
    size, n = own.shape[1], neighbors.shape[1]
    share = np.float32(1 / n)
    for i in range(some[0], some[1]):
        for k in range(size):
            out[i, k] = ZERO
        for j in range(n):
            neighbor = neighbors[i, j]
            for k in range(size):
                out[i, k] += max(own[i, k] + other[neighbor, k], ZERO)
        for k in range(size):
            out[i, k] *= share


@compiled
def surroundings_backward(
    settings: Any,
    own: Array,
    other: Array,
    neighbors: Any,
    grad: Array,
    some: tuple[int, int],
    grad_own: Array,
    grad_other: Array,
) -> None:
    """Gradients of :func:`surroundings` from that of its result: own's written, other's added."""
    size, n = own.shape[1], neighbors.shape[1]
    share = np.float32(1 / n)
    upstream = np.empty(size, np.float32)
    for i in range(some[0], some[1]):
        for k in range(size):
            upstream[k] = share * grad[i, k]
            grad_own[i, k] = ZERO
        for j in range(n):
            neighbor = neighbors[i, j]
            for k in range(size):
                # once more whether it is active: cheaper than a trip through memory
                value = upstream[k] if own[i, k] + other[neighbor, k] > ZERO else ZERO
                grad_own[i, k] += value
                grad_other[neighbor, k] += value


@part
def _add_columns(i: int, grad: Array, row: int, x: Array, out: Array) -> None:
    """Add to out, (P,), scalar products of some rows of grad at i with every column of (K, P) x."""
    rows, width = x.shape
    step = grad.shape[1]
    for p in range(0, width, 4 * LANES):
        a, b = load(out, p), load(out, p + LANES)
        c, d = load(out, p + 2 * LANES), load(out, p + 3 * LANES)
        for k in range(rows):
            g, at = load(grad, (row + k) * step + i * LANES), k * width + p
            a = multiply_add(g, load(x, at), a)
            b = multiply_add(g, load(x, at + LANES), b)
            c = multiply_add(g, load(x, at + 2 * LANES), c)
            d = multiply_add(g, load(x, at + 3 * LANES), d)
        store(out, p, a)
        store(out, p + LANES, b)
        store(out, p + 2 * LANES, c)
        store(out, p + 3 * LANES, d)


@part
def _add_spread(i: int, size: int, weights: Array, grad: Array, row: int, out: Array) -> None:
    """Add weights times some rows of grad at i to the rows of out, (K, P)."""
    rows, width = out.shape
    step = grad.shape[1]
    for k in range(rows):
        value = load(grad, (row + k) * step + i * LANES)
        for p in range(0, size, LANES):
            at = k * width + p
            store(out, at, multiply_add(load(weights, p), value, load(out, at)))


@part
def _grad_scores(
    i: int,
    size: int,
    grad: Array,
    total: Array,
    head: Array,
    features: Array,
    v: Array,
    r: Array,
    out: Array,
) -> None:
    """Gradients of the heads' outputs, (heads, P), and in the last row of out the weights a."""
    heads, width = head.shape
    h = features.shape[0]
    nothing, log_sum = zeros(), load(total, i * LANES)
    for p in range(0, size, LANES):
        difference = subtract(load(head, p), log_sum)
        store(out, heads * width + p, _exp(where_greater(difference, nothing, nothing, difference)))
    _clear(out[:heads])
    slope = out[0]
    _add_columns(i, grad, 1, features, slope)
    _add_columns(i, grad, 1 + h, v, slope)
    if heads > 1:
        _add_columns(i, grad, 1 + h + v.shape[0], r, out[1])
        for p in range(0, size, LANES):
            second, at = load(out, width + p), heads * width + p
            store(out, p, multiply_add(second, load(head, width + p), load(out, p)))
            store(out, width + p, multiply(second, load(out, at)))
    # through the softmax: what all scores have in common changes nothing
    mean = subtract(nothing, load(grad, i * LANES))
    for p in range(0, size, LANES):
        mean = multiply_add(load(out, heads * width + p), load(out, p), mean)
    for p in range(0, size, LANES):
        weight = load(out, heads * width + p)
        store(out, p, multiply(weight, subtract(load(out, p), mean)))
    for k in range(heads):  # padding
        for p in range(size, width, LANES):
            store(out, k * width + p, nothing)


@part
def _grad_units(
    i: int,
    row: int,
    k: int,
    size: int,
    hidden: Array,
    low: Array,
    slope: Array,
    active: Array,
    tile: Array,
    grad_own: Array,
    grad_other: Array,
    grad_last: Array,
) -> None:
    """Gradients of a tile of hidden units, but for the factor L, (TILE, P).

    Parameters
    ----------
    row, k : int
        First unit among all, and within its head.
    hidden : (TILE, P)
        The units without what their first member adds.
    low : (H, P)
        Minus that.
    slope : (P,)
        Gradient of the head.
    active, tile
        Written by put_active.
    grad_own, grad_other : (H, P)
        Written at i, and added to.
    grad_last : (H, LANES)
        Added to.
    """
    width = hidden.shape[1]
    nothing = zeros()
    for u in range(0, TILE, 2):
        at, other_at = u * width, (row + u) * width
        mine, next_mine = zeros(), zeros()
        last, next_last = load(grad_last, (row + u) * LANES), load(grad_last, (row + u + 1) * LANES)
        limit, next_limit = load(low, other_at + i * LANES), load(low, other_at + width + i * LANES)
        for p in range(0, size, 2 * LANES):
            s, t = load(slope, p), load(slope, p + LANES)
            a, b = load(hidden, at + p), load(hidden, at + p + LANES)
            c, d = load(hidden, at + width + p), load(hidden, at + width + p + LANES)
            put_active(active, tile, k + u, p, a, b, c, d, limit, next_limit)
            # slopes where units are active
            e, f = where_greater(a, limit, s, nothing), where_greater(b, limit, t, nothing)
            mine = add(mine, add(e, f))
            last = multiply_add(e, subtract(a, limit), last)
            last = multiply_add(f, subtract(b, limit), last)
            o = other_at + p
            store(grad_other, o, add(load(grad_other, o), e))
            store(grad_other, o + LANES, add(load(grad_other, o + LANES), f))
            e = where_greater(c, next_limit, s, nothing)
            f = where_greater(d, next_limit, t, nothing)
            next_mine = add(next_mine, add(e, f))
            next_last = multiply_add(e, subtract(c, next_limit), next_last)
            next_last = multiply_add(f, subtract(d, next_limit), next_last)
            o += width
            store(grad_other, o, add(load(grad_other, o), e))
            store(grad_other, o + LANES, add(load(grad_other, o + LANES), f))
        store(grad_own, other_at + i * LANES, mine)
        store(grad_own, other_at + width + i * LANES, next_mine)
        store(grad_last, (row + u) * LANES, last)
        store(grad_last, (row + u + 1) * LANES, next_last)


@part
def _grad_features(
    m: Array, active: Array, slope: Array, nothing: Array, scratch: Array, out: Array
) -> None:
    """Add to the gradients of the hidden units of V, (h, P), what comes through a head."""
    h, width = out.shape
    for f in range(0, h, TILE):
        for p in range(0, width, 4 * LANES):
            product(m, f // TILE, active, p, nothing, 0, scratch, 0)
            s, t = load(slope, p), load(slope, p + LANES)
            u, v = load(slope, p + 2 * LANES), load(slope, p + 3 * LANES)
            for k in range(min(TILE, h - f)):
                x, at = k * 4 * LANES, (f + k) * width + p
                store(out, at, multiply_add(s, load(scratch, x), load(out, at)))
                at, x = at + LANES, x + LANES
                store(out, at, multiply_add(t, load(scratch, x), load(out, at)))
                at, x = at + LANES, x + LANES
                store(out, at, multiply_add(u, load(scratch, x), load(out, at)))
                at, x = at + LANES, x + LANES
                store(out, at, multiply_add(v, load(scratch, x), load(out, at)))


@part
def _grad_first(
    i: int,
    size: int,
    norms: Array,
    q: Array,
    first: Array,
    features: Array,
    grad: Array,
    grad_first: Array,
) -> Any:
    """Rectify gradients of the hidden units of V, and add up those of W, (5 h, LANES).

    Returns the gradient of the first member's norm.
    """
    h, width = grad.shape
    own, nothing, mine = load(norms, i * LANES), zeros(), zeros()
    for f in range(h):
        a, b, c, d = zeros(), zeros(), zeros(), zeros()
        for p in range(0, size, LANES):
            at = f * width + p
            g = where_greater(load(features, at), nothing, load(grad, at), nothing)
            store(grad, at, g)
            a = multiply_add(g, load(q, p), a)
            b = multiply_add(g, load(q, width + p), b)
            c = multiply_add(g, load(norms, p), c)
            d = add(d, g)
        at = 5 * f * LANES
        store(grad_first, at, add(load(grad_first, at), a))
        at += LANES
        store(grad_first, at, add(load(grad_first, at), b))
        at += LANES
        store(grad_first, at, multiply_add(own, d, load(grad_first, at)))
        at += LANES
        store(grad_first, at, add(load(grad_first, at), c))
        at += LANES
        store(grad_first, at, add(load(grad_first, at), d))
        mine = multiply_add(spread(first, 5 * f + 2), d, mine)
    return mine


@part
def _grad_vectors(
    i: int,
    size: int,
    r: Array,
    q: Array,
    first: Array,
    grad: Array,
    grad_r: Array,
    grad_norms: Array,
) -> None:
    """From gradients of the hidden units of V to those of the vectors and their norms."""
    h, width = grad.shape
    nothing, at = zeros(), i * LANES
    a, b, c = load(r, width + at), load(r, 2 * width + at), load(r, 3 * width + at)
    mine, next_mine, last_mine = zeros(), zeros(), zeros()
    for p in range(0, size, 2 * LANES):
        g0, g1, g3, k0, k1, k3 = zeros(), zeros(), zeros(), zeros(), zeros(), zeros()
        for f in range(h):
            x, y = load(grad, f * width + p), load(grad, f * width + p + LANES)
            w0, w1, w3 = spread(first, 5 * f), spread(first, 5 * f + 1), spread(first, 5 * f + 3)
            g0, k0 = multiply_add(w0, x, g0), multiply_add(w0, y, k0)
            g1, k1 = multiply_add(w1, x, g1), multiply_add(w1, y, k1)
            g3, k3 = multiply_add(w3, x, g3), multiply_add(w3, y, k3)
        for second in range(2):
            if second:
                g0, g1, g3 = k0, k1, k3
            s = p + second * LANES
            store(grad_norms, s, add(load(grad_norms, s), g3))
            x, y, z = load(r, width + s), load(r, 2 * width + s), load(r, 3 * width + s)
            # the norm of a bivector that is zero has no direction to change in
            size_of = load(q, width + s)
            scale = where_greater(size_of, nothing, divide(g1, size_of), nothing)
            d, e, k = _cross(a, b, c, x, y, z)
            d, e, k = multiply(scale, d), multiply(scale, e), multiply(scale, k)
            u, v, w = _cross(x, y, z, d, e, k)
            mine = add(mine, multiply_add(g0, x, u))
            next_mine = add(next_mine, multiply_add(g0, y, v))
            last_mine = add(last_mine, multiply_add(g0, z, w))
            u, v, w = _cross(d, e, k, a, b, c)
            o = width + s
            store(grad_r, o, add(load(grad_r, o), multiply_add(g0, a, u)))
            o += width
            store(grad_r, o, add(load(grad_r, o), multiply_add(g0, b, v)))
            o += width
            store(grad_r, o, add(load(grad_r, o), multiply_add(g0, c, w)))
    o = width + at
    store(grad_r, o, add(load(grad_r, o), mine))
    o += width
    store(grad_r, o, add(load(grad_r, o), next_mine))
    o += width
    store(grad_r, o, add(load(grad_r, o), last_mine))


@compiled
def backward(
    settings: Any,
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
    units = last.shape[1]
    size, wide = n * LANES, scores.shape[3]
    # pairs of registers, the second of the last pair perhaps beyond what there is
    even = (size + 2 * LANES - 1) // (2 * LANES) * (2 * LANES)
    r, norms = np.zeros((4, wide), np.float32), np.zeros(wide, np.float32)
    r[0, :size] = np.float32(1)
    u, w = np.zeros((heads * units, wide), np.float32), np.zeros((heads * units, wide), np.float32)
    v = np.zeros((width, wide), np.float32)
    q, features, x_rows, scratch, _ = _room(h, wide)
    hidden, nothing = np.zeros((TILE, wide), np.float32), np.zeros((TILE, wide), np.float32)
    total = np.zeros((sums.shape[2], wide), np.float32)
    grad = np.zeros_like(total)
    slopes = np.zeros((heads + 1, wide), np.float32)
    weights = slopes[heads]
    grad_r, grad_norms = np.zeros_like(r), np.zeros_like(norms)
    grad_u, grad_w, grad_v = np.zeros_like(u), np.zeros_like(w), np.zeros_like(v)
    grad_h = np.zeros_like(features)
    m = pack_weights(middle, False)
    # from the hidden units of a head back to those of V
    back = [
        pack_weights((middle[k * units : (k + 1) * units] * last[k].reshape(-1, 1)).T.copy(), True)
        for k in range(heads)
    ]
    columns = np.zeros((5, (h + 15) // 16 * 16), np.float32)
    columns[:, :h] = first.T
    active, tile = masks(units, wide)
    times_slope = scaled(h, wide)
    outer_sums = outer(heads * units, h)
    first_lanes = np.zeros((h, 5, LANES), np.float32)
    last_lanes = np.zeros((heads * units, LANES), np.float32)
    begin(settings)
    for block in range(blocks[0], blocks[1]):
        start = block * LANES
        _pack_vectors(vectors, start, r, norms)
        _pack(own, start, u)
        _pack(other, start, w)
        _pack(values, start, v)
        _pack(sums, start, total)
        _pack(grad_sums, start, grad)
        _clear(grad_r)
        _clear(grad_w)
        _clear(grad_v)
        for p in range(0, wide, LANES):
            store(grad_norms, p, zeros())
            for k in range(heads * units):
                at = k * wide + p
                store(u, at, subtract(zeros(), load(u, at)))
        for i in range(n):
            head = scores[block, i]
            _invariants(i, r, q)
            _features(i, size, norms, q, first, features, x_rows)
            _grad_scores(i, size, grad, total, head, features, v, r, slopes)
            _clear(grad_h)
            _add_spread(i, size, weights, grad, 1, grad_h)
            _add_spread(i, size, weights, grad, 1 + h, grad_v)
            if heads > 1:
                for p in range(0, size, LANES):
                    store(weights, p, multiply(load(weights, p), load(head, wide + p)))
                _add_spread(i, size, weights, grad, 1 + h + width, grad_r)
            for k in range(heads):
                slope = slopes[k]
                grad_bias[k] += slope.sum()
                put_scaled(q, norms, i, columns, features, slope, times_slope)
                for row in range(k * units, (k + 1) * units, TILE):
                    for p in range(0, wide, 4 * LANES):
                        product(m, row // TILE, x_rows, p, w, row, hidden, p)
                    _grad_units(
                        i,
                        row,
                        row - k * units,
                        even,
                        hidden,
                        u,
                        slope,
                        active,
                        tile,
                        grad_u,
                        grad_w,
                        last_lanes,
                    )
                    add_outer(outer_sums, row // TILE, active, tile, times_slope)
                _grad_features(back[k], active, slope, nothing, scratch, grad_h)
            mine = _grad_first(i, size, norms, q, first, features, grad_h, first_lanes)
            _grad_vectors(i, even, r, q, first, grad_h, grad_r, grad_norms)
            store(grad_norms, i * LANES, add(load(grad_norms, i * LANES), mine))
        for p in range(size):
            scale = grad_norms[p] / norms[p] if norms[p] > ZERO else ZERO
            for k in range(1, 4):
                grad_r[k, p] += scale * r[k, p]
        for k in range(heads):
            for unit in range(units):
                weight, at = spread(last, k * units + unit), (k * units + unit) * wide
                for p in range(at, at + size, LANES):
                    store(grad_u, p, multiply(weight, load(grad_u, p)))
                    store(grad_w, p, multiply(weight, load(grad_w, p)))
        _unpack(grad_r[1:], grad_vectors, start)
        _unpack(grad_u, grad_own, start)
        _unpack(grad_w, grad_other, start)
        _unpack(grad_v, grad_values, start)
    end(settings)
    for f in range(h):
        for k in range(5):
            grad_first[f, k] += first_lanes[f, k].sum()
    for k in range(heads):
        for unit in range(units):
            grad_last[k, unit] += last_lanes[k * units + unit].sum()
    totals = np.zeros_like(middle)
    sum_outer(outer_sums, 0, totals)
    for k in range(heads):
        for unit in range(units):
            row = k * units + unit
            for f in range(h):
                grad_middle[row, f] += last[k, unit] * totals[row, f]
