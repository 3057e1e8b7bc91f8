"""Models from anywhere on a tool's command line: .keras and .h5 files, nested ones, of any input size."""

import keras
import numpy as np
import pytest
from small_classifier import CLASSES, PREPROCESSING, SIZE, color_images, scramble

from keras_lite.cli import compare
from keras_lite.data import ModelInfo, write_model_info
from keras_lite.errors import InputError
from keras_lite.export import to_tflite
from keras_lite.export.trained_model import open_trained_model
from keras_lite.inference.classifier import Classifier

pytestmark = pytest.mark.tensorflow_only
layers = keras.layers
INFO = ModelInfo("photos", CLASSES, PREPROCESSING, "logits")


def transfer_learned(size=None):
    """A backbone inside a model, called as tutorials do, on inputs of any size."""
    backbone = keras.Sequential([keras.Input((None, None, 3)), layers.Conv2D(4, 3), layers.ReLU()], name="backbone")
    inputs = keras.Input((size, size, 3))
    x = layers.GlobalAveragePooling2D()(
        backbone(layers.RandomFlip("horizontal")(layers.Rescaling(0.5)(inputs)), training=False)
    )
    return scramble(keras.Model(inputs, layers.Dense(3)(layers.Dropout(0.2)(x))))


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
@pytest.mark.parametrize("size", [None, SIZE])
def test_file_opens_and_goes_to_the_phone(name, size, tmp_path):
    model = transfer_learned(size)
    images, _ = color_images(8, seed=0)
    expected = model.predict(images, verbose=0)
    model.save(tmp_path / name)
    write_model_info(tmp_path / name, INFO)

    path, opened, info = open_trained_model(str(tmp_path / name))

    assert (path, info) == (tmp_path / name, INFO)
    assert opened.input_shape == (None, SIZE, SIZE, 3)
    np.testing.assert_allclose(opened.predict(images, verbose=0), expected, rtol=1e-5, atol=1e-6)
    if size is None:
        figures = to_tflite(opened, tmp_path / "phone.tflite", samples=images, info=info)
        assert figures.largest_difference < 1e-5 * np.abs(expected).max()
    probabilities = Classifier(tmp_path / name).predict(np.zeros((1, SIZE, SIZE, 3), "uint8"))
    assert probabilities.sum() == pytest.approx(1.0, abs=1e-5)


def test_wrong_files_end_in_one_line(run_tool, tmp_path, assert_one_line_error):
    def check(file, *expected):
        finished = run_tool(compare, tmp_path / file, "--data_dir", "shapes")
        assert_one_line_error(finished, *expected)

    transfer_learned().save(tmp_path / "alone.h5")
    check("alone.h5", "alone.json, which does not exist", "write_model_info")
    transfer_learned().save_weights(tmp_path / "some.weights.h5")
    (tmp_path / "some.weights.h5").rename(tmp_path / "weights.h5")
    inputs = keras.Input((SIZE, SIZE, 3))
    keras.Model(inputs, layers.Lambda(lambda x: 2 * x)(inputs)).save(tmp_path / "code.h5")
    keras.Model(inputs, layers.Lambda(lambda x: 2 * x)(inputs)).save(tmp_path / "code.keras")
    keras.Model(inputs, inputs * 2.0).save(tmp_path / "operation.h5")
    (tmp_path / "text.h5").write_text("no model")
    (tmp_path / "model.onnx").write_text("another")
    for file in ("weights.h5", "code.h5", "code.keras", "operation.h5", "text.h5"):
        write_model_info(tmp_path / file, INFO)
    check("weights.h5", "weights.h5", "holds weights alone")
    check("code.h5", "code.h5", "Lambda layer", "instead")
    check("code.keras", "code.keras", "Lambda layer", "instead")
    check("operation.h5", "operation.h5", "save it as .keras")
    check("text.h5", "text.h5", "which is none")
    check("model.onnx", "a .keras, .h5 or .tflite file", "model.onnx")
    check("nowhere.h5", "nowhere.h5", "does not exist")


def test_input_of_another_size_is_refused(tmp_path):
    transfer_learned(16).save(tmp_path / "model.keras")
    write_model_info(tmp_path / "model.keras", INFO)
    with pytest.raises(InputError, match=r"Expected one input of shape \(32, 32, 3\).*received \(16, 16, 3\)"):
        open_trained_model(str(tmp_path / "model.keras"))
