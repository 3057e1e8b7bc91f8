"""The process of a `LiteRTSession`: it holds images, and runs one file after the other.

It imports what it needs from this folder, and nothing else of keras_lite.
"""

import functools
import importlib
import math
import mmap
import os
import pickle
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO

import numpy as np

from keras_lite.runtime.histogram import Histogram
from keras_lite.runtime.litert_worker import STAGE, open_interpreter, to_float, to_model_type

# How many values of an image's tensor are counted, roughly.
_COUNTED = 2048
# Numbers of a row whose extremes are taken number by number.
_ROW = 4096


class Worker:
    """What the process can do; each public method is one request.

    Args:
        threads: Images that run side by side.
    """

    def __init__(self, threads: int):
        self.threads = threads
        self.images: dict[int, list[np.ndarray]] = {}

    def open_images(self, key: int, paths: list[str]) -> None:
        """Open files of images, one for each input, which later requests name by a key."""
        self.images[key] = [np.load(path, mmap_mode="r") for path in paths]

    def close_images(self, key: int) -> None:
        """Forget images."""
        del self.images[key]

    def let_go(self) -> None:
        """Take what was read of the images out of memory; it is read from the file again where it is needed."""
        if hasattr(mmap, "MADV_DONTNEED"):
            for array in (array for arrays in self.images.values() for array in arrays):
                array._mmap.madvise(mmap.MADV_DONTNEED)

    def outputs(self, content: bytes, key: int) -> list[np.ndarray]:
        """Return each output of a file for all images, as float32."""
        images = self.images[key]
        interpreters = self._start(content, self.threads)
        targets = interpreters[0].get_output_details()
        found = [np.empty((len(images[0]), *target["shape"][1:]), "float32") for target in targets]

        def use(_: int, some: slice, outputs: list[np.ndarray]) -> None:
            for kept, values, target in zip(found, outputs, targets, strict=True):
                kept[some] = to_float(values, target)

        self._run(interpreters, images, use)
        return found

    def observe(
        self, content: bytes, key: int, counted: list[bool], summed: list[bool], averaged: int, kept: list[int]
    ) -> list[dict[str, np.ndarray]]:
        """Return what images give at each output of a float file: extremes of the channels, histogram, sum, values.

        Args:
            content: The file.
            key: The images'.
            counted: Of which outputs there is to be a histogram.
            summed: Of which there is to be a sum.
            averaged: Over how many of the images, the first ones.
            kept: Of how many of the images, the first ones, there are to be the values of each output.
        """
        images = self.images[key]
        interpreters = self._start(content, self.threads)
        shapes = [tuple(target["shape"][1:]) for target in interpreters[0].get_output_details()]
        whole = [np.empty((count, *shape), "float32") for count, shape in zip(kept, shapes, strict=True)]
        seen = [[_Seen(*each) for each in zip(shapes, counted, summed, strict=True)] for _ in interpreters]

        def use(at: int, some: slice, outputs: list[np.ndarray]) -> None:
            for each, found, values in zip(seen[at], whole, outputs, strict=True):
                each.add(values, max(averaged - some.start, 0))
                found[some] = values[: max(len(found) - some.start, 0)]

        self._run(interpreters, images, use)
        results = [functools.reduce(_Seen.merge, each).result() for each in zip(*seen, strict=True)]
        return [
            result | ({"values": found} if len(found) else {}) for result, found in zip(results, whole, strict=True)
        ]

    def run(self, content: bytes, key: int) -> list[np.ndarray]:
        """Return all outputs of a file for the first images, as many as it takes at once."""
        [interpreter] = self._start(content, 1, self.threads)
        for source, images in zip(interpreter.get_input_details(), self.images[key], strict=True):
            interpreter.set_tensor(source["index"], to_model_type(images[: source["shape"][0]], source))
        interpreter.invoke()
        return [interpreter.get_tensor(target["index"]) for target in interpreter.get_output_details()]

    def values(self, content: bytes, key: int, counts: list[int]) -> list[np.ndarray]:
        """Return what each output of a file holds for the first images, in its own type: for so many as are wanted."""
        interpreters = self._start(content, self.threads)
        targets = interpreters[0].get_output_details()
        found = [np.empty((n, *each["shape"][1:]), each["dtype"]) for n, each in zip(counts, targets, strict=True)]

        def use(_: int, some: slice, outputs: list[np.ndarray]) -> None:
            for kept, values in zip(found, outputs, strict=True):
                kept[some] = values[: max(len(kept) - some.start, 0)]

        self._run(interpreters, [images[: max(counts)] for images in self.images[key]], use)
        return found

    def _start(self, content: bytes, count: int, threads: int = 1) -> list[Any]:
        _begin("XNNPACK started")
        interpreters = [open_interpreter(content, threads) for _ in range(count)]
        _begin("it ran the images")
        return interpreters

    def _run(
        self, interpreters: list[Any], inputs: list[np.ndarray], use: Callable[[int, slice, list[np.ndarray]], None]
    ) -> None:
        """Run images side by side; `use` gets the number of the thread, which images they are, and their outputs.

        These are views of LiteRT's own memory, which it runs nothing in while somebody has one.
        """

        def share(at: int) -> None:
            sources = interpreters[at].get_input_details()
            targets = [target["index"] for target in interpreters[at].get_output_details()]
            batch = sources[0]["shape"][0]
            for some in _slices(len(inputs[0]), batch)[at :: self.threads]:
                for source, images in zip(sources, inputs, strict=True):
                    interpreters[at].set_tensor(source["index"], _filled(to_model_type(images[some], source), batch))
                interpreters[at].invoke()
                use(at, some, [interpreters[at].tensor(index)()[: some.stop - some.start] for index in targets])

        with ThreadPoolExecutor(self.threads) as pool:
            list(pool.map(share, range(self.threads)))


class _Seen:
    """What was seen of one tensor, of so many images as came."""

    def __init__(self, shape: tuple[int, ...], counted: bool, summed: bool):
        self.channels = shape[-1] if shape else 1
        # Extremes of places that lie so far apart are taken together: of the channels alone it takes long.
        places = math.prod(shape[:-1])
        apart = max(each for each in range(1, max(1, _ROW // self.channels) + 1) if places % each == 0)
        self.lowest, self.highest = np.zeros((2, apart * self.channels), "float32")
        self.histogram = Histogram() if counted else None
        self.sum = np.zeros(shape) if summed else None

    def add(self, values: np.ndarray, averaged: int) -> None:
        """Take in a batch of values, of which the first few are summed."""
        rows = values.reshape(-1, self.lowest.size)
        np.minimum(self.lowest, rows.min(0), out=self.lowest)
        np.maximum(self.highest, rows.max(0), out=self.highest)
        if self.sum is not None and averaged:
            self.sum += values[:averaged].sum(0)
        if self.histogram is not None:
            # A part is enough of a large tensor; an odd stride meets all channels.
            self.histogram.add(values.reshape(-1)[:: values.size // len(values) // _COUNTED | 1])

    def merge(self, other: "_Seen") -> "_Seen":
        """Take in what another has seen."""
        np.minimum(self.lowest, other.lowest, out=self.lowest)
        np.maximum(self.highest, other.highest, out=self.highest)
        if self.sum is not None:
            self.sum += other.sum
        if self.histogram is not None:
            self.histogram.merge(other.histogram)
        return self

    def result(self) -> dict[str, np.ndarray]:
        """Return the extremes of the channels, zero included, the counts of the histogram, and the sum."""
        lowest = self.lowest.reshape(-1, self.channels).min(0)
        highest = self.highest.reshape(-1, self.channels).max(0)
        found = {"lowest": lowest, "highest": highest}
        if self.histogram is not None:
            found["counts"] = self.histogram.between(float(lowest.min()), float(highest.max()))
        if self.sum is not None:
            found["sum"] = self.sum
        return found


def _slices(count: int, batch: int) -> list[slice]:
    return [slice(at, min(at + batch, count)) for at in range(0, count, batch)]


def _filled(values: np.ndarray, batch: int) -> np.ndarray:
    """Return values of a whole batch: where some are missing, the last one stands in for them."""
    missing = batch - len(values)
    return values if not missing else np.concatenate([values, np.repeat(values[-1:], missing, axis=0)])


def _begin(stage: str) -> None:
    print(f"{STAGE}{stage}", file=sys.stderr, flush=True)


def main(threads: int) -> None:
    """Answer requests from the standard input until it ends.

    A request is the name of a method of `Worker` and its arguments, pickled; an answer whether that went well, and what
    it returned or the error's text.

    Args:
        threads: Images that run side by side.
    """
    # Now, while the other process still prepares its first request.
    importlib.import_module("ai_edge_litert.interpreter")
    # What LiteRT prints must not come between the answers.
    answers: BinaryIO = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    worker = Worker(threads)
    while True:
        try:
            name, arguments = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            found = True, getattr(worker, name)(*arguments)
        except (RuntimeError, ValueError) as error:
            found = False, str(error)
        worker.let_go()
        pickle.dump(found, answers, protocol=5)
        answers.flush()
