"""Fine-tuning a quantization-aware model until it answers like the float model it came from."""

import hashlib
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_lite.data import Batches
from keras_lite.errors import InputError, import_extra
from keras_lite.files import write_text
from keras_lite.litert.scheme import HIGHEST, LOWEST
from keras_lite.quantization.aware.epoch_judge import Epochs, Judge
from keras_lite.quantization.aware.quantize_aware import int8_graph, is_quantized
from keras_lite.quantization.aware.teaching import TaughtBatches, Teacher, loss_of
from keras_lite.quantization.aware.tf_mot.calibration import frozen_batch_norm, open_empty_ranges
from keras_lite.quantization.aware.tf_mot.wrapping import is_wrapped, mark_finetuned
from keras_lite.quantization.closeness import judged_as
from keras_lite.training.epochs import EpochBatches, RunCallbacks, call_with_data
from keras_lite.training.progress import progress_callbacks
from keras_lite.training.resume import RunState, SaveState

LEARNING_RATE = 5e-6
_SAVE_EVERY_STEPS = 100


def finetune(
    quantized: Any,
    batches: Batches,
    teacher: keras.Model,
    *,
    epochs: int = 1,
    learning_rate: float = LEARNING_RATE,
    state_path: str | os.PathLike | None = None,
    judges: np.ndarray | None = None,
    output: str | None = None,
    verbose: int = 0,
) -> Epochs:
    """Train a quantization-aware model in place, with `model.fit`, on the float model's own answers.

    Close to a trained float model its answers teach more than the labels: accuracy can be kept while half of the
    answers change. Where photos are not changed at random they are answered once, beforehand. Of classes the logits are
    learned, which have gradients where the float model is sure, too.
    The optimizer is Adam, with a learning rate that falls as a cosine. Batch normalization keeps its statistics, and
    layers that are not trainable stay as they are.

    With `judges`, images that train nothing, the start and each epoch are judged by how far their answers are from the
    teacher's (see `keras_lite.quantization.closeness`). The closest epoch takes the place of the start only if it is
    closer by more than two standard errors of the differences, image by image: a step that is too large for a model
    that is next to its optimum makes it worse, and of the training images' loss one can't tell.

    Source: Hinton et al., "Distilling the Knowledge in a Neural Network" (arXiv:1503.02531), section 2.1.

    Args:
        quantized: What `quantize_aware` returned; of TF-MOT with ranges.
        batches: Training images; their labels are not looked at.
        teacher: The float model.
        epochs: Passes over the images.
        learning_rate: At the first step.
        state_path: A file, `*.npz`, that takes the state after each epoch, and of a Keras model also within. If it is
            there already and belongs to the same training, that training goes on exactly. None: nothing is kept.
        judges: Preprocessed float images that are neither in `batches` nor set ranges. None: the last epoch is kept.
        output: What the float model answers, as `keras_lite.data.ModelInfo.output` names it. None: what its last layer
            tells.
        verbose: 1 shows progress, and prints which epoch was kept.

    Returns:
        What each epoch gave, and which was kept.

    Raises:
        InputError: If `quantized` is of another kind, or an argument is out of range.
        MissingExtraError: If the model is of TF-MOT, which is not installed.

    Example:

    ```python
    calibrated, _ = post_training(model, images, preprocessing=preprocessing)
    aware = quantize_aware(calibrated)
    finetune(aware, batches, teacher=model, epochs=2, judges=held_out)
    to_tflite(aware, "model.tflite", precision="int8", samples=images, reference=model)
    ```
    """
    _check(epochs, learning_rate)
    if not is_quantized(quantized):
        raise InputError(f"Expected what quantize_aware returned, received {type(quantized).__name__}.")
    output = judged_as(teacher, output)
    if epochs and not quantized.trainable_variables:
        if verbose:
            print("nothing to fine-tune: no layer of the model is trainable")
        epochs = 0
    answering = Teacher(teacher, output)
    judge = Judge(quantized, answering, judges)
    if not epochs:
        judge.judge()
        return judge.put_back(0)
    settings = {
        "epochs": epochs, "steps": batches.num_batches, "batch_size": batches.batch_size, "seed": batches.seed,
        "learning_rate": learning_rate, "judges": 0 if judges is None else len(judges),
        "start": _digest(quantized),
    }  # fmt: skip
    outputs = int8_graph(quantized).outputs[0].quantization
    low, high = (float(end) for end in outputs.dequantize(np.array([LOWEST, HIGHEST], "int8")))
    taught = TaughtBatches(batches, answering, (low, high))
    # Wrappers of TF-MOT would move the statistics of batch normalization.
    with frozen_batch_norm(quantized, frozen=is_wrapped(quantized)):
        compile_to_finetune(quantized, output, learning_rate, epochs * batches.num_batches)
        training = _Training(quantized, taught, judge, epochs, batches.seed, verbose)
        training.run(None if state_path is None else Path(state_path), settings)
    report = judge.put_back(epochs)
    if report.kept and is_wrapped(quantized):
        open_empty_ranges(quantized)
        mark_finetuned(quantized)
    if verbose:
        print(report, flush=True)
    return report


def _check(epochs: int, learning_rate: float) -> None:
    if epochs < 0:
        raise InputError(f"Expected epochs to be 0 or more, received {epochs}.")
    if not learning_rate > 0:
        raise InputError(f"Expected a positive learning_rate, received {learning_rate}.")


def _digest(quantized: Any) -> str:
    """Return what tells one start from another."""
    digest = hashlib.sha256()
    for values in quantized.get_weights():
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


def compile_to_finetune(quantized: Any, output: str, learning_rate: float, steps: int) -> None:
    """Compile a model, of Keras or tf_keras, as `finetune` does.

    Args:
        quantized: The model.
        output: What it answers, as `keras_lite.data.ModelInfo.output` names it.
        learning_rate: At the first step.
        steps: All steps, over which the rate falls.
    """
    library = import_extra("tf_keras", "quantization") if is_wrapped(quantized) else keras
    rate = library.optimizers.schedules.CosineDecay(learning_rate, steps)
    # Of tf_keras not the step that XLA builds: compiling takes longer than the training.
    optimizer = library.optimizers.Adam(rate, **({} if library is keras else {"jit_compile": False}))
    compiled = {"jit_compile": "auto"} if library is keras else {}
    quantized.compile(optimizer, loss_of(output, library), **compiled)
    optimizer.build(quantized.trainable_variables)


class _Training:
    """The epochs of a fine-tuning, each a call of `fit`, taken up where they were stopped."""

    def __init__(
        self, quantized: Any, taught: TaughtBatches, judge: Judge, epochs: int, seed: int, verbose: int
    ) -> None:
        self._quantized, self._taught, self._judge = quantized, taught, judge
        self._epochs, self._verbose = epochs, verbose
        self._state = RunState(quantized, [], [judge], seed)

    def run(self, path: Path | None, settings: dict[str, Any]) -> None:
        """Train the epochs that are left.

        Args:
            path: The file of the state.
            settings: What the state depends on.
        """
        progress, steps = self._state.progress, self._taught.num_batches
        if path is not None and _belongs(path, settings, self._verbose):
            self._state.load(path)
            progress = self._state.progress
            self._state.restore_callbacks()
            if self._verbose:
                print(f"going on in epoch {min(progress.epoch + 1, self._epochs)} after step {progress.step}")
        else:
            self._judge.judge()
        saver = [] if path is None else [self._saver(path)]
        show, bar = progress_callbacks() if self._verbose else ([], 0)
        callbacks = RunCallbacks(
            [self._judge, *saver, *show], self._quantized, self._epochs, steps=steps, verbose=bar
        )  # fmt: skip
        callbacks.begin()
        with ThreadPoolExecutor(1) as pool:
            for epoch in range(progress.epoch, self._epochs):
                callbacks.first_step = progress.step
                self._fit(EpochBatches(self._taught, epoch, progress.step, pool), epoch, callbacks)
                progress.step = 0
        callbacks.end()

    def _saver(self, path: Path) -> SaveState:
        start, before = time.monotonic(), self._state.progress.seconds
        # tf_keras' metrics can't be taken up within an epoch.
        every = self._taught.num_batches + 1 if is_wrapped(self._quantized) else _SAVE_EVERY_STEPS
        return SaveState(
            self._state, path, every, seconds=lambda: before + time.monotonic() - start, after_epoch=lambda: None
        )

    def _fit(self, left: EpochBatches, epoch: int, callbacks: RunCallbacks) -> None:
        common = {"initial_epoch": epoch, "epochs": epoch + 1, "verbose": 0}
        if not is_wrapped(self._quantized):
            call_with_data(
                lambda: self._quantized.fit(left, callbacks=callbacks, shuffle=False, **common),
                left,
            )
            return
        # tf_keras takes neither data nor callbacks of Keras as they are.
        hooks = import_extra("tf_keras", "quantization").callbacks.LambdaCallback(
            on_epoch_begin=callbacks.on_epoch_begin,
            on_epoch_end=callbacks.on_epoch_end,
            on_batch_begin=callbacks.on_train_batch_begin,
            on_batch_end=callbacks.on_train_batch_end,
        )
        found = (left[index] for index in range(len(left)))
        call_with_data(
            lambda: self._quantized.fit(found, steps_per_epoch=len(left), callbacks=[hooks], **common),
            left,
        )


def _belongs(path: Path, settings: dict[str, Any], verbose: int) -> bool:
    """Return whether a state is there and of this training; else note that the next one is."""
    note, text = path.with_suffix(".json"), json.dumps(settings)
    if path.is_file() and note.is_file() and note.read_text(encoding="utf-8") == text:
        return True
    if path.is_file() and verbose:
        print(f"starting over: {path} is the state of another fine-tuning")
    path.unlink(missing_ok=True)
    write_text(note, text)
    return False


def forget(state_path: Path) -> None:
    """Remove the state of a fine-tuning, and what says which it is of."""
    for path in (state_path, state_path.with_suffix(".json")):
        path.unlink(missing_ok=True)
