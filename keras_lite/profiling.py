"""Parameters and multiply-accumulates of a model, layer by layer.

    python -m keras_lite.profiling MODEL

MODEL is a saved model (.keras) or the name of a network, such as carnet18.
"""

import dataclasses
import math

import keras
from absl import flags

from keras_lite import applications, checkpoints, command_line
from keras_lite.errors import InputError
from keras_lite.graph import flatten

COUNTERS = ("torchinfo",)


@dataclasses.dataclass(frozen=True)
class LayerProfile:
    """The counts of one stock layer.

    Attributes:
        name: The layer's name in the flattened model.
        type: Its class.
        output_shape: Without the batch.
        parameters: Trainable parameters.
        macs: Multiply-accumulates for one image, without bias.
    """

    name: str
    type: str
    output_shape: tuple[int, ...]
    parameters: int
    macs: int


@dataclasses.dataclass(frozen=True)
class Profile:
    """The counts of a model; printing it gives a table.

    Attributes:
        name: The model's name.
        input_shape: Without the batch.
        layers: One `LayerProfile` a stock layer, in order.
    """

    name: str
    input_shape: tuple[int, ...]
    layers: tuple[LayerProfile, ...]

    @property
    def parameters(self) -> int:
        """Trainable parameters."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of convolutions and dense layers for one image, without bias.

        Products between activations (attention) are not counted.
        """
        return sum(layer.macs for layer in self.layers)

    def flops(self, counter: str = "torchinfo") -> int:
        """Return what one of the published counters would say.

        Args:
            counter: `"torchinfo"` (version 1.8, "mult-adds", as in CARNet's table): a convolution counts its kernel
                and bias once for each output position, every other layer its parameters.

        Raises:
            InputError: If there is no such counter.
        """
        if counter not in COUNTERS:
            raise InputError(f"Expected counter to be one of {COUNTERS}, received {counter!r}.")
        return sum(
            layer.parameters * math.prod(layer.output_shape[:-1]) if layer.type in _CONVOLUTIONS else layer.parameters
            for layer in self.layers
        )

    def __str__(self) -> str:
        """Return a table with one line a layer that has parameters."""
        rows = [("layer", "type", "output", "parameters", "MACs")]
        rows += [
            (x.name, x.type, " x ".join(map(str, x.output_shape)), f"{x.parameters:,}", f"{x.macs:,}")
            for x in self.layers
            if x.parameters
        ]
        size = " x ".join(map(str, self.input_shape))
        rows.append((self.name, "", f"input {size}", f"{self.parameters:,}", f"{self.macs:,}"))
        return format_table(rows)


_CONVOLUTIONS = ("Conv2D", "DepthwiseConv2D")


def profile(model: keras.Model, input_shape: tuple[int, int, int] | None = None) -> Profile:
    """Count a model's parameters and multiply-accumulates.

    Args:
        model: A functional or Sequential Keras model.
        input_shape: `(height, width, channels)` to count for, if the model leaves its input's size open.

    Returns:
        A `Profile`.

    Raises:
        InputError: If the input's size is open and not given.

    Example:

    >>> keras_lite.profiling.profile(keras_lite.applications.CARNet18()).macs
    1600720576
    """
    flat = flatten(model)
    if input_shape is not None:
        flat = keras.models.clone_model(flat, input_tensors=keras.Input(input_shape))
    shape = tuple(flat.inputs[0].shape[1:])
    if None in shape:
        raise InputError(f"Expected input_shape, because the input of {model.name} has the open shape {shape}.")
    layers = tuple(
        _profile_node(layer, tuple(node.outputs[0].shape[1:]), count_parameters=(index == 0))
        for layer in flat.layers
        if not isinstance(layer, keras.layers.InputLayer)
        for index, node in enumerate(layer._inbound_nodes)
    )
    return Profile(model.name, shape, layers)


def _profile_node(layer: keras.layers.Layer, output_shape: tuple, count_parameters: bool) -> LayerProfile:
    """Profile one use of a layer; a layer that is used twice has its parameters once."""
    kind = type(layer).__name__
    parameters = sum(math.prod(v.shape) for v in layer.trainable_variables) if count_parameters else 0
    macs = 0
    if kind in (*_CONVOLUTIONS, "Dense"):
        macs = math.prod(layer.kernel.shape) * math.prod(output_shape[:-1])
    return LayerProfile(layer.name, kind, output_shape, parameters, macs)


def format_table(rows: list[tuple[str, ...]]) -> str:
    """Align rows of text in columns: the first row is the head; columns of numbers are right-aligned."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    right = [all(row[i][:1].isdigit() or row[i] == "" for row in rows[1:]) for i in range(len(widths))]
    lines = [
        "  ".join(
            cell.rjust(width) if is_right else cell.ljust(width)
            for cell, width, is_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in rows
    ]
    lines.insert(1, "-" * max(map(len, lines)))
    return "\n".join(lines)


FLAGS = command_line.new_flags()
flags.DEFINE_integer("image_size", None, "Height and width to count for, in pixels.", 1, flag_values=FLAGS)


def main(values: flags.FlagValues, positional: list[str]) -> None:
    """Print the table of one model."""
    if len(positional) != 1:
        raise InputError(f"Expected one MODEL, received {len(positional)} (--help says more).")
    shape = None if values.image_size is None else (values.image_size, values.image_size, 3)
    if positional[0].endswith(".keras"):
        model = checkpoints.load_model(positional[0])
    else:
        model = applications.create(positional[0], **({} if shape is None else {"input_shape": shape}))
    result = profile(model, shape)
    print(result)
    print(f"as torchinfo counts: {result.flops('torchinfo'):,} mult-adds")


def cli() -> None:
    """Run the command-line tool."""
    command_line.run(main, FLAGS, __doc__)


if __name__ == "__main__":
    cli()
