"""What fine-tuning gains on post-training quantization, by what is trained and how.

    python checks/finetuning_ways.py --cifar_dir CIFAR100 resnet20 kept,all,kl,adam,5e-6,32,1,2048 [WAY ...]
    python checks/finetuning_ways.py --photos_dir SPORTS100 MODEL.keras kept,all,kl,adam,5e-6,32,1,2000

The network is resnet20 or mobilenetv3_large with its kept weights, or a Keras file with its information file. A way is
what becomes of scales; what is trained (all, bias, scales, biasscales); the loss; the optimizer; the rate at the first
step, which falls as a cosine; photos in a step; epochs; photos. Each starts from the same file of `post_training`, on
512 training photos, and prints a row of results/finetuning_ways.md: the divergence from the float model on photos that
set nothing, judged nothing and trained nothing, its difference from the start's with the standard error of that, and
the divergence on 512 held-out training photos.

Losses, from the float model's answers: kl, the divergence itself; kl4, at temperature 4; mse, the squared error of the
logits less their mean; msec, of the logits as the int8 outputs' range can hold them.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_lite import applications, published
from keras_lite.checkpoints import load_model
from keras_lite.data import Preprocessing, read_image, read_model_info
from keras_lite.data.cifar import open_cifar
from keras_lite.data.photo_tree import find_photos
from keras_lite.graph import output_of
from keras_lite.quantization import post_training
from keras_lite.quantization.aware.keras_native import trainable
from keras_lite.quantization.closeness import as_quantized, divergences, judged_as, standard_error

ROWS = {"resnet20": "cifar100_first/resnet20/ours", "mobilenetv3_large": "cifar100_second/mobilenetv3_large/ours"}
TRAINED = {
    "all": ("kernel", "bias", "stretch", "kernel_stretch"),
    "bias": ("bias",),
    "scales": ("stretch", "kernel_stretch"),
    "biasscales": ("bias", "stretch", "kernel_stretch"),
}
CALIBRATION, JUDGES = 512, 512


def photos_of(values: argparse.Namespace) -> tuple[keras.Model, str, Preprocessing, np.ndarray, np.ndarray]:
    """Return the network, what it answers, its preprocessing, training photos and photos to measure on."""
    rng = np.random.default_rng(0)
    if values.network in ROWS:
        row = ROWS[values.network]
        [kept] = [each for each in applications.list_weights() if each.row == row]
        model = published.get(row).build(
            classifier_activation=None, input_shape=tuple(kept.input_shape), weights=kept.name
        )
        data = open_cifar(values.cifar_dir)
        train, test = (
            data[split].images(rng.permutation(len(data[split]))[:count])
            for split, count in (("train", values.photos), ("test", values.measured))
        )
        return model, "logits", Preprocessing.from_dict(kept.preprocessing), train, test
    info = read_model_info(values.network)
    found = []
    for split, count in (("train", values.photos), ("test", values.measured)):
        paths = find_photos(Path(values.photos_dir, split))
        chosen = rng.permutation(len(paths))[:count]
        found.append(np.stack([read_image(paths[at], info.preprocessing.geometry) for at in chosen]))
    return load_model(values.network), info.output, info.preprocessing, *found


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
    """Measure some ways on one network."""
    parser = argparse.ArgumentParser()
    parser.add_argument("network")
    parser.add_argument("ways", nargs="+")
    parser.add_argument("--cifar_dir")
    parser.add_argument("--photos_dir")
    parser.add_argument("--photos", type=int, default=4512)
    parser.add_argument("--measured", type=int, default=2000)
    values = parser.parse_args()
    model, output, given, train, test = photos_of(values)
    calibration, judges = train[:CALIBRATION], train[CALIBRATION : CALIBRATION + JUDGES]
    pool = np.concatenate([calibration, train[CALIBRATION + JUDGES :]])
    answers = {
        name: as_quantized(output_of(model), np.asarray(model.predict(given(images), batch_size=64, verbose=0)))
        for name, images in (("test", test), ("judges", judges), ("pool", pool))
    }
    calibrated, _ = post_training(model, given(calibration), preprocessing=given, output=output)
    output = judged_as(model, output)
    ends = calibrated.graph.outputs[0].quantization
    losses = losses_of(*(float(end) for end in ends.dequantize(np.array([-128, 127], "int8"))))

    def measure(aware: keras.Model) -> list[np.ndarray]:
        return [
            divergences(output, answers[name], aware.predict(given(images), batch_size=64, verbose=0))
            for name, images in (("test", test), ("judges", judges))
        ]

    for way in values.ways:
        scales, trained, loss, optimizer, rate, batch, epochs, photos = way.split(",")
        aware = trainable(calibrated, scales)
        aware.compile("sgd", "mse", jit_compile="auto")
        start = measure(aware)
        for layer in aware.layers:
            for variable in layer.weights:
                variable.trainable = variable.name in TRAINED[trained]
        images, wanted = pool[: int(photos)], answers["pool"][: int(photos)]
        steps = int(epochs) * (len(images) // int(batch))
        falling = keras.optimizers.schedules.CosineDecay(float(rate), steps)
        made = keras.optimizers.SGD(falling, momentum=0.9) if optimizer == "sgd" else keras.optimizers.Adam(falling)
        aware.compile(made, losses[loss], jit_compile="auto")
        keras.utils.set_random_seed(0)
        before = time.monotonic()
        used = steps // int(epochs) * int(batch)
        aware.fit(given(images[:used]), wanted[:used], batch_size=int(batch), epochs=int(epochs), verbose=0)
        seconds = time.monotonic() - before
        found = measure(aware)
        change = found[0] - start[0]
        print(
            f"| {Path(values.network).stem} | {way.replace(',', ', ')} | {start[0].mean():.5f} | {found[0].mean():.5f} "
            f"| {change.mean():+.5f} ± {standard_error(change):.5f} | {start[1].mean():.5f} -> {found[1].mean():.5f} "
            f"| {seconds:.0f} s |",
            flush=True,
        )


if __name__ == "__main__":
    main()
