"""Operators that ARM64 rounds otherwise: LiteRT's own integers, recorded on an emulated Cortex-A76 and on x86.

Recorded with ai-edge-litert 2.3.0; QEMU's Cortex-A53 and "max" gave the same.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from int8_graphs import graph_of, int8, integers
from run_graph import constant

from keras_lite.litert import IntegerModel, QuantizedGraph, target_of

pytestmark = pytest.mark.tensorflow_only

RECORDED = json.loads(Path(__file__).with_name("arm64_outputs.json").read_text(encoding="utf-8"))


def graph_and_inputs(recorded):
    values = [np.array(each, "int8")[None] for each in recorded["values"]]
    shape = (len(recorded["x86"]),)
    if recorded["kind"] == "MEAN":
        values = [each[..., None] for each in values]
    sources = [
        int8(f"x{place}", (1, *each.shape[1:]), *scheme)
        for place, (each, scheme) in enumerate(zip(values, recorded["inputs"], strict=True))
    ]
    axes = [constant([1, 2])] if recorded["kind"] == "MEAN" else []
    output = int8("y", (1, *shape), *recorded["output"])
    return graph_of(recorded["kind"], [*sources, *axes], [output], recorded["options"]), values


def named(recorded):
    return f"{recorded['kind']}-{recorded['output'][0]:.3g}"


@pytest.mark.parametrize("recorded", RECORDED, ids=named)
def test_each_target_has_its_own_integers(recorded):
    graph, values = graph_and_inputs(recorded)
    assert recorded["x86"] != recorded["arm64"]
    for target in ("x86", "arm64"):
        [found] = IntegerModel(graph, target).outputs_of(values, graph.outputs)
        assert found.ravel().tolist() == recorded[target]


@pytest.mark.parametrize("recorded", RECORDED, ids=named)
def test_two_targets_at_once(recorded):
    graph, values = graph_and_inputs(recorded)
    scale, zero = recorded["output"]
    for here, there in (("x86", "arm64"), ("arm64", "x86"), ("x86", "x86")):
        found = IntegerModel(graph, here).predict_beside(values, there)
        for target, floats in zip((here, there), found, strict=True):
            expected = (np.array(recorded[target], "float32") - zero) * np.float32(scale)
            np.testing.assert_array_equal(floats.ravel(), expected)


def test_what_comes_behind_takes_what_differs():
    recorded = next(each for each in RECORDED if each["kind"] == "MUL")
    graph, values = graph_and_inputs(recorded)
    [product] = graph.outputs
    total = int8("total", product.shape, product.quantization.scale, product.quantization.zero_point)
    other = int8("other", product.shape, 1.0, 0)
    behind = graph_of("ADD", [product, other], [total])
    graph = QuantizedGraph("two", [*graph.inputs, other], [total], [*graph.operators, *behind.operators])
    values = [*values, integers(1, len(recorded["x86"]), seed=3)]
    here, there = IntegerModel(graph).predict_beside(values, "arm64")
    np.testing.assert_array_equal(here, IntegerModel(graph).predict(values))
    np.testing.assert_array_equal(there, IntegerModel(graph, "arm64").predict(values))


def test_processors_by_the_names_that_systems_give_them():
    machines = ["x86_64", "AMD64", "aarch64", "arm64", "riscv64", ""]
    assert list(map(target_of, machines)) == ["x86", "x86", "arm64", "arm64", None, None]
