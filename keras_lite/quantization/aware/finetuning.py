"""Fine-tuning a quantization-aware model until it answers like the float model it came from."""

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
from keras_lite.graph import output_of
from keras_lite.quantization.aware.epoch_judge import Epochs, Judge
from keras_lite.quantization.aware.quantize_aware import is_quantized, mark_finetuned
from keras_lite.quantization.aware.tf_mot.calibration import frozen_batch_norm, open_empty_ranges
from keras_lite.quantization.aware.to_tf_keras import to_tf_keras
from keras_lite.quantization.closeness import judged_as
from keras_lite.training.epochs import EpochBatches


def finetune(
    quantized: Any,
    batches: Batches,
    teacher: keras.Model | None = None,
    *,
    epochs: int = 1,
    learning_rate: float = 5e-6,
    distill: float = 0.9,
    freeze_batch_norm: float = 0.0,
    state_path: str | os.PathLike | None = None,
    judges: np.ndarray | None = None,
    output: str | None = None,
    verbose: int = 0,
) -> Epochs:
    """Train a calibrated quantization-aware model in place.

    Adam, with a learning rate that falls as a cosine. The loss compares with a mixture of the labels and the teacher's
    answers. Close to a trained float model its own answers teach more than the labels: accuracy can be kept while half
    of the answers change. Layers that are not trainable stay as they are.

    With `judges`, images that train nothing, the start and each epoch are judged by how far their answers are from the
    teacher's (see `keras_lite.quantization.closeness`). The closest epoch takes the place of the start only if it is
    closer by more than two standard errors of the differences, image by image: a step that is too large for a model
    that is next to its optimum makes it worse, and of the training images' loss one can't tell.

    Source of the distillation: Hinton et al., "Distilling the Knowledge in a Neural Network" (arXiv:1503.02531).

    Args:
        quantized: What `trainable_start` returned; or what `quantize_aware` returned, after `calibrate`.
        batches: Training images and labels.
        teacher: The float model, to distill. None: labels alone.
        epochs: Passes over the images.
        learning_rate: At the first step.
        distill: Share of the teacher in the target, from 0 to 1; without a teacher it has no effect. Of labels that a
            class folder can't give (many labels, regression, embedding) nothing is used, whatever this is.
        freeze_batch_norm: Share of the steps after which mean and variance of batch normalization stay; 0: from the
            start.
        state_path: A file, `*.npz`, that takes the state after each epoch. If it is there already and belongs to
            the same training, that training goes on. None: nothing is kept.
        judges: Preprocessed float images that are neither in `batches` nor set ranges. None: the last epoch is kept.
        output: What the float model answers, as `keras_lite.data.ModelInfo.output` names it. None: what its last layer
            tells, and without a teacher logits.
        verbose: 1 shows progress, and prints which epoch was kept.

    Returns:
        What each epoch gave, and which was kept.

    Raises:
        InputError: If `quantized` is not of TF-MOT, an argument is out of range, or there are judges and no teacher.
        MissingExtraError: If the quantization extra is not installed.

    Example:

    ```python
    _, report = post_training(model, images, preprocessing=preprocessing)
    quantized = trainable_start(model, images, report.chosen, preprocessing)
    finetune(quantized, batches, teacher=model, epochs=2, judges=held_out)
    ```
    """
    _check(epochs, learning_rate, distill, freeze_batch_norm)
    if not is_quantized(quantized):
        raise InputError(
            f"Expected what trainable_start or quantize_aware returned, received {type(quantized).__name__}."
        )
    if judges is not None and teacher is None:
        raise InputError("Expected a teacher to judge by, received judges alone.")
    output = (output or "logits") if teacher is None else judged_as(teacher, output)
    variables = list(quantized.trainable_variables)
    if epochs and not variables:
        if verbose:
            print("nothing to fine-tune: no layer of the model is trainable")
        epochs = 0
    optimizer = _adam(variables, learning_rate, max(1, epochs) * batches.num_batches)
    settings = {
        "epochs": epochs,
        "steps": batches.num_batches,
        "batch_size": batches.batch_size,
        "seed": batches.seed,
        "learning_rate": learning_rate,
        "distill": distill if teacher is not None else None,
        "freeze_batch_norm": freeze_batch_norm,
        "judges": 0 if judges is None else len(judges),
    }
    # Where the statistics freeze, training goes on with another graph; a whole epoch has one.
    frozen_from = round(freeze_batch_norm * epochs)
    judge = Judge(quantized, teacher, judges, output)
    state = _State(state_path, settings, [*quantized.variables, *optimizer.variables], judge)
    first = state.load(verbose)
    loss = None
    if epochs:
        classes = len(batches.source.class_names)
        loss = _loss(quantized, teacher, output=output, distill=distill, judge=judge, classes_of_data=classes)
    step = None
    with ThreadPoolExecutor(2) as pool:
        for epoch in range(first, epochs):
            with frozen_batch_norm(quantized, frozen=epoch >= frozen_from):
                if step is None or epoch == frozen_from:
                    step = _training_step(quantized, optimizer, variables, loss)
                if verbose:
                    print(f"fine-tuning epoch {epoch + 1}/{epochs}")
                _run_epoch(step, EpochBatches(batches, epoch, 0, pool), verbose)
            judge.judge()
            state.save(epoch + 1)
    report = judge.put_back(epochs)
    if report.kept:
        open_empty_ranges(quantized)
        mark_finetuned(quantized)
    if epochs and verbose:
        print(report, flush=True)
    return report


def _check(epochs: int, learning_rate: float, distill: float, freeze_batch_norm: float) -> None:
    if epochs < 0:
        raise InputError(f"Expected epochs to be 0 or more, received {epochs}.")
    if not learning_rate > 0:
        raise InputError(f"Expected a positive learning_rate, received {learning_rate}.")
    for name, share in (("distill", distill), ("freeze_batch_norm", freeze_batch_norm)):
        if not 0 <= share <= 1:
            raise InputError(f"Expected {name} from 0 to 1, received {share}.")


def _adam(variables: list[Any], learning_rate: float, steps: int) -> Any:
    tf_keras = import_extra("tf_keras", "quantization")
    schedule = tf_keras.optimizers.schedules.CosineDecay(learning_rate, steps)
    # Not the accelerated build of the step: compiling takes longer than the training.
    optimizer = tf_keras.optimizers.Adam(schedule, jit_compile=False)
    optimizer.build(variables)
    return optimizer


def _loss(
    quantized: Any, teacher: keras.Model | None, *, output: str, distill: float, judge: Judge, classes_of_data: int
) -> Callable[[Any, Any, Any], Any]:
    """Return the loss of a batch: a function of images, labels and the quantized model's answers."""
    tensorflow = import_extra("tensorflow", "quantization")
    nn, mean = tensorflow.nn, tensorflow.reduce_mean
    twin = None if teacher is None or distill == 0 else to_tf_keras(teacher)
    outputs = quantized.outputs[0].shape[-1]
    if output in ("regression", "embedding") or (output == "sigmoid" and (outputs, classes_of_data) != (1, 2)):
        if twin is None:
            raise InputError(
                f"Expected a teacher and distill above 0 for a model whose answers ({output}) class labels do not "
                "give, received none."
            )
        distill = 1.0
    softmax = nn.softmax if teacher is None or output_of(teacher) == "logits" else tensorflow.identity

    def taught(images, labels, hard):
        if twin is None:
            return hard(labels)
        soft = twin(images, training=False)
        soft = softmax(soft) if output in ("logits", "probabilities") else soft
        return tensorflow.stop_gradient(soft if distill == 1.0 else distill * soft + (1.0 - distill) * hard(labels))

    def classes(images, labels, answers):
        wanted = taught(images, labels, lambda labels: tensorflow.one_hot(labels, outputs))
        return mean(nn.softmax_cross_entropy_with_logits(wanted, answers))

    def probabilities(images, labels, answers):
        wanted = taught(images, labels, lambda labels: tensorflow.cast(labels, "float32")[:, None])
        answers = tensorflow.clip_by_value(answers, 1.0 / 512.0, 1.0 - 1.0 / 512.0)
        return -mean(wanted * tensorflow.math.log(answers) + (1.0 - wanted) * tensorflow.math.log(1.0 - answers))

    scale = 1.0 if judge.images is None else float(max(judge.expected.var(axis=0).mean(), 1e-12))

    def numbers(images, labels, answers):
        return mean(tensorflow.square(taught(images, labels, None) - answers)) / scale

    def directions(images, labels, answers):
        wanted = nn.l2_normalize(taught(images, labels, None), axis=-1)
        return 1.0 - mean(tensorflow.reduce_sum(wanted * nn.l2_normalize(answers, axis=-1), axis=-1))

    return {"sigmoid": probabilities, "regression": numbers, "embedding": directions}.get(output, classes)


def _training_step(
    quantized: Any, optimizer: Any, variables: list[Any], loss: Callable[[Any, Any, Any], Any]
) -> Callable:
    tensorflow = import_extra("tensorflow", "quantization")

    # Scale and offset of a frozen batch normalization are trained on: only its statistics stay.
    @tensorflow.function
    def step(images, labels):
        with tensorflow.GradientTape() as tape:
            value = loss(images, labels, quantized(images, training=True))
        gradients = tape.gradient(value, variables)
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return value

    return step


def _run_epoch(step: Callable, batches: EpochBatches, verbose: int) -> None:
    progress = keras.utils.Progbar(len(batches), verbose=verbose)
    for index in range(len(batches)):
        progress.update(index + 1, [("loss", float(step(*batches[index])))])


class _State:
    """The state of a training in one file: all variables, what the judge knows, the number of finished epochs."""

    def __init__(self, path: str | os.PathLike | None, settings: dict[str, Any], variables: list[Any], judge: Judge):
        self.path = None if path is None else Path(path)
        self.settings = json.dumps(settings)
        self.variables = variables
        self.judge = judge

    def load(self, verbose: int) -> int:
        """Restore everything where the file belongs to this training; return the number of finished epochs."""
        if self.path is None or not self.path.is_file():
            return 0
        try:
            with np.load(self.path, allow_pickle=False) as file:
                found = dict(file)
            values = [found.pop(str(index)) for index in range(int(found["count"]))]
            epoch, settings = int(found["epoch"]), str(found["settings"])
        except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
            raise InputError(f"Expected the state of a fine-tuning in {self.path}, which can't be read.") from error
        shapes = [tuple(variable.shape) for variable in self.variables]
        if settings != self.settings or [value.shape for value in values] != shapes:
            if verbose:
                print(f"starting over: {self.path} is the state of another fine-tuning")
            return 0
        for variable, value in zip(self.variables, values, strict=True):
            variable.assign(value)
        self.judge.from_arrays(found)
        if verbose:
            print(f"going on after epoch {epoch} of {self.path}")
        return epoch

    def save(self, epoch: int) -> None:
        if self.path is None:
            return
        values = {str(index): variable.numpy() for index, variable in enumerate(self.variables)}
        with atomic_path(self.path) as temporary:
            np.savez(
                temporary, epoch=epoch, settings=self.settings, count=len(values), **values, **self.judge.to_arrays()
            )
