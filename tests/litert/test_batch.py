"""Files that take any number of images at a time."""

import numpy as np
import pytest
from run_graph import constant, normal, open_file, run, single

from keras_lite.errors import InputError
from keras_lite.litert import FloatGraph, Operator, Tensor, write
from keras_lite.litert.batch import for_batch
from keras_lite.runtime.litert_worker import delegation
from keras_lite.runtime.session import LiteRTSession

pytestmark = pytest.mark.tensorflow_only

ONE_PARTITION = {"partitions": 1, "not_delegated": []}


def shuffled():
    """Return a network whose constants name the batch: channel shuffle, slices, flatten, dense."""
    source = Tensor("x", (1, 4, 4, 6))
    names = {
        "split": (1, 4, 4, 2, 3), "turned": (1, 4, 4, 3, 2), "shuffled": (1, 4, 4, 6), "sliced": (1, 4, 3, 4),
        "strided": (1, 2, 3, 4), "flat": (1, 24), "head": (1, 80),
    }  # fmt: skip
    tensors = {name: Tensor(name, shape) for name, shape in names.items()}
    split, turned, mixed, sliced, strided, flat, head = tensors.values()
    operators = [
        Operator("RESHAPE", [source, constant([1, 4, 4, 2, 3])], [split], {"new_shape": [1, 4, 4, 2, 3]}),
        Operator("TRANSPOSE", [split, constant([0, 1, 2, 4, 3])], [turned]),
        Operator("RESHAPE", [turned, constant([1, 4, 4, 6])], [mixed]),
        Operator("SLICE", [mixed, constant([0, 0, 1, 2]), constant([1, 4, 3, -1])], [sliced]),
        Operator(
            "STRIDED_SLICE",
            [sliced, constant([0, 1, 0, 0]), constant([1, 3, 3, 4]), constant([1, 1, 1, 1])],
            [strided],
        ),
        Operator("RESHAPE", [strided, constant([1, 24])], [flat]),
        Operator("FULLY_CONNECTED", [flat, constant(normal(80, 24))], [head]),
    ]
    return FloatGraph("shuffled", [source], [head], operators)


def answer(images):
    mixed = images.reshape(-1, 4, 4, 2, 3).swapaxes(3, 4).reshape(-1, 4, 4, 6)
    return mixed[:, 1:3, 1:, 2:].reshape(-1, 24) @ normal(80, 24).T


@pytest.mark.parametrize("precision", ["float32", "float16", "dynamic"])
def test_an_open_batch(precision):
    content = write(shuffled(), precision, batch=None)
    images, tolerance = normal(5, 4, 4, 6, seed=1), {"float32": 1e-5, "float16": 0.01, "dynamic": 0.1}[precision]

    interpreter = open_file(content)
    [details] = interpreter.get_input_details()
    assert details["shape"].tolist() == [1, 4, 4, 6]
    assert details["shape_signature"].tolist() == [-1, 4, 4, 6]
    assert delegation(interpreter) == ONE_PARTITION
    np.testing.assert_allclose(run(content, images[:1]), answer(images[:1]), atol=tolerance)

    assert delegation(open_file(content, 5)) == ONE_PARTITION
    np.testing.assert_allclose(run(content, images, batch=5), answer(images), atol=tolerance)


def test_a_fixed_batch():
    content = write(shuffled(), batch=3)
    images = normal(3, 4, 4, 6, seed=1)
    np.testing.assert_allclose(run(content, images), answer(images), atol=1e-5)


def test_what_holds_for_one_image_alone():
    kernel, source = constant(normal(5, 2, 2, 6)), Tensor("x", (1, 4, 4, 6))
    options = {"padding": "SAME", "stride_w": 2, "stride_h": 2}
    graph = single("TRANSPOSE_CONV", [constant([1, 8, 8, 5]), kernel, source], (1, 8, 8, 5), options)
    with pytest.raises(InputError, match=r"any batch, received TRANSPOSE_CONV in output, .*; write the file"):
        write(graph, batch=None)

    graph = single("RESHAPE", [source, constant([16, 6])], (16, 6))
    with pytest.raises(InputError, match=r"the batch as first axis, received output of shape \(16, 6\)"):
        write(graph, batch=None)
    with pytest.raises(InputError, match="a batch of at least 1, or None to leave it open, received 0"):
        write(shuffled(), batch=0)


def test_some_images_at_once_by_litert():
    """A transposed convolution has the shape of its output as a constant: that of all images."""
    rng = np.random.default_rng(0)
    x, y, z = Tensor("x", (1, 3, 3, 2)), Tensor("y", (1, 6, 6, 4)), Tensor("z", (1, 144))
    kernel = Tensor("kernel", (4, 2, 2, 2), rng.normal(size=(4, 2, 2, 2)).astype("float32"))
    bias = Tensor("bias", (4,), rng.normal(size=4).astype("float32"))
    size, flat = Tensor("size", (4,), np.array(y.shape, "int32")), Tensor("flat", (2,), np.array(z.shape, "int32"))
    options = {"padding": "VALID", "stride_h": 2, "stride_w": 2}
    operators = [Operator("TRANSPOSE_CONV", [size, kernel, x, bias], [y], options), Operator("RESHAPE", [y, flat], [z])]
    graph = FloatGraph("transposed", [x], [z], operators)
    images = rng.normal(size=(5, 3, 3, 2)).astype("float32")
    with LiteRTSession() as session:
        [expected] = session.outputs(write(graph), images)
        [received] = session.run(write(for_batch(graph, 5)), images)
    np.testing.assert_allclose(received, expected, rtol=1e-5, atol=1e-5)
