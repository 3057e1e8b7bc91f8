"""Layers along one axis, as operators on images of one row, and what stands between them likewise."""

from collections.abc import Callable, Sequence

import keras

from keras_lite.litert import Operator, Tensor
from keras_lite.quantization.lower import convolutions, shapes
from keras_lite.quantization.lower.builder import Builder, integers

_Lowering = Callable[[Builder, keras.layers.Layer, list[Tensor], tuple[int, ...]], Tensor]

# Kinds that compute each number by itself, or along the last axis: with one more axis behind the batch they do the
# same, as axes are counted from the end where shapes are broadcast.
_ALIKE = frozenset(
    (
        "ABS", "ADD", "CAST", "DIV", "ELU", "EXP", "FULLY_CONNECTED", "GELU", "GREATER", "HARD_SWISH", "LEAKY_RELU",
        "LOG", "LOGISTIC", "LOG_SOFTMAX", "MAXIMUM", "MINIMUM", "MUL", "NEG", "PRELU", "RELU", "RELU6", "RELU_0_TO_1",
        "RELU_N1_TO_1", "RSQRT", "SOFTMAX", "SQRT", "SQUARE", "SQUARED_DIFFERENCE", "SUB", "TANH",
    )
)  # fmt: skip
_REDUCING = ("MEAN", "REDUCE_MAX", "REDUCE_MIN", "SUM")


def on_row(function: _Lowering) -> _Lowering:
    """Return the lowering of a layer along one axis from that of its twin for images."""

    def lower(build: Builder, layer: keras.layers.Layer, inputs: list[Tensor], shape: tuple[int, ...]) -> Tensor:
        x = _row_of(build, inputs[0])
        if getattr(layer, "padding", None) == "causal":
            before = (layer.kernel_size[0] - 1) * layer.dilation_rate[0]
            padded = (1, 1, x.shape[2] + before, x.shape[3])
            widths = integers(f"{build.name}/widths", [(0, 0), (0, 0), (before, 0), (0, 0)])
            x = build.add("PAD", [x, widths], padded, f"{build.name}/padded")
        y = function(build, layer, [x], (1, 1, *shape[1:]))
        return build.reshape(y, shape, build.name)

    return lower


def conv1d_transpose(build: Builder, layer: keras.layers.Layer, inputs: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    """Lower `Conv1DTranspose`."""
    return on_row(convolutions.conv2d_transpose)(build, layer, inputs, shape)


def zero_padding(build: Builder, layer: keras.layers.Layer, inputs: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    """Lower `ZeroPadding1D`."""
    x, widths = _row_of(build, inputs[0]), [(0, 0), (0, 0), layer.padding, (0, 0)]
    y = build.add("PAD", [x, integers(f"{build.name}/widths", widths)], (1, 1, *shape[1:]), build.name)
    return build.reshape(y, shape, build.name)


def cropping(build: Builder, layer: keras.layers.Layer, inputs: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    """Lower `Cropping1D`."""
    begin = (0, 0, layer.cropping[0], 0)
    return build.reshape(
        build.slice(_row_of(build, inputs[0]), begin, (1, 1, *shape[1:]), build.name), shape, build.name
    )


def up_sampling(build: Builder, layer: keras.layers.Layer, inputs: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    """Lower `UpSampling1D`, which repeats each step."""
    return build.reshape(shapes.resized(build, _row_of(build, inputs[0]), (1, shape[1]), "nearest"), shape, build.name)


def repeat_vector(build: Builder, layer: keras.layers.Layer, inputs: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    """Lower `RepeatVector`."""
    step = build.reshape(inputs[0], (1, 1, shape[2]), f"{build.name}/step")
    return build.concatenate([step] * shape[1], 1, build.name)


def global_pooling(build: Builder, layer: keras.layers.Layer, inputs: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    """Lower `GlobalAveragePooling1D` and `GlobalMaxPooling1D`."""
    row = (1, 1, *shape[1:]) if layer.keepdims else shape
    return build.reshape(shapes.global_pooling(build, layer, [_row_of(build, inputs[0])], row), shape, build.name)


def _row_of(build: Builder, x: Tensor) -> Tensor:
    return build.reshape(x, (1, *x.shape), f"{build.name}/row")


def in_rows(operators: Sequence[Operator], inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> list[Operator]:
    """Return operators of the same outputs in which what stands between layers along one axis has a row's shape, too.

    What each layer brings to a row and back would part a batch norm from its convolution, and an activation.

    Args:
        operators: The operators, in order.
        inputs: Of the graph.
        outputs: Of the graph.
    """
    if not any(_brings_to_row(each) for each in operators):
        return list(operators)
    rows = _Rows([tensor for tensor in inputs if len(tensor.shape) == 3])
    for operator in operators:
        rows.take(operator)
    for tensor in outputs:
        rows.need(tensor)
        rows.keep(tensor)
    return rows.operators


def _brings_to_row(operator: Operator) -> bool:
    source, target = operator.inputs[0].shape, operator.outputs[0].shape
    return operator.kind == "RESHAPE" and len(source) == 3 and target == (1, *source)


def _brings_back(operator: Operator) -> bool:
    source, target = operator.inputs[0].shape, operator.outputs[0].shape
    return operator.kind == "RESHAPE" and len(target) == 3 and source == (1, *target)


class _Rows:
    """Operators so far, and for each sequence the row that has its numbers."""

    def __init__(self, inputs: list[Tensor]):
        self.operators: list[Operator] = []
        self.inputs = inputs
        self.rows: dict[Tensor, Tensor] = {}
        self.same: dict[Tensor, Tensor] = {}
        self.missing: set[Tensor] = set()

    def take(self, operator: Operator) -> None:
        """Add an operator, on rows where what it takes is one."""
        sources = [self.same.get(tensor, tensor) for tensor in operator.inputs]
        if _brings_to_row(operator):
            if sources[0] not in self.rows:
                self._add(operator, sources, operator.output)
                self.rows[sources[0]] = operator.output
            self.same[operator.output] = self.rows[sources[0]]
        elif _brings_back(operator):
            self._make_row(operator.output, sources[0])
        elif self._goes_on_rows(operator, sources):
            self._on_rows(operator, sources)
        else:
            for tensor in sources:
                self.need(tensor)
            self.operators.append(Operator(operator.kind, sources, operator.outputs, operator.options, operator.layer))

    def need(self, tensor: Tensor) -> None:
        """Have a sequence made of its row, if that is all there is."""
        if tensor in self.missing:
            self.missing.remove(tensor)
            self._make_of(self.rows[tensor], tensor)

    def keep(self, tensor: Tensor) -> None:
        """Have an output made that is the row of a sequence, which is there under another name."""
        if self.same.get(tensor, tensor) is not tensor:
            self._make_of(self.same[tensor], tensor)

    def _make_of(self, row: Tensor, tensor: Tensor) -> None:
        shape = integers(f"{tensor.name}/shape", tensor.shape)
        self.operators.append(Operator("RESHAPE", [row, shape], [tensor]))

    def _make_row(self, tensor: Tensor, row: Tensor) -> None:
        self.rows[tensor] = row
        self.missing.add(tensor)

    def _goes_on_rows(self, operator: Operator, sources: list[Tensor]) -> bool:
        computed = [tensor for tensor in sources if not tensor.is_constant]
        fits = all(len(tensor.shape) == 3 for tensor in computed)
        known = any(tensor in self.rows or tensor in self.inputs for tensor in computed)
        alike = operator.kind in _ALIKE and operator.output.dtype == "float32" and len(operator.output.shape) == 3
        return fits and known and (alike or operator.kind in ("CONCATENATION", *_REDUCING))

    def _on_rows(self, operator: Operator, sources: list[Tensor]) -> None:
        options, constants = dict(operator.options), [tensor for tensor in sources if tensor.is_constant]
        inputs = [self._row(tensor) if not tensor.is_constant else tensor for tensor in sources]
        rank = 3
        if operator.kind == "CONCATENATION":
            options["axis"] = options["axis"] % rank + 1
        if operator.kind in _REDUCING:
            [axes] = constants
            places = sorted(int(axis) % rank + 1 for axis in axes.data.ravel())
            # The one row is among what is reduced, so that the result has the shape that it had.
            places = places if options.get("keep_dims") else [1, *places]
            inputs[1] = integers(axes.name, places)
        if len(operator.output.shape) != rank or (operator.kind in _REDUCING and not options.get("keep_dims")):
            self.operators.append(Operator(operator.kind, inputs, operator.outputs, options, operator.layer))
            return
        row = Tensor(operator.name, (1, *operator.output.shape))
        self.operators.append(Operator(operator.kind, inputs, [row], options, operator.layer))
        self._make_row(operator.output, row)

    def _row(self, tensor: Tensor) -> Tensor:
        if tensor not in self.rows:
            row = Tensor(f"{tensor.name}/row", (1, *tensor.shape))
            shape = integers(f"{row.name}/shape", row.shape)
            self._add(Operator("RESHAPE", [tensor, shape], [row]), [tensor, shape], row)
            self.rows[tensor] = row
        return self.rows[tensor]

    def _add(self, operator: Operator, sources: list[Tensor], output: Tensor) -> None:
        self.need(sources[0])
        self.operators.append(Operator(operator.kind, sources, [output], operator.options, operator.layer))
