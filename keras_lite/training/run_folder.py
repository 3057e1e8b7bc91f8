"""The folder of a run: settings, metrics and results."""

import contextlib
import io
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras

from keras_lite.checkpoints.keras_files import ENDINGS, is_keras_model
from keras_lite.data import Augmentation, ModelInfo, Preprocessing, read_model_info
from keras_lite.errors import InputError
from keras_lite.files import atomic_path, read_json, write_bytes, write_json, write_text
from keras_lite.training import processes
from keras_lite.training.training_result import TrainingResult


class RunFolder:
    """The files of one run, and the settings in them.

    All files can be written again from the contents of `resume.npz`.

    Args:
        path: The folder; it is made when the run begins.

    Attributes:
        model: The final model.
        result: What came out, as JSON; `training_result` reads it.
        evaluation: The folder of an evaluation: table, confusion matrix, mistakes.
        quantized: The folder of the int8 file.
        android: The folder of the example app's assets.
        web: The folder of the web page.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = Path(path)
        self.config = self.path / "config.json"
        self.environment = self.path / "environment.json"
        self.metrics = self.path / "metrics.csv"
        self.curves = self.path / "curves.png"
        self.tensorboard = self.path / "tensorboard"
        self.best_weights = self.path / "best.weights.h5"
        self.last_weights = self.path / "last.weights.h5"
        self.model = self.path / "model.keras"
        self.result = self.path / "result.json"
        self.resume = self.path / "resume.npz"
        self.evaluation = self.path / "evaluation"
        self.quantized = self.path / "quantized"
        self.android = self.path / "android"
        self.web = self.path / "web"

    @property
    def data_dir(self) -> str:
        """The data that the run is trained on.

        Raises:
            InputError: If the folder holds no run.
        """
        if not self.config.is_file():
            raise InputError(f"Expected --data_dir, because {self.path} is not a run folder that names its data.")
        return read_json(self.config)["data_dir"]

    @property
    def training_result(self) -> TrainingResult:
        """What came out of the run.

        Raises:
            InputError: If the run is not finished, or the file holds something else.
        """
        if not self.result.is_file():
            raise InputError(f"Expected the folder of a finished run, received {self.path} without {self.result.name}.")
        return TrainingResult.read(self.result)

    @property
    def row(self) -> str | None:
        """Id of the published row that the run stands for; `None` without one, or without a run."""
        return self._setting("row")

    @property
    def augmentation(self) -> Augmentation | None:
        """The augmentation of the run's training images; `None` without a run."""
        return Augmentation.from_dict(self._setting("augmentation") or {}) if self.config.is_file() else None

    @property
    def info(self) -> ModelInfo:
        """The information of the final model: classes, preprocessing, kind of output.

        Raises:
            InputError: If the run is not finished.
        """
        return read_model_info(self.model)

    @property
    def preprocessing(self) -> Preprocessing:
        """The preprocessing of the final model; errors as for `info`."""
        return self.info.preprocessing

    def _setting(self, name: str) -> Any:
        return read_json(self.config).get(name) if self.config.is_file() else None

    def open(self, settings: dict[str, Any]) -> TrainingResult | None:
        """Make the folder, or make sure that the run in it is the one that is asked for.

        Of several processes that take part the first one does so, and all get the result.

        Args:
            settings: What the weights depend on and is known before the data is read: the first part of
                `config.json`.

        Returns:
            The result, if the run is finished.

        Raises:
            InputError: If the folder can't be written to, or holds a run with other settings.
        """
        found = processes.on_first(lambda: self._open(settings))
        return None if found is None else TrainingResult.from_dict(found, str(self.result))

    def _open(self, settings: dict[str, Any]) -> dict[str, Any] | None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.path):
                pass
        except OSError as error:
            raise InputError(
                f"Expected --output_dir to be a folder that can be written to, received {self.path}: {error.strerror}"
            ) from error
        if not self.config.exists():
            return None
        self._check_same(settings)
        return read_json(self.result) if self.result.exists() else None

    def begin(self, settings: dict[str, Any], flags: dict[str, Any], environment: dict[str, Any]) -> None:
        """Write the settings of the run, before its first step.

        Args:
            settings: What the weights depend on, now with the facts of the data.
            flags: All flags, also those without effect on the weights.
            environment: What `keras_lite.training.environment` returns.

        Raises:
            InputError: If the folder holds a run on other data.
        """
        if self.config.exists():
            self._check_same(settings)
        else:
            write_json(self.config, settings | {"data_dir": flags["data_dir"], "flags": flags})
        write_json(self.environment, environment)

    def write_epoch(self, model: keras.Model, rows: list[dict[str, float]]) -> None:
        """Write the weights and metrics of an epoch."""
        content = weights_file(model)
        paths = [self.last_weights, *([self.best_weights] if best_row(rows) is rows[-1] else [])]
        for path in paths:
            with named_errors(path):
                write_bytes(path, content)
        write_metrics(self.metrics, rows)

    def _check_same(self, settings: dict[str, Any]) -> None:
        # As JSON gives it back: tuples are lists there.
        wanted = json.loads(json.dumps(settings))
        expected, received = _differences(read_json(self.config), wanted)
        if expected:
            raise InputError(
                f"Expected the flags of the run in {self.path} ({expected}), received {received}. "
                f"Choose another --output_dir for another run."
            )


def model_file(path: str | os.PathLike) -> Path:
    """Return the path of a model: the path itself (a file or a SavedModel), or the final model of a run folder.

    Raises:
        InputError: If there is none.
    """
    path = Path(path)
    if path.is_dir() and not is_keras_model(path):
        folder = RunFolder(path)
        if not folder.model.is_file():
            raise InputError(f"Expected a finished run in {path}, received a folder without {folder.model.name}.")
        return folder.model
    if path.suffix not in ("", ".tflite", *ENDINGS) and not path.is_dir():
        raise InputError(
            f"Expected a run folder, a .keras, .h5 or .tflite file or PyTorch weights, received {str(path)!r}."
        )
    if not path.exists():
        raise InputError(f"Expected a model at {str(path)!r}, which does not exist.")
    return path


def _differences(there: Any, wanted: dict[str, Any]) -> tuple[str, str]:
    """Name the settings that differ, as they are and as they are wanted; empty texts if none does."""
    if not isinstance(there, dict):
        return "none", "a config.json that is not a run's"
    expected, received = [], []
    for name, value in wanted.items():
        old = there.get(name)
        if name == "flags" and isinstance(old, dict):
            changed = [flag for flag in value if old.get(flag) != value[flag]]
            expected += [f"--{flag} {_flag_text(old.get(flag))}" for flag in changed]
            received += [f"--{flag} {_flag_text(value[flag])}" for flag in changed]
        elif isinstance(value, dict) and isinstance(old, dict):
            changed = [key for key in old | value if old.get(key) != value.get(key)]
            expected += [f"{name}.{key} {_short(old.get(key))}" for key in changed]
            received += [f"{name}.{key} {_short(value.get(key))}" for key in changed]
        elif old != value:
            expected.append(f"{name} {_short(old)}")
            received.append(f"{name} {_short(value)}")
    return ", ".join(expected), ", ".join(received)


def _flag_text(value: Any) -> str:
    return "x".join(map(str, value)) if isinstance(value, list) else str(value)


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."


def best_row(rows: list[dict[str, float]]) -> dict[str, float]:
    """Return the first of the epochs with the highest validation accuracy."""
    return max(rows, key=lambda row: row["val_accuracy"])


class _WeightsInMemory(io.BytesIO):
    """A buffer that passes for a path: Keras tells the format of weights by the name's ending."""

    def __str__(self) -> str:
        return "memory.weights.h5"


def weights_file(model: keras.Model) -> bytes:
    """Return the content of a file of a model's weights, `*.weights.h5`."""
    # HDF5 itself meets a full disk with a flood of messages, so it writes to memory.
    buffer = _WeightsInMemory()
    model.save_weights(buffer)
    return buffer.getvalue()


@contextlib.contextmanager
def named_errors(path: Path) -> Iterator[None]:
    """Raise the errors of writing a file with the file's name."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def write_metrics(path: Path, rows: list[dict[str, float]]) -> None:
    """Write the metrics of all epochs as a CSV table, each number with all its digits."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [names, *([repr(row[name]) if name in row else "" for name in names] for row in rows)]
    write_text(path, "".join(",".join(line) + "\n" for line in lines))


def draw_curves(path: Path, rows: list[dict[str, float]]) -> None:
    """Draw loss and accuracy over the epochs, of training and validation."""
    from matplotlib.figure import Figure  # without pyplot no window system is looked for

    figure = Figure(figsize=(10, 4))
    figure.subplots_adjust(left=0.07, right=0.98, top=0.95, bottom=0.13)
    epochs = [row["epoch"] for row in rows]
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for key, label in ((name, "training"), (f"val_{name}", "validation")):
            axes.plot(epochs, [row.get(key) for row in rows], label=label, marker="." if len(rows) < 20 else "")
        axes.set(xlabel="epoch", ylabel=name)
        axes.grid(alpha=0.3)
        axes.legend()
    with named_errors(path), atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=100)
