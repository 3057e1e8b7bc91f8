"""Sums of which next to nothing is left: LiteRT adds no parts whose steps are 256 times the output's or more."""

import keras
import numpy as np
import pytest

from keras_lite.export import to_tflite
from keras_lite.litert import excess
from keras_lite.quantization import post_training

pytestmark = pytest.mark.tensorflow_only


def test_a_difference_next_to_nothing_has_a_range_that_litert_can_run(tmp_path):
    inputs = keras.Input((6, 6, 3))
    x = keras.layers.Activation("tanh_shrink", name="shrunk")(inputs)  # x - tanh(x), where both are nearly the same
    keras.utils.set_random_seed(0)
    model = keras.Model(inputs, keras.layers.Dense(4)(keras.layers.Flatten()(x)))
    samples = np.random.default_rng(0).normal(0.0, 0.04, (12, 6, 6, 3)).astype("float32")

    calibrated, _ = post_training(model, samples)
    [difference] = [operator for operator in calibrated.graph.operators if operator.kind == "SUB"]
    steps = [float(tensor.quantization.scale) for tensor in difference.inputs]
    ratio = max(steps) / float(difference.output.quantization.scale)
    assert 200.0 < ratio < 256.0 and excess(difference) == pytest.approx(ratio / 256.0)
    assert "to the bit" in str(to_tflite(model, tmp_path / "small.tflite", "int8", calibration=samples))
