"""Matrix products of float32 numbers on the matrix units of the processor (AMX).

These multiply tiles of bfloat16 numbers and add up in float32. A float32 number is, to one part in
2¹⁶, the sum of two bfloat16 numbers, high and low, and a product the sum of the three products
that are not low times low. So three products of tiles do what one of float32 would, which takes a
quarter of the time of the same product in vector registers.

What :mod:`~.passes` calls here stands in :mod:`~.fma` for other
processors. Operands are packed by twos: the 32 bits of a lane hold two numbers that follow each
other in the sum.
"""

import ctypes
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import extending, types
from numba.core import cgutils
from numpy.typing import NDArray

from .simd import (
    FEATURES,
    LANES,
    address,
    high,
    interleave,
    interleave_greater,
    intrinsic,
    join_greater,
    load,
    maximum,
    multiply,
    multiply_add,
    part,
    rounded,
    spread,
    store,
    subtract,
    zeros,
)

Array = NDArray[np.float32]

#: Rows of a tile.
TILE = 16

#: Shapes of the eight tiles: 16 rows of 64 bytes each (Intel's manual, LDTILECFG).
SETTINGS = np.zeros(64, np.uint8)
SETTINGS[0] = 1
SETTINGS[16:32:2] = 64
SETTINGS[48:56] = TILE


def are_usable() -> bool:
    """Whether the processor has tiles and the system lets this process use them."""
    if sys.platform != "linux" or not {"amx-bf16", "avx512bw"} <= FEATURES:
        return False
    # arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA)
    return bool(ctypes.CDLL(None).syscall(158, 0x1023, 18) == 0)


_BYTE, _LONG = ir.IntType(8), ir.IntType(64)


def _call(builder: Any, name: str, *args: Any) -> None:
    kind = ir.FunctionType(ir.VoidType(), [arg.type for arg in args])
    builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.{name}"), args)


@intrinsic
def begin(_: Any, settings: Any) -> Any:
    """Set the tiles up for this thread, until :func:`end`."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        args = [args[0], ir.Constant(_LONG, 0)]
        pointer = address(context, builder, signature, args)
        _call(builder, "ldtilecfg", builder.bitcast(pointer, _BYTE.as_pointer()))
        return context.get_dummy_value()

    return types.void(settings), generate


@intrinsic
def end(_: Any, settings: Any) -> Any:
    """Give the tiles back: what is in them does not have to be kept any longer."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _call(builder, "tilerelease")
        return context.get_dummy_value()

    return types.void(settings), generate


def _literal_intrinsic(function: Callable[..., Any]) -> Any:
    """:func:`~.simd.intrinsic` for one whose arguments are numbers of tiles, which are literals."""
    return extending.intrinsic(prefer_literal=True)(function)


def _move(name: str) -> Any:
    @_literal_intrinsic
    def operation(_: Any, array: Any, at: Any, step: Any, tile: Any) -> Any:
        number = ir.Constant(_BYTE, tile.literal_value)

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            pointer = address(context, builder, signature, args)
            stride = builder.mul(args[2], ir.Constant(_LONG, 4))
            _call(builder, name, number, builder.bitcast(pointer, _BYTE.as_pointer()), stride)
            return context.get_dummy_value()

        return types.void(array, types.intp, types.intp, tile), generate

    return operation


#: Sixteen rows of an array, step apart, to and from a tile.
_load = _move("tileloadd64")
_store = _move("tilestored64")


@_literal_intrinsic
def _multiply(_: Any, total: Any, x: Any, y: Any) -> Any:
    """Add to a tile the product of two others."""
    numbers = [ir.Constant(_BYTE, tile.literal_value) for tile in (total, x, y)]

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _call(builder, "tdpbf16ps", *numbers)
        return context.get_dummy_value()

    return types.void(total, x, y), generate


@part
def tiles(size: int) -> int:
    """Tiles that so many rows take."""
    return (size + TILE - 1) // TILE


@part
def _bfloat(x: np.float32) -> np.float32:
    """Round to the nearest bfloat16, as a float32."""
    bits = np.uint32(np.float32(x).view(np.uint32)) + np.uint32(0x8000)
    return np.uint32(bits & np.uint32(0xFFFF0000)).view(np.float32)


@part
def _pair(x: np.float32, y: np.float32) -> np.uint32:
    """Two bfloat16 numbers in 32 bits, x in the lower half."""
    lower = np.uint32(np.float32(x).view(np.uint32)) >> np.uint32(16)
    return np.uint32(lower | np.uint32(np.float32(y).view(np.uint32)))


@part
def pack_weights(weights: Array, exact: bool) -> Array:
    """Bring (R, K) weights, K even, into tiles for :func:`product`.

    The rows of an operand are high and then low, each K / 2 of them. What meets them first are
    the high parts of the weights, twice; then the low parts, which meet the high rows alone. An
    ``exact`` operand is of bfloat16 numbers to begin with and has high rows only.
    """
    rows, columns = weights.shape
    half = columns // 2
    there = half if exact else 2 * half
    first = tiles(there)
    out = np.zeros((tiles(rows), first + tiles(half), TILE, TILE), np.float32)
    bits = out.view(np.uint32)
    for r in range(rows):
        for k in range(half):
            x, y = weights[r, 2 * k], weights[r, 2 * k + 1]
            a, b = _bfloat(x), _bfloat(y)
            for at in range(k, there, half):
                bits[r // TILE, at // TILE, r % TILE, at % TILE] = _pair(a, b)
            low = _pair(_bfloat(x - a), _bfloat(y - b))
            bits[r // TILE, first + k // TILE, r % TILE, k % TILE] = low
    return out


@part
def operand(columns: int, width: int, exact: bool) -> Array:
    """Room for an operand of so many numbers in so many lanes."""
    half = columns // 2
    return np.zeros((TILE * tiles(half if exact else 2 * half), width), np.float32)


@part
def put(x_rows: Array, columns: int, k: int, p: int, x: Any, y: Any) -> None:
    """Make x and y numbers k and k + 1 (k even) of an operand, in the lanes from p on."""
    width = x_rows.shape[1]
    at = (k // 2) * width + p
    store(x_rows, at, interleave(x, y))
    x, y = rounded(subtract(x, high(x))), rounded(subtract(y, high(y)))
    store(x_rows, at + (columns // 2) * width, interleave(x, y))


@part
def product(
    weights: Array, tile: int, x: Array, p: int, start: Array, row: int, out: Array, at: int
) -> None:
    """Sixteen rows of start + weights · x, four registers wide.

    Parameters
    ----------
    weights, x
        Packed weights and an operand.
    tile : int
        Which rows of the weights, by sixteens.
    p : int
        First column of x and of start.
    start, row
        What to add to, and its first row.
    out, at
        Where to write, (…, 4·LANES).
    """
    width, depth = x.shape[1], weights.shape[1]
    first = x.shape[0] // TILE
    s_at = row * width + p
    _load(start, s_at, width, 0)
    _load(start, s_at + LANES, width, 1)
    _load(start, s_at + 2 * LANES, width, 2)
    _load(start, s_at + 3 * LANES, width, 3)
    w_at = tile * depth * TILE * TILE
    for k in range(first):
        _load(weights, w_at + k * TILE * TILE, TILE, 4)
        again = first + k < depth
        if again:
            _load(weights, w_at + (first + k) * TILE * TILE, TILE, 5)
        x_at = k * TILE * width + p
        _load(x, x_at, width, 6)
        _load(x, x_at + LANES, width, 7)
        _multiply(0, 4, 6)
        _multiply(1, 4, 7)
        if again:
            _multiply(0, 5, 6)
            _multiply(1, 5, 7)
        _load(x, x_at + 2 * LANES, width, 6)
        _load(x, x_at + 3 * LANES, width, 7)
        _multiply(2, 4, 6)
        _multiply(3, 4, 7)
        if again:
            _multiply(2, 5, 6)
            _multiply(3, 5, 7)
    step = out.shape[-1]
    _store(out, at, step, 0)
    _store(out, at + LANES, step, 1)
    _store(out, at + 2 * LANES, step, 2)
    _store(out, at + 3 * LANES, step, 3)


@part
def masks(units: int, width: int) -> tuple[Array, Array]:
    """Room for which of some hidden units are active, as an exact operand and for one tile."""
    return operand(units, width, True), np.zeros((TILE, width // 2), np.float32)


@part
def put_active(
    x: Array, tile: Array, k: int, p: int, a: Any, b: Any, c: Any, d: Any, low: Any, next_low: Any
) -> None:
    """Note where units k (even) and k + 1 are above their limits, in two registers from p on.

    The first unit has the values a and b, the second c and d.
    """
    width = x.shape[1]
    at = (k // 2) * width + p
    store(x, at, interleave_greater(a, low, c, next_low))
    store(x, at + LANES, interleave_greater(b, low, d, next_low))
    at = (k % TILE) * (width // 2) + p // 2
    store(tile, at, join_greater(a, low, b, low))
    store(tile, at + width // 2, join_greater(c, next_low, d, next_low))


@part
def scaled(h: int, width: int) -> Array:
    """Room for what :func:`put_scaled` makes."""
    return np.zeros((2, width // 2, TILE * tiles(h)), np.float32)


@part
def put_scaled(
    q: Array, norms: Array, i: int, first: Array, features: Array, scale: Array, out: Array
) -> None:
    """Hidden units of V times a number, as :func:`add_outer` takes them: pairs in rows.

    They are computed again with a register for sixteen units of one pair; transposing those that
    exist would take longer. ``first`` is (5, h), with h a multiple of 16.
    """
    width, h = q.shape[1], out.shape[2]
    low = out.shape[1] * h
    nothing = zeros()
    for f in range(0, h, TILE):
        w0, w1, w2 = load(first, f), load(first, h + f), load(first, 2 * h + f)
        w3, w4 = load(first, 3 * h + f), load(first, 4 * h + f)
        for p in range(0, width, 2):
            at = i * LANES + p % LANES
            x = multiply_add(w2, spread(norms, at), w4)
            x = multiply_add(w1, spread(q, width + p), multiply_add(w3, spread(norms, p), x))
            x = maximum(nothing, multiply_add(w0, spread(q, p), x))
            x = multiply(spread(scale, p), x)
            y = multiply_add(w2, spread(norms, at + 1), w4)
            y = multiply_add(
                w1, spread(q, width + p + 1), multiply_add(w3, spread(norms, p + 1), y)
            )
            y = maximum(nothing, multiply_add(w0, spread(q, p + 1), y))
            y = multiply(spread(scale, p + 1), y)
            at = (p // 2) * h + f
            store(out, at, interleave(x, y))
            x, y = rounded(subtract(x, high(x))), rounded(subtract(y, high(y)))
            store(out, low + at, interleave(x, y))


@part
def outer(units: int, h: int) -> Array:
    """Room for the sums of :func:`add_outer`."""
    return np.zeros((tiles(units), tiles(h), TILE, TILE), np.float32)


@part
def add_outer(out: Array, at: int, x: Array, tile: Array, y: Array) -> None:
    """Add sums over all pairs of the activity of sixteen units times scaled units of V.

    Parameters
    ----------
    out, at : (…, h / 16, 16, 16)
        What to add to; the units are the at-th sixteen.
    x, tile
        From :func:`put_active`; the first is for processors without tiles.
    y
        From :func:`put_scaled`.
    """
    h, steps, width = y.shape[2], y.shape[1] // TILE, tile.shape[1]
    low = y.shape[1] * h
    for f in range(0, h, TILE):
        o_at = (at * (h // TILE) + f // TILE) * TILE * TILE
        _load(out, o_at, TILE, 0)
        for p in range(steps):
            _load(tile, p * TILE, width, 1)
            y_at = p * TILE * h + f
            _load(y, y_at, h, 2)
            _load(y, low + y_at, h, 3)
            _multiply(0, 1, 2)
            _multiply(0, 1, 3)
        _store(out, o_at, TILE, 0)


@part
def sum_outer(out: Array, row: int, total: Array) -> None:
    """Add to (R, h) what :func:`add_outer` has summed, from some row on."""
    for r in range(total.shape[0]):
        for k in range(total.shape[1]):
            total[r, k] += out[(row + r) // TILE, k // TILE, (row + r) % TILE, k % TILE]
