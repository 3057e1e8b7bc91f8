"""What an int8 file rounds that TF-MOT does not: biases, and what goes into a concatenation.

Either moves an activation in a thousand or more to the next step, of which a deep network makes much more. Without them
a file differs from its fake-quantised model by the last bit of a float alone, in one activation in a hundred thousand.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from keras_lite.errors import import_extra
from keras_lite.export.runner import call_worker
from keras_lite.quantization.bias_correction import biased_layers
from keras_lite.quantization.calibration import replaced

# Of a step, how far a bias of the file may lie from the model's: a half, and what float32 loses on the way.
_NEAR = 0.6
# XNNPACK brings int8 numbers to another scale by a factor in so many parts, halves rounded up.
_PARTS = 256.0
# Layers that hand on numbers of their input as they are.
_HANDING_ON = ("ChannelRange", "Cropping2D", "MaxPooling2D", "Permute", "Reshape", "ZeroPadding2D")


@contextlib.contextmanager
def file_arithmetic(quantized: Any, path: str | os.PathLike) -> Iterator[None]:
    """Within the block a quantised model computes as its int8 file does in XNNPACK, but for the last bit of a float.

    Biases are the file's: whole numbers of steps, each a step of the layer's input times one of its kernel. What goes
    into a concatenation and has a range of its own is brought to that of the concatenation by a factor in 256 parts.

    Source: Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
    Inference", CVPR 2018 (arXiv:1712.05877), section 2.4, for the biases.

    Args:
        quantized: What `keras_lite.quantization.quantize_aware` returned, with ranges. Afterwards it is as before.
        path: The int8 `.tflite` file converted from it.

    Raises:
        InputError: If the file does not exist or is no TFLite file.
        LiteRTError: If LiteRT refuses the file.
        MissingExtraError: If LiteRT is not installed.

    Example:

    ```python
    with file_arithmetic(quantized, "model.tflite"):
        logits = quantized.predict(images)
    ```
    """
    found = call_worker("biases", path)["biases"]
    before = [(variable, variable.numpy()) for _, _, variable in biased_layers(quantized)]
    try:
        _set_biases(quantized, [(np.array(entry["values"]), np.array(entry["steps"])) for entry in found])
        with replaced([(layer, "call", call) for layer, call in _joins(quantized)]):
            quantized.make_predict_function(force=True)  # it was traced without
            yield
    finally:
        for variable, values in before:
            variable.assign(values)
        quantized.make_predict_function(force=True)


def _set_biases(quantized: Any, found: list[tuple[np.ndarray, np.ndarray]]) -> None:
    for variable, bias in _biases(quantized):
        # The converter joins layers and their names, but no two layers have the same bias to half a step.
        for index, (values, steps) in enumerate(found):
            if values.shape == bias.shape and (np.abs(values - bias) <= _NEAR * steps).all():
                variable.assign_add((values - bias).astype("float32"))
                del found[index]
                break


def _biases(quantized: Any) -> Iterator[tuple[Any, np.ndarray]]:
    """Yield the variable of each bias, and the bias as a file has it: with what batch normalisation takes away."""
    for wrapper, layer, variable in biased_layers(quantized):
        bias = variable.numpy().astype("float64")
        if type(layer).__name__ == "BatchNormalization":
            mean, variance = (values.numpy().astype("float64") for values in (layer.moving_mean, layer.moving_variance))
            before = getattr(wrapper.input._keras_history.layer, "layer", None)
            if getattr(before, "use_bias", False):
                mean = mean - before.bias.numpy()
            scale = layer.gamma.numpy().astype("float64") if layer.scale else 1.0
            bias = bias - mean * scale / np.sqrt(variance + layer.epsilon)
        yield variable, bias


def _joins(quantized: Any) -> Iterator[tuple[Any, Callable]]:
    """Yield each concatenation and what to call in its place."""
    for wrapper in quantized.layers:
        layer = getattr(wrapper, "layer", None)
        if type(layer).__name__ == "Join" and wrapper._output_quantizers:
            ranges = [_range_behind(tensor) for tensor in wrapper.input]
            yield layer, _requantized(layer.call, ranges, _ends(wrapper._output_quantizer_vars))


def _range_behind(tensor: Any) -> tuple[Any, Any] | None:
    """Return least and greatest value of the range that a tensor was rounded in, or None."""
    wrapper = tensor._keras_history.layer
    if type(wrapper).__name__ == "QuantizeLayer":
        return _ends(wrapper.quantizer_vars)
    if getattr(wrapper, "_output_quantizers", []):
        [quantizer] = wrapper._output_quantizers
        fixed = type(quantizer).__name__ == "FixedRange"
        return (quantizer.lowest, quantizer.highest) if fixed else _ends(wrapper._output_quantizer_vars)
    kind = type(getattr(wrapper, "layer", wrapper)).__name__
    return _range_behind(wrapper.input) if kind in _HANDING_ON else None


def _ends(variables: dict[str, Any]) -> tuple[Any, Any]:
    return variables["min_var"], variables["max_var"]


def _requantized(
    call: Callable, sources: list[tuple[Any, Any] | None], target: tuple[Any, Any]
) -> Callable[[list[Any]], Any]:
    tensorflow = import_extra("tensorflow", "quantization")

    def join(inputs):
        step = (target[1] - target[0]) / 255.0
        changed = []
        for values, source in zip(inputs, sources, strict=True):
            if source is not None:
                source_step = (source[1] - source[0]) / 255.0
                factor = tensorflow.round(_PARTS * source_step / step)
                whole = tensorflow.round(values / source_step)
                values = step * tensorflow.floor((whole * factor + _PARTS / 2) / _PARTS)
            changed.append(values)
        return call(changed)

    return join
