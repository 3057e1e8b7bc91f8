"""Parameters and multiply-accumulates of a model, layer by layer."""

import dataclasses
import math
import re
from typing import Any

import keras

from keras_lite import checkpoints
from keras_lite.errors import InputError, some
from keras_lite.graph import flatten, with_input_shape
from keras_lite.layer_counts import WITH_KERNEL, multiply_accumulates
from keras_lite.tables import text_table


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
        lines = [text_table(rows)]
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
    unseen = getattr(checkpoints.family_of(model), "UNSEEN_BY_THOP", None)
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
