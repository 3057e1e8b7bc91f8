"""The state of a run in one file, exact enough to go on as if it had never stopped."""

import dataclasses
import json
import math
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_lite.errors import InputError
from keras_lite.files import atomic_path
from keras_lite.training import random_state
from keras_lite.training.replicas import copies_of
from keras_lite.training.run_folder import named_errors

_ARRAY = "__array__"


@dataclasses.dataclass
class Progress:
    """Progress of a run, apart from its variables.

    Attributes:
        epoch: The epoch to go on with, from 0.
        step: The step of that epoch to go on with, from 0.
        rows: The metrics of each finished epoch.
        stopped: Whether a callback ended the training.
        seconds: Time spent so far, over all starts.
        callbacks: State of each callback, in their order.
    """

    epoch: int = 0
    step: int = 0
    rows: list[dict[str, float]] = dataclasses.field(default_factory=list)
    stopped: bool = False
    seconds: float = 0.0
    callbacks: list[dict[str, Any]] = dataclasses.field(default_factory=list)


class RunState:
    """State of a run: variables, callbacks and progress.

    Saved are the model's variables with the state of every seed generator, the optimizer's, the metrics' within an
    epoch, what `callback_state` finds in each callback, and the backend's own generator of random numbers.

    Args:
        model: The model.
        metrics: The metrics the model was compiled with, as objects.
        callbacks: Callbacks whose state belongs to the run.
        seed: The run's seed.
        trained: Returns the compiled model whose steps train `model`; `None`: that is `model` itself.
    """

    def __init__(
        self,
        model: keras.Model,
        metrics: list[keras.metrics.Metric],
        callbacks: list[keras.callbacks.Callback],
        seed: int,
        trained: Callable[[], keras.Model] | None = None,
    ) -> None:
        self.progress = Progress()
        self._model = model
        self._trained = trained or (lambda: model)
        self._metrics = metrics
        self._callbacks = callbacks
        self._seed = seed
        self._metric_values: list[np.ndarray] = []
        self._random_values: dict[str, np.ndarray] = {}

    def save(self, path: Path) -> None:
        """Write the state; the old file stays until the new one is complete."""
        if keras.backend.backend() == "jax":
            self._trained().jax_state_sync()  # within an epoch the variables live in the trainer
        self.progress.callbacks = [callback_state(callback) for callback in self._callbacks]
        arrays: dict[str, np.ndarray] = {}
        for group, variables in self._variables().items():
            for index, variable in enumerate(variables):
                value = variable.value if isinstance(variable, keras.Variable) else variable
                arrays[f"{group}/{index}"] = keras.ops.convert_to_numpy(value)
        arrays |= {f"random/{name}": value for name, value in random_state.get_states().items()}
        text = json.dumps(_take_arrays(dataclasses.asdict(self.progress), arrays))
        arrays["progress"] = np.frombuffer(text.encode(), "uint8")
        with named_errors(path), atomic_path(path) as temporary:
            np.savez(temporary, **arrays)

    def load(self, path: Path, enter_epoch: Callable[[int], None] = lambda epoch: None) -> None:
        """Load a saved state: variables now; callbacks and metrics by `restore_callbacks` and `restore_metrics`.

        Args:
            path: The file.
            enter_epoch: Compiles the model as an epoch asks; called with that of the last step, whose optimizer's
                state the file has.

        Raises:
            InputError: If the file is damaged, or of a run with other variables.
        """
        try:
            # Of a damaged file NumPy does not close what it opened itself.
            with Path(path).open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            fields = _put_arrays(json.loads(arrays.pop("progress").tobytes()), arrays)
            self.progress = Progress(**fields)
        except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(f"Expected the saved state of a run in {path}, can't read it: {error}") from error
        self._random_values = {
            name.removeprefix("random/"): value for name, value in arrays.items() if name.startswith("random/")
        }
        enter_epoch(self.progress.epoch if self.progress.step else max(0, self.progress.epoch - 1))
        for group, variables in self._variables().items():
            if group == "metrics" and not self.progress.step:
                continue  # an epoch begins with none
            shapes = [tuple(variable.shape) for variable in variables]
            values = [arrays.get(f"{group}/{index}") for index in range(len(variables))]
            same_number = f"{group}/{len(variables)}" not in arrays
            if not same_number or shapes != [getattr(value, "shape", None) for value in values]:
                raise InputError(f"Expected the state of this run's model in {path}, received another {group}'s.")
            if group == "metrics":
                self._metric_values = values
                continue
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)

    def restore_callbacks(self) -> None:
        """Restore the state of the callbacks; call it after their `on_train_begin`."""
        for callback, state in zip(self._callbacks, self.progress.callbacks, strict=False):
            set_callback_state(callback, state)

    def restore_metrics(self) -> None:
        """Restore the state of the metrics within an epoch; call it after they have been reset."""
        if self.progress.step:
            for variable, value in zip(self._variables()["metrics"], self._metric_values, strict=True):
                variable.assign(value)

    def restore_random(self) -> None:
        """Restore the backend's own generator; call it before the first step of a call of `fit`.

        Each epoch begins with a state that follows from seed and epoch, since what happens between two epochs (PyTorch
        draws a number for each pass over data) depends on where the run was begun.
        """
        if self.progress.step:
            random_state.set_states(self._random_values)
        else:
            random_state.begin_epoch(self._seed, self.progress.epoch)

    def _variables(self) -> dict[str, list[keras.Variable]]:
        # The first metric is the mean loss, which tf_keras has from the first step on; compiled metrics are not listed
        # before the first step.
        metrics = [*self._trained().metrics[:1], *self._metrics]
        metric_variables = [variable for metric in metrics for variable in metric.variables]
        return {
            "model": self._model.variables,
            "optimizer": self._trained().optimizer.variables,
            "metrics": [copy for variable in metric_variables for copy in copies_of(variable)],
        }


class SliceEnded(Exception):  # noqa: N818  (nothing went wrong)
    """Raised when a run has used its minutes: all is saved, and the same call continues it."""


class SaveState(keras.callbacks.Callback):
    """Callback that saves the state of a run after every epoch, and every so many steps within one.

    It must be the last of the callbacks that have a state.

    Args:
        state: The state to save.
        path: The file.
        every_steps: Steps between two saves within an epoch.
        seconds: Returns the time spent so far.
        after_epoch: Called when the state at an epoch's end is on the disk, to write what follows from it.
        ends_at: The time spent, at which the state is saved and `SliceEnded` raised.
    """

    def __init__(
        self,
        state: RunState,
        path: Path,
        every_steps: int,
        *,
        seconds: Callable[[], float],
        after_epoch: Callable[[], None],
        ends_at: float = math.inf,
    ) -> None:
        super().__init__()
        self._state = state
        self._path = path
        self._every_steps = every_steps
        self._seconds = seconds
        self._after_epoch = after_epoch
        self._ends_at = ends_at
        self._saved_step = 0
        self._begun = False

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Take up the metrics of an epoch begun earlier."""
        self._state.restore_metrics()
        self._saved_step = self._state.progress.step
        self._begun = False
        self._learning_rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Take up the generator's state, now that the data has been opened."""
        if not self._begun:
            self._begun = True
            self._state.restore_random()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Save within the epoch."""
        step = batch + 1
        if step == self.params["steps"]:
            return
        ends = self._seconds() >= self._ends_at
        if ends or step - self._saved_step >= self._every_steps:
            self._saved_step = step
            self._save(self._state.progress.epoch, step)
        if ends:
            raise SliceEnded(f"stopped in epoch {self._state.progress.epoch + 1} after step {step}")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Save after the epoch."""
        row = {name: float(value) for name, value in (logs or {}).items()}
        row = {"epoch": epoch + 1, **row, "learning_rate": self._learning_rate}
        self._state.progress.rows.append(row)
        self._state.progress.stopped = bool(self.model.stop_training)
        self._save(epoch + 1, 0)
        self._after_epoch()
        more = not self._state.progress.stopped and epoch + 1 < self.params["epochs"]
        if more and self._seconds() >= self._ends_at:
            raise SliceEnded(f"stopped after epoch {epoch + 1}")

    def _save(self, epoch: int, step: int) -> None:
        progress = self._state.progress
        progress.epoch, progress.step, progress.seconds = epoch, step, self._seconds()
        self._state.save(self._path)


def callback_state(callback: keras.callbacks.Callback) -> dict[str, Any]:
    """Return the state of a callback.

    It is what its method `get_state()` returns, if it has one; else those of its attributes that are plain data
    (numbers, texts, arrays, and lists and dictionaries of them), which holds for the callbacks of Keras.
    """
    if hasattr(callback, "get_state"):
        return callback.get_state()
    return {name: value for name, value in vars(callback).items() if name != "params" and _is_plain(value)}


def set_callback_state(callback: keras.callbacks.Callback, state: dict[str, Any]) -> None:
    """Set the state of a callback that `callback_state` returned."""
    if hasattr(callback, "set_state"):
        callback.set_state(state)
        return
    for name, value in state.items():
        setattr(callback, name, value)


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str | np.ndarray | np.generic)


def _take_arrays(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """Return a value as JSON knows it, its arrays moved to `arrays`."""
    if isinstance(value, dict):
        return {name: _take_arrays(item, arrays) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_take_arrays(item, arrays) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        name = f"array/{len(arrays)}"
        arrays[name] = np.asarray(value)
        return {_ARRAY: name}
    return value


def _put_arrays(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(value, dict):
        if set(value) == {_ARRAY}:
            array = arrays[value[_ARRAY]]
            return array if array.ndim else array[()]
        return {name: _put_arrays(item, arrays) for name, item in value.items()}
    if isinstance(value, list):
        return [_put_arrays(item, arrays) for item in value]
    return value
