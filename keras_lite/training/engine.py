"""Training a recipe's model, from data to a complete run folder."""

import contextlib
import dataclasses
import math
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import keras

from keras_lite import published
from keras_lite.data import Batches, ModelInfo, Source, write_model_info
from keras_lite.errors import InputError
from keras_lite.files import atomic_path
from keras_lite.profiling import profile
from keras_lite.training import processes
from keras_lite.training.compilation import CompiledModel
from keras_lite.training.data_parallel import data_parallel
from keras_lite.training.environment import environment, peak_memory
from keras_lite.training.epochs import EpochBatches, RunCallbacks, call_with_data
from keras_lite.training.frozen_layers import FeatureBatches, FeatureMaker
from keras_lite.training.one_device import OneDevice
from keras_lite.training.options import Options
from keras_lite.training.progress import progress_callbacks
from keras_lite.training.recipe import Recipe
from keras_lite.training.resume import RunState, SaveState
from keras_lite.training.run_batches import augmentation_of, batches_of
from keras_lite.training.run_folder import RunFolder, best_row, draw_curves, named_errors
from keras_lite.training.splits import splits_of_run
from keras_lite.training.tensorboard import TensorBoardLog
from keras_lite.training.training_result import TrainingResult

_SECONDS_BETWEEN_DRAWINGS = 60


def fit(
    recipe: Recipe,
    data: dict[str, Source],
    options: Options,
    output_dir: str | os.PathLike,
    *,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    features: FeatureMaker | None = None,
    verbose: int = 0,
) -> TrainingResult:
    """Train with `model.fit`, validate after each epoch, test once at the end.

    With the published protocol all images but the test images train, and the test images are used for validation.

    The run can be killed at any moment: the same call continues it, and on the same backend it ends with the same
    weights and metrics as an uninterrupted run. A finished run only returns its result.

    Args:
        recipe: What to train, and how.
        data: The sources `"train"`, `"valid"` and `"test"`. Without `"valid"` some of the training images are held
            out; without `"test"` the result has none.
        options: The choices of this run.
        output_dir: The run folder, which receives `config.json`, `environment.json`, `metrics.csv`, `curves.png`,
            `tensorboard/`, `best.weights.h5`, `last.weights.h5`, `model.keras` with
            `model.json`, `result.json` and `resume.npz`.
        callbacks: Further Keras callbacks. Their state is saved and restored too, see `callback_state`.
        features: Of a fine-tuning: makes of frozen layers, a `keras.Model`, a function that computes their outputs for
            batches of preprocessed images. `None`, or if it returns `None`: Keras computes them.
        verbose: 1 shows progress: a bar on a terminal, else a line at each tenth of an epoch.

    Returns:
        What `result.json` holds: the metrics of the last and the best epoch, and of the test, with all they belong to.

    Raises:
        InputError: If the data has no training images, or the folder can't be used for this run.
        SliceEnded: After `options.max_minutes`, with everything saved; call again to go on.

    Example:

    ```python
    result = fit(recipe, open_data("photos", (96, 96)), Options.of(recipe, image_size=(96, 96)), "runs/mine")
    print(result.test["accuracy"])
    ```
    """
    _check(recipe, options)
    spread = data_parallel(options)
    folder = RunFolder(processes.own_folder(output_dir))
    settings = run_settings(recipe, options)
    finished = folder.open(settings)
    if finished is not None:
        return finished
    start = time.monotonic()
    data = splits_of_run(data, options, recipe.test_split)
    classes = data["train"].class_names
    images = {split: len(source) for split, source in data.items()}
    settings |= {"class_names": classes, "images": images}
    keras.utils.set_random_seed(options.seed)
    info = ModelInfo(options.model.replace("/", "_"), classes, recipe.preprocessing(options.image_size), "logits")
    steps_per_epoch = math.ceil(images["train"] / options.batch_size)
    tuning = recipe.finetuning
    callbacks = [*callbacks, *(tuning.callbacks() if tuning else [])]
    with spread.scope():
        seen = images["train"] + images.get("valid", 0)
        compiled = CompiledModel(recipe, options, info, steps_per_epoch, seen, features=features)
        state = RunState(compiled.model, [compiled.accuracy], callbacks, options.seed, trained=lambda: compiled.trained)
    spread.prepare(compiled.trained)
    processes.on_first(lambda: folder.begin(settings, options.to_dict(), environment()))
    processes.share_file(folder.resume)
    if folder.resume.exists():
        state.load(folder.resume, compiled.enter_epoch)
    before = state.progress.seconds
    run = _Run(
        folder,
        compiled,
        state,
        options,
        spread=spread,
        seconds=lambda: before + time.monotonic() - start,
        verbose=verbose,
    )
    run.class_weight = tuning.weights_of_classes(data["train"].labels) if tuning else None
    if options.max_minutes is not None:
        run.end_at(before + 60 * options.max_minutes)
    batches = {}
    for split, source in data.items():
        training = split == "train"
        # To mix images all of a batch must be read.
        read = source if training and options.extras.mixes else spread.source(source)
        batches[split] = batches_of(recipe, options, read, training)
    with ThreadPoolExecutor(options.workers) as pool:
        run.train(batches["train"], batches["valid"], callbacks, pool)
        if tuning:
            compiled.model.load_weights(folder.best_weights, objects_to_skip=[compiled.trained.optimizer])
        test = run.test(batches["test"], pool) if "test" in batches else None
    compiled.unfreeze()
    with (
        run.weights_to_keep(),
        spread.saving(compiled.model),
        named_errors(folder.model),
        atomic_path(folder.model) as temporary,
    ):
        compiled.model.save(temporary)
    write_model_info(folder.model, info, recipe=recipe.name)
    last = state.progress.rows[-1]
    if options.protocol == "published":
        test = {"loss": last["val_loss"], "accuracy": last["val_accuracy"]}
        images["test"] = images["valid"]
    size, row = profile(compiled.model), recipe.models[options.model].row
    result = TrainingResult(
        recipe=recipe.name,
        model=options.model,
        row=row,
        smoke=options.smoke,
        seed=options.seed,
        protocol=options.protocol,
        changes=options.changes(recipe),
        epochs=len(state.progress.rows),
        published_epochs=recipe.epochs,
        last=last,
        best=best_row(state.progress.rows),
        tested_epoch="best" if tuning else "last",
        test=test,
        images=images,
        image_size=options.image_size,
        batch_size=options.batch_size,
        seconds=run.seconds(),
        peak_memory_bytes=peak_memory(),
        parameters=size.parameters,
        macs=size.macs,
        published=None if row is None else published.get(row).published,
    )
    result.write(folder.result)
    return result


def run_settings(recipe: Recipe, options: Options) -> dict[str, Any]:
    """Return the settings that a run's weights depend on, apart from the data: the first part of `config.json`."""
    optimizer = recipe.optimizer(options.learning_rate)
    tuning = recipe.finetuning
    return {
        "recipe": recipe.name,
        "model": options.model,
        "row": recipe.models[options.model].row,
        "flags": options.with_effect(),
        "preprocessing": recipe.preprocessing(options.image_size).to_dict(),
        "augmentation": augmentation_of(recipe, options).to_dict(),
        "optimizer": {"class_name": type(optimizer).__name__, "config": _without_names(optimizer.get_config())},
        "backend": keras.backend.backend(),
        **({"finetuning": dataclasses.asdict(tuning)} if tuning else {}),
    }


def _check(recipe: Recipe, options: Options) -> None:
    tuning = recipe.finetuning
    if tuning is None:
        return
    if options.protocol != "held_out":
        raise InputError("Expected --protocol held_out for fine-tuning, which keeps the best epoch, received another.")
    if options.data_parallel or options.extras.ema_decay:
        raise InputError("Expected neither --data_parallel nor --ema_decay for fine-tuning, received one.")
    if tuning.head_epochs >= options.epochs:
        raise InputError(
            f"Expected more epochs than the {tuning.head_epochs} of the head alone, received {options.epochs}."
        )


def _without_names(config: Any) -> Any:
    # The names of optimizers, also of one in another, have numbers that count the optimizers of this process.
    if not isinstance(config, dict):
        return config
    return {key: _without_names(value) for key, value in config.items() if key != "name"}


class _Run:
    """The part of a run that can be killed and taken up again."""

    def __init__(
        self,
        folder: RunFolder,
        compiled: CompiledModel,
        state: RunState,
        options: Options,
        *,
        spread: OneDevice,
        seconds: Callable[[], float],
        verbose: int,
    ) -> None:
        self._folder = folder
        self._compiled = compiled
        self._average = compiled.average
        self._state = state
        self._options = options
        self._spread = spread
        self._verbose = verbose
        self.seconds = seconds
        self._ends_at = math.inf
        self._features: dict[int, FeatureBatches] = {}
        self.class_weight: dict[int, float] | None = None

    def end_at(self, seconds: float) -> None:
        """Stop when so much time is spent."""
        self._ends_at = seconds
        # All processes go by one clock, so that they stop at the same step.
        clock, self.seconds = self.seconds, lambda: processes.on_first(clock)

    def train(
        self,
        train: Batches,
        valid: Batches,
        callbacks: Sequence[keras.callbacks.Callback],
        pool: ThreadPoolExecutor,
    ) -> None:
        """Train the epochs that are left, each with a call of `model.fit`."""
        progress, folder, epochs = self._state.progress, self._folder, self._options.epochs
        log = TensorBoardLog(folder.tensorboard, progress.rows)
        if progress.rows and progress.step == 0:
            # The run may have been killed between the state and the files that follow from it.
            self._write_epoch()

        drawn = time.monotonic()

        def after_epoch() -> None:
            nonlocal drawn
            self._write_epoch()
            log.write(progress.rows[-1])
            # Drawing takes as long as a short epoch.
            if time.monotonic() - drawn > _SECONDS_BETWEEN_DRAWINGS:
                draw_curves(folder.curves, progress.rows)
                drawn = time.monotonic()

        every = self._options.save_every_steps
        saver = SaveState(
            self._state, folder.resume, every, seconds=self.seconds, after_epoch=after_epoch, ends_at=self._ends_at
        )
        show, verbose = progress_callbacks() if self._verbose else ([], 0)
        average = [self._average] if self._average else []
        every_callback = [*callbacks, *average, saver, *show]
        run_callbacks = RunCallbacks(
            every_callback, self._compiled.trained, epochs, steps=train.num_batches, verbose=verbose
        )
        run_callbacks.begin()
        self._state.restore_callbacks()
        while progress.epoch < epochs and not progress.stopped:
            self._compiled.enter_epoch(progress.epoch)
            run_callbacks.set_model(self._compiled.trained)
            run_callbacks.first_step = progress.step
            left = self._epoch(self._inputs(train, progress.epoch, pool), progress.epoch, progress.step, pool)
            validation = self._epoch(self._inputs(valid, 0, pool), 0, 0, pool)
            self._fit_epoch(left, validation, progress.epoch, run_callbacks)
        run_callbacks.end()
        draw_curves(folder.curves, progress.rows)

    def test(self, test: Batches, pool: ThreadPoolExecutor) -> dict[str, float]:
        """Return the metrics of the trained model on the test images."""
        batches = self._epoch(test, 0, 0, pool)
        if self._verbose:
            print(f"testing on {len(test.source)} images", flush=True)
        with self.weights_to_keep():
            metrics = call_with_data(
                lambda: self._compiled.trained.evaluate(batches, verbose=0, return_dict=True), batches
            )
        return {name: float(value) for name, value in metrics.items()}

    def weights_to_keep(self) -> contextlib.AbstractContextManager[None]:
        """Have the weights in the model that are tested and kept."""
        return self._average.in_place() if self._average else contextlib.nullcontext()

    def _inputs(self, batches: Batches, epoch: int, pool: ThreadPoolExecutor) -> Batches | FeatureBatches:
        """Return batches of what is trained now: of photos, or of their features."""
        compute = self._compiled.features
        if compute is None:
            self._features.clear()
            return batches
        if id(batches) not in self._features:
            copies = 1 if batches.augmentation is None else self._compiled.copies
            self._features[id(batches)] = FeatureBatches(batches, compute, copies)
        features = self._features[id(batches)]
        features.prepare(epoch, pool)
        return features

    def _epoch(
        self, batches: Batches | FeatureBatches, epoch: int, first_step: int, pool: ThreadPoolExecutor
    ) -> EpochBatches:
        soft = self._options.extras.soft_labels
        return EpochBatches(batches, epoch, first_step, pool, one_hot=soft, place=self._spread.place)

    def _write_epoch(self) -> None:
        with self.weights_to_keep():
            self._folder.write_epoch(self._compiled.model, self._state.progress.rows)

    def _fit_epoch(self, left: EpochBatches, validation: EpochBatches, epoch: int, callbacks: RunCallbacks) -> None:
        call_with_data(
            lambda: self._compiled.trained.fit(
                left,
                validation_data=validation,
                initial_epoch=epoch,
                epochs=epoch + 1,
                callbacks=callbacks,
                class_weight=self.class_weight,
                shuffle=False,  # the batches have their order
            ),
            left,
            validation,
        )
