"""Functions of `keras.ops` that stand in a model and have no layer for a twin, as operators.

Each rule takes the builder, the operation, the shapes of its outputs and what it is called with: tensors of the graph
in the places of Keras' own.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_lite.graph.refusals import refused
from keras_lite.litert import Tensor
from keras_lite.quantization.lower import functions, shapes
from keras_lite.quantization.lower.builder import Builder, constant, integers, values_of
from keras_lite.quantization.lower.operations import moving

Shapes = list[tuple[int, ...]]
Rule = Callable[..., Tensor | list[Tensor]]


def _tensor(build: Builder, value: Any, role: str) -> Tensor:
    return value if isinstance(value, Tensor) else constant(f"{build.name}/{role}", value)


def _of_two(kind: str, either_order: bool = True) -> Rule:
    def rule(build: Builder, operation: keras.Operation, found: Shapes, first: Any, second: Any) -> Tensor:
        one, other = _tensor(build, first, "first"), _tensor(build, second, "second")
        if one.is_constant and either_order:
            one, other = other, one  # constants come second, where they are folded
        return build.arithmetic(kind, one, other, build.name)

    return rule


def _subtract(build: Builder, operation: keras.Operation, found: Shapes, first: Any, second: Any) -> Tensor:
    if isinstance(first, Tensor):
        if isinstance(second, Tensor):
            return build.arithmetic("SUB", first, second, build.name)
        return build.arithmetic("ADD", first, -np.asarray(values_of(second), "float32"), build.name)
    turned = build.arithmetic("MUL", second, -1.0, f"{build.name}/turned")
    return build.arithmetic("ADD", turned, _tensor(build, first, "first"), build.name)


def _power(build: Builder, operation: keras.Operation, found: Shapes, base: Any, exponent: Any) -> Tensor:
    number = None if isinstance(exponent, Tensor) else np.asarray(values_of(exponent), "float64")
    if number is not None and number.size == 1 and isinstance(base, Tensor):
        kinds = {1.0: None, 2.0: "SQUARE", 0.5: "SQRT", -0.5: "RSQRT"}
        value = float(number.reshape(()))
        if value in kinds:
            return base if kinds[value] is None else build.add(kinds[value], [base], base.shape, build.name)
        if value == 3.0:
            return build.arithmetic(
                "MUL", base, build.arithmetic("MUL", base, base, f"{build.name}/square"), build.name
            )
    return build.add("POW", [_tensor(build, base, "base"), _tensor(build, exponent, "exponent")], found[0], build.name)


def _of_one(kind: str) -> Rule:
    return lambda build, operation, found, x: build.add(kind, [x], x.shape, build.name)


def _log1p(build: Builder, operation: keras.Operation, found: Shapes, x: Tensor) -> Tensor:
    return build.add("LOG", [build.arithmetic("ADD", x, 1.0, f"{build.name}/sum")], x.shape, build.name)


def _expm1(build: Builder, operation: keras.Operation, found: Shapes, x: Tensor) -> Tensor:
    return build.arithmetic("ADD", build.add("EXP", [x], x.shape, f"{build.name}/power"), -1.0, build.name)


def _reciprocal(build: Builder, operation: keras.Operation, found: Shapes, x: Tensor) -> Tensor:
    return build.arithmetic("DIV", constant(f"{build.name}/one", 1.0), x, build.name)


def _axes(build: Builder, operation: keras.Operation, x: Tensor) -> list[int]:
    """Return the axes of a reduction, in order; not that of the batch."""
    rank, axis = len(x.shape), operation.axis
    axes = list(range(rank)) if axis is None else [axis] if isinstance(axis, int) else list(axis)
    axes = sorted(each % rank for each in axes)
    if 0 in axes or getattr(operation, "initial", None) is not None:
        why = "it takes the images of a batch together; give the axes behind the first"
        raise refused(*build.layer, why if 0 in axes else "it has an initial value; leave that out")
    return axes


def _reduced(kind: str) -> Rule:
    def rule(build: Builder, operation: keras.Operation, found: Shapes, x: Tensor) -> Tensor:
        axes = integers(f"{build.name}/axes", _axes(build, operation, x))
        return build.add(kind, [x, axes], found[0], build.name, keep_dims=bool(operation.keepdims))

    return rule


def _variance(build: Builder, operation: keras.Operation, found: Shapes, x: Tensor) -> Tensor:
    axes = _axes(build, operation, x)
    kept = tuple(1 if axis in axes else size for axis, size in enumerate(x.shape))
    places = integers(f"{build.name}/axes", axes)
    mean = build.add("MEAN", [x, places], kept, f"{build.name}/mean", keep_dims=True)
    squares = build.add("SQUARED_DIFFERENCE", [x, mean], x.shape, f"{build.name}/squares")
    return build.add("MEAN", [squares, places], found[0], build.name, keep_dims=bool(operation.keepdims))


def _clip(build: Builder, operation: keras.Operation, found: Shapes, x: Tensor, *limits: Any) -> Tensor:
    low, high = limits or (operation.x_min, operation.x_max)
    x = x if low is None else build.arithmetic("MAXIMUM", x, low, build.name if high is None else f"{build.name}/low")
    return x if high is None else build.arithmetic("MINIMUM", x, high, build.name)


def _activation(name: str, *arguments: str) -> Rule:
    def rule(build: Builder, operation: keras.Operation, found: Shapes, x: Tensor) -> Tensor:
        values = (getattr(operation, each) for each in arguments)
        return functions.ACTIVATIONS[name](build, x, build.name, *values)

    return rule


def _threshold(build: Builder, operation: keras.Operation, found: Shapes, x: Tensor) -> Tensor:
    default = getattr(operation, "default_value", 0.0)
    both = type(operation).__name__ == "HardShrink"
    return functions.above_threshold(build, x, build.name, operation.threshold, default, both)


def _gated(build: Builder, operation: keras.Operation, found: Shapes, x: Tensor) -> Tensor:
    axis = operation.axis % len(x.shape)
    half, gate = moving.parts(build, x, axis, [x.shape[axis] // 2] * 2)
    gate = build.add("LOGISTIC", [gate], gate.shape, f"{build.name}/gate")
    return build.arithmetic("MUL", half, gate, build.name)


def _matmul(build: Builder, operation: keras.Operation, found: Shapes, first: Any, second: Any) -> Tensor:
    if not isinstance(first, Tensor):
        raise refused(*build.layer, "a constant is multiplied from the left; write it on the right, or Dense")
    if isinstance(second, Tensor):
        if len(first.shape) < 3 or len(second.shape) < 3:
            raise refused(*build.layer, "it takes the images of a batch together; write Dot, or give both a third axis")
        matrices, options = [first, second], {"adj_x": False, "adj_y": False, "asymmetric_quantize_inputs": False}
        return build.add("BATCH_MATMUL", matrices, found[0], build.name, **options)
    matrix = np.asarray(values_of(second), "float32")
    if matrix.ndim != 2:
        raise refused(*build.layer, f"its constant has the shape {matrix.shape}; write a matrix, or Dense")
    kernel, bias = constant(f"{build.name}/kernel", matrix.T), constant(f"{build.name}/bias", np.zeros(matrix.shape[1]))
    options = {"fused_activation_function": "NONE", "keep_num_dims": len(found[0]) > 2}
    return build.add("FULLY_CONNECTED", [first, kernel, bias], found[0], build.name, **options)


def _resize(build: Builder, operation: keras.Operation, found: Shapes, x: Tensor) -> Tensor:
    return shapes.resized_by(build, operation, x, found[0][1:3])


def _squares(kind: str) -> Rule:
    def rule(build: Builder, operation: keras.Operation, found: Shapes, x: Tensor) -> Tensor:
        if operation.data_format == "channels_first":
            raise refused(*build.layer, "it has channels first; write it with channels last")
        return build.add(kind, [x], found[0], build.name, block_size=int(operation.block_size))

    return rule


def _patches(build: Builder, operation: keras.Operation, found: Shapes, x: Tensor) -> Tensor:
    size = operation.size
    size = (size, size) if isinstance(size, int) else tuple(size)
    strides = operation.strides or size
    strides = (strides, strides) if isinstance(strides, int) else tuple(strides)
    square = size == strides and len(set(size)) == 1 and len(size) == 2 and operation.dilation_rate in (1, (1, 1))
    if not square or any(side % size[0] for side in x.shape[1:3]) or operation.data_format == "channels_first":
        why = f"its patches of {size} by steps of {strides} don't fill the image with squares; write Conv2D"
        raise refused(*build.layer, why)
    return build.add("SPACE_TO_DEPTH", [x], found[0], build.name, block_size=size[0])


def lower_operation(build: Builder, operation: keras.Operation, values: list[Any], found: Shapes) -> list[Tensor]:
    """Return the outputs of an operation.

    Args:
        build: Takes the operators.
        operation: The operation.
        values: What it is called with, in order.
        found: The shapes of its outputs.
    """
    outputs = OPERATIONS[type(operation).__name__](build, operation, found, *values)
    return list(outputs) if isinstance(outputs, list) else [outputs]


OPERATIONS: dict[str, Rule] = {
    "Abs": _of_one("ABS"),
    "Absolute": _of_one("ABS"),
    "Add": _of_two("ADD"),
    "Amax": _reduced("REDUCE_MAX"),
    "Amin": _reduced("REDUCE_MIN"),
    "ArraySplit": moving.split,
    "Celu": _activation("celu", "alpha"),
    "Ceil": _of_one("CEIL"),
    "Clip": _clip,
    "Concatenate": moving.concatenated,
    "Copy": lambda build, operation, found, x: x,
    "Cos": _of_one("COS"),
    "DepthToSpace": _squares("DEPTH_TO_SPACE"),
    "Divide": _of_two("DIV", either_order=False),
    "Exp": _of_one("EXP"),
    "ExpandDims": moving.reshaped,
    "Expm1": _expm1,
    "ExtractPatches": _patches,
    "Flip": moving.flipped,
    "Floor": _of_one("FLOOR"),
    "Gelu": _activation("gelu", "approximate"),
    "GetItem": moving.item,
    "Glu": _gated,
    "HardShrink": _threshold,
    "HardTanh": _activation("hard_tanh"),
    "Log": _of_one("LOG"),
    "Log1p": _log1p,
    "LogSigmoid": _activation("log_sigmoid"),
    "LogSoftmax": _activation("log_softmax", "axis"),
    "Matmul": _matmul,
    "Max": _reduced("REDUCE_MAX"),
    "Maximum": _of_two("MAXIMUM"),
    "Mean": _reduced("MEAN"),
    "Min": _reduced("REDUCE_MIN"),
    "Minimum": _of_two("MINIMUM"),
    "Moveaxis": moving.transposed,
    "Multiply": _of_two("MUL"),
    "Pad": moving.padded,
    "Power": _power,
    "Prod": _reduced("REDUCE_PROD"),
    "Reciprocal": _reciprocal,
    "Repeat": moving.repeated,
    "Reshape": moving.reshaped,
    "Resize": _resize,
    "Roll": moving.rolled,
    "Rsqrt": _of_one("RSQRT"),
    "Selu": _activation("selu"),
    "Sin": _of_one("SIN"),
    "SoftShrink": _activation("soft_shrink", "threshold"),
    "Softplus": _activation("softplus"),
    "Softsign": _activation("softsign"),
    "SpaceToDepth": _squares("SPACE_TO_DEPTH"),
    "SparsePlus": _activation("sparse_plus"),
    "SparseSigmoid": _activation("sparse_sigmoid"),
    "Split": moving.split,
    "Sqrt": _of_one("SQRT"),
    "Square": _of_one("SQUARE"),
    "Squareplus": _activation("squareplus", "b"),
    "Squeeze": moving.reshaped,
    "Stack": moving.stacked,
    "StopGradient": lambda build, operation, found, x: x,
    "Subtract": _subtract,
    "Sum": _reduced("SUM"),
    "Swapaxes": moving.transposed,
    "Take": moving.taken,
    "TanhShrink": _activation("tanh_shrink"),
    "Threshold": _threshold,
    "Tile": moving.tiled,
    "Transpose": moving.transposed,
    "TrueDivide": _of_two("DIV", either_order=False),
    "Unstack": moving.unstacked,
    "Var": _variance,
}
