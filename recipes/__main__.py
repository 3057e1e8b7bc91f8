"""List the recipes: one command for each published row.

    python -m recipes --list                in the repository
    python -m keras_lite.recipes --list     with the installed wheel: `keras-lite train ROW`

The commands of the latency table work in the repository alone.
"""

from absl import flags

from keras_lite import published
from keras_lite.cli import command_line
from keras_lite.errors import InputError

from . import places

FLAGS = command_line.new_flags()
flags.DEFINE_boolean(
    "list", False, "Print the id of each published row and the command that trains it.", flag_values=FLAGS
)


def commands() -> dict[str, str]:
    """Return the command for each published row, by the row's id.

    Rows of two tables that stand for one and the same run have one command.
    """
    by_row = {row_id: place.command(row_id) for row_id, place in places().items()}
    return by_row | {latency.id: "python recipes/latency.py" for latency in published.latencies()}


def main(values: flags.FlagValues, positional: list[str]) -> None:
    """Print the list."""
    if positional or not values.list:
        raise InputError(f"Expected --list, received {' '.join(positional) or 'nothing'}.")
    by_row = commands()
    order = [row.id for row in published.rows()] + [latency.id for latency in published.latencies()]
    width = max(map(len, order))
    for row_id in order:
        print(f"{row_id:<{width}}  {by_row[row_id]}")


if __name__ == "__main__":
    command_line.run(main, FLAGS, __doc__)
