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
- A layer that int8 has no operators for may stay as it is, in floats (see `keras_lite.quantization.lower.float_parts`).
"""

import dataclasses
import math
from collections.abc import Callable, Collection, Mapping

import numpy as np

from keras_lite.errors import InputError
from keras_lite.litert import FloatGraph, Operator, Tensor
from keras_lite.quantization.lower.builder import constant
from keras_lite.quantization.lower.float_parts import is_opaque, opaque, part_of, plain
from keras_lite.quantization.lower.int8.channelwise import along_axis, channel_axis
from keras_lite.quantization.lower.int8.functions import FUNCTIONS, clipped
from keras_lite.quantization.lower.int8.state import NotInInt8Error, State
from keras_lite.quantization.lower.lowering import in_float32
from keras_lite.quantization.lower.simplifying.folding import WEIGHTED, number_of
from keras_lite.quantization.lower.simplifying.simplify import FUSING, simplify

_ROOT = math.sqrt(6.0)
_DROPPED_AT_END = ("L2_NORMALIZATION", "LOG_SOFTMAX", "SOFTMAX")
_KEPT = (
    *WEIGHTED, "ADD", "BATCH_MATMUL", "CONCATENATION", "DEPTH_TO_SPACE", "EXP", "GATHER", "GELU", "LEAKY_RELU", "LOG",
    "LOGISTIC", "MEAN", "MIRROR_PAD", "MUL", "PAD", "REDUCE_MIN", "RESHAPE", "RESIZE_BILINEAR",
    "RESIZE_NEAREST_NEIGHBOR", "REVERSE_V2", "SLICE", "SOFTMAX", "SPACE_TO_DEPTH", "STRIDED_SLICE", "SUB", "SUM",
    "TANH", "TRANSPOSE",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Int8Form:
    """A float graph whose operators have int8 ones, but for those of layers that stay in floats.

    Args:
        graph: The graph.
        fixed: The ranges of tensors that are cut off there, lowest and highest value.
        floats: What the operators make that stay in floats.
    """

    graph: FloatGraph
    fixed: dict[Tensor, tuple[float, float]]
    floats: frozenset[Tensor] = frozenset()

    @property
    def whole(self) -> list[Operator]:
        """The operators that have int8 ones."""
        return [operator for operator in self.graph.operators if operator.output not in self.floats]

    def with_constants(self, constants: Mapping[Tensor, Tensor]) -> "Int8Form":
        """Return one with other constants in place of some; what it computes are the same tensors.

        Args:
            constants: The new constant for each that is replaced.
        """
        operators = [
            dataclasses.replace(each, inputs=[constants.get(tensor, tensor) for tensor in each.inputs])
            for each in self.graph.operators
        ]
        return dataclasses.replace(self, graph=dataclasses.replace(self.graph, operators=operators))


def for_int8(graph: FloatGraph, allow_float: bool = False) -> Int8Form:
    """Return a graph of the same outputs in operators that int8 has, but for a softmax at the end.

    Args:
        graph: What `lower` returned. It is not changed.
        allow_float: Whether layers that int8 has no operators for stay as they are, in floats. What multiplies by
            weights is int8 in any case.

    Raises:
        InputError: If int8 has no operators for a layer, and `allow_float` is False; the message names the layer and
            its type, and says why and what to write instead.

    Example:

    >>> flat = keras_lite.graph.flatten(keras_lite.applications.CARNet18())
    >>> form = for_int8(keras_lite.quantization.lower.lower(flat))
    >>> form.graph.operators[-1].kind
    'FULLY_CONNECTED'
    """
    floats: set[Tensor] = set()
    while (lowered := _lowered(graph, floats, allow_float))[1]:
        floats = part_of(graph, lowered[1], floats)
    state, _ = lowered
    outputs: list[Tensor] = []
    for tensor in graph.outputs:
        maker = state.view.producer(tensor)
        outputs.append(state.made[maker.inputs[0] if maker.kind in _DROPPED_AT_END else tensor])
        if outputs[-1] in (*graph.inputs, *outputs[:-1]):
            outputs[-1] = state.build.reshape(outputs[-1], tensor.shape, tensor.name)
        elif len(graph.outputs) > 1:
            outputs[-1].name = tensor.name  # that of a softmax, which is left out
    operators = [in_float32(operator) for operator in simplify(state.build.operators, outputs)]
    if not operators:
        raise InputError(
            f"Expected a model that computes more than a softmax in int8, received {graph.name}: a softmax at the "
            "end is left out; write the layers before it into the model."
        )
    made = {tensor for operator in operators for tensor in operator.outputs}
    fixed = {tensor: ends for tensor, ends in state.fixed.items() if tensor in made}
    kept = frozenset(operator.output for operator in operators if is_opaque(operator))
    return Int8Form(FloatGraph(graph.name, list(graph.inputs), outputs, list(map(plain, operators))), fixed, kept)


def _lowered(graph: FloatGraph, floats: Collection[Tensor], allow_float: bool) -> tuple[State, list[Operator]]:
    """Return what becomes of a graph, of which a part stays in floats, and operators that int8 has not."""
    operators = [opaque(each) if each.output in floats else each for each in graph.operators]
    state, refused = State(dataclasses.replace(graph, operators=operators)), []
    for operator in operators:
        inputs = [state.made.setdefault(tensor, tensor) for tensor in operator.inputs]
        state.build.layer = operator.layer
        lowering = _keep if is_opaque(operator) else _LOWERINGS.get(operator.kind, _refuse)
        try:
            state.check_layer(operator)
            state.made[operator.output] = lowering(state, operator, inputs)
        except NotInInt8Error:
            if not allow_float:
                raise
            refused.append(operator)
            state.made[operator.output] = state.copy(operator, inputs)
    return state, refused


_Lowering = Callable[[State, Operator, list[Tensor]], Tensor]


def _refuse(state: State, operator: Operator, inputs: list[Tensor]) -> Tensor:
    raise state.refusal(operator)


def _keep(state: State, operator: Operator, inputs: list[Tensor]) -> Tensor:
    return state.copy(operator, inputs)


def _weighted(state: State, operator: Operator, inputs: list[Tensor]) -> Tensor:
    """Keep it; with the sixth of relu6 behind it, a gate, it takes that in and is cut off by its range."""
    behind = state.view.only_consumer(operator.output)
    if not _is_gate(operator, behind):
        return state.copy(operator, inputs)
    kernel, bias = (constant(each.name, each.data / 6.0) for each in (operator.kernel, operator.bias))
    x = state.made.get(operator.source, operator.source)
    gate = state.copy(
        operator, operator.weighted_inputs(x, kernel, bias), behind.name, fused_activation_function="NONE"
    )
    state.fixed[gate] = (0.0, 1.0)
    return gate


def _is_gate(operator: Operator, behind: Operator | None) -> bool:
    """Return whether an operator with weights and the product behind it are relu6(x) / 6."""
    number = None if behind is None or behind.kind != "MUL" else number_of(behind)
    cut = operator.options.get("fused_activation_function") == "RELU6"
    return operator.kind in WEIGHTED and cut and number is not None and abs(number - 1.0 / 6.0) < 1e-6


def _product(state: State, operator: Operator, inputs: list[Tensor]) -> Tensor:
    x, other = inputs
    maker = state.view.producer(operator.inputs[0])
    if maker is not None and _is_gate(maker, operator) and state.view.only_consumer(maker.output) is operator:
        return x  # the convolution took it in
    if _by_channel(operator):
        return _with_activation(state, operator, state.channelwise(x, other.data, np.zeros(1), _inner(operator)))
    if channel_axis(operator) is None:
        return state.copy(operator, inputs)
    behind = state.view.only_consumer(operator.output)
    fits = behind is not None and behind.kind == "ADD" and channel_axis(behind) == channel_axis(operator)
    if not fits or operator.options["fused_activation_function"] != "NONE":
        return along_axis(state, operator, x, other.data, np.zeros(1))
    state.taken_in.add(behind)
    return along_axis(state, behind, x, other.data, behind.inputs[1].data)


def _sum(state: State, operator: Operator, inputs: list[Tensor]) -> Tensor:
    x, other = inputs
    maker = state.view.producer(operator.inputs[0])
    after_product = maker is not None and maker.kind == "MUL" and _by_channel(maker)
    # Behind a product that becomes a convolution it goes into that one's bias.
    if _by_channel(operator) and not after_product:
        return _with_activation(state, operator, state.channelwise(x, np.ones(1), other.data, _inner(operator)))
    if operator in state.taken_in:
        return x
    if channel_axis(operator) is None or _by_channel(operator):
        return state.copy(operator, inputs)
    return along_axis(state, operator, x, np.ones(1), other.data)


def _by_channel(operator: Operator) -> bool:
    """Return whether an operator takes a number for each channel of an image."""
    _, other = operator.inputs
    channels = operator.output.shape[-1]
    image = len(operator.output.shape) == 4 and operator.inputs[0].shape == operator.output.shape
    return other.is_constant and image and channels > 1 and other.size == channels == other.shape[-1]


def _inner(operator: Operator) -> str:
    plain = operator.options["fused_activation_function"] == "NONE"
    return operator.name if plain else f"{operator.name}/linear"


def _with_activation(state: State, operator: Operator, x: Tensor) -> Tensor:
    """Add the activation that an operator had taken in, which `simplify` gives to the new one."""
    kind = operator.options["fused_activation_function"]
    return x if kind == "NONE" else state.build.add(kind, [x], x.shape, operator.name)


def _rectifier(state: State, operator: Operator, inputs: list[Tensor]) -> Tensor:
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


def _smaller(state: State, operator: Operator, inputs: list[Tensor]) -> Tensor:
    """The highest value of a ReLU is where its range ends."""
    highest, maker = number_of(operator), state.view.producer(operator.inputs[0])
    if highest is None or highest <= 0.0 or maker is None:
        return FUNCTIONS["MINIMUM"](state, operator, inputs)
    x = inputs[0]
    rectified = maker.kind == "RELU" or maker.options.get("fused_activation_function") == "RELU"
    if rectified and state.view.only_consumer(maker.output) is operator:
        state.fixed[x] = (0.0, highest)
        return x
    if maker.kind != "LEAKY_RELU" or len(x.shape) != 4:
        return FUNCTIONS["MINIMUM"](state, operator, inputs)
    # m - relu(m - x) is the smaller of x and m.
    high = np.full(1, highest)
    below = state.channelwise(x, -np.ones(1), high, f"{operator.name}/below")
    below = state.build.add("RELU", [below], x.shape, f"{operator.name}/missing")
    return state.channelwise(below, -np.ones(1), high, operator.name)


def _hard_swish(state: State, operator: Operator, inputs: list[Tensor]) -> Tensor:
    name = operator.name
    y = state.build.arithmetic("MUL", inputs[0], 1.0 / _ROOT, f"{name}/root")
    shifted = state.build.arithmetic("ADD", y, 3.0 / _ROOT, f"{name}/shifted")
    cut = state.build.add("RELU", [shifted], y.shape, f"{name}/gate")
    # The whole-number form ends at sqrt(6) by its range; in floats it must, too.
    state.fixed[cut] = (0.0, _ROOT)
    return state.build.arithmetic("MUL", y, cut, name)


def _largest(state: State, operator: Operator, inputs: list[Tensor]) -> Tensor:
    if len(inputs[0].shape) != 4 or sorted(inputs[1].data.tolist()) != [1, 2]:
        return state.copy(operator, inputs)
    _, height, width, channels = inputs[0].shape
    pooled = state.build.add(
        "MAX_POOL_2D", inputs[:1], (1, 1, 1, channels), f"{operator.name}/window", padding="VALID", stride_h=1,
        stride_w=1, filter_height=height, filter_width=width, fused_activation_function="NONE",
    )  # fmt: skip
    return state.build.reshape(pooled, operator.output.shape, operator.name)


def _max_pool(state: State, operator: Operator, inputs: list[Tensor]) -> Tensor:
    if _window(operator) != (1, 1) or _strides(operator) == (1, 1):
        return state.copy(operator, inputs)
    return _box_filter(state, operator, inputs[0], operator.name)


def _average_pool(state: State, operator: Operator, inputs: list[Tensor]) -> Tensor:
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


def _box_filter(state: State, operator: Operator, x: Tensor, name: str) -> Tensor:
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


def _at_end(state: State, operator: Operator, inputs: list[Tensor]) -> Tensor:
    if state.view.is_end(operator.output):
        return inputs[0]
    return _keep(state, operator, inputs) if operator.kind == "SOFTMAX" else _refuse(state, operator, inputs)


_LOWERINGS: dict[str, _Lowering] = {
    **dict.fromkeys(_KEPT, _keep),
    **dict.fromkeys(WEIGHTED, _weighted),
    **dict.fromkeys(_DROPPED_AT_END, _at_end),
    **FUNCTIONS,
    "ADD": _sum,
    "AVERAGE_POOL_2D": _average_pool,
    "HARD_SWISH": _hard_swish,
    "MAX_POOL_2D": _max_pool,
    "MINIMUM": _smaller,
    "MUL": _product,
    "RELU_N1_TO_1": clipped,
    "REDUCE_MAX": _largest,
    "RELU": _rectifier,
    "RELU6": _rectifier,
    "RELU_0_TO_1": _rectifier,
}
