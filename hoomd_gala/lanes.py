"""Vector registers in compiled functions.

A compiler that is given plain loops vectorizes them well, but keeps no block of sums in registers
while it goes through a matrix product, which makes the product several times slower. With these
few operations :mod:`~hoomd_gala.kernels` says so itself. They stand for whatever registers the
machine has; arrays are addressed by the position in their contiguous data.
"""

from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.core.datamodel import models
from numba.extending import intrinsic, register_model
from numba.np.arrayobj import make_array

#: Floats in a register.
LANES = 16 if binding.get_host_cpu_features().get("avx512f") else 8

_VECTOR = ir.VectorType(ir.FloatType(), LANES)
_FLOAT_BYTES = 4


class _LanesType(types.Type):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__(name=f"Lanes({LANES})")


_lanes = _LanesType()


@register_model(_LanesType)
class _LanesModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _VECTOR)


def _address(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    data = make_array(signature.args[0])(context, builder, args[0]).data
    return builder.gep(data, [args[1]])


@intrinsic
def load(_: Any, array: Any, at: Any) -> Any:
    """Consecutive elements of a float32 array."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        address = _address(context, builder, signature, args)
        loaded = builder.load(builder.bitcast(address, _VECTOR.as_pointer()))
        loaded.align = _FLOAT_BYTES
        return loaded

    return _lanes(array, types.intp), generate


@intrinsic
def store(_: Any, array: Any, at: Any, value: Any) -> Any:
    """The opposite of :func:`load`."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        address = _address(context, builder, signature, args)
        stored = builder.store(args[2], builder.bitcast(address, _VECTOR.as_pointer()))
        stored.align = _FLOAT_BYTES
        return context.get_dummy_value()

    return types.void(array, types.intp, _lanes), generate


@intrinsic
def spread(_: Any, array: Any, at: Any) -> Any:
    """One element of a float32 array in all lanes."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        element = builder.load(_address(context, builder, signature, args))
        nothing, index = ir.Constant(_VECTOR, ir.Undefined), ir.IntType(32)
        first = builder.insert_element(nothing, element, ir.Constant(index, 0))
        everywhere = ir.Constant(ir.VectorType(index, LANES), None)
        return builder.shuffle_vector(first, nothing, everywhere)

    return _lanes(array, types.intp), generate


@intrinsic
def multiply_add(_: Any, x: Any, y: Any, total: Any) -> Any:
    """total + x·y, rounded once where the machine can."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        x, y, total = args
        return builder.fadd(builder.fmul(x, y, flags=["contract"]), total, flags=["contract"])

    return _lanes(_lanes, _lanes, _lanes), generate


@intrinsic
def zeros(_: Any) -> Any:
    """Zero in all lanes."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return ir.Constant(_VECTOR, None)

    return _lanes(), generate


@intrinsic
def add(_: Any, x: Any, y: Any) -> Any:
    """x + y."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fadd(*args)

    return _lanes(_lanes, _lanes), generate
