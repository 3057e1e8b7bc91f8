"""One short script for each published table and model.

In the repository this is the package `recipes`, in the installed wheel `keras_lite.recipes`.
"""

import dataclasses
import functools
import importlib
import pkgutil
from collections.abc import Mapping
from types import ModuleType

from keras_lite import published
from keras_lite.errors import InputError
from keras_lite.training import Recipe

IN_REPOSITORY = __name__ == "recipes"
_WITHOUT_RECIPE = {"__main__", "latency"}


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a published row is trained.

    Args:
        module: The script's name.
        hyperparameters: The set's name, if it is not the script's first.
        recipe: The recipe.
        model: The recipe's name of the model.
    """

    module: str
    hyperparameters: str
    recipe: Recipe
    model: str

    @property
    def arguments(self) -> list[str]:
        """The flags that choose the row among those of its script."""
        return [*_choose(self.hyperparameters), "--model", self.model]

    def command(self, row_id: str) -> str:
        """Return the command that trains the row."""
        data = [] if self.recipe.download else ["--data_dir", published.get(row_id).dataset.upper()]
        if not IN_REPOSITORY:
            return " ".join(["keras-lite train", row_id, *data])
        return " ".join([f"python recipes/{self.module}.py", *data, *self.arguments])


@dataclasses.dataclass(frozen=True)
class Script:
    """A recipe's script, as `keras_lite.cli.train.run_recipe` takes it.

    Args:
        recipes: The script's sets of hyper-parameters by name, the first of which is the default.
        usage: The script's help text.
        arguments: The flags that choose what was asked for; the user's own go behind them.
    """

    recipes: Mapping[str, Recipe]
    usage: str
    arguments: list[str]


def find(name: str) -> Script:
    """Return the script that trains a published row, or that holds a recipe.

    Args:
        name: A row's id, `table/model/variant`, or a recipe's name.

    Raises:
        InputError: If there is no such row and no such recipe.

    Example:

    ```python
    script = find("cifar100_first/mobilenetv3_large/ours")
    script.arguments  # ["--hyperparameters", "first", "--model", "mobilenetv3_large/ours"]
    run_recipe(script.recipes, script.usage, [*script.arguments, "--epochs", "10"])
    ```
    """
    if name in places():
        place = places()[name]
        module = _modules()[place.module]
        return Script(sets_of(module), module.__doc__, place.arguments)
    names = []
    for module in _modules().values():
        for index, (hyperparameters, recipe) in enumerate(sets_of(module).items()):
            if recipe.name == name:
                return Script(sets_of(module), module.__doc__, _choose(hyperparameters if index else ""))
            names.append(recipe.name)
    raise InputError(
        f"Expected the id of a published row, such as {next(iter(places()))!r}, or a recipe ({', '.join(names)}); "
        f"received {name!r}."
    )


@functools.cache
def places() -> dict[str, Place]:
    """Return where each published row is trained, by the row's id.

    Rows of two tables that stand for one and the same run have one place.
    """
    by_row: dict[str, Place] = {}
    for script, module in _modules().items():
        for index, (name, recipe) in enumerate(sets_of(module).items()):
            for model, entry in recipe.models.items():
                if entry.row is not None:
                    by_row[entry.row] = Place(script, name if index else "", recipe, model)
    for row in published.rows():
        if row.id not in by_row:
            by_row[row.id] = by_row[row.id.replace("cifar100_ablation/", "cifar100_second/")]
    return by_row


def sets_of(module: ModuleType) -> dict[str, Recipe]:
    """Return the sets of hyper-parameters of a recipe's module, by name."""
    return {"": module.RECIPE} if hasattr(module, "RECIPE") else module.RECIPES


@functools.cache
def _modules() -> dict[str, ModuleType]:
    """Return the modules of the scripts that train, by name."""
    names = [module.name for module in pkgutil.iter_modules(__path__) if module.name not in _WITHOUT_RECIPE]
    return {name: importlib.import_module(f"{__name__}.{name}") for name in names}


def _choose(hyperparameters: str) -> list[str]:
    return ["--hyperparameters", hyperparameters] if hyperparameters else []
