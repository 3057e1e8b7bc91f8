"""Random models of published blocks, made to break an exporter: some are spoiled, some calibrated without contrast."""

import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_lite.errors import InputError
from keras_lite.layers import ChannelAttention, ChannelShuffle, GhostModule, GroupConvBlock, HybridStem
from keras_lite.litert import write
from keras_lite.quantization import calibrate, quantize_aware
from keras_lite.quantization.aware.tf_mot import read_quantized
from keras_lite.runtime.inspection import examine

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
        What `checks.fuzz.KINDS` returns: a model may be refused, unless it has dead channels.
    """
    parts = plan(seed)
    try:
        error = _difference(seed)
    except InputError as problem:
        wrong = "died of" in str(problem) or any("dead" in text for text in parts)
        return {"parts": parts or ["sound"], "verdict": str(problem), "refused": True, "wrong": wrong}
    verdict = f"exported, off by {error:.1%} of the outputs' span"
    return {"parts": parts or ["sound"], "verdict": verdict, "refused": False, "wrong": error > _TOLERANCE}


def _difference(seed: int) -> float:
    """Return a file's mean difference from the fake-quantized model, as a share of that one's span."""
    quantized, images = quantize_aware(random_model(seed), engine="tf_mot"), random_images(seed)
    calibrate(quantized, images)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.tflite")
        path.write_bytes(write(read_quantized(quantized)))
        examined = examine(path, images=images[:4], stop_at_bad_scales=True)
    if scales := examined.inspection.bad_scales:
        raise InputError(f"Expected scales that XNNPACK can run, received {scales[0]}.")
    expected = np.asarray(quantized.predict(images[:4], verbose=0))
    return float(np.abs(examined.outputs - expected).mean() / max(float(np.ptp(expected)), 1e-3))
