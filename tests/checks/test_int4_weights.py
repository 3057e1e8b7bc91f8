"""Kernels of 4 bits, as the check writes them."""

import numpy as np
import pytest

from checks.int4_weights import layer_graph, packed, with_int4
from keras_lite.litert import write

pytestmark = pytest.mark.tensorflow_only


def test_two_numbers_a_byte_the_first_in_the_lower_half():
    numbers = np.array([1, -2, 7, -7, -1], "int8").view("uint8")
    assert packed(numbers).tolist() == [0xE1, 0x97, 0x0F]


def test_a_dense_layer_answers_as_with_int8():
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    content = write(layer_graph("FULLY_CONNECTED", (1, 33), (5, 33), (1, 5)))
    found = []
    for each in (content, with_int4(content)):
        opened = interpreter.Interpreter(model_content=each)
        opened.allocate_tensors()
        numbers = np.random.default_rng(2).integers(-128, 128, (1, 33)).astype("int8")
        opened.set_tensor(opened.get_input_details()[0]["index"], numbers)
        opened.invoke()
        found.append(opened.get_tensor(opened.get_output_details()[0]["index"]))
        names = {each["name"]: each["dtype"] for each in opened.get_tensor_details()}
    assert names["kernel"] != np.float32
    np.testing.assert_allclose(found[1].astype(int), found[0].astype(int), atol=1)
    assert np.ptp(found[0]) > 4
