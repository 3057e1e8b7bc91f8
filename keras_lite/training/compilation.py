"""From a recipe and options to a compiled model."""

import keras
import numpy as np

from keras_lite.data import ModelInfo
from keras_lite.training.averaged_weights import AveragedWeights
from keras_lite.training.distillation import DistilledModel, load_teacher
from keras_lite.training.extras import Extras
from keras_lite.training.finetuning import unfreeze
from keras_lite.training.folding import fold_batch_norm
from keras_lite.training.frozen_layers import FeatureMaker, copies_of, fits_in_memory, keras_features, split_frozen
from keras_lite.training.options import Options
from keras_lite.training.recipe import Recipe
from keras_lite.training.run_batches import augmentation_of
from keras_lite.training.schedules import OneCycle, WarmUp


class CompiledModel:
    """The model of a run, built, and compiled for its first epoch.

    Args:
        recipe: The recipe.
        options: The run's options.
        info: Classes and preprocessing of the model.
        steps_per_epoch: Training steps in an epoch.
        images: Images that train and validate, together.
        features: As for `keras_lite.training.fit`.

    Attributes:
        model: The network, to be saved.
        trained: What steps train, compiled: the network, or another model with its variables.
        features: While the head of a fine-tuning trains on features: what computes them. Else `None`.
        copies: Copies of each photo that then have features of their own.
        accuracy: The metric it was compiled with.
        average: The moving average of its weights, where one is kept.

    Raises:
        InputError: If the teacher is none, or of another kind.
    """

    def __init__(
        self,
        recipe: Recipe,
        options: Options,
        info: ModelInfo,
        steps_per_epoch: int,
        images: int = 0,
        *,
        features: FeatureMaker | None = None,
    ) -> None:
        extras = options.extras
        self._recipe, self._options, self._steps_per_epoch, self._images = recipe, options, steps_per_epoch, images
        self.model = _build(recipe, options, len(info.class_names))
        self._make_features = features
        self.trained, self.features, self.copies = self.model, None, 1
        if extras.teacher is not None:
            teacher = load_teacher(extras.teacher, info)
            self.trained = DistilledModel(self.model, teacher, extras.distillation_weight, extras.temperature)
        self._loss, self.accuracy = _loss_and_accuracy(extras)
        self._head_only: bool | None = None
        self.enter_epoch(0)
        self.average = AveragedWeights(self.trained) if extras.ema_decay else None

    def enter_epoch(self, epoch: int) -> None:
        """Compile the model for an epoch: where a part of a fine-tuning begins, the optimizer starts anew.

        Args:
            epoch: The epoch, from 0.
        """
        tuning = self._recipe.finetuning
        head_only = tuning is not None and epoch < tuning.head_epochs
        if head_only == self._head_only:
            return
        self._head_only = head_only
        if tuning is not None:
            tuning.freeze(self.model, head_only)
            self._choose_trained(head_only)
        self._compile(head_only)

    def _choose_trained(self, head_only: bool) -> None:
        """Choose what trains: less than the network where its frozen layers allow that."""
        extras = self._options.extras
        if extras.teacher is not None:
            return
        self.features = None
        # Mixed photos have other features than those that were mixed.
        split = split_frozen(self.model) if head_only and not extras.mixes else None
        self.copies = copies_of(augmentation_of(self._recipe, self._options), self._recipe.finetuning.head_epochs)
        if split is not None and fits_in_memory(split, self.copies * self._images):
            made = self._make_features(split.body) if self._make_features else None
            self.features, self.trained = made or keras_features(split.body), split.head
        elif self._recipe.finetuning.freeze_batch_norm or head_only:
            self.trained = fold_batch_norm(self.model)
        else:
            self.trained = self.model

    def unfreeze(self) -> None:
        """Make all layers trainable, as users of the trained model expect."""
        if self._recipe.finetuning is not None:
            unfreeze(self.model)
            if self._options.extras.teacher is None:
                self.trained = self.model
            self._compile(head_only=False)

    def _compile(self, head_only: bool) -> None:
        recipe, options, extras = self._recipe, self._options, self._options.extras
        optimizer = recipe.optimizer(_learning_rate(recipe, options, self._steps_per_epoch, head_only))
        if extras.ema_decay:
            averaging = getattr(optimizer, "inner_optimizer", optimizer)
            averaging.use_ema, averaging.ema_momentum = True, extras.ema_decay
        # In a weighted metric rows that only fill up a batch count nothing; the weights of classes must not count.
        metrics = "weighted_metrics" if recipe.finetuning is None else "metrics"
        self.trained.compile(
            optimizer,
            loss=self._loss,
            # Compiled by XLA where that pays: not by TensorFlow on a CPU.
            jit_compile="auto",
            steps_per_execution=options.steps_per_execution if _runs_several_steps(options) else 1,
            **{metrics: [self.accuracy]},
        )
        # Keras does not know of the metric before the first step, so it would keep what it counted before.
        self.accuracy.reset_state()
        if keras.backend.backend() == "tensorflow" and not options.data_parallel:
            self._make_metrics()
        # Without its variables built an optimizer would take up no momentum.
        if not self.trained.optimizer.built:
            self.trained.optimizer.build(self.trained.trainable_variables)

    def _make_metrics(self) -> None:
        """Make the variables of all metrics, which a step would: then TensorFlow traces that step a second time."""
        outputs = np.zeros((1, self.model.outputs[0].shape[-1]), "float32")
        labels = outputs if self._options.extras.soft_labels else np.zeros((1,), "int32")
        self.trained.compute_metrics(None, labels, outputs)
        self.trained.reset_metrics()


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
    recipe: Recipe, options: Options, steps_per_epoch: int, head_only: bool
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    rate, extras, tuning = options.learning_rate, options.extras, recipe.finetuning
    if head_only:
        return tuning.head_learning_rate
    epochs = (options.schedule_epochs or options.epochs) - (tuning.head_epochs if tuning else 0)
    if extras.schedule == "one_cycle":
        return OneCycle(rate, epochs, steps_per_epoch)
    if extras.schedule == "cosine":
        schedule = keras.optimizers.schedules.CosineDecay(rate, epochs * steps_per_epoch)
    elif recipe.schedule is not None:
        schedule = recipe.schedule(rate, epochs, steps_per_epoch)
    else:
        schedule = rate
    return WarmUp(schedule, extras.warm_up_epochs, steps_per_epoch) if extras.warm_up_epochs else schedule
