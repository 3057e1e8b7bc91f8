"""From a recipe and options to a compiled model."""

import dataclasses

import keras

from keras_lite.data import ModelInfo
from keras_lite.training.averaged_weights import AveragedWeights
from keras_lite.training.distillation import DistilledModel, load_teacher
from keras_lite.training.extras import Extras
from keras_lite.training.options import Options
from keras_lite.training.recipe import Recipe
from keras_lite.training.schedules import OneCycle, WarmUp


@dataclasses.dataclass(frozen=True)
class CompiledModel:
    """What a run trains.

    Attributes:
        model: The network, to be saved.
        trained: The same network, compiled; another object where a teacher takes part.
        accuracy: The metric it was compiled with.
        average: The moving average of its weights, where one is kept.
    """

    model: keras.Model
    trained: keras.Model
    accuracy: keras.metrics.Metric
    average: AveragedWeights | None


def compile_model(recipe: Recipe, options: Options, info: ModelInfo, steps_per_epoch: int) -> CompiledModel:
    """Build and compile the model of a run.

    Args:
        recipe: The recipe.
        options: The run's options.
        info: Classes and preprocessing of the model.
        steps_per_epoch: Training steps in an epoch.

    Raises:
        InputError: If the teacher is none, or of another kind.
    """
    extras = options.extras
    model = _build(recipe, options, len(info.class_names))
    trained = model
    if extras.teacher is not None:
        teacher = load_teacher(extras.teacher, info)
        trained = DistilledModel(model, teacher, extras.distillation_weight, extras.temperature)
    optimizer = recipe.optimizer(_learning_rate(recipe, options, steps_per_epoch))
    if extras.ema_decay:
        averaging = getattr(optimizer, "inner_optimizer", optimizer)
        averaging.use_ema, averaging.ema_momentum = True, extras.ema_decay
    loss, accuracy = _loss_and_accuracy(extras)
    trained.compile(
        optimizer,
        loss=loss,
        weighted_metrics=[accuracy],  # rows that only fill up a batch count nothing
        # Compiled by XLA where that pays: not by TensorFlow on a CPU.
        jit_compile="auto",
        steps_per_execution=options.steps_per_execution if _runs_several_steps(options) else 1,
    )
    average = AveragedWeights(trained) if extras.ema_decay else None
    return CompiledModel(model, trained, accuracy, average)


def _runs_several_steps(options: Options) -> bool:
    backend = keras.backend.backend()
    return backend == "jax" or (backend == "tensorflow" and not options.data_parallel)


def _build(recipe: Recipe, options: Options, classes: int) -> keras.Model:
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(options.extras.precision)
    try:
        return recipe.models[options.model].build(options.image_size, classes)
    finally:
        keras.config.set_dtype_policy(policy)


def _loss_and_accuracy(extras: Extras) -> tuple[keras.losses.Loss, keras.metrics.Metric]:
    if extras.soft_labels:
        loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=extras.label_smoothing)
        return loss, keras.metrics.CategoricalAccuracy(name="accuracy")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return loss, keras.metrics.SparseCategoricalAccuracy(name="accuracy")


def _learning_rate(
    recipe: Recipe, options: Options, steps_per_epoch: int
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    rate, extras = options.learning_rate, options.extras
    epochs = options.schedule_epochs or options.epochs
    if extras.schedule == "one_cycle":
        return OneCycle(rate, epochs, steps_per_epoch)
    if extras.schedule == "cosine":
        schedule = keras.optimizers.schedules.CosineDecay(rate, epochs * steps_per_epoch)
    elif recipe.schedule is not None:
        schedule = recipe.schedule(rate, epochs, steps_per_epoch)
    else:
        schedule = rate
    return WarmUp(schedule, extras.warm_up_epochs, steps_per_epoch) if extras.warm_up_epochs else schedule
