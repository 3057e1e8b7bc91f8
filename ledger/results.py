"""What a file of `results/` holds: a finished run, or a measurement of latency or of training speed."""

import dataclasses
import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any, ClassVar

from keras_lite import published
from keras_lite.errors import InputError
from keras_lite.files import read_json, write_text

SCHEMA = 1

HELD_OUT, PUBLISHED = "held_out", "published"

_HARDWARE = ("devices", "system", "processor", "cpus")
_QUANTIZED = (
    "int8_accuracy", "float_accuracy", "agreement", "bytes", "latency_ms", "threads", "images", "split", "epochs",
)  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunResult:
    """One finished run.

    Args:
        row: Id of the published row it stands for, or `None`.
        recipe: Name of the recipe.
        model: Name of the recipe's model.
        seed: The seed.
        protocol: `"held_out"`: the training data was split for validation and the test images were read once, at the
            end; `"published"`: all training data, and the test images were evaluated after every epoch.
        epochs: Epochs that were run.
        published_epochs: Epochs of the recipe, or `None`.
        image_size: Height and width in pixels.
        batch_size: Images in a training step.
        changes: Further flags that differ from the recipe's.
        test_accuracy: Share of the test images that the last epoch's model gets right.
        last_accuracy: The same share of the images that were evaluated after every epoch: test images by the published
            protocol, else validation images.
        best_accuracy: The best of the epochs on those images.
        best_epoch: That epoch, from 1.
        images: Number of images of each split.
        parameters: Parameters, frozen ones included.
        macs: Multiply-accumulates for one image.
        seconds: The whole run, evaluations included.
        images_per_second: Training images seen in a second of the whole run.
        hardware: `devices`, `system`, `processor`, `cpus`.
        backend: The Keras backend.
        python: Version of Python.
        versions: Package -> version.
        commit: The commit that ran, or `None` where it is not known.
        commit_modified: Whether the checkout differed from it.
        remark: What a reader must know besides, or `None`.
        quantized: Figures of the int8 file made from the run (`int8_accuracy`, `float_accuracy`, `agreement`, `bytes`,
            `latency_ms`, `threads`, `images`, `split`, `epochs`), or `None`.
        train_accuracies: Share right of the augmented training images, of every epoch.
        epoch_accuracies: As `last_accuracy`, of every epoch.
        peak_memory_bytes: The most memory that the process that ended the run has had, see
            `keras_lite.training.environment.peak_memory`; `None` where it was not measured.
        confusion_matrix: Name of its picture, beside the file, or `None`.

    Raises:
        InputError: If a value is of the wrong type or contradicts another.
    """

    kind: ClassVar[str] = "run"
    # The same run may be recorded again with other values of these.
    additions: ClassVar[tuple[str, ...]] = ("remark", "quantized", "confusion_matrix")

    row: str | None
    recipe: str
    model: str
    seed: int
    protocol: str
    epochs: int
    published_epochs: int | None
    image_size: list
    batch_size: int
    changes: dict
    test_accuracy: float | int
    last_accuracy: float | int
    best_accuracy: float | int
    best_epoch: int
    images: dict
    parameters: int
    macs: int
    seconds: float | int
    images_per_second: float | int
    hardware: dict
    backend: str
    python: str
    versions: dict
    commit: str | None
    commit_modified: bool | None
    remark: str | None
    quantized: dict | None
    train_accuracies: list
    epoch_accuracies: list
    peak_memory_bytes: int | None = None
    confusion_matrix: str | None = None

    def __post_init__(self) -> None:
        _check_types(self)
        if self.row is not None:
            published.get(self.row)
        if self.protocol not in (HELD_OUT, PUBLISHED):
            raise InputError(f"Expected protocol to be {HELD_OUT} or {PUBLISHED}, received {self.protocol}.")
        for name in ("train_accuracies", "epoch_accuracies"):
            if len(getattr(self, name)) != self.epochs:
                raise InputError(f"Expected {self.epochs} {name}, received {len(getattr(self, name))}.")
        shares = [self.test_accuracy, self.last_accuracy, self.best_accuracy]
        for share in (*shares, *self.train_accuracies, *self.epoch_accuracies):
            if not isinstance(share, int | float) or not 0 <= share <= 1:
                raise InputError(f"Expected accuracies as shares from 0 to 1, received {share!r}.")
        _check_entries("hardware", self.hardware, _HARDWARE)
        if self.quantized is not None:
            _check_entries("quantized", self.quantized, _QUANTIZED)
        # What was evaluated after every epoch would else pass for test images in the report.
        if self.protocol == PUBLISHED and abs(self.test_accuracy - self.last_accuracy) > 0.002:
            raise InputError(
                f"Expected one accuracy of the last epoch by the published protocol, received {self.last_accuracy} "
                f"after the epoch and {self.test_accuracy} in the test."
            )

    @property
    def other_image_size(self) -> list[int] | None:
        """The size of the images, if it is not the one of the published row."""
        size = None if self.row is None else list(published.get(self.row).input[:2])
        return None if self.image_size == size else self.image_size

    @property
    def file_name(self) -> str:
        """The name that only this run may have: another with the same name is the same experiment."""
        name = self.row.replace("/", "-") if self.row else f"{self.recipe}-{self.model}"
        parts = [name, f"{self.epochs}epochs", f"seed{self.seed}", self.protocol]
        if self.other_image_size is not None:
            parts.append(f"{size_text(self.image_size)}px")
        if self.changes:
            text = json.dumps(self.changes, sort_keys=True)
            parts.append(f"changes{hashlib.sha256(text.encode()).hexdigest()[:8]}")
        return "-".join(parts) + ".json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class LatencyResult:
    """The time of one image through networks, all measured in one go on one device.

    Args:
        device: Name of the device, for example `"Pixel 7"`.
        threads: Number of threads.
        precision: `"float32"`, `"int8"`, `"stock-int8"` (made by the stock converter), or with ` phone-friendly` behind
            it: of networks without hard-swish and attention.
        milliseconds: Id of a row of `keras_lite.published.latencies()`, or of `keras_lite.published.rows()` -> median
            time in milliseconds.
        versions: Package -> version.
        commit: The commit that ran, or `None`.
        remark: What a reader must know besides, or `None`.

    Raises:
        InputError: If a value is of the wrong type or a row is not known.
    """

    kind: ClassVar[str] = "latency"
    additions: ClassVar[tuple[str, ...]] = ("remark",)

    device: str
    threads: int
    precision: str
    milliseconds: dict
    versions: dict
    commit: str | None
    remark: str | None

    def __post_init__(self) -> None:
        _check_types(self)
        known = {row.id for row in (*published.latencies(), *published.rows())}
        if unknown := [row for row in self.milliseconds if row not in known]:
            raise InputError(f"Expected rows of the published tables, received {unknown[0]}.")
        if not all(isinstance(value, int | float) and value > 0 for value in self.milliseconds.values()):
            raise InputError("Expected milliseconds above 0, received others.")

    @property
    def file_name(self) -> str:
        """The name of its file."""
        return f"latency-{_file_part(self.device)}-{self.threads}threads-{_file_part(self.precision)}.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpeedResult:
    """How many images a second `model.fit` trains of some rows, all measured in one go, in turns.

    Args:
        device: Name of the device.
        backend: The Keras backend.
        precision: Of the computation: `"float32"`, ...
        batch_size: Images in a training step.
        image_size: Height and width in pixels.
        images_per_second: Id of a published row -> images a second of `fit`, the median over the rounds.
        step_images_per_second: The same of the compiled step alone, its batch at hand.
        pytorch_images_per_second: The same of the network's twin in PyTorch, its batch at hand, or `None`.
        versions: Package -> version.
        commit: The commit that ran, or `None`.
        remark: What a reader must know besides, or `None`.

    Raises:
        InputError: If a value is of the wrong type or a row is not known.
    """

    kind: ClassVar[str] = "speed"
    additions: ClassVar[tuple[str, ...]] = ("remark",)

    device: str
    backend: str
    precision: str
    batch_size: int
    image_size: list
    images_per_second: dict
    step_images_per_second: dict
    versions: dict
    commit: str | None
    remark: str | None
    pytorch_images_per_second: dict | None = None

    def __post_init__(self) -> None:
        _check_types(self)
        kinds = [self.images_per_second, self.step_images_per_second, self.pytorch_images_per_second]
        speeds = [kind for kind in kinds if kind is not None]
        if any(set(kind) != set(self.images_per_second) for kind in speeds):
            raise InputError("Expected images a second of every kind for the same rows.")
        for row, value in (item for kind in speeds for item in kind.items()):
            published.get(row)
            if not isinstance(value, int | float) or not value > 0:
                raise InputError(f"Expected images a second above 0, received {value!r} of {row}.")

    @property
    def file_name(self) -> str:
        """The name of its file, after its first row."""
        parts = [
            "speed",
            _file_part(self.device),
            self.backend,
            self.precision,
            f"{size_text(self.image_size)}px",
            f"batch{self.batch_size}",
            _file_part(next(iter(self.images_per_second), "")),
        ]
        return "-".join(parts) + ".json"


Result = RunResult | LatencyResult | SpeedResult
_KINDS = {kind.kind: kind for kind in (RunResult, LatencyResult, SpeedResult)}


def device_name(hardware: dict) -> str:
    """Return the accelerators of a machine, or else its processor.

    Args:
        hardware: `devices`, `processor` and `cpus`, as in `RunResult.hardware`.
    """
    accelerators = [device for device in hardware["devices"] if not device.startswith("cpu")]
    return ", ".join(accelerators) or f"{hardware['processor']}, {hardware['cpus']} cores"


def _file_part(text: str) -> str:
    return re.sub(r"[^a-z0-9_]+", "-", text.lower()).strip("-")


def size_text(size: list[int]) -> str:
    """Return a height and width as one number, if they are the same, else as `HEIGHTxWIDTH`."""
    return "x".join(str(side) for side in dict.fromkeys(size))


def read_results(results_dir: str | os.PathLike) -> list[Result]:
    """Return the results in a folder, in the order of their file names.

    Raises:
        InputError: If a file is no result, or does not have the name that belongs to its content: so no second result
            of one experiment can lie beside the first.
    """
    results = []
    for path in sorted(Path(results_dir).glob("*.json")):
        result = _read(path)
        if path.name != result.file_name:
            raise InputError(f"Expected the name {result.file_name} for what is in it, received {path}.")
        results.append(result)
    return results


def write_result(result: Result, results_dir: str | os.PathLike) -> Path:
    """Write a result into a folder.

    Returns:
        The path of the file.

    Raises:
        InputError: If the file exists and holds another run. The same run may be written again, with a remark or the
            figures of its int8 file; those that it had before are kept where it has none now.
    """
    path = Path(results_dir) / result.file_name
    if path.exists():
        old = _read(path)
        kept = {name: getattr(old, name) for name in result.additions if getattr(result, name) is None}
        result = dataclasses.replace(result, **kept)
        if dataclasses.replace(old, **{name: getattr(result, name) for name in result.additions}) != result:
            raise InputError(f"Expected the run that is in {path}, received another one of the same name.")
    text = json.dumps({"schema": SCHEMA, "kind": result.kind, **dataclasses.asdict(result)}, indent=1)
    # A list of numbers goes on one line.
    text = re.sub(r"\[[\d\s.,e+-]*\]", lambda found: f"[{' '.join(found[0][1:-1].split())}]", text)
    write_text(path, text + "\n")
    return path


def _read(path: Path) -> Result:
    entries = read_json(path)
    if not isinstance(entries, dict) or entries.pop("schema", None) != SCHEMA:
        raise InputError(f"Expected a result of schema {SCHEMA} in {path}.")
    kind = _KINDS.get(entries.pop("kind", None))
    if kind is None:
        raise InputError(f"Expected a result of kind {' or '.join(_KINDS)} in {path}.")
    names = {field.name for field in dataclasses.fields(kind)}
    needed = {field.name for field in dataclasses.fields(kind) if field.default is dataclasses.MISSING}
    if different := sorted((needed - set(entries)) | (set(entries) - names)):
        raise InputError(
            f"Expected the entries of a {kind.kind} in {path}, missing or unknown: {', '.join(different)}."
        )
    try:
        return kind(**entries)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _check_entries(name: str, value: dict, expected: tuple[str, ...]) -> None:
    if set(value) != set(expected):
        raise InputError(f"Expected {name} to have the entries {', '.join(expected)}, received {', '.join(value)}.")


def _check_types(result: Any) -> None:
    for field in dataclasses.fields(result):
        value = getattr(result, field.name)
        if not isinstance(value, field.type):
            name = getattr(field.type, "__name__", field.type)
            raise InputError(f"Expected {field.name} to be of type {name}, received {value!r}.")
