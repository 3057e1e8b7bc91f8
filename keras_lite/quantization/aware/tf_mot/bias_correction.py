"""Bias correction: taking out what rounding adds to the mean of each channel."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from keras_lite.errors import import_extra
from keras_lite.graph.view import WEIGHTED
from keras_lite.quantization.aware.tf_mot.calibration import batches_of, check_images, replaced, unrounded


def correct_biases(quantized: Any, images: np.ndarray, batch_size: int | None = None) -> int:
    """Change biases until the mean of each channel of each layer is that of the float model, in place.

    Rounding weights and cutting off activations moves the means, and the next layers add that up. From the input to
    the output, the mean difference of each channel over the images goes into the bias, or into the batch normalization
    behind the layer; what comes behind is computed with the layers before it corrected already.

    Source: Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", ICCV 2019
    (arXiv:1906.04721), the empirical form.

    Args:
        quantized: A quantized model with ranges, whose weights are still those of the float model.
        images: Preprocessed float images of shape `(count, height, width, 3)`.
        batch_size: Images in a batch. `None`: 32, and fewer of large images: all activations of a batch are in memory.

    Returns:
        The number of layers that were corrected.

    Raises:
        InputError: If there are no images or their shape is not the model's.
    """
    tensorflow = import_extra("tensorflow", "quantization")
    sites = list(biased_layers(quantized))

    @tensorflow.function
    def differences(batch):
        wanted, found = {}, {}

        def note(index, values):
            wanted[index] = _channel_means(tensorflow, values)
            return values

        def correct(index, values):
            found[index] = wanted[index] - _channel_means(tensorflow, values)
            return values + found[index]

        with unrounded(quantized, weights=True), _before_activation(sites, note):
            quantized(batch, training=False)
        with _before_activation(sites, correct):
            quantized(batch, training=False)
        return [found[index] for index in range(len(sites))]

    if not sites:
        return 0
    found = [
        [values.numpy() for values in differences(batch)]
        for batch in batches_of(check_images(quantized, images), batch_size)
    ]
    for (_, _, bias), values in zip(sites, zip(*found, strict=True), strict=True):
        bias.assign_add(np.mean(values, axis=0))
    return len(sites)


def biased_layers(quantized: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Yield wrapper, layer and variable of each bias; where batch normalization follows a layer, of that alone."""
    for wrapper in quantized.layers:
        layer = getattr(wrapper, "layer", None)
        kind = type(layer).__name__
        if kind == "BatchNormalization" and layer.center:
            yield wrapper, layer, layer.beta
        elif kind in WEIGHTED and layer.use_bias and not _normalized(wrapper):
            yield wrapper, layer, layer.bias


def _normalized(wrapper: Any) -> bool:
    behind = [node.layer for node in wrapper._outbound_nodes]
    return len(behind) == 1 and type(getattr(behind[0], "layer", None)).__name__ == "BatchNormalization"


def _channel_means(tensorflow: Any, values: Any) -> Any:
    return tensorflow.reduce_mean(values, axis=list(range(len(values.shape) - 1)))


@contextlib.contextmanager
def _before_activation(sites: list[tuple[Any, Any, Any]], change: Callable[[int, Any], Any]) -> Iterator[None]:
    """Within the block what each layer computes is changed before its activation and its rounding."""
    changes = []
    for index, (wrapper, layer, _) in enumerate(sites):
        if type(layer).__name__ == "BatchNormalization":
            changes.append((layer, "call", _changed_call(layer.call, index, change)))
        elif wrapper._quantize_activations:
            [activation] = wrapper._quantize_activations
            changes.append((wrapper, "_quantize_activations", [_ChangedActivation(activation, index, change)]))
        else:
            changes.append((layer, "activation", _changed_activation(layer.activation, index, change)))
    with replaced(changes):
        yield
    # A wrapper hands its activations over to the layer in each call.
    for wrapper, layer, _ in sites:
        wrapper.quantize_config.set_quantize_activations(layer, wrapper._quantize_activations)


def _changed_call(call: Callable, index: int, change: Callable[[int, Any], Any]) -> Callable:
    def changed(inputs, training=None):
        return change(index, call(inputs, training=training))

    return changed


def _changed_activation(activation: Callable, index: int, change: Callable[[int, Any], Any]) -> Callable:
    return lambda values: activation(change(index, values))


class _ChangedActivation:
    """In place of TF-MOT's activation, which is told in each call whether it trains."""

    def __init__(self, activation: Any, index: int, change: Callable[[int, Any], Any]):
        self.activation = activation
        self.index = index
        self.change = change
        self.training = False

    def __call__(self, values: Any) -> Any:
        self.activation.training = self.training
        return self.activation(self.change(self.index, values))
