"""Channels whose output is a constant are mended, and the model's outputs stay."""

import numpy as np
import pytest
from small_classifier import carnet_like, color_images, scramble

from keras_lite.errors import InputError
from keras_lite.graph import flatten
from keras_lite.graph.dead_channels import mend_dead_channels


@pytest.mark.parametrize("what", ["kernel", "gamma", "layer"])
def test_dead_channels_are_mended_without_changing_an_output(what):
    model = flatten(carnet_like())
    scramble(model)
    stem = model.get_layer("stem")
    norm = next(layer for layer in model.layers if type(layer).__name__ == "BatchNormalization")
    if what == "gamma":
        norm.gamma.assign(np.where(np.arange(8) == 3, 1e-20, norm.gamma))
    else:
        [kernel] = stem.get_weights()
        kernel[..., slice(None) if what == "layer" else 3] = 0.0
        stem.set_weights([kernel])
    images, _ = color_images(8, seed=1)
    before = model.predict(images, verbose=0)

    [text] = mend_dead_channels(model)

    assert text == f"stem (channels {'0, 1, 2, 3, 4, 5, 6, 7' if what == 'layer' else 3})"
    after = model.predict(images, verbose=0)
    assert np.abs(after - before).max() < 2e-3 * np.abs(before).max()
    assert np.abs(stem.get_weights()[0]).max(axis=(0, 1, 2)).min() > 0
    assert mend_dead_channels(model) == []


def test_weights_that_are_no_numbers_are_named():
    model = flatten(carnet_like())
    model.get_layer("stem").set_weights([np.full((3, 3, 3, 8), np.nan)])
    with pytest.raises(InputError, match="inf or nan in layer stem"):
        mend_dead_channels(model)
