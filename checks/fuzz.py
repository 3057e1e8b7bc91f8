"""Export small random models that were made to break an exporter, and run each file in a process of its own.

    python -m checks.fuzz [--models 200] [--first 0] [--cache_dir DIR]

The models differ in width, blocks, activations and attention; some have dead channels, dead layers or weights of odd
sizes, some are calibrated on images without contrast. Finished ones are kept in the cache, so that the run can go on
where it was. An abort of LiteRT is an error; so is a model with dead channels that could not be exported, or more than
one refusal in twenty models. Each refusal is printed with its reason.
"""

import gc
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
from absl import flags

from keras_lite.cli import command_line
from keras_lite.errors import InputError
from keras_lite.export.tflite import check_tf_mot
from keras_lite.files import read_json, write_json
from keras_lite.layers import ChannelAttention, ChannelShuffle, GhostModule, GroupConvBlock, HybridStem
from keras_lite.litert import write
from keras_lite.quantization import calibrate, quantize_aware
from keras_lite.quantization.aware.tf_mot import read_quantized
from keras_lite.runtime.inspection import examine

FLAGS = command_line.new_flags()
flags.DEFINE_integer("models", 200, "How many.", 1, flag_values=FLAGS)
flags.DEFINE_integer("first", 0, "Seed of the first; the others follow.", 0, flag_values=FLAGS)
flags.DEFINE_string("cache_dir", "build/fuzz-export", "Where finished models are kept.", flag_values=FLAGS)

_SIZE = 16
_SPOILED = ("dead channels", "dead layer", "tiny gamma", "large weights")
_ACTIVATIONS = ("relu", "relu6", "hard_silu")
# Share of the outputs' span by which a file may be off, on average.
_TOLERANCE = 0.1


def plan(seed: int) -> list[str]:
    """Return what is wrong on purpose with the model of a seed and its images."""
    rng = np.random.default_rng([seed, 1])
    done = [str(rng.choice(_SPOILED)) for _ in range(rng.integers(3))]
    return done + ["constant images"] * int(rng.random() < 0.2)


def random_model(seed: int) -> keras.Model:
    """Return the small model of a seed: of random shape and weights, spoiled as `plan` says."""
    rng = np.random.default_rng(seed)
    inputs = keras.Input((_SIZE, _SIZE, 3))
    x = _stem(inputs, int(rng.choice([4, 6, 8, 12])), rng)
    for block in range(rng.integers(1, 4)):
        x = _block(x, f"block{block}", rng)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, keras.layers.Dense(int(rng.integers(2, 8)), name="predictions")(x))
    for variable in model.weights:
        if variable.path.endswith(("gamma", "moving_variance")):
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
        elif variable.path.endswith(("kernel", "embedding")):
            variable.assign(rng.normal(0, (1.5 / np.prod(variable.shape[:-1])) ** 0.5, variable.shape))
        elif variable.dtype == "float32":
            variable.assign(rng.normal(0, 0.2, variable.shape))
    _spoil(model, plan(seed), rng)
    return model


def _stem(inputs: Any, filters: int, rng: np.random.Generator) -> Any:
    activation = str(rng.choice(_ACTIVATIONS))
    if rng.random() < 0.3:
        return HybridStem(filters, activation=activation, name="stem")(inputs)
    x = keras.layers.Conv2D(filters, 3, use_bias=False, name="stem")(inputs)
    return keras.layers.Activation(activation)(keras.layers.BatchNormalization()(x))


def _block(x: Any, name: str, rng: np.random.Generator) -> Any:
    channels = x.shape[-1]
    activation = keras.layers.Activation(str(rng.choice(_ACTIVATIONS)))
    kind = rng.integers(6)
    if kind == 0:
        y = keras.layers.DepthwiseConv2D(3, padding="same", use_bias=False, name=name)(x)
        return activation(keras.layers.BatchNormalization()(y))
    if kind == 1:
        gate = str(rng.choice(["sigmoid", "hard_sigmoid"]))
        return ChannelAttention(2, gate=gate, name=name)(x)
    if kind == 2:
        y = keras.layers.Conv2D(channels, 3, padding="same", use_bias=False, name=name)(x)
        return activation(keras.layers.Add()([keras.layers.BatchNormalization()(y), x]))
    if kind == 3:
        return GhostModule(int(rng.integers(4, 16)), name=name)(x)
    if kind == 4:
        return GroupConvBlock(2 * int(rng.integers(2, 8)), attention_ratio=2, name=name)(x)
    return ChannelShuffle(1 + (channels + 1) % 2, name=name)(
        activation(keras.layers.BatchNormalization(name=f"{name}_norm")(x))
    )


def _spoil(model: keras.Model, planned: list[str], rng: np.random.Generator) -> None:
    kernels = [variable for variable in model.weights if variable.path.endswith("kernel") and len(variable.shape) == 4]
    gammas = [variable for variable in model.weights if variable.path.endswith("gamma")]
    for what in planned:
        if what == "tiny gamma":
            _scale(gammas[rng.integers(len(gammas))], float(10.0 ** rng.integers(-30, -5)), rng)
        elif what == "large weights":
            _scale(kernels[rng.integers(len(kernels))], 100.0, rng)
        elif what.startswith("dead"):
            kernel = kernels[rng.integers(len(kernels))]
            factor = float(rng.choice([0.0, 1e-20, 1e-8]))
            if what == "dead layer":
                kernel.assign(keras.ops.convert_to_numpy(kernel) * factor)
            else:
                _scale(kernel, factor, rng)


def _scale(variable: Any, factor: float, rng: np.random.Generator) -> None:
    """Multiply about half of a variable's channels."""
    values = keras.ops.convert_to_numpy(variable)
    axis = -2 if values.ndim == 4 and values.shape[-1] == 1 else -1
    chosen = rng.random(values.shape[axis]) < 0.5
    shape = [1] * values.ndim
    shape[axis] = -1
    variable.assign(np.where(chosen.reshape(shape), values * factor, values))


def random_images(seed: int, count: int = 16) -> np.ndarray:
    """Return images for the model of a seed, without contrast if `plan` says so."""
    rng = np.random.default_rng(seed)
    images = rng.normal(size=(count, _SIZE, _SIZE, 3)).astype("float32")
    if "constant images" in plan(seed):
        images[:] = rng.choice([0.0, 0.5])
    return images


def export(seed: int) -> dict[str, Any]:
    """Build, convert and run one model.

    Returns:
        `spoiled`: what was wrong with it; `refused`: why it was not exported, or None; `error`: the file's mean
        difference from the fake-quantized model, as a share of that one's span.
    """
    model, spoiled = random_model(seed), plan(seed)
    images = random_images(seed)
    result: dict[str, Any] = {"seed": seed, "spoiled": spoiled, "refused": None, "error": None}
    try:
        quantized = quantize_aware(model, engine="tf_mot")
        calibrate(quantized, images)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "model.tflite")
            path.write_bytes(write(read_quantized(quantized)))
            examined = examine(path, images=images[:4], stop_at_bad_scales=True)
        if scales := examined.inspection.bad_scales:
            raise InputError(f"Expected scales that XNNPACK can run, received {scales[0]}.")
        expected = np.asarray(quantized.predict(images[:4], verbose=0))
        result["error"] = float(np.abs(examined.outputs - expected).mean() / max(float(np.ptp(expected)), 1e-3))
    except InputError as error:
        result["refused"] = str(error)
    return result


def main(values: flags.FlagValues, positional: list[str]) -> None:
    """Export all models."""
    if positional:
        raise InputError(f"Expected no arguments, received {positional[0]!r}.")
    check_tf_mot()
    results = []
    for seed in range(values.first, values.first + values.models):
        cached = Path(values.cache_dir, f"{seed}.json")
        if not cached.is_file():
            write_json(cached, export(seed))
            keras.backend.clear_session()
            gc.collect()
        result = read_json(cached)
        results.append(result)
        verdict = result["refused"] or f"exported, off by {result['error']:.1%} of the outputs' span"
        print(f"{seed} ({', '.join(result['spoiled']) or 'sound'}): {verdict}", flush=True)
    print(summary(results))


def summary(results: list[dict[str, Any]]) -> str:
    """Return one line about results of `export`.

    Raises:
        InputError: If LiteRT died, outputs are wrong, a model with dead channels was refused, or too many were.
    """
    refused = [result for result in results if result["refused"]]
    problems = [result["seed"] for result in refused if "died of" in result["refused"]]
    problems += [result["seed"] for result in refused if any("dead" in text for text in result["spoiled"])]
    problems += [result["seed"] for result in results if result["error"] is not None and result["error"] > _TOLERANCE]
    if problems or 20 * len(refused) > len(results):
        raise InputError(
            f"Expected every file to run, received {len(refused)} refusals out of {len(results)} models, and failures "
            f"with the seeds {problems}."
        )
    return f"{len(results) - len(refused)} of {len(results)} models exported, {len(refused)} refused"
