import keras
import numpy as np
import pytest

from keras_lite.applications import CARNet18
from keras_lite.checkpoints import load_model, load_torch_state_dict
from keras_lite.errors import InputError
from keras_lite.graph import flatten


@pytest.fixture(scope="module")
def model():
    return CARNet18(input_shape=(47, 47, 3))


@pytest.fixture
def state_dict(golden):
    return golden("carnet")[1]


def test_what_counters_and_wrappers_add_is_passed_over(model, state_dict):
    extra = {"bn1.num_batches_tracked": 3, "total_ops": 1.0, "layer1.0.conv1.total_params": np.zeros(1)}
    wrapped = {f"module.{name}": value for name, value in (state_dict | extra).items()}
    load_torch_state_dict(model, wrapped)
    np.testing.assert_array_equal(model.get_layer("predictions").kernel, state_dict["linear.weight"].T)


def test_a_flattened_model_takes_the_same(model, state_dict):
    load_torch_state_dict(model, state_dict)
    flat = flatten(CARNet18(input_shape=(47, 47, 3)))
    load_torch_state_dict(flat, state_dict)
    images = np.random.default_rng(0).normal(size=(1, 47, 47, 3)).astype("float32")
    np.testing.assert_allclose(flat.predict(images, verbose=0), model.predict(images, verbose=0), rtol=1e-4, atol=1e-6)


def test_errors_name_the_entries_and_nothing_is_loaded(model, state_dict):
    before = model.get_weights()
    broken = dict(state_dict)
    broken["layer9.conv.weight"] = broken.pop("layer2.0.conv1.bias")
    broken["linear.weight"] = broken["linear.weight"][:7]
    with pytest.raises(InputError) as caught:
        load_torch_state_dict(model, broken)
    assert "missing: layer2.0.conv1.bias" in str(caught.value)
    assert "unknown: layer9.conv.weight" in str(caught.value)
    assert "misshapen: linear.weight (7, 512)" in str(caught.value)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_another_model_is_refused():
    other = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="head")], name="other")
    with pytest.raises(InputError, match=r"a model from keras_lite.applications, received other"):
        load_torch_state_dict(other, {})


@pytest.mark.parametrize("name", ["absent.keras", "text.keras", "weights.h5"])
def test_load_model_refuses(name, tmp_path):
    if name != "absent.keras":
        (tmp_path / name).write_text("no model")
    with pytest.raises(InputError, match=name):
        load_model(tmp_path / name)


def test_load_model_names_an_unknown_layer(tmp_path):
    @keras.saving.register_keras_serializable("somebody")
    class Odd(keras.layers.ReLU):
        pass

    inputs = keras.Input((4,))
    keras.Model(inputs, Odd()(inputs)).save(tmp_path / "odd.keras")
    del keras.saving.get_custom_objects()["somebody>Odd"]
    with pytest.raises(InputError, match="its layer Odd is not known here"):
        load_model(tmp_path / "odd.keras")
