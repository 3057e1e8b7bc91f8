#!/usr/bin/env python3
"""Measure what a step of quantization-aware training takes, beside a step of the float model.

    python checks/aware_speed.py [--image_sizes 32,160] [--ways float,keras,tf_mot,learned]
    KERAS_BACKEND=jax python checks/aware_speed.py --ways float,keras

The network is MobileNetV3-Large as published for CIFAR-100, with its kept weights; the images are random, and the
teacher's answers are at hand. Ways: `float` is the float model with its batch normalization frozen; `keras` and
`tf_mot` are what `quantize_aware` returns by these engines, compiled as `finetune` does; `estimated` and `learned` are
the Keras engine with scales that move. All take Adam and the squared error of the logits. The ways take turns in one
process, so that a change of the machine's speed meets them all: compare within a table. Each figure is the median over
the rounds of the mean over a round's steps.

Hardware: any; figures that are kept need a machine that does nothing else. Expected time: 5 minutes on 2 cores.
"""

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from absl import flags

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from checks.int8_figures import made_with
from keras_lite import published
from keras_lite.cli import command_line
from keras_lite.errors import InputError
from keras_lite.files import write_text
from keras_lite.quantization import CalibratedGraph, calibrate, quantize_aware
from keras_lite.quantization.aware.finetuning import compile_to_finetune
from keras_lite.quantization.lower import for_int8, lower
from keras_lite.quantization.observe import observe, ranges_from
from keras_lite.quantization.ranges import whole_range
from keras_lite.tables import markdown_table, text_table
from keras_lite.training.environment import processor

ROW, WEIGHTS = "cifar100_second/mobilenetv3_large/ours", "cifar100"
KERAS = {"keras": "kept", "estimated": "estimated", "learned": "learned"}
WAYS = ("float", *KERAS, "tf_mot")
TITLES = {
    "float": "float, batch normalization frozen",
    "keras": "Keras engine",
    "estimated": 'Keras engine, scales="estimated"',
    "learned": 'Keras engine, scales="learned"',
    "tf_mot": "TF-MOT",
}
_STEPS_OF_SCHEDULE = 10_000

FLAGS = command_line.new_flags()
flags.DEFINE_list("image_sizes", ["32", "160"], "Sides in pixels.", flag_values=FLAGS)
flags.DEFINE_list("ways", ["float", "keras", "tf_mot", "learned"], f"Out of {', '.join(WAYS)}.", flag_values=FLAGS)
flags.DEFINE_integer("batch_size", 32, "Images in a step.", 1, flag_values=FLAGS)
flags.DEFINE_float("seconds", 3.0, "Of a way's turn, roughly.", 0.0, flag_values=FLAGS)
flags.DEFINE_integer("rounds", 5, "How often each way has its turn.", 1, flag_values=FLAGS)
flags.DEFINE_string("page", None, "Page to write, such as results/aware_speed.md.", flag_values=FLAGS)

Step = Callable[[], Any]


def main(values: flags.FlagValues, positional: list[str]) -> None:
    """Measure and print the tables."""
    command_line.expect(positional)
    if unknown := [way for way in values.ways if way not in WAYS]:
        raise InputError(f"Expected --ways out of {', '.join(WAYS)}; received {unknown[0]!r}.")
    rows = []
    for size in map(int, values.image_sizes):
        steps = steps_of(values.ways, size, values.batch_size)
        rows += rows_of(size, take_turns(steps, values.seconds, values.rounds))
        print(text_table([_HEAD, *rows]), flush=True)
    if values.page:
        write_text(values.page, page(rows, values.batch_size))


def steps_of(ways: list[str], size: int, batch_size: int) -> dict[str, Step]:
    """Return for each way what makes one step.

    Args:
        ways: Out of `WAYS`.
        size: The images' side in pixels.
        batch_size: Images in a step.
    """
    keras.utils.set_random_seed(0)
    shape = (size, size, 3)
    kept, model = (
        published.get(ROW).build(classifier_activation=None, weights=weights, **given)
        for weights, given in ((WEIGHTS, {}), (None, {"input_shape": shape}))
    )
    model.set_weights(kept.get_weights())
    images = np.random.default_rng(0).normal(0.0, 1.0, (batch_size, *shape)).astype("float32")
    answers = np.asarray(model.predict(images, verbose=0))
    form = for_int8(lower(model))
    calibrated = CalibratedGraph(form, ranges_from(form, observe(form, images), whole_range))
    made: dict[str, Any] = {}
    for way in ways:
        if way == "tf_mot":
            made[way] = quantize_aware(model, engine="tf_mot")
            calibrate(made[way], images)
        elif way in KERAS:
            made[way] = quantize_aware(calibrated, scales=KERAS[way])
        else:
            made[way] = model
        _freeze_batch_norm(made[way])
        compile_to_finetune(made[way], "logits", 5e-6, _STEPS_OF_SCHEDULE)
    batch = keras.ops.convert_to_tensor(images), keras.ops.convert_to_tensor(answers)
    return {way: lambda model=model: model.train_on_batch(*batch) for way, model in made.items()}


def _freeze_batch_norm(model: Any) -> None:
    layers = model._flatten_layers() if hasattr(model, "_flatten_layers") else model.layers
    for layer in layers:
        if "BatchNorm" in type(getattr(layer, "layer", layer)).__name__:
            layer.trainable = False


def take_turns(steps: dict[str, Step], seconds: float, rounds: int) -> dict[str, list[float]]:
    """Return the seconds of a step of each way, one for each round.

    Args:
        steps: What makes one step of each way.
        seconds: How long a turn takes, roughly; two steps at least.
        rounds: How often each way has its turn.
    """
    counts = {}
    for way, step in steps.items():
        step()  # is compiled
        counts[way] = max(2, round(seconds / _seconds_of(step, 2)))
    found: dict[str, list[float]] = {way: [] for way in steps}
    for _ in range(rounds):
        for way, step in steps.items():
            found[way].append(_seconds_of(step, counts[way]))
    return found


def _seconds_of(step: Step, count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        step()
    return (time.perf_counter() - start) / count


_HEAD = ("image", "step", "ms", "rounds", "times the float step")


def rows_of(size: int, found: dict[str, list[float]]) -> list[tuple[str, ...]]:
    """Return the rows of a table.

    Args:
        size: The images' side in pixels.
        found: Seconds of a step of each way, one for each round.
    """
    medians = {way: statistics.median(seconds) for way, seconds in found.items()}
    return [
        (
            f"{size} px",
            TITLES[way],
            f"{1e3 * medians[way]:.1f}",
            f"{1e3 * min(seconds):.1f} to {1e3 * max(seconds):.1f}",
            f"{medians[way] / medians['float']:.2f}" if "float" in medians else "-",
        )
        for way, seconds in found.items()
    ]


def page(rows: list[tuple[str, ...]], batch_size: int) -> str:
    """Return the Markdown page."""
    return f"""# What a step of quantization-aware training takes

Written by `python checks/aware_speed.py --page results/aware_speed.md`.

MobileNetV3-Large as published for CIFAR-100 (hybrid stem, padding-free downsampling), {batch_size} images in a step,
the teacher's answers at hand, Adam, squared error of the logits. A step is forward, backward and update. Ways took
turns in one process; medians over the rounds, and the fastest and slowest round.

{markdown_table([_HEAD, *rows], left=(0, 1))}

{keras.backend.backend()}; {processor()}, {made_with()}.
"""


if __name__ == "__main__":
    command_line.run(main, FLAGS, __doc__)
