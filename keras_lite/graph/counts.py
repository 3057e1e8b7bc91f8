"""Parameters and multiply-accumulates of a model, layer by layer."""

import dataclasses
import inspect
import math
import re

import keras

from keras_lite.errors import InputError, some
from keras_lite.graph.flatten import with_input_shape
from keras_lite.graph.tracing import Trace, TracedCall
from keras_lite.tables import text_table

layers = keras.layers

BETWEEN_ACTIVATIONS = "products between activations"
UNKNOWN = "anything"

_CONVOLUTIONS = (layers.Conv1D, layers.Conv2D, layers.Conv3D)
_DEPTHWISE = (layers.DepthwiseConv1D, layers.DepthwiseConv2D)
_SEPARABLE = (layers.SeparableConv1D, layers.SeparableConv2D)
_TRANSPOSED = (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)
_WITH_KERNEL = (*_CONVOLUTIONS, *_DEPTHWISE, *_SEPARABLE, *_TRANSPOSED, layers.Dense)
_ATTENTION = (layers.MultiHeadAttention, layers.GroupQueryAttention)
# Whose products are between activations alone.
_PRODUCTS = frozenset(
    (
        "Attention", "AdditiveAttention", "StridedAttention", "DotProductAttention", "Dot", "Matmul", "Einsum",
        "Tensordot", "Vdot", "Inner", "Outer", "Kron", "Cross", "Correlate",
    )
)  # fmt: skip
# Layers and operations without multiply-accumulates: by the places where Keras keeps them, with what is none there.
_WITHOUT = re.compile(
    r"keras_lite\.layers\."
    r"|keras\.src\.layers\.(activations|pooling|normalization|regularization|merging|reshaping|preprocessing)\."
    r"|keras\.src\.layers\.core\.(embedding|identity|masking|input_layer)"
    r"|keras\.src\.applications\."  # what scales or drops channels
    r"|keras\.src\.ops\.(numpy|nn|core|math|image|einops)"
)
_NOT_WITHOUT = frozenset(
    (
        "SpectralNormalization", "STFTSpectrogram", "MelSpectrogram", "Conv", "DepthwiseConv", "SeparableConv",
        "ConvTranspose", "GaussianBlur", "CDist", "STFT", "ISTFT", "Map", "Scan", "AssociativeScan", "WhileLoop",
        "ForiLoop", "Cond", "Switch", "VectorizedMap",
    )
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class LayerCounts:
    """The counts of one stock layer.

    Attributes:
        name: The layer's name in the flattened model.
        type: Its class; `"ReLU6"` for a ReLU that ends at 6.
        input_shape: Shape of its first input, without the batch.
        output_shape: Shape of its output, without the batch.
        parameters: Number of trainable parameters, also if the layer is frozen.
        macs: Multiply-accumulates for one image, without bias.
        not_counted: What `macs` leaves out, in words; empty if nothing.
        has_bias: Whether it is a convolution or a dense layer with bias.
    """

    name: str
    type: str
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    parameters: int
    macs: int
    not_counted: str = ""
    has_bias: bool = False


@dataclasses.dataclass(frozen=True)
class Counts:
    """The counts of a model; printing it gives a table.

    Attributes:
        name: The model's name.
        input_shape: Without the batch.
        layers: One `LayerCounts` a stock layer, or operation that is no layer, in order.
        trainable: How many of the parameters are not frozen.
    """

    name: str
    input_shape: tuple[int, ...]
    layers: tuple[LayerCounts, ...]
    trainable: int

    @property
    def parameters(self) -> int:
        """Number of trainable parameters, also of frozen layers; without statistics, such as batch normalization's."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def macs(self) -> int:
        """Multiply-accumulates with the weights of convolutions and dense layers for one image, without bias.

        Products between activations (attention) are not counted; `not_counted` names the layers.
        """
        return sum(layer.macs for layer in self.layers)

    @property
    def not_counted(self) -> tuple[str, ...]:
        """What `macs` leaves out, in words: a text for each type of layer with the first names; empty if nothing."""
        names: dict[tuple[str, str], list[str]] = {}
        for layer in self.layers:
            if layer.not_counted:
                names.setdefault((layer.not_counted, layer.type), []).append(layer.name)
        return tuple(f"{what} in {kind} ({some(list(dict.fromkeys(of)))})" for (what, kind), of in names.items())

    def __str__(self) -> str:
        """Return a table with one line a layer that has parameters, and what is frozen or not counted."""
        rows = [("layer", "type", "output", "parameters", "MACs")]
        rows += [
            (
                x.name,
                x.type,
                " x ".join(map(str, x.output_shape)),
                f"{x.parameters:,}",
                "-" if x.not_counted and not x.macs else f"{x.macs:,}",
            )
            for x in self.layers
            if x.parameters
        ]
        size = " x ".join(map(str, self.input_shape))
        rows.append((self.name, "", f"input {size}", f"{self.parameters:,}", f"{self.macs:,}"))
        lines = [text_table(rows)]
        if self.trainable != self.parameters:
            lines.append(f"trainable: {self.trainable:,} parameters; frozen: {self.parameters - self.trainable:,}")
        if self.not_counted:
            lines.append(f"not counted: {'; '.join(self.not_counted)}")
        return "\n".join(lines)


def count(model: keras.Model, input_shape: tuple[int, int, int] | None = None) -> Counts:
    """Return a model's parameters and multiply-accumulates, layer by layer.

    Args:
        model: Any functional or Sequential Keras 3 model, nested ones too.
        input_shape: `(height, width, channels)` to count for, if the model leaves its input's size open.

    Raises:
        InputError: If the input's size is open and not given.

    Example:

    >>> inputs = keras.Input((8, 8, 3))
    >>> count(keras.Model(inputs, keras.layers.Conv2D(4, 3, use_bias=False)(inputs))).macs
    3888
    """
    trace = Trace(model if input_shape is None else with_input_shape(model, input_shape))
    [shape, *_] = (tuple(tensor.shape[1:]) for tensor in trace.inputs)
    if None in shape:
        raise InputError(f"Expected input_shape, because the input of {model.name} has the open shape {shape}.")
    seen: set[int] = set()
    counted = []
    for call in trace.calls:
        counted.append(_count_call(call, count_parameters=id(call.operation) not in seen))
        seen.add(id(call.operation))
    return Counts(model.name, shape, tuple(counted), _size(model.trainable_variables))


def _count_call(call: TracedCall, count_parameters: bool) -> LayerCounts:
    """Count one use of a layer; a layer that is used twice has its parameters once."""
    operation, kind = call.operation, call.kind
    if isinstance(operation, layers.ReLU) and operation.max_value is not None:
        kind = f"ReLU{operation.max_value:g}"
    parameters = 0
    if count_parameters and isinstance(operation, layers.Layer):
        parameters = _size(_trainable(operation))
    macs, not_counted = _multiply_accumulates(operation, call)
    return LayerCounts(
        name=call.name,
        type=kind,
        input_shape=tuple(call.inputs[0].shape[1:]) if call.inputs else (),
        output_shape=tuple(call.outputs[0].shape[1:]),
        parameters=parameters,
        macs=macs,
        not_counted=not_counted,
        has_bias=isinstance(operation, _WITH_KERNEL) and operation.use_bias,
    )


def _trainable(layer: keras.layers.Layer) -> list[keras.Variable]:
    """Return the variables that would train if the layer were not frozen."""
    if all(each.trainable for each in layer._flatten_layers()):
        return list(layer.trainable_variables)
    before = {each: each.trainable for each in layer._flatten_layers()}
    try:
        layer.trainable = True
        return list(layer.trainable_variables)
    finally:
        for each, trainable in before.items():
            each.trainable = trainable


def _size(variables: list[keras.Variable]) -> int:
    return sum(math.prod(variable.shape) for variable in variables)


def _multiply_accumulates(operation: keras.Operation, call: TracedCall) -> tuple[int, str]:
    """Return the multiply-accumulates with a layer's weights for one image, without bias, and what is not counted.

    Args:
        operation: A layer, or an operation that is none.
        call: The use of it in a model.

    Returns:
        The number, and `""`, `BETWEEN_ACTIVATIONS` or `UNKNOWN` for what it leaves out.
    """
    kind = type(operation).__name__
    if isinstance(operation, (*_WITH_KERNEL, *_ATTENTION, layers.EinsumDense)):
        inputs = [tuple(tensor.shape[1:]) for tensor in call.inputs]
        outputs = tuple(call.outputs[0].shape[1:])
        if any(None in shape for shape in inputs):
            return 0, UNKNOWN
        if isinstance(operation, _ATTENTION):
            return _of_attention(operation, call), BETWEEN_ACTIVATIONS
        if isinstance(operation, layers.EinsumDense):
            return _of_einsum(operation, inputs[0])
        return _with_kernel(operation, math.prod(inputs[0]), math.prod(outputs)), ""
    if kind in _PRODUCTS:
        return 0, BETWEEN_ACTIVATIONS
    is_without = _WITHOUT.match(type(operation).__module__) and kind not in _NOT_WITHOUT
    return 0, "" if is_without else UNKNOWN


def _with_kernel(layer: keras.layers.Layer, inputs: int, outputs: int) -> int:
    """Count a layer of `_WITH_KERNEL`, given how many numbers it takes and gives."""
    if isinstance(layer, layers.Dense):
        return inputs * layer.units
    if isinstance(layer, _SEPARABLE):
        kernels = math.prod(layer.depthwise_kernel.shape) + math.prod(layer.pointwise_kernel.shape)
        return kernels * (outputs // layer.filters)
    kernel = layer.kernel.shape
    if isinstance(layer, _TRANSPOSED):  # each input position meets the whole kernel
        return math.prod(kernel) * (inputs // kernel[-1])
    channels = math.prod(kernel[-2:]) if isinstance(layer, _DEPTHWISE) else layer.filters
    return math.prod(kernel) * (outputs // channels)


def _of_einsum(layer: keras.layers.EinsumDense, input_shape: tuple[int, ...]) -> tuple[int, str]:
    """Count the product of an input and a kernel: each combination of the equation's indices is one."""
    taken, kernel = layer.equation.replace(" ", "").partition("->")[0].split(",")
    front, dots, back = taken.partition("...")
    sizes = dict(zip(kernel, layer.kernel.shape, strict=True))
    shape = (1, *input_shape)  # one image
    if "..." in kernel or len(sizes) != len(kernel):
        return 0, UNKNOWN
    middle = shape[len(front) : len(shape) - len(back)] if dots else ()
    sizes |= dict(zip(front + back, (*shape[: len(front)], *shape[len(shape) - len(back) :]), strict=True))
    return math.prod(sizes.values()) * math.prod(middle), ""


def _of_attention(layer: keras.layers.Layer, call: TracedCall) -> int:
    """Count the dense layers of queries, keys, values and outputs."""
    given = inspect.signature(layer.call).bind(*call.arguments[0], **call.arguments[1]).arguments
    query, value = given["query"], given["value"]
    key = given.get("key")
    positions = {"key": value if key is None else key, "value": value}
    total = 0
    for weight in layer.weights:
        *_, role, name = weight.path.split("/")
        if name == "kernel":
            total += math.prod(weight.shape) * math.prod(positions.get(role, query).shape[1:-1])
    return total
