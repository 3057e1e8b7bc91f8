"""From float operators to float operators that each have an int8 one, which XNNPACK takes wherever it has one.

The result computes the same floats. What int8 needs besides is how some tensors are cut off: `fixed` has their ranges.

- Numbers that multiply or add channel by channel become a 1x1 depthwise convolution.
- A ReLU that no operator takes in gets such a convolution, which does: XNNPACK takes none that stands alone.
- A ReLU with a highest value is a ReLU whose range ends there.
- HARD_SWISH, x relu6(x + 3) / 6, is y relu(y + 3 / sqrt(6)) with y = x / sqrt(6), where the range of the ReLU ends at
  sqrt(6); what makes x takes in the factor.
- relu6(x + 3) / 6 behind a convolution is x / 6 + 1 / 2 with a range from 0 to 1.
- A pool of one pixel that strides is a depthwise convolution, and so is average pooling, mended at the edges by a
  product. A window that is the whole image is a mean; the maximum of an image is a pool with that window.
- A softmax, or a normalization to length 1, at the end is left out: the answers are ordered the same without.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping

import numpy as np

from keras_lite.errors import InputError
from keras_lite.litert import FloatGraph, Operator, Tensor
from keras_lite.quantization.lower.builder import Builder, constant
from keras_lite.quantization.lower.editor import Editor
from keras_lite.quantization.lower.folding import WEIGHTED, number_of
from keras_lite.quantization.lower.lowering import in_float32
from keras_lite.quantization.lower.simplify import FUSING, simplify

_ROOT = math.sqrt(6.0)
_DROPPED_AT_END = ("L2_NORMALIZATION", "SOFTMAX")
_KEPT = (
    *WEIGHTED, "ADD", "BATCH_MATMUL", "CONCATENATION", "GELU", "LEAKY_RELU", "LOGISTIC", "MEAN", "MUL", "PAD",
    "RESHAPE", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "SLICE", "SOFTMAX", "SUB", "TANH", "TRANSPOSE",
)  # fmt: skip
_INSTEAD = {
    "ELU": "write ReLU, or Activation('hard_silu')",
    "EXP": "write another activation",
    "GREATER": "write ReLU() or ReLU(max_value), without a threshold",
    "L2_NORMALIZATION": "leave it out, or put it at the model's end",
    "MAXIMUM": "write Add, or Concatenate and a convolution",
    "MINIMUM": "write Add, or Concatenate and a convolution",
    "PRELU": "write ReLU or LeakyReLU",
}


@dataclasses.dataclass(frozen=True)
class Int8Form:
    """A float graph whose operators all have int8 ones.

    Args:
        graph: The graph.
        fixed: The ranges of tensors that are cut off there, lowest and highest value.
    """

    graph: FloatGraph
    fixed: dict[Tensor, tuple[float, float]]

    def with_constants(self, constants: Mapping[Tensor, Tensor]) -> "Int8Form":
        """Return one with other constants in place of some; what it computes are the same tensors.

        Args:
            constants: The new constant for each that is replaced.
        """
        operators = [
            Operator(each.kind, [constants.get(t, t) for t in each.inputs], each.outputs, each.options)
            for each in self.graph.operators
        ]
        return Int8Form(FloatGraph(self.graph.name, self.graph.inputs, self.graph.outputs, operators), self.fixed)


def for_int8(graph: FloatGraph) -> Int8Form:
    """Return a graph of the same outputs in operators that int8 has, but for a softmax at the end.

    Args:
        graph: What `lower` returned. It is not changed.

    Raises:
        InputError: If int8 has no operators for something; the message names it, and what to write instead.

    Example:

    >>> flat = keras_lite.graph.flatten(keras_lite.applications.CARNet18())
    >>> form = for_int8(keras_lite.quantization.lower.lower(flat))
    >>> form.graph.operators[-1].kind
    'FULLY_CONNECTED'
    """
    state = _State(graph)
    for operator in graph.operators:
        inputs = [state.made.setdefault(tensor, tensor) for tensor in operator.inputs]
        state.made[operator.output] = _LOWERINGS.get(operator.kind, _refuse)(state, operator, inputs)
    outputs: list[Tensor] = []
    for tensor in graph.outputs:
        maker = state.view.producer(tensor)
        outputs.append(state.made[maker.inputs[0] if maker.kind in _DROPPED_AT_END else tensor])
        if outputs[-1] in (*graph.inputs, *outputs[:-1]):
            outputs[-1] = state.build.reshape(outputs[-1], tensor.shape, tensor.name)
        elif len(graph.outputs) > 1:
            outputs[-1].name = tensor.name  # that of a softmax, which is left out
    operators = [in_float32(operator) for operator in simplify(state.build.operators, outputs)]
    made = {tensor for operator in operators for tensor in operator.outputs}
    fixed = {tensor: ends for tensor, ends in state.fixed.items() if tensor in made}
    return Int8Form(FloatGraph(graph.name, list(graph.inputs), outputs, operators), fixed)


class _State:
    """What is known while a graph is walked."""

    def __init__(self, graph: FloatGraph) -> None:
        self.build = Builder()
        self.made: dict[Tensor, Tensor] = {}
        self.fixed: dict[Tensor, tuple[float, float]] = {}
        self.view = Editor(graph.operators, graph.outputs)

    def copy(self, operator: Operator, inputs: list[Tensor], name: str | None = None, **changes) -> Tensor:
        """Add an operator of the same kind with other inputs or options."""
        kind, options = operator.kind, {**operator.options, **changes}
        return self.build.add(kind, inputs, operator.output.shape, name or operator.name, **options)

    def channelwise(self, x: Tensor, scale: np.ndarray, offset: np.ndarray, name: str) -> Tensor:
        """Add a 1x1 depthwise convolution."""
        channels = x.shape[-1]
        kernel = np.broadcast_to(scale, channels).reshape(1, 1, 1, channels)
        bias = np.broadcast_to(offset, channels)
        return self.depthwise(x, kernel, bias, x.shape, name)

    def depthwise(
        self, x: Tensor, kernel: np.ndarray, bias: np.ndarray, shape: tuple[int, ...], name: str, **geometry
    ) -> Tensor:
        """Add a depthwise convolution."""
        options = {"padding": "VALID", "stride_h": 1, "stride_w": 1, "dilation_h_factor": 1, "dilation_w_factor": 1}
        options |= {"depth_multiplier": 1, "fused_activation_function": "NONE", **geometry}
        inputs = [x, constant(f"{name}/kernel", kernel), constant(f"{name}/bias", bias)]
        return self.build.add("DEPTHWISE_CONV_2D", inputs, shape, name, **options)


_Lowering = Callable[[_State, Operator, list[Tensor]], Tensor]


def _refuse(state: _State, operator: Operator, inputs: list[Tensor]) -> Tensor:
    instead = _INSTEAD.get(operator.kind, "write it with layers that have an int8 operator")
    raise InputError(
        f"Expected operators that XNNPACK has in int8, received {operator.kind} for layer {operator.name}; {instead}."
    )


def _keep(state: _State, operator: Operator, inputs: list[Tensor]) -> Tensor:
    return state.copy(operator, inputs)


def _weighted(state: _State, operator: Operator, inputs: list[Tensor]) -> Tensor:
    """Keep it; with the sixth of relu6 behind it, a gate, it takes that in and is cut off by its range."""
    behind = state.view.only_consumer(operator.output)
    if not _is_gate(operator, behind):
        return state.copy(operator, inputs)
    x, kernel, bias = inputs
    kernel, bias = (constant(each.name, each.data / 6.0) for each in (kernel, bias))
    gate = state.copy(operator, [x, kernel, bias], behind.name, fused_activation_function="NONE")
    state.fixed[gate] = (0.0, 1.0)
    return gate


def _is_gate(operator: Operator, behind: Operator | None) -> bool:
    """Return whether an operator with weights and the product behind it are relu6(x) / 6."""
    number = None if behind is None or behind.kind != "MUL" else number_of(behind)
    cut = operator.options.get("fused_activation_function") == "RELU6"
    return operator.kind in WEIGHTED and cut and number is not None and abs(number - 1.0 / 6.0) < 1e-6


def _product(state: _State, operator: Operator, inputs: list[Tensor]) -> Tensor:
    x, other = inputs
    maker = state.view.producer(operator.inputs[0])
    if maker is not None and _is_gate(maker, operator) and state.view.only_consumer(maker.output) is operator:
        return x  # the convolution took it in
    if _by_channel(operator):
        return _with_activation(state, operator, state.channelwise(x, other.data, np.zeros(1), _inner(operator)))
    return state.copy(operator, inputs)


def _sum(state: _State, operator: Operator, inputs: list[Tensor]) -> Tensor:
    x, other = inputs
    maker = state.view.producer(operator.inputs[0])
    after_product = maker is not None and maker.kind == "MUL" and _by_channel(maker)
    # Behind a product that becomes a convolution it goes into that one's bias.
    if _by_channel(operator) and not after_product:
        return _with_activation(state, operator, state.channelwise(x, np.ones(1), other.data, _inner(operator)))
    return state.copy(operator, inputs)


def _by_channel(operator: Operator) -> bool:
    """Return whether an operator takes a number for each channel of an image."""
    _, other = operator.inputs
    channels = operator.output.shape[-1]
    image = len(operator.output.shape) == 4 and operator.inputs[0].shape == operator.output.shape
    return other.is_constant and image and channels > 1 and other.size == channels == other.shape[-1]


def _inner(operator: Operator) -> str:
    plain = operator.options["fused_activation_function"] == "NONE"
    return operator.name if plain else f"{operator.name}/linear"


def _with_activation(state: _State, operator: Operator, x: Tensor) -> Tensor:
    """Add the activation that an operator had taken in, which `simplify` gives to the new one."""
    kind = operator.options["fused_activation_function"]
    return x if kind == "NONE" else state.build.add(kind, [x], x.shape, operator.name)


def _rectifier(state: _State, operator: Operator, inputs: list[Tensor]) -> Tensor:
    """A ReLU that no operator took in."""
    [x] = inputs
    kind = "RELU6" if operator.kind == "RELU6" else "RELU"
    maker = state.view.producer(operator.inputs[0])
    taken = maker is not None and maker.options.get("fused_activation_function") == "NONE"
    if taken and maker.kind in FUSING and state.view.only_consumer(maker.output) is operator:
        linear = x  # RELU_0_TO_1, which is a ReLU here
    elif len(x.shape) == 4:
        linear = state.channelwise(x, np.ones(1), np.zeros(1), f"{operator.name}/linear")
    else:
        linear = state.build.arithmetic("ADD", x, 0.0, f"{operator.name}/linear")
    y = state.build.add(kind, [linear], x.shape, operator.name)
    if operator.kind == "RELU_0_TO_1":
        state.fixed[y] = (0.0, 1.0)
    return y


def _smaller(state: _State, operator: Operator, inputs: list[Tensor]) -> Tensor:
    """The highest value of a ReLU is where its range ends."""
    highest, maker = number_of(operator), state.view.producer(operator.inputs[0])
    if highest is None or highest <= 0.0 or maker is None:
        return _refuse(state, operator, inputs)
    x = inputs[0]
    rectified = maker.kind == "RELU" or maker.options.get("fused_activation_function") == "RELU"
    if rectified and state.view.only_consumer(maker.output) is operator:
        state.fixed[x] = (0.0, highest)
        return x
    if maker.kind != "LEAKY_RELU" or len(x.shape) != 4:
        return _refuse(state, operator, inputs)
    # m - relu(m - x) is the smaller of x and m.
    high = np.full(1, highest)
    below = state.channelwise(x, -np.ones(1), high, f"{operator.name}/below")
    below = state.build.add("RELU", [below], x.shape, f"{operator.name}/missing")
    return state.channelwise(below, -np.ones(1), high, operator.name)


def _hard_swish(state: _State, operator: Operator, inputs: list[Tensor]) -> Tensor:
    name = operator.name
    y = state.build.arithmetic("MUL", inputs[0], 1.0 / _ROOT, f"{name}/root")
    shifted = state.build.arithmetic("ADD", y, 3.0 / _ROOT, f"{name}/shifted")
    cut = state.build.add("RELU", [shifted], y.shape, f"{name}/gate")
    # The whole-number form ends at sqrt(6) by its range; in floats it must, too.
    state.fixed[cut] = (0.0, _ROOT)
    return state.build.arithmetic("MUL", y, cut, name)


def _largest(state: _State, operator: Operator, inputs: list[Tensor]) -> Tensor:
    _, height, width, channels = inputs[0].shape
    pooled = state.build.add(
        "MAX_POOL_2D", inputs[:1], (1, 1, 1, channels), f"{operator.name}/window", padding="VALID", stride_h=1,
        stride_w=1, filter_height=height, filter_width=width, fused_activation_function="NONE",
    )  # fmt: skip
    return state.build.reshape(pooled, operator.output.shape, operator.name)


def _max_pool(state: _State, operator: Operator, inputs: list[Tensor]) -> Tensor:
    if _window(operator) != (1, 1) or _strides(operator) == (1, 1):
        return state.copy(operator, inputs)
    return _box_filter(state, operator, inputs[0], operator.name)


def _average_pool(state: _State, operator: Operator, inputs: list[Tensor]) -> Tensor:
    [x] = inputs
    size, window = x.shape[1:3], _window(operator)
    if operator.options["padding"] == "VALID" and window == size:
        return state.build.add("MEAN", [x, Tensor(f"{operator.name}/axes", (2,), np.array([1, 2], "int32"))],
                               operator.output.shape, operator.name, keep_dims=True)  # fmt: skip
    share = math.prod(window) / _pixels_in_windows(operator, size)
    if (share == 1.0).all():
        return _box_filter(state, operator, x, operator.name)
    summed = _box_filter(state, operator, x, f"{operator.name}/sum")
    return state.build.arithmetic("MUL", summed, share[None, :, :, None], operator.name)


def _box_filter(state: _State, operator: Operator, x: Tensor, name: str) -> Tensor:
    """Add the mean over windows, zeros beyond the edge."""
    channels, window = x.shape[-1], _window(operator)
    kernel = np.full((1, *window, channels), 1.0 / math.prod(window))
    stride_h, stride_w = _strides(operator)
    geometry = {"padding": operator.options["padding"], "stride_h": stride_h, "stride_w": stride_w}
    return state.depthwise(x, kernel, np.zeros(channels), operator.output.shape, name, **geometry)


def _window(operator: Operator) -> tuple[int, int]:
    return operator.options["filter_height"], operator.options["filter_width"]


def _strides(operator: Operator) -> tuple[int, int]:
    return operator.options["stride_h"], operator.options["stride_w"]


def _pixels_in_windows(operator: Operator, size: tuple[int, int]) -> np.ndarray:
    """Return how many pixels of the image lie in each window of a pooling with `"SAME"`."""
    counts = []
    for length, window, stride in zip(size, _window(operator), _strides(operator), strict=True):
        places = -(-length // stride) if operator.options["padding"] == "SAME" else (length - window) // stride + 1
        before = max(0, (places - 1) * stride + window - length) // 2 if operator.options["padding"] == "SAME" else 0
        starts = np.arange(places) * stride - before
        counts.append(np.minimum(starts + window, length) - np.maximum(starts, 0))
    return counts[0][:, None] * counts[1][None, :]


def _at_end(state: _State, operator: Operator, inputs: list[Tensor]) -> Tensor:
    if state.view.is_end(operator.output):
        return inputs[0]
    return _keep(state, operator, inputs) if operator.kind == "SOFTMAX" else _refuse(state, operator, inputs)


_LOWERINGS: dict[str, _Lowering] = {
    **dict.fromkeys(_KEPT, _keep),
    **dict.fromkeys(WEIGHTED, _weighted),
    **dict.fromkeys(_DROPPED_AT_END, _at_end),
    "ADD": _sum,
    "AVERAGE_POOL_2D": _average_pool,
    "HARD_SWISH": _hard_swish,
    "MAX_POOL_2D": _max_pool,
    "MINIMUM": _smaller,
    "MUL": _product,
    "REDUCE_MAX": _largest,
    "RELU": _rectifier,
    "RELU6": _rectifier,
    "RELU_0_TO_1": _rectifier,
}
