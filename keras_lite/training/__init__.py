"""Training: a recipe holds the facts, `fit` turns data into a complete run folder and resumes exactly."""

from keras_lite.training.engine import fit
from keras_lite.training.extras import Extras
from keras_lite.training.finetuning import Finetuning
from keras_lite.training.lookahead import Lookahead
from keras_lite.training.optimizers import SGD
from keras_lite.training.options import Options
from keras_lite.training.recipe import Recipe, RecipeModel, published_models
from keras_lite.training.resume import SliceEnded, callback_state, set_callback_state
from keras_lite.training.run_folder import RunFolder, model_file
from keras_lite.training.schedules import EpochCosineDecay, OneCycle, WarmUp, milestone_decay
from keras_lite.training.training_result import TrainingResult

__all__ = [
    "SGD",
    "EpochCosineDecay",
    "Extras",
    "Finetuning",
    "Lookahead",
    "OneCycle",
    "Options",
    "Recipe",
    "RecipeModel",
    "RunFolder",
    "SliceEnded",
    "TrainingResult",
    "WarmUp",
    "callback_state",
    "fit",
    "milestone_decay",
    "model_file",
    "published_models",
    "set_callback_state",
]
