"""The command line of a recipe."""

from collections.abc import Mapping
from typing import NoReturn

from absl import flags

from keras_lite.cli import command_line
from keras_lite.cli.recipe_flags import options_from_flags, recipe_flags, recipe_from_flags
from keras_lite.pipelines.train import train_model
from keras_lite.training.recipe import Recipe


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
