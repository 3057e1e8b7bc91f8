"""Parameters and multiply-accumulates of a model, layer by layer.

    python -m keras_lite.profiling MODEL
    python -m keras_lite.profiling --all

MODEL is a saved model (.keras or .h5), the name of a network, such as carnet18, or the id of a published row, such as
cifar100_second/ghostnet/ours. With --all comes a table of all published rows, published and exact figures side by side.
"""

import dataclasses
import math
import re

import keras
from absl import flags

from keras_lite import applications, checkpoints, command_line, published
from keras_lite.checkpoints.keras_files import ENDINGS
from keras_lite.errors import InputError
from keras_lite.graph import Counts, LayerCounts, count


@dataclasses.dataclass(frozen=True)
class Profile(Counts):
    """The counts of a model, as `keras_lite.graph.Counts` has them, and what the published counters make of them.

    Attributes:
        unseen: Names of layers for which the published PyTorch network has no module. What it computes by functions,
            the counter thop does not see.
    """

    unseen: frozenset[str] = frozenset()

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
        return sum(COUNTERS[counter](layer, layer.name in self.unseen) for layer in self.layers)

    def parameters_by(self, counter: str) -> int:
        """Return the number of parameters that one of the published counters finds.

        The counter thop misses what is held by a module that has others in it: the position embeddings of ParC and
        the biases of attention. The others find all.

        Args:
            counter: As in `flops`.
        """
        hidden = ("PositionEmbedding", "StridedAttention") if counter == "thop" else ()
        return sum(layer.parameters for layer in self.layers if layer.type not in hidden)


_CONVOLUTIONS = ("Conv2D", "DepthwiseConv2D")
_POOLS = ("MaxPooling2D", "AveragePooling2D", "GlobalMaxPooling2D", "GlobalAveragePooling2D")


def _count_like_bsconv_profiler(layer: LayerCounts, is_unseen: bool) -> int:
    if layer.type == "BatchNormalization":
        return 2 * math.prod(layer.input_shape)
    if layer.type == "ReLU" or layer.type in _POOLS:
        return math.prod(layer.input_shape)
    return layer.macs + layer.has_bias * math.prod(layer.output_shape)


def _count_like_thop(layer: LayerCounts, is_unseen: bool) -> int:
    if layer.type == "BatchNormalization":
        return 2 * math.prod(layer.input_shape)
    if layer.type == "GlobalAveragePooling2D" and not is_unseen:
        return math.prod(layer.input_shape) + layer.output_shape[-1]
    # The last is a max-pool here and an average pool, of one pixel, in the published network.
    if layer.type == "AveragePooling2D" or layer.name.endswith("_attention_query_subsample"):
        return math.prod(layer.output_shape)
    return layer.macs + (layer.has_bias and layer.type in _CONVOLUTIONS) * math.prod(layer.output_shape)


def _count_like_torchinfo(layer: LayerCounts, is_unseen: bool) -> int:
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
    counts = count(model, input_shape)
    unseen = getattr(checkpoints.family_of(model), "UNSEEN_BY_THOP", None)
    names = (layer.name for layer in counts.layers if unseen is not None and re.fullmatch(unseen, layer.name))
    return Profile(counts.name, counts.input_shape, counts.layers, counts.trainable, frozenset(names))


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
