"""Training speed of a recipe in images per second, and its bottleneck."""

import dataclasses
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import keras
import numpy as np

from keras_lite import published
from keras_lite.data import ArraySource, ModelInfo
from keras_lite.training.compilation import CompiledModel
from keras_lite.training.epochs import EpochBatches
from keras_lite.training.options import Options
from keras_lite.training.pytorch_twin import TwinTraining
from keras_lite.training.recipe import Recipe
from keras_lite.training.run_batches import batches_of

# Ways in which the same network trains in PyTorch: name -> whether `torch.compile` compiles it.
TWINS = {"pytorch": False, "torch_compile": True}
_CLASSES = 10  # of models that stand for no published row


@dataclasses.dataclass(frozen=True)
class TrainingSpeed:
    """Images a second of one recipe, in the rounds of a benchmark.

    Args:
        name: What was measured.
        options: The recipe's options.
        step: The compiled training step alone, its batch at hand on the device.
        input: Preparing batches alone: reading, augmentation, normalization.
        fit: `model.fit` with both, as a recipe runs it.
        pytorch: The whole training step of the same network in PyTorch, eager, its batch at hand; empty if not asked.
        torch_compile: The same with `torch.compile`.
    """

    name: str
    options: Options
    _: dataclasses.KW_ONLY
    step: list[float]
    input: list[float]
    fit: list[float]
    pytorch: list[float]
    torch_compile: list[float]

    def to_dict(self) -> dict[str, Any]:
        """Return the figures, ready for JSON: of each kind all rounds, and their median."""
        kinds = {"step": self.step, "input": self.input, "fit": self.fit}
        kinds |= {name: found for name in TWINS if (found := getattr(self, name))}
        return {
            "name": self.name,
            "batch_size": self.options.batch_size,
            "image_size": list(self.options.image_size),
            "precision": self.options.extras.precision,
            "steps_per_execution": self.options.steps_per_execution,
            "images_per_second": {kind: statistics.median(values) for kind, values in kinds.items()},
            "rounds": kinds,
        }


def benchmark_training(
    runs: Sequence[tuple[str, Recipe, Options]], steps: int = 20, rounds: int = 3, twins: Sequence[str] = ()
) -> list[TrainingSpeed]:
    """Measure the training of recipes side by side, on random images.

    The runs take turns, and in each turn all kinds do, so that a change of the machine's speed meets them all:
    compare within one call only.

    Args:
        runs: Name, recipe and options of each run.
        steps: Training steps of each kind in a round.
        rounds: How often each run has its turn.
        twins: How to train each network in PyTorch too, on the CPU: out of `"pytorch"`, as the published code does,
            and `"torch_compile"`.

    Returns:
        A `TrainingSpeed` for each run, in order.

    Example:

    ```python
    [speed] = benchmark_training([("carnet18", recipe, Options.of(recipe, batch_size=16))])
    print(statistics.median(speed.fit) / statistics.median(speed.step))
    ```
    """
    kinds = ("step", "input", "fit", *TWINS)
    speeds = [TrainingSpeed(name, options, **{kind: [] for kind in kinds}) for name, _, options in runs]
    with ThreadPoolExecutor(max((options.workers for _, _, options in runs), default=1)) as pool, ExitStack() as stack:
        measured = [TrainingRun(recipe, options, steps, pool=pool, twins=twins) for _, recipe, options in runs]
        for run in measured:
            stack.callback(run.close)
        for run in measured:
            run.warm_up()
        for _ in range(rounds):
            for run, speed in zip(measured, speeds, strict=True):
                speed.step.append(run.step())
                speed.input.append(run.input())
                speed.fit.append(run.fit())
                for name in twins:
                    getattr(speed, name).append(run.twin(name))
    return speeds


def format_speeds(speeds: Sequence[TrainingSpeed]) -> str:
    """Return the figures as a table to read: medians over the rounds, and their spread."""
    width = max(len(speed.name) for speed in speeds)
    twins = [name for name in TWINS if any(getattr(speed, name) for speed in speeds)]
    title = "".join(f"  {name:>13s}  fit to it" for name in twins)
    lines = [f"{'images/s':{width}}  batch  image     step    input      fit  fit/step  spread of fit{title}"]
    for speed in speeds:
        step, read, fit = (statistics.median(values) for values in (speed.step, speed.input, speed.fit))
        height, side = speed.options.image_size
        lines.append(
            f"{speed.name:{width}}  {speed.options.batch_size:5d}  {height}x{side:<4d}{step:7.0f}  {read:7.0f}  "
            f"{fit:7.0f}  {fit / step:8.2f}  {f'{min(speed.fit):.0f} to {max(speed.fit):.0f}':>13s}"
        )
        for name in twins:
            theirs = statistics.median(getattr(speed, name))
            lines[-1] += f"  {theirs:13.0f}  {fit / theirs:9.2f}"
    return "\n".join(lines)


class TrainingRun:
    """One run of a benchmark: all kinds of steps, each called as often as it is measured."""

    def __init__(
        self, recipe: Recipe, options: Options, steps: int, *, pool: ThreadPoolExecutor, twins: Sequence[str] = ()
    ) -> None:
        # One step more than is timed: the first one has the start of `fit` in it.
        self._steps, self._size, self._pool = steps, options.batch_size, pool
        rng = np.random.default_rng(options.seed)
        count = (steps + options.steps_per_execution) * options.batch_size
        images = rng.integers(0, 256, (count, *options.image_size, 3), dtype="uint8")
        row = recipe.models[options.model].row
        names = [str(index) for index in range(published.get(row).classes if row else _CLASSES)]
        source = ArraySource(images, rng.integers(0, len(names), count), names)
        preprocessing = recipe.preprocessing(options.image_size)
        info = ModelInfo("benchmark", names, preprocessing, "logits")
        compiled = CompiledModel(recipe, options, info, steps)
        self._model = compiled.trained
        adam = isinstance(compiled.model.optimizer, keras.optimizers.Adam)
        self._twins = {
            name: TwinTraining(compiled.model, options.batch_size, adam, compiled=TWINS[name]) for name in twins
        }
        self._batches = batches_of(recipe, options, source, training=True)
        self._soft = options.extras.soft_labels
        images, labels = self._epoch(0)[0]
        self._batch = keras.ops.convert_to_tensor(images), keras.ops.convert_to_tensor(labels)

    def _epoch(self, epoch: int) -> EpochBatches:
        return EpochBatches(self._batches, epoch, 0, self._pool, one_hot=self._soft)

    def warm_up(self) -> None:
        """Run each kind once, so that nothing is compiled later."""
        self.step()
        self.fit()
        for name in self._twins:
            self.twin(name)

    def close(self) -> None:
        """End PyTorch's processes."""
        for twin in self._twins.values():
            twin.close()

    def twin(self, name: str) -> float:
        """Return the images a second of the same network in PyTorch."""
        return self._twins[name].images_per_second(self._steps)

    def step(self) -> float:
        """Return the images a second of the compiled step alone."""
        start = time.perf_counter()
        for _ in range(self._steps):
            self._model.train_on_batch(*self._batch)
        return self._steps * self._size / (time.perf_counter() - start)

    def input(self) -> float:
        """Return the images a second that are prepared."""
        epoch = self._epoch(0)
        start = time.perf_counter()
        for index in range(len(epoch)):
            epoch[index]
        return len(epoch) * self._size / (time.perf_counter() - start)

    def fit(self, *callbacks: keras.callbacks.Callback) -> float:
        """Return the images a second of `model.fit`."""
        epoch, clock = self._epoch(0), _Clock()
        self._model.fit(epoch, epochs=1, shuffle=False, verbose=0, callbacks=[clock, *callbacks])
        return (len(epoch) - clock.first_steps) * self._size / (clock.end - clock.start)


class _Clock(keras.callbacks.Callback):
    """Times an epoch without the call of the step function that it begins with."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.start = self.end = 0.0
        self.first_steps = 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if not self.first_steps:
            self.first_steps, self.start = batch + 1, time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.end = time.perf_counter()
