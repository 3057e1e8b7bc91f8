"""The command line of a recipe."""

from collections.abc import Mapping
from typing import Any, NoReturn

from absl import flags

from keras_lite import command_line
from keras_lite.data import Source, make_shapes, open_data
from keras_lite.errors import InputError
from keras_lite.training import data_parallel, processes
from keras_lite.training.engine import fit, run_settings
from keras_lite.training.options import Options, options_from_flags, recipe_flags, recipe_from_flags
from keras_lite.training.recipe import Recipe
from keras_lite.training.resume import SliceEnded
from keras_lite.training.run_folder import RunFolder


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
        if positional:
            raise InputError(f"Expected flags only, received {' '.join(positional)}.")
        recipe = recipe_from_flags(recipes, values)
        options = options_from_flags(recipe, values)
        with processes.taking_part():
            data_parallel.start(options)
            _run(recipe, options, values.output_dir or _default_output_dir(recipe, options))

    command_line.run(main, recipe_flags(recipes), usage, arguments)


def _run(recipe: Recipe, options: Options, output_dir: str) -> None:
    # What is wrong with the folder is said before the data is read.
    result = processes.on_first(lambda: RunFolder(output_dir).open(run_settings(recipe, options)))
    if result is None:
        try:
            result = fit(recipe, _open(recipe, options), options, output_dir)
        except SliceEnded as ended:
            print(f"{ended}; the same command goes on from there (run folder: {output_dir})")
            return
    else:
        print(f"the run in {output_dir} is finished")
    print(summary(result, output_dir))


def summary(result: dict[str, Any], output_dir: str) -> str:
    """Return a result as a few lines to read."""
    last, best, test = result["last"], result["best"], result["test"]
    tested = result.get("tested_epoch", "last")
    lines = [
        f"{result['recipe']} {result['model']}: {result['epochs']} epochs in {result['seconds']:.0f} s",
        f"parameters {result['parameters']:,}, multiply-accumulates {result['macs']:,}",
        f"{'test' if result['protocol'] == 'published' else 'validation'} accuracy: "
        f"last epoch {last['val_accuracy']:.2%}, best {best['val_accuracy']:.2%} (epoch {best['epoch']:.0f})",
    ]
    if test is not None and result["protocol"] != "published":
        lines.append(f"test accuracy: {test['accuracy']:.2%} ({result['images']['test']} images, {tested} epoch)")
    if result["published"] is not None:
        figures = ", ".join(f"{name} {value}" for name, value in result["published"].items())
        lines.append(f"published: {figures}")
    return "\n".join([*lines, f"run folder: {output_dir}"])


def _default_output_dir(recipe: Recipe, options: Options) -> str:
    size = "x".join(str(side) for side in dict.fromkeys(options.image_size))
    smoke = "-smoke" if options.smoke else ""
    model = options.model.replace("/", "-")
    return f"runs/{recipe.name}-{model}-{size}-seed{options.seed}{smoke}"


def _open(recipe: Recipe, options: Options) -> dict[str, Source]:
    if options.smoke:
        counts = {"train": 2 * options.batch_size, "valid": options.batch_size, "test": options.batch_size}
        size = options.image_size[0]
        return {split: make_shapes(count, seed, size) for seed, (split, count) in enumerate(counts.items())}
    geometry = recipe.preprocessing(options.image_size).geometry
    return open_data(options.data_dir, geometry, skip_broken=options.skip_broken)
