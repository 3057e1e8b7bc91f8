"""Print parameters and multiply-accumulates of a model, layer by layer.

    keras-lite profile MODEL
    keras-lite profile --all

MODEL is a saved model (.keras or .h5), the name of a network, such as carnet18, or the id of a published row, such as
cifar100_second/ghostnet/ours. --all prints a table of all published rows, published and exact figures side by side.
"""

import keras
from absl import flags

from keras_lite import applications, checkpoints, published
from keras_lite.checkpoints.keras_files import ENDINGS
from keras_lite.cli import command_line
from keras_lite.errors import InputError
from keras_lite.profiling import COUNTERS, profile
from keras_lite.tables import text_table

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
    [name] = command_line.expect(positional, "MODEL")
    shape = None if values.image_size is None else (values.image_size, values.image_size, 3)
    options = {} if shape is None else {"input_shape": shape}
    if name.endswith(ENDINGS):
        model = checkpoints.load_model(name, verbose=1)
    elif "/" in name:
        model = published.get(name).build(**options)
    else:
        model = applications.create(name, **options)
    result = profile(model, shape)
    print(result)
    for counter in COUNTERS:
        print(f"as {counter} counts: {result.flops(counter):,} FLOPs, {result.parameters_by(counter):,} parameters")


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
    return "\n".join([text_table(lines), "", *remarks])


def _printed(figure: float | None) -> str:
    return "-" if figure is None else f"{figure:,.0f}"
