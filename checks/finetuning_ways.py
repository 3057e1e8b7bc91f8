"""What fine-tuning gains on post-training quantization, by what is trained and how.

    python checks/finetuning_ways.py --cifar_dir CIFAR100 resnet20 kept,all,kl,adam,5e-6,32,1,2048 [WAY ...]
    python checks/finetuning_ways.py --photos_dir SPORTS100 MODEL.keras kept,all,kl,adam,5e-6,32,1,2000
    python checks/finetuning_ways.py --cifar_dir CIFAR100 resnet20 floors
    python checks/finetuning_ways.py --page results/finetuning_ways.md

The network is resnet20 or mobilenetv3_large with its kept weights, or a Keras file with its information file. A way is
what becomes of scales; what is trained (all, bias, scales, biasscales); the loss; the optimizer; the rate at the first
step, which falls as a cosine; photos in a step; epochs; photos. Each starts from the same file of `post_training`, on
512 training photos, and is measured by the divergence from the float model on photos of the test split, which set
nothing, judged nothing and trained nothing, by its difference from the start's with the standard error of that, and by
the divergence on 512 held-out training photos. What is found is kept in --cache_dir: the same command goes on where it
was, and --page puts all rows that are there in place of the first table of that page.

Losses, from the float model's answers: kl, the divergence itself; kl4, at temperature 4; mse, the squared error of the
logits less their mean; msec, of the logits as the int8 outputs' range can hold them; blocks, the squared error of each
block's output, block after block, so that an epoch is one of each block. The way "floors" rounds weights alone, and
activations alone.
"""

import argparse
import pickle
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from checks.aware_subjects import open_subject
from checks.finetuning_blocks import activations_alone, train_blocks, weights_alone
from checks.int8_figures import made_with
from keras_lite.files import atomic_path, read_json, write_json, write_text
from keras_lite.graph import output_of
from keras_lite.quantization import post_training
from keras_lite.quantization.aware.keras_native import trainable
from keras_lite.quantization.closeness import as_quantized, divergences, judged_as, standard_error
from keras_lite.tables import markdown_table

TRAINED = {
    "all": ("kernel", "bias", "stretch", "kernel_stretch"),
    "bias": ("bias",),
    "scales": ("stretch", "kernel_stretch"),
    "biasscales": ("bias", "stretch", "kernel_stretch"),
}
CALIBRATION, JUDGES = 512, 512
FLOORS = "floors"


def losses_of(low: float, high: float) -> dict[str, Any]:
    """Return the losses by name, for int8 outputs of a range."""

    def divergence(wanted, received, temperature=1.0):
        wanted, received = ops.log_softmax(wanted / temperature), ops.log_softmax(received / temperature)
        return temperature**2 * ops.mean(ops.sum(ops.exp(wanted) * (wanted - received), -1))

    def centered(values):
        return values - ops.mean(values, -1, keepdims=True)

    return {
        "kl": divergence,
        "kl4": lambda wanted, received: divergence(wanted, received, 4.0),
        "mse": lambda wanted, received: ops.mean(ops.square(centered(wanted) - centered(received))),
        "msec": lambda wanted, received: ops.mean(ops.square(ops.clip(wanted, low, high) - received)),
    }


def main() -> None:
    """Measure some ways on one network, or write the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("network", nargs="?")
    parser.add_argument("ways", nargs="*")
    parser.add_argument("--cifar_dir")
    parser.add_argument("--photos_dir")
    parser.add_argument("--photos", type=int, default=4512)
    parser.add_argument("--measured", type=int, default=2000)
    parser.add_argument("--cache_dir", default="build/finetuning-ways")
    parser.add_argument("--page")
    values = parser.parse_args()
    if values.network is not None:
        folder = Path(values.cache_dir, Path(values.network).stem)
        folder.mkdir(parents=True, exist_ok=True)
        left = [way for way in values.ways if not (folder / f"{way}.json").is_file()]
        trial = _Trial(values, folder) if left else None
        for way in left:
            write_json(folder / f"{way}.json", trial.floors() if way == FLOORS else trial.measure(way))
        for way in values.ways:
            print(*row_of(folder.name, read_json(folder / f"{way}.json")), sep=" | ", flush=True)
    if values.page:
        write_text(values.page, with_rows(Path(values.page).read_text(encoding="utf-8"), Path(values.cache_dir)))


class _Trial:
    """A network, its photos, and what they start from."""

    def __init__(self, values: argparse.Namespace, folder: Path) -> None:
        subject = open_subject(values.network, values.cifar_dir, values.photos_dir)
        self.model, output, given = subject.model, subject.output, subject.preprocessing
        rng = np.random.default_rng(0)
        train, self.test = (
            photos.images(rng.permutation(len(photos))[:count])
            for photos, count in ((subject.train, values.photos), (subject.test, values.measured))
        )
        calibration, self.judges = train[:CALIBRATION], train[CALIBRATION : CALIBRATION + JUDGES]
        self.pool = np.concatenate([calibration, train[CALIBRATION + JUDGES :]])
        self.given = given
        self.answers = {
            name: as_quantized(
                output_of(self.model), np.asarray(self.model.predict(given(images), batch_size=64, verbose=0))
            )
            for name, images in (("test", self.test), ("judges", self.judges), ("pool", self.pool))
        }
        start = folder / f"start-{values.photos}.pickle"
        if not start.is_file():
            calibrated, report = post_training(self.model, given(calibration), preprocessing=given, output=output)
            with atomic_path(start) as path:
                path.write_bytes(pickle.dumps((calibrated, report.chosen.equalization)))
        self.calibrated, self.equalized = pickle.loads(start.read_bytes())
        self.output = judged_as(self.model, output)
        ends = self.calibrated.graph.outputs[0].quantization
        self.losses = losses_of(*(float(end) for end in ends.dequantize(np.array([-128, 127], "int8"))))

    def _divergences(self, answers: Callable[[np.ndarray], np.ndarray]) -> list[np.ndarray]:
        return [
            divergences(self.output, self.answers[name], answers(self.given(images)))
            for name, images in (("test", self.test), ("judges", self.judges))
        ]

    def _found(self, way: str, start: list[np.ndarray], end: list[np.ndarray], seconds: float) -> dict[str, Any]:
        change = end[0] - start[0]
        return {
            "way": way, "start": float(start[0].mean()), "end": float(end[0].mean()), "photos": len(change),
            "difference": float(change.mean()), "error": standard_error(change),
            "held_out": [float(each[1].mean()) for each in (start, end)], "seconds": seconds, "made_with": made_with(),
        }  # fmt: skip

    def floors(self) -> list[dict[str, Any]]:
        """Return what rounding of weights alone gives, and of activations alone.

        Where channels are equalized the float model's kernels do not fit the activations: the latter is left out.
        """
        answers = {"both": trainable(self.calibrated)}
        if not self.equalized:
            answers["activations alone"] = activations_alone(self.calibrated, self.model)
        for aware in answers.values():
            aware.compile("sgd", "mse", jit_compile="auto")
        found = {
            name: self._divergences(lambda images, aware=aware: aware.predict(images, batch_size=64, verbose=0))
            for name, aware in answers.items()
        }
        found["weights alone"] = self._divergences(lambda images: weights_alone(self.calibrated, images))
        start = found.pop("both")
        return [self._found(f"rounded: {name}", start, each, 0.0) for name, each in found.items()]

    def measure(self, way: str) -> list[dict[str, Any]]:
        """Train and return what that gives."""
        scales, trained, loss, optimizer, rate, batch, epochs, photos = way.split(",")
        aware = trainable(self.calibrated, scales)
        aware.compile("sgd", "mse", jit_compile="auto")
        start = self._divergences(lambda images: aware.predict(images, batch_size=64, verbose=0))
        for layer in aware.layers:
            for variable in layer.weights:
                variable.trainable = variable.name in TRAINED[trained]
        steps = int(epochs) * (min(int(photos), len(self.pool)) // int(batch))
        used = steps // int(epochs) * int(batch)

        def fit(part: keras.Model, inputs: np.ndarray, wanted: np.ndarray) -> None:
            falling = keras.optimizers.schedules.CosineDecay(float(rate), steps)
            made = keras.optimizers.SGD(falling, momentum=0.9) if optimizer == "sgd" else keras.optimizers.Adam(falling)
            part.compile(made, self.losses.get(loss, "mse"), jit_compile="auto")
            part.fit(inputs, wanted, batch_size=int(batch), epochs=int(epochs), verbose=0)

        keras.utils.set_random_seed(0)
        before = time.monotonic()
        images = self.given(self.pool[:used])
        if loss == "blocks":
            train_blocks(aware, self.model, images, fit)
            aware.compile("sgd", "mse", jit_compile="auto")
        else:
            fit(aware, images, self.answers["pool"][:used])
        seconds = time.monotonic() - before
        end = self._divergences(lambda images: aware.predict(images, batch_size=64, verbose=0))
        return [self._found(way, start, end, seconds)]


def row_of(network: str, found: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    """Return the rows of a table for what was found of a way."""
    return [
        (
            network,
            each["way"].replace(",", ", "),
            f"{each['start']:.5f}",
            f"{each['end']:.5f}",
            f"{each['difference']:+.5f} ± {each['error']:.5f}",
            " -> ".join(f"{divergence:.5f}" for divergence in each["held_out"]),
            f"{each['seconds']:.0f}" if each["seconds"] else "",
        )
        for each in found
    ]


def with_rows(page: str, cache: Path) -> str:
    """Return a page with the rows of a cache in place of its first table, of each network the closest first."""
    head = ("network", "way", "start", "trained", "difference", "held out", "seconds")
    rows = [head]
    for folder in sorted(path for path in cache.iterdir() if path.is_dir()):
        found = [each for path in folder.glob("*.json") for each in read_json(path)]
        found.sort(key=lambda each: (not each["way"].startswith("rounded"), each["end"]))
        rows += row_of(folder.name, found)
    lines = page.split("\n")
    first = next(place for place, line in enumerate(lines) if line.startswith("|"))
    end = next(place for place in range(first, len(lines)) if not lines[place].startswith("|"))
    return "\n".join([*lines[:first], markdown_table(rows, left=(0, 1)), *lines[end:]])


if __name__ == "__main__":
    main()
