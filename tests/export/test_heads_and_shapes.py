"""Files of models with other ends than a photo and a row of classes: several, named, images, vectors, open sizes."""

import copy
import functools
import json

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from small_classifier import scramble

from keras_lite.data import ModelInfo, Preprocessing
from keras_lite.errors import InputError
from keras_lite.export import first_departure, to_tflite
from keras_lite.graph import with_input_shape
from keras_lite.litert import IntegerModel, with_ends
from keras_lite.litert.samples import Samples
from keras_lite.quantization import post_training, quantize_aware
from keras_lite.quantization.aware.keras_native.building import read_trained, trainable
from keras_lite.quantization.lower import lower
from keras_lite.runtime import LiteRTModel

pytestmark = pytest.mark.tensorflow_only
layers = keras.layers
COUNT = 24


def photos(height, width, channels, seed=0):
    """Colored blocks with noise on them, from -1 to 1."""
    rng = np.random.default_rng(seed)
    blocks = rng.uniform(-0.9, 0.9, (COUNT, height // 4, width // 4, channels)).repeat(4, 1).repeat(4, 2)
    return (blocks + rng.uniform(-0.1, 0.1, blocks.shape)).astype("float32")


def numbers(*shape, seed=1):
    return np.random.default_rng(seed).uniform(-1, 1, (COUNT, *shape)).astype("float32")


def features(x, filters, strides=2):
    return layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(filters, 3, strides, "same", use_bias=False)(x)))


def two_towers():
    """A photo and facts beside it; answers by name."""
    photo, facts = keras.Input((16, 12, 3), name="photo"), keras.Input((5,), name="facts")
    x = layers.Concatenate()([
        layers.GlobalAveragePooling2D()(features(photo, 8)),
        layers.Dense(6, activation="relu")(facts),
    ])  # fmt: skip
    heads = {
        "species": layers.Dense(4, activation="softmax")(x),
        "age": layers.Dense(1)(x),
        "traits": layers.Dense(3, activation="sigmoid")(x),
    }
    return keras.Model({"photo": photo, "facts": facts}, heads), {"photo": photos(16, 12, 3), "facts": numbers(5)}


def pyramid():
    """Maps of two sizes and their mean, in a list."""
    inputs = keras.Input((16, 16, 1), name="scan")
    fine = features(inputs, 6)
    coarse = features(fine, 8)
    mean = layers.GlobalAveragePooling2D(name="vector")(coarse)
    return keras.Model(inputs, [fine, coarse, mean]), {"scan": photos(16, 16, 1)}


def autoencoder():
    inputs = keras.Input((12, 16, 4), name="bands")
    x = layers.UpSampling2D(2, interpolation="bilinear")(features(inputs, 8))
    return keras.Model(inputs, layers.Conv2D(4, 3, padding="same", name="again")(x)), {"bands": photos(12, 16, 4)}


def mask():
    inputs = keras.Input((16, 16, 3), name="photo")
    x = layers.UpSampling2D(2)(features(inputs, 8))
    return keras.Model(inputs, layers.Softmax(name="mask")(layers.Conv2D(5, 1, name="scores")(x))), {
        "photo": photos(16, 16, 3)
    }


def table():
    inputs = keras.Input((7,), name="columns")
    x = layers.BatchNormalization()(layers.Dense(12, activation="relu")(inputs))
    return keras.Model(inputs, layers.Dense(2, name="values")(x)), {"columns": numbers(7)}


def steps():
    inputs = keras.Input((10, 3), name="signal")
    x = layers.Dense(6, activation="relu")(inputs)
    return keras.Model(inputs, layers.Dense(1, name="level")(layers.Flatten()(x))), {"signal": numbers(10, 3)}


def siamese():
    """Two photos through the same layers; the vectors of both."""
    first, second = keras.Input((8, 8, 3), name="first"), keras.Input((8, 8, 3), name="second")
    tower = keras.Sequential(
        [keras.Input((8, 8, 3)), layers.Conv2D(5, 3), layers.ReLU(), layers.Flatten()], name="tower"
    )
    dense = layers.Dense(4, name="vector")
    outputs = [dense(tower(first)), dense(tower(second))]
    return keras.Model([first, second], outputs), {"first": photos(8, 8, 3), "second": photos(8, 8, 3, seed=5)}


# Names and shapes of the outputs, in their order, and what the search measures of each.
MODELS = {
    two_towers: {"age": (1,), "species": (4,), "traits": (3,)},
    pyramid: {"re_lu": (8, 8, 6), "re_lu_1": (4, 4, 8), "vector": (8,)},
    autoencoder: {"again": (12, 16, 4)},
    mask: {"mask": (16, 16, 5)},
    table: {"values": (2,)},
    steps: {"level": (1,)},
    siamese: {"vector": (4,), "vector_1": (4,)},
}
SEVERAL = (two_towers, pyramid, siamese)


def built(build):
    keras.utils.set_random_seed(3)
    keras.backend.clear_session()  # names begin anew
    model, samples = build()
    return scramble(model), samples


@functools.cache
def calibrated_towers():
    """The two towers quantized, and what they take."""
    model, samples = built(two_towers)
    return post_training(model, samples)[0], samples


def answers(path, samples):
    """What LiteRT answers by names through the file's signature, photo by photo, in the file's own types."""
    run = Interpreter(str(path)).get_signature_runner("serving_default")
    names = list(run.get_input_details())
    assert names == sorted(samples) if len(names) > 1 else names == list(samples)
    found = [run(**{name: samples[name][at : at + 1] for name in names}) for at in range(COUNT)]
    return {name: np.concatenate([each[name] for each in found]) for name in found[0]}


def by_name(model, names, samples):
    """What Keras answers, by the names of the outputs."""
    found = keras.tree.flatten(model.predict(samples if len(samples) > 1 else next(iter(samples.values())), verbose=0))
    return dict(zip(names, found, strict=True))


def arrays(model, samples):
    given = [samples[tensor.name] for tensor in model.inputs]
    return given if len(given) > 1 else given[0]


@pytest.mark.parametrize("build", MODELS)
def test_a_file_of_floats_answers_as_keras(build, tmp_path):
    model, samples = built(build)
    path = tmp_path / "model.tflite"

    figures = to_tflite(model, path, samples=arrays(model, samples))

    expected = by_name(model, MODELS[build], {tensor.name: samples[tensor.name] for tensor in model.inputs})
    received = answers(path, samples)
    assert set(received) == set(MODELS[build])
    for name, shape in MODELS[build].items():
        assert received[name].shape == (COUNT, *shape)
        np.testing.assert_allclose(received[name], expected[name], atol=2e-6 * max(1.0, np.abs(expected[name]).max()))
    assert list(figures.heads) == (list(MODELS[build]) if build in SEVERAL else [])
    assert LiteRTModel(path).output_names == list(MODELS[build])


@pytest.mark.parametrize("build", MODELS)
def test_an_int8_file_is_near_the_model_and_equal_to_its_graph(build, tmp_path):
    model, samples = built(build)
    path = tmp_path / "model.tflite"
    given = arrays(model, samples)
    calibrated, report = post_training(model, samples)

    figures = to_tflite(calibrated, path, "int8", samples=samples, reference=model)

    assert (figures.exactness.equal, figures.exactness.steps) == (1.0, 0)
    whole = IntegerModel(calibrated.graph).predict(given)
    received = LiteRTModel(path).predict(samples)
    for one, other in zip(*(each if build in SEVERAL else [each] for each in (whole, received)), strict=True):
        np.testing.assert_array_equal(one, other)
    expected = by_name(model, MODELS[build], {tensor.name: samples[tensor.name] for tensor in model.inputs})
    for name, values in zip(expected, received if build in SEVERAL else [received], strict=True):
        wanted = expected[name].astype("float64")
        if name in ("species", "mask"):  # the softmax is left out: the same after one
            values = np.exp(values) / np.exp(values).sum(-1, keepdims=True)
        assert np.square(values - wanted).mean() < 0.02 * wanted.var() + 1e-4, name
    assert (build in SEVERAL) == isinstance(report.output, tuple)
    entries = json.loads(path.with_suffix(".json").read_text())
    tensors = entries["output_tensors"] if build in SEVERAL else [entries["output_tensor"]]
    assert [tensor["shape"][1:] for tensor in tensors] == [list(shape) for shape in MODELS[build].values()]


def test_what_is_measured_is_said(capsys):
    model, samples = built(two_towers)
    _, report = post_training(model, samples, output={"age": "regression"}, verbose=1)
    assert report.output == ("regression", "probabilities", "sigmoid")
    said = capsys.readouterr().out
    assert "mean of squared error as a share of the variance and Kullback-Leibler divergence and" in said

    model, samples = built(autoencoder)
    _, report = post_training(model, samples["bands"], verbose=1)
    assert "(squared error as a share of the variance):" in capsys.readouterr().out
    assert report.output == "regression"


@pytest.mark.parametrize("output", ["shares", ["logits"], {"height": "regression"}, "regression"])
def test_kinds_of_other_outputs_are_refused(output):
    model, samples = built(two_towers)
    with pytest.raises(InputError, match=r"Expected output (to be one of|for the outputs age, species, traits)"):
        post_training(model, samples, output=output)


def test_ends_have_types_by_their_names(tmp_path):
    calibrated, samples = calibrated_towers()
    path = tmp_path / "model.tflite"

    to_tflite(calibrated, path, "int8", samples=samples, ends={"photo": "uint8", "age": "float32"})

    entries = json.loads(path.with_suffix(".json").read_text())
    types = {each["name"]: each["dtype"] for each in entries["input_tensors"] + entries["output_tensors"]}
    assert types == {"photo": "uint8", "facts": "int8", "age": "float32", "species": "int8", "traits": "int8"}
    with pytest.raises(InputError, match="one of weight"):
        to_tflite(calibrated, path, "int8", samples=samples, ends={"weight": "float32"})
    with pytest.raises(InputError, match="'int4'"):
        to_tflite(calibrated, path, "int8", samples=samples, ends={"age": "int4"})


def test_a_departure_is_found_with_several_inputs():
    """Of a graph whose dense layer has another bias than the model that it is compared with."""
    calibrated, samples = calibrated_towers()
    graph, other = calibrated.graph, copy.deepcopy(calibrated.graph)
    assert first_departure(graph, IntegerModel(graph), samples) is None
    dense = next(each for each in other.operators if each.inputs[0].name == "facts")
    dense.inputs[2].data[:] += 500
    found = first_departure(graph, IntegerModel(other), [samples["facts"], samples["photo"]])
    assert (found.kind, found.name) == ("FULLY_CONNECTED", dense.name)


def test_open_sizes_are_those_of_the_samples(tmp_path):
    inputs = keras.Input((None, None, 3), name="photo")
    x = features(inputs, 6)
    maps = layers.Conv2D(2, 1, activation="sigmoid", name="map")(x)
    model = scramble(keras.Model(inputs, [maps, layers.Dense(3, name="kind")(layers.GlobalMaxPooling2D()(x))]))
    for height, width in ((12, 16), (20, 8)):
        images = photos(height, width, 3)
        path = tmp_path / f"{height}.tflite"
        to_tflite(model, path, samples=images)
        received = LiteRTModel(path).predict(images)
        for one, other in zip(received, model.predict(images, verbose=0), strict=True):
            np.testing.assert_allclose(one, other, atol=1e-5 * np.abs(other).max())
        calibrated, _ = post_training(model, images)
        assert calibrated.graph.inputs[0].shape == (1, height, width, 3)
    with pytest.raises(InputError, match=r"keras_lite\.graph\.with_input_shape"):
        lower(model)
    with pytest.raises(InputError, match=r"shape \(count, None, None, 3\), received float32 of shape \(24, 8, 8, 4\)"):
        to_tflite(model, path, samples=photos(8, 8, 4))


def test_sizes_of_several_inputs():
    one, two = keras.Input((None, None, 3)), keras.Input((None, None, 1))
    model = keras.Model([one, two], layers.Concatenate()([one, two]))
    assert with_input_shape(model, [(4, 6, 3), (4, 6, 1)]).output_shape == (None, 4, 6, 4)
    for wrong in ((4, 6, 3), [(4, 6, 3), (4, 6, 3)]):
        with pytest.raises(InputError, match="Expected input_shape to fit the inputs"):
            with_input_shape(model, wrong)


def test_outputs_that_are_the_same_tensor_or_an_input(tmp_path):
    inputs = keras.Input((6,), name="x")
    logits = layers.Dense(3)(inputs)
    outputs = {"raw": inputs, "scores": logits, "shares": layers.Softmax()(logits), "same": layers.Dropout(0.5)(logits)}
    model = scramble(keras.Model(inputs, outputs))
    samples = numbers(6)
    for precision in ("float32", "int8"):
        path = tmp_path / f"{precision}.tflite"
        to_tflite(model, path, precision, calibration=samples)
        received = dict(zip(LiteRTModel(path).output_names, LiteRTModel(path).predict(samples), strict=True))
        step = np.abs(samples).max() / 100 if precision == "int8" else 1e-6
        assert list(received) == ["raw", "same", "scores", "shares"]
        np.testing.assert_allclose(received["raw"], samples, atol=step)
        np.testing.assert_array_equal(received["scores"], received["same"])
    np.testing.assert_array_equal(received["shares"], received["scores"])  # in int8 the softmax is left out


def test_what_does_not_go_in_is_refused():
    model, samples = built(two_towers)
    for wrong, expected in {
        "photo": {"photo": samples["photo"]},
        "Expected 2 arrays of inputs": [samples["photo"]],
        "for facts, received float32": [samples["photo"], samples["photo"]],
        "as many samples": {"photo": samples["photo"], "facts": samples["facts"][:5]},
    }.items():
        with pytest.raises(InputError, match=wrong):
            post_training(model, expected)
    with pytest.raises(InputError, match="Expected preprocessing for a model that takes one image"):
        post_training(model, samples, Preprocessing((16, 12)))
    for arguments in ({"precision": "int16"}, {"precision": "float32", "stock": True}):
        with pytest.raises(InputError, match=r"one input and one output for .*take another precision"):
            to_tflite(model, "model.tflite", calibration=samples, **arguments)
    with pytest.raises(InputError, match="one input and one output"):
        quantize_aware(model, engine="tf_mot")


def test_training_goes_on_with_several_ends():
    calibrated, samples = calibrated_towers()
    aware = trainable(calibrated)
    given = [samples["facts"], samples["photo"]]
    for one, other in zip(aware.predict(given, verbose=0), IntegerModel(calibrated.graph).predict(given), strict=True):
        np.testing.assert_allclose(one, other, atol=0.02)

    targets = [np.zeros((COUNT, 1)), np.zeros((COUNT, 4)), np.zeros((COUNT, 3))]
    aware.compile(keras.optimizers.SGD(0.05), "mse")
    before = aware.evaluate(given, targets, verbose=0, return_dict=True)["loss"]
    aware.fit(given, targets, epochs=5, verbose=0)
    assert aware.evaluate(given, targets, verbose=0, return_dict=True)["loss"] < 0.9 * before
    trained = read_trained(aware)
    assert [tensor.name for tensor in trained.outputs] == ["age", "species", "traits"]
    assert first_departure(trained, IntegerModel(trained), Samples(given)) is None


MASK = ModelInfo("mask", ["sky", "sea", "land", "ship", "bird"], Preprocessing((16, 16)), "probabilities")


def test_a_mask_has_the_names_of_its_classes(tmp_path):
    model, _ = built(mask)
    images = MASK.preprocessing(np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), "uint8"))
    for precision in ("float32", "int8"):
        path = tmp_path / f"{precision}.tflite"
        to_tflite(model, path, precision, calibration=images, info=MASK)
        assert path.with_suffix(".labels.txt").read_text().split() == MASK.class_names
        assert b"labels.txt" in path.read_bytes()
        card = path.with_suffix(".md").read_text()
        assert "batch, height, width and classes" in card
    with pytest.raises(InputError, match="Expected 5 class names"):
        to_tflite(model, path, samples=images, info=ModelInfo("mask", ["sky", "sea"], MASK.preprocessing, "logits"))


def test_what_has_no_classes_has_no_labels(tmp_path):
    model, samples = built(autoencoder)
    color = keras.Input((16, 16, 3))
    model = scramble(keras.Model(color, [layers.Conv2D(3, 3)(color), layers.Dense(2)(layers.Flatten()(color))]))
    image = keras.Model(color, model.outputs[0])
    preprocessing = Preprocessing((16, 16))
    images = preprocessing(np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), "uint8"))
    for network, kind in ((model, "several"), (image, "image")):
        path = tmp_path / f"{kind}.tflite"
        to_tflite(network, path, "int8", calibration=images, info=ModelInfo(kind, [], preprocessing, kind))
        assert path.with_suffix(".labels.txt").read_text() == ""
        assert b"labels.txt" not in path.read_bytes()
        assert "equal to the quantized model's" in path.with_suffix(".md").read_text()
    assert "- `conv2d" in (tmp_path / "several.md").read_text()
    for network, kind, expected in (
        (model, "image", "only there, received"),
        (image, "several", "only there, received"),
    ):
        with pytest.raises(InputError, match=expected):
            to_tflite(network, path, samples=images, info=ModelInfo(kind, [], preprocessing, kind))
    towers, samples = built(two_towers)
    with pytest.raises(InputError, match="info of a model of one image"):
        to_tflite(towers, path, samples=samples, info=ModelInfo("towers", [], preprocessing, "several"))


def test_other_ends_answer_what_int8_answers():
    model, samples = built(siamese)
    graph = post_training(model, samples)[0].graph
    plain = IntegerModel(graph).predict(samples)
    for ends in ("uint8", "float32", {"first": "uint8", "vector_1": "float32"}):
        for one, other in zip(plain, IntegerModel(with_ends(graph, ends)).predict(samples), strict=True):
            np.testing.assert_allclose(one, other, atol=1e-6)
