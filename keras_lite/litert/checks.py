"""What LiteRT and XNNPACK can't run of an int8 graph, or run to another answer on another processor."""

from collections.abc import Callable

import numpy as np

from keras_lite.errors import InputError
from keras_lite.litert.operators import Operator, QuantizedGraph, Tensor
from keras_lite.litert.scheme import CHANNEL_AXES, FIXED_PARAMETERS

# A scale below this is that of a tensor that is always zero; XNNPACK does not start, or aborts, on some of them.
# That of a constant may be smaller, but not subnormal.
SMALLEST_SCALE = 1e-6
# XNNPACK refuses a convolution or dense layer whose input scale * kernel scale / output scale reaches this.
LARGEST_SCALE_RATIO = 256.0
# XNNPACK adds tensors whose scales are less than so many times the output's. LiteRT's own kernel, which takes the
# others, overflows above.
_LARGEST_SUM_RATIO = 2.0**8
_SMALLEST_NORMAL = float(np.finfo("float32").tiny)
_INTEGERS = ("int8", "uint8", "int16")
_SUMS = ("ADD", "SUB")
# Kinds that copy or choose numbers and never turn them from one scale into another.
_COPIES = (
    "CONCATENATION",
    "PACK",
    "UNPACK",
    "SPLIT",
    "SPLIT_V",
    "PAD",
    "PADV2",
    "MIRROR_PAD",
    "RESHAPE",
    "SQUEEZE",
    "EXPAND_DIMS",
    "TRANSPOSE",
    "SLICE",
    "STRIDED_SLICE",
    "GATHER",
    "BROADCAST_TO",
    "SPACE_TO_DEPTH",
    "DEPTH_TO_SPACE",
    "MAX_POOL_2D",
    "AVERAGE_POOL_2D",
    "RESIZE_NEAREST_NEIGHBOR",
    "RESIZE_BILINEAR",
    "MAXIMUM",
    "MINIMUM",
    "REDUCE_MAX",
    "REDUCE_MIN",
)
_TOO_WIDE = 2.0**31
# How far a bias's scale may be from the product of those of input and kernel: by rounding, no more.
_BIAS_TOLERANCE = 1e-3


def check_quantized(graph: QuantizedGraph) -> None:
    """Refuse an int8 graph that LiteRT with XNNPACK can't run, or runs to another answer on another processor.

    Refused are a missing scale, a scale next to zero, scales too far apart, a bias or sums of more than 32 bits,
    another scale on the other side of an operator that only copies numbers, and a sigmoid, softmax or L2 normalization
    whose output has another scale than LiteRT's kernel.

    Args:
        graph: The graph, before it is written.

    Raises:
        InputError: For the first such operator, by its name, with what to do.

    Example:

    >>> parameters = [keras_lite.litert.QuantizationParameters(0.5, zero_point) for zero_point in (0, 3)]
    >>> x, y = (Tensor(name, (1, 4), dtype="int8", quantization=each) for name, each in zip("xy", parameters))
    >>> try:
    ...     check_quantized(QuantizedGraph("small", [x], [y], [Operator("TRANSPOSE", [x], [y])]))
    ... except InputError as error:
    ...     print(str(error).split(";")[0])
    Expected the scale and zero point of y in all it copies in y (TRANSPOSE), received others for x
    """
    for operator in graph.operators:
        for check in _CHECKS:
            check(operator)


def excess(operator: Operator) -> float:
    """Return how many times wider the range of an int8 operator's output must at least be for LiteRT with XNNPACK.

    A sum whose parts have steps of many times its own is such an operator, or a product with a kernel. Up to 1, all is
    well.
    """
    target = operator.output.quantization
    if target is None or target.scale < SMALLEST_SCALE:
        return 0.0
    if operator.kind in _SUMS and all(each.quantization is not None for each in operator.inputs):
        return max(float(each.quantization.scale / target.scale) for each in operator.inputs) / _LARGEST_SUM_RATIO
    return float(_factors(operator).max()) / LARGEST_SCALE_RATIO if _is_weighted(operator) else 0.0


def _numbers_of_scales(operator: Operator) -> None:
    for tensor in (*operator.inputs, *operator.outputs):
        parameters = tensor.quantization
        if parameters is None and (tensor.dtype in _INTEGERS or _is_bias(operator, tensor)):
            _refuse(operator, "a scale for each integer tensor", f"none for {tensor.name}", "give it its quantization")
        if parameters is not None and len(parameters.scales) > 1 and not _is_weight(operator, tensor):
            received = f"{len(parameters.scales)} for {tensor.name}"
            _refuse(operator, "one scale where there is no kernel", received, "quantize all its channels alike")


def _small_scales(operator: Operator) -> None:
    for tensor in (*operator.inputs, *operator.outputs):
        if tensor.quantization is None:
            continue
        limit = _SMALLEST_NORMAL if tensor.is_constant else SMALLEST_SCALE
        smallest = float(tensor.quantization.scales.min())
        if smallest < limit:
            remedy = "its numbers are next to zero, so put zeros with a larger scale in their place"
            _refuse(operator, f"scales of at least {limit:.3g}", f"{smallest:.3g} for {tensor.name}", remedy)


def _kernel_scales(operator: Operator) -> None:
    if not _is_weighted(operator):
        return
    kernel, axis = operator.kernel, CHANNEL_AXES[operator.kind]
    parameters = kernel.quantization
    if len(parameters.scales) not in (1, kernel.shape[axis]) or (
        len(parameters.scales) > 1 and parameters.axis != axis
    ):
        expected = f"one scale for the kernel, or {kernel.shape[axis]} along axis {axis}"
        received = f"{len(parameters.scales)} along axis {parameters.axis}"
        _refuse(operator, expected, received, "quantize it by output channel, as quantize_kernel does")
    largest = float(_factors(operator).max())
    if largest >= LARGEST_SCALE_RATIO:
        expected = f"input scale * kernel scale / output scale below {LARGEST_SCALE_RATIO:.0f}"
        _refuse(operator, expected, f"{largest:.4g}", "widen the range of its output")


def _bias_and_sums(operator: Operator) -> None:
    if not _is_weighted(operator):
        return
    kernel, bias, addend = operator.kernel, operator.bias, 0.0
    if bias is not None:
        addend = np.abs(bias.data.astype("float64"))
        if bias.dtype != "int32":
            received = f"{bias.dtype} up to {addend.max():.3g}"
            _refuse(
                operator, "a bias of int32", received, "give the channel's kernel a larger scale if it needs more bits"
            )
        products = operator.source.quantization.scale * kernel.quantization.scales
        if not np.allclose(bias.quantization.scales, products, rtol=_BIAS_TOLERANCE, atol=0.0):
            expected = "a bias in steps of input scale * kernel scale"
            _refuse(operator, expected, "other scales", "quantize it by quantize_bias")
    others = tuple(each for each in range(len(kernel.shape)) if each != CHANNEL_AXES[operator.kind])
    largest = np.abs(kernel.data.astype("int64")).sum(others) * _reach(operator.source) + addend
    if largest.max() >= _TOO_WIDE:
        remedy = "give the channel's kernel a larger scale"
        _refuse(operator, "sums of products and bias below 2^31", f"up to {largest.max():.3g}", remedy)
    largest = largest * _factors(operator)
    if largest.max() >= _TOO_WIDE:
        received = f"up to {largest.max():.3g}, which processors cut off differently"
        _refuse(operator, "sums below 2^31 steps of the output", received, "widen the range of its output")


def _sum_scales(operator: Operator) -> None:
    if operator.kind not in _SUMS or operator.output.quantization is None:
        return
    for tensor in operator.inputs:
        ratio = float(tensor.quantization.scale / operator.output.quantization.scale)
        if not ratio < _LARGEST_SUM_RATIO:
            _refuse(
                operator,
                "input scales below 256 times the output's",
                f"{ratio:.4g} times for {tensor.name}",
                "widen the range of the output",
            )


def _copied_scales(operator: Operator) -> None:
    if operator.kind not in _COPIES:
        return
    tensors = [each for each in (*operator.inputs, *operator.outputs) if each.quantization is not None]
    for tensor in tensors:
        target = operator.outputs[0]
        if tensor.quantization != target.quantization:
            _refuse(
                operator,
                f"the scale and zero point of {target.name} in all it copies",
                f"others for {tensor.name}",
                "put a QUANTIZE between",
            )


def _fixed_scales(operator: Operator) -> None:
    expected, received = FIXED_PARAMETERS.get(operator.kind), operator.outputs[0].quantization
    if expected is not None and operator.output.dtype == "int8" and received != expected:
        _refuse(operator, repr(expected), repr(received), "give the output these, and put a QUANTIZE behind it")


_CHECKS: tuple[Callable[[Operator], None], ...] = (
    _numbers_of_scales,
    _small_scales,
    _kernel_scales,
    _bias_and_sums,
    _sum_scales,
    _copied_scales,
    _fixed_scales,
)


def _is_weighted(operator: Operator) -> bool:
    """Return whether it multiplies int8 numbers with a constant kernel."""
    if operator.kind not in CHANNEL_AXES or not operator.kernel.is_constant:
        return False
    return all(each.quantization is not None for each in (operator.source, operator.kernel, operator.output))


def _is_bias(operator: Operator, tensor: Tensor) -> bool:
    return operator.kind in CHANNEL_AXES and tensor is operator.bias


def _is_weight(operator: Operator, tensor: Tensor) -> bool:
    return operator.kind in CHANNEL_AXES and tensor.is_constant


def _factors(operator: Operator) -> np.ndarray:
    """Return how many steps of the output a step of each channel's sums is, in float32 as XNNPACK computes it."""
    source, kernel, target = (each.quantization for each in (operator.source, operator.kernel, operator.output))
    return source.scale * kernel.scales / target.scale


def _reach(tensor: Tensor) -> int:
    """Return the largest distance from its zero point that a tensor's numbers can have."""
    limits, zero_point = np.iinfo(tensor.dtype), tensor.quantization.zero_point
    return max(int(limits.max) - zero_point, zero_point - int(limits.min))


def _refuse(operator: Operator, expected: str, received: str, remedy: str) -> None:
    raise InputError(f"Expected {expected} in {operator.name} ({operator.kind}), received {received}; {remedy}.")
