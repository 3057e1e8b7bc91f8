"""Parameters and multiply-accumulates of a model, layer by layer.

    python -m keras_lite.profiling MODEL
    python -m keras_lite.profiling --all

MODEL is a saved model (.keras or .h5), the name of a network, such as carnet18, or the id of a published row, such as
cifar100_second/ghostnet/ours. With --all comes a table of all published rows, published and exact figures side by side.
"""

import dataclasses
import math
import re
from typing import Any

import keras
from absl import flags

from keras_lite import applications, checkpoints, command_line, published
from keras_lite.checkpoints.keras_files import ENDINGS
from keras_lite.errors import InputError, some
from keras_lite.graph import flatten, with_input_shape
from keras_lite.layer_counts import WITH_KERNEL, multiply_accumulates


@dataclasses.dataclass(frozen=True)
class LayerProfile:
    """The counts of one stock layer.

    Attributes:
        name: The layer's name in the flattened model.
        type: Its class; `"ReLU6"` for a ReLU that ends at 6.
        input_shape: Of its first input, without the batch.
        output_shape: Without the batch.
        parameters: What training adjusts, or would if the layer were not frozen.
        macs: Multiply-accumulates for one image, without bias.
        not_counted: What `macs` leaves out, in words; empty if nothing.
        has_bias: Whether it is a convolution or a dense layer with bias.
        is_seen: Whether the published PyTorch network has a module for it. What it computes by functions, the counter
            thop does not see.
    """

    name: str
    type: str
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    parameters: int
    macs: int
    not_counted: str = ""
    has_bias: bool = False
    is_seen: bool = True


@dataclasses.dataclass(frozen=True)
class Profile:
    """The counts of a model; printing it gives a table.

    Attributes:
        name: The model's name.
        input_shape: Without the batch.
        layers: One `LayerProfile` a stock layer, or operation that is no layer, in order.
        trainable: How many of the parameters are not frozen.
    """

    name: str
    input_shape: tuple[int, ...]
    layers: tuple[LayerProfile, ...]
    trainable: int

    @property
    def parameters(self) -> int:
        """What training adjusts, frozen layers included; no statistics, such as batch normalisation's."""
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

    def flops(self, counter: str) -> int:
        """Return what one of the published counters says.

        Args:
            counter: `"bsconv_profiler"` (CIFAR-100, first set; Stanford Dogs; ImageNet): multiply-accumulates, a
                convolution's biases, twice the inputs of batch norm, the outputs of ReLU (not ReLU6), the inputs of
                pooling. `"thop"` (version 0.0.31; CIFAR-100, second set; VegFru292): multiply-accumulates, a
                convolution's biases, twice the inputs of batch norm, average pooling as far as PyTorch has a module
                for it. `"torchinfo"` (version 1.8, "mult-adds"; 100 sports): kernel and bias of a convolution once for
                each output position, and the parameters of all else.

        Raises:
            InputError: If there is no such counter.
        """
        if counter not in COUNTERS:
            raise InputError(f"Expected counter to be one of {tuple(COUNTERS)}, received {counter!r}.")
        return sum(map(COUNTERS[counter], self.layers))

    def parameters_by(self, counter: str) -> int:
        """Return the number of parameters that one of the published counters finds.

        The counter thop misses what is held by a module that has others in it: the position embeddings of ParC and
        the biases of attention. The others find all.

        Args:
            counter: As in `flops`.
        """
        hidden = ("PositionEmbedding", "StridedAttention") if counter == "thop" else ()
        return sum(layer.parameters for layer in self.layers if layer.type not in hidden)

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
        lines = [format_table(rows)]
        if self.trainable != self.parameters:
            lines.append(f"trainable: {self.trainable:,} parameters; frozen: {self.parameters - self.trainable:,}")
        if self.not_counted:
            lines.append(f"not counted: {'; '.join(self.not_counted)}")
        return "\n".join(lines)


_CONVOLUTIONS = ("Conv2D", "DepthwiseConv2D")
_POOLS = ("MaxPooling2D", "AveragePooling2D", "GlobalMaxPooling2D", "GlobalAveragePooling2D")


def _count_like_bsconv_profiler(layer: LayerProfile) -> int:
    if layer.type == "BatchNormalization":
        return 2 * math.prod(layer.input_shape)
    if layer.type == "ReLU" or layer.type in _POOLS:
        return math.prod(layer.input_shape)
    return layer.macs + layer.has_bias * math.prod(layer.output_shape)


def _count_like_thop(layer: LayerProfile) -> int:
    if layer.type == "BatchNormalization":
        return 2 * math.prod(layer.input_shape)
    if layer.type == "GlobalAveragePooling2D" and layer.is_seen:
        return math.prod(layer.input_shape) + layer.output_shape[-1]
    # The last is a max-pool here and an average pool, of one pixel, in the published network.
    if layer.type == "AveragePooling2D" or layer.name.endswith("_attention_query_subsample"):
        return math.prod(layer.output_shape)
    return layer.macs + (layer.has_bias and layer.type in _CONVOLUTIONS) * math.prod(layer.output_shape)


def _count_like_torchinfo(layer: LayerProfile) -> int:
    if layer.type in _CONVOLUTIONS:
        return layer.parameters * math.prod(layer.output_shape[:-1])
    return layer.parameters


COUNTERS = {
    "bsconv_profiler": _count_like_bsconv_profiler,
    "thop": _count_like_thop,
    "torchinfo": _count_like_torchinfo,
}


def profile(model: keras.Model, input_shape: tuple[int, int, int] | None = None) -> Profile:
    """Count a model's parameters and multiply-accumulates.

    Args:
        model: Any functional or Sequential Keras 3 model, nested ones too.
        input_shape: `(height, width, channels)` to count for, if the model leaves its input's size open.

    Returns:
        A `Profile`.

    Raises:
        InputError: If the input's size is open and not given.

    Example:

    >>> keras_lite.profiling.profile(keras_lite.applications.CARNet18()).macs
    1600720576
    """
    flat = flatten(model) if input_shape is None else with_input_shape(model, input_shape)
    shape = tuple(flat.inputs[0].shape[1:])
    if None in shape:
        raise InputError(f"Expected input_shape, because the input of {model.name} has the open shape {shape}.")
    family = checkpoints.family_of(model)
    unseen = family.unseen_by_thop if family else None
    layers = tuple(
        dataclasses.replace(
            _profile_node(operation, node, count_parameters=(index == 0)),
            is_seen=unseen is None or not re.fullmatch(unseen, operation.name),
        )
        for operation in flat.operations
        if not isinstance(operation, keras.layers.InputLayer)
        for index, node in enumerate(operation._inbound_nodes)
    )
    return Profile(model.name, shape, layers, _count(model.trainable_variables))


def _profile_node(operation: keras.Operation, node: Any, count_parameters: bool) -> LayerProfile:
    """Profile one use of a layer of a flattened model; a layer that is used twice has its parameters once."""
    kind = type(operation).__name__
    if isinstance(operation, keras.layers.ReLU) and operation.max_value is not None:
        kind = f"ReLU{operation.max_value:g}"
    parameters = 0
    if count_parameters and isinstance(operation, keras.layers.Layer):
        operation.trainable = True  # the flattened model is a copy
        parameters = _count(operation.trainable_variables)
    macs, not_counted = multiply_accumulates(operation, node)
    return LayerProfile(
        name=operation.name,
        type=kind,
        input_shape=tuple(node.input_tensors[0].shape[1:]) if node.input_tensors else (),
        output_shape=tuple(node.outputs[0].shape[1:]),
        parameters=parameters,
        macs=macs,
        not_counted=not_counted,
        has_bias=isinstance(operation, WITH_KERNEL) and operation.use_bias,
    )


def _count(variables: list[keras.Variable]) -> int:
    return sum(math.prod(variable.shape) for variable in variables)


def format_table(rows: list[tuple[str, ...]]) -> str:
    """Align rows of text in columns: the first row is the head; columns of numbers are right-aligned."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    right = [all(row[i][:1].isdigit() or row[i] in ("", "-") for row in rows[1:]) for i in range(len(widths))]
    lines = [
        "  ".join(
            cell.rjust(width) if is_right else cell.ljust(width)
            for cell, width, is_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in rows
    ]
    lines.insert(1, "-" * max(map(len, lines)))
    return "\n".join(lines)


def published_table() -> str:
    """Return a table of all published rows: each figure as printed, and beside it the exact one of our network."""
    head = ("printed parameters", "exact parameters", "printed FLOPs", "exact FLOPs", "counter", "MACs", "accuracy")
    lines = [("row", *head)]
    profiles = {}
    rows = published.rows()
    progress = keras.utils.Progbar(len(rows))
    for row in rows:
        if row.network not in profiles:
            profiles[row.network] = profile(row.build())
        found = profiles[row.network]
        lines.append(
            (
                row.id,
                _printed(row.published["params"]),
                f"{found.parameters:,}",
                _printed(row.published["flops"]),
                f"{found.flops(row.counter):,}" if row.counter else "-",
                row.counter or "-",
                f"{found.macs:,}",
                f"{row.published['accuracy']:.2f}%",
            )
        )
        progress.add(1)
    remarks = [f"{row.id}: {remark}" for row in rows for remark in row.remarks]
    return "\n".join([format_table(lines), "", *remarks])


def _printed(figure: float | None) -> str:
    return "-" if figure is None else f"{figure:,.0f}"


FLAGS = command_line.new_flags()
flags.DEFINE_integer("image_size", None, "Height and width to count for, in pixels.", 1, flag_values=FLAGS)
flags.DEFINE_bool("all", False, "Print a table of all published rows.", flag_values=FLAGS)


def main(values: flags.FlagValues, positional: list[str]) -> None:
    """Print the table of one model, or of all published rows."""
    if values.all:
        if positional or values.image_size is not None:
            raise InputError("Expected --all alone, received it with a MODEL or --image_size.")
        print(published_table())
        return
    if len(positional) != 1:
        raise InputError(f"Expected one MODEL, received {len(positional)} (--help says more).")
    name = positional[0]
    shape = None if values.image_size is None else (values.image_size, values.image_size, 3)
    if name.endswith(ENDINGS):
        model = checkpoints.load_model(name)
    elif "/" in name:
        model = published.get(name).build(**({} if shape is None else {"input_shape": shape}))
    else:
        model = applications.create(name, **({} if shape is None else {"input_shape": shape}))
    result = profile(model, shape)
    print(result)
    for counter in COUNTERS:
        print(f"as {counter} counts: {result.flops(counter):,} FLOPs, {result.parameters_by(counter):,} parameters")


def cli() -> None:
    """Run the command-line tool."""
    command_line.run(main, FLAGS, __doc__)


if __name__ == "__main__":
    cli()
