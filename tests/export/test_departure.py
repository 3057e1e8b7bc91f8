"""Which operator of an int8 file departs from its model: by a changed number, a wrong rule, a file that hides it."""

import dataclasses

import numpy as np
import pytest

from keras_lite.errors import InputError
from keras_lite.export import VerificationError, departure, to_tflite, verification
from keras_lite.export.departure import first_departure
from keras_lite.litert import (
    IntegerModel,
    Operator,
    QuantizationParameters,
    QuantizedGraph,
    Tensor,
    quantize_weights,
    with_ends,
)
from keras_lite.litert.integer import model as integer_model
from keras_lite.runtime.worker_process import LiteRTError

pytestmark = pytest.mark.tensorflow_only
pytest.importorskip("ai_edge_litert")

WINDOW = {"padding": "VALID", "stride_w": 1, "stride_h": 1}
NAMES = ("pad", "stem", "branch", "sum", "gate", "pool", "logits")


def int8(name, shape, scale, zero_point=0):
    return Tensor(name, shape, dtype="int8", quantization=QuantizationParameters(scale, zero_point))


def network():
    """Return a graph of seven operators: a stem behind a padding, a branch that is added, a gate, and a classifier."""
    rng = np.random.default_rng(3)

    def weights(name, shape, source):
        kernel, bias = rng.normal(0, 0.3, shape).astype("float32"), rng.normal(0, 0.3, shape[0]).astype("float32")
        made = quantize_weights(kernel, bias, 0, source.quantization)
        return [
            Tensor(f"{name}/{role}", values.shape, values, quantization=parameters)
            for role, (values, parameters) in zip(("kernel", "bias"), made, strict=True)
        ]

    photos, padded = (int8(name, (1, size, size, 3), 0.02, 5) for name, size in (("photos", 8), ("pad", 10)))
    stem, branch, total = (
        int8(name, (1, 8, 8, 4), scale, -20) for name, scale in (("stem", 0.03), ("branch", 0.05), ("sum", 0.06))
    )
    gate, pool = int8("gate", (1, 8, 8, 4), 1 / 256, -128), int8("pool", (1, 4), 0.004, -128)
    logits = int8("logits", (1, 5), 0.01, 3)
    widths, axes = np.array([[0, 0], [1, 1], [1, 1], [0, 0]], "int32"), np.array([1, 2], "int32")
    operators = [
        Operator("PAD", [photos, Tensor("widths", widths.shape, widths)], [padded]),
        Operator("CONV_2D", [padded, *weights("stem", (4, 3, 3, 3), padded)], [stem], WINDOW),
        Operator("CONV_2D", [stem, *weights("branch", (4, 1, 1, 4), stem)], [branch], WINDOW),
        Operator("ADD", [stem, branch], [total]),
        Operator("LOGISTIC", [total], [gate]),
        Operator("MEAN", [gate, Tensor("axes", axes.shape, axes)], [pool], {"keep_dims": False}),
        Operator("FULLY_CONNECTED", [pool, *weights("logits", (5, 4), pool)], [logits]),
    ]
    return QuantizedGraph("network", [photos], [logits], operators)


def with_bias(graph, name, change):
    """Return a graph in which a number of an operator's bias is another."""
    operators = []
    for operator in graph.operators:
        if operator.name == name:
            source, kernel, bias = operator.inputs
            values = bias.data.copy()
            values[1] += change
            operator = dataclasses.replace(operator, inputs=[source, kernel, dataclasses.replace(bias, data=values)])
        operators.append(operator)
    return dataclasses.replace(graph, operators=operators)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).normal(0, 0.8, (6, 8, 8, 3)).astype("float32")


def test_equal_ones(images):
    graph = network()
    assert first_departure(graph, IntegerModel(graph), images) is None
    assert tuple(operator.name for operator in graph.operators) == NAMES


@pytest.mark.parametrize(
    ("name", "ends", "made", "kind", "number", "pixels", "channels"),
    [
        ("stem", "int8", "stem", "CONV_2D", 2, 64, 4),
        ("branch", "uint8", "branch", "CONV_2D", 4, 64, 4),
        ("logits", "float32", "logits_int8", "FULLY_CONNECTED", 8, 1, 5),
    ],
)
def test_another_bias(images, name, ends, made, kind, number, pixels, channels):
    graph = network()
    written = with_ends(with_bias(graph, name, 900), ends)
    found = first_departure(written, IntegerModel(with_ends(graph, ends)), images)
    assert (found.kind, found.name, found.number, found.operators) == (kind, made, number, 7 if ends == "int8" else 9)
    assert (found.unseen, found.values) == ((), pixels * channels)
    # One channel, but for what is cut off on both sides.
    assert 0.5 * pixels < found.differing <= pixels


def test_figures(images):
    """A step of a bias is a known part of a step of the output."""
    graph = network()
    branch = graph.operators[2]
    step = branch.inputs[2].quantization.scales[1] / branch.output.quantization.scale
    found = first_departure(with_bias(graph, "branch", round(3 / step)), IntegerModel(graph), images)
    assert found.steps == 3
    assert str(found) == (
        f"The first operator that departs is branch (CONV_2D), number 3 of 7: on image 1, "
        f"{found.differing} of 256 values differ, by up to 3 steps."
    )


def test_image(images):
    """A bias that matters for one image only: a ReLU cuts the others off."""
    graph = network()
    stem = graph.operators[1]
    stem.options = {**WINDOW, "fused_activation_function": "RELU"}
    values = stem.inputs[2].data.copy()
    values[1] = -40_000
    graph.operators[1] = dataclasses.replace(
        stem, inputs=[*stem.inputs[:2], dataclasses.replace(stem.inputs[2], data=values)]
    )
    images = images.copy()
    kernel = stem.inputs[1].data[1].astype("float32")
    images[3] = 0.0
    images[3, 2:5, 2:5] = np.sign(kernel) * 2.4
    found = first_departure(graph, IntegerModel(with_bias(graph, "stem", 2_000)), images)
    assert (found.name, found.image) == ("stem", 4)


def test_another_scale(images):
    graph = network()
    other = int8("gate", (1, 8, 8, 4), 0.01, -20)
    changed = [dataclasses.replace(each) for each in graph.operators]
    changed[3] = dataclasses.replace(
        changed[3], outputs=[dataclasses.replace(changed[3].output, quantization=other.quantization)]
    )
    changed[4] = dataclasses.replace(changed[4], inputs=changed[3].outputs)
    found = first_departure(dataclasses.replace(graph, operators=changed), IntegerModel(graph), images)
    assert (found.kind, found.name) == ("ADD", "sum")


def test_other_operators_are_refused(images):
    graph = network()
    shorter = dataclasses.replace(graph, outputs=graph.operators[4].outputs, operators=graph.operators[:5])
    with pytest.raises(InputError, match="model of the operators of network"):
        first_departure(graph, IntegerModel(shorter), images)


def test_many_tensors_and_files(images, monkeypatch):
    graph, files = network(), []
    every_output = departure.every_output

    def counted(path, images):
        files.append(path)
        return every_output(path, images)

    monkeypatch.setattr(departure, "every_output", counted)
    monkeypatch.setattr(departure, "_TENSORS", 2)
    found = first_departure(with_bias(graph, "branch", 900), IntegerModel(graph), images)
    assert (found.name, found.number) == ("branch", 3)
    # The graph's own file, the first two operators', the next two's; and no more.
    assert len(files) == 3


def faulty(hides, answer=None):
    """Return how LiteRT would answer if an operator went wrong while a tensor is no output.

    Args:
        hides: Name of the tensor; "all" for any of them.
        answer: What becomes of the graph's outputs where it is seen: None for the right ones, "other" for other wrong
            ones, "none" if there are none because the file does not run.
    """
    wrong = with_bias(network(), "stem", 900)

    def in_litert(written, tensors, images):
        names = [tensor.name for tensor in tensors]
        if (hides == "all" and len(tensors) > 1) or hides in names:
            if answer == "none":
                raise LiteRTError("LiteRT can't run model.tflite")
            shown = network() if answer is None else with_bias(network(), "branch", 2000)
        else:
            shown = wrong
        by_name = {operator.name: operator.output for operator in shown.operators}
        found = IntegerModel(shown).outputs_of(images, [by_name[name] for name in names])
        return {tensor: values.reshape(len(images), -1) for tensor, values in zip(tensors, found, strict=True)}

    return in_litert


@pytest.mark.parametrize("answer", [None, "other", "none"])
def test_what_shows_only_unseen(images, monkeypatch, answer):
    """A padding that is computed within the convolution behind it, where it goes wrong unless it is an output."""
    graph = network()
    monkeypatch.setattr(departure, "_in_litert", faulty("pad", answer))
    found = first_departure(graph, IntegerModel(graph), images)
    assert (found.name, found.unseen, found.equal_if_seen) == ("stem", ("pad",), answer is None)
    alone = "It departs in this file alone: as soon as a file also outputs pad, it is equal to the bit."
    beside = "Or pad does, which can't be seen: a file that also outputs it answers otherwise."
    assert str(found).endswith(alone if answer is None else beside)


def test_what_shows_in_the_file_alone(images, monkeypatch):
    graph = network()
    monkeypatch.setattr(departure, "_in_litert", faulty("all"))
    found = first_departure(graph, IntegerModel(graph), images)
    assert (found.name, found.unseen, found.equal_if_seen) == ("logits", NAMES[:-1], True)
    assert str(found).endswith(
        "It departs in this file alone: as soon as a file also outputs any of pad, stem, branch and 3 more, "
        "it is equal to the bit."
    )


@pytest.mark.parametrize("ends", ["int8", "float32"])
def test_to_tflite_tells_it(images, tmp_path, monkeypatch, ends):
    """A rule of the model that is wrong for one kind of operator."""
    add = integer_model.KINDS["ADD"]

    def wrong(operator):
        compute = add(operator)
        return lambda *values: np.minimum(compute(*values), 125) + np.int8(2)

    monkeypatch.setitem(integer_model.KINDS, "ADD", wrong)
    with pytest.raises(VerificationError) as refused:
        to_tflite(network(), tmp_path / "model.tflite", "int8", samples=images, ends=ends)
    message, number = str(refused.value), "4 of 7" if ends == "int8" else "5 of 9"
    assert message.startswith("model.tflite was not written: on 6 images it differs from its model: ")
    assert message.endswith(
        f"The first operator that departs is sum (ADD), number {number}: "
        "on image 1, 256 of 256 values differ, by up to 2 steps."
    )
    assert list(tmp_path.iterdir()) == []


def test_to_tflite_tells_of_chance(images, tmp_path, monkeypatch):
    """A file whose outputs are others the first time only."""
    examine = verification.examine

    def once(*arguments, **options):
        found = examine(*arguments, **options)
        return dataclasses.replace(found, outputs=found.outputs + np.float32(0.01))

    monkeypatch.setattr(verification, "examine", once)
    with pytest.raises(VerificationError, match=r"LiteRT does not answer the same each time\.$"):
        to_tflite(network(), tmp_path / "model.tflite", "int8", samples=images)
