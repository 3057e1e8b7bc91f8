"""Progress of a training in plain lines, for logs."""

import sys
import time
from typing import Any

import keras


class PlainProgress(keras.callbacks.Callback):
    """Callback that prints a line at each tenth of an epoch, and one with all metrics at its end.

    A progress bar redraws itself, which leaves a log file unreadable.
    """

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Note the time."""
        self._start = time.monotonic()
        self._name = f"epoch {epoch + 1}/{self.params['epochs']}"

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Print the metrics so far."""
        step, steps = batch + 1, self.params["steps"]
        if step < steps and step * 10 // steps > batch * 10 // steps:
            self._print(f"step {step}/{steps}", logs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Print the metrics of the epoch."""
        self._print("done", logs)

    def _print(self, place: str, logs: dict[str, float] | None) -> None:
        metrics = " ".join(f"{name} {value:.4f}" for name, value in (logs or {}).items())
        print(f"{self._name} {place}: {metrics} ({time.monotonic() - self._start:.0f} s)", flush=True)


def progress_callbacks() -> tuple[list[keras.callbacks.Callback], int]:
    """Return the callbacks that show progress on this output, and Keras' `verbose` that goes with them."""
    return ([], 1) if sys.stdout.isatty() else ([PlainProgress()], 0)
