"""Fine-tuning a quantisation-aware model until it answers like the float model it came from."""

import json
import os
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_lite.data import Batches
from keras_lite.errors import InputError, import_extra
from keras_lite.files import atomic_path
from keras_lite.graph import flatten
from keras_lite.quantization.calibration import frozen_batch_norm, open_empty_ranges
from keras_lite.quantization.preparation import ends_in_softmax
from keras_lite.quantization.quantize_aware import mark_finetuned
from keras_lite.quantization.to_tf_keras import to_tf_keras
from keras_lite.training.epochs import EpochBatches


def finetune(
    quantized: Any,
    batches: Batches,
    teacher: keras.Model | None = None,
    epochs: int = 1,
    learning_rate: float = 5e-5,
    distill: float = 0.9,
    freeze_batch_norm: float = 0.0,
    state_path: str | os.PathLike | None = None,
) -> None:
    """Train a calibrated quantisation-aware model in place, with Adam and a learning rate that falls as a cosine.

    The loss is the cross-entropy with a mixture of the labels and the teacher's probabilities. Close to a trained
    float model its own answers teach more than the labels: accuracy can be kept while half of the answers change.

    Source of the distillation: Hinton et al., "Distilling the Knowledge in a Neural Network" (arXiv:1503.02531).

    Args:
        quantized: What `quantize_aware` returned, after `calibrate`.
        batches: Training images and labels.
        teacher: The float model, to distil. None: labels alone.
        epochs: Passes over the images.
        learning_rate: At the first step.
        distill: Share of the teacher in the target, from 0 to 1; without a teacher it has no effect.
        freeze_batch_norm: Share of the steps after which mean and variance of batch normalisation stay; 0: from the
            start.
        state_path: A file, `*.npz`, that takes the state after each epoch. If it is there already and belongs to
            the same training, that training goes on. None: nothing is kept.

    Raises:
        InputError: If an argument is out of range.
        MissingExtraError: If the quantization extra is not installed.

    Example:

    ```python
    quantized = quantize_aware(model)
    calibrate(quantized, images)
    finetune(quantized, batches, teacher=model, epochs=2)
    ```
    """
    _check(epochs, learning_rate, distill, freeze_batch_norm)
    tf_keras = import_extra("tf_keras", "quantization")
    steps = batches.num_batches
    schedule = tf_keras.optimizers.schedules.CosineDecay(learning_rate, epochs * steps)
    # Not the accelerated build of the step: compiling takes longer than the training.
    optimizer = tf_keras.optimizers.Adam(schedule, jit_compile=False)
    optimizer.build(optimizer_variables(quantized))
    settings = {
        "epochs": epochs,
        "steps": steps,
        "batch_size": batches.batch_size,
        "seed": batches.seed,
        "learning_rate": learning_rate,
        "distill": distill if teacher is not None else None,
        "freeze_batch_norm": freeze_batch_norm,
    }
    state = _State(state_path, settings, [*quantized.variables, *optimizer.variables])
    first = state.load()
    # Where the statistics freeze, training goes on with another graph; a whole epoch has one.
    frozen_from = round(freeze_batch_norm * epochs)
    target = _target(teacher, distill)
    step = None
    with ThreadPoolExecutor(2) as pool:
        for epoch in range(first, epochs):
            with frozen_batch_norm(quantized, frozen=epoch >= frozen_from):
                if step is None or epoch == frozen_from:
                    step = _training_step(quantized, optimizer, target)
                _run_epoch(step, EpochBatches(batches, epoch, 0, pool), f"fine-tuning epoch {epoch + 1}/{epochs}")
            state.save(epoch + 1)
    open_empty_ranges(quantized)
    if epochs:
        mark_finetuned(quantized)


def _check(epochs: int, learning_rate: float, distill: float, freeze_batch_norm: float) -> None:
    if epochs < 0:
        raise InputError(f"Expected epochs to be 0 or more, received {epochs}.")
    if not learning_rate > 0:
        raise InputError(f"Expected a positive learning_rate, received {learning_rate}.")
    for name, share in (("distill", distill), ("freeze_batch_norm", freeze_batch_norm)):
        if not 0 <= share <= 1:
            raise InputError(f"Expected {name} from 0 to 1, received {share}.")


def _target(teacher: keras.Model | None, distill: float) -> Callable[[Any, Any, int], Any]:
    """Return a function of images, labels and the number of classes that gives the wanted probabilities."""
    tensorflow = import_extra("tensorflow", "quantization")
    if teacher is None or distill == 0:
        return lambda images, labels, classes: tensorflow.one_hot(labels, classes)
    twin = to_tf_keras(teacher)
    softmax = (lambda answers: answers) if ends_in_softmax(flatten(teacher)) else tensorflow.nn.softmax

    def mixture(images, labels, classes):
        taught = softmax(twin(images, training=False))
        return distill * taught + (1.0 - distill) * tensorflow.one_hot(labels, classes)

    return mixture


def _training_step(quantized: Any, optimizer: Any, target: Callable[[Any, Any, int], Any]) -> Callable:
    tensorflow = import_extra("tensorflow", "quantization")

    @tensorflow.function
    def step(images, labels):
        with tensorflow.GradientTape() as tape:
            logits = quantized(images, training=True)
            wanted = tensorflow.stop_gradient(target(images, labels, logits.shape[-1]))
            loss = tensorflow.reduce_mean(tensorflow.nn.softmax_cross_entropy_with_logits(wanted, logits))
        gradients = tape.gradient(loss, variables)
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        right = tensorflow.argmax(logits, 1, output_type=labels.dtype) == labels
        return loss, tensorflow.reduce_mean(tensorflow.cast(right, "float32"))

    # Scale and offset of a frozen batch normalisation are trained on: only its statistics stay.
    variables = optimizer_variables(quantized)
    return step


def optimizer_variables(quantized: Any) -> list[Any]:
    """Return the variables that training changes, in an order that freezing does not alter."""
    with frozen_batch_norm(quantized, frozen=False):
        return list(quantized.trainable_variables)


def _run_epoch(step: Callable, batches: EpochBatches, title: str) -> None:
    print(title)
    progress = keras.utils.Progbar(len(batches))
    for index in range(len(batches)):
        loss, accuracy = step(*batches[index])
        progress.update(index + 1, [("loss", float(loss)), ("accuracy", float(accuracy))])


class _State:
    """The state of a training in one file: all variables, and the number of finished epochs."""

    def __init__(self, path: str | os.PathLike | None, settings: dict[str, Any], variables: list[Any]):
        self.path = None if path is None else Path(path)
        self.settings = json.dumps(settings)
        self.variables = variables

    def load(self) -> int:
        """Restore the variables where the file belongs to this training; return the number of finished epochs."""
        if self.path is None or not self.path.is_file():
            return 0
        try:
            with np.load(self.path, allow_pickle=False) as file:
                values = [file[str(index)] for index in range(len(file.files) - 2)]
                epoch, settings = int(file["epoch"]), str(file["settings"])
        except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
            raise InputError(f"Expected the state of a fine-tuning in {self.path}, which can't be read.") from error
        shapes = [tuple(variable.shape) for variable in self.variables]
        if settings != self.settings or [value.shape for value in values] != shapes:
            print(f"starting over: {self.path} is the state of another fine-tuning")
            return 0
        for variable, value in zip(self.variables, values, strict=True):
            variable.assign(value)
        print(f"going on after epoch {epoch} of {self.path}")
        return epoch

    def save(self, epoch: int) -> None:
        if self.path is None:
            return
        values = {str(index): variable.numpy() for index, variable in enumerate(self.variables)}
        with atomic_path(self.path) as temporary:
            np.savez(temporary, epoch=epoch, settings=self.settings, **values)
