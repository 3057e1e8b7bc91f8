"""Measure what Keras' loop on JAX costs the processor in each training step, beside the step itself.

    KERAS_BACKEND=jax python checks/jax_loop.py [ROW ...] [--batch_size 64] [--steps_per_execution 1,8] [--steps 16]
        [--page results/jax_loop.md]

`model.fit` trains each published row on random images. JAX computes in other threads, or on a GPU: what the main thread
itself works is what the loop takes, in which no device is given anything new. If that is less than a step takes on the
device, the loop is no bound. Compiling is left out: the first call of the compiled function is not timed.
"""

import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import keras
from absl import flags

from keras_lite.cli import command_line
from keras_lite.errors import InputError
from keras_lite.files import write_text
from keras_lite.tables import markdown_table
from keras_lite.training import Options
from keras_lite.training.benchmark import TrainingRun
from keras_lite.training.environment import environment
from recipes import places

ROWS = ("cifar100_first/resnet20/ours", "cifar100_second/mobilenetv3_large/ours")

FLAGS = command_line.new_flags()
flags.DEFINE_integer("batch_size", 64, "Images in a step.", 1, flag_values=FLAGS)
flags.DEFINE_list("steps_per_execution", ["1", "8"], "Steps run in one go.", flag_values=FLAGS)
flags.DEFINE_integer("steps", 16, "Steps in a round.", 1, flag_values=FLAGS)
flags.DEFINE_integer("rounds", 3, "How often they are measured.", 1, flag_values=FLAGS)
flags.DEFINE_string("page", None, "Page to write, such as results/jax_loop.md.", flag_values=FLAGS)


class Host(keras.callbacks.Callback):
    """Times the steps of an epoch but those of the first call, by the clock and by the main thread's own work."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Forget the epoch before."""
        self._first: int | None = None

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Begin behind the first call."""
        if self._first is None:
            self._first, self._begin = batch, (time.perf_counter(), time.thread_time())
        self._last = batch

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Take the milliseconds of a step."""
        steps = self._last - self._first
        ends = time.perf_counter(), time.thread_time()
        self.clock, self.main_thread = (
            1e3 * (end - begin) / steps for begin, end in zip(self._begin, ends, strict=True)
        )


def main(values: flags.FlagValues, positional: list[str]) -> None:
    """Measure the rows, and print or write the page."""
    if keras.backend.backend() != "jax":
        raise InputError(f"Expected the backend JAX, received {keras.backend.backend()}; set KERAS_BACKEND=jax.")
    rows = positional or list(ROWS)
    if unknown := [row for row in rows if row not in places()]:
        raise InputError(f"Expected ids of published rows, received {unknown[0]!r}.")
    lines = [("row", "steps in one go", "ms of a step", "ms of the main thread", "share")]
    for row in rows:
        for together in map(int, values.steps_per_execution):
            clock, main_thread = measure(row, values.batch_size, together, values.steps, values.rounds)
            line = (f"`{row}`", str(together), f"{clock:.1f}", f"{main_thread:.2f}", f"{main_thread / clock:.1%}")
            lines.append(line)
            print(*line, flush=True)
    text = page(lines, values.batch_size, values.steps, values.rounds)
    print(text)
    if values.page is not None:
        write_text(values.page, text)


def measure(row: str, batch_size: int, together: int, steps: int, rounds: int) -> tuple[float, float]:
    """Return the milliseconds of a step by the clock, and those that the main thread works: medians of some rounds.

    Args:
        row: Id of the published row.
        batch_size: Images in a step.
        together: Steps run in one go.
        steps: Steps in a round, those of the first call apart.
        rounds: Rounds.
    """
    place = places()[row]
    options = Options.of(place.recipe, model=place.model, batch_size=batch_size, steps_per_execution=together)
    with ThreadPoolExecutor(options.workers) as pool:
        run = TrainingRun(place.recipe, options, steps, pool=pool)
        run.fit()
        found = []
        for _ in range(rounds):
            host = Host()
            run.fit(host)
            found.append((host.clock, host.main_thread))
    return tuple(map(statistics.median, zip(*found, strict=True)))


def page(lines: list[tuple[str, ...]], batch_size: int, steps: int, rounds: int) -> str:
    """Return the Markdown page."""
    here = environment()
    versions = ", ".join(f"{name} {here['versions'][name]}" for name in ("keras", "jax"))
    parts = [
        "# What Keras' loop on JAX costs",
        "Written by `KERAS_BACKEND=jax python checks/jax_loop.py --page results/jax_loop.md`.",
        f"Milliseconds of a training step of {batch_size} images by the clock, and those of them in which the main "
        f"thread works, on {', '.join(here['devices'])}: medians of {rounds} rounds of {steps} steps. JAX computes in "
        "other threads. A device that takes longer for a step than the main thread does never waits for the loop.",
        markdown_table(lines, [0]),
        f"{versions}, commit {(here['commit'] or 'unknown')[:10]}.",
    ]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    command_line.run(main, FLAGS, __doc__)
