"""Write the result of a finished run into the ledger.

    python tools/record_result.py RUN_FOLDER [--results_dir results] [--remark TEXT]

One small JSON file with all that is needed to get the number again; its name follows from row, epochs, seed, protocol
and flags. Where the run has been quantized (RUN_FOLDER/quantized), the figures of the int8 file are part of it, and
where it was evaluated into RUN_FOLDER/evaluation, so is the confusion matrix: record the run again after that.
`tools/report.py` makes RESULTS.md from these files.
"""

import csv
import dataclasses
import os
from pathlib import Path
from typing import Any

from absl import flags
from PIL import Image

from keras_lite import published
from keras_lite.cli import command_line
from keras_lite.errors import InputError
from keras_lite.files import atomic_path, read_json
from keras_lite.inference.evaluation_files import CONFUSION_MATRIX
from keras_lite.inference.report import KERAS
from keras_lite.pipelines.quantize import INT8, QuantizationResult
from keras_lite.training import RunFolder
from ledger.results import RunResult, write_result

_COLORS = 32
# These have entries of their own.
_NOT_CHANGES = ("model", "seed", "protocol", "epochs", "image_size")

FLAGS = command_line.new_flags()
flags.DEFINE_string("results_dir", "results", "The folder of the ledger.", flag_values=FLAGS)
flags.DEFINE_string("remark", None, "What a reader must know besides.", flag_values=FLAGS)


def record(run_folder: str | os.PathLike, results_dir: str | os.PathLike, remark: str | None = None) -> Path:
    """Write the result of a finished run into the ledger.

    Args:
        run_folder: The folder that `keras_lite.training.fit` filled.
        results_dir: The folder of the ledger.
        remark: What a reader must know besides; a must if the commit that ran is not known or was modified.

    Returns:
        The path of the file written.

    Raises:
        InputError: If the run is not finished, a smoke run, without test images or on other data than its row's, if it
            lacks a remark, or if the ledger holds another run of the same name.

    Example:

    ```python
    record("runs/cifar100_resnet-resnet20-32-seed0", "results")
    ```
    """
    folder = RunFolder(run_folder)
    result, config = folder.training_result, _Entries(folder.config)
    if result.smoke:
        raise InputError(f"Expected a run on real data, received the smoke run in {folder.path}.")
    if result.test is None:
        raise InputError(f"Expected a run that was tested, received one without test images in {folder.path}.")
    row = None if result.row is None else published.get(result.row)
    classes = len(config["class_names"])
    if row is not None and classes != row.classes:
        raise InputError(
            f"Expected the {row.classes} classes of {row.dataset} for {row.id}, received {classes} in {folder.path}."
        )
    environment = _Entries(folder.environment)
    if remark is None and (environment["commit"] is None or environment["commit_modified"]):
        state = "an unknown commit" if environment["commit"] is None else "a modified checkout"
        raise InputError(f"Expected --remark with what the code was, because {folder.path} ran with {state}.")
    epochs = _read_metrics(folder.metrics)
    rounded = [{name: round(value, 4) for name, value in epoch.items()} for epoch in epochs]
    seen = result.images["train"] * result.epochs
    run = RunResult(
        row=result.row,
        recipe=result.recipe,
        model=result.model,
        seed=result.seed,
        protocol=result.protocol,
        epochs=result.epochs,
        published_epochs=result.published_epochs,
        image_size=list(result.image_size),
        batch_size=config["flags"]["batch_size"],
        changes={name: value for name, value in result.changes.items() if name not in _NOT_CHANGES},
        test_accuracy=round(result.test["accuracy"], 6),
        last_accuracy=round(result.last["val_accuracy"], 6),
        best_accuracy=round(result.best["val_accuracy"], 6),
        best_epoch=round(result.best["epoch"]),
        images=result.images,
        parameters=result.parameters,
        macs=result.macs,
        seconds=round(result.seconds, 1),
        images_per_second=round(seen / result.seconds, 1),
        hardware={"devices": environment["devices"], **environment["machine"]},
        backend=environment["backend"],
        python=environment["python"],
        versions={"keras_lite": environment["keras_lite"], **environment["versions"]},
        commit=environment["commit"],
        commit_modified=environment["commit_modified"],
        remark=remark,
        quantized=_quantized(folder.path / "quantized" / "result.json"),
        train_accuracies=[epoch["accuracy"] for epoch in rounded],
        epoch_accuracies=[epoch["val_accuracy"] for epoch in rounded],
        peak_memory_bytes=result.peak_memory_bytes,
    )
    picture = folder.path / "evaluation" / CONFUSION_MATRIX
    if picture.is_file():
        name = run.file_name.replace(".json", "-confusion.png")
        run = dataclasses.replace(run, confusion_matrix=name)
    path = write_result(run, results_dir)
    if run.confusion_matrix:
        with Image.open(picture) as image, atomic_path(path.with_name(run.confusion_matrix)) as temporary:
            # Few colors are enough for shades of one, and take a quarter of the space.
            image.convert("RGB").quantize(_COLORS).save(temporary, format="png", optimize=True)
    return path


class _Entries:
    """The entries of a JSON file; a missing one is an error that names the file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries = read_json(path)

    def __getitem__(self, name: str) -> Any:
        if not isinstance(self._entries, dict) or name not in self._entries:
            raise InputError(f"Expected the entry {name} in {self._path}, which has none.")
        return self._entries[name]


def _read_metrics(path: Path) -> list[dict[str, float]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    except (ValueError, TypeError, csv.Error) as error:
        raise InputError(f"Expected a table of numbers in {path}: {error}") from error
    if not all({"accuracy", "val_accuracy"} <= row.keys() for row in rows):
        raise InputError(f"Expected the columns accuracy and val_accuracy in {path}.")
    return rows


def _quantized(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    result = QuantizationResult.read(path)
    keras, int8 = result.report.row(KERAS), result.report.row(INT8)
    if None in (keras.top1, int8.top1):
        raise InputError(f"Expected the accuracy of a classifier in {path}, received none.")
    trained = 0 if result.finetuning is None else len(result.finetuning.epochs)
    return {
        "int8_accuracy": round(int8.top1, 6),
        "float_accuracy": round(keras.top1, 6),
        "agreement": round(int8.agreement, 6),
        "bytes": int8.file.bytes,
        "latency_ms": round(int8.file.latency_ms, 3),
        "threads": result.report.threads,
        "images": result.report.images,
        "split": result.split,
        "epochs": trained if result.options.epochs is None else result.options.epochs,
    }


def main(values: flags.FlagValues, positional: list[str]) -> None:
    """Record one run."""
    if len(positional) != 1:
        raise InputError(f"Expected one RUN_FOLDER, received {len(positional)} (--help says more).")
    print(record(positional[0], values.results_dir, values.remark))
