"""Parts of the published networks in int8: deep enough for every kind of layer, too short for roundings to blow up."""

import dataclasses
import functools
import json

import keras
import numpy as np
import pytest
from good_figures import GOOD
from read_golden import draw, read
from small_classifier import color_images

from checks import verify_int8
from checks.int8_figures import Figures, convert_and_measure, measure
from checks.known_weights import draw_weights, set_known_weights
from keras_lite import published
from keras_lite.checkpoints import to_torch_state_dict
from keras_lite.data import Preprocessing
from keras_lite.errors import InputError
from keras_lite.litert.integer import model as integer_model
from keras_lite.runtime import Inspection

pytestmark = pytest.mark.tensorflow_only


@functools.cache
def whole(network):
    row = next(row for row in published.rows() if row.network == network)
    model = row.build(classifier_activation=None)
    set_known_weights(model, color_images(32, seed=1)[0])
    return model


@pytest.fixture(scope="module", autouse=True)
def forgotten():
    """The networks are not kept for the tests of other modules."""
    yield
    whole.cache_clear()


def part(network, first, last):
    """The layers behind `first`, up to `last`, with a classifier, and a function that makes their inputs of images."""
    model = whole(network)
    start, end = (model.get_layer(name).output for name in (first, last))
    features = keras.layers.GlobalAveragePooling2D()(end)
    keras.utils.set_random_seed(0)
    small = keras.Model(start, keras.layers.Dense(10, name="classes")(features))
    return small, lambda images: keras.Model(model.input, start).predict(images, verbose=0)


@pytest.mark.parametrize(
    ("network", "first", "last", "outside"),
    [
        pytest.param(
            "mobilenetv3_large__ours", "block7_project_batch_norm", "block8_add", set(), marks=pytest.mark.slow
        ),
        ("ghostnet__ours", "images", "stage1_block1_add", set()),
        pytest.param("shufflenetv2__ours", "images", "stage2_block2_join", set(), marks=pytest.mark.slow),
        ("parc_mobilenetv2__effv2", "block8_add", "block9_add", set()),
        ("parc_mobilenetv2__effv2", "block6_add", "block7_downsampling", {"SOFTMAX", "BATCH_MATMUL", "GELU"}),
        ("effresnet_best", "images", None, set()),
        pytest.param("cifar_wrn40_8_bsconvu__ours", "images", None, set(), marks=pytest.mark.slow),
    ],
)
def test_part_of_a_network(network, first, last, outside, tmp_path):
    if last is None:
        additions = [layer.name for layer in whole(network).layers if type(layer).__name__ == "Add"]
        last = additions[1]
    model, prepare = part(network, first, last)
    images, others = prepare(color_images(64, seed=1)[0]), prepare(color_images(32, seed=2)[0])
    figures = convert_and_measure(network, model, images, others=others, path=tmp_path / "part.tflite", start=0.0)

    assert figures.int8_only
    assert set(figures.not_delegated) >= outside
    assert outside or (figures.partitions, figures.not_delegated) == (1, [])
    assert figures.correlation >= 0.98
    assert figures.equal == 1.0
    assert figures.range_ratio <= 1.5
    assert figures.deviation >= 8


def test_weights_are_those_of_the_golden_files():
    row = published.get("cifar100_first/resnet20/ours")
    model = row.build(classifier_activation=None)
    set_known_weights(model, color_images(8, seed=0)[0])
    meta, weights, _, _ = read(f"tests/golden/{row.network}.npz")

    state = to_torch_state_dict(model)
    for name, shape, kind in meta["tensors"]:
        if kind != "stat":
            assert (state[name] == draw(name, tuple(shape), kind)).all()
    assert not any((state[name] == values).all() for name, values in weights.items() if "running" in name)


def test_file_that_outputs_a_constant_fails():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(64, 10))
    operator = {"name": "CONV_2D", "inputs": ["int8"], "outputs": ["int8"]}
    step = np.ptp(logits) / 255
    ends = {"dtype": "int8", "scale": step, "zero_point": 0}
    found = Inspection([operator], [ends], [ends], [], partitions=1, not_delegated=[])

    models = {"seen": logits, "expected": logits, "exact": logits}
    good = measure("net", found, **models, received=logits)
    constant = measure("net", found, **models, received=np.repeat(logits[:1], 64, axis=0))

    assert good.shortcomings() == []
    assert any("correlation 0.000" in text for text in constant.shortcomings())
    assert set(constant.shared_with_control()) == set()


def test_control_explains_what_random_weights_do_and_nothing_else():
    figures = Figures(
        "net",
        int8_only=True,
        partitions=2,
        not_delegated=["ADD"],
        deviation=9.0,
        range_ratio=1.0,
        within_one=0.5,
        equal=0.0,
        correlation=0.8,
        fake_correlation=0.8,
        seconds=1,
    )
    departure = "100.00% unequal to the quantized model"
    assert figures.shortcomings() == ["2 partitions", departure, "correlation 0.800 < 0.98"]
    assert figures.shortcomings(attention=True) == figures.shortcomings()[1:]
    assert figures.shared_with_control() == figures.shortcomings()[2:]


@pytest.mark.parametrize("inexact", ["GELU", "processor aarch64"])
def test_a_step_is_allowed_where_a_rule_is_missing_and_no_more(inexact):
    figures = dataclasses.replace(GOOD, equal=0.9)
    assert figures.shortcomings() == ["10.00% unequal to the quantized model"]
    figures = dataclasses.replace(figures, inexact=[inexact])
    assert figures.shortcomings() == []
    figures = dataclasses.replace(figures, within_one=0.999)
    assert figures.shortcomings() == ["0.10% more than a step from the quantized model"]
    assert figures.shared_with_control() == []
    assert Figures.from_dict(json.loads(json.dumps(dataclasses.asdict(figures)))) == figures


def test_first_operator_that_departs_is_told(tmp_path, monkeypatch):
    def wrong(operator):
        compute = dense(operator)
        return lambda *values: np.minimum(compute(*values), 126) + np.int8(1)

    dense = integer_model.KINDS["FULLY_CONNECTED"]
    monkeypatch.setitem(integer_model.KINDS, "FULLY_CONNECTED", wrong)
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    outputs = keras.layers.Conv2D(4, 3, name="stem")(inputs)
    outputs = keras.layers.Dense(5, name="classes")(keras.layers.GlobalAveragePooling2D()(outputs))
    images = np.random.default_rng(0).normal(size=(16, 8, 8, 3)).astype("float32")
    figures = convert_and_measure(
        "small", keras.Model(inputs, outputs), images, others=images[:4], path=tmp_path / "small.tflite", start=0.0
    )
    told = [text for text in figures.shortcomings() if "unequal to the quantized model: The first operator" in text]
    assert len(told) == 1 and "classes (FULLY_CONNECTED), number 3 of 3: on image 1, " in told[0]


def test_finished_networks_are_not_converted_again(run_tool, tmp_path, monkeypatch, assert_one_line_error):
    calls = []

    def verify(row, images, others):
        calls.append((row.network, images.shape, others.shape))
        good = row.network == "cifar_resnet20__ours"
        return Figures(
            row.network,
            int8_only=good,
            partitions=1,
            not_delegated=[],
            deviation=9.0,
            range_ratio=1.0,
            within_one=1.0,
            equal=1.0,
            correlation=1.0,
            fake_correlation=1.0,
            seconds=2.0,
        )

    monkeypatch.setattr(verify_int8, "verify", verify)
    page = tmp_path / "page.md"
    flags = ("--page", page, "--cache_dir", tmp_path, "--calibration_images", 4, "--images", 2)
    arguments = ("cifar_resnet20__ours", *flags)
    for _ in range(2):
        finished = run_tool(verify_int8, *arguments)
        assert finished.returncode == 0, finished.stderr
        assert "1/1 cifar_resnet20__ours: passes" in finished.stdout
    assert calls == [("cifar_resnet20__ours", (4, 32, 32, 3), (2, 32, 32, 3))]
    assert "key" in json.loads((tmp_path / "cifar_resnet20__ours.json").read_text())
    assert "| cifar_resnet20__ours | yes | 1 | 9.0 | 1.00 | 100.0% | 100.0% |" in page.read_text()
    assert "random weights, no training, images of\nshapes" in page.read_text()

    run_tool(verify_int8, *arguments[:-1], 3)  # other images
    assert len(calls) == 2
    finished = run_tool(verify_int8, "cifar_resnet20__orig", *arguments[1:])
    assert "cifar_resnet20__orig: falls short: not int8 only" in finished.stdout
    assert_one_line_error(finished, "received 1 that fall short")
    assert_one_line_error(run_tool(verify_int8, "resnet"), "resnet")


def test_trained_networks_have_no_excuse(run_tool, tmp_path, monkeypatch, assert_one_line_error):
    calls = []

    def verify(row, images, others, kept):
        calls.append((row.id, images.shape[1:], kept.name))
        return dataclasses.replace(GOOD, network=row.network, correlation=0.97, fake_correlation=0.97)

    monkeypatch.setattr(verify_int8, "verify", verify)
    arguments = ("--trained", "--cache_dir", tmp_path, "--calibration_images", 4, "--images", 2)
    finished = run_tool(verify_int8, "carnet", *arguments)
    assert calls == [("sports100/carnet18/ours", (96, 96, 3), "sports100")]
    assert "1/1 carnet-sports100: falls short: correlation 0.970 < 0.98" in finished.stdout
    assert_one_line_error(finished, "received 1 that fall short")
    assert_one_line_error(run_tool(verify_int8, "ghostnet__ours", *arguments), "kept weights", "ghostnet__ours")


def test_images_of_every_kind(tmp_path):
    assert verify_int8.read_images("shapes", Preprocessing((48, 48)), 3).shape == (3, 48, 48, 3)
    with pytest.raises(InputError, match="nowhere, found nothing"):
        verify_int8.read_images(str(tmp_path / "nowhere"), Preprocessing((32, 32)), 3)


def test_drawn_weights_keep_activations_in_range():
    def build():
        inputs = keras.Input((16, 16, 3))
        x = keras.layers.DepthwiseConv2D(3, depth_multiplier=40, use_bias=False)(inputs)
        x = keras.layers.SeparableConv2D(64, 3, name="separable")(keras.layers.BatchNormalization(name="norm")(x))
        return keras.Model(inputs, keras.layers.Dropout(0.5)(x))

    images = np.random.default_rng(0).normal(2.0, 3.0, (8, 16, 16, 3)).astype("float32")
    models = [build(), build()]
    for model in models:
        draw_weights(model, images)

    assert all((a == b).all() for a, b in zip(*(model.get_weights() for model in models), strict=True))
    norm = models[0].get_layer("norm")
    normalized = np.asarray(keras.Model(models[0].input, norm.output)(images))
    np.testing.assert_allclose(normalized.mean((0, 1, 2)), np.asarray(norm.beta), atol=1e-3)
    np.testing.assert_allclose(normalized.std((0, 1, 2)), np.asarray(norm.gamma), rtol=1e-2)
    depthwise, pointwise, _ = models[0].get_layer("separable").get_weights()
    assert depthwise.std() == pytest.approx((1.5 / 9) ** 0.5, rel=0.1)
    assert pointwise.std() == pytest.approx((1.5 / 120) ** 0.5, rel=0.1)
