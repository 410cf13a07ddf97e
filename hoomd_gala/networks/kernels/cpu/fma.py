"""Matrix products of float32 numbers in vector registers.

For processors without matrix units; :mod:`~.amx` has the same functions for those
with, and says what they are for.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .simd import (
    LANES,
    fill,
    load,
    multiply,
    multiply_add,
    part,
    spread,
    store,
    where_greater,
    zeros,
)

Array = NDArray[np.float32]

#: Rows of a product that are done at a time.
TILE = 4

#: Nothing has to be set up.
SETTINGS = np.zeros(1, np.int8)


@part
def begin(settings: Any) -> None:
    """Nothing to set up."""


@part
def end(settings: Any) -> None:
    """Nothing to give back."""


@part
def load4(array: Array, at: int, step: int) -> Any:
    """Four registers from rows of an array, step apart."""
    return (
        load(array, at),
        load(array, at + step),
        load(array, at + 2 * step),
        load(array, at + 3 * step),
    )


@part
def store4(array: Array, at: int, step: int, values: Any) -> None:
    """Do the opposite of :func:`load4`."""
    store(array, at, values[0])
    store(array, at + step, values[1])
    store(array, at + 2 * step, values[2])
    store(array, at + 3 * step, values[3])


@part
def _multiply_add4(x: Any, y: Any, totals: Any) -> Any:
    return (
        multiply_add(x[0], y, totals[0]),
        multiply_add(x[1], y, totals[1]),
        multiply_add(x[2], y, totals[2]),
        multiply_add(x[3], y, totals[3]),
    )


@part
def pack_weights(weights: Array, exact: bool) -> Array:
    """Bring (R, K) weights into the order in which :func:`product` takes them."""
    rows, columns = weights.shape
    out = np.zeros(((rows + TILE - 1) // TILE, columns, TILE), np.float32)
    for r in range(rows):
        for k in range(columns):
            out[r // TILE, k, r % TILE] = weights[r, k]
    return out


@part
def operand(columns: int, width: int, exact: bool) -> Array:
    """Room for an operand of so many numbers in so many lanes."""
    return np.zeros((columns, width), np.float32)


@part
def put(x_rows: Array, columns: int, k: int, p: int, x: Any, y: Any) -> None:
    """Make x and y numbers k and k + 1 of an operand, in the lanes from p on."""
    width = x_rows.shape[1]
    store(x_rows, k * width + p, x)
    store(x_rows, (k + 1) * width + p, y)


@part
def product(
    weights: Array, tile: int, x: Array, p: int, start: Array, row: int, out: Array, at: int
) -> None:
    """Four rows of start + weights · x, four registers wide. Sixteen sums stay in registers."""
    width, step, columns = x.shape[1], out.shape[-1], x.shape[0]
    s_at = row * width + p
    a = load4(start, s_at, width)
    b = load4(start, s_at + LANES, width)
    c = load4(start, s_at + 2 * LANES, width)
    d = load4(start, s_at + 3 * LANES, width)
    w_at = tile * columns * TILE
    for k in range(columns):
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
    store4(out, at, step, a)
    store4(out, at + LANES, step, b)
    store4(out, at + 2 * LANES, step, c)
    store4(out, at + 3 * LANES, step, d)


@part
def masks(units: int, width: int) -> tuple[Array, Array]:
    """Room for which of some hidden units are active."""
    return operand(units, width, True), np.zeros((1, 1), np.float32)


@part
def put_active(
    x: Array, tile: Array, k: int, p: int, a: Any, b: Any, c: Any, d: Any, low: Any, next_low: Any
) -> None:
    """Note where units k and k + 1 are above their limits, in two registers from p on."""
    width = x.shape[1]
    at, one, none = k * width + p, fill(np.float32(1)), zeros()
    store(x, at, where_greater(a, low, one, none))
    store(x, at + LANES, where_greater(b, low, one, none))
    store(x, at + width, where_greater(c, next_low, one, none))
    store(x, at + width + LANES, where_greater(d, next_low, one, none))


@part
def scaled(h: int, width: int) -> Array:
    """Room for what :func:`put_scaled` makes."""
    return np.zeros((h, width), np.float32)


@part
def put_scaled(
    q: Array, norms: Array, i: int, first: Array, features: Array, scale: Array, out: Array
) -> None:
    """Hidden units of V times a number."""
    width = out.shape[1]
    for f in range(out.shape[0]):
        for p in range(0, width, LANES):
            at = f * width + p
            store(out, at, multiply(load(scale, p), load(features, at)))


@part
def outer(units: int, h: int) -> Array:
    """Room for the sums of :func:`add_outer`, every lane by itself."""
    return np.zeros((units // 4, h // 4, 4, 4, LANES), np.float32)


@part
def add_outer(out: Array, at: int, x: Array, tile: Array, y: Array) -> None:
    """Add sums over all pairs of the activity of four units times scaled units of V."""
    width, h = y.shape[1], y.shape[0]
    r = (at * TILE) % x.shape[0]
    for k in range(0, h, 4):
        o_at = (at * TILE * h + 4 * k) * LANES
        a = load4(out, o_at, LANES)
        b = load4(out, o_at + 4 * LANES, LANES)
        c = load4(out, o_at + 8 * LANES, LANES)
        d = load4(out, o_at + 12 * LANES, LANES)
        for p in range(0, width, LANES):
            z = load4(y, k * width + p, width)
            x_at = r * width + p
            a = _multiply_add4(z, load(x, x_at), a)
            b = _multiply_add4(z, load(x, x_at + width), b)
            c = _multiply_add4(z, load(x, x_at + 2 * width), c)
            d = _multiply_add4(z, load(x, x_at + 3 * width), d)
        store4(out, o_at, LANES, a)
        store4(out, o_at + 4 * LANES, LANES, b)
        store4(out, o_at + 8 * LANES, LANES, c)
        store4(out, o_at + 12 * LANES, LANES, d)


@part
def sum_outer(out: Array, row: int, total: Array) -> None:
    """Add to (R, h) what :func:`add_outer` has summed, from some row on."""
    for r in range(total.shape[0]):
        for k in range(total.shape[1]):
            total[r, k] += out[(row + r) // 4, k // 4, (row + r) % 4, k % 4].sum()
