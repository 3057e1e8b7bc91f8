"""One case that every network of the registry passes: what a user does with a Keras model."""

import functools

import keras
import numpy as np
import pytest

from keras_lite import applications
from keras_lite.checkpoints import registry
from keras_lite.graph import flatten

# One of each family: what `make test` runs.
MEMBERS = {family.member.network: dict(family.member.options) for family in registry.families()}
# What makes the others small.
SMALLER = MEMBERS | {
    "cifar_preresnet": {"depth": 8},
    "imagenet_preresnet": {"depth": 10, "input_shape": (64, 64, 3)},
    "wide_resnet": {"depth": 10, "width": 2},
}
# What JAX compiles soon. It runs the layers of the others by themselves, and their outputs in test_golden.py.
SOON = ("carnet18", "cifar_resnet", "efficient_resnet", "mobilenet_v1", "resnet18")
CLASSES = 10


def variants(name):
    """Yield the forms of a network, name and arguments; the first has all that the network takes at once."""
    residual = name in applications.list_models("*resnet*")
    if name not in ("carnet18", "efficient_resnet", "resnet18"):
        stem = {} if name.startswith("imagenet") else {"stem": "hybrid"}
        convolution = {}
        if residual or name in ("bsconv_mobilenet_v3_large", "bsconv_mobilenet_v3_small", "mobilenet_v2"):
            convolution = {"convolution": "bsconv_s"}
        elif name == "mobilenet_v1":
            convolution = {"convolution": "bsconv_u"}
        yield "padding_free", {"downsampling": "padding_free", **stem, **convolution}
        if not residual:
            yield "attention", {"downsampling": "attention"}
    yield "plain", {}


def cases():
    """`make test` runs the first form of one network a family, on JAX of a few families."""
    found = []
    for name in applications.list_models():
        quick = name in MEMBERS and (keras.backend.backend() != "jax" or name in SOON)
        for variant, options in variants(name):
            marks = [] if quick else [pytest.mark.slow]
            found.append(pytest.param(name, options, quick, id=f"{name}-{variant}", marks=marks))
            quick = False
    return found


def outputs(model, images):
    """JAX is quick with compiled models only, TensorFlow needs longer to trace one than to run it once."""
    if keras.backend.backend() == "jax":
        return np.asarray(model.predict_on_batch(images))
    return keras.ops.convert_to_numpy(model(images, training=False))


def assert_close(found, expected, tolerance):
    assert found.shape == expected.shape
    assert np.abs(found.astype("float32") - expected).max() <= tolerance * np.abs(expected).max()


@pytest.mark.parametrize(("name", "options", "quick"), cases())
def test_network(name, options, quick, tmp_path):
    arguments = {"input_shape": (32, 32, 3)} | SMALLER.get(name, {}) | options
    arguments |= {"classes": CLASSES, "classifier_activation": None, "name": "mine"}
    build = functools.partial(applications.create, name, **arguments)
    keras.utils.set_random_seed(0)
    model = build()
    assert model.name == "mine"
    images = np.random.default_rng(0).uniform(size=(3, *model.input_shape[1:])).astype("float32")

    # The slow cases trace the step, most of what they cost.
    check_training(model, images, run_eagerly=quick and keras.backend.backend() == "tensorflow")
    expected = outputs(model, images)
    if keras.backend.backend() != "jax":  # another size is compiled anew
        assert_close(outputs(model, images[:1]), expected[:1], 1e-4)

    assert type(model).from_config(model.get_config()).get_config() == model.get_config()
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for found, saved in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(found, saved)
    flat = flatten(loaded)
    assert_close(outputs(flat, images), expected, 1e-4)
    check_bfloat16(build, model, images, expected)
    if keras.backend.backend() == "tensorflow":
        check_tflite(flat, images, expected, tmp_path)


def check_training(model, images, run_eagerly):
    """One step of training changes what can learn."""
    before = [keras.ops.convert_to_numpy(v) for v in model.trainable_variables]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, run_eagerly=run_eagerly)
    history = model.fit(images, np.arange(len(images)), verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    after = [keras.ops.convert_to_numpy(v) for v in model.trainable_variables]
    unchanged = [v.path for v, a, b in zip(model.trainable_variables, before, after, strict=True) if (a == b).all()]
    # What a batch norm follows has a gradient of zero up to rounding; a squeezed channel can be dead at first.
    assert all(path.endswith(("gamma", "bias")) or "attention/" in path for path in unchanged), unchanged


def check_bfloat16(build, model, images, expected):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        half = build()
    finally:
        keras.config.set_dtype_policy("float32")
    half.set_weights(model.get_weights())
    assert {v.dtype for v in half.weights} == {"float32"}
    found = outputs(half, images)
    assert found.dtype.name == half.get_layer("predictions").compute_dtype == "bfloat16"
    assert_close(found, expected, 0.3)


def check_tflite(flat, images, expected, folder):
    from keras_lite.litert import write
    from keras_lite.quantization.lower import lower
    from keras_lite.runtime import LiteRTModel

    path = folder / "model.tflite"
    path.write_bytes(write(lower(flat)))
    assert_close(LiteRTModel(path).predict(images), expected, 1e-4)


def test_each_file_with_a_network_registers_it():
    """What a family registers is offered under its own name, with the family's module beside it."""
    offered = {name for name in applications.__all__ if name[0].isupper()}
    assert {"CARNet18", "CifarPreResNet", "GhostNet", "MobileNetV3Large", "ShuffleNetV2", "WideResNet"} < offered
    assert {builder.__name__ for builder in registry.builders().values()} == offered
    assert {f"keras_lite.applications.{family.name}" for family in registry.families()} == {
        getattr(applications, name).__module__ for name in offered
    }
    assert all(family.member.network in family.builders for family in registry.families())
