"""One short script for each published table and model."""

import dataclasses
import functools
import importlib
import pkgutil
from types import ModuleType

from keras_lite import published
from keras_lite.training import Recipe


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

    def command(self, row_id: str) -> str:
        """Return the command that trains the row."""
        data = "" if self.recipe.download else f" --data_dir {published.get(row_id).dataset.upper()}"
        chosen = f" --hyperparameters {self.hyperparameters}" if self.hyperparameters else ""
        return f"python recipes/{self.module}.py{data}{chosen} --model {self.model}"


@functools.cache
def places() -> dict[str, Place]:
    """Return where each published row is trained, by the row's id.

    Rows of two tables that stand for one and the same run have one place.
    """
    by_row: dict[str, Place] = {}
    for module in pkgutil.iter_modules(__path__):
        if module.name.startswith("_"):
            continue
        found = importlib.import_module(f"recipes.{module.name}")
        for index, (name, recipe) in enumerate(sets_of(found).items()):
            for model, entry in recipe.models.items():
                if entry.row is not None:
                    by_row[entry.row] = Place(module.name, name if index else "", recipe, model)
    for row in published.rows():
        if row.id not in by_row:
            by_row[row.id] = by_row[row.id.replace("cifar100_ablation/", "cifar100_second/")]
    return by_row


def sets_of(module: ModuleType) -> dict[str, Recipe]:
    """Return the sets of hyper-parameters of a recipe's module, by name."""
    if hasattr(module, "RECIPE"):
        return {"": module.RECIPE}
    return getattr(module, "RECIPES", {})
