"""One `keras-lite finetune` in a fresh process, by phases, for `checks.finetune_cost`; also with an older checkout.

    PYTHONPATH=CHECKOUT python -P finetune_once.py PHASES.json FLAGS

It runs the command with FLAGS, and writes for each phase the seconds, and the processor's seconds in all threads and
finished processes, without those of the phases within it.
"""

import functools
import importlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# What is timed, where a checkout has it: "module:function" or "module:class.method".
PHASES = {
    "photos": ["pipelines.finetune:open_data", "finetune:open_data"],
    "training, around the epochs": ["pipelines.finetune:fit", "finetune:fit"],
    "features of the head": ["training.engine:_Run._inputs"],
    "test": ["training.engine:_Run.test"],
    "evaluation": ["pipelines.finetune:_evaluate", "finetune:_evaluate"],
    "pictures": [
        "pipelines.finetune:write_evaluation", "finetune:write_evaluation", "training.engine:draw_curves",
    ],
    "quantization, around": ["pipelines.finetune:_quantize", "finetune:_quantize"],
    "files and their verification": ["pipelines.quantize:to_tflite", "export.quantized_run:to_tflite"],
    "post-training quantization": ["pipelines.quantize:post_training", "export.quantized_run:post_training"],
    "quantization-aware training": ["pipelines.quantize:finetune_apart", "export.quantized_run:finetune"],
    "figures": ["pipelines.quantize:report", "export.quantized_run:report"],
    "web page": ["pipelines.finetune:_write_web_page"],
}  # fmt: skip
START = "start"


class Clock:
    """Seconds of phases, each without those within it."""

    def __init__(self) -> None:
        self.phases: dict[str, list[float]] = {}
        self._open = [START]
        self._last = self._now()

    def wrap(self, name: str | Callable[..., str], function: Callable) -> Callable:
        """Return a function whose calls count for a phase."""

        @functools.wraps(function)
        def timed(*arguments: Any, **named: Any) -> Any:
            self._mark()
            self._open.append(name if isinstance(name, str) else name(*arguments, **named))
            try:
                return function(*arguments, **named)
            finally:
                self._mark()
                self._open.pop()

        return timed

    def write(self, path: str) -> None:
        """Write what was found."""
        self._mark()
        Path(path).write_text(json.dumps(self.phases), encoding="utf-8")

    def _mark(self) -> None:
        now = self._now()
        spent = self.phases.setdefault(self._open[-1], [0.0, 0.0])
        for index, (after, before) in enumerate(zip(now, self._last, strict=True)):
            spent[index] += after - before
        self._last = now

    @staticmethod
    def _now() -> list[float]:
        return [time.monotonic(), sum(os.times()[:4])]


def _there(places: list[str]) -> Iterator[tuple[Any, str]]:
    """Yield owner and name of the functions that this checkout has."""
    for place in places:
        module, _, path = place.partition(":")
        *owners, name = path.split(".")
        try:
            owner = functools.reduce(getattr, owners, importlib.import_module(f"keras_lite.{module}"))
        except ImportError:
            continue
        if hasattr(owner, name):
            yield owner, name


def main(path: str, *arguments: str) -> None:
    """Run the command."""
    clock = Clock()
    head = next(int(text.partition("=")[2]) for text in arguments if text.startswith("--epochs_head="))

    def epoch_of(run: Any, left: Any, validation: Any, epoch: int, callbacks: Any) -> str:
        return "epochs of the head" if epoch < head else "epochs of all layers"

    phases = [*((name, PHASES[name]) for name in PHASES), (epoch_of, ["training.engine:_Run._fit_epoch"])]
    for name, places in phases:
        for owner, function in list(_there(places)):
            setattr(owner, function, clock.wrap(name, getattr(owner, function)))
    try:
        from keras_lite.cli import finetune
    except ImportError:  # an older checkout
        from keras_lite import finetune
    finetune.FLAGS([sys.argv[0], *arguments])
    clock.wrap("around all", finetune.main)(finetune.FLAGS, [])
    clock.write(path)


if __name__ == "__main__":
    main(*sys.argv[1:])
