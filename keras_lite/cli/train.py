"""Train a published network by its recipe.

    keras-lite train ROW [--data_dir DATA] [--epochs 200] [--output_dir RUN]
    keras-lite train --list
    keras-lite train ROW --help

ROW is the id of a published row, such as cifar100_second/mobilenetv3_large/ours, or the name of a recipe; --list names
the rows. Each recipe has its published values as defaults; ROW --help prints them. CIFAR is downloaded by Keras;
DATA may also be a folder of photos, one folder a class. The same command continues a run that was stopped.
"""

import importlib
import re
import sys
from collections.abc import Mapping
from typing import NoReturn

from absl import flags

from keras_lite import published
from keras_lite.cli import command_line
from keras_lite.cli.recipe_flags import options_from_flags, recipe_flags, recipe_from_flags
from keras_lite.errors import InputError
from keras_lite.pipelines.train import train_model
from keras_lite.training.recipe import Recipe

FLAGS = command_line.new_flags()
flags.DEFINE_boolean("list", False, "Print the published rows.", flag_values=FLAGS)


def run(arguments: list[str] | None = None) -> NoReturn:
    """Run the recipe of the row that a command line begins with, then end the process.

    Args:
        arguments: What stands behind `keras-lite train`. Defaults to `sys.argv[1:]`.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0].startswith("-"):
        command_line.run(main, FLAGS, __doc__, arguments)
    # A plug-in, as the commands are: recipes build on this module.
    recipes = importlib.import_module("keras_lite.recipes")
    try:
        script = recipes.find(arguments[0])
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(command_line.INPUT_ERROR)
    usage = re.sub(r"python recipes/(\w+)\.py", r"keras-lite train \1", script.usage)
    run_recipe(script.recipes, usage, [*script.arguments, *arguments[1:]])


def main(values: flags.FlagValues, positional: list[str]) -> None:
    """Print the published rows."""
    if positional or not values.list:
        raise InputError("Expected the id of a published row or --list, received none (--help says more).")
    print("\n".join(row.id for row in published.rows()))


def run_recipe(recipes: Recipe | Mapping[str, Recipe], usage: str, arguments: list[str] | None = None) -> NoReturn:
    """Run a recipe as its command line says, then end the process.

    Args:
        recipes: The recipe; or several by name, of which the flag `--hyperparameters` chooses one, else the first.
        usage: The help text; the `__doc__` of the recipe's script.
        arguments: The command line without the program's name. Defaults to `sys.argv[1:]`.

    Example:

    ```python
    if __name__ == "__main__":
        run_recipe(RECIPE, __doc__)
    ```
    """
    recipes = {"": recipes} if isinstance(recipes, Recipe) else recipes

    def main(values: flags.FlagValues, positional: list[str]) -> None:
        command_line.expect(positional)
        recipe = recipe_from_flags(recipes, values)
        train_model(recipe, options_from_flags(recipe, values), values.output_dir, verbose=1)

    command_line.run(main, recipe_flags(recipes), usage, arguments)
