import keras
import numpy as np
import pytest
from layer_case import check_layer, check_training

from keras_lite.layers import HardSwish


def test_layer(tmp_path):
    check_layer(HardSwish, {}, (2, 3, 4, 6), (2, 3, 4, 6), variables={}, tmp_path=tmp_path)


@pytest.mark.parametrize("training", [False, True])
def test_values(training):
    x = np.array([-5, -3, -1.5, 0, 1.5, 3, 5], "float32")
    y = keras.ops.convert_to_numpy(HardSwish()(x, training=training))
    np.testing.assert_allclose(y, [0, 0, -0.375, 0, 1.125, 3, 5], atol=1e-6)


def test_training():
    check_training(HardSwish(name="activation"), (4, 3, 4, 6))
