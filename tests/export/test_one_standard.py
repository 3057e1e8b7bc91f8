"""An int8 file equals its quantized model to the bit; on processors without an exact rule within a step."""

import platform

import keras
import pytest
from int8_models import calibrated
from small_classifier import CLASSES, PREPROCESSING, SIZE, color_images, scramble

import keras_lite.export.verification
from keras_lite.data import ModelInfo
from keras_lite.export import Thresholds, VerificationError, to_tflite
from keras_lite.litert import IntegerModel

pytestmark = pytest.mark.tensorflow_only
layers = keras.layers
INFO = ModelInfo("small", CLASSES, PREPROCESSING, "logits")
IMAGES = color_images(24, seed=0)[0]


def build(activation):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((SIZE, SIZE, 3))
    x = layers.Activation(activation)(layers.Conv2D(6, 3, strides=2)(inputs))
    model = scramble(keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x))))
    return model, calibrated(model, IMAGES)


@pytest.fixture(scope="module")
def exact():
    return build("relu")


@pytest.fixture
def move(monkeypatch):
    """Have one output lie some steps from where the whole numbers put it."""

    def by(steps):
        class Moved(IntegerModel):
            def predict_beside(self, images, target):
                outputs, there = super().predict_beside(images, target)
                outputs[5, 1] -= steps * self.graph.outputs[0].quantization.scale
                return outputs, there

        monkeypatch.setattr(keras_lite.export.verification, "IntegerModel", Moved)

    return by


def export(pair, folder, **options):
    model, quantized = pair
    path = folder / "model.tflite"
    verification = to_tflite(quantized, path, "int8", samples=IMAGES, info=INFO, reference=model, **options)
    return verification, path.with_suffix(".md").read_text()


def assert_refused(pair, folder, text, **options):
    with pytest.raises(VerificationError, match=rf"model\.tflite was not written: .*{text}"):
        export(pair, folder, **options)
    assert list(folder.iterdir()) == []


def test_one_step_is_too_many_where_every_operator_is_exact(exact, move, tmp_path):
    move(1)
    share = 1 - 1 / (24 * 3)
    text = rf" 1 step from the quantized model in whole numbers > 0 \({share:.2%} of the outputs equal\)"
    assert_refused(exact, tmp_path, text)
    verification, card = export(exact, tmp_path, thresholds=Thresholds(steps=3))
    assert (verification.exactness.equal, verification.exactness.steps) == (pytest.approx(share), 1)
    assert f"{share:.2%} of the outputs are equal to the quantized model's" in card
    assert f"up to 1 step, {share:.2%} equal" in str(verification)


def test_a_threshold_has_an_end(exact, move, tmp_path):
    move(4)
    assert_refused(
        exact, tmp_path, r" 4 steps from the quantized model in whole numbers > 3", thresholds=Thresholds(steps=3)
    )


def test_on_a_processor_without_rules_a_step_is_allowed(exact, move, tmp_path, monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    move(2)
    assert_refused(exact, tmp_path, " 2 steps from the quantized model in whole numbers > 1")
    move(1)
    verification, card = export(exact, tmp_path)
    assert verification.exactness.inexact == ["processor riscv64"]
    assert (
        "at most 1 step away; a step is allowed, as there is no exact rule for processor riscv64. Outputs are known "
        in card
    )


def test_x86_has_its_names(exact, tmp_path, monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "AMD64")
    verification, card = export(exact, tmp_path)
    assert (verification.exactness.equal, verification.exactness.inexact) == (1.0, [])
    assert str(verification).startswith("on 24 images: equals its quantized model to the bit; with the float model: ")
    assert (
        "All outputs are equal to the quantized model's, computed in whole numbers. Outputs are known to the bit on "
        "x86 processors and in browsers (WebAssembly), and on ARM64 processors; none of the compared ones differs "
        "between the two." in card
    )


@pytest.mark.parametrize("activation", ["gelu", "tanh"])
def test_what_litert_looks_up_in_tables_is_exact_too(activation, tmp_path):
    verification, _ = export(build(activation), tmp_path)
    assert (verification.exactness.equal, verification.exactness.inexact) == (1.0, [])
