"""A backbone of KerasCV, where it is installed: flat with the same outputs, and an int8 file equal to the bit."""

import keras
import numpy as np
import pytest

from keras_lite.export import to_tflite
from keras_lite.graph import flatten

pytestmark = pytest.mark.tensorflow_only


def test_a_backbone_becomes_stock_layers_and_an_exact_file(tmp_path):
    keras_cv = pytest.importorskip("keras_cv", reason="KerasCV is the extra keras-cv")
    keras.utils.set_random_seed(0)
    # The classes without a size in their name: the others ask KerasCV's server for their arguments.
    backbone = keras_cv.models.ResNetV2Backbone(
        stackwise_filters=[8, 16],
        stackwise_blocks=[2, 2],
        stackwise_strides=[1, 2],
        include_rescaling=True,
        input_shape=(32, 32, 3),
    )
    images = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3)).astype("float32")
    flat = flatten(backbone)
    assert {type(layer).__module__.partition(".")[0] for layer in flat.layers} == {"keras"}
    np.testing.assert_array_equal(*(keras.ops.convert_to_numpy(model(images)) for model in (flat, backbone)))

    pooled = keras.layers.GlobalAveragePooling2D()(backbone.output)
    model = keras.Model(backbone.inputs[0], keras.layers.Dense(3, activation="softmax")(pooled))
    to_tflite(model, tmp_path / "float32.tflite", samples=images)
    verification = to_tflite(model, tmp_path / "int8.tflite", "int8", calibration=images, samples=images)
    assert "to the bit" in str(verification)
