"""List the recipes: one command for each published row.

python -m recipes --list
"""

import importlib
import pkgutil

from absl import flags

import recipes
from keras_lite import command_line, published
from keras_lite.errors import InputError
from keras_lite.training import Recipe

FLAGS = command_line.new_flags()
flags.DEFINE_boolean(
    "list", False, "Print the id of each published row and the command that trains it.", flag_values=FLAGS
)


def commands() -> dict[str, str]:
    """Return the command for each published row, by the row's id.

    Rows of two tables that stand for one and the same run have one command.
    """
    by_row: dict[str, str] = {}
    for module in pkgutil.iter_modules(recipes.__path__):
        if module.name.startswith("_"):
            continue
        found = importlib.import_module(f"recipes.{module.name}")
        for index, (name, recipe) in enumerate(sets_of(found).items()):
            chosen = f" --hyperparameters {name}" if index else ""
            for model, entry in recipe.models.items():
                if entry.row is not None:
                    data = "" if recipe.download else f" --data_dir {published.get(entry.row).dataset.upper()}"
                    by_row[entry.row] = f"python recipes/{module.name}.py{data}{chosen} --model {model}"
    for row in published.rows():
        if row.id not in by_row:
            by_row[row.id] = by_row[row.id.replace("cifar100_ablation/", "cifar100_second/")]
    by_row |= {latency.id: "python recipes/latency.py" for latency in published.latencies()}
    return by_row


def sets_of(module) -> dict[str, Recipe]:
    """Return the sets of hyper-parameters of a recipe's module, by name."""
    if hasattr(module, "RECIPE"):
        return {"": module.RECIPE}
    return getattr(module, "RECIPES", {})


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
