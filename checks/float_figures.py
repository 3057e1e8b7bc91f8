"""What is found of a float32 file beside that of TensorFlow's converter, and what is demanded of it."""

import dataclasses
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_lite.export.conversion import convert
from keras_lite.litert.writer import write
from keras_lite.quantization import to_tf_keras
from keras_lite.quantization.lower import lower
from keras_lite.runtime.inspection import examine
from keras_lite.runtime.worker_process import call_worker

LARGEST_DIFFERENCE = 1e-4
# An output may be off by this many times what the stock file's is.
DIFFERENCE_RATIO = 2.0
# About ten roundings of float32: a ratio of smaller differences means nothing.
DIFFERENCE_FLOOR = 1e-6
LATENCY_RATIO = 1.02
# Turns of the two files; those after the first are measured if the ratio before them is above.
TURNS = (15, 45, 135)
# Turns of `measure_all`, in one process. Where memory happens to lie there can move a ratio by more than is demanded.
AT_ONCE = 5
_TURN_MS, _MOST_RUNS = 40.0, 200
_BATCH = 8


@dataclasses.dataclass(frozen=True)
class OneFile:
    """What was found of one float32 file.

    Args:
        difference: Largest difference of an output from Keras' own, as a share of the largest output.
        operators: How often each operator is in it.
        partitions: Parts that XNNPACK runs.
        not_delegated: Names of the operators outside of those.
        bytes: Size of the file.
        seconds: From the Keras model to the file.
    """

    difference: float
    _: dataclasses.KW_ONLY
    operators: dict[str, int]
    partitions: int
    not_delegated: list[str]
    bytes: int
    seconds: float


@dataclasses.dataclass(frozen=True)
class Latency:
    """The time of one image on one thread, of both files in turns.

    Args:
        turns: How many.
        milliseconds: The median, of the new file.
        stock_milliseconds: Of the stock one.
        ratio: Of the new to the stock one; the median of several processes' ratios.
    """

    turns: int
    milliseconds: float
    stock_milliseconds: float
    ratio: float


@dataclasses.dataclass(frozen=True)
class Figures:
    """What was found of one network's float32 files.

    Args:
        network: The network's name.
        input_shape: Height, width and channels.
        images: How many images were compared.
        new: The file that is lowered and written by keras_lite.
        stock: That of TensorFlow's converter.
        latencies: Measurements; one above the demand is followed by one of more turns. Empty: not measured.
    """

    network: str
    input_shape: list[int]
    images: int
    new: OneFile
    stock: OneFile
    latencies: list[Latency]

    @classmethod
    def from_dict(cls, entries: dict[str, Any]) -> "Figures":
        """Return the figures that `dataclasses.asdict` made a dictionary of."""
        files = {name: OneFile(**entries[name]) for name in ("new", "stock")}
        return cls(**{**entries, **files, "latencies": [Latency(**each) for each in entries["latencies"]]})

    @property
    def difference_ratio(self) -> float:
        """How many times as far off as the stock file the new one is; differences below the floor count as that."""
        return max(self.new.difference, DIFFERENCE_FLOOR) / max(self.stock.difference, DIFFERENCE_FLOOR)

    def shortcomings(self) -> list[str]:
        """Return one text for each demand that the new file misses."""
        new, stock = self.new, self.stock
        count, stock_count = sum(new.operators.values()), sum(stock.operators.values())
        outside, stock_outside = len(new.not_delegated), len(stock.not_delegated)
        left = ", ".join(sorted(set(new.not_delegated)))
        # A comparison with NaN is false: each demand is stated as what must hold.
        demands = {
            f"off by {new.difference:.2e} > {LARGEST_DIFFERENCE:.0e}, stock {stock.difference:.2e}": (
                new.difference <= LARGEST_DIFFERENCE
            ),
            f"off by {new.difference:.1e}, {self.difference_ratio:.1f} times the stock file's {stock.difference:.1e}": (
                self.difference_ratio <= DIFFERENCE_RATIO
            ),
            f"{count} operators, stock {stock_count} ({_more(new.operators, stock.operators)})": count <= stock_count,
            # A stock file that XNNPACK takes nothing of has no partition.
            f"{new.partitions} partitions, stock {stock.partitions}": new.partitions <= max(1, stock.partitions),
            f"{outside} operators outside XNNPACK ({left}), stock {stock_outside}": outside <= stock_outside,
        }
        if self.latencies:
            ratios = ", ".join(f"{each.ratio:.3f} in {each.turns} turns" for each in self.latencies)
            demands[f"latency {ratios} of the stock file's > {LATENCY_RATIO}"] = (
                self.latencies[-1].ratio <= LATENCY_RATIO
            )
        return [text for text, met in demands.items() if not met]


def compare_files(network: str, model: keras.Model, images: np.ndarray, latency: bool = True) -> Figures:
    """Write both float32 files of a model and return what is found of them.

    Args:
        network: The network's name.
        model: A float32 Keras model.
        images: Preprocessed images to compare.
        latency: Whether to measure it.

    Raises:
        InputError: If a file can't be made or run.
    """
    # In small parts: a deep network's activations of large images fill the memory.
    parts = np.split(images, range(_BATCH, len(images), _BATCH))
    expected = np.concatenate([keras.ops.convert_to_numpy(model(part, training=False)) for part in parts])
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: Path(folder, f"{name}.tflite") for name in ("new", "stock")}
        seconds = {
            "new": _write(paths["new"], lambda: write(lower(model))),
            "stock": _write(paths["stock"], lambda: convert(to_tf_keras(model), "float32")),
        }
        files = {name: _examine(path, images, expected, seconds[name]) for name, path in paths.items()}
        latencies = measure_latency(paths["new"], paths["stock"]) if latency else []
    return Figures(network, list(images.shape[1:]), len(images), **files, latencies=latencies)


def largest_difference(expected: np.ndarray, received: np.ndarray) -> float:
    """Return the largest difference as a share of the largest output of both."""
    largest = max(float(np.abs(expected).max()), float(np.abs(received).max()))
    return float(np.abs(received.astype("float64") - expected).max()) / (largest or 1.0)


def measure_latency(new: Path, stock: Path, turns: tuple[int, ...] = TURNS) -> list[Latency]:
    """Return the latency of two files, and again in more turns while their ratio is above what is demanded.

    Args:
        new: The file.
        stock: The one to compare with.
        turns: How many turns, multiples of 5: the first, and those of each try after it.
    """
    found: list[Latency] = []
    for count in turns:
        found.append(_in_turns(new, stock, count))
        if found[-1].ratio <= LATENCY_RATIO:
            break
    return found


def _in_turns(new: Path, stock: Path, turns: int) -> Latency:
    ratios, times = [], []
    with tempfile.TemporaryDirectory() as folder:
        places = Path(folder, "0.tflite"), Path(folder, "1.tflite")
        runs, warm_up = AT_ONCE, 1
        # The first round says how many runs a turn has, and does not count.
        for number in range(-1, turns // AT_ONCE):
            pair = (new, stock) if number % 2 else (stock, new)
            for place, path in zip(places, pair, strict=True):
                place.unlink(missing_ok=True)
                place.symlink_to(path)
            measured = call_worker("measure_all", new, folder=folder, runs=runs, warm_up=warm_up)["milliseconds"]
            by_file = {path: measured[place.name] for place, path in zip(places, pair, strict=True)}
            if number >= 0:
                times.append((by_file[new], by_file[stock]))
                ratios.append(by_file[new] / by_file[stock])
            else:
                each = int(np.clip(_TURN_MS / by_file[stock], 1, _MOST_RUNS))
                runs, warm_up = each * AT_ONCE, max(1, each // 10)
    milliseconds, stock_milliseconds = np.median(times, axis=0)
    return Latency(turns, float(milliseconds), float(stock_milliseconds), float(np.median(ratios)))


def _write(path: Path, make: Callable[[], bytes]) -> float:
    start = time.monotonic()
    content = make()
    seconds = time.monotonic() - start
    path.write_bytes(content)
    return round(seconds, 3)


def _examine(path: Path, images: np.ndarray, expected: np.ndarray, seconds: float) -> OneFile:
    examined = examine(path, images=images)
    found = examined.inspection
    operators: dict[str, int] = {}
    for operator in found.operators:
        operators[operator["name"]] = operators.get(operator["name"], 0) + 1
    return OneFile(
        difference=largest_difference(expected, examined.outputs),
        operators=operators,
        partitions=found.partitions,
        not_delegated=found.not_delegated,
        bytes=path.stat().st_size,
        seconds=seconds,
    )


def _more(counts: dict[str, int], others: dict[str, int]) -> str:
    """Return the operators of which there are other numbers, as text."""
    names = sorted({*counts, *others})
    changes = {name: counts.get(name, 0) - others.get(name, 0) for name in names}
    return ", ".join(f"{change:+d} {name}" for name, change in changes.items() if change)
