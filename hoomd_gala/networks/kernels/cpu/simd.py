"""Vector registers in compiled functions.

A compiler that is given plain loops vectorizes them well, but keeps no block of sums in registers
while it goes through a matrix product, which makes the product several times slower. With these
few operations :mod:`~.passes` says so itself. They stand for whatever registers the
machine has; arrays are addressed by the position in their contiguous data.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import binding, ir
from numba import extending, njit, types
from numba.core import cgutils, config
from numba.core.datamodel import models
from numba.extending import register_model
from numba.np.arrayobj import make_array

#: How functions are compiled: sums stay in the order they are written in.
OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}


def part(function: Callable[..., Any]) -> Any:
    """Compile a function as a part of others; Python does not call it."""
    return njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, **OPTIONS)(function)


def intrinsic(function: Callable[..., Any]) -> Any:
    """Make an instruction of a function that generates code for LLVM."""
    return extending.intrinsic(function)


def _features() -> set[str]:
    """List what the processor can do, or what numba's own environment variables say it can."""
    if config.CPU_FEATURES is not None:
        return {name[1:] for name in config.CPU_FEATURES.split(",") if name.startswith("+")}
    return {name for name, there in binding.get_host_cpu_features().items() if there}


#: Names of what the processor can do, as LLVM has them.
FEATURES = _features()

#: Floats in a register.
LANES = 16 if "avx512f" in FEATURES else 8

_VECTOR = ir.VectorType(ir.FloatType(), LANES)
_INTEGERS = ir.VectorType(ir.IntType(32), LANES)
_FLOAT_BYTES = 4


class _LanesType(types.Type):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__(name=f"Lanes({LANES})")


_lanes = _LanesType()


@register_model(_LanesType)
class _LanesModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _VECTOR)


def address(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    """Pointer to an element of the array that is the first argument."""
    data = make_array(signature.args[0])(context, builder, args[0]).data
    return builder.gep(data, [args[1]])


@intrinsic
def load(_: Any, array: Any, at: Any) -> Any:
    """Consecutive elements of a float32 array."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = address(context, builder, signature, args)
        loaded = builder.load(builder.bitcast(pointer, _VECTOR.as_pointer()))
        loaded.align = _FLOAT_BYTES
        return loaded

    return _lanes(array, types.intp), generate


@intrinsic
def store(_: Any, array: Any, at: Any, value: Any) -> Any:
    """Do the opposite of :func:`load`."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = address(context, builder, signature, args)
        stored = builder.store(args[2], builder.bitcast(pointer, _VECTOR.as_pointer()))
        stored.align = _FLOAT_BYTES
        return context.get_dummy_value()

    return types.void(array, types.intp, _lanes), generate


def _everywhere(builder: Any, element: Any) -> Any:
    nothing, index = ir.Constant(_VECTOR, ir.Undefined), ir.IntType(32)
    first = builder.insert_element(nothing, element, ir.Constant(index, 0))
    return builder.shuffle_vector(first, nothing, ir.Constant(ir.VectorType(index, LANES), None))


@intrinsic
def spread(_: Any, array: Any, at: Any) -> Any:
    """One element of a float32 array in all lanes."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _everywhere(builder, builder.load(address(context, builder, signature, args)))

    return _lanes(array, types.intp), generate


@intrinsic
def fill(_: Any, number: Any) -> Any:
    """Put a float32 number into all lanes."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _everywhere(builder, args[0])

    return _lanes(types.float32), generate


@intrinsic
def zeros(_: Any) -> Any:
    """Zero in all lanes."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return ir.Constant(_VECTOR, None)

    return _lanes(), generate


def _one(build: Callable[..., Any]) -> Any:
    @intrinsic
    def operation(_: Any, x: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return build(builder, *args)

        return _lanes(_lanes), generate

    return operation


def _two(build: Callable[..., Any]) -> Any:
    @intrinsic
    def operation(_: Any, x: Any, y: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return build(builder, *args)

        return _lanes(_lanes, _lanes), generate

    return operation


def _three(build: Callable[..., Any]) -> Any:
    @intrinsic
    def operation(_: Any, x: Any, y: Any, z: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return build(builder, *args)

        return _lanes(_lanes, _lanes, _lanes), generate

    return operation


def _four(build: Callable[..., Any]) -> Any:
    @intrinsic
    def operation(_: Any, x: Any, y: Any, z: Any, w: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return build(builder, *args)

        return _lanes(_lanes, _lanes, _lanes, _lanes), generate

    return operation


def _constant(number: int) -> Any:
    return ir.Constant(_INTEGERS, [number] * LANES)


def _bits(builder: Any, x: Any) -> Any:
    return builder.bitcast(x, _INTEGERS)


def _floats(builder: Any, x: Any) -> Any:
    return builder.bitcast(x, _VECTOR)


#: Bits of a float32 that a bfloat16 has as well.
_HIGH = -0x10000
#: One as a bfloat16.
_ONE = 0x3F80

#: x + y, x - y, x·y and x / y.
add = _two(lambda builder, x, y: builder.fadd(x, y))
subtract = _two(lambda builder, x, y: builder.fsub(x, y))
multiply = _two(lambda builder, x, y: builder.fmul(x, y))
divide = _two(lambda builder, x, y: builder.fdiv(x, y))

#: total + x·y, rounded once where the machine can.
multiply_add = _three(
    lambda builder, x, y, total: builder.fadd(
        builder.fmul(x, y, flags=["contract"]), total, flags=["contract"]
    )
)

#: The larger of x and y; y where either is NaN.
maximum = _two(lambda builder, x, y: builder.select(builder.fcmp_ordered(">", x, y), x, y))

#: z where x > y, and w elsewhere.
where_greater = _four(
    lambda builder, x, y, z, w: builder.select(builder.fcmp_ordered(">", x, y), z, w)
)

#: 2 to a whole power, given the power plus 1.5·2²³: it stands in the lowest bits of that.
power_of_two = _one(
    lambda builder, x: _floats(
        builder,
        builder.add(builder.shl(_bits(builder, x), _constant(23)), _constant(127 << 23)),
    )
)

#: Whole part of the logarithm to base 2 of a positive x, and x divided by that power of 2.
exponent = _one(
    lambda builder, x: builder.sitofp(
        builder.sub(builder.lshr(_bits(builder, x), _constant(23)), _constant(127)), _VECTOR
    )
)
mantissa = _one(
    lambda builder, x: _floats(
        builder,
        builder.or_(
            builder.and_(_bits(builder, x), _constant((1 << 23) - 1)), _constant(127 << 23)
        ),
    )
)

#: The bfloat16 next to x towards zero, as a float32.
high = _one(lambda builder, x: _floats(builder, builder.and_(_bits(builder, x), _constant(_HIGH))))

#: x such that its upper half is the nearest bfloat16.
rounded = _one(
    lambda builder, x: _floats(builder, builder.add(_bits(builder, x), _constant(1 << 15)))
)


def _interleave(builder: Any, x: Any, y: Any) -> Any:
    halves = ir.VectorType(ir.IntType(16), 2 * LANES)
    x, y = builder.bitcast(x, halves), builder.bitcast(y, halves)
    # the upper half of a lane comes second
    order = [k + 1 if k % 2 == 0 else 2 * LANES + k for k in range(2 * LANES)]
    index = ir.Constant(ir.VectorType(ir.IntType(32), 2 * LANES), order)
    return _floats(builder, builder.shuffle_vector(x, y, index))


#: The upper halves of x and y, those of x in the lower half of each lane.
interleave = _two(_interleave)


def _interleave_greater(builder: Any, x: Any, y: Any, z: Any, w: Any) -> Any:
    none = _constant(0)
    lower = builder.select(builder.fcmp_ordered(">", x, y), _constant(_ONE), none)
    upper = builder.select(builder.fcmp_ordered(">", z, w), _constant(_ONE << 16), none)
    return _floats(builder, builder.or_(lower, upper))


#: Where x > y and where z > w, as bfloat16 0 and 1 interleaved.
interleave_greater = _four(_interleave_greater)


def _join_greater(builder: Any, x: Any, y: Any, z: Any, w: Any) -> Any:
    first, second = builder.fcmp_ordered(">", x, y), builder.fcmp_ordered(">", z, w)
    order = ir.Constant(ir.VectorType(ir.IntType(32), 2 * LANES), list(range(2 * LANES)))
    both = builder.shuffle_vector(first, second, order)
    halves = ir.VectorType(ir.IntType(16), 2 * LANES)
    ones = ir.Constant(halves, [_ONE] * (2 * LANES))
    return _floats(builder, builder.select(both, ones, ir.Constant(halves, None)))


#: Where x > y and where z > w, as bfloat16 0 and 1, the lanes of one after those of the other.
join_greater = _four(_join_greater)


@_one
def square_root(builder: Any, x: Any) -> Any:
    """√x."""
    kind = ir.FunctionType(_VECTOR, [_VECTOR])
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.sqrt.v{LANES}f32")
    return builder.call(function, [x])


@intrinsic
def transpose(_: Any, rows: Any) -> Any:
    """Columns of a square of as many registers as there are lanes."""
    kind = types.UniTuple(_lanes, LANES)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        rows = cgutils.unpack_tuple(builder, args[0], LANES)
        index = ir.VectorType(ir.IntType(32), LANES)
        step = 1
        while step < LANES:
            # exchange what lies above and below the diagonal of squares of twice the step
            upper = [k if not k & step else LANES + (k ^ step) for k in range(LANES)]
            lower = [k ^ step if not k & step else LANES + k for k in range(LANES)]
            for k in range(LANES):
                if not k & step:
                    x, y = rows[k], rows[k | step]
                    rows[k] = builder.shuffle_vector(x, y, ir.Constant(index, upper))
                    rows[k | step] = builder.shuffle_vector(x, y, ir.Constant(index, lower))
            step *= 2
        return context.make_tuple(builder, signature.return_type, rows)

    return kind(kind), generate
