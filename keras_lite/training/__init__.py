"""Training: a recipe holds the facts, `fit` turns data into a complete run folder and resumes exactly."""

from keras_lite.training.command import run_recipe
from keras_lite.training.engine import fit
from keras_lite.training.options import Options
from keras_lite.training.recipe import Recipe, RecipeModel
from keras_lite.training.resume import callback_state, set_callback_state
from keras_lite.training.run_folder import RunFolder

__all__ = [
    "Options",
    "Recipe",
    "RecipeModel",
    "RunFolder",
    "callback_state",
    "fit",
    "run_recipe",
    "set_callback_state",
]
