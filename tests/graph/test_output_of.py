"""What the end of a model says about its numbers."""

import gc
import weakref

import keras
import numpy as np
import pytest

from keras_lite.errors import InputError
from keras_lite.graph import check_output, output_of, outputs_for

pytestmark = pytest.mark.tensorflow_only
layers = keras.layers


def output_behind(*ends, size=3):
    inputs = x = keras.Input((5,))
    for end in (layers.Dense(size), *ends):
        x = end(x)
    return output_of(keras.Model(inputs, x))


@pytest.mark.parametrize(
    "idle",
    [
        layers.Dropout(0.5),
        layers.Activation("linear"),
        layers.Identity(),
        layers.GaussianNoise(0.1),
        layers.Reshape((1, 3)),
        layers.ActivityRegularization(0.1),
    ],
)
def test_what_does_nothing_at_the_end_is_passed_over(idle):
    assert output_behind(layers.Softmax(), idle) == "probabilities"
    assert output_behind(layers.Activation("sigmoid"), idle) == "sigmoid"
    assert output_behind(layers.UnitNormalization(), idle) == "embedding"
    assert output_behind(idle) == "logits"


def test_a_softmax_of_several_groups_is_no_choice_of_one_class():
    assert output_behind(layers.Reshape((2, 2)), layers.Softmax(), layers.Flatten(), size=4) == "logits"
    assert output_behind(layers.Reshape((1, 1, 4)), layers.Softmax(), layers.Flatten(), size=4) == "probabilities"


def test_a_hard_sigmoid_is_a_sigmoid():
    assert output_behind(layers.Activation("hard_sigmoid")) == "sigmoid"
    assert output_behind(layers.Activation("hard_sigmoid"), size=1) == "sigmoid"


@pytest.mark.parametrize(
    ("activation", "said", "right"),
    [
        ("softmax", "probabilities", True),
        ("softmax", "logits", False),
        ("softmax", "regression", True),
        (None, "logits", True),
        (None, "probabilities", False),
        (None, "sigmoid", False),
        (None, "embedding", True),
        ("sigmoid", "sigmoid", True),
        ("sigmoid", "logits", False),
        ("sigmoid", "regression", True),
    ],
)
def test_what_is_said_must_agree_with_the_last_layer(activation, said, right):
    inputs = keras.Input((5,))
    model = keras.Model(inputs, layers.Dropout(0.1)(layers.Dense(3, activation)(inputs)))
    if right:
        check_output(model, said)
    else:
        with pytest.raises(InputError, match=f'for a model that ends in .*, received "{said}"'):
            check_output(model, said)


def test_outputs_follow_the_weights_and_any_number_of_images():
    inputs = keras.Input((4,))
    dense = keras.layers.Dense(2, use_bias=False)
    model = keras.Model(inputs, dense(inputs))
    rng = np.random.default_rng(0)
    for count in (3, 70, 1):
        kernel, images = rng.normal(size=(4, 2)).astype("float32"), rng.normal(size=(count, 4)).astype("float32")
        dense.set_weights([kernel])
        np.testing.assert_allclose(outputs_for(model, images), images @ kernel, rtol=1e-5, atol=1e-6)


def test_a_model_is_traced_once_and_not_kept():
    calls = []

    @keras.saving.register_keras_serializable("test_output_of")
    class Counted(keras.layers.Layer):
        def call(self, inputs):
            calls.append(inputs.shape)
            return inputs * 2.0

    inputs = keras.Input((4,))
    model = keras.Model(inputs, Counted()(inputs))
    calls.clear()
    for count in (40, 3):
        outputs_for(model, np.ones((count, 4), "float32"))
    assert len(calls) == 1
    gone = weakref.ref(model)
    del model, inputs
    gc.collect()
    assert gone() is None
