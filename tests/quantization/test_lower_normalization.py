"""Normalization layers in LiteRT against Keras, on each backend."""

import keras
import numpy as np
import pytest
from test_lower import chain, check, images_of, litert

from keras_lite.litert import write
from keras_lite.quantization.lower import lower
from keras_lite.runtime.litert_worker import delegation

interpreter = pytest.importorskip("ai_edge_litert.interpreter")
layers = keras.layers
UNIT = ["MEAN", "SUB", "MUL", "MEAN", "ADD", "RSQRT", "MUL"]
ROOT = ["MUL", "MEAN", "ADD", "RSQRT", "MUL"]


@pytest.mark.parametrize(
    ("steps", "kinds"),
    {
        "channels": ([layers.LayerNormalization()], [*UNIT, "MUL", "ADD"]),
        "whole image": ([layers.LayerNormalization(axis=[1, 2, 3])], [*UNIT, "MUL", "ADD"]),
        "rows and channels": ([layers.LayerNormalization(axis=(-1, -3))], [*UNIT, "MUL", "ADD"]),
        # Keras 3.15 itself fails on PyTorch here: it takes any one axis for the last.
        "rows": pytest.param(
            [layers.LayerNormalization(axis=1)], [*UNIT, "MUL", "ADD"], marks=pytest.mark.tensorflow_only
        ),
        "nothing trained": ([layers.LayerNormalization(center=False, scale=False)], UNIT),
        "vector": ([layers.GlobalAveragePooling2D(), layers.LayerNormalization()], ["MEAN", *UNIT, "MUL", "ADD"]),
        "into a dense layer": ([layers.LayerNormalization(epsilon=1e-6), layers.Dense(4)], [*UNIT, "FULLY_CONNECTED"]),
        "groups": ([layers.GroupNormalization(2)], ["RESHAPE", *UNIT, "RESHAPE", "MUL", "ADD"]),
        "one group": ([layers.GroupNormalization(1, center=False)], ["RESHAPE", *UNIT, "RESHAPE", "MUL"]),
        "instance": ([layers.GroupNormalization(-1)], [*UNIT, "MUL", "ADD"]),
        "groups of rows": ([layers.GroupNormalization(7, axis=1, scale=False)], [*UNIT, "ADD"]),
        "groups of columns": ([layers.GroupNormalization(3, axis=2)], ["RESHAPE", *UNIT, "RESHAPE", "MUL", "ADD"]),
        "groups of a vector": (
            [layers.Flatten(), layers.GroupNormalization(8)],
            ["RESHAPE", *UNIT, "RESHAPE", "MUL", "ADD"],
        ),
        "groups of a sequence": (
            [layers.Reshape((42, 4)), layers.GroupNormalization(2)],
            ["RESHAPE", *UNIT, "RESHAPE", "MUL", "ADD"],
        ),
        "root mean square": ([layers.RMSNormalization()], [*ROOT, "MUL"]),
        "root mean square of images": ([layers.RMSNormalization(axis=(2, 3))], [*ROOT, "MUL"]),
        "unit length": ([layers.UnitNormalization()], ["L2_NORMALIZATION"]),
        "unit length of columns": ([layers.UnitNormalization(axis=1)], ["MUL", "SUM", "MAXIMUM", "RSQRT", "MUL"]),
        "batch norm of rows": ([layers.BatchNormalization(axis=1)], ["MUL", "ADD"]),
        "batch norm of columns": ([layers.ReLU(), layers.BatchNormalization(axis=-2)], ["RELU", "MUL", "ADD"]),
    }.values(),
)  # fmt: skip
def test_normalization(steps, kinds):
    graph = check(chain(*[type(step).from_config(step.get_config()) for step in steps]), *kinds)
    opened = interpreter.Interpreter(model_content=write(graph, batch=None))
    opened.allocate_tensors()
    assert set(delegation(opened)["not_delegated"]) <= {"L2_NORMALIZATION"}


@pytest.mark.filterwarnings("ignore:.*rms_scaling=True.*:UserWarning")
def test_scaling_by_the_deviation_alone():
    check(chain(layers.LayerNormalization(rms_scaling=True)), *UNIT, "MUL")


def test_values_against_numpy():
    """The deviation of each half of the channels, over the whole image, by NumPy."""
    model = chain(layers.GroupNormalization(2, epsilon=1e-3, center=False, scale=False))
    images = images_of((7, 6, 4))
    halves = images.reshape(3, 42, 2, 2).astype("float64")
    mean, variance = halves.mean((1, 3), keepdims=True), halves.var((1, 3), keepdims=True)
    expected = ((halves - mean) / np.sqrt(variance + 1e-3)).reshape(images.shape)
    np.testing.assert_allclose(litert(lower(model), images), expected, atol=1e-5)


def test_large_means_cost_no_digits():
    model = chain(layers.LayerNormalization(center=False, scale=False))
    images = 1000.0 + images_of((7, 6, 4))
    wide = images.astype("float64")
    expected = (wide - wide.mean(-1, keepdims=True)) / np.sqrt(wide.var(-1, keepdims=True) + 1e-3)
    np.testing.assert_allclose(litert(lower(model), images), expected, atol=1e-3)


def test_nothing_has_no_direction():
    images = np.zeros((2, 7, 6, 4), "float32")
    for axis in (-1, 1):
        assert not litert(lower(chain(layers.UnitNormalization(axis=axis))), images).any()
