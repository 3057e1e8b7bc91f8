"""Setting the activation ranges of a quantized model from images, before any training."""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from keras_lite.errors import import_extra
from keras_lite.quantization.images import check_images
from keras_lite.quantization.ranges import EMPTY, OPENED, Estimator, least_error_range

# Set on a quantized model whose input has the range of some images: `keras_lite.quantization.input_range` mends it.
INPUT_UNKNOWN = "keras_lite_input_range_unknown"
# Of a batch: 32 images of up to 67 x 67, 2 of 244 x 244. With 32 of those CARNet18 takes 18 GB.
_BATCH_PIXELS = 16 * 96 * 96
# Parts of a histogram, and how many values of a batch of one tensor are counted, roughly.
_PARTS, _SAMPLE = 2048, 200_000


@dataclasses.dataclass(frozen=True)
class MeasuredTensor:
    """What was seen of one activation whose range is to be chosen.

    Args:
        wrapper: Name of the quantized model's layer that it comes from.
        variables: Its range: `"min_var"` and `"max_var"`.
        lowest: Least value of each channel (the last axis), 0 at most.
        highest: Greatest value of each channel, 0 at least.
        counts: How many values, zeros apart, lie in each of equal parts of the span between the extremes.
    """

    wrapper: str
    variables: dict[str, Any]
    lowest: np.ndarray
    highest: np.ndarray
    counts: np.ndarray


def calibrate(quantized: Any, images: np.ndarray, batch_size: int | None = None, verbose: int = 0) -> None:
    """Set the activation and weight ranges of a quantization-aware model from images; its weights stay.

    Each activation gets the range that rounds its values with the least squared error; it may cut off rare values. The
    input's is the images' own, until `keras_lite.export.to_tflite` is told what made them of pixels.
    `keras_lite.quantization.post_training` does more.

    Args:
        quantized: What `quantize_aware` returned.
        images: Preprocessed float images of shape `(count, height, width, 3)`; a hundred are enough.
        batch_size: Images in a batch. `None`: 32, and fewer of large images: all activations of a batch are in memory.
        verbose: 1 shows progress.

    Raises:
        InputError: If there are no images or their shape is not the model's.
    """
    set_ranges(quantized, measure(quantized, images, batch_size, verbose), least_error_range)
    setattr(quantized, INPUT_UNKNOWN, True)


def measure(
    quantized: Any, images: np.ndarray, batch_size: int | None = None, verbose: int = 0
) -> list[MeasuredTensor]:
    """Return what images give at each activation of a quantized model; weight ranges and the input's are set.

    TF-MOT's ranges are moving averages that start at -6 to 6. In training each tensor is cut off at the range so far,
    so that what lies behind it is measured wrongly, in a deep network without end. Here activations pass unrounded and
    uncut. A first pass finds the extremes of each tensor, a second one counts how its values are spread between them.

    Args:
        quantized: What `quantize_aware` returned.
        images: Preprocessed float images of shape `(count, height, width, 3)`.
        batch_size: Images in a batch. `None`: 32, and fewer of large images: all activations of a batch are in memory.
        verbose: 1 shows progress.

    Raises:
        InputError: If there are no images or their shape is not the model's.
    """
    tensorflow = import_extra("tensorflow", "quantization")
    batches = batches_of(check_images(quantized, images), batch_size)
    progress = keras.utils.Progbar(2 * len(batches), verbose=verbose, unit_name="calibration batch")
    with frozen_batch_norm(quantized), unrounded(quantized) as seen:

        @tensorflow.function
        def extremes(batch):
            seen.clear()
            quantized(batch, training=True)
            found = []
            for _, _, values in seen:
                values = tensorflow.reshape(values, (-1, values.shape[-1]))
                # Zero is in every range: padding and ReLU need it without error.
                found.append(tensorflow.minimum(tensorflow.reduce_min(values, 0), 0.0))
                found.append(tensorflow.maximum(tensorflow.reduce_max(values, 0), 0.0))
            return found

        @tensorflow.function
        def histograms(batch, spans):
            seen.clear()
            quantized(batch, training=True)
            return tensorflow.stack(
                [
                    _histogram(tensorflow, values, span)
                    for (_, _, values), span in zip(seen, tensorflow.unstack(spans), strict=True)
                ]
            )

        ends = []
        for batch in batches:
            ends.append([values.numpy() for values in extremes(batch)])
            progress.add(1)
        lowest = [np.min(values, axis=0) for values in zip(*(found[0::2] for found in ends), strict=True)]
        highest = [np.max(values, axis=0) for values in zip(*(found[1::2] for found in ends), strict=True)]
        spans = [(low.min(), max(high.max(), low.min() + EMPTY)) for low, high in zip(lowest, highest, strict=True)]
        counts = 0.0
        for batch in batches:
            counts = counts + histograms(batch, tensorflow.constant(spans, "float32")).numpy()
            progress.add(1)
        places = [(wrapper, variables) for wrapper, variables, _ in seen]
    return [
        MeasuredTensor(wrapper, variables, low, high, count)
        for (wrapper, variables), low, high, count in zip(places, lowest, highest, counts, strict=True)
    ]


def set_ranges(quantized: Any, measured: list[MeasuredTensor], estimator: Estimator) -> None:
    """Set each activation range to what `estimator` chooses from the histogram.

    A range that stays empty (an activation that is always zero) is opened a little: XNNPACK refuses a scale of zero.
    """
    for tensor in measured:
        low, high = estimator(tensor.counts, float(tensor.lowest.min()), float(tensor.highest.max()))
        tensor.variables["min_var"].assign(low)
        tensor.variables["max_var"].assign(high)
    open_empty_ranges(quantized)


def batches_of(images: np.ndarray, batch_size: int | None = None) -> list[Any]:
    """Return images as tensors of `batch_size` images, or of all where they are fewer; a remainder is left out."""
    tensorflow = import_extra("tensorflow", "quantization")
    if batch_size is None:
        batch_size = max(1, min(32, _BATCH_PIXELS // (images.shape[1] * images.shape[2])))
    batch_size = min(batch_size, len(images))
    # Full batches only: another size would be traced again.
    starts = range(0, len(images) - batch_size + 1, batch_size)
    return [tensorflow.constant(images[start : start + batch_size]) for start in starts]


def _histogram(tensorflow: Any, values: Any, span: Any) -> Any:
    values = tensorflow.reshape(values, (-1,))
    # A part is enough of a large tensor. An odd stride, so as not to meet the same channels again and again.
    stride = values.shape[0] // _SAMPLE | 1
    values = values[::stride]
    # Zeros, which a ReLU gives, are exact in any range.
    values = tensorflow.boolean_mask(values, values != 0.0)
    return tensorflow.histogram_fixed_width(values, span, _PARTS)


@contextlib.contextmanager
def unrounded(quantized: Any, weights: bool = False) -> Iterator[list[tuple[str, dict[str, Any], Any]]]:
    """Within the block no moving range is used, and ranges that are given cut off but do not round.

    Args:
        quantized: The model.
        weights: Whether weights, constants and the input pass unrounded as well: the model answers as the float model.

    Yields:
        A list that takes, for each moving range that is met, the layer's name, the range's variables and the tensor.
    """
    tensorflow = import_extra("tensorflow", "quantization")
    seen: list[tuple[str, dict[str, Any], Any]] = []

    def observer(wrapper):
        def observe(inputs, training, weights, **unused):
            seen.append((wrapper.name, weights, inputs))
            return inputs

        return observe

    def passed(inputs, training, weights, **unused):
        # Not the variable itself: the layer that gets it as its kernel would take it for one that trains.
        return tensorflow.identity(inputs)

    changes = [
        (holder, attribute, [observer(wrapper)] if listed else observer(wrapper))
        for wrapper, holder, attribute, listed, _ in _moving_quantizers(quantized)
    ]
    for wrapper in quantized.layers:
        fixed = [each for each in getattr(wrapper, "_output_quantizers", []) if hasattr(each, "unrounded")]
        if fixed:
            changes.append((wrapper, "_output_quantizers", [each.unrounded for each in fixed]))
        if weights and hasattr(getattr(wrapper, "layer", None), "rounded"):
            changes.append((wrapper.layer, "rounded", False))
        if weights and getattr(wrapper, "_weight_vars", []):
            kept = [(weight, passed, variables) for weight, _, variables in wrapper._weight_vars]
            changes.append((wrapper, "_weight_vars", kept))
        if weights and type(wrapper).__name__ == "QuantizeLayer":
            changes.append((wrapper, "quantizer", passed))
    with replaced(changes):
        yield seen


def _moving_quantizers(quantized: Any) -> Iterator[tuple[Any, Any, str, bool, Any]]:
    """Yield for each moving range its layer, the attribute that has the quantizer (whether in a list), and that."""
    for wrapper in quantized.layers:
        quantizers = getattr(wrapper, "_output_quantizers", [])
        if quantizers and type(quantizers[0]).__name__ == "MovingAverageQuantizer":
            yield wrapper, wrapper, "_output_quantizers", True, quantizers[0]
        for activation in getattr(wrapper, "_quantize_activations", []):
            yield wrapper, activation, "quantizer", False, activation.quantizer


@contextlib.contextmanager
def replaced(changes: list[tuple[Any, str, Any]]) -> Iterator[None]:
    """Give attributes of objects other values within the block."""
    before = [(holder, attribute, getattr(holder, attribute)) for holder, attribute, _ in changes]
    try:
        for holder, attribute, value in changes:
            # tf_keras' own way takes variables in the value for new ones that train, frozen or not.
            object.__setattr__(holder, attribute, value)
        yield
    finally:
        for holder, attribute, value in reversed(before):
            object.__setattr__(holder, attribute, value)


def open_empty_ranges(quantized: Any) -> list[str]:
    """Widen every activation range that is next to nothing, and return the names of the variables changed."""
    changed = []
    for variable in quantized.non_trainable_variables:
        name = _short_name(variable)
        if not name.endswith("_max") or "kernel" in name:
            continue
        lowest = float(_partner(quantized, variable).numpy())
        if float(variable.numpy()) - lowest < EMPTY:
            variable.assign(lowest + OPENED)
            changed.append(variable.name)
    return changed


class frozen_batch_norm:  # noqa: N801 (used as a context manager)
    """Within the block batch normalization uses, and keeps, its moving mean and variance, in training too.

    Args:
        quantized: The model.
        frozen: False leaves everything as it is.
    """

    def __init__(self, quantized: Any, frozen: bool = True):
        self.layers = list(batch_normalizations(quantized)) if frozen else []
        self.before = [layer.trainable for layer in self.layers]

    def __enter__(self) -> None:
        for layer in self.layers:
            layer.trainable = False

    def __exit__(self, *error: Any) -> None:
        for layer, trainable in zip(self.layers, self.before, strict=True):
            layer.trainable = trainable


def batch_normalizations(quantized: Any) -> Iterator[Any]:
    """Yield the batch normalizations inside the wrappers of a quantized model."""
    for wrapper in quantized.layers:
        layer = getattr(wrapper, "layer", wrapper)
        if type(layer).__name__ == "BatchNormalization":
            yield layer


def _short_name(variable: Any) -> str:
    return variable.name.rpartition("/")[2].partition(":")[0]


def _partner(quantized: Any, highest: Any) -> Any:
    name = highest.name.replace("_max:", "_min:")
    return next(variable for variable in quantized.non_trainable_variables if variable.name == name)
